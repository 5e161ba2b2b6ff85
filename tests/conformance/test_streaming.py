"""Response streaming: InvokeWithResponseStream, and what plain invocations make of functions that stream."""

import base64
import json
import pathlib
import re
import time

import pytest
from botocore.eventstream import EventStreamBuffer

from harness.daemon import descendants
from harness.errors import error
from harness.functions import NODE, PROVIDED
from harness.rawhttp import Peer, request, scope
from harness.streams import STEPS

EXAMPLE = pathlib.Path(__file__).parents[2] / "examples" / "provided-python"
MB = 1024 * 1024

@pytest.fixture(scope="module")
def steps(functions):
    return functions.make(STEPS, runtime=NODE, Timeout=30, MemorySize=512)


def stream(client, name, event, **more):
    """(answer, chunks, what InvokeComplete says)."""
    answer = client.invoke_with_response_stream(FunctionName=name, Payload=json.dumps(event), **more)
    events = list(answer["EventStream"])
    chunks = [event["PayloadChunk"]["Payload"] for event in events[:-1]]
    return answer, chunks, events[-1]["InvokeComplete"]


def log_of(complete):
    return base64.b64decode(complete["LogResult"]).decode()


# ---- what arrives ----


def test_chunks_and_the_end(lambda_, steps):
    answer, chunks, complete = stream(lambda_, steps, {"steps": [{"write": "abc"}, {"write": "de"}], "type": "text/x"})
    assert b"".join(chunks) == b"abcde"
    assert complete == {}
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert answer["ResponseStreamContentType"] == "application/vnd.amazon.eventstream"
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amzn-remapped-content-type"] == "text/x"
    assert headers["transfer-encoding"] == "chunked"
    assert headers["x-amzn-trace-id"].startswith("Root=1-")


def test_an_empty_stream(lambda_, steps):
    answer, chunks, complete = stream(lambda_, steps, {"steps": []})
    assert (chunks, complete) == ([], {})
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-remapped-content-type"] == "application/octet-stream"


def test_the_log_comes_with_the_end(lambda_, steps):
    _, chunks, complete = stream(lambda_, steps, {"steps": [{"log": "said this"}, {"write": "a"}]}, LogType="Tail")
    assert list(complete) == ["LogResult"]
    assert re.search(r"^START RequestId: .*\tINFO\tsaid this\n.*END RequestId: .*\nREPORT RequestId: ", log_of(complete), re.S)


def test_the_prelude_is_passed_as_it_is(lambda_, steps):
    prelude = {"statusCode": 201, "headers": {"a": "b"}, "cookies": ["c=d"]}
    answer, chunks, _ = stream(lambda_, steps, {"prelude": prelude, "steps": [{"write": "body"}]})
    text, _, body = b"".join(chunks).partition(bytes(8))
    assert (json.loads(text), body) == (prelude, b"body")
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amzn-remapped-content-type"] == "application/vnd.awslambda.http-integration-response"


class Raw(Peer):
    """An InvokeWithResponseStream as bytes."""

    def __init__(self, daemon, name, event, version="HTTP/1.1"):
        super().__init__(daemon.port)
        path = f"/2021-11-15/functions/{name}/response-streaming-invocations"
        self.send(request("POST", path, scope("lambda"), json.dumps(event).encode(), version=version))
        self.events = EventStreamBuffer()

    def head(self):
        return self._until(b"\r\n\r\n").decode("latin-1")

    def chunk(self):
        size = int(self._until(b"\r\n"), 16)
        return self._exactly(size + 2)[:-2]

    def event(self):
        """The next event, whose message is one chunk."""
        self.events.add_data(self.chunk())
        (event,) = list(self.events)
        return event.headers[":event-type"], event.payload


