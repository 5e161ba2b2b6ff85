"""The servers that are compared, each with the processes that it is made of."""

import base64
import concurrent.futures
import http.client
import io
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SHARED = HERE / "functions"
START_SECONDS = 30


def compile_c(source, to, *flags):
    subprocess.run(
        ["cc", "-O2", "-D_GNU_SOURCE", "-std=gnu2x", *flags, "-o", str(to), str(HERE / source)], check=True
    )
    return to


def binary():
    """The daemon that is measured."""
    return pathlib.Path(os.environ.get("MAYFLY_BIN", ROOT / "build" / "mayfly")).resolve()


def interpreter(*command):
    """The program that an interpreter says it is: what is on PATH may be a script of a version manager."""
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    return os.path.realpath(said)


def wait_for_port(port, process):
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args[0]} left with status {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.01)
    raise RuntimeError(f"nobody listens on {port}")


def compile_java(folder, source):
    """The `java` to run it with, or None where there is no compiler."""
    if not shutil.which("javac"):
        return None
    subprocess.run(["javac", "-d", str(folder), str(source)], check=True)
    return os.path.realpath(shutil.which("java"))


def java_packs(folder):
    """(a folder of packs with the one for Java installed, ""), or (None, why there is none)."""
    if not shutil.which("javac"):
        return None, "there is no JDK"
    packs = folder / "packs"
    shutil.copytree(binary().parent / "runtimes", packs, ignore=shutil.ignore_patterns("*.p", "__pycache__"))
    done = subprocess.run(
        [binary(), "runtime", "install", "java", "--runtimes-dir", packs], capture_output=True, text=True, timeout=240, check=False
    )
    return (packs, "") if done.returncode == 0 else (None, f"its client cannot be fetched: {done.stderr[-300:]}")


