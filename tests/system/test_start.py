"""How a warden starts, refuses to, drains and ends; and who the router is that it starts."""

import mmap
import os
import pathlib
import signal
import socket
import stat
import struct
import subprocess
import time

import pytest
import warden as wardens
from harness.zips import zip_of
from warden import EXIT_STATUS, UNPACK_DONE


def refuses(warden, boot=None):
    """It leaves by itself with a status that says so; what it said."""
    warden.start(boot)
    assert warden.process.wait(10) == 1
    return warden.log()


def test_ready_is_one_line_with_the_address(new_warden):
    warden = new_warden(drain_ms_max=0).start()
    router = warden.next_router()
    with pytest.raises(TimeoutError):
        warden.line(seconds=0.1)
    router.ready()
    assert warden.line() == f"Ready. http://127.0.0.1:{warden.port}"
    assert warden.stop() == 0
    assert warden.process.stdout.read() == b""


def test_port_0_is_told_as_what_it_became(new_warden):
    warden = new_warden(listen=b"127.0.0.1:0", drain_ms_max=0).start()
    warden.next_router().ready()
    line = warden.line()
    port = int(line.rpartition(":")[2])
    assert line == f"Ready. http://127.0.0.1:{port}" and port > 0
    socket.create_connection(("127.0.0.1", port), timeout=5).close()


def test_the_data_directory_is_made_as_documented(new_warden):
    warden = new_warden(drain_ms_max=0)
    warden.data = warden.home / "some" / "where" / "data"
    warden.serving()
    modes = {
        str(path.relative_to(warden.data)): (stat.S_IMODE(path.stat().st_mode), path.stat().st_uid)
        for path in (warden.data, *warden.data.rglob("*"))
        if path.is_dir()
    }
    assert modes == {
        ".": (0o711, 0),
        "router": (0o700, wardens.BASE_UIDS["router_uid"]),
        "code": (0o700, 0),
        "code/tmp": (0o700, 0),
        "root": (0o700, 0),
    }


def test_leftovers_of_an_earlier_one_are_swept(new_warden):
    warden = new_warden(drain_ms_max=0)
    (warden.data / "code" / "tmp" / "7" / "deep").mkdir(parents=True)
    (warden.data / "code" / "tmp" / "7" / "deep" / "file").write_text("x")
    (warden.data / "code" / ("ab" * 32)).mkdir()
    warden.serving()
    assert os.listdir(warden.data / "code" / "tmp") == []
    assert (warden.data / "code" / ("ab" * 32)).exists()


def test_a_second_one_of_the_same_directory_is_refused(new_warden):
    first = new_warden(drain_ms_max=0).serving()
    second = new_warden(data=first.data)
    log = refuses(second)
    assert "data_directory_in_use" in log and str(first.data) in log
    assert first.process.poll() is None
    second.data = second.home  # nothing of it is the second's


def test_an_address_in_use_is_refused(new_warden):
    first = new_warden(drain_ms_max=0).serving()
    log = refuses(new_warden(port=first.port))
    assert "EADDRINUSE" in log and "binding the address" in log


@pytest.mark.parametrize("address", [b"nonsense", b"localhost:80", b"1.2.3.4:x", b"127.0.0.1:99999"])
def test_an_address_that_is_none_is_refused(new_warden, address):
    assert "binding the address" in refuses(new_warden(listen=address))


def test_a_boot_struct_of_another_version_is_refused(new_warden):
    one = new_warden()
    boot = bytearray(one.boot())
    struct.pack_into("<I", boot, 4, 99)
    assert "different versions" in refuses(one, bytes(boot))


def test_a_boot_struct_of_another_size_is_refused(new_warden):
    one = new_warden()
    assert "another version" in refuses(one, one.boot()[:-1])


def test_a_missing_program_is_refused(new_warden):
    one = new_warden()
    (one.home / "libexec" / "mayfly-unpack").unlink()
    assert "mayfly-unpack" in refuses(one)


def test_without_its_descriptors_it_says_who_starts_it():
    done = subprocess.run([str(wardens.BUILD / "mayfly-warden")], capture_output=True, text=True, timeout=10, stdin=subprocess.DEVNULL)
    assert done.returncode == 1 and "mayfly serve" in done.stderr


def test_somebody_elses_directory_is_refused(new_warden):
    one = new_warden()
    one.data.mkdir()
    os.chown(one.data, 12345, 12345)
    assert "taking the data directory" in refuses(one)
    assert one.data.stat().st_uid == 12345


