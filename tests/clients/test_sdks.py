"""One flow each through AWS's SDKs for JavaScript and Go, as their users write it."""

import os
import pathlib
import shutil
import subprocess

import pytest
from fetching import fetch, need

from harness.functions import NODE, PYTHON, unique, zip_source

HERE = pathlib.Path(__file__).parent

NODE_FIRST = """
exports.handler = async (event) => {
	if (event.fail) throw new RangeError('asked to');
	console.log('saying', process.env.GREETING, event.who);
	return { said: `${process.env.GREETING} ${event.who}` };
};
"""
NODE_SECOND = "exports.handler = async (event) => ({ second: event.who });\n"

PYTHON_FIRST = """
import os
def handler(event, context):
    if event.get("fail"):
        raise ValueError("asked to")
    print("saying", os.environ["GREETING"], event["who"])
    return {"said": os.environ["GREETING"] + " " + event["who"]}
"""
PYTHON_SECOND = "def handler(event, context):\n    return {'second': event['who']}\n"


def run_flow(words, environment, folder, first, second, runtime):
    name = unique("sdk")
    (folder / "first.zip").write_bytes(zip_source(first, runtime))
    (folder / "second.zip").write_bytes(zip_source(second, runtime))
    done = subprocess.run(
        [*words, name, str(folder / "first.zip"), str(folder / "second.zip")],
        env={**os.environ, **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "ok"), done.stdout + done.stderr


@pytest.mark.network
@pytest.mark.seconds(600)
def test_javascript(cached, aws_environment, tmp_path):
    node, npm = need("node"), need("npm")
    package = HERE / "javascript" / "package.json"

    def build(folder):
        shutil.copy(package, folder)
        fetch([npm, "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"], folder)

    installed = cached("javascript", [package], build)
    shutil.copy(HERE / "javascript" / "flow.mjs", tmp_path)
    (tmp_path / "node_modules").symlink_to(installed / "node_modules")
    run_flow([node, "flow.mjs"], aws_environment, tmp_path, NODE_FIRST, NODE_SECOND, NODE)


@pytest.mark.network
@pytest.mark.seconds(600)
def test_go(cached, go, aws_environment, tmp_path):
    sources = [HERE / "golang" / name for name in ("go.mod", "go.sum", "flow/main.go")]

    def build(folder):
        fetch(["go", "build", "-o", folder / "flow", "./flow"], HERE / "golang", go)

    program = cached("go-flow", sources, build) / "flow"
    run_flow([str(program)], aws_environment, tmp_path, PYTHON_FIRST, PYTHON_SECOND, PYTHON)
