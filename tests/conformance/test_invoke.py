"""Invoke: types, payloads both ways, logs in the answer, errors, time-outs, what a version sees."""

import base64
import concurrent.futures
import json
import re
import time

import pytest

from harness.errors import arn, error, not_found
from harness.functions import NODE, PROVIDED, unique

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
MB = 1024 * 1024


def test_request_response(lambda_, functions, echo):
    answer, payload = functions.invoke(echo, {"a": [1, 2.5, None, True, "ü"]})
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert "FunctionError" not in answer and "LogResult" not in answer
    assert payload == {"a": [1, 2.5, None, True, "ü"]}
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    assert headers["content-type"] == "application/json"
    assert re.fullmatch(UUID, headers["x-amzn-requestid"])
    assert re.fullmatch(r"root=1-[0-9a-f]{8}-[0-9a-f]{24}(;.*)?", headers["x-amzn-trace-id"], re.IGNORECASE)


@pytest.mark.parametrize("event", ["null", "1", '"text"', "[]", "true", "{}", ' { "a" : 1 } ', '"\\u00fc\\ud83d\\ude00"'])
def test_any_json_is_an_event(functions, echo, event):
    _, payload = functions.invoke(echo, Payload=event)
    assert payload == json.loads(event)


def test_no_payload_is_an_empty_event(functions):
    name = functions.make("def handler(event, context):\n    return [event]\n")
    answer, payload = functions.invoke(name)
    assert payload == [{}]


def test_a_function_without_a_result_answers_null(lambda_, functions):
    name = functions.make("def handler(event, context):\n    pass\n")
    answer = lambda_.invoke(FunctionName=name)
    assert answer["Payload"].read() == b"null"


def test_dry_run_answers_204_and_runs_nothing(lambda_, functions, logs):
    name = functions.make()
    answer = lambda_.invoke(FunctionName=name, InvocationType="DryRun")
    assert (answer["StatusCode"], answer["Payload"].read()) == (204, b"")
    assert "ExecutedVersion" not in answer
    time.sleep(0.3)
    assert logs.describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{name}")["logGroups"] == []
    with not_found(f"Function not found: {arn('doesnotexist')}:$LATEST"):
        lambda_.invoke(FunctionName="doesnotexist", InvocationType="DryRun")


def test_an_event_answers_202_and_runs_once(lambda_, functions, logs, eventually):
    token = unique("token")
    name = functions.make("def handler(event, context):\n    print('ran', event['token'])\n")
    answer = lambda_.invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps({"token": token}))
    assert (answer["StatusCode"], answer["Payload"].read()) == (202, b"")
    assert "ExecutedVersion" not in answer and "FunctionError" not in answer

    def ran():
        if not logs.describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{name}")["logGroups"]:
            return []
        found = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}", filterPattern=f'"{token}"')
        return [event["message"] for event in found["events"]]

    eventually(lambda: ran() == [f"ran {token}\n"])
    time.sleep(1)
    assert ran() == [f"ran {token}\n"]


def test_the_request_id_is_the_same_everywhere(lambda_, functions):
    name = functions.make("def handler(event, context):\n    return context.aws_request_id\n")
    answer, seen = functions.invoke(name, {}, LogType="Tail")
    assert seen == answer["ResponseMetadata"]["RequestId"]
    assert f"START RequestId: {seen} Version: $LATEST" in base64.b64decode(answer["LogResult"]).decode()


def test_unknown_invocation_types_are_refused(lambda_, echo):
    with error("ValidationException", status=400) as caught:
        lambda_.invoke(FunctionName=echo, InvocationType="Sometimes")
    assert "Value 'Sometimes' at 'invocationType' failed to satisfy constraint: Member must satisfy" in caught.message


REPORT = (
    rf"REPORT RequestId: {UUID}\t"
    r"Duration: \d+\.\d\d ms\tBilled Duration: \d+ ms\tMemory Size: 128 MB\tMax Memory Used: \d+ MB\t"
)
INIT = r"Init Duration: \d+\.\d\d ms\t"


def tail_of(answer):
    return base64.b64decode(answer["LogResult"], validate=True).decode()


