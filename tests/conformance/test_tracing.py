"""X-Ray's header: where a trace begins, how it goes on, who decides whether it is sampled, and where that can be read."""

import base64
import json
import re

import pytest

from harness.functions import NODE

ROOT = "1-6922fd41-0123456789abcdef01234567"
PARENT = "53995c3f42cd8ad8"
TRACE = "import os\ndef handler(event, context):\n    return os.environ['_X_AMZN_TRACE_ID']\n"
TRACE_NODE = "exports.handler = async () => process.env._X_AMZN_TRACE_ID;\n"
ACTIVE = {"TracingConfig": {"Mode": "Active"}}


@pytest.fixture
def traced_call(lambda_, functions):
    """traced_call(name, header): what the function sees, and the end of its log; `header` is the caller's."""

    def call(name, header=None):
        def add(request, **_):
            request.headers["X-Amzn-Trace-Id"] = header

        if header:
            lambda_.meta.events.register("before-sign.lambda.Invoke", add, unique_id="trace")
        try:
            answer, seen = functions.invoke(name, {}, LogType="Tail")
        finally:
            if header:
                lambda_.meta.events.unregister("before-sign.lambda.Invoke", unique_id="trace")
        assert answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-trace-id"] == seen
        return dict(part.split("=", 1) for part in seen.split(";")), base64.b64decode(answer["LogResult"]).decode()

    return call


@pytest.mark.parametrize("runtime, source", [("python3.12", TRACE), (NODE, TRACE_NODE)])
def test_a_function_that_only_passes_on_begins_no_sampled_trace(functions, traced_call, runtime, source):
    seen, log = traced_call(functions.make(source, runtime=runtime))
    assert list(seen) == ["Root", "Parent", "Sampled", "Lineage"] and seen["Sampled"] == "0"
    assert re.fullmatch("1-[0-9a-f]{8}-[0-9a-f]{24}", seen["Root"]) and re.fullmatch("[0-9a-f]{16}", seen["Parent"])
    assert "XRAY" not in log


def test_an_active_function_samples_and_its_report_says_so(functions, traced_call):
    seen, log = traced_call(functions.make(TRACE, **ACTIVE))
    assert seen["Sampled"] == "1"
    assert f"\tXRAY TraceId: {seen['Root']}\tSegmentId: {seen['Parent']}\tSampled: true\t" in log


@pytest.mark.parametrize("settings", [{}, ACTIVE])
def test_the_callers_trace_and_decision_stand(functions, traced_call, settings):
    name = functions.make(TRACE, **settings)
    seen, log = traced_call(name, f"Root={ROOT};Parent={PARENT};Sampled=0")
    lineage = seen.pop("Lineage")  # the function itself, for the first time
    assert re.fullmatch("[0-9a-f]{8}:0", lineage)
    assert seen == {"Root": ROOT, "Parent": PARENT, "Sampled": "0"} and "XRAY" not in log
    seen, log = traced_call(name, f"Root={ROOT};Parent={PARENT};Sampled=1;Lineage=a87bd80c:5")
    assert (seen["Root"], seen["Sampled"], seen["Lineage"]) == (ROOT, "1", f"a87bd80c:5|{lineage}")
    assert seen["Parent"] != PARENT, "the function's own segment is the parent of what it calls"
    assert f"XRAY TraceId: {ROOT}\tSegmentId: {seen['Parent']}\tSampled: true" in log


def test_a_trace_without_a_decision_is_the_functions_to_decide(functions, traced_call):
    for settings, sampled in (({}, "0"), (ACTIVE, "1")):
        seen, _ = traced_call(functions.make(TRACE, **settings), f"Root={ROOT}")
        assert (seen["Root"], seen["Sampled"]) == (ROOT, sampled)


@pytest.mark.parametrize("header", ["Root=1-x", "nonsense", "Root=1-6922fd41-0123456789abcdef01234567x;Sampled=1"])
def test_a_header_that_is_none_is_ignored(functions, traced_call, header):
    seen, _ = traced_call(functions.make(TRACE), header)
    assert seen["Root"] != ROOT and seen["Sampled"] == "0"


def test_in_json_the_platforms_records_have_the_trace(functions, traced_call):
    name = functions.make(TRACE, LoggingConfig={"LogFormat": "JSON", "SystemLogLevel": "DEBUG"}, **ACTIVE)
    seen, log = traced_call(name)
    records = {line["type"]: line["record"] for line in map(json.loads, log.splitlines())}
    context = {
        "spanId": seen["Parent"],
        "type": "X-Amzn-Trace-Id",
        "value": f"Root={seen['Root']};Parent={seen['Parent']};Sampled=1",
    }
    for kind in ("platform.start", "platform.runtimeDone", "platform.report"):
        assert records[kind]["tracing"] == context
    _, log = traced_call(functions.make(TRACE, LoggingConfig={"LogFormat": "JSON"}))
    assert "tracing" not in log


def test_where_the_x_ray_daemon_is(functions):
    """Told whatever the mode is, as AWS does; a function may set it otherwise."""
    source = "import os\ndef handler(event, context):\n    return {k: v for k, v in os.environ.items() if 'XRAY' in k}\n"
    told = {
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR", "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000",
        "_AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1", "_AWS_XRAY_DAEMON_PORT": "2000",
    }  # fmt: skip
    assert functions.call(functions.make(source), {}) == told
    own = {"AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:3000"}
    assert functions.call(functions.make(source, Environment={"Variables": own}), {}) == told | own


KEPT = """
import ctypes, os, subprocess
get = ctypes.CDLL(None).getenv
get.restype = ctypes.c_void_p
def handler(event, context):
    child = subprocess.run(["/bin/sh", "-c", "echo $_X_AMZN_TRACE_ID$LD_PRELOAD"], capture_output=True, text=True).stdout
    return os.environ["_X_AMZN_TRACE_ID"], child.strip(), get(b"_X_AMZN_TRACE_ID")
"""
KEPT_NODE = """
const child = require("node:child_process"), fs = require("node:fs");
exports.handler = async () => [
  process.env._X_AMZN_TRACE_ID,
  child.execSync("echo $_X_AMZN_TRACE_ID$LD_PRELOAD", { shell: "/bin/sh", encoding: "utf8" }).trim(),
  /mayfly-runtime.so/.test(fs.readFileSync("/proc/self/maps", "utf8")),
];
"""


@pytest.mark.parametrize("runtime, source", [("python3.12", KEPT), (NODE, KEPT_NODE)])
def test_its_values_do_not_pile_up_in_an_environment(functions, runtime, source):
    """The C library keeps all that setenv() was ever given: at thousands of invocations a second that is memory."""
    name = functions.make(source, runtime=runtime, Timeout=30)
    answers = [functions.invoke(name, {})[1] for _ in range(3)]
    assert len({trace for trace, _, _ in answers}) == 3, answers
    assert all(trace == child for trace, child, _ in answers)
    assert len({place for _, _, place in answers}) == 1 and answers[0][2]
