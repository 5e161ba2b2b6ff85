"""Asynchronous invocation: durable acceptance, retries, ages, destinations, dead letters, loops, the operator's view."""

import json
import os
import pathlib
import re
import signal
import subprocess

import pytest

from harness.daemon import descendants
from harness.errors import arn, error, not_found
from harness.sdk import SIGNED
from harness.targets import Targets

MB = 1024 * 1024
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
PRINT = "import json\ndef handler(event, context):\n    print('GOT', json.dumps(event))\n    return event\n"
FAIL = "import json\ndef handler(event, context):\n    print('GOT', json.dumps(event))\n    raise ValueError('on purpose')\n"


class World:
    """A daemon whose waits are short, and what its functions have printed."""

    def __init__(self, daemon, aws, targets):
        self.daemon, self.aws, self.targets = daemon, aws, targets
        self.functions = aws.functions()
        self.lambda_ = aws.client("lambda")
        self.logs = aws.client("logs")

    def send(self, name, event, **more):
        answer = self.lambda_.invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps(event), **more)
        assert (answer["StatusCode"], answer["Payload"].read()) == (202, b"")
        return answer["ResponseMetadata"]["RequestId"]

    def got(self, name):
        """The events that a function has printed, in their order."""
        try:
            found = self.logs.filter_log_events(logGroupName=f"/aws/lambda/{name}", filterPattern="GOT")
        except self.logs.exceptions.ResourceNotFoundException:
            return []
        return [json.loads(event["message"][4:]) for event in found["events"] if event["message"].startswith("GOT ")]

    def starts(self, name, request_id):
        found = self.logs.filter_log_events(logGroupName=f"/aws/lambda/{name}", filterPattern=f'"START RequestId: {request_id}"')
        return len(found["events"])

    def status(self):
        return json.loads(self.cli("status", "-o", "json"))["async"]

    def counters(self):
        return json.loads(self.cli("status", "-o", "json"))["counters"]

    def cli(self, *words, code=0):
        done = subprocess.run(
            [os.environ.get("MAYFLY_BIN", "build/mayfly"), *words],
            env={**os.environ, "AWS_ENDPOINT_URL": self.daemon.endpoint, "AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test"},
            capture_output=True,
            text=True,
            timeout=20,
        )
        assert done.returncode == code, done
        return done.stdout

    def listed(self, name):
        return json.loads(self.cli("async", "list", name, "-o", "json"))["events"]


@pytest.fixture(scope="module")
def world(daemon_of, aws_of):
    targets = Targets().start()
    daemon = daemon_of("--async-wait", "100", "--destinations", targets.endpoint, "--destinations-key", "AKID:secret")
    yield World(daemon, aws_of(daemon), targets)
    targets.stop()


def configure(world, name, **config):
    return world.lambda_.put_function_event_invoke_config(FunctionName=name, **config)


# --- retries ---


def test_a_function_error_is_retried_twice_with_one_request_id(world, eventually):
    name = world.functions.make(FAIL)
    request_id = world.send(name, {"n": 1})
    eventually(lambda: world.got(name) == [{"n": 1}] * 3)
    eventually(lambda: [event["state"] for event in world.listed(name)] == ["failed"])
    assert len(world.got(name)) == 3
    eventually(lambda: world.starts(name, request_id) == 3)


def test_retries_and_records_keep_to_the_tenant(world, eventually):
    source = "def handler(event, context):\n    print('GOT', f'\"{context.tenant_id}\"')\n    raise ValueError(context.tenant_id)\n"
    name, target = world.functions.make(source, TenancyConfig={"TenantIsolationMode": "PER_TENANT"}), world.functions.make(PRINT)
    configure(world, name, MaximumRetryAttempts=1, DestinationConfig={"OnFailure": {"Destination": arn(target)}})
    for tenant in ("green", "blue"):
        world.send(name, {"of": tenant}, TenantId=tenant)
    eventually(lambda: len(world.got(target)) == 2)
    eventually(lambda: sorted(world.got(name)) == ["blue", "blue", "green", "green"])
    for record in world.got(target):
        assert record["responsePayload"]["errorMessage"] == record["requestPayload"]["of"]


