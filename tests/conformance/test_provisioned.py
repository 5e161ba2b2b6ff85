"""Provisioned concurrency: the API in AWS's words, and environments that are there before anybody asks."""

import concurrent.futures
import json
import re
import urllib.request

import pytest

from harness.errors import arn, error, invalid, not_found

WHO = """
import os, time
me = os.urandom(6).hex()
def handler(event, context):
    time.sleep(event.get("s", 0))
    if event.get("die"):
        os._exit(3)
    return {"me": me, "type": os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"], "version": context.function_version}
"""


@pytest.fixture
def provisioned(functions, eventually):
    """provisioned(amount, qualifier="1"): a function with a version and an alias of it, ready; its name."""

    class Provisioned:
        client = functions.client

        def make(self, source=WHO, **settings):
            name = functions.make(source, Timeout=20, **settings)
            functions.publish(name)
            self.client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
            return name

        def put(self, name, qualifier, amount):
            return self.client.put_provisioned_concurrency_config(
                FunctionName=name, Qualifier=qualifier, ProvisionedConcurrentExecutions=amount)

        def get(self, name, qualifier):
            return self.client.get_provisioned_concurrency_config(FunctionName=name, Qualifier=qualifier)

        def is_ready(self, name, qualifier):
            return eventually(lambda: self.get(name, qualifier)["Status"] == "READY", seconds=30)

    return Provisioned()


def figures(answer):
    return (
        answer["Status"],
        answer["RequestedProvisionedConcurrentExecutions"],
        answer["AvailableProvisionedConcurrentExecutions"],
        answer["AllocatedProvisionedConcurrentExecutions"],
    )


@pytest.mark.parametrize("qualifier", ["1", "live"])
def test_environments_are_ready_before_anybody_asks(provisioned, functions, qualifier):
    name = provisioned.make()
    put = provisioned.put(name, qualifier, 2)
    assert put["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert figures(put) == ("IN_PROGRESS", 2, 0, 0)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+0000", put["LastModified"])
    provisioned.is_ready(name, qualifier)
    assert figures(provisioned.get(name, qualifier)) == ("READY", 2, 2, 2)
    listed = provisioned.client.list_provisioned_concurrency_configs(FunctionName=name)["ProvisionedConcurrencyConfigs"]
    assert [(one["FunctionArn"], one["Status"]) for one in listed] == [(f"{arn(name)}:{qualifier}", "READY")]
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        seen = list(pool.map(lambda _: functions.call(name, {"s": 1.5}, Qualifier=qualifier), range(3)))
    kinds = sorted(one["type"] for one in seen)
    assert kinds == ["on-demand", "provisioned-concurrency", "provisioned-concurrency"], "two, and one that spilled over"
    for _ in range(3):
        assert functions.call(name, {}, Qualifier=qualifier)["type"] == "provisioned-concurrency"


def test_the_log_of_a_provisioned_environment(provisioned, functions, logs, eventually):
    name = provisioned.make()
    provisioned.put(name, "1", 1)
    provisioned.is_ready(name, "1")
    functions.call(name, {}, Qualifier="1")
    group = f"/aws/lambda/{name}"

    def lines():
        events = logs.filter_log_events(logGroupName=group)["events"]
        texts = [event["message"].rstrip("\n") for event in events]
        return texts if any(text.startswith("REPORT") for text in texts) else None

    found = eventually(lines)
    assert found[0].startswith("INIT_START Runtime Version: ")
    assert re.fullmatch(r"INIT_REPORT Init Duration: \d+\.\d\d ms", found[1])
    assert found[2].startswith("START RequestId: ")


def test_it_is_restored_after_a_restart_and_replaced_when_it_dies(another_daemon, aws_of, eventually):
    daemon = another_daemon("--spares", "0", "--stems", "0")
    functions = aws_of(daemon).functions()
    client = functions.client
    name = functions.make(WHO, Timeout=20)
    functions.publish(name)
    where = {"FunctionName": name, "Qualifier": "1"}
    client.put_provisioned_concurrency_config(**where, ProvisionedConcurrentExecutions=1)

    def is_ready():
        return client.get_provisioned_concurrency_config(**where)["Status"] == "READY"

    eventually(is_ready, seconds=30)
    first = functions.call(name, {}, Qualifier="1")
    functions.invoke(name, {"die": True}, Qualifier="1")
    eventually(is_ready, seconds=30)
    second = functions.call(name, {}, Qualifier="1")
    assert second["type"] == "provisioned-concurrency" and second["me"] != first["me"]
    assert daemon.stop() == 0
    daemon.start()
    eventually(is_ready, seconds=30)
    assert client.get_provisioned_concurrency_config(**where)["RequestedProvisionedConcurrentExecutions"] == 1
    third = functions.call(name, {}, Qualifier="1")
    assert third["type"] == "provisioned-concurrency"
    with urllib.request.urlopen(f"{daemon.endpoint}/_mayfly/status", timeout=10) as answer:
        (shown,) = json.load(answer)["provisioned"]
    assert (shown["function"], shown["qualifier"], shown["requested"], shown["status"]) == (name, "1", 1, "READY")


