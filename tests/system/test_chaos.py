"""
A mixed load, and everything that can die does: every request that was accepted gets an answer or the end of its connection, the
counters add up, and when it is over nothing is there that was not there before.

MAYFLY_CHAOS_KILLS=500 makes it long.
"""

import contextlib
import os
import shutil
import signal
import time

import boto3
import botocore.config
import chaos
import pytest

from harness.daemon import Daemon
from harness.functions import NODE, Functions

pytestmark = pytest.mark.alone

KILLS = int(os.environ.get("MAYFLY_CHAOS_KILLS", "60"))
SECONDS_A_KILL = 0.45
SEED = int(os.environ.get("MAYFLY_CHAOS_SEED", "1"))

# Runtimes that wait for functions come and go with demand: for a census there are none.
WILD, CALM = "stems = 4\nspares = 1\n", "stems = 0\nspares = 0\n"

PYTHON = """
import time
def handler(event, context):
    time.sleep(event.get("seconds", 0))
    return event
"""

JAVASCRIPT = "exports.handler = async (event) => { await new Promise((go) => setTimeout(go, event.seconds * 1000)); return event; };"

SHELL = """#!/bin/bash
while :; do
  exec 3<>/dev/tcp/${AWS_LAMBDA_RUNTIME_API/:/\\/}
  printf 'GET /2018-06-01/runtime/invocation/next HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n' >&3
  id= body= length=0
  while IFS= read -r line <&3; do
    line=${line%$'\\r'}
    [ -z "$line" ] && break
    case ${line,,} in
      lambda-runtime-aws-request-id:*) id=${line#*: } ;;
      content-length:*) length=${line#*: } ;;
    esac
  done
  IFS= read -r -N "$length" body <&3
  exec 3<&-
  exec 3<>/dev/tcp/${AWS_LAMBDA_RUNTIME_API/:/\\/}
  printf 'POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: %d\\r\\nConnection: close\\r\\n\\r\\n%s' \\
    "$id" "${#body}" "$body" >&3
  while IFS= read -r line <&3; do :; done
  exec 3<&-
done
"""


@pytest.fixture
def small_disk(tmp_path):
    disk = chaos.SmallDisk(tmp_path / "disk", 64)
    yield disk
    disk.close()


@pytest.fixture
def daemon(small_disk, tmp_path):
    settings = tmp_path / "chaos.ini"
    settings.write_text(WILD)
    one = Daemon("--config", str(settings), "--idle", "2", "--drain", "5", data=small_disk.path / "data", env={"ASAN_OPTIONS": "quarantine_size_mb=2"})
    (small_disk.path / "data").mkdir()
    one.log_path = small_disk.path.with_name("chaos.log")
    one.settings = settings
    one.start()
    yield one
    if one.process.poll() is None:
        one.process.kill()
        one.process.wait(10)


def client_of(daemon):
    return boto3.client(
        "lambda",
        endpoint_url=daemon.endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=botocore.config.Config(retries={"total_max_attempts": 1}, read_timeout=30, connect_timeout=10, max_pool_connections=4),
    )


def create_all(functions):
    made = [functions.create(PYTHON + f"# {i}\n", Timeout=3)["FunctionName"] for i in range(3)]
    made.append(functions.create(SHELL, runtime="provided.al2023", Timeout=3)["FunctionName"])
    if shutil.which("node"):
        made.append(functions.create(JAVASCRIPT, runtime=NODE, Timeout=5)["FunctionName"])
    return made