@pytest.mark.parametrize("attempts", [0, 1])
def test_the_attempts_are_those_of_the_configuration(world, eventually, attempts):
    name = world.functions.make(FAIL)
    configure(world, name, MaximumRetryAttempts=attempts)
    world.send(name, {})
    eventually(lambda: [event["state"] for event in world.listed(name)] == ["failed"])
    eventually(lambda: len(world.got(name)) == attempts + 1)


def test_the_configuration_of_an_alias_is_its_own(world, eventually):
    name = world.functions.make(FAIL)
    version = world.functions.publish(name)["Version"]
    world.lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion=version)
    configure(world, name, Qualifier="live", MaximumRetryAttempts=0)
    world.send(name, {"to": "live"}, Qualifier="live")
    world.send(name, {"to": "latest"})
    eventually(lambda: len(world.got(name)) == 4)
    assert [event["to"] for event in world.got(name)].count("live") == 1


def test_a_throttled_event_waits_for_room(world, eventually):
    name = world.functions.make("import time\ndef handler(event, context):\n    time.sleep(0.3)\n    print('GOT', event)\n")
    world.lambda_.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    for n in range(4):
        world.send(name, n)
    eventually(lambda: sorted(world.got(name)) == [0, 1, 2, 3], seconds=20)


def test_a_retry_that_would_come_too_late_is_none(another_daemon, aws_of, eventually):
    daemon = another_daemon()  # with AWS's waits
    world = World(daemon, aws_of(daemon), None)
    assert "retryWaits" not in world.status()
    target, name = world.functions.make(PRINT), world.functions.make(FAIL)
    configure(world, name, MaximumEventAgeInSeconds=60, DestinationConfig={"OnFailure": {"Destination": arn(target)}})
    world.send(name, {})
    (record,) = eventually(lambda: world.got(target))
    assert (record["requestContext"]["condition"], record["requestContext"]["approximateInvokeCount"]) == ("EventAgeExceeded", 1)
    assert record["responsePayload"]["errorMessage"] == "on purpose"
    assert world.status()["expired"] == 1


# --- destinations ---


def test_a_function_hears_of_a_success(world, eventually):
    target, name = world.functions.make(PRINT), world.functions.make()
    configure(world, name, DestinationConfig={"OnSuccess": {"Destination": arn(target)}})
    request_id = world.send(name, {"a": [1, "ü"]})
    (record,) = eventually(lambda: world.got(target))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record.pop("timestamp"))
    assert record == {
        "version": "1.0",
        "requestContext": {
            "requestId": request_id,
            "functionArn": arn(name) + ":$LATEST",
            "condition": "Success",
            "approximateInvokeCount": 1,
        },
        "requestPayload": {"a": [1, "ü"]},
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST"},
        "responsePayload": {"a": [1, "ü"]},
    }


def test_a_function_hears_of_a_failure(world, eventually):
    target, name = world.functions.make(PRINT), world.functions.make(FAIL)
    configure(world, name, DestinationConfig={"OnFailure": {"Destination": arn(target)}, "OnSuccess": {"Destination": arn(target)}})
    request_id = world.send(name, {"n": 2})
    (record,) = eventually(lambda: world.got(target))
    assert record["requestContext"] == {
        "requestId": request_id,
        "functionArn": arn(name) + ":$LATEST",
        "condition": "RetriesExhausted",
        "approximateInvokeCount": 3,
    }
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    assert (record["responsePayload"]["errorType"], record["responsePayload"]["errorMessage"]) == ("ValueError", "on purpose")
    assert world.listed(name) == []


def test_a_reservation_of_zero_fails_at_once(world, eventually):
    target, name = world.functions.make(PRINT), world.functions.make(PRINT)
    world.lambda_.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    configure(world, name, DestinationConfig={"OnFailure": {"Destination": arn(target)}})
    world.send(name, {"n": 3})
    (record,) = eventually(lambda: world.got(target))
    assert (record["requestContext"]["condition"], record["requestContext"]["approximateInvokeCount"]) == ("ZeroReservedConcurrency", 0)
    assert "responseContext" not in record and "responsePayload" not in record
    assert world.got(name) == []


