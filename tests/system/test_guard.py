"""The guard of a sandbox: starts extensions and the runtime, tells how they end, and does what the router asks."""

import ctypes
import errno
import os
import signal
import socket

import pytest
import warden as wardens
from harness.zips import zip_of
from warden import EXIT_KILLED, EXIT_SIGNAL, EXIT_STATUS, START_GUARD

U32 = ctypes.c_uint32
HEADER = (wardens.daemon.ROOT / "src" / "wire" / "guard.h").read_text()
OPS = ["NONE", *(name.removeprefix("GUARD_") for name in ["GUARD_BEGIN", *wardens.enum_of(HEADER, "guard_op")])]
OP = {name: number for number, name in enumerate(OPS)}
RUNTIME = 10


class GuardFrame(ctypes.Structure):
    _fields_ = [*[(name, U32) for name in "op who kind value".split()], ("ticket", ctypes.c_uint64), ("name", ctypes.c_char * 256)]


class Guard:
    """A sandbox with a guard, and the router's end of its line."""

    def __init__(self, router, code, **options):
        self.line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.line.settimeout(wardens.SECONDS)
        self.sandbox = router.spawn(code, start=START_GUARD, third=theirs.fileno(), **options)
        theirs.close()
        reading, writing = os.pipe()
        os.fchmod(writing, 0o222)
        socket.send_fds(self.line, [bytes(GuardFrame(op=OP["BEGIN"]))], [writing])
        os.close(writing)
        self.log = os.fdopen(reading)  # of extensions

    def ask(self, op, who=0, value=0, ticket=0):
        self.line.send(bytes(GuardFrame(op=OP[op], who=who, value=value, ticket=ticket)))

    def hear(self):
        """(op, who, kind, value, name), and its descriptor if it has one in `fd`."""
        content, fds, _, _ = socket.recv_fds(self.line, 512, 1)
        assert len(content) == ctypes.sizeof(GuardFrame), content
        frame = GuardFrame.from_buffer_copy(content)
        self.fd = fds[0] if fds else None
        return OPS[frame.op], frame.who, frame.kind, frame.value, frame.name.decode()

    def close(self):
        self.line.close()
        self.log.close()


def script(text):
    return (b"#!/bin/bash\n" + text.encode(), 0o755)


FOREVER = script("exec sleep 1000")


@pytest.fixture
def guarded(new_warden):
    """Make a guard over a runtime and extensions, by their names."""
    router = new_warden().serving().router
    made = []

    def make(extensions, runtime=FOREVER, **options):
        code, layer = zip_of({"bootstrap": runtime}), zip_of({f"extensions/{k}": v for k, v in extensions.items()} or {"x": b""})
        for content in (code, layer):
            answer = router.unpack(content)
            assert answer.answer == wardens.UNPACK_DONE
            assert answer.error == (1 if content is layer and extensions else 0)
        guard = Guard(router, wardens.digest_of(code), layers=[wardens.digest_of(layer)], **options)
        made.append(guard)
        return guard

    yield make
    for guard in made:
        guard.close()


def begin(guard, *names):
    for who, name in enumerate(names):
        assert guard.hear() == ("EXTENSION", who, 0, 0, name)
    assert guard.hear()[0] == "LISTED"


def test_extensions_begin_in_order_and_the_runtime_when_it_is_asked_for(guarded):
    say = script('echo "$0 in $PWD: $FOO ${_HANDLER-none} ${LAMBDA_TASK_ROOT-none}"; exec sleep 1000')
    guard = guarded({"b": say, "a": say, "sub/no": say}, script("echo runtime; exec sleep 1000"), env={"FOO": "x", "_HANDLER": "h"})
    begin(guard, "a", "b")
    lines = {guard.log.readline().strip() for _ in range(2)}
    assert lines == {f"/opt/extensions/{name} in /: x none none" for name in "ab"}
    guard.ask("START", RUNTIME)
    assert guard.sandbox.line() == "runtime"


def test_ends_are_told_and_the_sandbox_lives_on(guarded):
    guard = guarded({"a": script("exit 3"), "b": script("kill -TERM $$")}, script("exit 7"))
    begin_names = [guard.hear() for _ in range(3)]
    assert [said[0] for said in begin_names] == ["EXTENSION", "EXTENSION", "LISTED"]
    ends = sorted(guard.hear() for _ in range(2))
    assert ends == [("ENDED", 0, EXIT_STATUS, 3, ""), ("ENDED", 1, EXIT_SIGNAL, signal.SIGTERM, "")]
    guard.ask("START", RUNTIME)
    assert guard.hear() == ("ENDED", RUNTIME, EXIT_STATUS, 7, "")
    guard.sandbox.kill()
    assert guard.sandbox.exited().kind == EXIT_KILLED


