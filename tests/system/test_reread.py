"""SIGHUP: what can change while the daemon runs changes, the rest is named in the log, a wrong file changes nothing."""

import ctypes
import json
import os
import signal
import subprocess
import sys
import urllib.request

import boto3
import pytest
import warden as wardens

from harness.daemon import Daemon, binary, descendants


class RereadDone(ctypes.Structure):
    _fields_ = [("head", wardens.Head), ("log_level", wardens.U32), ("log_json", wardens.U32)]


# ---- the warden, with a router that the test plays ----


@pytest.fixture
def with_file(new_warden, tmp_path):
    path = tmp_path / "mayfly.ini"
    path.write_text("log-level = warn\n")
    return new_warden(drain_ms_max=100, config=str(path).encode()).serving(), path


def done(warden, level=1, json=0):
    warden.router.say(RereadDone(head=wardens.Head(op=wardens.REREAD_DONE), log_level=level, log_json=json))


def test_the_file_is_opened_for_the_router_which_answers_before_it_gets_another(with_file):
    warden, path = with_file
    warden.process.send_signal(signal.SIGHUP)
    _, (fd,) = warden.router.expect(wardens.REREAD)
    assert os.read(fd, 99) == path.read_bytes()
    with pytest.raises(OSError):
        os.write(fd, b"x")
    os.close(fd)
    for _ in range(5):  # one more in all, and only after the answer
        warden.process.send_signal(signal.SIGHUP)
    with pytest.raises(TimeoutError):
        warden.router.expect(wardens.REREAD, seconds=0.5)
    path.write_text("log-level = debug\n")
    done(warden)
    _, (fd,) = warden.router.expect(wardens.REREAD)
    assert os.read(fd, 99) == b"log-level = debug\n"
    os.close(fd)
    done(warden)
    with pytest.raises(TimeoutError):
        warden.router.expect(wardens.REREAD, seconds=0.5)


def test_the_next_router_gets_the_file_too(with_file):
    warden, _ = with_file
    warden.process.send_signal(signal.SIGHUP)
    warden.router.expect(wardens.REREAD)
    os.kill(warden.router.pid, signal.SIGKILL)
    warden.next_router().ready()
    _, (fd,) = warden.router.expect(wardens.REREAD)
    os.close(fd)
    done(warden)


def test_the_warden_logs_as_the_router_was_told(with_file):
    warden, _ = with_file
    warden.process.send_signal(signal.SIGHUP)
    warden.router.expect(wardens.REREAD)
    done(warden, level=3, json=1)
    warden.process.send_signal(signal.SIGHUP)
    warden.router.expect(wardens.REREAD)  # so the answer has been read
    os.kill(warden.router.pid, signal.SIGKILL)
    warden.next_router().ready()
    (line,) = [line for line in warden.log().splitlines() if "router_ended" in line]
    assert '"level":"error"' in line
    assert warden.log().count("router_ready") == 1, "information is no longer written"


@pytest.mark.parametrize(("level", "json"), [(4, 0), (0, 2), (2**32 - 1, 0)])
def test_settings_of_the_log_that_cannot_be_condemn_the_router(with_file, level, json):
    warden, _ = with_file
    warden.process.send_signal(signal.SIGHUP)
    warden.router.expect(wardens.REREAD)
    done(warden, level, json)
    warden.next_router()
    assert "impossible settings" in warden.log()


def test_an_answer_that_nobody_asked_for_condemns_the_router(with_file):
    warden, _ = with_file
    done(warden)
    warden.next_router()
    assert "impossible settings" in warden.log()


def test_without_a_file_nothing_is_read(new_warden):
    warden = new_warden(drain_ms_max=100).serving()
    warden.process.send_signal(signal.SIGHUP)
    with pytest.raises(TimeoutError):
        warden.router.expect(wardens.REREAD, seconds=0.5)
    assert "--config names it" in warden.log()