def test_a_queue_is_told_by_a_signed_request_until_it_takes_it(world, eventually):
    name = world.functions.make()
    world.targets.refusals[:] = [503, 500]
    configure(world, name, DestinationConfig={"OnSuccess": {"Destination": "arn:aws:sqs:eu-central-1:000000000000:told"}})
    request_id = world.send(name, {"q": 1})

    def told():
        return [m for m in world.targets.messages() if m["QueueUrl"] == f"{world.targets.endpoint}/000000000000/told"]

    (message,) = eventually(told)
    assert json.loads(message["MessageBody"])["requestContext"]["requestId"] == request_id
    (headers,) = [h for _, _, h, body in world.targets.taken if b"/told" in body]
    assert "Credential=AKID/" in headers["Authorization"] and "/eu-central-1/sqs/aws4_request" in headers["Authorization"]
    assert "delivery_retried" in world.daemon.log()


def test_a_dead_letter_is_the_event_with_three_attributes(world, eventually):
    name = world.functions.make(FAIL, DeadLetterConfig={"TargetArn": "arn:aws:sns:us-east-1:000000000000:dead"})
    assert world.lambda_.get_function_configuration(FunctionName=name)["DeadLetterConfig"] == {
        "TargetArn": "arn:aws:sns:us-east-1:000000000000:dead"
    }
    configure(world, name, MaximumRetryAttempts=0)
    request_id = world.send(name, {"dead": True})
    (form,) = eventually(lambda: [f for f in world.targets.forms() if f["TopicArn"].endswith(":dead")])
    assert json.loads(form["Message"]) == {"dead": True}
    attributes = {
        form[f"MessageAttributes.entry.{i}.Name"]: form[f"MessageAttributes.entry.{i}.Value.StringValue"] for i in (1, 2, 3)
    }
    assert attributes == {"RequestID": request_id, "ErrorCode": "200", "ErrorMessage": "on purpose"}
    world.functions.update(name, DeadLetterConfig={"TargetArn": ""})
    assert "DeadLetterConfig" not in world.lambda_.get_function_configuration(FunctionName=name)


def test_a_target_that_refuses_is_kept_and_can_be_redriven(world, eventually):
    name = world.functions.make()
    configure(world, name, DestinationConfig={"OnSuccess": {"Destination": "arn:aws:sqs:us-east-1:000000000000:redriven"}})
    world.targets.refusals[:] = [400]
    before = world.status()["deliveryFailures"]
    world.send(name, {"r": 1})
    (kept,) = eventually(lambda: [e for e in world.listed(name) if e["state"] == "failed"])
    assert kept["kind"] == "delivery" and kept["target"].endswith(":redriven") and "400" in kept["why"]
    assert world.status()["deliveryFailures"] == before + 1
    assert world.cli("async", "redrive", name) == "redriven 1\n"
    eventually(lambda: [m for m in world.targets.messages() if m["QueueUrl"].endswith("/redriven")])
    eventually(lambda: world.listed(name) == [])


def libraries(daemon):
    """The libraries of a daemon's router, by the kernel."""
    warden = daemon.process.pid
    for pid in pathlib.Path(f"/proc/{warden}/task/{warden}/children").read_text().split():
        if pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:2] == [b"mayfly", b"router"]:
            return pathlib.Path(f"/proc/{pid}/maps").read_text()
    raise AssertionError("no router")


def test_libcurl_is_loaded_where_there_are_destinations(world, daemon):
    assert "libcurl" in libraries(world.daemon)
    assert "libsqlite3" in libraries(daemon) and "libcurl" not in libraries(daemon)


