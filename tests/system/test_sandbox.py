"""The life of a sandbox: how it starts, what it is limited to, how its end is told."""

import errno
import os
import select
import signal
import socket
import time

import pytest
import warden as wardens
from harness.zips import zip_of
from warden import EXIT_KILLED, EXIT_NO_START, EXIT_OOM, EXIT_SIGNAL, EXIT_STATUS, EXITED, SPAWNED, UNPACK_DONE

MB = 1 << 20


def run(warden, code, **options):
    """Spawn, read all it says, wait for its end: (text, EXITED)."""
    sandbox = warden.router.spawn(code, **options)
    text = sandbox.output().decode()
    return text, sandbox.exited()


def outcome(frame):
    return frame.kind, frame.value, frame.step.decode()


@pytest.mark.parametrize("status", [0, 1, 7, 255])
def test_an_exit_is_told_with_its_status(warden, code, status):
    _, exited = run(warden, code, env={"PROBE": "exit", "ARGUMENT": status})
    assert outcome(exited) == (EXIT_STATUS, status, "")


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGTERM, signal.SIGKILL])
def test_a_death_by_signal_is_told_with_the_signal(warden, code, number):
    _, exited = run(warden, code, env={"PROBE": "signal", "ARGUMENT": int(number)})
    assert outcome(exited) == (EXIT_SIGNAL, number, "")


def test_the_handle_and_ticket_of_the_spawn_come_with_the_exit(warden, code):
    first = warden.router.spawn(code, env={"PROBE": "sleep"})
    second = warden.router.spawn(code, env={"PROBE": "exit"})
    exited = second.exited()
    assert exited.head.ticket == second.ticket
    assert (exited.handle.slot, exited.handle.generation) == (second.handle.slot, second.handle.generation)
    assert first.handle.slot != second.handle.slot
    first.kill()
    first.exited()


def test_a_kill_ends_all_of_it_and_is_told_as_such(warden, code):
    sandbox = warden.router.spawn(code, env={"PROBE": "sleep"})
    assert sandbox.line() == "here"
    sandbox.kill()
    assert outcome(sandbox.exited()) == (EXIT_KILLED, signal.SIGKILL, "")
    assert warden.named("bootstrap") == [] and warden.inits() == {}
    assert warden.leaves() == ["router"]


def test_children_end_with_the_runtime_and_so_does_the_log(warden, code):
    sandbox = warden.router.spawn(code, env={"PROBE": "sleeper"})
    assert sandbox.output() == b""  # the sleeping child held the log: its end is the end of all
    assert outcome(sandbox.exited()) == (EXIT_STATUS, 0, "")


def test_orphans_are_collected(warden, code):
    text, _ = run(warden, code, env={"PROBE": "orphans"})
    assert text == "orphans left: 0\n"


def test_memory_above_the_limit_is_an_oom(warden, code):
    text, exited = run(warden, code, memory_mb=64, extra_mb=0, env={"PROBE": "memory", "ARGUMENT": 200})
    assert text == ""
    assert outcome(exited) == (EXIT_OOM, signal.SIGKILL, "")
    assert 60 * MB <= exited.memory_peak <= 64 * MB


def test_memory_within_the_limit_is_measured(warden, code):
    text, exited = run(warden, code, memory_mb=128, env={"PROBE": "memory", "ARGUMENT": 40})
    assert text == "used 40 MB\n"
    assert outcome(exited) == (EXIT_STATUS, 0, "")
    assert 40 * MB <= exited.memory_peak <= 60 * MB


def test_the_peak_can_be_read_while_it_lives(warden, code):
    sandbox = warden.router.spawn(code, env={"PROBE": "sleep"})
    assert sandbox.line() == "here"
    assert 0 < int(os.pread(sandbox.peak, 64, 0)) < 20 * MB
    if not os.readlink(f"/proc/self/fd/{sandbox.peak}").endswith("memory.peak"):  # there, only who can write can begin it again
        with pytest.raises(OSError):
            os.write(sandbox.peak, b"0")
    sandbox.kill()
    sandbox.exited()


