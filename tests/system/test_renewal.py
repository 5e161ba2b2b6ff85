"""SIGHUP and the certificate: what the files have then counts from then on, for routers that are started later, too."""

import ctypes
import os
import signal
import subprocess

import pytest
import warden as wardens

from harness.daemon import Daemon, descendants
from harness.pki import Authority, common_name
from harness.rawhttp import Peer, request


class Renewed(ctypes.Structure):
    _fields_ = [("head", wardens.Head), ("is_taken", wardens.U32), ("reserved", wardens.U32)]


# ---- the warden, with a router that the test plays ----


@pytest.fixture
def with_files(new_warden, tmp_path):
    """The warden copies what it is told to: what is in it is the router's business."""
    cert, key = tmp_path / "cert", tmp_path / "key"
    cert.write_bytes(b"first cert")
    key.write_bytes(b"first key")
    key.chmod(0o600)
    return new_warden(drain_ms_max=100, tls_cert=str(cert).encode(), tls_key=str(key).encode(), tls=(cert, key)).serving(), cert, key


def born_with(warden):
    """What the router that lives now was given at its birth."""
    return tuple(open(f"/proc/{warden.router.pid}/fd/{fd}", "rb").read() for fd in (6, 7))


def offered(warden, seconds=wardens.SECONDS):
    _, fds = warden.router.expect(wardens.RENEW, seconds=seconds)
    contents = tuple(os.pread(fd, 1000, 0) for fd in fds)
    for fd in fds:
        with pytest.raises(OSError):
            os.write(fd, b"x")
        os.close(fd)
    return contents


def answer(warden, is_taken):
    warden.router.say(Renewed(head=wardens.Head(op=wardens.RENEWED), is_taken=is_taken))


def test_the_files_are_copied_for_the_router_and_count_if_it_takes_them(with_files):
    warden, cert, key = with_files
    assert born_with(warden) == (b"first cert", b"first key")
    cert.write_bytes(b"second cert")
    key.write_bytes(b"second key")
    warden.process.send_signal(signal.SIGHUP)
    assert offered(warden) == (b"second cert", b"second key")
    for _ in range(5):  # one more in all, and only after the answer
        warden.process.send_signal(signal.SIGHUP)
    with pytest.raises(TimeoutError):
        offered(warden, seconds=0.3)
    cert.write_bytes(b"third cert")
    answer(warden, 1)
    assert offered(warden) == (b"third cert", b"second key")
    answer(warden, 0)  # they do not fit
    with pytest.raises(TimeoutError):
        offered(warden, seconds=0.3)
    os.kill(warden.router.pid, signal.SIGKILL)
    warden.next_router().ready()
    assert born_with(warden) == (b"second cert", b"second key")


def test_what_a_router_died_with_is_offered_to_the_next(with_files):
    warden, cert, _ = with_files
    cert.write_bytes(b"second cert")
    warden.process.send_signal(signal.SIGHUP)
    offered(warden)
    os.kill(warden.router.pid, signal.SIGKILL)
    warden.next_router().ready()
    assert born_with(warden) == (b"first cert", b"first key")
    assert offered(warden) == (b"second cert", b"first key")
    answer(warden, 1)


def test_a_file_that_cannot_be_read_is_not_offered(with_files):
    warden, cert, key = with_files
    key.unlink()
    warden.process.send_signal(signal.SIGHUP)
    with pytest.raises(TimeoutError):
        offered(warden, seconds=0.5)
    assert "certificate_kept" in warden.log() and str(key) in warden.log()
    key.write_bytes(b"third key")
    warden.process.send_signal(signal.SIGHUP)
    assert offered(warden) == (b"first cert", b"third key")
    answer(warden, 1)


@pytest.mark.parametrize("is_taken", [0, 1, 2])
def test_an_answer_that_nobody_asked_for_condemns_the_router(with_files, is_taken):
    warden, _, _ = with_files
    if is_taken == 2:
        warden.process.send_signal(signal.SIGHUP)
        offered(warden)
    answer(warden, is_taken)
    warden.next_router()
    assert "impossible renewal" in warden.log()
    assert born_with(warden) == (b"first cert", b"first key")