def test_without_an_endpoint_a_delivery_fails_aloud(another_daemon, aws_of, eventually):
    daemon = another_daemon("--async-wait", "100")
    world = World(daemon, aws_of(daemon), None)
    name = world.functions.make()
    configure(world, name, DestinationConfig={"OnSuccess": {"Destination": "arn:aws:sqs:us-east-1:000000000000:q"}})
    world.send(name, {})
    (kept,) = eventually(lambda: [e for e in world.listed(name) if e["state"] == "failed"])
    assert "set 'destinations'" in kept["why"]
    assert world.status()["deliveryFailures"] == 1
    assert "delivery_failed" in daemon.log()


# --- what survives ---


def router_pid(daemon):
    return next((pid for pid, line in descendants(daemon.process.pid).items() if "mayfly router" in line), None)


def test_what_was_accepted_survives_a_kill_of_the_router(another_daemon, aws_of, eventually):
    daemon = another_daemon("--async-wait", "100")
    world = World(daemon, aws_of(daemon), None)
    slow = world.functions.make("import time\ndef handler(event, context):\n    print('GOT', event, flush=True)\n    time.sleep(1)\n")
    world.lambda_.put_function_concurrency(FunctionName=slow, ReservedConcurrentExecutions=2)
    for n in range(6):
        world.send(slow, n)
    before = router_pid(daemon)
    os.kill(before, signal.SIGKILL)
    eventually(lambda: router_pid(daemon) not in (None, before))
    world = World(daemon, aws_of(daemon), None)  # its connections were those of the router
    eventually(lambda: set(world.got(slow)) == set(range(6)), seconds=30)
    eventually(lambda: world.listed(slow) == [], seconds=30)


def test_what_was_accepted_survives_a_kill_of_everything(daemon_binary, another_daemon, aws_of, eventually, tmp_path):
    from harness.daemon import Daemon

    first = Daemon("--async-wait", "100", data=tmp_path / "data")
    first.data.mkdir()
    first.start()
    world = World(first, aws_of(first), None)
    # None of them has ended when all is killed: what is printed in the last moments is lost.
    source = "import time\ndef handler(event, context):\n    time.sleep(0 if event else 3)\n    print('GOT', event)\n"
    name = world.functions.make(source, Timeout=10)
    world.lambda_.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    world.send(name, 0)
    eventually(lambda: world.counters()["busy"] == 1)
    for n in range(1, 20):
        world.send(name, n)
    first.process.kill()
    first.process.wait()
    assert not any(first.leftovers().values())
    daemon = another_daemon("--async-wait", "100", data=first.data)
    world = World(daemon, aws_of(daemon), None)
    eventually(lambda: set(world.got(name)) == set(range(20)), seconds=30)
    eventually(lambda: world.listed(name) == [], seconds=30)


def test_a_drain_lets_what_runs_finish_and_keeps_the_rest(daemon_binary, another_daemon, aws_of, eventually, tmp_path):
    from harness.daemon import Daemon

    first = Daemon("--async-wait", "100", data=tmp_path / "data")
    first.data.mkdir()
    first.start()
    world = World(first, aws_of(first), None)
    inner = world.functions.make("def handler(event, context):\n    return event\n")
    # An invocation of another function in the middle of the drain, by the endpoint inside.
    outer = world.functions.make(
        SIGNED + "import json, time\n"
        "def handler(event, context):\n"
        "    print('BEGUN', flush=True)\n"
        "    time.sleep(1.5)\n"
        f"    ask = signed('lambda', '/2015-03-31/functions/{inner}/invocations', b'7')\n"
        "    print('GOT', json.dumps([event, json.load(urllib.request.urlopen(ask))]), flush=True)\n",
        Timeout=10,
    )
    world.lambda_.put_function_concurrency(FunctionName=outer, ReservedConcurrentExecutions=1)
    world.send(outer, 1)

    def begun():
        try:
            return world.logs.filter_log_events(logGroupName=f"/aws/lambda/{outer}", filterPattern="BEGUN")["events"]
        except world.logs.exceptions.ResourceNotFoundException:
            return []

    eventually(begun)
    world.send(outer, 2)
    assert first.stop() == 0
    daemon = another_daemon("--async-wait", "100", data=first.data)
    world = World(daemon, aws_of(daemon), None)
    eventually(lambda: world.got(outer) == [[1, 7], [2, 7]], seconds=30)
    eventually(lambda: world.listed(outer) == [])