def test_extra_memory_is_on_top(warden, code):
    text, exited = run(warden, code, memory_mb=32, extra_mb=64, env={"PROBE": "memory", "ARGUMENT": 60})
    assert text == "used 60 MB\n" and exited.kind == EXIT_STATUS


def test_tmp_is_full_when_its_size_is_reached(warden, code):
    text, exited = run(warden, code, tmp_mb=8, memory_mb=256, env={"PROBE": "tmp"})
    wrote, files = text.splitlines()
    assert wrote == f"wrote {8 * MB}: ENOSPC"
    count = int(files.split()[1].rstrip(":"))
    assert files.endswith(": ENOSPC") and 2000 <= count <= 8 * 256
    assert exited.kind == EXIT_STATUS


def test_processes_are_bounded(warden, code):
    text, exited = run(warden, code, memory_mb=512, env={"PROBE": "fork"})
    count = int(text.split()[1].rstrip(":"))
    assert 1000 <= count <= 1024 and text.rstrip().endswith(": EAGAIN")
    assert exited.kind == EXIT_STATUS


@pytest.mark.seconds(90)
def test_strict_cpu_is_a_ceiling(warden, code):
    # 177 MB are a tenth of a CPU: 100 ms in a second
    def used(milliseconds, cpu_strict, is_held):
        options = {"memory_mb": 177, "cpu_strict": cpu_strict, "env": {"PROBE": "spin", "ARGUMENT": milliseconds}}
        sandbox = warden.router.spawn(code, **options)
        if is_held:
            warden.router.ask(wardens.HOLD, sandbox.handle)
        text = sandbox.output().decode()
        sandbox.exited()
        return int(text.split()[-1])

    assert 100 <= used(2000, 1, True) <= 500
    assert used(500, 1, False) > 60  # initialisation has what there is
    assert used(500, 0, True) > 60  # a weight alone takes nothing away


def test_a_frozen_sandbox_stands_still_until_thawed(warden, code):
    sandbox = warden.router.spawn(code, env={"PROBE": "count"})
    assert sandbox.line() == "0"
    warden.router.ask(wardens.FREEZE, sandbox.handle)
    drained = drain(sandbox.log, 0.3)
    assert drained is not None
    assert drain(sandbox.log, 0.3) == b""  # nothing more comes
    warden.router.ask(wardens.THAW, sandbox.handle)
    assert sandbox.line()
    warden.router.ask(wardens.FREEZE, sandbox.handle)
    sandbox.kill()  # also while it is frozen
    assert sandbox.exited().kind == EXIT_KILLED


GROUP_FILES = {
    "limit": ("memory.max", "memory.limit_in_bytes"),
    "ceiling": ("cpu.max", "cpu.cfs_quota_us"),
    "frozen": ("cgroup.freeze",),
}


def group_of(warden, sandbox):
    """The identity of a sandbox's cgroups, and what is set in them."""
    folders = [base / f"s{sandbox.handle.slot}" for base in warden.cgroups()]
    found = {"identity": sorted((str(folder), folder.stat().st_ino) for folder in folders)}
    for key, names in GROUP_FILES.items():
        (found[key],) = (path.read_text().split() for folder in folders for name in names if (path := folder / name).exists())
    return found


def can_peak_begin_again(warden, sandbox):
    """In trees of cgroup v1, and with cgroup v2 since Linux 6.12: there, what is written counts for this opening alone."""
    for peak in (base / f"s{sandbox.handle.slot}" / "memory.peak" for base in warden.cgroups()):
        if peak.exists():
            try:
                peak.write_text("0")
            except OSError:
                return False
    return True


