"""The functions of examples/: each built as its README says, then invoked."""
import os
import shutil
import subprocess
import warnings
from pathlib import Path

import pytest

from environment import Environment
from packs import NODES, PYTHONS, RUBIES, Pack
from runtime_api import Refusal, RuntimeApi

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
GREETING = {"message": "Hello, you!"}


def files_of(name):
    return {p.name: p.read_text(encoding="utf-8") for p in (EXAMPLES / name).iterdir() if p.is_file()}


def build(folder, *command, **env):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False,
                          env={**os.environ, **env})
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.fixture
def provided(tmp_path):
    """start(folder of the example, built) → Environment of its bootstrap."""
    running = []

    def start(folder, **api):
        argv = [str(folder / "bootstrap")]
        env = {"AWS_EXECUTION_ENV": None, "PATH": os.environ["PATH"]}
        running.append(Environment(argv, folder, RuntimeApi(**api), "any", "", env).__enter__())
        return running[-1]

    start.copy = lambda name: Path(shutil.copytree(EXAMPLES / name, tmp_path / name))
    yield start
    for environment in running:
        environment.__exit__()


def test_python(tmp_path):
    pack = Pack("python", *list(PYTHONS.items())[-1], tmp_path)
    env = pack.start(files_of("python"), handler="lambda_function.handler", runtime="python3.12")
    assert env.call({"name": "you"}).json == GREETING
    assert env.call({}).json == {"message": "Hello, world!"}
    assert "greeting you, " in env.log
    pack.stop()


def test_nodejs(tmp_path):
    pack = Pack("nodejs", *list(NODES.items())[-1], tmp_path)
    env = pack.start(files_of("nodejs"), handler="index.handler", runtime="nodejs22.x")
    assert env.call({"name": "you"}).json == GREETING
    assert env.call({}).json == {"message": "Hello, world!"}
    assert "greeting you, " in env.log
    pack.stop()


def test_ruby(tmp_path):
    if not RUBIES:
        pytest.skip("ruby is not on this machine")
    pack = Pack("ruby", *list(RUBIES.items())[-1], tmp_path)
    env = pack.start(files_of("ruby"), handler="function.handler", runtime="ruby3.3")
    assert env.call({"name": "you"}).json == GREETING
    assert env.call({}).json == {"message": "Hello, world!"}
    assert "greeting you, " in env.log
    pack.stop()


def test_bash(provided):
    for tool in ("bash", "curl", "jq"):
        if not shutil.which(tool):
            pytest.skip(tool + " is not on this machine")
    env = provided(provided.copy("provided-bash"))
    assert env.call({"name": "you"}).json == GREETING
    assert env.call([]).json["errorType"] == "BadEvent"
    assert env.call({}).json == {"message": "Hello, world!"}


@pytest.mark.network
@pytest.mark.seconds(300)
def test_go(provided):
    if not shutil.which("go"):
        pytest.skip("go is not on this machine")
    folder = provided.copy("provided-go")
    try:
        build(folder, "go", "mod", "download")
    except (AssertionError, subprocess.SubprocessError) as e:
        warnings.warn("aws-lambda-go cannot be downloaded: the Go example was NOT BUILT (%s)" % e)
        pytest.skip("aws-lambda-go cannot be downloaded")
    build(folder, "go", "build", "-tags", "lambda.norpc", "-o", "bootstrap", ".", CGO_ENABLED="0")
    env = provided(folder)
    assert env.call({"name": "you"}).json == GREETING
    assert env.call("no object").kind == "error"
    assert env.call({}).json == {"message": "Hello, world!"}


@pytest.mark.network
@pytest.mark.seconds(900)
def test_rust(provided):
    if not os.environ.get("MAYFLY_TEST_RUST"):
        pytest.skip("set MAYFLY_TEST_RUST=1 to build the Rust example: it takes minutes of CPU")
    folder = provided.copy("provided-rust")
    build(folder, "cargo", "build", "--release", CARGO_TARGET_DIR=str(folder / "target"))
    shutil.copy(folder / "target/release/bootstrap", folder)
    env = provided(folder)
    assert env.call({"name": "you"}).json == GREETING
    assert env.call({}).json == {"message": "Hello, world!"}


@pytest.fixture
def native(provided):
    compiler = shutil.which("cc")
    if not compiler:
        pytest.skip("there is no C compiler on this machine")
    folder = provided.copy("provided-c")
    build(folder, compiler, "-std=gnu2x", "-O1", "-g", "-Wall", "-Wextra", "-Werror",
          "-fsanitize=address,undefined", "-o", "bootstrap", "bootstrap.c")
    return lambda **api: provided(folder, **api)


def greeting(event):
    return {"message": "Hello from C!", "event": event}


def test_c_pipelines_on_one_connection(native):
    env = native()
    for i in range(20):
        report = env.call({"n": i})
        assert (report.json, report.is_pipelined) == (greeting({"n": i}), True)
        assert report.fields["content-type"] == "application/json"
    assert env.api.connections == 1


def test_c_takes_answers_in_pieces_and_large_events(native):
    env = native(piece_bytes=3)
    assert env.call({"a": "é"}).json == greeting({"a": "é"})
    env = native()
    event = {"text": "x" * 5_000_000}
    assert env.call(event).json == greeting(event)
    assert env.call(1).json == greeting(1)


def test_c_goes_on_after_a_refusal(native):
    env = native()
    env.api.refusals.append(Refusal(413))
    env.call(1)
    assert env.call(2).json == greeting(2)


@pytest.mark.parametrize("fields, body, why", [
    ({"Lambda-Runtime-Aws-Request-Id": None}, b"1", "no event"),
    ({}, b"x" * (9 << 20), "too large an event"),
])
def test_c_ends_when_it_cannot_go_on(native, fields, body, why):
    env = native()
    env.api.invoke(body=body, fields=fields)
    assert env.exit_status() == 1
    assert why in env.log


def test_c_ends_when_the_platform_is_gone(native):
    env = native()
    env.call(1)
    env.api.close()
    assert env.exit_status() == 1
    assert "bootstrap: read" in env.log
