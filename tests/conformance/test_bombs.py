"""Functions that take all they can: each is stopped at its own limits, and nobody else notices."""

import concurrent.futures
import re
import threading
import time

import pytest

from harness.functions import PROVIDED

pytestmark = pytest.mark.alone

EAGAIN, EMFILE, ENOSPC = 11, 24, 28
MB = 1024 * 1024


class Neighbour(threading.Thread):
    """Invokes a function of somebody else all the while, and wants each answer right."""

    def __init__(self, functions):
        super().__init__(daemon=True)
        self.functions = functions
        self.name_of_function = functions.make("n = 0\ndef handler(event, context):\n    global n\n    n += 1\n    return n\n", Timeout=30)
        functions.call(self.name_of_function, {})
        self.answers, self.fault, self.is_over = [1], None, threading.Event()

    def run(self):
        try:
            while not self.is_over.is_set():
                self.answers.append(self.functions.call(self.name_of_function, {}))
                time.sleep(0.02)
        except BaseException as fault:  # told by the fixture
            self.fault = fault


def resident_mb(pid):
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1]) // 1024


def family(pid):
    """The daemon's own processes: the warden and the router."""
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        return [pid, *map(int, children.read().split())]


def family_mb(daemon):
    total = 0
    for pid in family(daemon.process.pid):
        try:
            with open(f"/proc/{pid}/cmdline") as line:
                total += resident_mb(pid) if "router" in line.read() or pid == daemon.process.pid else 0
        except (FileNotFoundError, ProcessLookupError, TypeError):
            continue  # a sandbox that has just ended
    return total


@pytest.fixture
def undisturbed(aws, daemon, lambda_):
    """A neighbour function and the daemon, before, during and after."""
    neighbour = Neighbour(aws.functions(account="700700700700"))
    before_mb = family_mb(daemon)
    neighbour.start()
    yield neighbour
    enough = len(neighbour.answers) + 3
    deadline = time.monotonic() + 20
    while len(neighbour.answers) < enough and neighbour.fault is None and time.monotonic() < deadline:
        time.sleep(0.05)
    neighbour.is_over.set()
    neighbour.join(30)
    assert neighbour.fault is None, neighbour.fault
    assert len(neighbour.answers) >= enough, "the neighbour was not served any more"
    assert neighbour.answers == list(range(1, len(neighbour.answers) + 1)), "its environment was lost"
    assert lambda_.get_account_settings()["AccountLimit"]
    assert family_mb(daemon) < before_mb + 300, "the daemon kept what a function gave it"


def test_a_fork_bomb(functions, undisturbed):
    """1,024 processes and threads, whatever they do; the time-out ends them all."""
    name = functions.make("#!/bin/bash\nbomb() { bomb | bomb & }\nbomb\nwait\nsleep 60\n", runtime=PROVIDED, Timeout=2, MemorySize=1024)
    answer, payload = functions.invoke(name, {})
    assert answer["FunctionError"] == "Unhandled"
    assert payload["errorType"] in ("Sandbox.Timedout", "Runtime.ExitError"), payload


def test_a_fork_bomb_in_an_invocation(functions, undisturbed):
    name = functions.make(
        "import os, time\n"
        "def handler(event, context):\n"
        "    while True:\n"
        "        try:\n"
        "            os.fork()\n"
        "        except OSError:\n"
        "            pass\n",
        Timeout=3,
        MemorySize=2048,
    )
    for _ in range(2):
        answer, payload = functions.invoke(name, {})
        assert answer["FunctionError"] == "Unhandled"
        assert payload["errorType"] in ("Sandbox.Timedout", "Runtime.ExitError"), payload


def test_a_thread_bomb(functions, undisturbed):
    name = functions.make(
        "import threading\n"
        "def handler(event, context):\n"
        "    stop, threads = threading.Event(), []\n"
        "    try:\n"
        "        while len(threads) < 3000:\n"
        "            thread = threading.Thread(target=stop.wait, daemon=True)\n"
        "            thread.start()\n"
        "            threads.append(thread)\n"
        "    except RuntimeError as error:\n"
        "        return [len(threads), str(error)]\n"
        "    finally:\n"
        "        stop.set()\n"
        "        for thread in threads:\n"
        "            thread.join()\n",
        MemorySize=2048,
        Timeout=30,
    )
    made, error = functions.call(name, {})
    assert 950 <= made <= 1023 and error == "can't start new thread"  # a few are the sandbox's own
    assert functions.call(name, {})[0] >= 950, "the threads of the first invocation are still counted"


def test_a_descriptor_bomb(functions, undisturbed):
    name = functions.make(
        "import os, socket\n"
        "def handler(event, context):\n"
        "    kept = []\n"
        "    try:\n"
        "        while True:\n"
        "            kept.append(os.open('/dev/null', os.O_RDONLY) if event['kind'] == 'file' else os.dup(1))\n"
        "    except OSError as error:\n"
        "        return [len(kept), error.errno]\n"
        "    finally:\n"
        "        for fd in kept:\n"
        "            os.close(fd)\n",
        Timeout=30,
    )
    for kind in ("file", "dup"):
        made, errno = functions.call(name, {"kind": kind})
        assert errno == EMFILE and 1000 <= made <= 1021, (made, errno)
    assert functions.call(name, {"kind": "file"})[1] == EMFILE


