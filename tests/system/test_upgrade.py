"""Draining, and one daemon replacing another behind the same socket: no client sees a refused connection or a failure."""

import concurrent.futures
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from harness.daemon import Daemon, binary, cgroup_name, cgroups, descendants, free_port, unified_tree
from harness.sdk import SIGNED

SLEEPER = """
import os, time
def handler(event, context):
    time.sleep(event.get("seconds", 0))
    return {"slept": event.get("seconds", 0)}
"""

CALLER = SIGNED + """
import json, time
def handler(event, context):
    time.sleep(event["seconds"])
    path = "/2015-03-31/functions/" + event["name"] + "/invocations"
    with urllib.request.urlopen(signed("lambda", path, b'{"from": "inside"}')) as answer:
        return json.load(answer)
"""


@pytest.fixture
def started():
    """started(flags…): a daemon that must end with status 0 and leave nothing."""
    made = []

    def start(*flags, **options):
        one = Daemon(*flags, **options).start()
        made.append(one)
        return one

    yield start
    for one in made:
        if one.process.poll() is None:
            assert one.stop() == 0, one.log()[-3000:]
        left = one.leftovers()
        assert not any(left.values()), left
        one.forget()


def path_of(name):
    return f"/2015-03-31/functions/{name}/invocations"


class Client(threading.Thread):
    """Invokes in a loop, each time on a new connection or always on one for as long as the daemon keeps it."""

    def __init__(self, daemon, name, keeps):
        super().__init__()
        self.daemon_under_test, self.name_of_function, self.keeps = daemon, name, keeps
        self.done, self.problems, self.longest = 0, [], 0.0
        self.over = threading.Event()

    def run(self):
        connection = None
        while not self.over.is_set():
            began = time.monotonic()
            try:
                if connection is None:
                    connection = http.client.HTTPConnection("127.0.0.1", self.daemon_under_test.port, timeout=40)
                body = json.dumps({"n": self.done})
                connection.request("POST", path_of(self.name_of_function), body)
                answer = connection.getresponse()
                content = answer.read().decode()
                if answer.status != 200 or json.loads(content) != json.loads(body) or answer.headers["X-Amz-Function-Error"]:
                    self.problems.append((answer.status, content))
                if not self.keeps or answer.will_close:
                    connection.close()
                    connection = None
            except OSError as error:
                self.problems.append(repr(error))
                connection = None
            except http.client.HTTPException as error:
                self.problems.append(repr(error))
                connection = None
            self.longest = max(self.longest, time.monotonic() - began)
            self.done += 1

    def finish(self):
        self.over.set()
        self.join(60)
        assert not self.is_alive()


def ready_count(daemon):
    return daemon.log().count("\nReady.") + daemon.log().startswith("Ready.")


def replace(daemon, eventually, seconds=30):
    before = ready_count(daemon)
    daemon.process.send_signal(signal.SIGUSR2)
    eventually(lambda: ready_count(daemon) > before, seconds=seconds)


# ---- SIGTERM ----


def test_a_drain_ends_at_its_bound_with_status_0(started, aws_of):
    one = started("--drain", "1")
    functions = aws_of(one).functions()
    name = functions.create(SLEEPER, Timeout=60)["FunctionName"]
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(ask, one, name, {"seconds": 50})
        wait_for_work(one)
        began = time.monotonic()
        assert one.stop() == 0
        assert 0.9 < time.monotonic() - began < 15
        with pytest.raises((OSError, http.client.HTTPException)):  # closed, not left open
            future.result(10)


def ask(daemon, name, event):
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=60)
    connection.request("POST", path_of(name), json.dumps(event))
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def wait_for_work(daemon):
    """Until an invocation is in flight, as the daemon itself says."""
    deadline = time.monotonic() + 20
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=20)
        connection.request("GET", "/_mayfly/status")
        if json.loads(connection.getresponse().read())["counters"]["busy"]:
            return
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_function_in_flight_still_has_its_endpoint_while_the_daemon_drains(started, aws_of):
    one = started()
    functions = aws_of(one).functions()
    inner = functions.create()["FunctionName"]
    outer = functions.create(CALLER, Timeout=30)["FunctionName"]
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(ask, one, outer, {"seconds": 1, "name": inner})
        wait_for_work(one)
        assert one.stop() == 0
        assert future.result(10) == (200, {"from": "inside"})


def test_a_second_signal_does_not_wait(started, aws_of):
    one = started()
    functions = aws_of(one).functions()
    name = functions.create(SLEEPER, Timeout=60)["FunctionName"]
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(ask, one, name, {"seconds": 50})
        wait_for_work(one)
        one.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        assert one.process.poll() is None
        assert one.stop() == 0
        with pytest.raises((OSError, http.client.HTTPException)):
            future.result(10)


