"""AWS's own runtime interface clients, unmodified, as provided.al2023 functions: each is a real client of the Runtime
API. aws-lambda-go answers chunked with trailers, the others with a length; errors come as bodies and as headers."""

import base64
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
from fetching import fetch, need, tree

from harness.functions import PROVIDED, zip_files
from harness.streams import STEPS

HERE = pathlib.Path(__file__).parent
MB = 1024 * 1024

AWSLAMBDARIC = "awslambdaric==4.2.2"
AWS_LAMBDA_RIC = "4.0.2"

# The same function four times: {"do": "echo" | "error" | "large" | "context" | "exit"}.
PYTHON_SOURCE = """
import os
def handler(event, context):
    do = event.get("do", "echo")
    print("doing", do)
    if do == "error":
        raise Exception("some_error_msg")
    if do == "large":
        return "x" * event["size"]
    if do == "exit":
        os._exit(5)
    if do == "context":
        return {
            "request_id": context.aws_request_id, "arn": context.invoked_function_arn,
            "custom": context.client_context.custom, "function": context.function_name,
            "memory": int(context.memory_limit_in_mb), "group": context.log_group_name,
            "version": context.function_version, "trace": os.environ.get("_X_AMZN_TRACE_ID"),
            "remaining_ms": context.get_remaining_time_in_millis(),
        }
    return event
"""

NODE_SOURCE = """
exports.handler = async (event, context) => {
	const what = event.do || 'echo';
	console.log('doing', what);
	switch (what) {
	case 'error':
		throw new Error('some_error_msg');
	case 'large':
		return 'x'.repeat(event.size);
	case 'exit':
		process.exit(5);
	case 'context':
		return {
			request_id: context.awsRequestId, arn: context.invokedFunctionArn, custom: context.clientContext.custom,
			function: context.functionName, memory: Number(context.memoryLimitInMB), group: context.logGroupName,
			version: context.functionVersion, trace: process.env._X_AMZN_TRACE_ID,
			remaining_ms: context.getRemainingTimeInMillis(),
		};
	}
	return event;
};
"""