# --- limits and the old operation ---


def test_the_old_operation_accepts_and_runs(world, eventually):
    name = world.functions.make(PRINT)
    answer = world.lambda_.invoke_async(FunctionName=name, InvokeArgs=b'{"old": 1}')
    assert answer["Status"] == 202
    eventually(lambda: world.got(name) == [{"old": 1}])
    with not_found(f"Function not found: {arn('doesnotexist')}:$LATEST"):
        world.lambda_.invoke_async(FunctionName="doesnotexist", InvokeArgs=b"{}")
    with error("InvalidRequestContentException", status=400):
        world.lambda_.invoke_async(FunctionName=name, InvokeArgs=b"{")
    with error("RequestTooLargeException", "Request must be smaller than 1048576 bytes for the InvokeAsync operation", status=413):
        world.lambda_.invoke_async(FunctionName=name, InvokeArgs=b'"' + b"x" * MB + b'"')


def test_a_megabyte_arrives_whole(world, eventually):
    name = world.functions.make("def handler(event, context):\n    print('GOT', len(event))\n")
    world.send(name, "x" * (MB - 2))
    eventually(lambda: world.got(name) == [MB - 2])


def test_a_full_queue_throttles(another_daemon, aws_of):
    daemon = another_daemon("--async-queue", "1")
    world = World(daemon, aws_of(daemon), None)
    name = world.functions.make(PRINT)
    world.lambda_.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    world.send(name, "x" * (MB - 100))
    with error("TooManyRequestsException", "Rate Exceeded.", status=429):
        world.send(name, "x" * 200)


def test_a_function_sees_its_arn_as_it_was_invoked(world, eventually):
    name = world.functions.make("import json\ndef handler(event, context):\n    print('GOT', json.dumps(context.invoked_function_arn))\n")
    world.send(name, {})
    eventually(lambda: world.got(name) == [arn(name)])


# --- loops ---


def test_a_loop_of_events_is_stopped_after_sixteen(world, eventually):
    source = (
        SIGNED + "def handler(event, context):\n"
        "    print('GOT', event, flush=True)\n"
        "    ask = signed('lambda', f'/2015-03-31/functions/{context.function_name}/invocations', str(event + 1).encode())\n"
        "    ask.add_header('X-Amz-Invocation-Type', 'Event')\n"
        "    ask.add_header('X-Amzn-Trace-Id', os.environ['_X_AMZN_TRACE_ID'])\n"
        "    if event < 20:\n"
        "        urllib.request.urlopen(ask)\n"
    )
    name = world.functions.make(source)
    world.send(name, 0)
    (kept,) = eventually(lambda: [e for e in world.listed(name) if e["state"] == "failed"], seconds=20)
    assert "recursive loop" in kept["why"]
    assert world.got(name) == list(range(16))
    world.lambda_.put_function_recursion_config(FunctionName=name, RecursiveLoop="Allow")
    world.cli("async", "purge", name)
    world.send(name, 0)
    eventually(lambda: world.got(name) == list(range(16)) + list(range(21)), seconds=20)


def test_a_loop_of_requests_ends_in_the_exception(world):
    source = (
        SIGNED + "import urllib.error\n"
        "def handler(event, context):\n"
        "    ask = signed('lambda', f'/2015-03-31/functions/{context.function_name}/invocations', str(event + 1).encode())\n"
        "    ask.add_header('X-Amzn-Trace-Id', os.environ['_X_AMZN_TRACE_ID'])\n"
        "    try:\n"
        "        return urllib.request.urlopen(ask).read().decode()\n"
        "    except urllib.error.HTTPError as e:\n"
        "        return [event, e.code, e.headers['x-amzn-ErrorType']]\n"
    )
    name = world.functions.make(source, Timeout=30)
    assert world.lambda_.get_function_recursion_config(FunctionName=name)["RecursiveLoop"] == "Terminate"
    answer = world.functions.call(name, 0)
    while isinstance(answer, str):
        answer = json.loads(answer)
    assert answer == [15, 400, "RecursiveInvocationException"]


