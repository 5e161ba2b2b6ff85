"""Reserved concurrency: as a setting, and as a limit that is obeyed."""

import concurrent.futures
import time

import pytest

from harness.errors import arn, error, invalid, not_found
from harness.functions import PYTHON

SLEEP = "import time\ndef handler(event, context):\n    time.sleep(event['s'])\n    return 'slept'\n"


def test_put_get_delete(lambda_, functions):
    name = functions.make()
    assert "ReservedConcurrentExecutions" not in lambda_.get_function_concurrency(FunctionName=name)
    for wanted in (3, 0, 1):
        put = lambda_.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=wanted)
        assert put["ResponseMetadata"]["HTTPStatusCode"] == 200
        assert put["ReservedConcurrentExecutions"] == wanted
        found = lambda_.get_function_concurrency(FunctionName=name)
        assert found["ReservedConcurrentExecutions"] == wanted
        shown = lambda_.get_function(FunctionName=name)["Concurrency"]
        assert shown == {"ReservedConcurrentExecutions": wanted}
    deleted = lambda_.delete_function_concurrency(FunctionName=name)
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert "ReservedConcurrentExecutions" not in lambda_.get_function_concurrency(FunctionName=name)
    assert "Concurrency" not in lambda_.get_function(FunctionName=name)
    assert lambda_.delete_function_concurrency(FunctionName=name)["ResponseMetadata"]["HTTPStatusCode"] == 204


def test_concurrency_of_what_does_not_exist(lambda_):
    missing = arn("doesnotexist")
    for amount in (1, 10**6):
        with not_found(f"Function not found: {missing}:$LATEST") as caught:
            lambda_.put_function_concurrency(FunctionName="doesnotexist", ReservedConcurrentExecutions=amount)
        assert caught.response["Type"] == "User"
    with not_found(f"Function not found: {missing}"):
        lambda_.get_function_concurrency(FunctionName="doesnotexist")


def test_versions_and_aliases_have_no_reservation(lambda_, functions):
    name = functions.make()
    functions.publish(name)
    with invalid(
        "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. "
        "Please specify either a function name or an unqualified function ARN."
    ) as caught:
        lambda_.put_function_concurrency(FunctionName=f"{arn(name)}:1", ReservedConcurrentExecutions=1)
    assert caught.response["Type"] == "User"


def test_some_of_the_account_stays_unreserved(empty_world):
    name = empty_world.make()
    client = empty_world.client
    total = client.get_account_settings()["AccountLimit"]["ConcurrentExecutions"]
    message = (
        "Specified ReservedConcurrentExecutions for function decreases account's "
        "UnreservedConcurrentExecution below its minimum value of [{}]."
    )
    for amount in (total + 1, total, total - 99):
        with error("InvalidParameterValueException", status=400) as caught:
            client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=amount)
        assert caught.message == message.format(100)
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=total - 100)
    other = empty_world.make()
    with error("InvalidParameterValueException", status=400):
        client.put_function_concurrency(FunctionName=other, ReservedConcurrentExecutions=1)
    client.delete_function_concurrency(FunctionName=name)
    client.put_function_concurrency(FunctionName=other, ReservedConcurrentExecutions=1)


def throttled():
    return error("TooManyRequestsException", "Rate Exceeded.", 429)


@pytest.mark.parametrize("qualified", [False, True], ids=["latest", "version"])
def test_zero_stops_every_invocation(lambda_, functions, qualified):
    name = functions.make()
    functions.publish(name)
    where = {"Qualifier": "1"} if qualified else {}
    functions.call(name, {}, **where)
    lambda_.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    with throttled() as caught:
        lambda_.invoke(FunctionName=name, Payload="{}", **where)
    assert caught.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert caught.response["Type"] == "User"
    assert int(caught.response["ResponseMetadata"]["HTTPHeaders"]["retry-after"]) >= 1
    lambda_.delete_function_concurrency(FunctionName=name)
    assert functions.call(name, {}, **where) == {}


def test_more_invocations_than_reserved_are_refused(lambda_, functions):
    name = functions.make(SLEEP, Timeout=20)
    functions.call(name, {"s": 0})
    lambda_.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=2)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        busy = [pool.submit(functions.call, name, {"s": 2}) for _ in range(2)]
        time.sleep(1)
        for _ in range(3):
            with throttled() as caught:
                lambda_.invoke(FunctionName=name, Payload='{"s": 0}')
            assert caught.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
        assert [job.result() for job in busy] == ["slept", "slept"]
    assert functions.call(name, {"s": 0}) == "slept"


def test_all_versions_share_the_reservation(lambda_, functions):
    name = functions.make(SLEEP, Timeout=20)
    functions.publish(name)
    lambda_.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        busy = pool.submit(functions.call, name, {"s": 2}, Qualifier="1")
        time.sleep(1)
        with throttled():
            lambda_.invoke(FunctionName=name, Payload='{"s": 0}')
        assert busy.result() == "slept"


def test_parallel_invocations_run_in_environments_of_their_own(functions):
    source = (
        "import os, time\n"
        "me = os.urandom(8).hex()\n"
        "def handler(event, context):\n"
        "    time.sleep(0.7)\n"
        "    return me\n"
    )
    name = functions.make(source, runtime=PYTHON, Timeout=20)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        seen = list(pool.map(lambda _: functions.call(name, {}), range(4)))
    assert len(set(seen)) == 4, "one environment served two invocations at a time, or one after the other"
    assert functions.call(name, {}) in seen, "a warm environment was not used again"


def test_a_function_scales_at_a_rate(another_daemon, aws_of):
    one = another_daemon("--scaling-rate", "2", "--spares", "0")
    functions = aws_of(one).functions()
    name = functions.make(SLEEP, Timeout=30)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(functions.client.invoke, FunctionName=name, Payload='{"s": 3}') for _ in range(3)]
        refused = [job.exception() for job in asked if job.exception()]
    assert len(refused) == 1
    assert refused[0].response["Reason"] == "FunctionInvocationRateLimitExceeded"
    assert 1 <= int(refused[0].response["ResponseMetadata"]["HTTPHeaders"]["retry-after"]) <= 5
