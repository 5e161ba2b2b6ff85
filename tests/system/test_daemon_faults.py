"""The whole daemon, killed: nothing is left behind, nothing that was acknowledged is lost, and it comes back."""

import concurrent.futures
import io
import os
import pathlib
import random
import signal
import time
import zipfile

import boto3
import botocore.config
import botocore.exceptions
import pytest

from harness.daemon import Daemon, descendants

CODE = """
import os, time
def handler(event, context):
    if event.get("seconds"):
        print("sleeping", flush=True)
        time.sleep(event["seconds"])
    return {"pid": os.getpid(), "env": os.environ.get("MARK")}
"""


def package(code=CODE):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("main.py", code)
    return out.getvalue()


def client(daemon):
    return boto3.client(
        "lambda",
        endpoint_url=daemon.endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=botocore.config.Config(retries={"total_max_attempts": 1}, read_timeout=40),
    )


def create(api, name, **more):
    api.create_function(
        FunctionName=name,
        Runtime="python3.11",
        Role="arn:aws:iam::000000000000:role/any",
        Handler="main.handler",
        Code={"ZipFile": package()},
        Timeout=30,
        **more,
    )
    api.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 200})


def invoke(api, name, payload=b"{}"):
    answer = api.invoke(FunctionName=name, Payload=payload)
    return answer.get("FunctionError"), answer["Payload"].read()


def uid_of(pid):
    return os.stat(f"/proc/{pid}").st_uid


def router_pid(daemon):
    return next(pid for pid, line in descendants(daemon.process.pid).items() if line.startswith("mayfly router"))


def runtime_pids(daemon):
    """The runtimes inside of sandboxes: neither root nor the router."""
    return [
        pid
        for pid, line in descendants(daemon.process.pid).items()
        if "bootstrap" in line and uid_of(pid) not in (0, uid_of(router_pid(daemon)))
    ]


def janitor_pid(daemon):
    return next(
        pid
        for pid, line in descendants(daemon.process.pid).items()
        if line.startswith("mayfly-warden") and pathlib.Path(f"/proc/{pid}/comm").read_text() == "mayfly-janitor\n"
    )


def until(condition, what, seconds=15):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            found = condition()
        except (botocore.exceptions.BotoCoreError, StopIteration, OSError):
            found = None
        if found:
            return found
        time.sleep(0.05)
    pytest.fail(f"not within {seconds} s: {what}")


def start_again(daemon):
    daemon.log_path.unlink()  # its Ready line is of the start before
    daemon.start()


def assert_nothing_left(daemon):
    left = daemon.leftovers()
    assert not any(left.values()), left
    assert not list((daemon.data / "code" / "tmp").glob("*")) if (daemon.data / "code" / "tmp").exists() else True


@pytest.fixture
def daemon():
    one = Daemon().start()
    yield one
    if one.process.poll() is None:
        assert one.stop() == 0, one.log()
    assert_nothing_left(one)
    one.forget()


@pytest.fixture
def busy():
    """Runs invocations beside the test."""
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        yield pool


def sleeping(daemon, busy, name, seconds=20):
    """An invocation in the middle of its work, and its future."""
    future = busy.submit(invoke, client(daemon), name, b'{"seconds": %d}' % seconds)
    until(lambda: runtime_pids(daemon), "a runtime")
    time.sleep(0.3)
    return future


def test_a_router_killed_while_idle_comes_back_with_all_functions(daemon):
    api = client(daemon)
    create(api, "one", Environment={"Variables": {"MARK": "x"}})
    assert invoke(api, "one")[0] is None
    before, old = router_pid(daemon), runtime_pids(daemon)
    assert old
    os.kill(before, signal.SIGKILL)
    until(lambda: router_pid(daemon) != before, "another router")
    error, payload = until(lambda: invoke(client(daemon), "one"), "an invocation")
    assert error is None and b'"x"' in payload
    assert not set(old) & set(runtime_pids(daemon)), "the sandboxes of the router that died are gone"


