"""Initialisation: 10 seconds of its own, then once more on the time of the invocation; and each way in which it fails."""

import re

import pytest

from harness.functions import NODE, PROVIDED, zip_files

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
MS = r"\d+\.\d\d ms"
STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def report(status="", error_type=""):
    tail = (f"Status: {status}\t" if status else "") + (f"Error Type: {error_type}\t" if error_type else "")
    return rf"REPORT RequestId: {UUID}\tDuration: {MS}\tBilled Duration: \d+ ms\tMemory Size: \d+ MB\tMax Memory Used: \d+ MB\t{tail}\n"


def init_report(phase, status):
    return rf"INIT_REPORT Init Duration: {MS}\tPhase: {phase}\tStatus: {status}\n"


INIT_START = r"INIT_START Runtime Version: .*\n"
START, END = rf"START RequestId: {UUID} Version: \$LATEST\n", rf"END RequestId: {UUID}\n"


class World:
    def __init__(self, aws, eventually):
        self.functions = aws.functions()
        self.logs = aws.client("logs")
        self.eventually = eventually

    def lines(self, name):
        """The log of a function that was invoked once, all in one stream."""
        group = f"/aws/lambda/{name}"

        def complete():
            try:
                found = self.logs.filter_log_events(logGroupName=group)["events"]
            except self.logs.exceptions.ResourceNotFoundException:
                return None
            return found if any(e["message"].startswith("REPORT") for e in found) else None

        events = self.eventually(complete)
        (stream,) = {event["logStreamName"] for event in events if event["message"].startswith("REPORT")}
        return [event["message"] for event in events if event["logStreamName"] == stream]  # spares have their own

    def expect(self, name, *patterns):
        lines = self.lines(name)
        assert len(lines) == len(patterns), lines
        for line, pattern in zip(lines, patterns):
            assert re.fullmatch(pattern, line, re.DOTALL), (line, pattern)


@pytest.fixture
def world(aws, eventually):
    return World(aws, eventually)


@pytest.fixture
def hasty(another_daemon, aws_of, eventually):
    """A daemon whose functions have half a second to initialise, so that nobody waits for 10."""
    return World(aws_of(another_daemon("--init", "500")), eventually)


def slow(seconds):
    return f"import time\nprint('importing')\ntime.sleep({seconds})\nprint('imported')\ndef handler(event, context):\n    return 'done'\n"


@pytest.mark.seconds(90)
def test_after_10_seconds_it_begins_again_on_the_time_of_the_invocation(world):
    """"The Init phase is limited to 10 seconds. If all three tasks do not complete within 10 seconds, Lambda retries
    the Init phase at the time of the first function invocation with the configured function timeout." """
    name = world.functions.make(slow(11), Timeout=30)
    assert world.functions.call(name, {}) == "done"
    world.expect(
        name, INIT_START, "importing\n", init_report("init", "timeout"), "importing\n", "imported\n", START, END, report()
    )
    lines = world.lines(name)
    (first,) = re.findall(r"Init Duration: (\d+)\.", lines[2])
    assert 9_990 <= int(first) < 12_000  # timers count whole milliseconds from when their turn of the loop began
    (duration,) = re.findall(r"\tDuration: (\d+)\.", lines[-1])
    assert 10_900 <= int(duration) < 20_000  # counted from when the router hears of the sandbox


def test_a_second_init_that_takes_too_long_is_a_time_out(hasty):
    name = hasty.functions.make(slow(60), Timeout=1)
    answer, payload = hasty.functions.invoke(name, {})
    request = answer["ResponseMetadata"]["RequestId"]
    assert answer["FunctionError"] == "Unhandled"
    assert payload == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": f"RequestId: {request} Error: Task timed out after 1.00 seconds",
    }
    hasty.expect(
        name,
        INIT_START,
        "importing\n",
        init_report("init", "timeout"),
        "importing\n",
        init_report("invoke", "timeout"),
        START,
        rf"{STAMP} {request} Task timed out after 1\.00 seconds\n\n",
        END,
        report("timeout"),
    )
    assert "Billed Duration: 1000 ms" in hasty.lines(name)[-1]