def python_zip(cached, go):
    """awslambdaric for the interpreter that a function finds at /usr/bin/python3."""
    if not pathlib.Path("/usr/bin/python3").exists():
        pytest.skip("no /usr/bin/python3 for the function to run on")
    version = subprocess.run(
        ["/usr/bin/python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], capture_output=True, text=True
    ).stdout.strip()

    def build(folder):
        words = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--target", folder]
        fetch([*words, "--python-version", version, "--only-binary=:all:", AWSLAMBDARIC], folder)

    folder = cached("awslambdaric", [AWSLAMBDARIC, version], build)
    files, executable = tree(folder)
    files["bootstrap"] = '#!/bin/sh\nexec /usr/bin/python3 -m awslambdaric "$_HANDLER"\n'
    files["function.py"] = PYTHON_SOURCE
    return zip_files(files, executable=("bootstrap", *executable))


def node_zip(cached, go):
    """aws-lambda-ric compiles its transport when it is installed."""
    need("node"), need("npm"), need("cmake"), need("make"), need("g++")
    package = json.dumps({"private": True, "dependencies": {"aws-lambda-ric": AWS_LAMBDA_RIC}})

    def build(folder):
        (folder / "package.json").write_text(package)
        words = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund"]
        fetch([*words, "--ignore-scripts"], folder)
        client = folder / "node_modules" / "aws-lambda-ric"
        path = f"{folder}/node_modules/.bin:{os.environ['PATH']}"
        for script in ("preinstall.sh", "postinstall.sh"):
            done = subprocess.run(
                ["sh", f"./scripts/{script}"],
                cwd=client,
                env={**os.environ, "PATH": path},
                capture_output=True,
                text=True,
                errors="replace",
                timeout=500,
            )
            if done.returncode != 0:
                last = (done.stdout + done.stderr).strip().splitlines()[-1][:200]
                pytest.skip(f"aws-lambda-ric does not build here ({script}): {last}")

    folder = cached("aws-lambda-ric", [package], build) / "node_modules"
    files, executable = {}, []
    for part in ("aws-lambda-ric", "@aws/lambda-invoke-store"):
        if (folder / part).exists():
            some, runnable = tree(folder / part, f"node_modules/{part}/")
            files.update({name: data for name, data in some.items() if "/deps/" not in name})
            executable += runnable
    node = shutil.which("node")
    files["bootstrap"] = f'#!/bin/sh\nexec {node} node_modules/aws-lambda-ric/index.mjs "$_HANDLER"\n'
    files["function.js"] = NODE_SOURCE
    files["streaming.js"] = STEPS
    return zip_files(files, executable=("bootstrap", *executable))


def go_zip(cached, go):
    sources = [HERE / "golang" / name for name in ("go.mod", "go.sum", "function/main.go")]

    def build(folder):
        fetch(["go", "build", "-tags", "lambda.norpc", "-o", folder / "bootstrap", "./function"], HERE / "golang", go)

    return zip_files({"bootstrap": (cached("go-function", sources, build) / "bootstrap").read_bytes()})


def rust_zip(cached, go):
    need("cargo"), need("cc")
    sources = [HERE / "rust" / name for name in ("Cargo.toml", "src/main.rs")]

    def build(folder):
        shutil.copytree(HERE / "rust", folder / "crate")
        fetch(["cargo", "build", "--release", "--quiet"], folder / "crate", {"CARGO_TARGET_DIR": str(folder / "target")})
        shutil.copy(folder / "target" / "release" / "function", folder / "bootstrap")
        shutil.rmtree(folder / "target")

    return zip_files({"bootstrap": (cached("rust-function", sources, build) / "bootstrap").read_bytes()})


CLIENTS = {"awslambdaric": python_zip, "aws-lambda-ric": node_zip, "aws-lambda-go": go_zip, "lambda_runtime": rust_zip}

# What each makes of an error; their own wording.
ERRORS = {
    "awslambdaric": ("Exception", "some_error_msg"),
    "aws-lambda-ric": ("Error", "some_error_msg"),
    "aws-lambda-go": ("errorString", "some_error_msg"),
    "lambda_runtime": (r"&?alloc::boxed::Box<dyn core::error::Error.*>", "some_error_msg"),
}


@pytest.fixture(scope="module", params=CLIENTS)
def client(request):
    return request.param


@pytest.fixture(scope="module")
def function(client, cached, go, functions):
    zipped = CLIENTS[client](cached, go)
    return functions.make(
        zipped=zipped, runtime=PROVIDED, Handler="function.handler", MemorySize=512, Timeout=10,
        Environment={"Variables": {"HOME": "/tmp"}},
    )  # fmt: skip


pytestmark = [pytest.mark.network, pytest.mark.seconds(600)]


def test_echo_cold_and_warm(functions, function):
    for n in range(5):
        assert functions.call(function, {"do": "echo", "size": n, "more": "wörld"})["size"] == n


def test_an_error_is_passed_on(functions, function, client):
    answer, payload = functions.invoke(function, {"do": "error"})
    assert answer["FunctionError"] == "Unhandled"
    kind, message = ERRORS[client]
    assert re.fullmatch(kind, payload["errorType"]), payload
    assert message in payload["errorMessage"]
    assert functions.call(function, {"do": "echo", "size": 1})["size"] == 1


def test_a_large_answer(functions, function):
    size = 5 * MB
    assert len(functions.call(function, {"do": "large", "size": size})) == size


def test_an_answer_that_is_too_large(functions, function):
    answer, payload = functions.invoke(function, {"do": "large", "size": 7 * MB})
    assert answer["FunctionError"] == "Unhandled"
    assert payload["errorType"] == "Function.ResponseSizeTooLarge"
    assert functions.call(function, {"do": "echo", "size": 1})["size"] == 1


def test_the_context(functions, function):
    context = base64.b64encode(json.dumps({"custom": {"foo": "bar"}}).encode()).decode()
    answer, seen = functions.invoke(function, {"do": "context"}, ClientContext=context)
    assert "FunctionError" not in answer, seen
    assert seen["request_id"] == answer["ResponseMetadata"]["RequestId"]
    assert seen["arn"] == functions.arn(function)
    assert seen["custom"] == {"foo": "bar"}
    assert (seen["function"], seen["version"]) == (function, "$LATEST")
    assert (seen["memory"], seen["group"]) == (512, f"/aws/lambda/{function}")
    assert re.match(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}", seen["trace"])
    if "remaining_ms" in seen:
        assert 8000 < seen["remaining_ms"] <= 10_000


def test_an_exit(functions, function):
    answer, payload = functions.invoke(function, {"do": "exit"})
    request = answer["ResponseMetadata"]["RequestId"]
    assert answer["FunctionError"] == "Unhandled"
    assert payload == {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: {request} Error: Runtime exited with error: exit status 5",
    }
    assert functions.call(function, {"do": "echo", "size": 2})["size"] == 2


def test_a_panic(functions, function, client):
    """Go and Rust; the others have no such thing and answer as for an echo."""
    answer, payload = functions.invoke(function, {"do": "panic"})
    if client not in ("aws-lambda-go", "lambda_runtime"):
        assert payload == {"do": "panic"}
        return
    assert answer["FunctionError"] == "Unhandled"
    assert "it broke" in payload["errorMessage"] or "panic" in payload["errorType"].lower(), payload
    assert functions.call(function, {"do": "echo", "size": 3})["size"] == 3


def test_its_output_is_logged(functions, function):
    answer, _ = functions.invoke(function, {"do": "echo", "size": 4}, LogType="Tail")
    assert "doing echo" in base64.b64decode(answer["LogResult"]).decode()


def test_awss_own_nodejs_client_streams(functions, cached, go, lambda_):
    name = functions.make(zipped=node_zip(cached, go), runtime=PROVIDED, Handler="streaming.handler", MemorySize=512, Timeout=20)
    for steps, code in (([{"write": "ab"}, {"bytes": 7 * MB}], None), ([{"write": "ab"}, {"fail": "on purpose"}], "Unhandled")):
        answer = lambda_.invoke_with_response_stream(FunctionName=name, Payload=json.dumps({"steps": steps}))
        *chunks, complete = list(answer["EventStream"])
        body = b"".join(chunk["PayloadChunk"]["Payload"] for chunk in chunks)
        assert body[:2] == b"ab" and len(body) == (2 if code else 7 * MB + 2)
        assert complete["InvokeComplete"].get("ErrorCode") == code