@pytest.mark.parametrize("runtime", ["python3.12", NODE])
def test_a_log_tail_has_the_lines_of_this_invocation(functions, runtime):
    source = {
        "python3.12": "def handler(event, context):\n    print('one', event['n'])\n",
        NODE: "exports.handler = async (event) => { console.log('one', event.n); };\n",
    }[runtime]
    name = functions.make(source, runtime=runtime)
    for n in (1, 2):
        answer, _ = functions.invoke(name, {"n": n}, LogType="Tail")
        request = answer["ResponseMetadata"]["RequestId"]
        lines = tail_of(answer).split("\n")
        while "INIT_START" in lines[0]:
            lines.pop(0)
        printed = f"one {n}" if runtime != NODE else rf"[0-9T:.Z-]{{24}}\t{request}\tINFO\tone {n}"
        expected = [
            rf"START RequestId: {request} Version: \$LATEST",
            printed,
            rf"END RequestId: {request}",
            REPORT + (INIT if n == 1 else ""),
            "",
        ]
        assert len(lines) == len(expected), lines
        for line, pattern in zip(lines, expected):
            assert re.fullmatch(pattern, line), (line, pattern)
        assert request in lines[3]


def test_a_log_tail_is_at_most_4_kb_and_its_end(functions):
    name = functions.make(
        "def handler(event, context):\n    for i in range(400):\n        print('line', i, 'x' * 40)\n"
    )
    answer, _ = functions.invoke(name, {}, LogType="Tail")
    tail = base64.b64decode(answer["LogResult"])
    assert 2048 < len(tail) <= 4096
    text = tail.decode()
    assert "line 399" in text and "REPORT RequestId:" in text and "line 0 " not in text


def test_log_types(lambda_, functions, echo):
    assert "LogResult" not in functions.invoke(echo, {}, LogType="None")[0]
    with error("ValidationException", status=400) as caught:
        lambda_.invoke(FunctionName=echo, LogType="Head")
    assert "Value 'Head' at 'logType' failed to satisfy constraint: Member must satisfy enum" in caught.message


def test_the_client_context_reaches_the_function(functions):
    name = functions.make(
        "def handler(event, context):\n"
        "    c = context.client_context\n"
        "    return [c.custom, c.env, c.client.app_title if c.client else None]\n"
    )
    context = {"custom": {"foo": "bar"}, "env": {"fizz": "buzz"}, "client": {"app_title": "tests"}}
    encoded = base64.b64encode(json.dumps(context).encode()).decode()
    assert functions.call(name, {}, ClientContext=encoded) == [{"foo": "bar"}, {"fizz": "buzz"}, "tests"]


def test_the_client_context_reaches_node(functions):
    name = functions.make(
        "exports.handler = async (event, context) => ({ c: context.clientContext });\n", runtime=NODE
    )
    context = {"client": {"snap": ["crackle", "pop"]}, "env": {"fizz": "buzz"}, "custom": {"foo": "bar"}}
    encoded = base64.b64encode(json.dumps(context).encode()).decode()
    assert functions.call(name, {}, ClientContext=encoded) == {"c": context}


def test_a_client_context_that_is_not_base64_json_is_refused(lambda_, echo):
    with error("InvalidRequestContentException", status=400):
        lambda_.invoke(FunctionName=echo, ClientContext="%%% no base64 %%%")


INVALID_JSON = "Could not parse request body into json: Could not parse payload into json: "
SOURCE = "\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: {}, column: {}]"


def test_a_body_that_is_no_json_is_refused_with_the_place(lambda_, echo):
    with error(
        "InvalidRequestContentException",
        INVALID_JSON
        + "Unexpected character ((CTRL-CHAR, code 153)): expected a valid value "
        + "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
        + SOURCE.format(1, 1),
        400,
    ) as caught:
        lambda_.invoke(FunctionName=echo, Payload=b"\x99\xeb,j\x07\xa1zYh")
    assert caught.response["Type"] == "User"


@pytest.mark.parametrize(
    "payload", [b"{", b"{'a': 1}", b"[1,]", b"nul", b'"\x87"', b"1 2", b"{} x", b"\xff\xfe", b'{"a":1}}', b'"\t"', b"01"]
)
def test_broken_json_is_refused(lambda_, echo, payload):
    with error("InvalidRequestContentException", status=400) as caught:
        lambda_.invoke(FunctionName=echo, Payload=payload)
    assert caught.message.startswith("Could not parse request body into json: Could not parse payload into json:")


def test_a_request_of_6_mb_is_taken_and_more_is_refused(lambda_, functions):
    name = functions.make("def handler(event, context):\n    return len(event)\n", MemorySize=512, Timeout=20)
    size = 6 * MB
    assert functions.call(name, Payload=b'"' + b"x" * (size - 2) + b'"') == size - 2
    with error("RequestTooLargeException", status=413) as caught:
        lambda_.invoke(FunctionName=name, Payload=b'"' + b"x" * (6291556 - 1) + b'"')
    assert "6291556" in caught.message


