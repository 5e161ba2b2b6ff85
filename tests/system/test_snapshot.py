"""What a function sees and may do, exactly. Whatever changes here changes what a sandbox guarantees."""

import collections
import os
import pathlib
import socket

import pytest
import warden as wardens

UID = wardens.BASE_UIDS["sandbox_uid"]
BASE_READ_ONLY = "ro,nosuid,nodev"
ETC_OF_HOST = ["ld.so.cache", "alternatives", "ssl", "pki", "crypto-policies", "ca-certificates", "mime.types", "services", "protocols"]
COVERED = ["kcore", "keys", "key-users", "kallsyms", "timer_list", "sched_debug", "latency_stats", "interrupts"]
EMPTIED = ["acpi", "asound", "scsi"]
FROZEN = ["sys", "sysrq-trigger", "irq", "bus", "fs"]


def lines(text):
    """"key: value" lines as {key: [value, …]}."""
    found = collections.defaultdict(list)
    for line in text.splitlines():
        key, _, value = line.partition(": ")
        found[key].append(value)
    return found


@pytest.fixture(params=[2, 0], ids=["prepared", "made at once"])
def seen(request, new_warden, probe_zip, code):
    warden = new_warden(prepared=request.param, drain_ms_max=100).serving()
    assert warden.router.unpack(probe_zip).answer == wardens.UNPACK_DONE
    env = {"PROBE": "look", "TZ": ":UTC"}
    sandbox = warden.router.spawn(code, env=env, tmp_mb=64)
    output = sandbox.output().decode()
    exited = sandbox.exited()
    assert (exited.kind, exited.value) == (wardens.EXIT_STATUS, 0)
    return lines(output) | {"uid": UID + sandbox.handle.slot}


def flags_of(options):
    """Without what is the host's own choice for its file systems."""
    return ",".join(o for o in options.split(",") if o not in ("relatime", "noatime", "nodiratime", "strictatime", "lazytime"))


def test_the_mounts_are_these_and_no_others(seen):
    expected = {"/": (BASE_READ_ONLY, "tmpfs"), "/tmp": ("rw,nosuid,nodev", "tmpfs"), "/proc": ("rw,nosuid,nodev,noexec", "proc")}
    expected["/var/task"] = (BASE_READ_ONLY, None)
    for folder in ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64"):
        if os.path.isdir(folder) and not os.path.islink(folder):
            expected[folder] = (BASE_READ_ONLY, None)
    for name in ETC_OF_HOST:
        if os.path.exists(f"/etc/{name}"):
            expected[f"/etc/{name}"] = (BASE_READ_ONLY, None)
    for name in ("null", "zero", "full", "random", "urandom"):
        expected[f"/dev/{name}"] = ("rw,nosuid,noexec", None)
    for name in COVERED:
        if os.path.exists(f"/proc/{name}"):
            expected[f"/proc/{name}"] = ("ro,nosuid,noexec", None)
    for name in EMPTIED:
        if os.path.exists(f"/proc/{name}"):
            expected[f"/proc/{name}"] = ("ro,nosuid,nodev,noexec", "tmpfs")
    for name in FROZEN:
        if os.path.exists(f"/proc/{name}"):
            expected[f"/proc/{name}"] = ("ro,nosuid,nodev,noexec", "proc")

    found = {}
    for line in seen["mount"]:
        head, _, tail = line.partition(" - ")
        _, _, _, _, place, options, *propagation = head.split()
        assert not propagation, f"{place} is not private: {propagation}"
        assert place not in found
        found[place] = (flags_of(options), tail.split()[0])
    assert set(found) >= set(expected)
    for place, (options, kind) in found.items():
        if place not in expected:  # mounts of the host below /usr come with it
            assert place.startswith(("/usr/", "/etc/")), place
            assert options == BASE_READ_ONLY
            continue
        assert options.startswith(expected[place][0]) and options.split(",")[0] == expected[place][0].split(",")[0], place
        assert options == expected[place][0] or place.startswith(("/usr", "/etc", "/var/task", "/dev", "/bin", "/sbin", "/lib")), place
        assert kind == (expected[place][1] or kind)


def test_tmp_has_the_size_that_was_asked_for(seen):
    (line,) = [line for line in seen["mount"] if line.split()[4] == "/tmp"]
    assert "size=65536k" in line and "nr_inodes=16384" in line


def test_it_is_a_user_of_its_own_without_rights(seen):
    status = dict(line.split(":\t", 1) for line in seen["status"])
    uid = str(seen["uid"])
    assert status["Uid"].split() == [uid] * 4
    assert status["Gid"].split() == [uid] * 4
    assert status["Groups"].split() == []
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[kind], 16) == 0, kind
    assert (status["NoNewPrivs"], status["Seccomp"], status["Seccomp_filters"]) == ("1", "2", "1")
    assert status["TracerPid"] == "0"
    assert int(status["SigBlk"], 16) == 0 and int(status["SigIgn"], 16) == 0
    assert seen["passwd"] == ["root:x:0:0:root:/root:/sbin/nologin", f"sandbox:x:{uid}:{uid}:sandbox:/tmp:/sbin/nologin"]