def test_a_cgroup_is_used_again_and_tells_nothing_of_the_one_before(new_warden, probe_zip, code):
    one = new_warden(sandboxes_max=1, prepared=0, drain_ms_max=100).serving()
    assert one.router.unpack(probe_zip).answer == UNPACK_DONE

    def live(*asked, **options):
        """One that sleeps, is asked these things, and is killed."""
        sandbox = one.router.spawn(code, env={"PROBE": "sleep"}, extra_mb=0, **options)
        assert sandbox.line() == "here"
        seen = {**group_of(one, sandbox), "peak": int(os.pread(sandbox.peak, 64, 0)), "usable": can_peak_begin_again(one, sandbox)}
        for op in asked:
            one.router.ask(op, sandbox.handle)
        sandbox.kill()
        exited = sandbox.exited()
        assert outcome(exited) == (EXIT_KILLED, signal.SIGKILL, "") and exited.memory_peak < 20 * MB
        return seen

    fresh = live(memory_mb=100)
    _, exited = run(one, code, memory_mb=300, env={"PROBE": "memory", "ARGUMENT": 40})
    assert exited.memory_peak > 40 * MB
    again = live(memory_mb=200)
    assert (again["identity"] == fresh["identity"]) == fresh["usable"], "what can be used again is, and nothing else"
    assert again["limit"] == [str(200 * MB)] and again["peak"] < 20 * MB

    # what cannot be undone for certain is not used again
    for what in ({"asked": [wardens.FREEZE]}, {"asked": [wardens.HOLD], "cpu_strict": 1}):
        used = live(*what.pop("asked"), **what)
        after = live()
        assert after["identity"] != used["identity"]
        assert (after["frozen"], after["ceiling"]) == (fresh["frozen"], fresh["ceiling"])
    _, exited = run(one, code, memory_mb=64, env={"PROBE": "memory", "ARGUMENT": 200})
    assert exited.kind == EXIT_OOM
    _, exited = run(one, code, env={"PROBE": "signal", "ARGUMENT": int(signal.SIGKILL)})
    assert outcome(exited) == (EXIT_SIGNAL, signal.SIGKILL, "")


def drain(fd, quiet):
    """Read until nothing came for a while."""
    content = b""
    while select.select([fd], [], [], quiet)[0]:
        part = os.read(fd, 65536)
        if not part:
            break
        content += part
        if len(content) > 1 << 20:
            return None
    return content


def test_its_listeners_are_inside_of_it(warden, code):
    sandbox = warden.router.spawn(code, env={"PROBE": "connect"})
    for listener, port in ((sandbox.runtime_api, 9001), (sandbox.endpoint, 4566)):
        listener.settimeout(10)
        assert listener.getsockname() == ("127.0.0.1", port)
        connection, peer = listener.accept()
        assert peer[0] == "127.0.0.1"
        connection.sendall(b"hello from %d" % port)
        connection.close()
    assert sandbox.output().decode().splitlines() == ["9001 says hello from 9001", "4566 says hello from 4566"]
    assert sandbox.exited().kind == EXIT_STATUS


def test_what_one_connects_to_is_its_own(warden, code):
    first = warden.router.spawn(code, env={"PROBE": "sleep"})
    second = warden.router.spawn(code, env={"PROBE": "connect"})
    second.runtime_api.settimeout(10)
    second.runtime_api.accept()[0].close()
    first.runtime_api.settimeout(0.2)
    with pytest.raises((BlockingIOError, socket.timeout)):
        first.runtime_api.accept()
    for sandbox in (first, second):
        sandbox.kill()
        sandbox.exited()


