"""A Python that was forked by its pack's zygote is like one that was executed: what it sees, may do, is limited to."""

import ast
import configparser
import os
import pathlib
import random
import re
import signal
import socket
import sys
import time

import pytest
import warden as wardens
from harness.zips import zip_of
from test_snapshot import TRIES, lines
from warden import EXIT_KILLED, EXIT_OOM, EXIT_SIGNAL, EXIT_STATUS, START_EXEC, START_FORK

HERE = pathlib.Path(__file__).parent
INTERPRETER = os.path.realpath(sys.executable)


def python_pack():
    """The real pack, with the interpreter that runs the tests."""
    folder = wardens.BUILD / "runtimes" / "python"
    manifest = configparser.ConfigParser(interpolation=None)
    manifest.read(folder / "pack.ini")
    words = manifest["pack"]["argv"].replace("{interpreter}", INTERPRETER).replace("{pack}", "/var/runtime").split()
    env = manifest["pack"]["env"].split()
    return wardens.pack("python", words, folder=str(folder), binds=[sys.base_prefix], start=START_FORK, env=env), env


@pytest.fixture(scope="session")
def look_zip(programs):
    return zip_of({"look.py": (HERE / "look.py").read_bytes(), "bootstrap": ((programs / "probe").read_bytes(), 0o755)})


@pytest.fixture
def python(new_warden, look_zip):
    """A warden with the Python pack, warm; run(start, env) gives a sandbox of it."""
    pack, pack_env = python_pack()
    one = new_warden(packs=[pack], drain_ms_max=100).serving()
    assert one.router.unpack(look_zip).answer == wardens.UNPACK_DONE
    one.router.warm(0)
    one.pack_env = dict(word.split("=", 1) for word in pack_env)
    one.digest = wardens.digest_of(look_zip)
    deadline = time.monotonic() + 60
    while start(one, START_FORK, PROBE="exit").start != START_FORK:
        assert time.monotonic() < deadline, one.log()
        one.router.expect(wardens.EXITED)
    one.router.expect(wardens.EXITED)
    return one


def options(warden, how, env):
    base = {"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001", "LAMBDA_TASK_ROOT": "/var/task", "_HANDLER": "look.handler"}
    return {"start": how, "env": {**warden.pack_env, **base, **{k: str(v) for k, v in env.items()}}}


def start(warden, how, **env):
    return warden.router.spawn(warden.digest, **options(warden, how, env))


def ask(warden, how, **env):
    return warden.router.spawn_asked(warden.digest, **options(warden, how, env))


def run(warden, how, **env):
    sandbox = start(warden, how, **env)
    assert sandbox.start == how
    text = sandbox.output().decode()
    return text, sandbox.exited()


STATUS = """Umask State Tgid Ngid Pid PPid TracerPid Uid Gid Groups NStgid NSpid NSpgid NSsid Kthread Threads SigPnd ShdPnd SigBlk
SigIgn SigCgt CapInh CapPrm CapEff CapBnd CapAmb NoNewPrivs Seccomp Seccomp_filters Speculation_Store_Bypass
SpeculationIndirectBranch Cpus_allowed Mems_allowed""".split()


def comparable(text):
    """Without what two processes of the same kind differ in: numbers of mounts, addresses."""
    found = lines(text)
    found["mount"] = [re.sub(r"^\d+ \d+ \d+:\d+ ", "", line) for line in found["mount"]]
    status = dict(line.split(":\t", 1) for line in found["status"])
    found["status"] = {name: status.get(name) for name in STATUS}
    uids = {word for word in status["Uid"].split()}
    (uid,) = uids
    del found["maps"], found["net"], found["unix"]
    # A Python that finds no locale at its start tells its children of the one that it falls back to (PEP 538).
    for kind in ("env", "getenv"):
        found[kind] = [line for line in found[kind] if line != "LC_CTYPE=C.UTF-8"]
    return {key: str(value).replace(uid, "UID").split(", ") for key, value in found.items()}


def test_a_forked_one_is_like_an_executed_one(python):
    executed, first = run(python, START_EXEC, PROBE="look", SECRET="of the first")
    forked, second = run(python, START_FORK, PROBE="look", SECRET="of the first")
    assert (first.kind, first.value) == (second.kind, second.value) == (EXIT_STATUS, 0)
    one, other = comparable(executed), comparable(forked)
    assert set(one) == set(other)
    for key in one:
        assert other[key] == one[key], key


def test_nothing_of_the_zygote_shows(python):
    text, _ = run(python, START_FORK, PROBE="look", SECRET="mine")
    seen = lines(text)
    for kind in ("env", "environ", "getenv"):
        assert "SECRET=mine" in seen[kind]
        assert not [line for line in seen[kind] if line.startswith(("LD_PRELOAD", "MAYFLY_"))], kind
    assert seen["fd"] == ["0 /dev/null", "1 pipe", "2 pipe"]
    assert seen["session"] == ["2 of 2"] and seen["parent"] == ["0"] and seen["dumpable"] == ["1"]
    assert {key: value for key, value in seen.items() if key.startswith("process ")} == {
        "process 1": ["mayfly-init"],
        "process 2": [os.path.basename(INTERPRETER)],
    }
    assert seen["oom"] == ["500"]
    # one sandbox's environment is not the next one's
    text, _ = run(python, START_FORK, PROBE="look")
    assert "SECRET" not in text


