"""kill -9 of anything, at any moment: nothing is left behind, and what lives goes on."""

import contextlib
import os
import random
import select
import signal
import time

import pytest
import warden as wardens
from harness.zips import zip_of
from warden import EXIT_KILLED, EXIT_SIGNAL, EXITED, UNPACK_DONE, UNPACKED

pytestmark = pytest.mark.alone


def kill9(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def nothing_is_left(warden):
    left = warden.leftovers()
    assert not any(left.values()), f"left behind: {left}\n{warden.log()[-2000:]}"


def kill_warden(warden):
    warden.process.kill()
    assert warden.process.wait(10) == -signal.SIGKILL


# ---- the warden ----


def test_a_warden_killed_idle(new_warden, probe_zip, code):
    warden = new_warden().serving()
    warden.router.unpack(probe_zip)
    for _ in range(5):
        warden.router.spawn(code, env={"PROBE": "sleeper"})
        warden.router.spawn(code, env={"PROBE": "sleep"})
    kill_warden(warden)
    nothing_is_left(warden)
    # the same directory again: it is all as before
    warden.router.close()
    warden.serving()
    sandbox = warden.router.spawn(code, env={"PROBE": "exit", "ARGUMENT": 3})
    assert sandbox.exited().value == 3


@pytest.mark.parametrize("ms", [0, 1, 2, 5, 10, 20, 40, 80])
def test_a_warden_killed_at_boot(new_warden, ms):
    warden = new_warden().start()
    time.sleep(ms / 1000)
    kill_warden(warden)
    nothing_is_left(warden)
    warden.listener.setblocking(False)
    try:
        warden.listener.accept()[0].close()  # the router of the first one, if it came so far
    except BlockingIOError:
        pass
    warden.listener.setblocking(True)
    warden.serving()


@pytest.mark.seconds(120)
def test_a_warden_killed_while_it_spawns_and_unpacks(new_warden, probe_zip, code):
    warden = new_warden(sandboxes_max=64)
    for round_ in range(12):
        warden.serving()
        warden.router.unpack(probe_zip)
        for i in range(20):
            warden.router.spawn_asked(code, env={"PROBE": "sleeper"})
            warden.router.unpack_asked(zip_of({str(i): os.urandom(100000), str(round_): b""}))
        time.sleep(random.random() * 0.05)
        kill_warden(warden)
        nothing_is_left(warden)
        warden.router.close()
        warden.process.stdout.close()


def test_a_new_warden_right_after_a_kill_waits_for_the_janitor(new_warden, probe_zip, code):
    warden = new_warden().serving()
    warden.router.unpack(probe_zip)
    for _ in range(5):
        assert warden.router.spawn(code, env={"PROBE": "sleep"}).line() == "here"
    kill_warden(warden)
    warden.router.close()
    warden.serving()  # at once, the janitor may still be at work
    sandbox = warden.router.spawn(code, env={"PROBE": "sleep"})
    assert sandbox.line() == "here"
    time.sleep(0.3)
    assert warden.inits(), "the old janitor killed what is the new warden's"


def test_warden_and_janitor_killed_together_are_swept_at_the_next_start(new_warden, probe_zip, code):
    warden = new_warden().serving()
    warden.router.unpack(probe_zip)
    for _ in range(3):
        warden.router.spawn(code, env={"PROBE": "sleeper"})
    (janitor,) = warden.named("mayfly-janitor")
    os.kill(warden.process.pid, signal.SIGSTOP)  # so that it cannot start another
    kill9(janitor)
    kill_warden(warden)
    warden.collect_orphans()
    assert warden.cgroups(), "nobody was there to remove them"
    warden.router.close()
    warden.serving()
    assert warden.leaves() == ["router"]
    warden.stop()
    nothing_is_left(warden)


# ---- the janitor ----


def test_a_killed_janitor_is_replaced(new_warden, probe_zip, code):
    warden = new_warden().serving()
    warden.router.unpack(probe_zip)
    (first,) = warden.named("mayfly-janitor")
    kill9(first)
    deadline = time.monotonic() + 10
    while warden.named("mayfly-janitor") in ([], [first]):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    warden.router.spawn(code, env={"PROBE": "sleeper"})
    kill_warden(warden)
    nothing_is_left(warden)


def test_a_janitor_does_not_care_for_politeness(new_warden):
    warden = new_warden().serving()
    (janitor,) = warden.named("mayfly-janitor")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(janitor, number)
    time.sleep(0.1)
    assert warden.named("mayfly-janitor") == [janitor]
    # it holds nothing that the next warden needs
    fds = {os.readlink(f"/proc/{janitor}/fd/{fd}") for fd in os.listdir(f"/proc/{janitor}/fd")}
    assert not any("socket:" in target for target in fds), fds


# ---- the router ----


def test_a_killed_router_takes_its_sandboxes_and_is_started_again(new_warden, probe_zip, code):
    warden = new_warden().serving()
    warden.router.unpack(probe_zip)
    for _ in range(5):
        warden.router.spawn(code, env={"PROBE": "sleeper"})
    first = warden.router
    kill9(first.pid)
    second = warden.next_router()
    assert second.pid != first.pid
    assert warden.process.poll() is None
    deadline = time.monotonic() + 10
    while warden.leaves() != ["router"]:
        assert time.monotonic() < deadline, warden.leaves()
        time.sleep(0.01)
    assert warden.inits() == {} and warden.named("bootstrap") == []
    second.ready()
    assert second.spawn(code, env={"PROBE": "exit"}).exited().kind == 0
    with pytest.raises(TimeoutError):  # Ready is printed once
        warden.line(seconds=0.2)


def test_connections_wait_while_the_router_is_dead(new_warden):
    import socket

    warden = new_warden().serving()
    kill9(warden.router.pid)
    with socket.create_connection(("127.0.0.1", warden.port), timeout=5):
        pass  # not refused
    warden.next_router()
    with socket.create_connection(("127.0.0.1", warden.port), timeout=5):
        pass


@pytest.mark.parametrize("ms", [0, 1, 3, 10, 30])
def test_a_router_killed_while_spawns_are_on_their_way(new_warden, probe_zip, code, ms):
    warden = new_warden(sandboxes_max=64).serving()
    warden.router.unpack(probe_zip)
    for i in range(30):
        warden.router.spawn_asked(code, env={"PROBE": "sleeper"})
        warden.router.unpack_asked(zip_of({str(i): os.urandom(50000)}))
    time.sleep(ms / 1000)
    kill9(warden.router.pid)
    second = warden.next_router()
    second.ready()
    deadline = time.monotonic() + 10
    while warden.leaves() != ["router"] or os.listdir(warden.data / "code" / "tmp"):
        assert time.monotonic() < deadline, (warden.leaves(), os.listdir(warden.data / "code" / "tmp"))
        time.sleep(0.01)
    # all slots are free again, and nothing of the first router's is told to the second
    sandboxes = [second.spawn(code, env={"PROBE": "sleep"}) for _ in range(20)]
    for sandbox in sandboxes:
        sandbox.kill()
        assert sandbox.exited().kind == EXIT_KILLED
    assert not second.waiting


def test_a_router_that_hangs_up_is_replaced(new_warden):
    warden = new_warden().serving()
    warden.router.close()  # fake_router ends with status 0 then
    warden.next_router().ready()


# ---- a sandbox ----


def test_a_runtime_killed_from_outside(warden, code):
    sandbox = warden.router.spawn(code, env={"PROBE": "sleep"})
    assert sandbox.line() == "here"
    (pid,) = warden.named("bootstrap")
    kill9(pid)
    exited = sandbox.exited()
    assert (exited.kind, exited.value) == (EXIT_SIGNAL, signal.SIGKILL)
    assert warden.leaves() == ["router"]


def test_an_init_killed_from_outside(warden, code):
    sandbox = warden.router.spawn(code, env={"PROBE": "sleep"})
    assert sandbox.line() == "here"
    kill9(warden.inits()[sandbox.handle.slot])
    exited = sandbox.exited()
    assert (exited.kind, exited.value) == (EXIT_SIGNAL, signal.SIGKILL)
    assert warden.named("bootstrap") == []
    assert warden.leaves() == ["router"]


def receive_end(warden, ticket):
    """The outcome of a spawn that was asked for: None when it lives (it is killed then), or its EXITED."""
    frame, fds = warden.router.receive()
    assert frame.head.ticket == ticket
    if isinstance(frame, wardens.ExitedFrame):
        return frame
    for fd in fds:
        os.close(fd)
    warden.router.ask(wardens.KILL, frame.handle)
    warden.router.expect(EXITED, ticket)
    return None


@contextlib.contextmanager
def quick():
    """Who lies in wait has the processor before what it waits for, however busy the machine is."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, 0, -20)
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, before)


def test_a_jail_killed_half_way_is_begun_again(new_warden, probe_zip, code):
    """Who is killed between clone and the end of its jail did nothing yet: the next one does it."""
    warden = new_warden(sandboxes_max=8, prepared=0, drain_ms_max=100).serving()
    warden.router.unpack(probe_zip)
    killed = 0
    for _ in range(60):
        ticket, log = warden.router.spawn_asked(code, env={"PROBE": "sleep"})
        deadline = time.monotonic() + 0.05
        with quick():
            while time.monotonic() < deadline:
                jails = warden_children(warden, "mayfly-jail")
                if jails:
                    kill9(jails[0])
                    killed += 1
                    break
        assert receive_end(warden, ticket) is None
        os.close(log)
    assert killed, "the moment was never hit"
    assert warden.leaves() == ["router"]


def test_a_jail_killed_half_way_again_and_again_is_told_as_never_started(new_warden, probe_zip, code):
    warden = new_warden(sandboxes_max=8, prepared=0, drain_ms_max=100).serving()
    warden.router.unpack(probe_zip)
    never_started = 0
    for _ in range(20):
        ticket, log = warden.router.spawn_asked(code, env={"PROBE": "sleep"})
        with quick():
            while not select.select([warden.router.socket], [], [], 0)[0]:
                for pid in warden_children(warden, "mayfly-jail"):
                    kill9(pid)
        exited = receive_end(warden, ticket)
        os.close(log)
        if exited:
            assert (exited.kind, exited.step.decode()) == (wardens.EXIT_NO_START, "boot")
            never_started += 1
    assert never_started, "one of four times it was too quick, each time"
    assert warden.leaves() == ["router"]


def warden_children(warden, name):
    try:
        pids = open(f"/proc/{warden.process.pid}/task/{warden.process.pid}/children").read().split()
    except OSError:
        return []
    found = []
    for pid in pids:
        try:
            if open(f"/proc/{pid}/comm").read().strip() == name:
                found.append(int(pid))
        except OSError:
            continue
    return found


# ---- an unpacker ----


@pytest.mark.parametrize("victim", ["mayfly-keeper", "mayfly-unpack"])
def test_a_killed_unpacker_is_a_fault_and_leaves_nothing(warden, victim, eventually):
    slow = zip_of({f"{victim} {i}": b"\0" * (48 << 20) for i in range(4)})
    ticket = warden.router.unpack_asked(slow)
    pid = eventually(lambda: warden.job_processes().get(victim), pause=0)
    kill9(pid)
    unpacked, _ = warden.router.expect(UNPACKED, ticket)
    assert unpacked.answer == wardens.UNPACK_FAULT and unpacked.error
    eventually(lambda: os.listdir(warden.data / "code" / "tmp") == [])
    assert not (warden.data / "code" / wardens.digest_of(slow).hex()).exists()
    assert warden.router.unpack(slow).answer == UNPACK_DONE  # it can be had after all


def test_half_unpacked_code_is_never_seen(new_warden):
    """Killed again and again: a digest is there wholly or not at all."""
    files = {f"{i}": b"%d" % i * 1000 for i in range(300)}
    content = zip_of(files)
    warden = new_warden()
    for round_ in range(8):
        warden.serving()
        warden.router.unpack_asked(content)
        time.sleep(round_ * 0.01)
        kill_warden(warden)
        nothing_is_left(warden)
        place = warden.data / "code" / wardens.digest_of(content).hex()
        if place.exists():
            assert {p.name: p.read_bytes() for p in place.iterdir()} == files
        warden.router.close()
        warden.process.stdout.close()
    warden.serving()
    assert warden.router.unpack(content).answer == UNPACK_DONE


# ---- all of it, for a while ----


@pytest.mark.seconds(300)  # a router that is killed again and again comes back after five seconds each
def test_random_deaths_leave_a_warden_that_works(new_warden, probe_zip, code):
    warden = new_warden(sandboxes_max=32).serving()
    warden.router.unpack(probe_zip)
    source = random.Random(7)
    for _ in range(40):
        try:
            warden.router.spawn_asked(code, env={"PROBE": source.choice(["sleep", "sleeper", "exit", "orphans"])})
            if source.random() < 0.3:
                warden.router.unpack_asked(zip_of({"x": source.randbytes(10000)}))
        except OSError:
            pass
        if source.random() < 0.5:
            everybody = [pid for pid in warden.processes() if pid != warden.process.pid]
            if everybody:
                kill9(source.choice(everybody))
        if warden.router.pid not in warden.processes():
            warden.router.close()
            warden.next_router(seconds=30).ready()
        time.sleep(source.random() * 0.02)
    assert warden.process.poll() is None
    for pid in warden.named("fake_router"):
        kill9(pid)
    warden.next_router(seconds=30).ready()
    assert warden.router.spawn(code, env={"PROBE": "exit", "ARGUMENT": 9}).exited().value == 9
