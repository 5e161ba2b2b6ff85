"""The servers that are compared, each with the processes that it is made of."""

import base64
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
START_SECONDS = 30


def compile_c(source, to, *flags):
    subprocess.run(
        ["cc", "-O2", "-D_GNU_SOURCE", "-std=gnu2x", *flags, "-o", str(to), str(HERE / source)], check=True
    )
    return to


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

    def __init__(self, port, data):
        super().__init__("mayfly", port)
        self.data = pathlib.Path(data)
        self.ready_ms = None

    def start(self):
        binary = os.environ.get("MAYFLY_BIN", str(ROOT / "build" / "mayfly"))
        began = time.perf_counter()
        self.process = subprocess.Popen(
            # AWS takes 10 requests a second for each unit of concurrency; what is measured here is how many can be had.
            [binary, "serve", "--listen", f"127.0.0.1:{self.port}", "--data", str(self.data), "--invocation-rate", "0"],
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

    def wait_function(self, name):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            state = self.ask("GET", f"/2015-03-31/functions/{name}/configuration")
            if state["State"] == "Active" and state.get("LastUpdateStatus", "Successful") == "Successful":
                return
            time.sleep(0.02)
        raise RuntimeError(f"{name} did not become active")

    def create_function(self, name, runtime, handler, file, content, mode=0o644):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            entry = zipfile.ZipInfo(file)
            entry.external_attr = mode << 16
            archive.writestr(entry, content)
        self.ask(
            "POST",
            "/2015-03-31/functions",
            {
                "FunctionName": name,
                "Runtime": runtime,
                "Handler": handler,
                "Role": "arn:aws:iam::000000000000:role/bench",
                "Code": {"ZipFile": base64.b64encode(packed.getvalue()).decode()},
                "MemorySize": 256,
                "Timeout": 30,
            },
        )
        self.wait_function(name)

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
    daemon.create_function("crowd", "python3.12", "crowd.handler", "crowd.py", (HERE / "functions/crowd.py").read_bytes())
    return ["native", "python", "node"]


def work_folder():
    return pathlib.Path(tempfile.mkdtemp(prefix="mayfly-bench-"))


def remove(folder):
    shutil.rmtree(folder, ignore_errors=True)
