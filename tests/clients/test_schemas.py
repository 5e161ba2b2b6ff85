"""Events that functions get, held against the schemas that AWS's Powertools publish."""

import json
import pathlib
import shutil
import subprocess

import pytest
from fetching import fetch, need

from harness.urls import SHOW, event_of, make_url, signed

HERE = pathlib.Path(__file__).parent / "schemas"


@pytest.fixture(scope="module")
def check(cached):
    """check(schema, event): fails when the schema does not have it."""
    node, npm = need("node"), need("npm")
    package = HERE / "package.json"

    def build(folder):
        shutil.copy(package, folder)
        shutil.copy(HERE / "check.mjs", folder)
        fetch([npm, "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"], folder)

    folder = cached("schemas", [package, HERE / "check.mjs"], build)

    def run(schema, event):
        words = [node, "check.mjs", schema]
        done = subprocess.run(words, cwd=folder, input=json.dumps(event), capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout.strip()) == (0, "ok"), done.stdout + done.stderr

    return run


@pytest.mark.network
@pytest.mark.seconds(600)
def test_events_by_function_url(check, lambda_, functions):
    url = make_url(lambda_, functions.make(SHOW))
    check("LambdaFunctionUrlSchema", event_of(url))
    kind = {"Content-Type": "application/json", "Cookie": "a=1; b=2"}
    check("LambdaFunctionUrlSchema", event_of(url, "POST", "/p?a=1&a=2", headers=kind, body=b"{}"))
    check("LambdaFunctionUrlSchema", event_of(url, "PUT", body=b"\xff\0"))


@pytest.mark.network
@pytest.mark.seconds(600)
def test_events_by_signed_function_url(check, lambda_, functions):
    url = make_url(lambda_, functions.make(SHOW), auth="AWS_IAM")
    check("LambdaFunctionUrlSchema", event_of(url, headers=signed(url)))