def test_without_tls_there_is_nothing_to_offer(new_warden, tmp_path):
    (tmp_path / "ini").write_text("")
    warden = new_warden(drain_ms_max=100, config=str(tmp_path / "ini").encode()).serving()
    assert born_with(warden) == (b"", b"")
    warden.process.send_signal(signal.SIGHUP)
    warden.router.expect(wardens.REREAD)
    with pytest.raises(TimeoutError):
        offered(warden, seconds=0.3)


# ---- the whole daemon ----


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def secure(authority, tmp_path):
    """A daemon over two files that the tests may overwrite; its clients are told no lies and lose nothing."""
    paths = tmp_path / "cert.pem", tmp_path / "key.pem"
    install(paths, authority.issue("first"))
    one = Daemon("--tls-cert", str(paths[0]), "--tls-key", str(paths[1]), "--drain", "5").start()
    one.files = paths
    yield one
    assert one.stop() == 0, one.log()
    left = one.leftovers()
    assert not any(left.values()), left
    one.forget()


def install(paths, pair):
    for path, source in zip(paths, pair):
        path.write_bytes(source.read_bytes())
        path.chmod(0o600)  # root's alone


def name_of(daemon, authority):
    with Peer(daemon.port, tls=authority.context()) as peer:
        assert peer.send(request("GET", "/")).answer().status == 200
        return common_name(peer.socket)


def hang_up(daemon, eventually, word):
    before = daemon.log().count(word)
    daemon.process.send_signal(signal.SIGHUP)
    eventually(lambda: daemon.log().count(word) > before)


def test_sighup_renews_and_a_wrong_pair_changes_nothing(secure, authority, eventually):
    assert name_of(secure, authority) == "first"
    with Peer(secure.port, tls=authority.context()) as old:
        assert old.send(request("GET", "/")).answer().status == 200
        install(secure.files, authority.issue("second"))
        hang_up(secure, eventually, "certificate_renewed")
        assert name_of(secure, authority) == "second"
        assert old.send(request("GET", "/")).answer().status == 200, "open connections go on"
    install(secure.files[:1], authority.issue("third")[:1])  # half a renewal
    hang_up(secure, eventually, "certificate_kept")
    assert "another key than the certificate" in secure.log()
    assert name_of(secure, authority) == "second"
    # A router that is started later has the last good one, whatever is in the files.
    (router,) = [pid for pid, line in descendants(secure.process.pid).items() if "mayfly router" in line]
    os.kill(router, signal.SIGKILL)
    eventually(lambda: secure.log().count("router_ready") == 2)
    assert name_of(secure, authority) == "second"
    install(secure.files, authority.issue("third"))
    hang_up(secure, eventually, "certificate_renewed")
    assert name_of(secure, authority) == "third"
    assert "settings_kept" not in secure.log(), "there is no settings file, and that is no fault"


def test_the_next_version_reads_the_files_again(secure, authority, eventually):
    install(secure.files, authority.issue("next"))
    assert name_of(secure, authority) == "first"
    secure.process.send_signal(signal.SIGUSR2)
    eventually(lambda: secure.log().count("Ready. http://") == 2, seconds=30)
    assert name_of(secure, authority) == "next"


def test_one_that_ends_soon_is_said(secure, authority, eventually):
    assert "certificate_expires_soon" not in secure.log()
    install(secure.files, authority.issue("short", days=3))
    hang_up(secure, eventually, "certificate_expires_soon")


def test_nobody_but_root_reads_the_key(secure):
    (router,) = [pid for pid, line in descendants(secure.process.pid).items() if "mayfly router" in line]
    for path in secure.files:
        done = subprocess.run(["setpriv", "--reuid", "64100", "--regid", "64100", "--clear-groups", "cat", path], capture_output=True)
        assert done.returncode != 0
    links = [os.readlink(f"/proc/{router}/fd/{fd}") for fd in os.listdir(f"/proc/{router}/fd")]
    assert not [link for link in links if "memfd:file" in link], "what it was given is closed once it was read"
