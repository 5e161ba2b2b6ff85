"""The handler of a Python function that looks around as probe.c does (PROBE=look), while it is imported, and ends."""

import ctypes
import os
import resource
import signal
import socket
import sys


def tell(key, value):
    os.write(1, f"{key}: {value}\n".encode("utf-8", "surrogateescape"))


def copy(key, path):
    try:
        with open(path) as file:
            for line in file.read().splitlines():
                tell(key, line)
    except OSError as e:
        tell(key, os.strerror(e.errno))


def folder(key, path):
    kinds = {0o040000: "dir", 0o120000: "link", 0o020000: "char", 0o100000: "file"}
    for name in sorted(os.listdir(path)):
        st = os.lstat(f"{path}/{name}")
        link = " -> " + os.readlink(f"{path}/{name}") if st.st_mode & 0o170000 == 0o120000 else ""
        tell(key, f"{kinds.get(st.st_mode & 0o170000, 'other')} {st.st_mode & 0o7777:o} {st.st_uid} {name}{link}")


def descriptors():
    for fd in range(4096):
        try:
            target = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            continue
        flags = open(f"/proc/self/fdinfo/{fd}").read().split("flags:\t")[1].split()[0]
        tell("fd", f"{fd} {'pipe' if target.startswith('pipe:') else target}")
        tell("fd flags", f"{fd} {flags}")


def limits():
    for name in "NOFILE NPROC CORE MEMLOCK STACK MSGQUEUE RTPRIO NICE FSIZE CPU".split():
        soft, hard = resource.getrlimit(getattr(resource, "RLIMIT_" + name))
        tell("limit", f"{name.lower()} {soft}")
        tell("hard limit", f"{name.lower()} {hard}")


def look():
    for key, path in {
        "mount": "/proc/self/mountinfo",
        "status": "/proc/self/status",
        "cgroup": "/proc/self/cgroup",
        "route": "/proc/net/route",
        "net": "/proc/net/dev",
        "unix": "/proc/net/unix",
        "oom": "/proc/self/oom_score_adj",
        "maps": "/proc/self/maps",
    }.items():
        copy(key, path)
    descriptors()
    limits()
    for key, path in {"root": "/", "dev": "/dev", "etc": "/etc", "task": "/var/task", "runtime": "/var/runtime", "opt": "/opt", "tmp": "/tmp"}.items():
        folder(key, path)
    copy("passwd", "/etc/passwd")
    copy("hosts", "/etc/hosts")
    for name, value in os.environ.items():
        tell("env", f"{name}={value}")
    for line in open("/proc/self/environ").read().rstrip("\0").split("\0"):  # of a forked one NULs follow
        tell("environ", line)
    libc = ctypes.CDLL(None)
    environ = ctypes.POINTER(ctypes.c_char_p).in_dll(libc, "environ")
    for i in range(1000):  # what a C library sees
        if environ[i] is None:
            break
        tell("getenv", environ[i].decode())
    tell("cmdline", open("/proc/self/cmdline").read().replace("\0", " "))
    tell("cwd", os.getcwd())
    tell("hostname", socket.gethostname())
    tell("session", f"{os.getsid(0)} of {os.getpid()}")
    tell("parent", os.getppid())
    tell("group", os.getpgid(0))
    mask = os.umask(0)
    tell("umask", f"{mask:o}")
    tell("dumpable", libc.prctl(3, 0, 0, 0, 0))
    tell("secure bits", libc.prctl(27, 0, 0, 0, 0))
    tell("death signal of a parent", bool(death_signal(libc)))
    for number in range(1, signal.NSIG):
        if number not in (32, 33):
            tell("signal", f"{number} {signal.getsignal(number)!r}".split(" at ")[0])
    tell("priority", os.getpriority(os.PRIO_PROCESS, 0))
    tell("scheduler", os.sched_getscheduler(0))
    tell("affinity", sorted(os.sched_getaffinity(0)))
    tell("arguments", sys.argv)
    tell("path", sys.path)
    for pid in range(1, 100):
        if os.access(f"/proc/{pid}/comm", os.F_OK):
            copy(f"process {pid}", f"/proc/{pid}/comm")


def death_signal(libc):
    number = ctypes.c_int()
    libc.prctl(2, ctypes.byref(number), 0, 0, 0)
    return number.value


probe = os.environ.get("PROBE")
if probe == "look":
    look()
elif probe == "execute":  # the probe, with all that this process has been given
    os.environ["PROBE"] = os.environ["INNER"]
    os.execv("/var/task/bootstrap", ["/var/task/bootstrap"])
elif probe == "memory":
    bytearray(int(os.environ["ARGUMENT"]) << 20)
elif probe == "signal":
    os.kill(os.getpid(), int(os.environ["ARGUMENT"]))
elif probe == "raise":
    getattr(ctypes.CDLL(None), "raise")(int(os.environ["ARGUMENT"]))
elif probe == "random":
    import random
    import ssl
    import uuid

    tell("random", [random.random(), os.urandom(8).hex(), str(uuid.uuid4()), ssl.RAND_bytes(8).hex(), hash("x")])
elif probe == "children":
    import subprocess
    import threading

    done = []
    thread = threading.Thread(target=lambda: done.append(subprocess.run(["/bin/echo", "of a child"], stdout=1).returncode))
    thread.start()
    thread.join()
    child = os.fork()  # the C library's by now
    if child == 0:
        os._exit(3)
    tell("children", [done, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])])
elif probe == "sleep":
    os.write(1, b"here\n")
    signal.pause()
os._exit(int(os.environ.get("ARGUMENT", "0")))
