"""ZIPs that mean well and ZIPs that do not; what is in the code directory afterwards."""

import io
import os
import signal
import stat
import struct
import zipfile

import pytest
import warden as wardens
from harness.zips import zip_of
from warden import UNPACK_DONE, UNPACK_FAULT, UNPACK_NOT_A_ZIP, UNPACK_TOO_LARGE, digest_of

LINK, DEVICE, FIFO, SOCKET = stat.S_IFLNK | 0o777, stat.S_IFCHR | 0o666, stat.S_IFIFO | 0o666, stat.S_IFSOCK | 0o666


@pytest.fixture(scope="module")
def warden(request, new_warden_for):
    return new_warden_for(request.addfinalizer, drain_ms_max=100).serving()


def place(warden, content):
    return warden.data / "code" / digest_of(content).hex()


def code_folder(warden):
    return sorted(name for name in os.listdir(warden.data / "code") if name != "tmp")


def test_what_is_in_it_comes_out(warden):
    content = zip_of(
        {
            "handler.py": b"x" * 100,
            "bin/tool": (b"#!/bin/sh\n", 0o700),
            "secret": (b"s", 0o600),
            "empty/": (b"", stat.S_IFDIR | 0o700),
            "deep/er/file": b"d",
            "wide open": (b"w", 0o777),
            "link": (b"bin/tool", LINK),
            "ünï.txt": b"u",
        }
    )
    unpacked = warden.router.unpack(content)
    assert (unpacked.answer, unpacked.bytes) == (UNPACK_DONE, 100 + 10 + 1 + 1 + 1 + 1)
    top = place(warden, content)
    assert (top / "handler.py").read_bytes() == b"x" * 100
    assert os.readlink(top / "link") == "bin/tool"
    modes = {}
    for folder, folders, files in os.walk(top):
        for name in (*folders, *files):
            path = os.path.join(folder, name)
            st = os.lstat(path)
            assert (st.st_uid, st.st_gid) == (0, 0), path
            if not stat.S_ISLNK(st.st_mode):
                modes[os.path.relpath(path, top)] = stat.S_IMODE(st.st_mode)
    assert modes == {
        "handler.py": 0o644,
        "bin": 0o755,
        "bin/tool": 0o755,
        "secret": 0o644,  # the function reads it as another user
        "empty": 0o755,
        "deep": 0o755,
        "deep/er": 0o755,
        "deep/er/file": 0o644,
        "wide open": 0o755,
        "ünï.txt": 0o644,
    }
    assert stat.S_IMODE(top.stat().st_mode) == 0o755
    assert int((top / "handler.py").stat().st_mtime) == 1704067200  # what it says, in UTC


def test_the_same_again_is_done_and_counted(warden):
    content = zip_of({"a": b"12345", "d/b": b"678"})
    for _ in range(3):
        unpacked = warden.router.unpack(content)
        assert (unpacked.answer, unpacked.bytes) == (UNPACK_DONE, 8)


def test_the_same_twice_at_once_are_both_answered(warden):
    content = zip_of({"a": b"x" * 100000})
    tickets = [warden.router.unpack_asked(content) for _ in range(20)]
    for ticket in tickets:
        unpacked, _ = warden.router.expect(wardens.UNPACKED, ticket)
        assert (unpacked.answer, unpacked.bytes) == (UNPACK_DONE, 100000)
    assert os.listdir(warden.data / "code" / "tmp") == []


def test_more_than_can_wait_are_refused_and_none_is_forgotten(warden):
    contents = [zip_of({"n": b"%d" % i}) for i in range(200)]
    tickets = [warden.router.unpack_asked(content) for content in contents]
    answers = []
    for ticket in tickets:
        unpacked, _ = warden.router.expect(wardens.UNPACKED, ticket, seconds=60)
        answers.append((unpacked.answer, os.strerror(unpacked.error) if unpacked.error else ""))
    refused = (UNPACK_FAULT, "Resource temporarily unavailable")
    assert set(answers) <= {(UNPACK_DONE, ""), refused}
    assert answers[:100] == [(UNPACK_DONE, "")] * 100
    for content, answer in zip(contents, answers):
        assert place(warden, content).is_dir() == (answer != refused)


def patched(entries, find, replace):
    """A ZIP whose names were changed afterwards: what zipfile would not write."""
    content = zip_of(entries)
    assert content.count(find) >= 2 and len(find) == len(replace)
    return content.replace(find, replace)


def encrypted():
    content = bytearray(zip_of({"a": b"x"}))
    local, central = content.find(b"PK\3\4"), content.find(b"PK\1\2")
    content[local + 6] |= 1
    content[central + 8] |= 1
    return bytes(content)


def lying(size):
    """The central directory says another size than what comes out."""
    content = bytearray(zip_of({"a": b"x" * 1000}))
    central = content.find(b"PK\1\2")
    struct.pack_into("<I", content, central + 24, size)
    return bytes(content)


GOOD = zip_of({"a": b"abc" * 1000, "b": b"d"})