def test_layers_are_merged_and_the_later_wins(warden, programs):
    probe = (programs / "probe").read_bytes()
    first = zip_of({"bootstrap": (b"\x7fELF no", 0o755), "one": b"1", "both/a": b"first", "both/b": b"b"})
    second = zip_of({"two": b"2", "both/a": b"the second", "lib/c": b"c"})
    third = zip_of({"bootstrap": (probe, 0o755)})
    code = zip_of({"handler": b"x"})
    digests = []
    for content in (first, second, third, code):
        assert warden.router.unpack(content).answer == UNPACK_DONE
        digests.append(wardens.digest_of(content))
    # /var/task has no bootstrap: the pack's second place is tried
    text, exited = run(warden, digests[3], layers=digests[:3], env={"PROBE": "look"})
    assert exited.kind == EXIT_STATUS
    assert {line.split()[-1] for line in text.splitlines() if line.startswith("opt: ")} == {"bootstrap", "one", "two", "both", "lib"}
    (mount,) = [line for line in text.splitlines() if line.startswith("mount: ") and " /opt " in line]
    assert " ro,nosuid,nodev" in mount and "- overlay" in mount
    # one layer is a plain bind
    text, _ = run(warden, digests[3], layers=[digests[2]], env={"PROBE": "look"})
    (mount,) = [line for line in text.splitlines() if line.startswith("mount: ") and " /opt " in line]
    assert " ro,nosuid,nodev" in mount and "overlay" not in mount


@pytest.mark.parametrize(
    "what, step, error",
    [
        ("code", "code", "ENOENT"),
        ("layer", "layers", "ENOENT"),
        ("second layer", "layers", "ENOENT"),
        ("no program", "exec", "ENOENT"),
        ("not executable", "exec", "EACCES"),
        ("not a program", "exec", "ENOEXEC"),
        ("too much environment", "exec", "E2BIG"),
    ],
)
def test_what_cannot_start_names_the_step(warden, code, what, step, error):
    unknown = b"\x42" * 32
    options = {"code": code}
    if what == "code":
        options["code"] = unknown
    elif what == "layer":
        options["layers"] = [unknown]
    elif what == "second layer":
        options["layers"] = [code, unknown]
    elif what == "too much environment":
        options["env"] = {f"V{i}": "" for i in range(1025)}
    else:
        entry = {"no program": {"x": b""}, "not executable": {"bootstrap": b"x"}, "not a program": {"bootstrap": (b"\0\1", 0o755)}}[what]
        content = zip_of(entry)
        assert warden.router.unpack(content).answer == UNPACK_DONE
        options["code"] = wardens.digest_of(content)
    with pytest.raises(wardens.NotStarted) as caught:
        warden.router.spawn(options.pop("code"), **options)
    assert caught.value.step == step and errno.errorcode[caught.value.error] == error
    frame = caught.value.frame
    assert frame.kind == EXIT_NO_START and (frame.handle.slot, frame.handle.generation) == (0, 0)
    assert warden.leaves() == ["router"]


def test_a_script_can_be_the_program(warden):
    content = zip_of({"bootstrap": (b"#!/bin/sh\necho from $0 in $(pwd)\n", 0o755)})
    assert warden.router.unpack(content).answer == UNPACK_DONE
    text, exited = run(warden, wardens.digest_of(content))
    assert text == "from /var/task/bootstrap in /var/task\n" and exited.kind == EXIT_STATUS


def test_host_network_is_refused_by_name(warden, code):
    with pytest.raises(wardens.NotStarted) as caught:
        warden.router.spawn(code, network=1)
    assert caught.value.step == "network mode"


def test_more_than_there_are_slots_is_refused_and_slots_come_back(new_warden, probe_zip, code):
    warden = new_warden(sandboxes_max=3, drain_ms_max=100).serving()
    warden.router.unpack(probe_zip)
    living = [warden.router.spawn(code, env={"PROBE": "sleep"}) for _ in range(3)]
    assert sorted(s.handle.slot for s in living) == [0, 1, 2]
    with pytest.raises(wardens.NotStarted) as caught:
        warden.router.spawn(code)
    assert caught.value.step == "slot"
    living[1].kill()
    living[1].exited()
    again = warden.router.spawn(code, env={"PROBE": "sleep"})
    assert again.handle.slot == living[1].handle.slot and again.handle.generation > living[1].handle.generation
    for sandbox in (living[0], living[2], again):
        sandbox.kill()
        sandbox.exited()