def packed(files, mode=0o644):
    """A ZIP of {"name": bytes}."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = mode << 16
            archive.writestr(entry, content)
    return out.getvalue()


def stop_all(started):
    for server in reversed(started):
        server.stop()


class Server:
    """A process that listens on 127.0.0.1:port, and its children."""

    def __init__(self, name, port):
        self.name = name
        self.port = port
        self.process = None

    def start(self, *command, **options):
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **options)
        wait_for_port(self.port, self.process)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def start_echo(folder, port):
    server = Server("echo", port)
    server.start(str(compile_c("echo.c", folder / "echo")), str(port))
    return server


def start_nginx(folder, port, echo_port):
    home = folder / "nginx"
    home.mkdir()
    text = (HERE / "nginx.conf").read_text()
    (home / "nginx.conf").write_text(text.replace("NGINX_PORT", str(port)).replace("ECHO_PORT", str(echo_port)))
    server = Server("nginx", port)
    server.start("nginx", "-p", str(home), "-c", "nginx.conf", "-e", "stderr")
    return server


class Mayfly(Server):
    """The daemon. `ready_ms` is the time from exec to its line `Ready.`"""

    def __init__(self, port, data, *flags):
        super().__init__("mayfly", port)
        self.data = pathlib.Path(data)
        self.settings = self.data.with_name(self.data.name + ".ini")
        self.flags = list(flags)
        self.ready_ms = None

    def start(self):
        self.settings.touch()
        # AWS takes 10 requests a second for each unit of concurrency; what is measured here is how many can be had.
        words = ["--listen", f"127.0.0.1:{self.port}", "--data", str(self.data), "--config", str(self.settings), "--invocation-rate", "0"]
        began = time.perf_counter()
        self.process = subprocess.Popen(
            [str(binary()), "serve", *words, *self.flags],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        watchdog = threading.Timer(START_SECONDS, self.process.kill)
        watchdog.start()
        said = []
        for line in self.process.stdout:
            said.append(line.decode(errors="replace"))
            if line.startswith(b"Ready."):
                self.ready_ms = (time.perf_counter() - began) * 1000
                watchdog.cancel()
                # What it says later must not fill the pipe.
                self.drain = subprocess.Popen(["cat"], stdin=self.process.stdout, stdout=subprocess.DEVNULL)
                return self
        watchdog.cancel()
        raise RuntimeError("the daemon did not start:\n" + "".join(said))

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            response = connection.getresponse()
            answer = response.read()
            if response.status >= 300:
                raise RuntimeError(f"{method} {path}: {response.status} {answer[:500]!r}")
            return json.loads(answer) if answer else None
        finally:
            connection.close()

    def counters(self):
        return self.ask("GET", "/_mayfly/status")["counters"]

    def wait_for(self, condition):
        """Until its counters are so."""
        deadline = time.monotonic() + START_SECONDS
        while not condition(self.counters()):
            if time.monotonic() > deadline:
                raise RuntimeError(f"the daemon does not get there: {self.counters()}")
            time.sleep(0.01)

    def settle(self, text):
        """Other settings, while it runs."""
        self.settings.write_text(text)
        self.process.send_signal(signal.SIGHUP)
        wanted = dict(line.split(" = ") for line in text.splitlines())
        deadline = time.monotonic() + START_SECONDS
        while any(self.ask("GET", "/_mayfly/status")["settings"][name] != value for name, value in wanted.items()):
            if time.monotonic() > deadline:
                raise RuntimeError(f"the daemon does not take {text!r}")
            time.sleep(0.01)

    def forget_environments(self, folder):
        """Wait until nothing of what ran is left: for the next round, and for a look at the daemon alone."""
        before = self.settings.read_text()
        self.settle("idle = 1\nstems = 0\nspares = 0\n")
        self.wait_for(lambda counters: not counters["environments"])
        self.settings.write_text(before)
        self.process.send_signal(signal.SIGHUP)
        time.sleep(0.5)

    def wait_function(self, name, pause=0.02):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            state = self.ask("GET", f"/2015-03-31/functions/{name}/configuration")
            if state["State"] == "Active" and state.get("LastUpdateStatus", "Successful") == "Successful":
                return
            time.sleep(pause)
        raise RuntimeError(f"{name} did not become active")

    def create(self, name, runtime, handler, code):
        """CreateFunction, with its code in base64."""
        settings = {"FunctionName": name, "Runtime": runtime, "Handler": handler, "MemorySize": 256, "Timeout": 30}
        self.ask(
            "POST",
            "/2015-03-31/functions",
            {**settings, "Role": "arn:aws:iam::000000000000:role/bench", "Code": {"ZipFile": code}},
        )

    def create_function(self, name, runtime, handler, file, content, mode=0o644):
        self.create(name, runtime, handler, base64.b64encode(packed({file: content}, mode)).decode())
        self.wait_function(name)

    def create_python(self, name, path):
        self.create_function(name, "python3.12", f"{path.stem}.handler", path.name, path.read_bytes())

    def create_many(self, name_format, count, clients=8):
        """Functions of one code, created over some connections at a time; waits until the last is active."""
        code = base64.b64encode(packed({"hello.py": (SHARED / "hello.py").read_bytes()})).decode()
        with concurrent.futures.ThreadPoolExecutor(clients) as pool:
            for _ in pool.map(lambda i: self.create(name_format % i, "python3.12", "hello.handler", code), range(count)):
                pass
        for i in range(max(0, count - clients), count):
            self.wait_function(name_format % i)

    def make_cold(self, name, mark):
        """A new configuration: every environment there is belongs to the old one."""
        self.ask("PUT", f"/2015-03-31/functions/{name}/configuration", {"Environment": {"Variables": {"MARK": str(mark)}}})
        self.wait_function(name)

    def stop(self):
        super().stop()
        if getattr(self, "drain", None):
            self.drain.wait()


def make_functions(daemon, folder):
    """One hello per runtime. Returns their names."""
    native = compile_c("functions/hello.c", folder / "bootstrap", "-static")
    daemon.create_function("native", "provided.al2023", "hello", "bootstrap", native.read_bytes(), 0o755)
    daemon.create_function("python", "python3.12", "hello.handler", "hello.py", (HERE / "functions/hello.py").read_bytes())
    daemon.create_function("node", "nodejs22.x", "hello.handler", "hello.mjs", (HERE / "functions/hello.mjs").read_bytes())
    return ["native", "python", "node"]


WAITING = {
    "waiting-python": ("python3.12", "waiting.handler", "waiting.py"),
    "waiting-node": ("nodejs22.x", "waiting.handler", "waiting.mjs"),
}


def make_waiting(daemon):
    """Functions that wait as long as their event says."""
    for name, (runtime, handler, file) in WAITING.items():
        daemon.create_function(name, runtime, handler, file, (SHARED / file).read_bytes())


def work_folder():
    return pathlib.Path(tempfile.mkdtemp(prefix="mayfly-bench-"))


def remove(folder):
    shutil.rmtree(folder, ignore_errors=True)
