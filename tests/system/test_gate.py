"""What may be asked of root: everything else condemns the router, and nothing is answered."""

import ctypes
import os
import socket
import tempfile
import time

import pytest
import warden as wardens
from warden import Digest, ForgetFrame, GraftFrame, Handle, Head, SandboxFrame, SpawnFrame, UnpackFrame, WarmFrame, function_of


@pytest.fixture
def pipes():
    """Descriptors of every kind: pipes["writing"]…; closed afterwards."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    file = tempfile.TemporaryFile()
    fds = {
        "reading": reading,
        "writing": writing,
        "sealed": wardens.sealed(b"A=1\0"),
        "unsealed": os.memfd_create("x"),
        "half sealed": wardens.sealed(b"A=1\0", seals=0x4),
        "too large": wardens.sealed(b"A" * 16385),
        "file": os.dup(file.fileno()),
        "write-only file": os.open(f"/proc/self/fd/{file.fileno()}", os.O_WRONLY),
        "folder": os.open("/", os.O_RDONLY),
        "path": os.open("/etc/passwd", os.O_PATH),
        "socket": socket.socket().detach(),
    }
    yield fds
    for fd in fds.values():
        os.close(fd)
    file.close()


def spawn(code=b"\0" * 32, pack=0, network=0, start=0, reserved=0, **function):
    choices = {"pack": pack, "network": network, "start": start, "reserved": reserved}
    return SpawnFrame(head=Head(op=wardens.SPAWN, ticket=1), function=function_of(code, **function), **choices)


def graft(slot, generation, code=b"\0" * 32, **function):
    return GraftFrame(head=Head(op=wardens.GRAFT, ticket=1), handle=Handle(slot, generation), function=function_of(code, **function))


def warm(pack, reserved=0):
    return WarmFrame(head=Head(op=wardens.WARM), pack=pack, reserved=reserved)


def unpack(**choices):
    return UnpackFrame(head=Head(op=wardens.UNPACK, ticket=1), **{"bytes_max": 1000, "entries_max": 10, **choices})


def sandbox(op, slot, generation):
    return SandboxFrame(head=Head(op=op), handle=Handle(slot, generation))


IMPOSSIBLE = {
    # what is sent, with which descriptors, and what the log says of it
    "no head": (b"\1\0\0\0", [], "a frame without a head"),
    "op 0": (Head(op=0), [], "unknown request"),
    "an event": (SandboxFrame(head=Head(op=wardens.SPAWNED)), [], "unknown request"),
    "a drain": (Head(op=wardens.DRAIN), [], "unknown request"),
    "the op after the last": (Head(op=wardens.FRAME_OPS), [], "unknown request"),
    "a graft's answer": (Head(op=wardens.GRAFTED), [], "unknown request"),
    "op 4 billion": (Head(op=2**32 - 1), [], "unknown request"),
    "a short spawn": (bytes(spawn())[:-1], ["sealed", "writing"], "malformed request"),
    "a long spawn": (bytes(spawn()) + b"\0", ["sealed", "writing"], "too long"),
    "a very long frame": (b"\4" + b"\0" * 4000, [], "too long"),
    "a kill as long as a spawn": (bytes(sandbox(wardens.KILL, 0, 1)).ljust(200, b"\0"), [], "malformed request"),
    "reserved in the head": (Head(op=wardens.READY, reserved=1), [], "malformed request"),
    "a spawn without descriptors": (spawn(), [], "wrong number of descriptors"),
    "a spawn with one": (spawn(), ["sealed"], "wrong number of descriptors"),
    "a spawn with three": (spawn(), ["sealed", "writing", "file"], "wrong number of descriptors"),
    "a spawn with four": (spawn(), ["sealed", "writing", "file", "file"], "too many descriptors"),
    "a spawn with eight": (spawn(), ["sealed"] * 8, "too many descriptors"),
    "a kill with one": (sandbox(wardens.KILL, 0, 1), ["file"], "wrong number of descriptors"),
    "an unpack without": (unpack(), [], "wrong number of descriptors"),
    "ready again": (Head(op=wardens.READY), [], "request out of season"),
    "drained before": (Head(op=wardens.DRAINED), [], "request out of season"),
    "an unknown pack": (spawn(pack=1), ["sealed", "writing"], "impossible choices"),
    "six layers": (spawn(layer_count=6), ["sealed", "writing"], "impossible choices"),
    "an unknown network": (spawn(network=2), ["sealed", "writing"], "impossible choices"),
    "strictness 2": (spawn(cpu_strict=2), ["sealed", "writing"], "impossible choices"),
    "reserved in a spawn": (spawn(reserved=1), ["sealed", "writing"], "impossible choices"),
    "no memory": (spawn(memory_mb=0), ["sealed", "writing"], "impossible sizes"),
    "all memory": (spawn(memory_mb=2**32 - 1), ["sealed", "writing"], "impossible sizes"),
    "no tmp": (spawn(tmp_mb=0), ["sealed", "writing"], "impossible sizes"),
    "all extra": (spawn(extra_mb=2**32 - 1), ["sealed", "writing"], "impossible sizes"),
    "an unsealed environment": (spawn(), ["unsealed", "writing"], "no sealed block"),
    "a half sealed environment": (spawn(), ["half sealed", "writing"], "no sealed block"),
    "a file as environment": (spawn(), ["file", "writing"], "no sealed block"),
    "too large an environment": (spawn(), ["too large", "writing"], "no sealed block"),
    "a log to read": (spawn(), ["sealed", "reading"], "no pipe to write"),
    "a file as log": (spawn(), ["sealed", "file"], "no pipe to write"),
    "a folder as log": (spawn(), ["sealed", "folder"], "no pipe to write"),
    "a socket as log": (spawn(), ["sealed", "socket"], "no pipe to write"),
    "a ZIP that is a pipe": (unpack(), ["reading"], "no file to read"),
    "a ZIP that is a folder": (unpack(), ["folder"], "no file to read"),
    "a ZIP that is a path": (unpack(), ["path"], "no file to read"),
    "a ZIP to write": (unpack(), ["write-only file"], "no file to read"),
    "reserved in an unpack": (unpack(reserved=1), ["file"], "impossible limits"),
    "all entries": (unpack(entries_max=2**32 - 1), ["file"], "impossible limits"),
    "all bytes": (unpack(bytes_max=2**64 - 1), ["file"], "impossible limits"),
    "a slot that is not": (sandbox(wardens.KILL, 16, 1), [], "a slot that does not exist"),
    "slot 4 billion": (sandbox(wardens.FREEZE, 2**32 - 1, 1), [], "a slot that does not exist"),
    "generation 0": (sandbox(wardens.KILL, 0, 0), [], "never was"),
    "a generation to come": (sandbox(wardens.THAW, 1, 1000), [], "never was"),
    "a way to start that is none": (spawn(start=99), ["sealed", "writing"], "impossible choices"),
    "half a code": (spawn(has_code=2), ["sealed", "writing"], "impossible choices"),
    "to warm an unknown pack": (warm(1), [], "a pack that does not exist"),
    "reserved in a warm": (warm(0, reserved=1), [], "a pack that does not exist"),
    "a warm with a descriptor": (warm(0), ["file"], "wrong number of descriptors"),
    "a short warm": (bytes(warm(0))[:-1], [], "malformed request"),
    "a graft of nothing": (graft(0, 1, code=None), [], "a graft of nothing"),
    "a graft for a slot that is not": (graft(16, 1), [], "a slot that does not exist"),
    "a graft for what never was": (graft(1, 1000), [], "never was"),
    "a graft of six layers": (graft(0, 1, layer_count=6), [], "impossible choices"),
    "a graft without memory": (graft(0, 1, memory_mb=0), [], "impossible sizes"),
    "a graft with a descriptor": (graft(0, 1), ["file"], "wrong number of descriptors"),
    "a short graft": (bytes(graft(0, 1))[:-4], [], "malformed request"),
}


@pytest.mark.parametrize("what", IMPOSSIBLE)
def test_the_impossible_condemns(new_warden, probe_zip, code, pipes, what):
    warden = new_warden(drain_ms_max=100).serving()
    assert warden.router.unpack(probe_zip).answer == wardens.UNPACK_DONE
    warden.router.spawn(code, env={"PROBE": "sleep"})  # slot 0, generation 1
    first = warden.router
    frame, names, reason = IMPOSSIBLE[what]
    first.say(frame, [pipes[name] for name in names])
    with pytest.raises(EOFError):  # no answer: the end
        while True:
            first.receive()
    second = warden.next_router()
    assert second.pid != first.pid
    log = warden.log()
    assert "router_condemned" in log
    assert reason in log.split("router_condemned", 1)[1].splitlines()[0]
    second.ready()
    assert warden.named("bootstrap") == []  # its sandboxes ended with it
    text = second.spawn(code, env={"PROBE": "exit"})  # and the next is served
    text.exited()


def test_a_forget_of_code_in_use_condemns(warden, code):
    sandbox = warden.router.spawn(code, env={"PROBE": "sleep"})
    assert sandbox.line() == "here"
    warden.router.forget(code)
    with pytest.raises(EOFError):
        while True:
            warden.router.receive()
    assert "in use" in warden.log()
    warden.next_router()


def test_nothing_is_served_before_ready(new_warden, probe_zip):
    warden = new_warden().start()
    early = warden.next_router()
    early.unpack_asked(probe_zip)
    with pytest.raises(EOFError):
        early.receive()
    assert "out of season" in warden.log()
    warden.next_router().ready()
    assert warden.line().startswith("Ready. ")


@pytest.mark.parametrize("op", [wardens.KILL, wardens.FREEZE, wardens.GRAFT])
def test_a_sandbox_that_is_prepared_and_nobodys_is_none(warden, code, op):
    given = warden.router.spawn(code, env={"PROBE": "sleep"})
    warden.leaves()  # the warden has caught up
    other = (given.handle.slot + 1) % 3
    warden.router.say(graft(other, 1) if op == wardens.GRAFT else sandbox(op, other, 1))
    with pytest.raises(EOFError):
        warden.router.receive()
    assert "never was" in warden.log()
    warden.next_router()


def test_every_frame_has_the_size_that_the_header_says():
    """The test speaks the same protocol as src/wire/frames.h."""
    assert "sizeof(struct spawn_function) == 32 + 160 + 24" in wardens.HEADER
    assert "sizeof(struct spawn_frame) == 16 + sizeof(struct spawn_function) + 16" in wardens.HEADER
    assert ctypes.sizeof(wardens.Function) == 32 + 160 + 24
    assert ctypes.sizeof(SpawnFrame) == 16 + (32 + 160 + 24) + 16
    assert ctypes.sizeof(ForgetFrame) == 48


def test_the_back_off_grows(new_warden):
    warden = new_warden().start()
    router = warden.next_router()
    for least, most in ((0.1, 1), (0.2, 1.5), (0.4, 2), (0.8, 3), (1.6, 5)):
        router.say(Head(op=0))
        with pytest.raises(EOFError):
            router.receive()
        router.close()
        ended = time.monotonic()
        router = warden.next_router()
        assert least * 0.9 <= time.monotonic() - ended <= most