def test_a_stale_handle_does_nothing(new_warden, probe_zip, code):
    warden = new_warden(sandboxes_max=1, drain_ms_max=100).serving()
    warden.router.unpack(probe_zip)
    first = warden.router.spawn(code, env={"PROBE": "exit"})
    first.exited()
    second = warden.router.spawn(code, env={"PROBE": "sleep"})
    assert second.line() == "here" and second.handle.slot == first.handle.slot
    for op in (wardens.KILL, wardens.FREEZE, wardens.THAW, wardens.HOLD):
        warden.router.ask(op, first.handle)
    with pytest.raises(TimeoutError):
        warden.router.expect(EXITED, seconds=0.3)
    second.kill()
    assert second.exited().kind == EXIT_KILLED


def test_many_at_once(new_warden, probe_zip, code):
    warden = new_warden(sandboxes_max=64, drain_ms_max=100).serving()
    warden.router.unpack(probe_zip)
    for _ in range(3):
        asked = [warden.router.spawn_asked(code, env={"PROBE": "exit", "ARGUMENT": i % 256}) for i in range(60)]
        for i, (ticket, log) in enumerate(asked):
            _, fds = warden.router.expect(SPAWNED, ticket)
            exited, _ = warden.router.expect(EXITED, ticket)
            assert outcome(exited) == (EXIT_STATUS, i, "")
            for fd in (*fds, log):
                os.close(fd)
    assert warden.leaves() == ["router"]


def test_a_router_that_does_not_read_gets_all_of_it_later(new_warden, probe_zip, code):
    warden = new_warden(sandboxes_max=200, drain_ms_max=100).serving()
    warden.router.unpack(probe_zip)
    os.kill(warden.router.pid, signal.SIGSTOP)  # its socket fills
    asked = [warden.router.spawn_asked(code, env={"PROBE": "exit"}) for _ in range(100)]
    time.sleep(0.2)
    os.kill(warden.router.pid, signal.SIGCONT)
    for ticket, log in asked:
        _, fds = warden.router.expect(SPAWNED, ticket)
        warden.router.expect(EXITED, ticket)
        for fd in (*fds, log):
            os.close(fd)


def test_a_pack_has_its_folder_and_binds(new_warden, probe_zip, code, tmp_path):
    folder, extra = tmp_path / "pack", tmp_path / "some" / "place"
    folder.mkdir()
    extra.mkdir(parents=True)
    (folder / "bootstrap.py").write_text("x")
    (extra / "file").write_text("there\n")
    script = 'ls /var/runtime; cat "$0/file"; echo x > "$0/file"'
    spec = wardens.pack("shell", ["/bin/sh", "-c", script, str(extra)], folder=str(folder), binds=[str(extra), "/usr/bin"])
    warden = new_warden(packs=[spec], drain_ms_max=100).serving()
    warden.router.unpack(probe_zip)
    text, exited = run(warden, code)
    assert text.splitlines()[:2] == ["bootstrap.py", "there"]
    assert "Read-only file system" in text
    assert (extra / "file").read_text() == "there\n"


def test_the_host_sees_no_mount_of_it(warden, code):
    def mounts():
        with open("/proc/self/mountinfo") as table:
            return table.read()

    before = mounts()
    sandbox = warden.router.spawn(code, env={"PROBE": "sleep"})
    assert sandbox.line() == "here"
    assert mounts() == before
    sandbox.kill()
    sandbox.exited()


def test_dev_stdout_and_stderr_are_the_log(warden):
    content = zip_of({"bootstrap": (b"#!/bin/sh\necho a >/dev/stdout\necho b >/dev/stderr\necho c >/proc/self/fd/2\n", 0o755)})
    assert warden.router.unpack(content).answer == UNPACK_DONE
    text, _ = run(warden, wardens.digest_of(content))
    assert text == "a\nb\nc\n"
