"""A real warden under a router that the test plays: frames go through fake_router.c to the test and back."""

import array
import collections
import contextlib
import ctypes
import fcntl
import hashlib
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from harness import daemon

BUILD = daemon.binary().parent
BASE_UIDS = {"router_uid": 61000, "unpack_uid": 61001, "sandbox_uid": daemon.sandbox_uid()}
SECONDS = 20

HEADER = (daemon.ROOT / "src" / "wire" / "frames.h").read_text()


def enum_of(header, name):
    """The names of a C enum without values, in order."""
    body = re.search(r"enum %s \{(.*?)\};" % name, header, re.S)[1]
    return re.findall(r"\b([A-Z][A-Z_]+)\b(?=\s*(?:,|$))", re.sub(r"/\*.*?\*/", "", body, flags=re.S))


# as the warden numbers them: the router and the warden are always of one build
FRAMES = {name.removeprefix("FRAME_"): number for number, name in enumerate(enum_of(HEADER, "frame_op"))}
READY, UNPACK, FORGET, SPAWN, KILL = (FRAMES[name] for name in "READY UNPACK FORGET SPAWN KILL".split())
FREEZE, THAW, HOLD, WARM, GRAFT, DRAINED = (FRAMES[name] for name in "FREEZE THAW HOLD WARM GRAFT DRAINED".split())
REREAD_DONE, UNPACKED, SPAWNED, GRAFTED = (FRAMES[name] for name in "REREAD_DONE UNPACKED SPAWNED GRAFTED".split())
SPAWN_IMAGE, TERMINATE = FRAMES["SPAWN_IMAGE"], FRAMES["TERMINATE"]
EXITED, DRAIN, REREAD, FRAME_OPS = (FRAMES[name] for name in "EXITED DRAIN REREAD OPS".split())
RENEW, RENEWED = FRAMES["RENEW"], FRAMES["RENEWED"]
UNPACK_DONE, UNPACK_NOT_A_ZIP, UNPACK_TOO_LARGE, UNPACK_FAULT = range(4)
EXIT_STATUS, EXIT_SIGNAL, EXIT_OOM, EXIT_KILLED, EXIT_NO_START = range(5)
START_EXEC, START_FORK, START_RESTORE, START_GUARD = range(4)

U32, U64, Digest = ctypes.c_uint32, ctypes.c_uint64, ctypes.c_uint8 * 32


class Head(ctypes.Structure):
    _fields_ = [("op", U32), ("reserved", U32), ("ticket", U64)]


class Handle(ctypes.Structure):
    _fields_ = [("slot", U32), ("generation", U32)]

    def __repr__(self):
        return f"{self.slot}.{self.generation}"


class UnpackFrame(ctypes.Structure):
    _fields_ = [("head", Head), ("digest", Digest), ("bytes_max", U64), ("entries_max", U32), ("reserved", U32)]


class UnpackedFrame(ctypes.Structure):
    _fields_ = [("head", Head), ("answer", U32), ("error", U32), ("bytes", U64)]


class ForgetFrame(ctypes.Structure):
    _fields_ = [("head", Head), ("digest", Digest)]


class Function(ctypes.Structure):
    """What makes a sandbox a function's: struct spawn_function."""

    _fields_ = [
        ("code", Digest),
        ("layers", Digest * 5),
        *[(name, U32) for name in "layer_count memory_mb tmp_mb cpu_strict extra_mb has_code".split()],
    ]


def function_of(code, layers=(), **choices):
    """A function of a code (None: of none, yet) and layers by their digests."""
    choices = {"memory_mb": 128, "tmp_mb": 64, "extra_mb": 16, "has_code": code is not None, "layer_count": len(layers), **choices}
    function = Function(code=Digest(*(code or b"")), **choices)
    for i, layer in enumerate(layers):
        function.layers[i] = Digest(*layer)
    return function


class SpawnFrame(ctypes.Structure):
    _fields_ = [("head", Head), ("function", Function), *[(name, U32) for name in "pack network start reserved".split()]]