def test_a_line_that_is_let_go_ends_the_sandbox(guarded):
    guard = guarded({"a": FOREVER})
    begin(guard, "a")
    guard.close()
    exited = guard.sandbox.exited()
    assert (exited.kind, exited.value) == (EXIT_STATUS, 0)


@pytest.mark.parametrize("program, error", [((b"#!/bin/sh\n", 0o644), errno.EACCES), ((b"nothing\n", 0o755), errno.ENOEXEC)])
def test_what_cannot_be_executed_is_told(guarded, program, error):
    guard = guarded({"a": program}, program)
    assert guard.hear() == ("EXTENSION", 0, 0, 0, "a")
    assert guard.hear() == ("NOT_STARTED", 0, 0, error, "")
    assert guard.hear()[0] == "LISTED"
    guard.ask("START", RUNTIME)
    assert guard.hear() == ("NOT_STARTED", RUNTIME, 0, error, "")


def test_the_eleventh_is_one_too_many(guarded):
    guard = guarded({f"e{i:02}": FOREVER for i in range(13)})
    for who in range(10):
        assert guard.hear() == ("EXTENSION", who, 0, 0, f"e{who:02}")
    assert guard.hear() == ("TOO_MANY", 10, 0, 0, "e10")
    assert guard.hear()[0] == "LISTED"


def test_signals_reach_whom_they_are_for(guarded):
    wait = script('trap "exit 9" TERM; echo ready; while :; do sleep 0.05; done')
    guard = guarded({"a": script("sleep 1000 & wait")}, wait)
    begin(guard, "a")
    guard.ask("START", RUNTIME)
    assert guard.sandbox.line() == "ready"
    guard.ask("TERMINATE", RUNTIME)
    assert guard.hear() == ("ENDED", RUNTIME, EXIT_STATUS, 9, "")
    guard.ask("KILL", 0)  # its children too: else the log would stay open
    assert guard.hear() == ("ENDED", 0, EXIT_SIGNAL, signal.SIGKILL, "")
    guard.ask("KILL", 5)
    assert guard.log.read() == ""
    guard.close()
    assert guard.sandbox.exited().kind == EXIT_STATUS


def test_a_runtime_that_is_killed_from_outside_takes_its_guard_with_it(guarded):
    guard = guarded({}, script("kill -KILL $$"))
    begin(guard)
    guard.ask("START", RUNTIME)
    exited = guard.sandbox.exited()
    assert (exited.kind, exited.value) == (EXIT_SIGNAL, signal.SIGKILL)


def test_a_runtime_that_the_router_kills_does_not(guarded):
    guard = guarded({})
    begin(guard)
    guard.ask("START", RUNTIME)
    guard.ask("KILL", RUNTIME)
    assert guard.hear() == ("ENDED", RUNTIME, EXIT_SIGNAL, signal.SIGKILL, "")
    guard.ask("CONNECT", value=1)
    assert guard.hear()[0] == "CONNECTED"


def test_a_connection_is_one_of_its_network(guarded):
    guard = guarded({})
    begin(guard)
    guard.ask("CONNECT", value=9001, ticket=77)
    op, _, _, value, _ = guard.hear()
    assert (op, value) == ("CONNECTED", 0)
    with socket.socket(fileno=guard.fd) as connection, guard.sandbox.runtime_api.accept()[0] as accepted:
        accepted.sendall(b"from inside")
        connection.setblocking(True)
        assert connection.recv(100) == b"from inside"


def test_nobody_inside_gets_hold_of_the_line(guarded):
    """Neither as a descriptor that was left open, nor by looking into the guard."""
    look = script('echo "$(ls /proc/self/fd | tr "\\n" " ")"; ls /proc/$PPID/fd >/dev/null 2>&1 && echo open || echo shut; exec sleep 1000')
    guard = guarded({"a": look})
    begin(guard, "a")
    assert guard.log.readline().split() == ["0", "1", "2", "3"]  # the last is the directory that ls reads
    assert guard.log.readline() == "shut\n"


def test_an_extension_may_open_its_output(guarded):
    guard = guarded({"a": script("echo one > /dev/stdout; echo two > /dev/stderr; exec sleep 1000")})
    begin(guard, "a")
    assert [guard.log.readline() for _ in range(2)] == ["one\n", "two\n"]


def test_a_guard_needs_a_socket(new_warden):
    router = new_warden().serving().router
    code = zip_of({"bootstrap": FOREVER})
    router.unpack(code)
    reading, writing = os.pipe()
    router.spawn_asked(wardens.digest_of(code), start=START_GUARD, third=reading)
    with pytest.raises(EOFError):
        router.receive()
    os.close(reading)
    os.close(writing)
