"""A real daemon under test: start it, wait for its Ready line, stop it, look for what it left behind."""

import ctypes
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]

START_SECONDS = 30
STOP_SECONDS = 30
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PORTS = "10000-32000"  # below those that the kernel gives to clients: nobody gets one between the look and the use

_libc = ctypes.CDLL(None, use_errno=True)


def binary():
    return pathlib.Path(os.environ.get("MAYFLY_BIN", ROOT / "build" / "mayfly")).resolve()


def free_port():
    """A port nobody listens on; from MAYFLY_TEST_PORTS ("14700-14899") when that is set."""
    wanted = os.environ.get("MAYFLY_TEST_PORTS", PORTS)
    first, last = (int(n) for n in wanted.split("-"))
    span = last - first + 1
    start = int.from_bytes(os.urandom(4), "big")
    for i in range(span):
        port = first + (start + i) % span
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise RuntimeError(f"no free port in {wanted}")


def sandbox_uid():
    """
    The first user of the sandboxes of this process's daemons. The kernel counts processes by user: those of another
    test run on this machine, a fork bomb's say, are not counted to ours.
    """
    return 0x70000000 + os.getpid() % 400_000 * 4096


def become_subreaper():
    """Orphans of a daemon that died become children of this process, so that none can hide."""
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_the_tests():
    """Between fork and exec: a killed test run takes its daemon with it."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def parents():
    """pid -> parent of everything that runs; zombies are left out."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb") as stat:
                state, parent = stat.read().rpartition(b")")[2].split()[:2]
        except OSError:
            continue
        if state != b"Z":
            found[int(entry)] = int(parent)
    return found


def descendants(root):
    """pid -> command line of everything below a process."""
    table = parents()
    below = {root}
    grown = True
    while grown:
        grown = False
        for pid, parent in table.items():
            if parent in below and pid not in below:
                below.add(pid)
                grown = True
    below.discard(root)
    return {pid: line for pid in below if (line := _command_line(pid)) is not None}


def _command_line(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return None


def cgroups(name):
    """Every control group of this name, in all hierarchies. What is in those of other daemons is not looked at."""
    found = []
    for top, folders, _ in os.walk("/sys/fs/cgroup"):
        found += [os.path.join(top, folder) for folder in folders if folder == name]
        folders[:] = [folder for folder in folders if not folder.startswith("mayfly-")]
    return sorted(found)


def unified_tree():
    """Where cgroup v2 is mounted, and whether it is all there is: every controller is in it."""
    with open("/proc/self/mounts") as table:
        top = next(pathlib.Path(line.split()[1]) for line in table if line.split()[2] == "cgroup2")
    return top, {"memory", "pids", "cpu"} <= set((top / "cgroup.controllers").read_text().split())


def cgroup_name(data):
    """What the daemon of this data directory calls its control groups: FNV-1a of the path."""
    value = 0xCBF29CE484222325
    for byte in os.fsencode(os.path.realpath(data)):
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return f"mayfly-{value:016x}"


def mounts(needle):
    with open("/proc/self/mountinfo") as table:
        return [line.strip() for line in table if needle in line]


def sanitizer_options():
    """Memory is measured: what was freed is kept for late uses of it, but not a quarter of a gigabyte of it."""
    return ":".join(filter(None, ["quarantine_size_mb=32", os.environ.get("ASAN_OPTIONS")]))


class Daemon:
    """One `mayfly serve` with a data directory of its own."""

    running = set()  # pids: what they start meanwhile is nothing that another one left behind

    def __init__(self, *flags, account=None, test_controls=True, data=None, env=None, cgroup=None):
        self.port = free_port()
        self.data = pathlib.Path(data or tempfile.mkdtemp(prefix=os.environ.get("MAYFLY_TEST_TMP", "/tmp/mayfly-test-")))
        self.log_path = self.data.with_name(self.data.name + ".log")
        self.flags = list(flags)
        if test_controls:
            self.flags.append("--test-controls")
        if account:
            self.flags += ["--account", account]
        self.env = env or {}
        self.cgroup = cgroup  # a folder that it is started in
        self.process = None
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.children_before = set()

    def before_exec(self):
        die_with_the_tests()
        if self.cgroup:
            (self.cgroup / "cgroup.procs").write_text("0")

    def start(self):
        become_subreaper()
        self.children_before = set(descendants(os.getpid()))
        said_before = len(self.log())  # by an earlier start
        command = [str(binary()), "serve", "--listen", f"127.0.0.1:{self.port}", "--data", str(self.data), *self.flags]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={
                    **os.environ,
                    "ASAN_OPTIONS": sanitizer_options(),
                    "MAYFLY_SANDBOX_UID": str(sandbox_uid()),
                    **self.env,
                },
                start_new_session=True,
                preexec_fn=self.before_exec,
            )
        Daemon.running.add(self.process.pid)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if re.search(r"^Ready\.", self.log()[said_before:], re.MULTILINE):
                return self
            if self.process.poll() is not None:
                raise RuntimeError(f"the daemon left with status {self.process.returncode}:\n{self.log()}")
            time.sleep(0.02)
        self.process.kill()
        raise RuntimeError(f"the daemon was not ready in {START_SECONDS} s:\n{self.log()}")

    def log(self):
        try:
            return self.log_path.read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def misfits(self):
        """What it said of answers with a member that their model lacks: botocore would not show them to anybody."""
        return [line for line in self.log().splitlines() if "answer_member_unknown" in line]

    def stop(self):
        """SIGTERM and wait. Returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        Daemon.running.discard(self.process.pid)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)
            raise

    def leftovers(self, patience=5.0):
        """What a daemon that has left did not take with it; empty lists when all is well."""
        deadline = time.monotonic() + patience
        Daemon.running.discard(self.process.pid)
        while True:
            others = self.children_before.union(*(descendants(pid) for pid in Daemon.running))
            left = {
                "processes": {
                    pid: line
                    for pid, line in descendants(os.getpid()).items()
                    if pid not in others | Daemon.running and ("mayfly" in line or str(self.data) in line + _environ(pid))
                },
                "cgroups": cgroups(cgroup_name(self.data)),
                "mounts": mounts(str(self.data)),
            }
            if not any(left.values()) or time.monotonic() > deadline:
                return left
            time.sleep(0.1)

    def forget(self):
        shutil.rmtree(self.data, ignore_errors=True)
        self.log_path.unlink(missing_ok=True)


def _environ(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    except OSError:
        return ""