def test_its_processes_are_init_and_itself(seen):
    assert {key: value for key, value in seen.items() if key.startswith("process ")} == {
        "process 1": ["mayfly-init"],
        "process 2": ["bootstrap"],
    }
    assert seen["session"] == ["2 of 2"]


def test_its_descriptors_are_null_and_the_log(seen):
    assert seen["fd"] == ["0 /dev/null", "1 pipe", "2 pipe"]


def test_its_environment_is_what_it_was_given(seen):
    assert seen["env"] == ["PROBE=look", "TZ=:UTC"]
    assert seen["cwd"] == ["/var/task"]
    assert seen["hostname"] == ["localhost"]
    assert seen["umask"] == ["22"]
    assert seen["oom"] == ["500"]


def test_its_limits_are_those_of_lambda(seen):
    limits = dict(line.split() for line in seen["limit"])
    assert limits["nofile"] == "1024" and limits["nproc"] == "1024"
    assert limits["core"] == "0" and limits["memlock"] == "65536" and limits["stack"] == "8388608"
    assert limits["rtprio"] == "0" and limits["nice"] == "0"
    assert limits["fsize"] == "-1" and limits["cpu"] == "-1"


def test_its_network_is_a_loopback_without_routes(seen):
    assert len(seen["route"]) == 1  # the title
    assert [line.split(":")[0].strip() for line in seen["net"][2:]] == ["lo"]
    assert len(seen["unix"]) == 1


def test_its_view_of_cgroups_begins_with_its_own(seen):
    assert seen["cgroup"] and all(line.endswith(":/") for line in seen["cgroup"])


def test_its_devices_are_five_and_four_links(seen):
    assert seen["dev"] == [
        "link 777 0 fd -> /proc/self/fd",
        "char 666 0 full",
        "char 666 0 null",
        "char 666 0 random",
        "link 777 0 stderr -> /proc/self/fd/2",
        "link 777 0 stdin -> /proc/self/fd/0",
        "link 777 0 stdout -> /proc/self/fd/1",
        "char 666 0 urandom",
        "char 666 0 zero",
    ]


def test_its_root_holds_this(seen):
    expected = {"dev": "dir 755", "etc": "dir 755", "opt": "dir 755", "proc": "dir 555", "run": "dir 755", "tmp": "dir 1777", "var": "dir 755"}
    for name in ("usr", "bin", "sbin", "lib", "lib32", "lib64"):
        if os.path.lexists(f"/{name}"):
            expected[name] = "link 777" if os.path.islink(f"/{name}") else "dir 755"
    found = {line.split()[3]: " ".join(line.split()[:2]) for line in seen["root"]}
    assert found == expected
    assert all(line.split()[2] == "0" for line in seen["root"])
    assert seen["task"] == ["file 755 0 bootstrap"]
    assert seen["runtime"] == [] and seen["opt"] == [] and seen["tmp"] == []
    own = {"group", "hostname", "hosts", "nsswitch.conf", "passwd", "resolv.conf"}
    assert {line.split()[3] for line in seen["etc"]} == own | {n for n in ETC_OF_HOST if os.path.exists(f"/etc/{n}")}
    assert seen["hosts"] == ["127.0.0.1 localhost", "::1 localhost"]