# ---- the end ----


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_leaves_nothing(new_warden, probe_zip, code, number):
    warden = new_warden(drain_ms_max=20000).serving()
    warden.router.unpack(probe_zip)
    sandbox = warden.router.spawn(code, env={"PROBE": "sleeper"})
    warden.process.send_signal(number)
    warden.router.expect(wardens.DRAIN)
    # what is in flight goes on, and may need another sandbox
    other = warden.router.spawn(code, env={"PROBE": "exit", "ARGUMENT": 5})
    assert other.exited().value == 5
    assert warden.process.poll() is None
    warden.router.say(wardens.Head(op=wardens.DRAINED))
    assert warden.process.wait(10) == 0
    left = warden.leftovers(seconds=0)  # at once: it was waited for
    assert not any(left.values()), left
    sandbox.close()


def test_a_drain_that_takes_too_long_is_ended(new_warden, probe_zip, code):
    warden = new_warden(drain_ms_max=300).serving()
    warden.router.unpack(probe_zip)
    warden.router.spawn(code, env={"PROBE": "sleeper"})
    began = time.monotonic()
    assert warden.stop() == 0
    assert 0.25 <= time.monotonic() - began <= 5


def test_a_second_signal_does_not_wait(new_warden):
    warden = new_warden(drain_ms_max=60000).serving()
    warden.process.send_signal(signal.SIGTERM)
    warden.router.expect(wardens.DRAIN)
    began = time.monotonic()
    assert warden.stop() == 0
    assert time.monotonic() - began <= 5


def test_a_router_that_dies_while_it_drains_is_enough(new_warden):
    warden = new_warden(drain_ms_max=60000).serving()
    warden.process.send_signal(signal.SIGTERM)
    warden.router.expect(wardens.DRAIN)
    os.kill(warden.router.pid, signal.SIGKILL)
    assert warden.process.wait(10) == 0


def test_a_signal_at_boot_is_obeyed(new_warden):
    warden = new_warden(drain_ms_max=60000).start()
    router = warden.next_router()
    warden.process.send_signal(signal.SIGTERM)
    router.expect(wardens.DRAIN)
    router.ready()  # its word and ours crossed
    router.say(wardens.Head(op=wardens.DRAINED))
    assert warden.process.wait(10) == 0


def test_a_daemon_that_ended_starts_again_with_all_its_code(new_warden, probe_zip, code):
    warden = new_warden(drain_ms_max=0).serving()
    warden.router.unpack(probe_zip)
    assert warden.stop() == 0
    warden.router.close()
    warden.process.stdout.close()
    warden.serving()
    assert warden.router.spawn(code, env={"PROBE": "exit", "ARGUMENT": 1}).exited().value == 1


# ---- the router ----