def test_a_chunk_arrives_before_the_next_one_is_written(daemon, lambda_, functions, steps):
    """The function waits for a sign that its first chunk has arrived: whoever gathered the response would wait for ever."""
    events = {"steps": [{"write": "first"}, {"wait": "second"}, {"write": "second"}, {"wait": "third"}, {"write": "third"}]}
    with Raw(daemon, steps, events) as raw:
        assert "Transfer-Encoding: chunked" in raw.head()
        for word in ("second", "third"):
            kind, payload = raw.event()
            assert kind == "PayloadChunk" and payload == (b"first" if word == "second" else b"second")
            lambda_.tag_resource(Resource=functions.arn(steps), Tags={word: "1"})
        assert raw.event() == ("PayloadChunk", b"third")
        assert raw.event() == ("InvokeComplete", b"{}")
        assert raw.chunk() == b""
        raw.send(request("GET", "/"))  # the connection goes on
        assert raw.answer().status == 200


def test_a_client_without_chunks(daemon, steps):
    with Raw(daemon, steps, {"steps": [{"write": "a"}]}, version="HTTP/1.0") as raw:
        head = raw.head()
        assert "Transfer-Encoding" not in head and "Connection: close" in head
        assert raw.is_closed()


def test_versions_and_aliases(lambda_, functions):
    name = functions.make(STEPS, runtime=NODE)
    functions.publish(name)
    lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    for qualifier in ("1", "live"):
        answer, chunks, _ = stream(lambda_, name, {"steps": [{"write": "x"}]}, Qualifier=qualifier)
        assert (answer["ExecutedVersion"], b"".join(chunks)) == ("1", b"x")


# ---- functions that do not stream, callers that do not ----


def test_a_function_that_does_not_stream_is_one_chunk(lambda_, functions):
    name = functions.make("def handler(event, context):\n    return {'got': event}\n")
    answer, chunks, complete = stream(lambda_, name, {"a": 1})
    assert (chunks, complete) == ([b'{"got": {"a": 1}}'], {})
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-remapped-content-type"] == "application/json"
    name = functions.make("def handler(event, context):\n    return 'x' * event\n", MemorySize=512)
    _, chunks, _ = stream(lambda_, name, 6 * MB - 2)
    assert [len(chunk) for chunk in chunks] == [6 * MB]


def test_invoke_gets_the_whole(lambda_, steps):
    answer = lambda_.invoke(FunctionName=steps, Payload=json.dumps({"steps": [{"write": "ab"}, {"write": "c"}], "type": "text/x"}))
    assert answer["Payload"].read() == b"abc"
    assert "FunctionError" not in answer
    assert answer["ResponseMetadata"]["HTTPHeaders"]["content-type"] == "application/octet-stream"


def test_seven_megabytes_can_be_streamed_but_not_invoked(lambda_, functions, steps):
    event = {"steps": [{"bytes": 7 * MB}]}
    _, chunks, complete = stream(lambda_, steps, event)
    assert (sum(map(len, chunks)), complete) == (7 * MB, {})
    answer, payload = functions.invoke(steps, event)
    assert answer["FunctionError"] == "Unhandled"
    assert payload == {
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
    }


@pytest.mark.seconds(180)
def test_two_hundred_megabytes_are_the_limit(lambda_, steps):
    _, chunks, complete = stream(lambda_, steps, {"steps": [{"bytes": 200 * MB}]})
    assert (sum(map(len, chunks)), complete) == (200 * MB, {})
    _, chunks, complete = stream(lambda_, steps, {"steps": [{"bytes": 200 * MB + 1}]})
    assert sum(map(len, chunks)) == 200 * MB
    assert complete["ErrorCode"] == "Function.ResponseSizeTooLarge"
    assert json.loads(complete["ErrorDetails"])["errorMessage"] == (
        "Response payload size exceeded maximum allowed payload size (209715200 bytes)."
    )


# ---- errors ----


