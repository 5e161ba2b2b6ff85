"""What running functions leave in CloudWatch Logs: groups, streams and the platform's own lines."""

import json
import re

import pytest

from harness.functions import NODE, PROVIDED, PYTHON, unique

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
MS = r"\d+\.\d\d ms"

INIT_START = (
    r"INIT_START Runtime Version: {name}:\S+\t"
    r"Runtime Version ARN: arn:aws:lambda:us-east-1::runtime:[0-9a-f]{{64}}\n"
)
START = r"START RequestId: {id} Version: {version}\n"
END = r"END RequestId: {id}\n"
REPORT = (
    r"REPORT RequestId: {id}\tDuration: (?P<duration>\d+\.\d\d) ms\tBilled Duration: (?P<billed>\d+) ms\t"
    r"Memory Size: {memory} MB\tMax Memory Used: (?P<used>\d+) MB\t"
)
INIT_DURATION = r"Init Duration: (?P<init>\d+\.\d\d) ms\t"

SOURCES = {
    PYTHON: "def handler(event, context):\n    print('here')\n",
    NODE: "exports.handler = async () => { process.stdout.write('here\\n'); };\n",
}


@pytest.fixture
def messages_of(logs, eventually):
    """All messages of a function's group once its last REPORT (`reports` of them) is there."""

    def read(name, reports, group=None):
        def enough():
            try:
                pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group or f"/aws/lambda/{name}")
                found = [e["message"] for page in pages for e in page["events"]]
            except logs.exceptions.ResourceNotFoundException:
                return None
            return found if sum(m.startswith("REPORT") for m in found) >= reports else None

        return eventually(enough)

    return read


def matches(pattern, text, **values):
    filled = pattern.format(**values)
    found = re.fullmatch(filled, text)
    assert found, f"{text!r} is not {filled}"
    return found.groupdict()


@pytest.mark.parametrize("runtime", SOURCES, ids=["python", "node"])
def test_the_lines_of_a_cold_and_a_warm_invocation(functions, messages_of, runtime):
    name = functions.make(SOURCES[runtime], runtime=runtime, MemorySize=256)
    ids = [functions.invoke(name, {})[0]["ResponseMetadata"]["RequestId"] for _ in range(2)]
    lines = messages_of(name, 2)
    assert len(lines) == 9, lines
    matches(INIT_START, lines[0], name=re.escape(runtime.rstrip("x.0123456789")) + r"[^\t]*")
    for request, block, cold in ((ids[0], lines[1:5], True), (ids[1], lines[5:9], False)):
        matches(START, block[0], id=request, version=r"\$LATEST")
        assert block[1] == "here\n"
        matches(END, block[2], id=request)
        report = matches(REPORT + (INIT_DURATION if cold else "") + r"\n", block[3], id=request, memory=256)
        assert float(report["duration"]) <= int(report["billed"])
        assert 0 < int(report["used"]) <= 256


def test_init_start_names_the_runtime(functions, messages_of):
    name = functions.make()
    functions.call(name, {})
    first = messages_of(name, 1)[0]
    assert re.match(r"INIT_START Runtime Version: python:3\.\d+\.", first), first


def test_init_start_tells_when_another_version_of_the_language_runs(functions, messages_of, daemon):
    """Asked for what the host does not have: the nearest runs, and INIT says so."""
    source = "import sys\ndef handler(event, context):\n    return '%d.%d' % sys.version_info[:2]\n"
    name = functions.make(source, runtime="python3.14")
    version = functions.call(name, {})
    lines = messages_of(name, 1)
    if version == "3.14":
        pytest.skip("the host has Python 3.14: nothing to substitute")
    before_start = "".join(lines[: next(i for i, line in enumerate(lines) if line.startswith("START"))])
    assert "3.14" in before_start and version in before_start


def test_lines_of_a_version_and_its_stream(functions, logs, messages_of):
    name = functions.make(SOURCES[PYTHON])
    functions.publish(name)
    functions.call(name, {}, Qualifier="1")
    lines = messages_of(name, 1)
    assert any(re.fullmatch(START.format(id=UUID, version="1"), line) for line in lines)
    (stream,) = logs.describe_log_streams(logGroupName=f"/aws/lambda/{name}")["logStreams"]
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[1\][0-9a-f]{32}", stream["logStreamName"])


def test_every_environment_has_a_stream_of_its_own(functions, logs, messages_of):
    name = functions.make("import os\ndef handler(e, c):\n    if e.get('die'):\n        os._exit(1)\n    return c.log_stream_name\n")
    first = functions.call(name, {})
    assert functions.call(name, {}) == first
    functions.invoke(name, {"die": True})
    second = functions.call(name, {})
    assert first != second
    messages_of(name, 4)
    streams = {s["logStreamName"] for s in logs.describe_log_streams(logGroupName=f"/aws/lambda/{name}")["logStreams"]}
    assert streams == {first, second}


def test_a_time_out_is_in_the_log(functions, messages_of):
    name = functions.make("import time\ndef handler(event, context):\n    time.sleep(10)\n", Timeout=1)
    request = functions.invoke(name, {})[0]["ResponseMetadata"]["RequestId"]
    text = "".join(messages_of(name, 1))
    assert re.search(rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}Z {request} Task timed out after 1\.00 seconds\n", text) or (
        f"REPORT RequestId: {request}" in text and "Status: timeout" in text
    )
    report = next(line for line in text.splitlines() if line.startswith("REPORT"))
    duration = float(re.search(r"Duration: ([\d.]+) ms", report)[1])
    assert 1000 <= duration < 1500


