"""The metadata endpoint: in which Availability Zone an environment is."""

import json

import pytest

# Asks as the event says; once at its initialisation, too.
SOURCE = """
import http.client, os

def ask(method="GET", authorization="Bearer {}"):
    api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_METADATA_API"], timeout=5)
    fields = {"Authorization": authorization.format(os.environ["AWS_LAMBDA_METADATA_TOKEN"])} if authorization else {}
    api.request(method, "/2026-01-15/metadata/execution-environment", headers=fields)
    answer = api.getresponse()
    return [answer.status, answer.headers["Content-Type"], answer.headers["Cache-Control"], answer.read().decode()]

FIRST = ask()

def handler(event, context):
    return {"first": FIRST, "answer": ask(**event), "token": os.environ["AWS_LAMBDA_METADATA_TOKEN"]}
"""
KEPT = "private, max-age=43200, immutable"


@pytest.fixture(scope="module")
def asking(functions):
    return functions.make(SOURCE)


def test_the_zone_is_told(functions, asking):
    told = functions.call(asking, {})
    assert told["answer"][:3] == [200, "application/json", KEPT]
    assert json.loads(told["answer"][3]) == {"AvailabilityZoneID": "use1-az1"}
    assert told["first"] == told["answer"]


def test_it_is_in_the_functions_region(aws):
    functions = aws.functions(region="ap-southeast-2")
    assert json.loads(functions.call(functions.make(SOURCE), {})["answer"][3]) == {"AvailabilityZoneID": "apse2-az1"}


@pytest.mark.parametrize("authorization", ["", "{}", "Bearer", "Bearer {}x", "Bearer x", "bearer {}", "Basic {}"])
def test_without_the_token_nothing_is_told(functions, asking, authorization):
    """401 Unauthorized – The Authorization header is missing or contains an invalid token."""
    assert functions.call(asking, {"authorization": authorization})["answer"][0] == 401


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_it_can_only_be_read(functions, asking, method):
    assert functions.call(asking, {"method": method})["answer"][0] == 405


def test_a_token_is_of_one_environment(functions, asking):
    assert functions.call(functions.make(SOURCE), {})["token"] != functions.call(asking, {})["token"]


def test_what_was_told_before_a_snapshot_is_not_to_be_kept(functions, eventually):
    """For SnapStart functions, the TTL is reduced during initialization; the environments after it have tokens of their own."""
    name = functions.make(SOURCE, SnapStart={"ApplyOn": "PublishedVersions"})
    functions.client.publish_version(FunctionName=name)
    where = {"FunctionName": name, "Qualifier": "1"}
    eventually(lambda: functions.client.get_function_configuration(**where)["State"] == "Active", seconds=30)
    told = functions.call(name, {}, Qualifier="1")
    assert functions.client.get_function_configuration(**where)["SnapStart"]["OptimizationStatus"] == "On"
    assert told["first"][0] == 200 and told["first"][2] == "private, max-age=1, immutable"
    assert told["answer"][0] == 200 and told["answer"][2] == KEPT