def test_the_end_of_its_terminal_ends_it(new_warden, tmp_path):
    """The kernel's SIGHUP is not an operator's: what runs in the foreground goes with its terminal."""
    data = tmp_path / "data"
    script = """
import os, pty, sys, time
pid, master = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
seen = b""
while b"Ready." not in seen:
    seen += os.read(master, 4096)
os.close(master)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    command = [str(binary()), "serve", "--listen", f"127.0.0.1:{wardens.daemon.free_port()}", "--data", str(data)]
    ended = subprocess.run([sys.executable, "-c", script, *command], timeout=40)
    assert ended.returncode == 0


# ---- the whole daemon ----


@pytest.fixture
def daemon_of(tmp_path, aws_of):
    """daemon_of("name = value"…, flags): a daemon with these settings in its file."""
    made = []

    def start(text, *flags, env=None):
        path = tmp_path / "mayfly.ini"
        path.write_text(text)
        one = Daemon("--config", str(path), *flags, env=env).start()
        one.file = path
        made.append(one)
        return one

    yield start
    for one in made:
        assert one.stop() == 0, one.log()
        left = one.leftovers()
        assert not any(left.values()), left
        one.forget()


def reread(daemon, text, eventually, word="settings_read_again"):
    before = daemon.log().count(word)
    daemon.file.write_text(text)
    daemon.process.send_signal(signal.SIGHUP)
    eventually(lambda: daemon.log().count(word) > before)


def settings_of(daemon):
    with urllib.request.urlopen(f"{daemon.endpoint}/_mayfly/status") as answer:
        return json.load(answer)["settings"]


def test_live_settings_change_others_are_named_and_flags_win(daemon_of, eventually):
    one = daemon_of("idle = 60\nqueue = 500\n", "--log-level", "debug", env={"MAYFLY_QUEUE": "700"})
    reread(one, "idle = 7\nqueue = 900\nworkers = 9\nlog-level = error\n[x]\naccount = 000000000001\n", eventually)
    now = settings_of(one)
    assert now["idle"] == "7"
    assert now["queue"] == "700", "a variable wins over the file"
    assert now["log-level"] == "debug", "a flag wins over the file"
    assert now["workers"] == "4" and now["account"] == "000000000000"
    log = one.log()
    assert "setting_changed" in log and "setting=idle" in log
    assert "setting_needs_restart process=router setting=workers" in log
    assert "setting_needs_restart process=router setting=account" in log
    assert "setting=queue" not in log and "setting=log-level" not in log
    reread(one, "", eventually)
    assert settings_of(one)["idle"] == "600", "no line any more: the default"


def test_a_wrong_file_changes_nothing_and_the_log_says_why(daemon_of, eventually):
    one = daemon_of("idle = 60\n")
    reread(one, "idle = 7\nqueue = soon\n", eventually, "settings_kept")
    assert "queue must be a whole number of milliseconds" in one.log() and "line 2" in one.log()
    assert settings_of(one)["idle"] == "60"
    one.file.unlink()
    one.process.send_signal(signal.SIGHUP)
    eventually(lambda: "error=ENOENT" in one.log())
    assert settings_of(one)["idle"] == "60"
    reread(one, "idle = 8\n", eventually)
    assert settings_of(one)["idle"] == "8"


def test_a_router_that_is_started_later_has_the_settings_of_the_last_reading(daemon_of, eventually):
    one = daemon_of("idle = 60\n")
    reread(one, "idle = 7\n", eventually)
    (router,) = [pid for pid, line in descendants(one.process.pid).items() if "mayfly router" in line]
    os.kill(router, signal.SIGKILL)
    eventually(lambda: one.log().count("settings_read_again") == 2)
    assert settings_of(one)["idle"] == "7"


def test_idle_environments_end_after_the_new_time(daemon_of, aws_of, eventually):
    one = daemon_of("idle = 3600\n")
    functions = aws_of(one).functions()
    name = functions.create()["FunctionName"]
    functions.invoke(name, {})
    reread(one, "idle = 1\n", eventually)

    def living():
        with urllib.request.urlopen(f"{one.endpoint}/_mayfly/environments", timeout=10) as answer:
            return json.load(answer)["environments"]

    eventually(lambda: not living())


def test_the_concurrency_of_an_account_changes_where_it_counts(daemon_of, aws_of, eventually):
    one = daemon_of("")
    aws = aws_of(one)
    name = aws.functions().create()["FunctionName"]
    reread(one, "account-concurrency = 101\n", eventually)
    lambda_ = aws.client("lambda")
    lambda_.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    with pytest.raises(lambda_.exceptions.InvalidParameterValueException):
        lambda_.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=2)


def test_keys_and_who_must_sign_change_with_the_next_request(daemon_of, aws_of, eventually):
    one = daemon_of("auth = always\naccess-keys = one:first\n")
    def lists(key, secret):
        client = boto3.client(
            "lambda", endpoint_url=one.endpoint, region_name="us-east-1", aws_access_key_id=key, aws_secret_access_key=secret
        )
        try:
            client.list_functions()
        except client.exceptions.ClientError as error:
            return error.response["Error"]["Code"]
        return None

    assert lists("one", "first") is None
    assert lists("two", "second") is not None
    reread(one, "auth = always\naccess-keys = one:other, two:second\n", eventually)
    assert lists("two", "second") is None
    assert lists("one", "other") is None
    assert lists("one", "first") is not None
    reread(one, "auth = never\n", eventually)
    assert lists("nobody", "nothing") is None
    assert "second" not in one.log(), "a secret does not go to the log"


def test_the_form_and_the_level_of_the_log_change_in_both_processes(daemon_of, eventually):
    one = daemon_of("")
    reread(one, "log-format = json\n", eventually)
    reread(one, "log-format = json\nlog-level = debug\n", eventually)
    lines = [line for line in one.log().splitlines() if '"event":"setting_changed"' in line]
    assert any('"process":"router"' in line for line in lines)
    before = one.log().count('"process":"warden"')
    one.process.send_signal(signal.SIGHUP)
    eventually(lambda: one.log().count('"process":"warden"') > before)


def test_settings_can_be_looked_at_before_they_count(tmp_path):
    path = tmp_path / "mayfly.ini"

    def check():
        return subprocess.run([binary(), "serve", "--config", path, "--check"], capture_output=True, text=True, timeout=20)

    path.write_text("idle = 7\n")
    assert (check().returncode, check().stdout) == (0, "The settings are fine.\n")
    path.write_text("idle = never\n")
    assert check().returncode == 2 and "line 1" in check().stderr