def test_the_router_has_no_rights(new_warden):
    warden = new_warden(drain_ms_max=0).serving()
    pid = warden.router.pid
    status = dict(line.split(":\t", 1) for line in open(f"/proc/{pid}/status").read().splitlines())
    uid = str(wardens.BASE_UIDS["router_uid"])
    assert status["Uid"].split() == [uid] * 4 and status["Gid"].split() == [uid] * 4
    assert status["Groups"].split() == [] and status["NoNewPrivs"] == "1"
    assert all(int(status[kind], 16) == 0 for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"))
    assert int(status["SigBlk"], 16) == 0 and int(status["SigIgn"], 16) == 0
    assert os.readlink(f"/proc/{pid}/cwd") == str(warden.data / "router")
    assert open(f"/proc/{pid}/cmdline").read().split("\0")[:2] == ["mayfly", "router"]
    environment = open(f"/proc/{pid}/environ").read()
    assert "PATH=" in environment and not any(name in environment for name in ("HOME=", "PWD=", "AWS_", "MAYFLY_"))


def test_the_router_is_born_with_eight_descriptors(new_warden):
    warden = new_warden(drain_ms_max=0).serving()
    folder = pathlib.Path(f"/proc/{warden.router.pid}/fd")
    fds = {int(fd.name): os.readlink(fd) for fd in folder.iterdir()}
    control = max(fds)  # fake_router's own, to the test
    assert set(fds) - {control} == {0, 1, 2, 3, 4, 5, 6, 7}
    assert fds[6] == fds[7] == "/dev/null"  # certificate and key, where there are some
    assert fds[0] == "/dev/null" and fds[1] == fds[2] == str(warden.log_path)
    assert fds[3].startswith("socket:") and fds[4].startswith("socket:") and fds[5].startswith("/memfd:")
    inode = fds[4].removeprefix("socket:[").rstrip("]")
    rows = [line.split() for line in open("/proc/net/tcp").read().splitlines()[1:]]
    (row,) = [row for row in rows if row[9] == inode]
    assert row[1] == f"0100007F:{warden.port:04X}" and row[3] == "0A"  # it listens


def test_a_sandboxes_files_are_closed_to_the_router_and_the_world(new_warden, probe_zip):
    warden = new_warden(drain_ms_max=0).serving()
    assert warden.router.unpack(probe_zip).answer == UNPACK_DONE
    nobody = subprocess.run(["ls", str(warden.data / "code")], capture_output=True, user=wardens.BASE_UIDS["router_uid"], group=wardens.BASE_UIDS["router_uid"], extra_groups=[])
    assert nobody.returncode != 0 and b"Permission denied" in nobody.stderr


# ---- laws ----


def test_nothing_is_allocated_after_start(new_warden, programs, probe_zip, code, monkeypatch, tmp_path):
    libraries = subprocess.run(["ldd", wardens.BUILD / "mayfly-warden"], capture_output=True).stdout
    if b"libasan" in libraries:
        pytest.skip("the sanitizer has the heap: counted in the release build")
    warden = new_warden(drain_ms_max=0)
    if b"libc.so" not in libraries:  # nothing can be preloaded into it: into its twin, of the same objects
        subprocess.run(["ninja", "-C", wardens.BUILD, "warden_dynamic_test"], check=True, capture_output=True, timeout=120)
        warden.program = wardens.BUILD / "warden_dynamic_test"
    counter = tmp_path / "counter"
    counter.write_bytes(b"\0" * 8)
    monkeypatch.setenv("LD_PRELOAD", str(programs / "malloc_spy.so"))
    monkeypatch.setenv("MALLOC_SPY", str(counter))
    warden.serving()
    monkeypatch.undo()
    with open(counter, "r+b") as file, mmap.mmap(file.fileno(), 8) as shared:
        before = struct.unpack("<Q", shared)[0]
        assert before > 0, "the spy is blind"
        assert warden.router.unpack(probe_zip).answer == UNPACK_DONE
        warden.router.unpack(b"no zip")
        sandbox = warden.router.spawn(code, env={"PROBE": "sleep"})
        warden.router.ask(wardens.FREEZE, sandbox.handle)
        warden.router.ask(wardens.THAW, sandbox.handle)
        assert warden.router.spawn(code, env={"PROBE": "exit"}).exited().kind == EXIT_STATUS
        with pytest.raises(wardens.NotStarted):
            warden.router.spawn(b"\1" * 32)
        sandbox.kill()
        sandbox.exited()
        warden.router.forget(code)
        assert warden.router.unpack(zip_of({"x": b"y"})).answer == UNPACK_DONE
        os.kill(warden.named("mayfly-janitor")[0], signal.SIGKILL)
        os.kill(warden.router.pid, signal.SIGKILL)
        warden.next_router().ready()
        warden.router.say(wardens.Head(op=99))
        warden.next_router().ready()
        assert struct.unpack("<Q", shared)[0] == before


def test_it_is_one_thread(new_warden):
    warden = new_warden(drain_ms_max=0).serving()
    assert len(os.listdir(f"/proc/{warden.process.pid}/task")) == 1


def test_it_never_leaves_the_hosts_namespaces_nor_changes_its_mounts(new_warden, probe_zip, code):
    def mounts():
        return open("/proc/self/mountinfo").read()

    before = mounts()
    warden = new_warden(drain_ms_max=0).serving()
    warden.router.unpack(probe_zip)
    sandbox = warden.router.spawn(code, env={"PROBE": "sleep"})
    for kind in ("mnt", "net", "pid", "ipc", "uts", "cgroup", "user"):
        assert os.readlink(f"/proc/{warden.process.pid}/ns/{kind}") == os.readlink(f"/proc/self/ns/{kind}")
    assert mounts() == before
    sandbox.kill()
    sandbox.exited()


def test_doctor_finds_this_host_fit():
    done = subprocess.run([str(wardens.BUILD / "mayfly"), "doctor", "-o", "json"], capture_output=True, text=True, timeout=20)
    import json

    findings = {finding["check"]: finding for finding in json.loads(done.stdout)}
    assert done.returncode == 0, done.stdout
    assert {"rights", "namespaces", "cgroup controllers", "cgroup use", "seccomp", "system calls", "data directory"} <= set(findings)
    assert all(finding["verdict"] in ("ok", "warn") for finding in findings.values())


def test_doctor_says_what_rights_are_missing():
    nobody = {"user": 65534, "group": 65534, "extra_groups": []}
    done = subprocess.run([str(wardens.BUILD / "mayfly"), "doctor"], capture_output=True, text=True, timeout=20, **nobody)
    assert done.returncode == 1
    assert "fail  rights" in done.stdout and "as root" in done.stdout and "cannot run here" in done.stdout