def test_it_moves_with_its_alias(provisioned, functions):
    name = provisioned.make()
    provisioned.put(name, "live", 1)
    provisioned.is_ready(name, "live")
    assert functions.call(name, {}, Qualifier="live")["version"] == "1"
    functions.update(name, Description="another")
    assert functions.publish(name)["Version"] == "2"
    provisioned.client.update_alias(FunctionName=name, Name="live", FunctionVersion="2")
    moved = provisioned.get(name, "live")
    assert (moved["AvailableProvisionedConcurrentExecutions"], moved["AllocatedProvisionedConcurrentExecutions"]) == (1, 1)
    provisioned.is_ready(name, "live")
    after = functions.call(name, {}, Qualifier="live")
    assert (after["version"], after["type"]) == ("2", "provisioned-concurrency")


def test_a_function_that_does_not_initialise(provisioned, eventually):
    name = provisioned.make("raise RuntimeError('no')\n")
    assert figures(provisioned.put(name, "1", 1)) == ("IN_PROGRESS", 1, 0, 0)
    eventually(lambda: provisioned.get(name, "1")["Status"] == "FAILED", seconds=40)
    failed = provisioned.get(name, "1")
    assert figures(failed) == ("FAILED", 1, 0, 0)
    assert failed["StatusReason"] == "FUNCTION_ERROR_INIT_FAILURE"
    provisioned.client.delete_provisioned_concurrency_config(FunctionName=name, Qualifier="1")


def test_what_is_provisioned_is_no_other_versions(provisioned, functions):
    """All that is reserved is provisioned for version 1: $LATEST has nothing left."""
    name = provisioned.make()
    client = provisioned.client
    provisioned.put(name, "1", 1)
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    provisioned.is_ready(name, "1")
    for _ in range(2):
        with error("TooManyRequestsException", "Rate Exceeded.", 429) as caught:
            client.invoke(FunctionName=name, Payload="{}")
        assert caught.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
        assert functions.call(name, {}, Qualifier="1")["version"] == "1"
    with invalid(
        "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function"
    ):
        provisioned.put(name, "1", 2)
    with error("InvalidParameterValueException", status=400) as caught:
        client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    assert caught.message == (
        " ReservedConcurrentExecutions  0 should not be lower than function's total provisioned concurrency [1]."
    )
    assert "Type" not in caught.response


def test_refusals(provisioned, functions):
    name = provisioned.make()
    client = provisioned.client
    with invalid("Provisioned Concurrency Configs cannot be applied to unpublished function versions."):
        provisioned.put(name, "$LATEST", 1)
    unpublished = "The function resource provided must be an alias or a published version."
    with invalid(unpublished):
        provisioned.get(name, "$LATEST")
    with invalid(unpublished):
        client.delete_provisioned_concurrency_config(FunctionName=name, Qualifier="$LATEST")
    with error(
        "ValidationException",
        "1 validation error detected: Value '0' at 'provisionedConcurrentExecutions' failed to satisfy constraint: "
        "Member must have value greater than or equal to 1",
        400,
    ):
        provisioned.put(name, "1", 0)
    with not_found(f"Function not found: {arn(name)}:10"):
        provisioned.put(name, "10", 1)
    with not_found(f"Cannot find alias arn: {arn(name)}:none"):
        provisioned.put(name, "none", 1)
    with not_found(f"Function not found: {arn('doesnotexist:1')}"):
        provisioned.put("doesnotexist", "1", 1)
    with not_found(f"Cannot find alias arn: {arn('doesnotexist:noalias')}"):
        provisioned.put("doesnotexist", "noalias", 1)
    with not_found(f"Function not found: {arn('doesnotexist')}"):
        client.list_provisioned_concurrency_configs(FunctionName="doesnotexist")
    with error("ProvisionedConcurrencyConfigNotFoundException",
               "No Provisioned Concurrency Config found for this function", 404):
        provisioned.get(name, "1")
    provisioned.put(name, "1", 1)
    taken = "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version"
    with error("ResourceConflictException", taken, 409):
        provisioned.put(name, "live", 1)
    client.delete_provisioned_concurrency_config(FunctionName=name, Qualifier="1")
    provisioned.put(name, "live", 1)
    with error("ResourceConflictException", "Version is pointed by a Provisioned Concurrency alias", 409):
        provisioned.put(name, "1", 1)
    client.delete_alias(FunctionName=name, Name="live")
    with not_found(f"Cannot find alias arn: {arn(name)}:live"):
        provisioned.get(name, "live")
    assert client.list_provisioned_concurrency_configs(FunctionName=name)["ProvisionedConcurrencyConfigs"] == []


def test_it_is_taken_from_the_account(empty_world):
    client = empty_world.client
    name = empty_world.make()
    empty_world.publish(name)
    total = client.get_account_settings()["AccountLimit"]["ConcurrentExecutions"]

    def put(amount):
        return client.put_provisioned_concurrency_config(
            FunctionName=name, Qualifier="1", ProvisionedConcurrentExecutions=amount)

    with error("InvalidParameterValueException", status=400) as caught:
        put(total + 1)
    assert caught.message == (
        "Specified ConcurrentExecutions for function is greater than account's unreserved concurrency "
        f"[{total}]."
    )
    with error("InvalidParameterValueException", status=400) as caught:
        put(total - 99)
    assert caught.message == (
        "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its "
        "minimum value of [100]."
    )
    put(2)
    assert client.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"] == total - 2
    client.delete_function(FunctionName=name)
    assert client.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"] == total