def test_the_second_init_counts_as_the_invocation(hasty):
    """What it took is missing in the time that the function is told to have left."""
    source = slow(1) + "def handler(event, context):\n    return context.get_remaining_time_in_millis()\n"
    name = hasty.functions.make(source, Timeout=10)
    assert hasty.functions.call(name, {}) <= 9000
    assert 9000 < hasty.functions.call(name, {}) <= 10000


def test_a_runtime_that_never_asks_for_work(hasty):
    name = hasty.functions.make("#!/bin/bash\necho up\nsleep 60\n", runtime=PROVIDED, Timeout=1)
    _, payload = hasty.functions.invoke(name, {})
    assert payload["errorType"] == "Sandbox.Timedout"
    assert payload["errorMessage"].endswith("Task timed out after 1.00 seconds")


FAILURES = {
    "import": ("import nosuchmodule\n", "python3.12", "Runtime.ImportModuleError"),
    "syntax": ("def handler(:\n", "python3.12", "Runtime.UserCodeSyntaxError"),
    "handler": ("def other(e, c):\n    pass\n", "python3.12", "Runtime.HandlerNotFound"),
    "raise": ("raise ValueError('at import')\n", "python3.12", "Runtime.Unknown"),
    "exit": ("import os\nos._exit(7)\n", "python3.12", "Runtime.ExitError"),
    "node import": ("require('nosuchmodule');\n", NODE, "Runtime.ImportModuleError"),
    "node syntax": ("exports.handler = {\n", NODE, "Runtime.UserCodeSyntaxError"),
    "node handler": ("exports.other = 1;\n", NODE, "Runtime.HandlerNotFound"),
    "bootstrap exit": ("#!/bin/bash\nexit 5\n", PROVIDED, "Runtime.ExitError"),
    "bootstrap signal": ("#!/bin/bash\nkill -SEGV $$\n", PROVIDED, "Runtime.ExitError"),
}


@pytest.mark.parametrize("what", FAILURES)
def test_a_failure_is_tried_twice_and_reported_twice(world, what):
    source, runtime, error_type = FAILURES[what]
    name = world.functions.make(source, runtime=runtime)
    answer, payload = world.functions.invoke(name, {})
    assert answer["FunctionError"] == "Unhandled"
    lines = world.lines(name)
    reports = [line for line in lines if line.startswith("INIT_REPORT")]
    assert len(reports) == 2, lines
    for line, phase in zip(reports, ("init", "invoke")):
        found = re.fullmatch(init_report(phase, r"error\tError Type: (\S+)"), line)
        assert found, line
        assert found[1] == error_type, (line, payload)
    assert payload["errorType"] == ("ValueError" if what == "raise" else error_type)
    kept = [line for line in lines if re.match("INIT_START|INIT_REPORT|START|END|REPORT", line)]
    assert [line.split(" ")[0] for line in kept] == ["INIT_START", "INIT_REPORT", "INIT_REPORT", "START", "END", "REPORT"]
    assert re.fullmatch(report("error", error_type), kept[-1]), kept[-1]


@pytest.mark.parametrize(
    "files, executable, words",
    [
        ({"other": "x"}, (), r"Couldn't find valid bootstrap\(s\): \[/var/task/bootstrap /opt/bootstrap\]"),
        ({"bootstrap": "#!/bin/bash\n"}, (), "fork/exec /var/task/bootstrap: permission denied"),
        ({"bootstrap": b"\x7fELF no program"}, ("bootstrap",), "fork/exec /var/task/bootstrap: exec format error"),
    ],
)
def test_a_bootstrap_that_cannot_be_executed(world, files, executable, words):
    name = world.functions.make(zipped=zip_files(files, executable=executable), runtime=PROVIDED)
    answer, payload = world.functions.invoke(name, {})
    assert answer["FunctionError"] == "Unhandled"
    assert payload["errorType"] == "Runtime.InvalidEntrypoint"
    assert re.fullmatch(rf"RequestId: {UUID} Error: {words}", payload["errorMessage"])
    world.expect(
        name,
        init_report("init", r"error\tError Type: Runtime\.InvalidEntrypoint"),
        init_report("invoke", r"error\tError Type: Runtime\.InvalidEntrypoint"),
        START,
        rf"RequestId: {UUID} Error: {words}\nRuntime\.InvalidEntrypoint\n",
        END,
        report("error", "Runtime.InvalidEntrypoint"),
    )
