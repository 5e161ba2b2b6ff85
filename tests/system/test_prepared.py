"""Sandboxes that are made ahead, the zygotes that fork into them, and code that comes later: also when they are killed."""

import ctypes
import errno
import os
import pathlib
import random
import signal
import time

import pytest
import warden as wardens
from harness.zips import zip_of
from warden import EXIT_KILLED, EXIT_SIGNAL, EXIT_STATUS, EXITED, GRAFTED, SPAWNED, UNPACK_DONE

MB = 1 << 20


def kill9(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def zygote_of(warden):
    """The process of the zygote that execs, or None."""
    return warden.in_leaf("z0").get("mayfly-zygote")


def spares(warden):
    """Processes 1 of sandboxes that nobody has asked for."""
    return {name: warden.in_leaf(name).get("mayfly-init") for name in leaves_of(warden) if name[0] == "s" and warden.is_spare(name)}


def leaves_of(warden):
    """Those in which something lives."""
    return {leaf.name for base in warden.cgroups() for leaf in base.iterdir() if leaf.is_dir() and not warden.is_empty(leaf.name)}


def expect_exit(warden, asked, status):
    """All that were asked for start and end with this status."""
    for ticket, log in asked:
        _, fds = warden.router.expect(SPAWNED, ticket)
        exited, _ = warden.router.expect(EXITED, ticket)
        assert (exited.kind, exited.value) == (EXIT_STATUS, status)
        for fd in (*fds, log):
            os.close(fd)


# ---- prepared ----


def test_as_many_as_asked_for_are_prepared_and_again_when_used(new_warden, probe_zip, code, eventually):
    warden = new_warden(prepared=3, drain_ms_max=100).serving()
    warden.router.unpack(probe_zip)
    eventually(lambda: len(spares(warden)) == 3)
    before = spares(warden)
    living = [warden.router.spawn(code, env={"PROBE": "sleep"}) for _ in range(3)]
    assert f"s{living[0].handle.slot}" in before, "it was not taken from those that were ready"
    eventually(lambda: len(spares(warden)) == 3)
    assert not set(spares(warden)) & {f"s{sandbox.handle.slot}" for sandbox in living}
    for sandbox in living:
        sandbox.kill()
        sandbox.exited()


def test_a_killed_process_1_of_a_prepared_one_is_replaced(warden, code, eventually):
    for _ in range(4):
        (name, pid), *_ = spares(warden).items() or eventually(lambda: spares(warden)).items()
        kill9(pid)
        eventually(lambda gone=pid: gone not in spares(warden).values() and len(spares(warden)) == 2)
        assert warden.router.spawn(code, env={"PROBE": "exit", "ARGUMENT": 3}).exited().value == 3
    assert warden.leaves() == ["router"]


@pytest.mark.seconds(120)
def test_processes_1_killed_at_any_moment_lose_no_ask(new_warden, probe_zip, code):
    warden = new_warden(sandboxes_max=32, prepared=4, drain_ms_max=100).serving()
    warden.router.unpack(probe_zip)
    source = random.Random(5)
    for _ in range(30):
        asked = [warden.router.spawn_asked(code, env={"PROBE": "exit", "ARGUMENT": 9}) for _ in range(4)]
        time.sleep(source.random() * 0.006)
        inits = warden.named("mayfly-init")
        if inits:
            kill9(source.choice(inits))
        for ticket, log in asked:
            _, fds = warden.router.expect(SPAWNED, ticket)
            exited, _ = warden.router.expect(EXITED, ticket)
            assert (exited.kind, exited.value) in ((EXIT_STATUS, 9), (EXIT_SIGNAL, signal.SIGKILL))
            for fd in (*fds, log):
                os.close(fd)
    assert warden.leaves() == ["router"]


def test_a_drain_prepares_no_more(new_warden, eventually):
    warden = new_warden(prepared=2, drain_ms_max=20000).serving()
    eventually(lambda: len(spares(warden)) == 2)
    warden.process.send_signal(signal.SIGTERM)
    warden.router.expect(wardens.DRAIN)
    for pid in spares(warden).values():
        kill9(pid)
    eventually(lambda: not [name for name in leaves_of(warden) if name[0] == "s"])
    time.sleep(0.1)
    assert not [name for name in leaves_of(warden) if name[0] == "s"]
    warden.router.say(wardens.Head(op=wardens.DRAINED))
    assert warden.process.wait(10) == 0


# ---- the zygote that execs ----


def test_a_killed_zygote_takes_nobody_with_it_and_comes_back(warden, code, eventually):
    living = [warden.router.spawn(code, env={"PROBE": "sleep"}) for _ in range(3)]
    assert [sandbox.line() for sandbox in living] == ["here"] * 3
    for _ in range(3):
        first = eventually(lambda: zygote_of(warden))
        kill9(first)
        sandbox = warden.router.spawn(code, env={"PROBE": "exit", "ARGUMENT": 4})  # at once: it waits for the next
        assert sandbox.exited().value == 4
        assert eventually(lambda: zygote_of(warden)) != first
    for sandbox in living:
        sandbox.kill()
        assert sandbox.exited().kind == EXIT_KILLED
    assert warden.leaves() == ["router"]


@pytest.mark.seconds(120)
def test_zygotes_killed_while_they_fork_lose_no_ask(new_warden, probe_zip, code):
    warden = new_warden(sandboxes_max=32, drain_ms_max=100).serving()
    warden.router.unpack(probe_zip)
    source = random.Random(3)
    for _ in range(25):
        asked = [warden.router.spawn_asked(code, env={"PROBE": "exit", "ARGUMENT": 8}) for _ in range(8)]
        time.sleep(source.random() * 0.01)
        pid = zygote_of(warden)
        if pid:
            kill9(pid)
        expect_exit(warden, asked, 8)
    assert warden.leaves() == ["router"]


PTRACE_CONT, PTRACE_DETACH, PTRACE_SEIZE = 7, 17, 0x4206
PTRACE_O_TRACE_ANY_CLONE = 0x2 | 0x4 | 0x8
WALL = 0x40000000


def ptrace(request, pid, data=0):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    if libc.ptrace(request, pid, None, data) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def test_a_zygote_killed_between_fork_and_answer_leaves_an_orphan_that_is_found(warden, code, eventually):
    zygote = eventually(lambda: zygote_of(warden))
    ptrace(PTRACE_SEIZE, zygote, PTRACE_O_TRACE_ANY_CLONE)
    asked = warden.router.spawn_asked(code, env={"PROBE": "exit", "ARGUMENT": 6})
    pid, status = os.waitpid(zygote, WALL)
    assert os.WIFSTOPPED(status) and status >> 16, "it stands right behind its fork"
    kill9(zygote)
    os.waitpid(zygote, WALL)  # who traces it is told first
    # the child was caught too: let it go on, nobody has heard of it
    for child in map(int, child_pids(warden)):
        try:
            stopped, _ = os.waitpid(child, WALL)
            ptrace(PTRACE_DETACH, stopped)
        except (ChildProcessError, ProcessLookupError):
            continue
    expect_exit(warden, [asked], 6)
    eventually(lambda: "orphan_collected" in warden.log())
    assert warden.leaves() == ["router"]


def child_pids(warden):
    return pathlib.Path(f"/proc/{warden.process.pid}/task/{warden.process.pid}/children").read_text().split()


# ---- a network that was used before ----


def test_nothing_of_the_former_is_in_a_network_that_is_used_again(new_warden, probe_zip, code):
    warden = new_warden(sandboxes_max=1, prepared=0, drain_ms_max=100).serving()
    warden.router.unpack(probe_zip)
    first = warden.router.spawn(code, env={"PROBE": "leave"})
    tried = dict(line.rpartition(": ")[::2] for line in first.output().decode().splitlines())
    assert set(tried.values()) == {"DONE"}, tried
    first.router.expect(EXITED, first.ticket)  # its listeners stay open with us: a router that is slow
    second = warden.router.spawn(code, env={"PROBE": "find"})
    # the former's listener gives nothing any more, the new one's only what the new function connects
    first.runtime_api.settimeout(5)
    with pytest.raises(OSError) as caught:
        first.runtime_api.accept()
    assert caught.value.errno == errno.EINVAL
    second.runtime_api.settimeout(10)
    connection, _ = second.runtime_api.accept()
    connection.sendall(b"welcome")
    connection.close()
    text = second.output().decode().splitlines()
    second.exited()
    first.close()
    rows = {key: [line for line in text if line.startswith(key + ": ")][1:] for key in ("tcp", "udp", "unix", "shm", "sem", "msg")}
    assert sorted(row.split()[2:5] for row in rows.pop("tcp")) == [
        ["0100007F:11D6", "00000000:0000", "0A"],  # the AWS endpoint's and the Runtime API's listeners
        ["0100007F:2329", "00000000:0000", "0A"],
    ]
    assert rows == {"udp": [], "unix": [], "shm": [], "sem": [], "msg": []}
    rest = [line for line in text if line.split(": ")[0] not in ("tcp", "udp", "unix", "shm", "sem", "msg")]
    assert rest == [
        "connect: ECONNREFUSED",
        "abstract socket: ECONNREFUSED",
        "shared memory: ENOENT",
        "listen where a connection was: DONE",
        "listen where somebody listened: DONE",
        "9001 says welcome",
    ]


def test_a_network_is_used_again_and_again(new_warden, probe_zip, code):
    warden = new_warden(sandboxes_max=1, prepared=0, drain_ms_max=100).serving()
    warden.router.unpack(probe_zip)
    seen = set()
    for _ in range(4):
        sandbox = warden.router.spawn(code, env={"PROBE": "sleep"})
        assert sandbox.line() == "here"
        (pid,) = warden.named("bootstrap")
        seen.add(os.readlink(f"/proc/{pid}/ns/net"))
        sandbox.kill()
        sandbox.exited()
    assert len(seen) == 1


# ---- code that comes later ----

WAITS = """echo here; while ! cat /var/task/handler 2>/dev/null; do sleep 0.02; done
ls /opt; stat -f -c '%b %S %c' /tmp; echo x > /var/task/x; while :; do sleep 1; done"""


@pytest.fixture
def stem(new_warden):
    """A warden with a pack that waits for its function, and the digests of a function and a layer."""
    pack = wardens.pack("shell", ["/bin/sh", "-c", WAITS])
    one = new_warden(packs=[pack], drain_ms_max=100).serving()
    one.digests = []
    for content in (zip_of({"handler": b"I am the handler\n"}), zip_of({"of a layer": b""})):
        assert one.router.unpack(content).answer == UNPACK_DONE
        one.digests.append(wardens.digest_of(content))
    return one


def limit_of(warden, slot):
    for base in warden.cgroups():
        for name in ("memory.max", "memory.limit_in_bytes"):
            if (base / f"s{slot}" / name).exists():
                return int((base / f"s{slot}" / name).read_text())
    return None


def test_code_comes_to_a_process_that_runs(stem):
    code, layer = stem.digests
    sandbox = stem.router.spawn(None, memory_mb=64, extra_mb=0)
    assert sandbox.line() == "here"
    assert limit_of(stem, sandbox.handle.slot) == 64 * MB
    assert sandbox.graft(code, layers=[layer], memory_mb=300, extra_mb=20, tmp_mb=96) == 0
    assert [sandbox.line() for _ in range(2)] == ["I am the handler", "of a layer"]
    blocks, size, files = map(int, sandbox.line().split())
    assert (blocks * size, files) == (96 * MB, 96 * 256)
    assert "Read-only file system" in sandbox.line()
    assert limit_of(stem, sandbox.handle.slot) == 320 * MB
    sandbox.kill()
    assert sandbox.exited().kind == EXIT_KILLED
    assert stem.leaves() == ["router"]


def test_code_in_a_graft_is_in_use(stem):
    sandbox = stem.router.spawn(None)
    assert sandbox.graft(stem.digests[0]) == 0
    stem.router.forget(stem.digests[0])
    with pytest.raises(EOFError):
        while True:
            stem.router.receive()
    assert "in use" in stem.log()
    stem.next_router()


def test_a_second_graft_condemns(stem):
    sandbox = stem.router.spawn(None)
    assert sandbox.graft(stem.digests[0]) == 0
    stem.router.graft_asked(sandbox.handle, stem.digests[0])
    with pytest.raises(EOFError):
        stem.router.receive()
    assert "a second function in one sandbox" in stem.log()
    stem.next_router()


def test_a_graft_to_one_with_code_condemns(warden, code):
    sandbox = warden.router.spawn(code, env={"PROBE": "sleep"})
    warden.router.graft_asked(sandbox.handle, code)
    with pytest.raises(EOFError):
        warden.router.receive()
    assert "a second function in one sandbox" in warden.log()
    warden.next_router()


@pytest.mark.parametrize("what", ["code", "layer"])
def test_a_graft_of_what_is_not_there_ends_the_sandbox(stem, what):
    sandbox = stem.router.spawn(None)
    assert sandbox.line() == "here"
    unknown = b"\x42" * 32
    error = sandbox.graft(unknown) if what == "code" else sandbox.graft(stem.digests[0], layers=[unknown])
    assert error == errno.ENOENT
    exited = sandbox.exited()
    assert (exited.kind, exited.value) == (EXIT_SIGNAL, signal.SIGKILL)
    assert stem.leaves() == ["router"]


def test_a_graft_for_one_that_has_ended_is_not_answered(stem):
    sandbox = stem.router.spawn(None)
    sandbox.kill()
    stem.router.graft_asked(sandbox.handle, stem.digests[0])
    assert sandbox.exited().kind == EXIT_KILLED
    with pytest.raises(TimeoutError):
        stem.router.expect(GRAFTED, seconds=0.3)


@pytest.mark.seconds(120)
def test_grafts_survive_or_end_their_sandbox_when_the_zygote_is_killed(stem):
    source = random.Random(2)
    grafted = 0
    for _ in range(20):
        sandbox = stem.router.spawn(None)
        ticket = stem.router.graft_asked(sandbox.handle, stem.digests[0])
        time.sleep(source.random() * 0.004)
        pid = zygote_of(stem)
        if pid:
            kill9(pid)
        frame, _ = stem.router.expect(GRAFTED, ticket)
        if frame.error == 0:
            grafted += 1
            assert [sandbox.line() for _ in range(2)] == ["here", "I am the handler"]
            sandbox.kill()
        sandbox.exited()
    assert grafted
    assert stem.leaves() == ["router"]


def test_a_mounter_killed_half_way_is_told_and_ends_the_sandbox(stem, eventually):
    sandbox = stem.router.spawn(None)
    assert sandbox.line() == "here"
    zygote = eventually(lambda: zygote_of(stem))
    os.kill(zygote, signal.SIGSTOP)
    eventually(lambda: pathlib.Path(f"/proc/{zygote}/stat").read_text().rpartition(") ")[2][0] == "T")
    ticket = stem.router.graft_asked(sandbox.handle, stem.digests[0])
    assert stem.router.unpack(zip_of({"later.txt": b"1"})).answer == UNPACK_DONE  # so the warden has passed the question on
    kill9(zygote)  # with the question unread
    frame, _ = stem.router.expect(GRAFTED, ticket)
    assert frame.error == errno.ECHILD
    assert sandbox.exited().kind == EXIT_SIGNAL