class SpawnedFrame(ctypes.Structure):
    _fields_ = [("head", Head), ("handle", Handle), ("start", U32), ("reserved", U32)]


class GraftFrame(ctypes.Structure):
    _fields_ = [("head", Head), ("handle", Handle), ("function", Function)]


class GraftedFrame(ctypes.Structure):
    _fields_ = [("head", Head), ("handle", Handle), ("error", U32), ("reserved", U32)]


class WarmFrame(ctypes.Structure):
    _fields_ = [("head", Head), ("pack", U32), ("reserved", U32)]


class SandboxFrame(ctypes.Structure):
    _fields_ = [("head", Head), ("handle", Handle)]


class ExitedFrame(ctypes.Structure):
    _fields_ = [
        ("head", Head),
        ("handle", Handle),
        ("kind", U32),
        ("value", U32),
        ("memory_peak", U64),
        ("step", ctypes.c_char * 32),
    ]


EVENTS = {
    UNPACKED: UnpackedFrame,
    SPAWNED: SpawnedFrame,
    GRAFTED: GraftedFrame,
    EXITED: ExitedFrame,
    DRAIN: Head,
    REREAD: Head,
    RENEW: Head,
}

Path = ctypes.c_char * 256


class PackSpec(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char * 32),
        ("version", ctypes.c_char * 32),
        ("folder", Path),
        ("binds", Path * 8),
        ("bind_count", U32),
        ("argv_alternatives", U32),
        ("argc", U32 * 2),
        ("argv", Path * 12 * 2),
        ("start", U32),
        ("env_len", U32),
        ("env", ctypes.c_char * 1024),
    ]


class WardenBoot(ctypes.Structure):
    _fields_ = [
        ("magic", U32),
        ("version", U32),
        ("listen", ctypes.c_char * 128),
        ("data_dir", Path),
        ("libexec_dir", Path),
        ("config", Path),
        ("tls_cert", Path),
        ("tls_key", Path),
        *[
            (name, U32)
            for name in "router_uid unpack_uid sandbox_uid sandboxes_max prepared drain_ms_max log_json log_level has_listener pack_count".split()
        ],
        ("packs", PackSpec * 64),
    ]


def pack(name, *alternatives, folder="", binds=(), start=START_EXEC, env=()):
    """A runtime pack; each alternative is an argument list. `env`: what its zygote is started with."""
    block = b"".join(word.encode() + b"\0" for word in env)
    spec = PackSpec(name=name.encode(), version=b"1", folder=folder.encode(), bind_count=len(binds), start=start, env_len=len(block))
    ctypes.memmove(ctypes.addressof(spec) + PackSpec.env.offset, block, len(block))
    for i, path in enumerate(binds):
        spec.binds[i].value = path.encode()
    spec.argv_alternatives = len(alternatives)
    for i, words in enumerate(alternatives):
        spec.argc[i] = len(words)
        for k, word in enumerate(words):
            spec.argv[i][k].value = word.encode()
    return spec


PROVIDED = pack("provided", ["/var/task/bootstrap"], ["/opt/bootstrap"])


def sealed(content, seals=0xF):
    fd = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, content)
    os.lseek(fd, 0, os.SEEK_SET)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


def digest_of(content):
    return hashlib.sha256(content).digest()