def test_what_is_forbidden_is_forbidden_to_a_forked_one(python):
    """What it may do goes on to what it executes: the probe tries all of it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as abstract:
        abstract.bind("\0mayfly-test")
        abstract.listen()
        text, exited = run(python, START_FORK, PROBE="execute", INNER="try", OUTSIDE_PID=os.getpid(), HOST_PORT=python.port)
    found = dict(line.rpartition(": ")[::2] for line in text.splitlines())
    assert found.pop("tmp size") == "67108864 inodes 16384"
    assert set(found) == set(TRIES)
    places = {"see /root", "the way up"} if sys.base_prefix.startswith("/root/") else set()  # where the interpreter is
    expected = {what: {result} if isinstance(result, str) else result for what, result in TRIES.items() if what not in places}
    assert {what: found[what] for what in expected if found[what] not in expected[what]} == {}
    assert (exited.kind, exited.value) == (EXIT_STATUS, 0)


@pytest.mark.parametrize("how", [START_EXEC, START_FORK])
def test_an_end_is_told_as_of_any_other(python, how):
    _, exited = run(python, how, PROBE="exit", ARGUMENT=7)
    assert (exited.kind, exited.value) == (EXIT_STATUS, 7)
    # raise() goes by the thread's number, which the C library remembers
    for way in ("signal", "raise"):
        _, exited = run(python, how, PROBE=way, ARGUMENT=int(signal.SIGTERM))
        assert (exited.kind, exited.value) == (EXIT_SIGNAL, signal.SIGTERM)
    _, exited = run(python, how, PROBE="memory", ARGUMENT=400)
    assert (exited.kind, exited.value) == (EXIT_OOM, signal.SIGKILL)


def test_a_kill_ends_a_forked_one(python):
    sandbox = start(python, START_FORK, PROBE="sleep")
    assert (sandbox.start, sandbox.line()) == (START_FORK, "here")
    sandbox.kill()
    assert sandbox.exited().kind == EXIT_KILLED
    assert python.leaves() == ["router"]


def test_two_of_one_zygote_draw_other_numbers(python):
    first, _ = run(python, START_FORK, PROBE="random")
    second, _ = run(python, START_FORK, PROBE="random")
    for one, other in zip(ast.literal_eval(first.split(": ", 1)[1])[:4], ast.literal_eval(second.split(": ", 1)[1])[:4], strict=True):
        assert one != other


def test_a_forked_one_has_threads_and_children_of_its_own(python):
    text, exited = run(python, START_FORK, PROBE="children")
    assert text == "of a child\nchildren: [[0], 3]\n"
    assert exited.kind == EXIT_STATUS


# ---- deaths ----


def interpreters(warden):
    """The zygotes' processes of packs: those in leaves z1 and on."""
    return [pid for pid in warden.processes() if re.search(r"/z[1-9]\d*$", cgroup_of(pid), re.M)]


def cgroup_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return ""


def test_an_interpreter_zygote_has_the_wardens_view_of_cgroups(python):
    """One of its own would confine its children, where cgroup2 is mounted with nsdelegate."""
    (zygote,) = interpreters(python)
    kinds = ("cgroup", "mnt", "net", "ipc", "uts")
    own = {kind for kind in kinds if os.readlink(f"/proc/{zygote}/ns/{kind}") != os.readlink(f"/proc/{python.process.pid}/ns/{kind}")}
    assert own == {"mnt", "net", "ipc", "uts"}


@pytest.mark.seconds(120)
def test_a_killed_interpreter_zygote_takes_nobody_with_it_and_comes_back(python, eventually):
    living = [start(python, START_FORK, PROBE="sleep") for _ in range(3)]
    assert [sandbox.line() for sandbox in living] == ["here"] * 3
    (zygote,) = interpreters(python)
    os.kill(zygote, signal.SIGKILL)
    # at once, the zygote dying or dead: it is started all the same, in whatever way
    for _ in range(5):
        sandbox = start(python, START_FORK, PROBE="exit", ARGUMENT=5)
        assert sandbox.exited().value == 5
    for sandbox in living:
        sandbox.kill()
        assert sandbox.exited().kind == EXIT_KILLED
    eventually(lambda: [pid for pid in interpreters(python) if pid != zygote], seconds=60)

    def forks_again():
        sandbox = start(python, START_FORK, PROBE="exit", ARGUMENT=6)
        assert sandbox.exited().value == 6
        return sandbox.start == START_FORK

    eventually(forks_again, seconds=60)
    assert python.leaves() == ["router"]


@pytest.mark.seconds(180)
def test_interpreter_zygotes_killed_while_they_fork_lose_no_ask(python):
    source = random.Random(11)
    for _ in range(12):
        asked = [ask(python, START_FORK, PROBE="exit", ARGUMENT=4) for _ in range(6)]
        time.sleep(source.random() * 0.03)
        for pid in interpreters(python):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        for ticket, log in asked:
            _, fds = python.router.expect(wardens.SPAWNED, ticket)
            exited, _ = python.router.expect(wardens.EXITED, ticket)
            assert (exited.kind, exited.value) == (EXIT_STATUS, 4)
            for fd in (*fds, log):
                os.close(fd)
    assert python.leaves() == ["router"]
