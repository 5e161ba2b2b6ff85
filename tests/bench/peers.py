"""
The peers: other programs that run functions, from the registries, without containers.

`peers.py` installs them into a folder that outlives the run (MAYFLY_BENCH_CACHE, /var/tmp/mayfly-bench-peers); what cannot be
installed or built here is told, and its row of the table has the reason.
"""

import http.client
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import measure
import servers

CACHE = pathlib.Path(os.environ.get("MAYFLY_BENCH_CACHE", "/var/tmp/mayfly-bench-peers"))
INSTALL_SECONDS = 300
LOG = subprocess.DEVNULL


class Missing(Exception):
    """Why a peer cannot be measured."""


def install_with(name, *command, program, **options):
    """Run an installer once; its output stays beside what it installs."""
    folder = CACHE / name
    if (folder / program).exists():
        return
    tool = command[0]
    if not shutil.which(tool):
        raise Missing(f"{tool} is not installed")
    folder.mkdir(parents=True, exist_ok=True)
    with open(CACHE / f"{name}.log", "wb") as log:
        try:
            done = subprocess.run(command, cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL, timeout=INSTALL_SECONDS, **options)
        except subprocess.TimeoutExpired:
            raise Missing(f"`{' '.join(command)}` takes more than {INSTALL_SECONDS} s") from None
    if done.returncode or not (folder / program).exists():
        lines = [line.strip() for line in (CACHE / f"{name}.log").read_text(errors="replace").splitlines() if line.strip()]
        raise Missing(next((line for line in lines if "rror" in line), (lines or [f"{tool} failed"])[-1])[:120])


class Peer:
    """How a peer is installed and started; `path` is where its function is called."""

    name = program = ""
    path = "/"

    def install(self):
        raise NotImplementedError

    def command(self, folder, port):
        """The words that start it, and the options of Popen."""
        raise NotImplementedError

    def found(self):
        program = CACHE / self.program
        if not program.exists():
            said = CACHE / "said.json"
            reason = json.loads(said.read_text()).get(self.name) if said.exists() else None
            raise Missing((reason or "it is not installed: run tools/setup bench").removeprefix("LEFT OUT: "))
        return str(program)

    def prepare(self, server):
        """What has to be deployed before it can be called."""

    def start(self, folder, port):
        self.found()
        folder.mkdir(parents=True)
        words, options = self.command(folder, port)
        server = servers.Server(self.name, port)
        try:
            server.start(*words, stdout=LOG, stderr=LOG, **options)
            self.prepare(server)
            self.expect_answer(port)
        except (OSError, RuntimeError, http.client.HTTPException) as error:
            server.stop()
            raise Missing(f"it does not answer: {error}") from error
        return server

    def expect_answer(self, port):
        """One invocation must succeed before any are counted."""
        deadline = time.monotonic() + 20
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
            connection.request("POST", self.path, measure.BODY, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = response.read()
            connection.close()
            if response.status == 200:
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"status {response.status} {answer[:100]!r}")
            time.sleep(0.2)


class Workerd(Peer):
    name, program = "workerd", "npm/node_modules/@cloudflare/workerd-linux-64/bin/workerd"

    def install(self):
        install_npm()

    def command(self, folder, port):
        (folder / "hello.js").write_text(
            "export default { async fetch(request) { return Response.json(await request.json()); } };\n"
        )
        (folder / "hello.capnp").write_text(
            'using Workerd = import "/workerd/workerd.capnp";\n'
            "const config :Workerd.Config = (\n"
            '  services = [(name = "hello", worker = (modules = [(name = "hello.js", esModule = embed "hello.js")],\n'
            '    compatibilityDate = "2024-01-01"))],\n'
            f'  sockets = [(name = "http", address = "127.0.0.1:{port}", http = (), service = "hello")]);\n'
        )
        return [self.found(), "serve", str(folder / "hello.capnp")], {}


class LambdaLocal(Peer):
    name, program = "lambda-local", "npm/node_modules/.bin/lambda-local"

    def install(self):
        install_npm()

    def command(self, folder, port):
        (folder / "index.js").write_text("exports.handler = async (event) => event;\n")
        return [self.found(), "-l", "index.js", "-h", "handler", "-v", "-1", "--watch", str(port)], {"cwd": folder}