# --- configurations ---


def test_configurations_are_validated_with_the_words_of_the_model(world):
    name = world.functions.make()
    for member, value, words in (
        ("MaximumRetryAttempts", 3, "Value '3' at 'maximumRetryAttempts' failed to satisfy constraint: Member must have value less than or equal to 2"),
        ("MaximumEventAgeInSeconds", 59, "Value '59' at 'maximumEventAgeInSeconds' failed to satisfy constraint: Member must have value greater than or equal to 60"),
        ("MaximumEventAgeInSeconds", 21601, "Value '21601' at 'maximumEventAgeInSeconds' failed to satisfy constraint: Member must have value less than or equal to 21600"),
    ):
        with error("ValidationException", f"1 validation error detected: {words}", status=400):
            configure(world, name, **{member: value})
    with error("InvalidParameterValueException", "You must specify at least one of error handling or destination setting."):
        configure(world, name)
    with error("InvalidParameterValueException", "You can't specify the function as a destination for itself."):
        configure(world, name, DestinationConfig={"OnSuccess": {"Destination": arn(name)}})


def test_a_configuration_lives_as_aws_has_it(world):
    name = world.functions.make()
    put = configure(world, name, MaximumRetryAttempts=2, MaximumEventAgeInSeconds=60)
    assert put["DestinationConfig"] == {"OnSuccess": {}, "OnFailure": {}} and put["FunctionArn"] == arn(name) + ":$LATEST"
    updated = world.lambda_.update_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0)
    assert (updated["MaximumRetryAttempts"], updated["MaximumEventAgeInSeconds"]) == (0, 60)
    (listed,) = world.lambda_.list_function_event_invoke_configs(FunctionName=name)["FunctionEventInvokeConfigs"]
    assert listed["FunctionArn"] == arn(name) + ":$LATEST"
    world.lambda_.delete_function_event_invoke_config(FunctionName=name)
    with not_found(f"The function {arn(name)}:$LATEST doesn't have an EventInvokeConfig"):
        world.lambda_.get_function_event_invoke_config(FunctionName=name)


# --- the operator ---


def test_an_operator_sees_and_handles_what_has_failed(world, eventually):
    name = world.functions.make(FAIL)
    configure(world, name, MaximumRetryAttempts=0)
    request_id = world.send(name, {"secret": "payload"})
    (event,) = eventually(lambda: [e for e in world.listed(name) if e["state"] == "failed"])
    assert (event["requestId"], event["kind"], event["errors"]) == (request_id, "event", 1)
    assert "on purpose" in event["why"] and "payload" not in event
    assert f"requestId={request_id}" in world.cli("async", "list", name)
    (row,) = [r for r in json.loads(world.cli("async", "list", "-o", "json"))["functions"] if r["function"] == name]
    assert (row["waiting"], row["failed"]) == (0, 1)
    (whole,) = json.loads(world.cli("async", "show", name, "-o", "json"))["events"]
    assert json.loads(whole["payload"]) == {"secret": "payload"}
    world.functions.update_code(name, PRINT)
    assert world.cli("async", "redrive", name) == "redriven 1\n"
    eventually(lambda: world.listed(name) == [])
    eventually(lambda: len(world.got(name)) == 2)


def test_what_is_purged_is_not_run(world):
    name = world.functions.make(PRINT)
    world.lambda_.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    world.send(name, {})
    world.cli("async", "purge", name)
    assert world.listed(name) == []


def test_a_function_cannot_look_into_the_queue(world):
    name = world.functions.make(
        "import urllib.error, urllib.request\n"
        "def handler(event, context):\n"
        "    try:\n"
        "        return urllib.request.urlopen('http://127.0.0.1:4566/_mayfly/async').read().decode()\n"
        "    except urllib.error.HTTPError as e:\n"
        "        return e.code\n"
    )
    assert world.functions.call(name, {}) == 404


def test_the_status_says_that_waits_are_shortened(world):
    assert "AWS: 60000 ms" in world.status()["retryWaits"]