def test_connections_without_end_to_the_runtime_api(functions, undisturbed):
    """What a function opens towards the daemon is bounded on the daemon's side."""
    name = functions.make(
        "import socket\n"
        "def handler(event, context):\n"
        "    kept, refused = [], 0\n"
        "    for port in (9001, 4566):\n"
        "        for _ in range(400):\n"
        "            s = socket.socket(); s.settimeout(0.2)\n"
        "            try:\n"
        "                s.connect(('127.0.0.1', port)); s.sendall(b'GET /x HTTP/1.1\\r\\nHo'); kept.append(s)\n"
        "            except OSError:\n"
        "                refused += 1\n"
        "                if refused > 20: break\n"
        "    return len(kept)\n",
        Timeout=60,
        MemorySize=512,
    )
    assert functions.call(name, {}) > 0


def test_a_tmp_full_of_files(functions, undisturbed):
    name = functions.make(
        "import os\n"
        "def handler(event, context):\n"
        "    made = 0\n"
        "    try:\n"
        "        while made < 2000000:\n"
        "            open(f'/tmp/{made}', 'w').close(); made += 1\n"
        "    except OSError as error:\n"
        "        return [made, error.errno]\n"
        "    return [made, 0]\n",
        Timeout=50,
        MemorySize=1024,
    )
    answer, payload = functions.invoke(name, {})
    assert "FunctionError" not in answer, payload
    made, errno = payload
    assert errno == ENOSPC and made > 1000


@pytest.mark.parametrize("text", ["y\\n", "y" * 200 + "\\n", "y" * 100_000])
def test_a_log_flood(functions, logs, undisturbed, eventually, text):
    """Bounded in rate, and the log says how much is missing; a line that never ends is cut."""
    name = functions.make(
        "import os, time\n"
        f"block = b'{text}'\n"
        "block *= max(1, 65536 // len(block))\n"
        "def handler(event, context):\n"
        "    end, written = time.time() + 3, 0\n"
        "    while time.time() < end:\n"
        "        written += os.write(1, block)\n"
        "    return written\n",
        Timeout=30,
    )
    written = functions.call(name, {})
    assert written > 4 * MB
    group = f"/aws/lambda/{name}"

    def dropped():
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, filterPattern="LOGS_DROPPED")
        return [event["message"] for page in pages for event in page["events"]]

    eventually(dropped, seconds=20)
    lost = sum(int(re.search(r"Dropped Bytes: (\d+)", message)[1]) for message in dropped())
    assert 0 < lost <= written
    stored = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]["storedBytes"]
    assert stored <= 40 * MB


def test_two_floods_of_one_account_and_the_log_of_another(functions, undisturbed, aws, eventually):
    """The lines of a quiet neighbour are in his log while others flood theirs."""
    flood = functions.make(
        "import os, time\n"
        "def handler(event, context):\n"
        "    end = time.time() + 4\n"
        "    while time.time() < end:\n"
        "        os.write(1, b'flood\\n' * 10000)\n",
        Timeout=30,
    )
    quiet = aws.functions(account="700700700701")
    name = quiet.make("def handler(event, context):\n    print('quiet', event['n'])\n")
    quiet_logs = aws.client("logs", access_key="700700700701")
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        floods = [pool.submit(functions.call, flood, {}) for _ in range(3)]
        for n in range(5):
            quiet.call(name, {"n": n})
            time.sleep(0.3)
        for one in floods:
            one.result()
    eventually(
        lambda: [
            event["message"]
            for event in quiet_logs.filter_log_events(logGroupName=f"/aws/lambda/{name}", filterPattern="quiet")["events"]
        ]
        == [f"quiet {n}\n" for n in range(5)]
    )


GIGABYTE = r"""#!/bin/bash
api=${AWS_LAMBDA_RUNTIME_API}
while true; do
	exec 3<>"/dev/tcp/${api%:*}/${api#*:}"
	printf 'GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' >&3
	id=$(tr -d '\r' <&3 | sed -n 's/^[Ll]ambda-[Rr]untime-[Aa]ws-[Rr]equest-[Ii]d: //p')
	exec 3<>"/dev/tcp/${api%:*}/${api#*:}"
	{
		printf 'POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: x\r\nConnection: close\r\n' "$id"
		HEAD
	} >&3 2>/dev/null
	cat <&3 >/dev/null
	exec 3>&-
done
"""


@pytest.mark.parametrize(
    "head",
    [
        r"printf 'Content-Length: 1073741824\r\n\r\n'; head -c 1073741824 /dev/zero",
        r"printf 'Transfer-Encoding: chunked\r\n\r\n'; for i in {1..1024}; do printf '100000\r\n'; head -c 1048576 /dev/zero; printf '\r\n'; done",
    ],
    ids=["length", "chunked"],
)
def test_a_response_of_a_gigabyte(functions, undisturbed, head):
    name = functions.make(GIGABYTE.replace("HEAD", head), runtime=PROVIDED, Timeout=20)
    for _ in range(2):
        answer, payload = functions.invoke(name, {})
        assert answer["FunctionError"] == "Unhandled"
        assert payload == {
            "errorType": "Function.ResponseSizeTooLarge",
            "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
        }


def test_a_memory_bomb(functions, undisturbed):
    name = functions.make("def handler(event, context):\n    held = []\n    while True:\n        held.append(bytearray(b'x' * 2**20))\n", Timeout=30)
    for _ in range(2):
        answer, payload = functions.invoke(name, {})
        request = answer["ResponseMetadata"]["RequestId"]
        assert payload == {"errorType": "Runtime.ExitError", "errorMessage": f"RequestId: {request} Error: Runtime exited with error: signal: killed"}


def test_processors_that_spin(functions, undisturbed):
    name = functions.make(
        "import os, time\n"
        "def handler(event, context):\n"
        "    for _ in range(8):\n"
        "        if os.fork() == 0:\n"
        "            while True: pass\n"
        "    time.sleep(60)\n",
        Timeout=3,
    )
    _, payload = functions.invoke(name, {})
    assert payload["errorType"] == "Sandbox.Timedout"