def test_an_exit_is_in_the_log(functions, messages_of):
    name = functions.make("import os\ndef handler(event, context):\n    os._exit(3)\n")
    request = functions.invoke(name, {})[0]["ResponseMetadata"]["RequestId"]
    text = "".join(messages_of(name, 1))
    assert f"RequestId: {request} Error: Runtime exited with error: exit status 3\nRuntime.ExitError\n" in text
    assert re.search(rf"^REPORT RequestId: {request}\t", text, re.MULTILINE)


def test_an_asynchronous_error_is_logged(functions, lambda_, messages_of):
    name = functions.make(
        "class CustomException(Exception):\n    pass\n\n"
        "def handler(event, context):\n    raise CustomException('some error occurred')\n"
    )
    lambda_.invoke(FunctionName=name, InvocationType="Event", Payload="{}")
    lines = messages_of(name, 1)
    assert (
        "[ERROR] CustomException: some error occurred\nTraceback (most recent call last):\n"
        '\u00a0\u00a0File "/var/task/lambda_function.py", line 5, in handler\n'
        "\u00a0\u00a0\u00a0\u00a0raise CustomException('some error occurred')"
    ) in [line.rstrip("\n") for line in lines]


def test_a_log_group_of_ones_own(functions, messages_of):
    group = unique("custom/group")
    name = functions.make(SOURCES[PYTHON], LoggingConfig={"LogGroup": group})
    functions.call(name, {})
    assert "here\n" in messages_of(name, 1, group=group)


LEVELS = {
    PYTHON: """
import logging
log = logging.getLogger()
def handler(event, context):
    log.debug("a debug"), log.info("an info"), log.warning("a warning"), log.error("an error")
    if event: raise Exception("on purpose")
""",
    NODE: """
exports.handler = async (event) => {
    console.debug("a debug"); console.info("an info"); console.warn("a warning"); console.error("an error");
    if (event) throw new Error("on purpose");
};
""",
}


@pytest.fixture
def records_of(logs, eventually):
    """All JSON records of a group, once there is a report of a failure."""

    def read(group):
        def enough():
            pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group)
            found = [json.loads(e["message"]) for page in pages for e in page["events"]]
            failed = [r for r in found if r.get("type") == "platform.report" and r["record"]["status"] == "error"]
            return found if failed else None

        return eventually(enough)

    return read


@pytest.mark.parametrize("runtime", LEVELS, ids=["python", "node"])
@pytest.mark.parametrize(
    "level, texts",
    [("DEBUG", ["a debug", "an info", "a warning", "an error"]), ("WARN", ["a warning", "an error"]), ("FATAL", [])],
)
def test_what_a_function_logs_has_a_level(functions, records_of, runtime, level, texts):
    config = {"LogFormat": "JSON", "ApplicationLogLevel": level, "SystemLogLevel": "INFO"}
    name = functions.make(LEVELS[runtime], runtime=runtime, LoggingConfig=config)
    functions.invoke(name, True)
    records = records_of(f"/aws/lambda/{name}")
    assert [r["message"] for r in records if r.get("message") in ("a debug", "an info", "a warning", "an error")] == texts


@pytest.mark.parametrize(
    "level, expected",
    [
        ("DEBUG", ["initReport", "initRuntimeDone", "initStart", "report", "report", "runtimeDone", "runtimeDone", "start", "start"]),
        ("INFO", ["initStart", "report", "report", "runtimeDone", "start", "start"]),  # what failed is a warning
        ("WARN", ["report", "runtimeDone"]),
    ],
)
def test_what_the_platform_logs_has_a_level(functions, records_of, level, expected):
    group = unique("of/its/own")
    config = {"LogFormat": "JSON", "ApplicationLogLevel": "ERROR", "SystemLogLevel": level, "LogGroup": group}
    name = functions.make(LEVELS[PYTHON], LoggingConfig=config)
    functions.invoke(name, False)
    functions.invoke(name, True)
    kinds = sorted(r["type"].removeprefix("platform.") for r in records_of(group) if "type" in r)
    assert kinds == expected


def test_output_without_a_line_end_is_logged(functions, messages_of):
    name = functions.make(
        "#!/bin/bash\n"
        'API=$AWS_LAMBDA_RUNTIME_API\nexec 3<>"/dev/tcp/${API%:*}/${API#*:}"\n'
        "printf 'no line end'\nexit 1\n",
        runtime=PROVIDED,
    )
    functions.invoke(name, {})
    assert "no line end" in "".join(messages_of(name, 1))


def test_bytes_that_are_no_text_do_not_break_the_log(functions, messages_of):
    name = functions.make("import os\ndef handler(event, context):\n    os.write(1, b'bad \\xff\\xfe bytes\\n')\n    os.write(1, b'after\\n')\n")
    functions.call(name, {})
    lines = messages_of(name, 1)
    assert "after\n" in lines
    assert any(line.startswith("bad ") and line.endswith(" bytes\n") for line in lines)


def test_very_long_lines_are_kept(functions, messages_of):
    name = functions.make("def handler(event, context):\n    print('z' * 100000)\n    print('after')\n")
    functions.call(name, {})
    lines = messages_of(name, 1)
    assert sum(line.count("z") for line in lines if line.startswith("z")) == 100_000 and "after\n" in lines