def quiet(daemon, seconds=60):
    """Wait until no environment is left and the daemon serves; its counters."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError, ValueError, chaos.http.client.HTTPException):
            counters = chaos.status(daemon.port)["counters"]
            if not counters["environments"] and not counters["inFlight"]:
                return counters
        assert time.monotonic() < deadline, f"it does not come to rest:\n{counters}\n{daemon.log()[-3000:]}"
        time.sleep(0.1)


def settle(daemon, text):
    """The settings are these from now on."""
    daemon.settings.write_text(text)
    daemon.process.send_signal(signal.SIGHUP)


def settled(daemon, seconds=40):
    """A census that no longer changes, but for the memory."""
    settle(daemon, CALM)
    deadline = time.monotonic() + seconds
    before, since = None, time.monotonic()
    while True:
        now = chaos.census(daemon)
        same = before and {k: v for k, v in now.items() if "kB" not in k} == {k: v for k, v in before.items() if "kB" not in k}
        if not same:
            since = time.monotonic()
        elif time.monotonic() - since > 1.5:
            return now
        before = now
        assert time.monotonic() < deadline, f"what it has keeps changing: {now}"
        time.sleep(0.25)


def broken(log):
    """What says that the daemon itself is wrong."""
    return [line[:300] for line in log.splitlines() if "Sanitizer" in line or "Assertion" in line or "condemned" in line]


def invoke_all(functions, names):
    """Each of them once, until it has answered: the daemon is well."""
    for name in names:
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(Exception):
                if functions.call(name, {"n": 1, "seconds": 0}) == {"n": 1, "seconds": 0}:
                    break
            assert time.monotonic() < deadline, f"{name} does not answer any more"
            time.sleep(0.1)


def rage(daemon, disk, killer):
    """The kills, with a full disk and failing allocations in between; how often the counters were looked at."""
    looked = 0
    for number in range(KILLS):
        deadline = time.monotonic() + 10
        while not killer.strike() and time.monotonic() < deadline:
            time.sleep(0.01)
        if number % 12 == 4:
            disk.fill()
        if number % 12 == 7:
            disk.drain()
        if number % 12 == 8:
            chaos.set_faults(daemon.port, 150)
        if number % 12 == 11:
            chaos.set_faults(daemon.port, 0)
        time.sleep(SECONDS_A_KILL)
        assert daemon.process.poll() is None, f"the daemon has ended:\n{daemon.log()[-3000:]}"
        with contextlib.suppress(OSError, ValueError, KeyError, chaos.http.client.HTTPException):
            counters = chaos.status(daemon.port, seconds=3)["counters"]
            assert chaos.counters_add_up(counters), counters
            looked += 1
    disk.drain()
    for _ in range(50):
        if chaos.set_faults(daemon.port, 0) is not None:
            break
        time.sleep(0.2)
    return looked


@pytest.mark.seconds(200 + KILLS * 3)
def test_everything_dies_and_nothing_is_lost_or_left(daemon, small_disk):
    client = client_of(daemon)
    functions = Functions(client)
    names = create_all(functions)
    invoke_all(functions, names)
    quiet(daemon)
    before, held = settled(daemon), chaos.descriptors(daemon)
    settle(daemon, WILD)

    loads = [chaos.Load(daemon.port, names, SEED * 100 + i) for i in range(8)]
    changes = chaos.Changes(client_of(daemon), names[:3], SEED)
    killer = chaos.Killer(daemon, SEED)
    for thread in (*loads, changes):
        thread.start()
    try:
        looked = rage(daemon, small_disk, killer)
    finally:
        for thread in (*loads, changes):
            thread.over.set()
        join_all((*loads, changes), daemon)
    ends = {key: sum(load.ends[key] for load in loads) for key in loads[0].ends}
    print(f"kills {killer.kills}, ends {ends}, changes {changes.done}, counters looked at {looked} times")
    assert not any(thread.is_alive() for thread in (*loads, changes)), "a request hangs"
    assert not [problem for load in loads for problem in load.problems]
    assert ends["no connection"] == 0, "the warden keeps the socket: nobody is ever refused"
    assert ends["answered"] > 10 * KILLS and changes.done, "there was hardly a load"
    assert sum(killer.kills.values()) > KILLS * 0.9 and looked > KILLS / 4

    assert not broken(daemon.log()), f"{broken(daemon.log())}; the log is {daemon.log_path}"
    invoke_all(functions, names)
    counters = quiet(daemon)
    assert chaos.counters_add_up(counters) and counters["waiting"] == 0
    after = settled(daemon)
    print(f"before {before}\nafter  {after}\nheld before {held}\nheld after  {chaos.descriptors(daemon)}")
    assert_nothing_leaks(before, after, is_sanitized=chaos.set_faults(daemon.port, 0))
    assert daemon.stop() == 0, daemon.log()[-3000:]
    left = daemon.leftovers()
    assert not any(left.values()), left


def join_all(threads, daemon):
    """What is asked last is answered soon; if it is not, say what the daemon looks like."""
    deadline = time.monotonic() + 25
    for thread in threads:
        thread.join(max(0, deadline - time.monotonic()))
    if any(thread.is_alive() for thread in threads):
        print(f"requests hang: {chaos.diagnosis(daemon)}")
        for thread in threads:
            thread.join(chaos.ANSWER_SECONDS + 10)


def assert_nothing_leaks(before, after, is_sanitized):
    grown = {}
    for key in ("groups", "mounts", "net", "warden fds", "router fds"):
        # a zygote more or less is no leak; one for every tenth kill would be
        if after[key] > before[key] + 6:
            grown[key] = (before[key], after[key])
    # four databases; each keeps up to eight connections of a file and its log, and maps one index
    if after["store fds"] > 4 * (8 * 2 + 1):
        grown["store fds"] = (before["store fds"], after["store fds"])
    for kind, count in after["processes"].items():
        if count > before["processes"].get(kind, 0) + 2:
            grown[kind] = (before["processes"].get(kind, 0), count)
    if after["warden kB"] > before["warden kB"] + 4096:
        grown["warden kB"] = (before["warden kB"], after["warden kB"])
    if after["kept networks"] > 256:
        grown["kept networks"] = after["kept networks"]
    # a sanitizer keeps what was freed, and never gives large memory back: it has leaks of its own to tell at the end
    if not is_sanitized and after["router kB"] > before["router kB"] + 12 * 1024:
        grown["router kB"] = (before["router kB"], after["router kB"])
    assert not grown and not after["tmp"], (grown, after["tmp"])