def test_a_router_killed_in_the_middle_of_an_invocation_takes_its_sandboxes_with_it(daemon, busy):
    create(client(daemon), "slow")
    future = sleeping(daemon, busy, "slow")
    old = runtime_pids(daemon)
    os.kill(router_pid(daemon), signal.SIGKILL)
    with pytest.raises(botocore.exceptions.BotoCoreError):
        future.result(20)
    until(lambda: not any(pathlib.Path(f"/proc/{pid}").exists() for pid in old), "the end of the sandbox")
    assert until(lambda: invoke(client(daemon), "slow"), "an invocation")[0] is None


def test_a_runtime_killed_in_the_middle_of_an_invocation_is_an_error_of_that_invocation_only(daemon, busy):
    api = client(daemon)
    create(api, "slow")
    create(api, "other")
    future = sleeping(daemon, busy, "slow")
    victim = runtime_pids(daemon)
    assert invoke(api, "other")[0] is None
    for pid in victim:
        os.kill(pid, signal.SIGKILL)
    error, payload = future.result(20)
    assert error == "Unhandled" and b"Runtime.ExitError" in payload and b"signal: killed" in payload
    assert invoke(api, "slow")[0] is None
    assert invoke(api, "other")[0] is None


def test_a_janitor_that_dies_is_replaced_and_the_daemon_still_ends_cleanly(daemon):
    create(client(daemon), "one")
    before = janitor_pid(daemon)
    os.kill(before, signal.SIGKILL)
    until(lambda: janitor_pid(daemon) != before, "another janitor")
    assert invoke(client(daemon), "one")[0] is None


@pytest.mark.parametrize("moment", ["idle", "busy"])
def test_a_killed_warden_leaves_nothing_and_the_next_start_finds_all(daemon, busy, moment):
    create(client(daemon), "one")
    assert invoke(client(daemon), "one")[0] is None
    future = sleeping(daemon, busy, "one") if moment == "busy" else None
    daemon.process.kill()
    daemon.process.wait(10)
    assert_nothing_left(daemon)
    if future:
        with pytest.raises(botocore.exceptions.BotoCoreError):
            future.result(20)
    start_again(daemon)
    assert [f["FunctionName"] for f in client(daemon).list_functions()["Functions"]] == ["one"]
    assert invoke(client(daemon), "one")[0] is None


def test_a_daemon_killed_at_any_moment_of_its_start_leaves_nothing():
    chance = random.Random(7)
    one = Daemon()
    for _ in range(12):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("harness.daemon.START_SECONDS", 0)
            with pytest.raises(RuntimeError):
                one.start()
        one.process.wait(10)
        assert_nothing_left(one)
        time.sleep(chance.random() / 50)
    one.start()
    assert one.stop() == 0
    assert_nothing_left(one)
    one.forget()


def test_what_was_acknowledged_survives_kill_9_in_a_loop():
    one = Daemon()
    known = {}
    for turn in range(6):
        one.start()
        api = client(one)
        have = {f["FunctionName"]: f["Description"] for f in api.list_functions()["Functions"]}
        assert have == known
        for i in range(5):
            name = f"f{turn}-{i}"
            api.create_function(
                FunctionName=name,
                Runtime="python3.11",
                Role="arn:aws:iam::000000000000:role/any",
                Handler="main.handler",
                Code={"ZipFile": package(CODE + f"# {name}\n")},
                Description=name,
            )
            known[name] = name
        victim = one.process.pid if turn % 2 else router_pid(one)
        os.kill(victim, signal.SIGKILL)
        if victim != one.process.pid:
            one.process.kill()
        one.process.wait(10)
        assert_nothing_left(one)
        one.log_path.unlink()
    one.start()
    api = client(one)
    for name in random.Random(3).sample(sorted(known), 5):
        until(lambda: api.get_function_configuration(FunctionName=name)["State"] == "Active", f"{name} active")
        assert invoke(api, name)[0] is None
    assert one.stop() == 0
    assert_nothing_left(one)
    one.forget()


def test_sigterm_lets_an_invocation_finish(daemon, busy):
    create(client(daemon), "slow")
    future = sleeping(daemon, busy, "slow", seconds=2)
    assert daemon.stop() == 0
    error, payload = future.result(10)
    assert error is None and b"pid" in payload