class ServerlessOffline(Peer):
    name, program = "serverless-offline", "npm/node_modules/.bin/osls"
    path = measure.invocations("bench-dev-hello")

    def install(self):
        install_npm()

    def command(self, folder, port):
        (folder / "index.js").write_text("exports.handler = async (event) => event;\n")
        (folder / "node_modules").symlink_to(CACHE / "npm" / "node_modules")
        (folder / "package.json").write_text('{"name": "bench"}\n')
        (folder / "serverless.yml").write_text(
            "service: bench\nprovider:\n  name: aws\n  runtime: nodejs20.x\nplugins: [serverless-offline]\n"
            "functions:\n  hello:\n    handler: index.handler\n"
        )
        words = ["offline", "start", "--lambdaPort", str(port), "--httpPort", str(port + 10), "--noPrependStageInUrl"]
        return [self.found(), *words], {"cwd": folder, "env": {**os.environ, "SLS_TELEMETRY_DISABLED": "1"}}


class Emulator(Peer):
    """AWS's own: one environment, one invocation at a time."""

    name, program = "aws-lambda-rie", "go/aws-lambda-rie"
    path = measure.invocations("function")
    module = "github.com/aws/aws-lambda-runtime-interface-emulator/cmd/aws-lambda-rie@latest"

    def install(self):
        install_with("go", "go", "install", self.module, program="aws-lambda-rie", env={**os.environ, "GOBIN": str(CACHE / "go")})

    def command(self, folder, port):
        servers.compile_c("functions/hello.c", folder / "bootstrap", "-static")
        words = ["--runtime-interface-emulator-address", f"127.0.0.1:{port}", "--runtime-api-address", f"127.0.0.1:{port + 10}"]
        return [self.found(), *words, str(folder / "bootstrap")], {"cwd": folder}


class MiniStack(Peer):
    name, program = "ministack", "ministack/bin/ministack"
    path = measure.invocations("hello")

    def install(self):
        folder = CACHE / "ministack"
        if not (folder / "bin" / "pip").exists():
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        install_with("ministack", str(folder / "bin" / "pip"), "install", "-q", "ministack", program="bin/ministack")

    def command(self, folder, port):
        env = {**os.environ, "GATEWAY_PORT": str(port), "LAMBDA_EXECUTOR": "local", "SERVICES": "lambda,iam,sts", "LOG_LEVEL": "ERROR"}
        return [self.found()], {"cwd": folder, "env": env}

    def prepare(self, server):
        daemon = servers.Mayfly(server.port, "/nowhere")  # the same API: the same client
        daemon.create_python("hello", servers.SHARED / "hello.py")


class Nuclio(Peer):
    name, program = "nuclio", "nuclio/processor"

    def install(self):
        words = ["go", "install", "github.com/nuclio/nuclio/cmd/processor@latest"]
        install_with("nuclio", *words, program="processor", env={**os.environ, "GOBIN": str(CACHE / "nuclio")})
        raise Missing("its processor is built, and wants a platform (a container's) to be configured by")


class Zygo(Peer):
    name, program = "zygo", "zygo/bin/zygo"

    def install(self):
        install_with("zygo", "cargo", "install", "--root", ".", "zygo", program="bin/zygo")
        raise Missing("it is installed, and how to serve a function with it is not known here")


PEERS = [Workerd(), LambdaLocal(), ServerlessOffline(), Emulator(), MiniStack(), Nuclio(), Zygo()]


def install_npm():
    packages = ["workerd", "lambda-local", "osls", "serverless-offline"]
    install_with("npm", "npm", "install", "--no-audit", "--no-fund", *packages, program="node_modules/.bin/osls")


def names():
    return [peer.name for peer in PEERS]


def chosen(words):
    if words == "none":
        return []
    wanted = names() if words == "all" else words.split(",")
    return [peer for peer in PEERS if peer.name in wanted]


def main():
    CACHE.mkdir(parents=True, exist_ok=True)
    said = {}
    for peer in PEERS:
        try:
            peer.install()
            said[peer.name] = "installed"
        except (Missing, subprocess.CalledProcessError) as reason:
            said[peer.name] = f"LEFT OUT: {reason}"
        print(f"peer {peer.name}: {said[peer.name]}", flush=True)
    (CACHE / "said.json").write_text(json.dumps(said, indent=1))


if __name__ == "__main__":
    main()