def test_an_asynchronous_event_of_more_than_1_mb_is_refused(lambda_, echo):
    with error("RequestTooLargeException", status=413):
        lambda_.invoke(FunctionName=echo, InvocationType="Event", Payload=b'"' + b"x" * MB + b'"')


def test_a_response_of_6_mb_is_given_and_more_is_an_error(functions):
    name = functions.make(
        "def handler(event, context):\n    return 'x' * event['size']\n", MemorySize=512, Timeout=20
    )
    size = 6 * MB - 100
    assert len(functions.call(name, {"size": size})) == size
    for _ in range(2):
        answer, payload = functions.invoke(name, {"size": 7 * MB})
        assert answer["FunctionError"] == "Unhandled"
        assert payload == {
            "errorType": "Function.ResponseSizeTooLarge",
            "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
        }
    assert functions.call(name, {"size": 3}) == "xxx"


def test_a_time_out_ends_the_invocation_and_the_environment(functions):
    name = functions.make(
        "import time\n"
        "number = 0\n"
        "def handler(event, context):\n"
        "    global number\n"
        "    number += 1\n"
        "    if event.get('sleep'):\n"
        "        time.sleep(event['sleep'])\n"
        "    return number\n",
        Timeout=1,
    )
    assert [functions.call(name, {}) for _ in range(2)] == [1, 2]
    started = time.monotonic()
    answer, payload = functions.invoke(name, {"sleep": 30}, LogType="Tail")
    took = time.monotonic() - started
    request = answer["ResponseMetadata"]["RequestId"]
    assert 0.9 < took < 5, took
    assert answer["FunctionError"] == "Unhandled"
    assert payload == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": f"RequestId: {request} Error: Task timed out after 1.00 seconds",
    }
    assert re.search(
        rf"{request} Task timed out after 1\.00 seconds|REPORT RequestId: {request}\t.*Status: timeout", tail_of(answer)
    )
    assert functions.call(name, {}) == 1, "the environment survived the time-out"


def test_the_deadline_is_told_to_the_function(functions):
    name = functions.make(
        "def handler(event, context):\n    return context.get_remaining_time_in_millis()\n", Timeout=7
    )
    assert 6000 < functions.call(name, {}) <= 7000


def test_global_state_survives_between_invocations(functions):
    for runtime, source in (
        ("python3.12", "n = -1\ndef handler(e, c):\n    global n\n    n += 1\n    return n\n"),
        (NODE, "let n = -1;\nexports.handler = async () => ++n;\n"),
    ):
        name = functions.make(source, runtime=runtime)
        assert [functions.call(name, {}) for _ in range(3)] == [0, 1, 2]


def test_new_code_is_used_at_once_and_running_invocations_end_with_the_old(lambda_, functions):
    source = "import time\ndef handler(event, context):\n    time.sleep(event['s'])\n    return '{}'\n"
    name = functions.make(source.format("old"), Timeout=20)
    functions.call(name, {"s": 0})
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(functions.call, name, {"s": 2})
        time.sleep(0.5)
        functions.update_code(name, source.format("new"))
        assert functions.call(name, {"s": 0}) == "new"
        assert running.result() == "old"


def test_deletion_during_an_invocation_lets_it_end(lambda_, functions):
    name = functions.make("import time\ndef handler(e, c):\n    time.sleep(1.5)\n    return 'done'\n", Timeout=20)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(functions.call, name, {})
        time.sleep(0.7)
        lambda_.delete_function(FunctionName=name)
        with not_found(f"Function not found: {arn(name)}:$LATEST"):
            lambda_.invoke(FunctionName=name)
        assert running.result() == "done"


def test_a_runtime_that_is_not_installed_says_so_at_invoke(functions):
    name = functions.make(Runtime="dotnet8", Handler="lambda_function.handler")
    with error("InvalidRuntimeException", status=502) as caught:
        functions.invoke(name, {})
    assert "dotnet8 is not installed on this node. Install its interpreter" in caught.message


def test_provided_without_a_bootstrap(functions):
    name = functions.make(files={"other": "x"}, runtime=PROVIDED)
    answer, payload = functions.invoke(name, {})
    assert answer["FunctionError"] == "Unhandled"
    assert payload["errorType"] == "Runtime.InvalidEntrypoint"
    assert re.fullmatch(rf"RequestId: {UUID} Error: Couldn't find valid bootstrap\(s\): .*", payload["errorMessage"])