# ---- SIGUSR2 ----


def test_clients_see_nothing_of_a_daemon_being_replaced(started, aws_of, eventually):
    one = started()
    functions = aws_of(one).functions()
    names = [functions.create()["FunctionName"] for _ in range(2)]
    clients = [Client(one, names[i % 2], keeps=i % 2 == 0) for i in range(4)]
    for client in clients:
        client.start()
    for _ in range(3):
        replace(one, eventually)
        at = [client.done for client in clients]
        eventually(lambda at=at: all(client.done > before + 3 for client, before in zip(clients, at, strict=True)))
    for client in clients:
        client.finish()
    assert [client.problems for client in clients] == [[], [], [], []]
    assert one.process.poll() is None, "the same process all the time"


def test_what_is_in_flight_finishes_before_the_next_takes_over(started, aws_of, eventually):
    one = started()
    functions = aws_of(one).functions()
    slow = functions.create(SLEEPER, Timeout=30)["FunctionName"]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        future = pool.submit(ask, one, slow, {"seconds": 2})
        wait_for_work(one)
        one.process.send_signal(signal.SIGUSR2)
        time.sleep(0.5)
        late = pool.submit(ask, one, slow, {"seconds": 0})  # waits in the queue of the socket
        assert future.result(20) == (200, {"slept": 2})
        assert late.result(40) == (200, {"slept": 0})
    assert ready_count(one) == 2


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A folder with a copy of the programs, which Daemon() then runs: the test may replace them."""
    folder = tmp_path / "libexec"
    folder.mkdir()
    for program in binary().parent.glob("mayfly*"):
        if program.is_file():
            shutil.copy(program, folder)
    monkeypatch.setenv("MAYFLY_BIN", str(folder / "mayfly"))
    return folder


def test_the_next_is_the_program_that_lies_there_now_with_the_settings_of_now(eventually, installed, tmp_path, monkeypatch):
    """As a package manager does it: new files in the place of the old ones, the settings edited, then the signal."""
    (tmp_path / "mayfly.ini").write_text("workers = 3\n")
    monkeypatch.chdir(tmp_path)
    one = Daemon("--config", "mayfly.ini", "--runtimes-dir", str(binary().parent / "runtimes")).start()
    try:
        assert running_program(one) == os.stat(installed / "mayfly").st_ino
        shutil.copy(installed / "mayfly", installed / "new")
        os.rename(installed / "new", installed / "mayfly")
        (tmp_path / "mayfly.ini").write_text("workers = 5\n")
        replace(one, eventually)
        assert running_program(one) == os.stat(installed / "mayfly").st_ino
        connection = http.client.HTTPConnection("127.0.0.1", one.port, timeout=20)
        connection.request("GET", "/_mayfly/status")
        assert json.loads(connection.getresponse().read())["settings"]["workers"] == "5"
    finally:
        assert one.stop() == 0
    assert not any(one.leftovers().values())
    one.forget()


def running_program(daemon):
    (router,) = [pid for pid, line in descendants(daemon.process.pid).items() if "mayfly router" in line]
    return os.stat(f"/proc/{router}/exe").st_ino


def test_nothing_of_the_one_before_is_left_with_the_next(started, aws_of, eventually):
    one = started()
    functions = aws_of(one).functions()
    name = functions.create()["FunctionName"]
    functions.invoke(name, {})

    def census():
        groups = sum((list(pathlib.Path(top).iterdir()) for top in cgroups(cgroup_name(one.data))), [])
        fds = len(os.listdir(f"/proc/{one.process.pid}/fd"))
        return len(descendants(one.process.pid)), len([g for g in groups if g.is_dir()]), fds

    replace(one, eventually)
    first = census()
    for _ in range(3):
        functions.invoke(name, {})
        replace(one, eventually)
    assert census() == first


@pytest.fixture
def service_cgroup():
    """A cgroup as a service with Delegate=yes has it, and whether limits are set in it or in trees of cgroup v1."""
    top, has_controllers = unified_tree()
    if has_controllers:
        (top / "cgroup.subtree_control").write_text("+memory +pids +cpu")
    folder = top / f"mayfly-test-{os.getpid()}.service"
    folder.mkdir()
    yield folder, has_controllers
    for inner in sorted(folder.rglob("*/"), reverse=True):
        inner.rmdir()
    folder.rmdir()


def test_a_service_that_is_replaced_stays_where_it_is_in_its_cgroup(service_cgroup, daemon_binary, aws_of, eventually):
    folder, has_controllers = service_cgroup
    one = Daemon(cgroup=folder).start()

    def places():
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("mayfly-*/"))

    places_expected = sorted(["mayfly-warden", cgroup_name(one.data)]) if has_controllers else []
    try:
        assert places() == places_expected
        for _ in range(2):
            replace(one, eventually)
            assert places() == places_expected
        functions = aws_of(one).functions()
        assert functions.call(functions.create()["FunctionName"], {"a": 1}) == {"a": 1}
    finally:
        assert one.stop() == 0
    assert not any(one.leftovers().values())
    one.forget()


def test_in_a_container_the_others_make_room_however_busy_they_are(service_cgroup, daemon_binary, tmp_path):
    """Its root may limit nothing while processes live in it, and one that is to be moved has children until then."""
    folder, has_controllers = service_cgroup
    if not has_controllers:
        pytest.skip("this host has trees of cgroup v1, where that makes no difference")
    mount = f"umount -l {folder.parent}; mount -t cgroup2 cgroup2 {folder.parent}; mount --make-rshared /"
    script = f'{mount}; (while :; do /bin/true; done) & exec "$@"'
    listen = f"127.0.0.1:{free_port()}"
    process = subprocess.Popen(
        ["unshare", "-m", "-C", "sh", "-c", script, "sh", daemon_binary, "serve", "--listen", listen, "--data", tmp_path / "data"],
        stdout=subprocess.PIPE,
        preexec_fn=lambda: (folder / "cgroup.procs").write_text("0"),
    )
    try:
        assert process.stdout.readline().decode() == f"Ready. http://{listen}\n"
        process.terminate()
        assert process.wait(30) == 0
    finally:
        (folder / "cgroup.kill").write_text("1")
        process.wait(30)
    while "populated 1" in (folder / "cgroup.events").read_text():
        time.sleep(0.01)


def test_sigterm_while_it_is_being_replaced_ends_it(started, aws_of):
    one = started()
    functions = aws_of(one).functions()
    name = functions.create(SLEEPER, Timeout=60)["FunctionName"]
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(ask, one, name, {"seconds": 50})
        wait_for_work(one)
        one.process.send_signal(signal.SIGUSR2)
        time.sleep(0.2)
        assert one.stop() == 0
        with pytest.raises((OSError, http.client.HTTPException)):
            future.result(10)
    assert ready_count(one) == 1


def test_when_the_next_cannot_be_started_the_daemon_says_so_and_fails(installed):
    one = Daemon().start()
    (installed / "mayfly").unlink()
    one.process.send_signal(signal.SIGUSR2)
    assert one.process.wait(30) == 1
    assert "starting the next version" in one.log() and "ENOENT" in one.log()
    assert not any(one.leftovers().values())
    one.forget()


# ---- a socket from a service manager ----


def serve_on(listener, data, *flags, count="1"):
    """As systemd starts a service with a socket: descriptor 3, LISTEN_FDS, LISTEN_PID."""
    high = os.dup(listener.fileno()) if listener.fileno() == 3 else listener.fileno()
    command = ["sh", "-c", f'export LISTEN_PID=$$ LISTEN_FDS={count}; exec "$@"', "sh", str(binary()), "serve", "--data", data, *flags]
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=lambda: os.dup2(high, 3), pass_fds=(3,)
    )


def test_a_socket_that_was_passed_on_is_served_and_survives_restarts(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        for _ in range(2):
            # the connection is there before the daemon is
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request("GET", "/")
            process = serve_on(listener, str(tmp_path / "data"))
            assert json.loads(connection.getresponse().read())["status"] == "running"
            assert process.stdout.readline() == b"Ready. http://127.0.0.1:%d\n" % port
            process.terminate()
            assert process.wait(30) == 0
            errors = process.stderr.read()
            assert b"listen_kept" in errors and b"127.0.0.1:4566" in errors


def test_a_socket_for_everybody_asks_for_signatures_whatever_the_setting_says(tmp_path):
    with socket.create_server(("0.0.0.0", 0)) as listener:
        process = serve_on(listener, str(tmp_path / "data"), "--listen", "127.0.0.1:4566")
        connection = http.client.HTTPConnection("127.0.0.1", listener.getsockname()[1], timeout=20)
        connection.request("GET", "/2015-03-31/functions/")
        assert connection.getresponse().status == 403
        process.terminate()
        assert process.wait(30) == 0


def test_anything_else_that_is_passed_on_is_refused(tmp_path):
    with socket.create_server(("127.0.0.1", free_port())) as listener, socket.socket() as no_listener:
        for passed, count in ((no_listener, "1"), (listener, "2")):
            process = serve_on(passed, str(tmp_path / "data"), count=count)
            error = process.stderr.read()
            assert process.wait(30) == 2, error
            assert b"must be one listening TCP socket" in error