@pytest.mark.parametrize("before, written", [([], b""), ([{"write": "begun"}], b"begun")])
def test_an_error_of_the_function(lambda_, functions, steps, before, written):
    event = {"steps": [*before, {"fail": "on purpose"}]}
    _, chunks, complete = stream(lambda_, steps, event)
    assert b"".join(chunks) == written
    assert complete["ErrorCode"] == "Unhandled"
    details = json.loads(complete["ErrorDetails"])
    assert (details["errorType"], details["errorMessage"]) == ("RangeError", "on purpose")
    answer, payload = functions.invoke(steps, event)
    assert (answer["FunctionError"], payload["errorMessage"]) == ("Unhandled", "on purpose")
    _, chunks, complete = stream(lambda_, steps, {"steps": [{"write": "goes on"}]})
    assert (chunks, complete) == ([b"goes on"], {})


def test_an_error_of_a_function_that_does_not_stream(lambda_, functions):
    name = functions.make("def handler(event, context):\n    raise ValueError('on purpose')\n")
    _, chunks, complete = stream(lambda_, name, {})
    assert complete["ErrorCode"] == "Unhandled"
    assert json.loads(chunks[0]) == json.loads(complete["ErrorDetails"])
    assert json.loads(chunks[0])["errorMessage"] == "on purpose"


def test_a_crash_in_the_middle(lambda_, steps, eventually, logs):
    answer, chunks, complete = stream(lambda_, steps, {"steps": [{"write": "begun"}, {"crash": True}]})
    assert b"".join(chunks) == b"begun"
    assert complete["ErrorCode"] == "Runtime.TruncatedResponse"
    request_id = answer["ResponseMetadata"]["RequestId"]

    def logged():
        found = logs.filter_log_events(logGroupName=f"/aws/lambda/{steps}", filterPattern=f'"{request_id}"')["events"]
        return any("Error: Runtime exited with error: signal: killed" in event["message"] for event in found)

    eventually(logged)
    assert stream(lambda_, steps, {"steps": [{"write": "x"}]})[1] == [b"x"]


def test_a_time_out_in_the_middle_and_before(lambda_, functions):
    name = functions.make(STEPS, runtime=NODE, Timeout=1)
    _, chunks, complete = stream(lambda_, name, {"steps": [{"write": "begun"}, {"sleep": 60_000}]}, LogType="Tail")
    assert b"".join(chunks) == b"begun"
    assert complete["ErrorCode"] == "Sandbox.Timedout"
    assert json.loads(complete["ErrorDetails"])["errorMessage"].endswith("Error: Task timed out after 1.00 seconds")
    assert "Task timed out after 1.00 seconds" in log_of(complete)
    _, chunks, complete = stream(lambda_, name, {"steps": [{"sleep": 60_000}]})
    assert complete["ErrorCode"] == "Unhandled"
    assert json.loads(complete["ErrorDetails"])["errorType"] == "Sandbox.Timedout"


def test_what_never_runs_is_an_ordinary_error(lambda_, functions, steps):
    invoke = lambda_.invoke_with_response_stream
    with error("ResourceNotFoundException", f"Function not found: {functions.arn('not-there', '$LATEST')}", 404):
        invoke(FunctionName="not-there", Payload="{}")
    with error("InvalidRequestContentException", None, 400):
        invoke(FunctionName=steps, Payload="{")
    with error("ValidationException", None, 400):
        invoke(FunctionName=steps, Payload="{}", InvocationType="Event")
    with error("RequestTooLargeException", None, 413):
        invoke(FunctionName=steps, Payload='"' + "x" * (6 * MB) + '"')
    answer = invoke(FunctionName=steps, InvocationType="DryRun")
    assert answer["StatusCode"] == 204
    with error("ResourceNotFoundException", None, 404):
        invoke(FunctionName="not-there", InvocationType="DryRun")
    name = functions.make(STEPS, runtime=NODE)
    lambda_.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    with error("TooManyRequestsException", None, 429):
        invoke(FunctionName=name, Payload="{}")


# ---- clients that are slow, or go ----