HOSTILE = {
    "nothing": b"",
    "text": b"this is not a zip" * 100,
    "zeros": b"\0" * 10000,
    "a tar": b"a".ljust(257, b"\0") + b"ustar\x0000".ljust(1000, b"\0"),
    "cut in half": GOOD[: len(GOOD) // 2],
    "cut at the end": GOOD[:-10],
    "without its beginning": GOOD[50:],
    "the end alone": GOOD[GOOD.find(b"PK\5\6") :][:4].ljust(22, b"\xff"),
    "noise in the data": GOOD[:45] + b"\xff\xff\xff" + GOOD[48:],
    "up": patched({"xx/evil": b"x"}, b"xx/evil", b"../evil"),
    "up in the middle": patched({"aa/xx/xx/evil": b"x"}, b"aa/xx/xx/evil", b"aa/../../evil"),
    "up at the end": zip_of({"aa/..": b"x"}),
    "absolute": patched({"xetc/evil": b"x"}, b"xetc/evil", b"/etc/evil"),
    "through a link": zip_of({"d": (b"/tmp", LINK), "d/evil": b"x"}),
    "through a link up": zip_of({"d": (b"..", LINK), "d/evil": b"x"}),
    "through two links": zip_of({"d": (b"e", LINK), "e": (b"/", LINK), "d/evil": b"x"}),
    "a device": zip_of({"null": (b"", DEVICE)}),
    "a socket": zip_of({"socket": (b"", SOCKET)}),
    "encrypted": encrypted(),
    "too deep": zip_of({"d/" * 61 + "f": b"x"}),
    "no name": patched({"x": b"y"}, b"x", b"/"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_one_is_refused_and_leaves_nothing(warden, what):
    before = code_folder(warden)
    unpacked = warden.router.unpack(HOSTILE[what])
    assert (unpacked.answer, unpacked.error) == (UNPACK_NOT_A_ZIP, 0), unpacked.answer
    assert code_folder(warden) == before
    assert os.listdir(warden.data / "code" / "tmp") == []
    assert not os.path.exists("/tmp/evil") and not os.path.exists("/etc/evil")


def test_links_that_lead_out_are_only_links(warden):
    """Inside the sandbox they lead to the sandbox's own files; nobody else follows them."""
    content = zip_of({"passwd": (b"/etc/passwd", LINK), "up": (b"../../..", LINK), "file": b"x"})
    unpacked = warden.router.unpack(content)
    assert (unpacked.answer, unpacked.bytes) == (UNPACK_DONE, 1)
    assert os.readlink(place(warden, content) / "passwd") == "/etc/passwd"


def test_a_link_is_replaced_and_not_written_through(warden):
    target = warden.home / "target"
    target.write_text("kept")
    target.chmod(0o666)
    content = io.BytesIO()
    with pytest.warns(UserWarning), zipfile.ZipFile(content, "w") as archive:
        link = zipfile.ZipInfo("name")
        link.create_system, link.external_attr = 3, LINK << 16
        archive.writestr(link, str(target))
        archive.writestr("name", "overwritten")
    unpacked = warden.router.unpack(content.getvalue())
    assert unpacked.answer in (UNPACK_DONE, UNPACK_NOT_A_ZIP)
    assert target.read_text() == "kept"


def test_a_fifo_is_never_made(warden):
    """The library takes this type for a mistake of an old tool's, and the entry for a plain file."""
    content = zip_of({"fifo": (b"x", FIFO)})
    if warden.router.unpack(content).answer == UNPACK_DONE:
        assert stat.S_ISREG((place(warden, content) / "fifo").lstat().st_mode)


@pytest.mark.parametrize("bytes_max, answer", [(1999, UNPACK_TOO_LARGE), (2000, UNPACK_DONE)])
def test_bytes_are_bounded_exactly(warden, bytes_max, answer):
    content = zip_of({"a": b"x" * 1000, "b": b"y" * 1000, str(bytes_max): b""})
    assert warden.router.unpack(content, bytes_max=bytes_max).answer == answer
    assert place(warden, content).exists() == (answer == UNPACK_DONE)


@pytest.mark.parametrize("entries_max, answer", [(9, UNPACK_TOO_LARGE), (10, UNPACK_DONE)])
def test_entries_are_bounded_exactly(warden, entries_max, answer):
    content = zip_of({f"f{i}": b"%d" % entries_max for i in range(10)})
    assert warden.router.unpack(content, entries_max=entries_max).answer == answer


def test_a_bomb_does_not_go_off(warden):
    bomb = zip_of({f"{i}": b"\0" * (50 << 20) for i in range(10)})  # 500 MB in half a MB
    assert len(bomb) < 1 << 20
    unpacked = warden.router.unpack(bomb, bytes_max=60 << 20)
    assert unpacked.answer == UNPACK_TOO_LARGE
    assert os.listdir(warden.data / "code" / "tmp") == []


def test_a_lie_about_a_size_is_no_way_around_the_bound(warden):
    assert warden.router.unpack(lying(10), bytes_max=500).answer in (UNPACK_TOO_LARGE, UNPACK_NOT_A_ZIP)
    unpacked = warden.router.unpack(lying(2**31), bytes_max=5000)
    assert unpacked.answer in (UNPACK_TOO_LARGE, UNPACK_NOT_A_ZIP) or unpacked.bytes == 1000  # what came out


def test_what_stands_before_the_zip_does_not_matter(warden):
    """Self-extracting archives and the like: the directory is at the end."""
    content = b"#!/bin/sh\nexit 1\n" + zip_of({"a": b"sfx"})
    unpacked = warden.router.unpack(content)
    assert (unpacked.answer, unpacked.bytes) == (UNPACK_DONE, 3)


def test_the_file_may_be_read_anywhere(warden):
    content = zip_of({"a": b"position"})
    fd = wardens.sealed(content)
    os.lseek(fd, 0, os.SEEK_END)
    assert warden.router.unpack(content, fd=fd).answer == UNPACK_DONE
    os.close(fd)


def test_forgotten_code_is_removed_and_can_come_again(warden):
    content = zip_of({f"d{i % 10}/{i}": b"x" * 100 for i in range(500)})
    for _ in range(2):
        assert warden.router.unpack(content).answer == UNPACK_DONE
        assert place(warden, content).exists()
        warden.router.forget(digest_of(content))
        other = zip_of({"marker": b"x"})
        warden.router.unpack(other)  # the forget before it has been done
        assert not place(warden, content).exists()
    warden.router.forget(digest_of(content))  # twice is no offence
    warden.router.forget(b"\7" * 32)
    assert warden.router.unpack(zip_of({"after": b"x"})).answer == UNPACK_DONE


def test_many_forgets_leave_no_trash(warden, eventually):
    contents = [zip_of({"f": b"%d" % i}) for i in range(60)]
    for content in contents:
        assert warden.router.unpack(content).answer == UNPACK_DONE
    for content in contents:
        warden.router.forget(digest_of(content))
    eventually(lambda: not any(place(warden, content).exists() for content in contents))
    eventually(lambda: os.listdir(warden.data / "code" / "tmp") == [])


def test_a_full_disk_is_a_fault_with_its_name(new_warden, tmp_path):
    """A small file system as the data directory, in a mount of the test's own."""
    import subprocess

    data = tmp_path / "small"
    data.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=755", "tmpfs", data], check=True)
    try:
        warden = new_warden(data=data, drain_ms_max=100).serving()
        unpacked = warden.router.unpack(zip_of({"big": os.urandom(4 << 20)}))
        assert (unpacked.answer, os.strerror(unpacked.error)) == (UNPACK_FAULT, "No space left on device")
        assert warden.router.unpack(zip_of({"small": b"x"})).answer == UNPACK_DONE
        assert warden.stop() == 0
    finally:
        subprocess.run(["umount", data], check=True)


def test_an_unpacker_is_jailed(warden, eventually):
    """Stopped in the middle of a ZIP that takes long, and looked at from outside."""
    slow = zip_of({f"jailed {i}": b"\0" * (48 << 20) for i in range(4)})
    ticket = warden.router.unpack_asked(slow)

    def stopped():
        pid = warden.job_processes().get("mayfly-unpack")
        if pid:
            os.kill(pid, signal.SIGSTOP)
        return pid

    pid = eventually(stopped, pause=0)
    try:
        text = open(f"/proc/{pid}/status").read()
        mounts = open(f"/proc/{pid}/mountinfo").read()
        fds = sorted(int(fd) for fd in os.listdir(f"/proc/{pid}/fd"))
        apart = {kind: os.readlink(f"/proc/{pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}") for kind in ("net", "mnt", "pid", "ipc", "uts")}
        interfaces = [line.split(":")[0].strip() for line in open(f"/proc/{pid}/net/dev").read().splitlines()[2:]]
    finally:
        os.kill(pid, signal.SIGCONT)
    assert warden.router.expect(wardens.UNPACKED, ticket)[0].answer == UNPACK_DONE
    warden.router.forget(digest_of(slow))

    status = dict(line.split(":\t", 1) for line in text.splitlines())
    uid = str(wardens.BASE_UIDS["unpack_uid"])
    assert status["Uid"].split() == [uid] * 4 and status["Gid"].split() == [uid] * 4
    assert status["Groups"].strip() == "" and status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    assert all(int(status[kind], 16) == 0 for kind in ("CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb"))
    assert all(apart.values()), apart
    assert interfaces == ["lo"]
    assert set(fds) <= {0, 1, 2, 3}  # 3: a file it reads or writes just now
    rows = [line.split() for line in mounts.splitlines()]
    devices = {f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom")}
    assert {row[4] for row in rows if row[5].startswith("rw")} == devices | {"/proc", "/out"}
    assert {row[5] for row in rows if row[4] == "/out"} == {"rw,nosuid,nodev,noexec,relatime"}
    assert "/var/task" not in mounts and "/tmp" not in {row[4] for row in rows}