class Router:
    """The test's end of one router's life."""

    def __init__(self, connection):
        self.socket = connection
        # who connected: struct ucred
        self.pid = array.array("i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        self.waiting = collections.deque()
        self.tickets = 0

    def close(self):
        self.socket.close()

    def say(self, frame, fds=()):
        socket.send_fds(self.socket, [bytes(frame)], list(fds))

    def ready(self):
        self.say(Head(op=READY))

    def next_ticket(self):
        self.tickets += 1
        return self.tickets

    def receive(self, seconds=SECONDS):
        """(frame, descriptors) of the next event; EOFError when the router has been ended."""
        if self.waiting:
            return self.waiting.popleft()
        if not select.select([self.socket], [], [], seconds)[0]:
            raise TimeoutError("the warden says nothing")
        try:
            content, fds, _, _ = socket.recv_fds(self.socket, 4096, 8)
        except ConnectionResetError:
            content, fds = b"", []
        if not content:
            raise EOFError
        kind = EVENTS[Head.from_buffer_copy(content).op]
        assert len(content) == ctypes.sizeof(kind)
        return kind.from_buffer_copy(content), fds

    def expect(self, op, ticket=None, seconds=SECONDS):
        """The next event of this kind (and ticket); others are kept for later."""
        for i, (frame, fds) in enumerate(self.waiting):
            if _matches(frame, op, ticket):
                del self.waiting[i]
                return frame, fds
        deadline = time.monotonic() + seconds
        kept = []
        while True:
            frame, fds = self._fresh(deadline)
            if _matches(frame, op, ticket):
                self.waiting.extend(kept)
                return frame, fds
            kept.append((frame, fds))

    def _fresh(self, deadline):
        before, self.waiting = self.waiting, collections.deque()
        try:
            return self.receive(max(0.0, deadline - time.monotonic()))
        finally:
            self.waiting = before

    def unpack_asked(self, content, digest=None, bytes_max=250 << 20, entries_max=100000, fd=None):
        """Ask only; the ticket."""
        ticket = self.next_ticket()
        frame = UnpackFrame(
            head=Head(op=UNPACK, ticket=ticket),
            digest=Digest(*(digest or digest_of(content))),
            bytes_max=bytes_max,
            entries_max=entries_max,
        )
        own = fd is None
        if own:
            fd = sealed(content)
        self.say(frame, [fd])
        if own:
            os.close(fd)
        return ticket

    def unpack(self, content, **options):
        """Ask and wait: the UNPACKED frame."""
        return self.expect(UNPACKED, self.unpack_asked(content, **options))[0]

    def forget(self, digest):
        self.say(ForgetFrame(head=Head(op=FORGET), digest=Digest(*digest)))

    def spawn_asked(self, code, env=None, pack=0, network=0, start=START_EXEC, third=None, **function):
        """Ask only; (ticket, read end of the log). Without code (None) one that is to be grafted. `third`: a descriptor."""
        ticket = self.next_ticket()
        head = Head(op=SPAWN if third is None else SPAWN_IMAGE, ticket=ticket)
        frame = SpawnFrame(head=head, function=function_of(code, **function), pack=pack, network=network, start=start)
        block = b"".join(f"{k}={v}\0".encode() for k, v in (env or {}).items())
        reading, writing = os.pipe2(os.O_CLOEXEC)
        environment = sealed(block)
        self.say(frame, [environment, writing] + ([] if third is None else [third]))
        os.close(environment)
        os.close(writing)
        return ticket, reading

    def spawn(self, code, **options):
        """Ask and wait until it runs: a Sandbox. EXIT_NO_START raises NotStarted."""
        ticket, log = self.spawn_asked(code, **options)
        deadline = time.monotonic() + SECONDS
        kept = []
        while True:
            frame, fds = self._fresh(deadline)
            if _matches(frame, SPAWNED, ticket):
                self.waiting.extend(kept)
                return Sandbox(self, ticket, frame, log, fds)
            if _matches(frame, EXITED, ticket):
                self.waiting.extend(kept)
                os.close(log)
                raise NotStarted(frame)
            kept.append((frame, fds))

    def ask(self, op, handle):
        self.say(SandboxFrame(head=Head(op=op), handle=handle))

    def warm(self, pack):
        self.say(WarmFrame(head=Head(op=WARM), pack=pack))

    def graft_asked(self, handle, code, **function):
        """Ask only; the ticket."""
        ticket = self.next_ticket()
        self.say(GraftFrame(head=Head(op=GRAFT, ticket=ticket), handle=handle, function=function_of(code, **function)))
        return ticket


def _matches(frame, op, ticket):
    head = frame if isinstance(frame, Head) else frame.head
    return head.op == op and ticket in (None, head.ticket)


class NotStarted(Exception):
    def __init__(self, frame):
        super().__init__(f"step {frame.step.decode()!r}: {os.strerror(frame.value)}")
        self.frame = frame
        self.step = frame.step.decode()
        self.error = frame.value


class Sandbox:
    """One that was spawned: its listeners, its log, how it ends."""

    def __init__(self, router, ticket, frame, log, fds):
        self.router, self.ticket, self.handle, self.start, self.log = router, ticket, frame.handle, frame.start, log
        assert len(fds) == 4
        self.runtime_api = socket.socket(fileno=fds[0])
        self.endpoint = socket.socket(fileno=fds[1])
        self.peak, self.stat = fds[2:]

    def output(self, seconds=SECONDS):
        """All it writes until it (and all its children) closes the log."""
        parts, deadline = [], time.monotonic() + seconds
        while True:
            if not select.select([self.log], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise TimeoutError(f"the log stays open after {b''.join(parts)[-300:]!r}")
            part = os.read(self.log, 65536)
            if not part:
                return b"".join(parts)
            parts.append(part)

    def line(self, seconds=SECONDS):
        """One line of its output."""
        content, deadline = b"", time.monotonic() + seconds
        while not content.endswith(b"\n"):
            if not select.select([self.log], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise TimeoutError(f"no whole line after {content!r}")
            part = os.read(self.log, 1)
            if not part:
                raise EOFError(content)
            content += part
        return content.decode().rstrip("\n")

    def kill(self):
        self.router.ask(KILL, self.handle)

    def graft(self, code, **function):
        """Give it a function's code and wait: the errno of GRAFTED, 0 when it has it."""
        ticket = self.router.graft_asked(self.handle, code, **function)
        frame, _ = self.router.expect(GRAFTED, ticket)
        assert (frame.handle.slot, frame.handle.generation) == (self.handle.slot, self.handle.generation)
        return frame.error

    def exited(self, seconds=SECONDS):
        frame, _ = self.router.expect(EXITED, self.ticket, seconds)
        self.close()
        return frame

    def close(self):
        self.runtime_api.close()
        self.endpoint.close()
        for fd in (self.peak, self.stat, self.log):
            try:
                os.close(fd)
            except OSError:
                pass
        self.peak = self.stat = self.log = -1


class Warden:
    """mayfly-warden in a data directory of its own."""

    started = []  # all of this run

    def __init__(self, programs, packs=(PROVIDED,), data=None, **settings):
        self.programs = programs  # a folder with fake_router
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="mayfly-system-"))
        self.home.chmod(0o755)
        self.data = pathlib.Path(data or self.home / "data")
        self.log_path = self.home / "log"
        self.program = BUILD / "mayfly-warden"
        self.tls = settings.pop("tls", ())  # paths, as serve would have read them
        self.packs, self.settings = packs, settings
        self.port = settings.pop("port", 0) or daemon.free_port()
        self.process = self.router = None
        self.neighbours = []  # our children that were there before it: other daemons
        self.bases = []  # of cgroups, once they were looked for
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(str(self.home / "control"))
        os.chmod(self.home / "control", 0o777)
        self.listener.listen(8)
        libexec = self.home / "libexec"
        libexec.mkdir()
        (libexec / "mayfly").symlink_to(programs / "fake_router")
        for name in ("mayfly-unpack", "mayfly-zygote.so", "mayfly-restore"):
            (libexec / name).symlink_to(BUILD / name)

    def boot(self):
        values = {
            "magic": 0x6D617966,
            "version": 4,
            "listen": f"127.0.0.1:{self.port}".encode(),
            "data_dir": str(self.data).encode(),
            "libexec_dir": str(self.home / "libexec").encode(),
            **BASE_UIDS,
            "sandboxes_max": 16,
            "prepared": int(os.environ.get("MAYFLY_TEST_PREPARED", "2")),
            "drain_ms_max": 2000,
            "log_level": 0,
            "pack_count": len(self.packs),
            **self.settings,
        }
        boot = WardenBoot(**values)
        for i, spec in enumerate(self.packs):
            boot.packs[i] = spec
        return bytes(boot)

    def start(self, boot=None):
        daemon.become_subreaper()
        self.neighbours = [pid for pid, parent in daemon.parents().items() if parent == os.getpid()]
        boot_fd = sealed(boot or self.boot())
        settings_fd = sealed(str(self.home / "control").encode())
        tls = [sealed(pathlib.Path(path).read_bytes()) for path in self.tls]
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 100) for fd in (boot_fd, settings_fd, *tls)]

        def hand_over():
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)
            for i, fd in enumerate(high[2:]):
                os.dup2(fd, 6 + i)

        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [str(self.program)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                preexec_fn=hand_over,
                pass_fds=(3, 4, 6, 7) if tls else (3, 4),
                start_new_session=True,
            )
        Warden.started.append(self)
        for fd in (boot_fd, settings_fd, *tls, *high):
            os.close(fd)
        return self

    def next_router(self, seconds=SECONDS):
        """Wait for a router to come up."""
        if not select.select([self.listener], [], [], seconds)[0]:
            raise TimeoutError(f"no router comes up:\n{self.log()}")
        self.router = Router(self.listener.accept()[0])
        return self.router

    def serving(self):
        """Started, with a router that has said it is ready."""
        self.start().next_router().ready()
        more = f" https://127.0.0.1:{self.port}" if self.tls else ""
        assert self.line() == f"Ready. http://127.0.0.1:{self.port}{more}"
        return self

    def line(self, seconds=SECONDS):
        if not select.select([self.process.stdout], [], [], seconds)[0]:
            raise TimeoutError(f"the warden prints nothing:\n{self.log()}")
        return self.process.stdout.readline().decode().rstrip("\n")

    def log(self):
        return self.log_path.read_text(errors="replace")

    def stop(self, number=signal.SIGTERM, seconds=SECONDS):
        """Signal it and wait; the exit status."""
        self.process.send_signal(number)
        return self.process.wait(seconds)

    def base_name(self):
        value = 0xCBF29CE484222325
        for byte in os.path.realpath(self.data).encode():
            value = ((value ^ byte) * 0x100000001B3) % 2**64
        return f"mayfly-{value:016x}"

    def cgroups(self):
        """Our base directories in all trees, wherever they are."""
        return [pathlib.Path(place) for place in daemon.cgroups(self.base_name())]

    def leaves(self, seconds=5):
        """
        Cgroups that are in use: without zygotes, without those that wait for their slot's next sandbox, and without sandboxes
        that are prepared for whatever comes, of which there are as many as were asked for as soon as the warden has caught up.
        """
        deadline = time.monotonic() + seconds
        while True:
            names = {leaf.name for base in self.cgroups() for leaf in base.iterdir() if leaf.is_dir() and leaf.name[0] != "z"}
            names -= {name for name in names if name[0] == "s" and self.is_empty(name)}
            spare = {name for name in names if name[0] == "s" and self.is_spare(name)}
            slots = self.value("sandboxes_max") - len([name for name in names - spare if name[0] == "s"])
            if len(spare) == min(self.value("prepared"), slots) or time.monotonic() > deadline:
                return sorted(names - spare)
            time.sleep(0.01)

    def value(self, name):
        return getattr(WardenBoot.from_buffer_copy(self.boot()), name)

    def is_empty(self, leaf):
        """Does nothing live in it, as the kernel says it?"""
        self.bases = [base for base in self.bases if base.exists()] or self.cgroups()  # to look for them takes long
        for base in self.bases:
            try:
                return "populated 0" in (base / leaf / "cgroup.events").read_text()
            except OSError:
                continue
        return False

    def is_spare(self, leaf):
        """Does process 1 alone live in it?"""
        return set(self.in_leaf(leaf)) == {"mayfly-init"}

    def inits(self):
        """Processes 1 of sandboxes that have more than it: slot -> pid."""
        used = [leaf for leaf in self.leaves() if leaf[0] == "s"]
        found = {}
        for pid in self.named("mayfly-init"):
            try:
                leaf = re.search(r"/(s\d+)$", pathlib.Path(f"/proc/{pid}/cgroup").read_text(), re.M)
            except OSError:
                continue
            if leaf and leaf[1] in used:
                found[int(leaf[1][1:])] = pid
        return found

    def processes(self):
        """pid -> name of all that belongs to it: below it, or in its cgroups."""
        pids = set(daemon.descendants(self.process.pid)) if self.process else set()
        for base in self.cgroups():
            for folder, _, _ in os.walk(base):
                with contextlib.suppress(OSError):
                    pids.update(int(pid) for pid in pathlib.Path(folder, "cgroup.procs").read_text().split())
        found = {}
        for pid in pids:
            with contextlib.suppress(OSError):
                name, state = re.search(r"Name:\t(.*)\n(?:.*\n)*?State:\t(.)", pathlib.Path(f"/proc/{pid}/status").read_text()).groups()
                if state != "Z":
                    found[pid] = name
        return found

    def job_processes(self):
        """name -> pid of what unpacks right now; quick, because they are quick."""
        found = {}
        self.bases = self.bases or self.cgroups()
        for base in self.bases:
            for procs in base.glob("j*/cgroup.procs"):
                try:
                    for pid in procs.read_text().split():
                        found[pathlib.Path(f"/proc/{pid}/comm").read_text().strip()] = int(pid)
                except OSError:
                    continue
        return found

    def in_leaf(self, leaf):
        """name -> pid of what lives in a leaf."""
        found = {}
        for base in self.cgroups():
            try:
                for pid in (base / leaf / "cgroup.procs").read_text().split():
                    found[pathlib.Path(f"/proc/{pid}/comm").read_text().strip()] = int(pid)
            except OSError:
                continue
        return found

    def named(self, name):
        return [pid for pid, comm in self.processes().items() if comm == name]

    def leftovers(self, seconds=SECONDS):
        """What is there after it has gone. Waits for the janitor; collects orphans meanwhile."""
        deadline = time.monotonic() + seconds
        while True:
            self.collect_orphans()
            left = {
                "processes": self.processes() | self.orphans(),
                "cgroups": [str(c) for c in self.cgroups()],
                "mounts": daemon.mounts(str(self.data)),
                "files": [name for folder in ("code/tmp", "root") for name in _list(self.data / folder)],
            }
            if not any(left.values()) or time.monotonic() > deadline:
                return left
            time.sleep(0.01)

    def orphans(self):
        """Our own children that nobody else accounts for: what the warden left to its reaper, us."""
        names = {"mayfly-warden", "mayfly-unpack", "mayfly", "bootstrap"}
        below = daemon.descendants(os.getpid())
        others = set(self.neighbours).union(*(daemon.descendants(pid) for pid in self.neighbours))
        for one in Warden.started:
            if one.process.poll() is None:
                others |= {one.process.pid, *daemon.descendants(one.process.pid)}
        return {
            pid: line
            for pid, line in below.items()
            if pid not in others and line.strip() and os.path.basename(line.split()[0]) in names
        }

    def collect_orphans(self):
        for pid in list(_zombie_children()):
            if any(pid == one.process.pid for one in Warden.started):
                continue
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass

    def forget(self):
        Warden.started = [one for one in Warden.started if one is not self]
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.router:
            self.router.close()
        if self.process:
            self.process.stdout.close()
        self.listener.close()
        shutil.rmtree(self.home, ignore_errors=True)


def _list(folder):
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def _zombie_children():
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            state, parent = pathlib.Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state == "Z" and int(parent) == os.getpid():
            yield int(entry)