def router_rss(daemon):
    pid = next(pid for pid, line in descendants(daemon.process.pid).items() if line.startswith("mayfly router"))
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+) kB", status.read())[1]) * 1024


def test_a_client_that_does_not_read_stops_the_function(daemon, functions, logs, eventually):
    """It would write 100 MB, and cannot: its time runs out, and nothing of all that has been put by."""
    name = functions.make(STEPS, runtime=NODE, Timeout=3, MemorySize=512)
    functions.call(name, {"steps": [{"write": "1"}]})
    before, most = router_rss(daemon), 0
    with Raw(daemon, name, {"steps": [{"write": "begun"}, {"bytes": 100 * MB}, {"log": "all written"}]}) as raw:
        assert "200 OK" in raw.head()

        def is_over():
            nonlocal most
            most = max(most, router_rss(daemon))
            return logs.filter_log_events(logGroupName=f"/aws/lambda/{name}", filterPattern="timeout")["events"]

        eventually(is_over, seconds=20)
        assert most - before < 30 * MB
        length, complete = 0, None
        while complete is None:
            kind, payload = raw.event()
            length += len(payload) if kind == "PayloadChunk" else 0
            complete = json.loads(payload) if kind == "InvokeComplete" else None
    assert 0 < length < 50 * MB
    assert complete["ErrorCode"] == "Sandbox.Timedout"


@pytest.mark.seconds(120)
def test_a_client_that_reads_late_gets_all_of_it(daemon, steps):
    with Raw(daemon, steps, {"steps": [{"write": "begun"}, {"bytes": 50 * MB}]}) as raw:
        raw.head()
        time.sleep(0.5)  # not needed, but then there is something to catch up with
        length = 0
        while (event := raw.event())[0] == "PayloadChunk":
            length += len(event[1])
    assert (length, event) == (50 * MB + len("begun"), ("InvokeComplete", b"{}"))


def test_a_client_that_goes_away_does_not_stop_the_function(daemon, lambda_, functions, steps, logs, eventually):
    """AWS: "Streamed responses are not interrupted or stopped when the invoking client connection is broken." """
    mark = f"written for nobody {time.monotonic_ns()}"
    lambda_.untag_resource(Resource=functions.arn(steps), TagKeys=["left"])
    with Raw(daemon, steps, {"steps": [{"write": "a"}, {"wait": "left"}, {"bytes": 20 * MB}, {"log": mark}]}) as raw:
        raw.head()
        raw.event()
    lambda_.tag_resource(Resource=functions.arn(steps), Tags={"left": "1"})

    def finished():
        return logs.filter_log_events(logGroupName=f"/aws/lambda/{steps}", filterPattern=f'"{mark}"')["events"]

    eventually(finished)
    assert stream(lambda_, steps, {"steps": [{"write": "x"}]})[1] == [b"x"]


# ---- Python, through the Runtime API ----


def test_a_custom_runtime_streams_python_generators(lambda_, functions):
    files = {
        "bootstrap": (EXAMPLE / "bootstrap").read_text(),
        "app.py": "def handler(event, context):\n    yield 'one'\n    yield b'\\x00two'\n    if event.get('fail'):\n"
        "        raise KeyError('three')\n",
    }
    name = functions.make(files=files, runtime=PROVIDED, Handler="app.handler")
    answer, chunks, complete = stream(lambda_, name, {})
    assert (b"".join(chunks), complete) == (b"one\x00two", {})
    _, chunks, complete = stream(lambda_, name, {"fail": True})
    assert (b"".join(chunks), complete["ErrorCode"]) == (b"one\x00two", "Unhandled")
    assert json.loads(complete["ErrorDetails"])["errorType"] == "KeyError"
    example = {path.name: path.read_text() for path in EXAMPLE.iterdir()}
    name = functions.make(files=example, runtime=PROVIDED, Handler="app.handler")
    assert b"".join(stream(lambda_, name, {"name": "you"})[1]) == b"Hello, you!\n"