# What a function tries, and how it ends. DONE: it may.
EROFS_OR_EACCES = {"EROFS", "EACCES"}
TRIES = {
    # writing
    "write /x": "EROFS",
    "write /usr/x": "EROFS",
    "write /var/task/x": "EROFS",
    "write /var/task/bootstrap": EROFS_OR_EACCES,
    "write /var/runtime/x": "EROFS",
    "write /opt/x": "EROFS",
    "write /etc/passwd": EROFS_OR_EACCES,
    "write /etc/x": "EROFS",
    "write /dev/x": "EROFS",
    "write /run/x": "EROFS",
    "write /var/x": "EROFS",
    "write /proc/sys/kernel/hostname": EROFS_OR_EACCES,
    "write /proc/sys/vm/drop_caches": EROFS_OR_EACCES,
    "write /proc/sysrq-trigger": {"EROFS", "EACCES", "ENOENT"},
    "write /proc/1/oom_score_adj": "EACCES",
    "write /proc/self/uid_map": {"EPERM", "EACCES"},
    "write /tmp/x": "DONE",
    "write /dev/null": "DONE",
    "1write /dev/stdout": "DONE",  # with the byte that it wrote
    # reading
    "read /proc/kcore": {"ENODATA", "ENOENT"},
    "read /proc/keys": {"ENODATA", "ENOENT"},
    "read /proc/kallsyms": {"ENODATA", "ENOENT"},
    "read /proc/timer_list": {"ENODATA", "ENOENT"},
    "read /proc/interrupts": {"ENODATA", "ENOENT"},
    "read /proc/1/environ": "EACCES",
    "read /proc/1/mem": "EACCES",
    "read /proc/1/maps": "EACCES",
    "read /proc/kmsg": {"EACCES", "EPERM"},
    "read /etc/shadow": "ENOENT",
    "read /proc/self/maps": "DONE",
    "read /proc/meminfo": "DONE",
    "read /dev/urandom": "DONE",
    "read /dev/zero": "DONE",
    **{f"see {path}": "ENOENT" for path in "/root /home /sys /boot /dev/shm /dev/pts /dev/mem /dev/kmsg /dev/tty /proc/acpi/x /proc/scsi/x /mnt".split()},
    "mknod device": "EPERM",
    "mkfifo": "DONE",
    "chown": "EPERM",
    "set-uid bit": "DONE",  # /tmp is nosuid, and there are no privileges to be had
    "link out": "EXDEV",
    "the way up": "ENOENT",
    # the network
    **{f"socket {kind}": "DONE" for kind in ("unix", "tcp", "tcp6", "udp", "route")},
    **{f"socket {kind}": "EPERM" for kind in "raw raw6 ping packet alg vsock audit uevent sctp".split()},
    "lo down": "EPERM",
    "runtime API": "DONE",
    "AWS endpoint": "DONE",
    "host's loopback": "ECONNREFUSED",
    "outside": "ENETUNREACH",
    "metadata service": "ENETUNREACH",
    "host's abstract socket": "ECONNREFUSED",
    "bind port 80": "EACCES",
    # the kernel
    **{
        what: "EPERM"
        for what in """mount umount open_tree fsopen pivot_root chroot ptrace process_vm_readv bpf keyctl add_key request_key
        io_uring_setup userfaultfd perf_event_open init_module finit_module delete_module kexec_load reboot swapon syslog
        settimeofday sethostname open_by_handle_at personality ioperm iopl quotactl acct setgroups TIOCSTI setns""".split()
    },
    "setuid 0": "EPERM",
    "setgid 0": "EPERM",
    "prctl keepcaps": "EPERM",
    "prctl ambient": "EPERM",
    "more files": "EPERM",
    "nice": "EACCES",
    "mlock much": "ENOMEM",
    "clone3": "ENOSYS",
    "landlock": "ENOSYS",
    "a call of the future": "ENOSYS",
    **{f"{how} {kind}": "EPERM" for how in ("unshare", "clone") for kind in "user mnt pid net ipc uts cgroup".split()},
    "open init's namespace": "EACCES",
    # signals
    "kill init with SIGTERM": "DONE",  # it is sent, and ignored
    "kill init with SIGKILL": "DONE",
    "kill a process outside": "ESRCH",
    "kill everybody": "ESRCH",
}


def test_what_is_forbidden_fails_as_documented(warden, code):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as abstract:
        abstract.bind("\0mayfly-test")  # somebody listens there, on the host
        abstract.listen()
        env = {"PROBE": "try", "OUTSIDE_PID": str(os.getpid()), "HOST_PORT": str(warden.port)}
        sandbox = warden.router.spawn(code, env=env)
        text = sandbox.output().decode()
        exited = sandbox.exited()
    found = dict(line.rpartition(": ")[::2] for line in text.splitlines())
    size = found.pop("tmp size")
    assert size == "67108864 inodes 16384"
    assert set(found) == set(TRIES)
    wrong = {what: result for what, result in found.items() if result not in ({TRIES[what]} if isinstance(TRIES[what], str) else TRIES[what])}
    assert not wrong
    assert (exited.kind, exited.value) == (wardens.EXIT_STATUS, 0)  # init lives on after all that


def test_two_sandboxes_have_nothing_in_common(warden, code):
    first = warden.router.spawn(code, env={"PROBE": "sleep"})
    second = warden.router.spawn(code, env={"PROBE": "sleep"})
    assert (first.line(), second.line()) == ("here", "here")
    views = []
    for sandbox in (first, second):
        slot = sandbox.handle.slot
        pids = [pid for pid, name in warden.processes().items() if name == "bootstrap" and f"/s{slot}\n" in cgroup_of(pid)]
        assert len(pids) == 1
        views.append({kind: os.readlink(f"/proc/{pids[0]}/ns/{kind}") for kind in ("mnt", "pid", "net", "ipc", "uts", "cgroup")})
        uid = os.stat(f"/proc/{pids[0]}").st_uid
        assert uid == UID + slot
    ours = {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in views[0]}
    for kind in ours:
        assert len({views[0][kind], views[1][kind], ours[kind]}) == 3, kind
    # Each Runtime API is its own: who connects from the first is accepted by the first's listener.
    for sandbox in (first, second):
        sandbox.kill()
        assert sandbox.exited().kind == wardens.EXIT_KILLED


def cgroup_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return ""
