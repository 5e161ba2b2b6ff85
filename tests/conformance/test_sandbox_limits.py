"""What a function may use, as AWS documents it: /tmp, memory, files, processes. The jail itself: tests/system."""

import base64
import re

import pytest

PROBE = """
import os, resource, subprocess

def handler(event, context):
    try:
        return eval(event['code'])
    except Exception as error:
        return [type(error).__name__, getattr(error, 'errno', None)]
"""

ENOSPC, EAGAIN = 28, 11


@pytest.fixture(scope="module")
def probe(functions):
    name = functions.make(PROBE, MemorySize=256, Timeout=20)
    return lambda code: functions.call(name, {"code": code})


@pytest.mark.parametrize("path", ["/var/task/x", "/opt/x", "/x", "/var/runtime/x", "/usr/x", "/etc/x", "/bin/x"])
def test_only_tmp_can_be_written(probe, path):
    kind, errno = probe(f"open({path!r}, 'w')")
    assert kind in ("OSError", "PermissionError"), (kind, errno)


def test_tmp_can_be_written_and_is_kept_while_warm(probe):
    assert probe("open('/tmp/kept', 'w').write('hello')") == 5
    assert probe("open('/tmp/kept').read()") == "hello"


def test_tmp_is_empty_in_a_new_environment(functions):
    name = functions.make(PROBE)
    assert functions.call(name, {"code": "os.listdir('/tmp')"}) == []


@pytest.mark.parametrize("size", [512, 600])
def test_tmp_has_the_size_that_was_asked_for(functions, size):
    name = functions.make(PROBE, EphemeralStorage={"Size": size}, MemorySize=1024)
    blocks = functions.call(name, {"code": "(lambda s: s.f_frsize * s.f_blocks)(os.statvfs('/tmp'))"})
    assert 0.95 * size * 2**20 <= blocks <= 1.05 * size * 2**20


@pytest.mark.parametrize("memory", [128, 2048])
def test_a_full_tmp_is_an_error_and_not_a_death(functions, memory):
    """As on AWS, where it is a disk: whatever the function's memory is."""
    name = functions.make(
        "def handler(event, context):\n"
        "    written = 0\n"
        "    try:\n"
        "        with open('/tmp/big', 'wb') as f:\n"
        "            for _ in range(event['mb']):\n"
        "                f.write(bytes(2**20)); written += 1\n"
        "    except OSError as error:\n"
        "        return [written, error.errno]\n"
        "    return [written, 0]\n",
        MemorySize=memory,
        Timeout=30,
    )
    for _ in range(2):
        answer, payload = functions.invoke(name, {"mb": 700}, LogType="Tail")
        assert "FunctionError" not in answer, payload
        written, errno = payload
        assert errno == ENOSPC and 480 <= written <= 512
        (used,) = re.findall(r"Max Memory Used: (\d+) MB", base64.b64decode(answer["LogResult"]).decode())
        assert int(used) <= 128 or memory > 600, "files above MemorySize are no memory"  # below it they are counted, up to 128.0


def test_memory_is_limited_beside_a_full_tmp_too(functions):
    name = functions.make(
        "def handler(event, context):\n"
        "    open('/tmp/big', 'wb').write(bytes(100 * 2**20))\n"
        "    hold = []\n"
        "    while True:\n"
        "        hold.append(bytearray(b'x' * 2**20))\n",
        MemorySize=256,
        Timeout=30,
    )
    answer, payload = functions.invoke(name, {}, LogType="Tail")
    assert payload["errorType"] == "Runtime.ExitError" and payload["errorMessage"].endswith("signal: killed")
    log = base64.b64decode(answer["LogResult"]).decode()
    assert re.search(r"Max Memory Used: 256 MB\t(Init Duration: [0-9.]+ ms\t)?Status: error\tError Type: Runtime\.OutOfMemory\t\n", log), log


def test_memory_above_the_limit_kills_and_is_told(functions):
    name = functions.make(
        "def handler(event, context):\n"
        "    if event.get('mb'):\n"
        "        hold = [bytearray(b'x' * 2**20) for _ in range(event['mb'])]\n"
        "    return 'alive'\n",
        Timeout=30,
    )
    assert functions.call(name, {}) == "alive"
    answer, payload = functions.invoke(name, {"mb": 400}, LogType="Tail")
    assert answer["FunctionError"] == "Unhandled"
    assert payload["errorType"] in ("Runtime.OutOfMemory", "Runtime.ExitError"), payload
    request = answer["ResponseMetadata"]["RequestId"]
    assert re.fullmatch(rf"RequestId: {request} Error: Runtime exited with error: signal: killed", payload["errorMessage"])
    assert functions.call(name, {}) == "alive"


def test_memory_up_to_the_limit_is_there(functions):
    name = functions.make(
        "def handler(event, context):\n    return sum(len(bytearray(b'x' * 2**20)) for _ in range(10))\n"
        "hold = [bytearray(b'x' * 2**20) for _ in range(150)]\n",
        MemorySize=256,
    )
    assert functions.call(name, {}) == 10 * 2**20


def test_the_memory_used_is_reported(functions):
    name = functions.make("hold = b'x' * (100 * 2**20)\ndef handler(e, c):\n    pass\n", MemorySize=256)
    answer, _ = functions.invoke(name, {}, LogType="Tail")
    (used,) = re.findall(r"Max Memory Used: (\d+) MB", base64.b64decode(answer["LogResult"]).decode())
    assert 100 <= int(used) <= 256


def test_descriptors_and_processes_are_limited(probe):
    soft, hard = probe("resource.getrlimit(resource.RLIMIT_NOFILE)")
    assert (soft, hard) == (1024, 1024)
    soft, _ = probe("resource.getrlimit(resource.RLIMIT_NPROC)")
    assert 0 < soft <= 1024


def test_a_fork_bomb_hits_the_limit(functions):
    name = functions.make(
        "import os, signal\n"
        "def handler(event, context):\n"
        "    children = []\n"
        "    try:\n"
        "        while len(children) < 3000:\n"
        "            pid = os.fork()\n"
        "            if pid == 0:\n"
        "                signal.pause()\n"
        "            children.append(pid)\n"
        "    except OSError as error:\n"
        "        return [len(children), error.errno]\n"
        "    finally:\n"
        "        for pid in children:\n"
        "            os.kill(pid, 9)\n"
        "    return [len(children), 0]\n",
        MemorySize=3008,
        Timeout=50,
    )
    made, errno = functions.call(name, {})
    assert made <= 1024 and errno == EAGAIN


def test_the_function_is_an_ordinary_user(probe):
    uid, gid, euid = probe("(os.getuid(), os.getgid(), os.geteuid())")
    assert uid == euid != 0 and gid != 0


def test_the_platform(probe):
    system, machine = probe("(os.uname().sysname, os.uname().machine)")
    assert system == "Linux" and machine in ("x86_64", "aarch64")


def test_the_world_outside_is_not_reachable(probe):
    code = "__import__('socket').create_connection(('192.0.2.1', 80), timeout=2)"
    kind, _ = probe(code)
    assert kind in ("OSError", "ConnectionRefusedError", "TimeoutError", "PermissionError")


def test_only_its_own_processes_are_visible(probe):
    pids = probe("[int(p) for p in os.listdir('/proc') if p.isdigit()]")
    assert 1 in pids and len(pids) <= 4
