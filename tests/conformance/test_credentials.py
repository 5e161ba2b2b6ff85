"""Credentials inside: a function calls back with an unmodified SDK, in the name of its role, and in no other."""

import base64
import hashlib
import hmac
import json
import os
import struct
import time
import urllib.error
import urllib.request

import boto3
import botocore.config
import pytest

from harness.errors import error
from harness.functions import Functions, unique
from harness.sdk import SIGNED, zip_with_sdk

VARIABLES = "AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_ENDPOINT_URL".split()
SHOW = f"import os\ndef handler(event, context):\n    return {{k: os.environ.get(k) for k in {VARIABLES!r}}}\n"
RAW = """
import os, urllib.error, urllib.request

def handler(event, context):
    ask = urllib.request.Request(os.environ["AWS_ENDPOINT_URL"] + event["path"], method=event.get("method", "GET"),
        data=b"{}" if event.get("method") == "POST" else None, headers=event.get("headers", {}))
    try:
        with urllib.request.urlopen(ask) as answer:
            return [answer.status, answer.read().decode()]
    except urllib.error.HTTPError as error:
        return [error.code, error.read().decode()]
"""
TOKEN_INVALID = "The security token included in the request is invalid."


@pytest.fixture(scope="module")
def caller(functions):
    """A function with boto3 in it that calls what it is told to."""
    return functions.make(zipped=zip_with_sdk(), Timeout=60, MemorySize=512)


@pytest.fixture(scope="module")
def raw(functions):
    return functions.make(RAW)


def session_client(daemon, service, shown):
    return boto3.client(
        service,
        region_name="us-east-1",
        endpoint_url=daemon.endpoint,
        aws_access_key_id=shown["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=shown["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=shown["AWS_SESSION_TOKEN"],
        config=botocore.config.Config(retries={"total_max_attempts": 1}),
    )


def test_a_function_invokes_another_one(functions, caller, echo):
    event = {
        "service": "lambda",
        "operation": "invoke",
        "params": {"FunctionName": echo, "Payload": json.dumps({"from": "inside"})},
    }
    answer = functions.call(caller, event)
    assert (answer["StatusCode"], json.loads(answer["Payload"])) == (200, {"from": "inside"})


def test_a_function_without_an_sdk_signs_for_itself(functions, echo):
    name = functions.make(
        SIGNED + "def handler(event, context):\n"
        "    with urllib.request.urlopen(signed('lambda', event['path'], b'[1]')) as answer:\n"
        "        return answer.read().decode()\n"
    )
    assert functions.call(name, {"path": f"/2015-03-31/functions/{echo}/invocations"}) == "[1]"


def test_a_function_asks_who_it_is(functions, caller):
    who = functions.call(caller, {"service": "sts", "operation": "get_caller_identity"})
    assert who["Arn"] == f"arn:aws:sts::000000000000:assumed-role/test/{caller}"
    assert who["Account"] == "000000000000"
    role_id, _, session = who["UserId"].partition(":")
    assert (len(role_id), role_id[:4], session) == (21, "AROA", caller)
    assert functions.call(caller, {"service": "sts", "operation": "get_caller_identity"}) == who


def test_the_id_of_a_role_that_iam_knows_is_that_one(aws, functions):
    iam, name = aws.client("iam"), unique("role")
    role = iam.create_role(RoleName=name, Path="/service/", AssumeRolePolicyDocument='{"Statement": []}')["Role"]
    inside = functions.make(zipped=zip_with_sdk(), Role=role["Arn"], Timeout=60, MemorySize=512)
    who = functions.call(inside, {"service": "sts", "operation": "get_caller_identity"})
    assert who["UserId"] == f"{role['RoleId']}:{inside}"
    assert who["Arn"] == f"arn:aws:sts::000000000000:assumed-role/{name}/{inside}"


def test_a_function_of_another_account_is_of_that_account(empty_world):
    inside = empty_world.make(zipped=zip_with_sdk(), Role=f"arn:aws:iam::{empty_world.account}:role/r", Timeout=60, MemorySize=512)
    who = empty_world.call(inside, {"service": "sts", "operation": "get_caller_identity"})
    assert who["Arn"] == f"arn:aws:sts::{empty_world.account}:assumed-role/r/{inside}"
    listed = empty_world.call(inside, {"service": "lambda", "operation": "get_function_configuration", "params": {"FunctionName": inside}})
    assert listed["FunctionArn"] == empty_world.arn(inside)


@pytest.mark.parametrize(
    "client, code",
    [
        ({"aws_access_key_id": "test", "aws_secret_access_key": "test"}, "UnrecognizedClientException"),
        ({"aws_access_key_id": "123456789012", "aws_secret_access_key": "x"}, "UnrecognizedClientException"),
    ],
)
def test_inside_only_known_credentials_count(functions, caller, client, code):
    event = {"service": "lambda", "operation": "list_functions", "client": client}
    assert functions.call(caller, event) == {"error": {"Code": code, "Message": TOKEN_INVALID}, "status": 403}


def test_inside_a_wrong_secret_or_a_token_of_somebody_else_is_refused(functions, caller):
    mine = functions.call(functions.make(SHOW), {})
    client = {
        "aws_access_key_id": mine["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": mine["AWS_SECRET_ACCESS_KEY"],
        "aws_session_token": mine["AWS_SESSION_TOKEN"],
    }
    event = {"service": "sts", "operation": "get_caller_identity", "client": client}
    assert "error" not in functions.call(caller, event)
    client["aws_secret_access_key"] = "x" * 40
    assert functions.call(caller, event)["error"]["Code"] == "SignatureDoesNotMatch"
    client["aws_secret_access_key"] = mine["AWS_SECRET_ACCESS_KEY"]
    other = functions.call(functions.make(SHOW), {})
    client["aws_session_token"] = other["AWS_SESSION_TOKEN"]
    assert functions.call(caller, event)["error"]["Code"] == "InvalidClientTokenId"


def test_inside_nothing_is_done_without_a_signature(functions, raw, echo):
    status, body = functions.call(raw, {"path": f"/2015-03-31/functions/{echo}/invocations", "method": "POST"})
    assert (status, json.loads(body)["message"]) == (403, "Missing Authentication Token")
    status, body = functions.call(raw, {"path": "/2015-03-31/functions/"})
    assert (status, json.loads(body)["message"]) == (403, "Missing Authentication Token")


@pytest.mark.parametrize("path", ["/_mayfly/status", "/_mayfly/environments", "/_mayfly/elsewhere"])
def test_a_function_does_not_see_what_is_the_operators(functions, raw, path):
    assert functions.call(raw, {"path": path})[0] == 404


def test_a_function_cannot_wipe_the_node(functions, raw, echo):
    assert functions.call(raw, {"path": "/moto-api/reset", "method": "POST"})[0] == 404
    assert functions.call(echo, 1) == 1


def test_credentials_are_each_environments_own(functions):
    source = SHOW.replace("return", "time.sleep(0.5); return").replace("import os", "import os, time")
    name = functions.make(source)
    first = functions.call(name, {})
    functions.update(name, Description="the environment is another one")
    second = functions.call(name, {})
    for variable in VARIABLES[:3]:
        assert first[variable] and second[variable] and first[variable] != second[variable]
    assert first["AWS_ACCESS_KEY_ID"].startswith("ASIA") and len(first["AWS_ACCESS_KEY_ID"]) == 20
    assert len(first["AWS_SECRET_ACCESS_KEY"]) == 40


def test_they_are_good_outside_and_after_a_restart(another_daemon):
    daemon = another_daemon("--auth", "always", "--access-keys", "AKIDEXAMPLE:verysecret")
    owner = boto3.client(
        "lambda",
        region_name="us-east-1",
        endpoint_url=daemon.endpoint,
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="verysecret",
    )
    functions = Functions(owner)
    shown = functions.call(functions.make(SHOW, name="show"), {})
    assert session_client(daemon, "sts", shown).get_caller_identity()["Arn"].endswith(":assumed-role/test/show")
    assert daemon.stop() == 0
    daemon.start()
    assert session_client(daemon, "sts", shown).get_caller_identity()["Arn"].endswith(":assumed-role/test/show")
    with error("InvalidClientTokenId", status=403):
        session_client(daemon, "sts", {**shown, "AWS_SESSION_TOKEN": shown["AWS_SESSION_TOKEN"][:-4] + "AAA="}).get_caller_identity()


def seal(key, account, role, name, expires):
    """The format of wire/session.c."""
    nonce = os.urandom(10)
    body = b"\1" + nonce + struct.pack(">Q", expires)
    for text in (account, role, name):
        body += bytes([len(text)]) + text.encode()
    mac = hmac.new(key, b"T" + body, hashlib.sha256).digest()
    secret = hmac.new(key, b"S" + body, hashlib.sha256).digest()[:30]
    return {
        "AWS_ACCESS_KEY_ID": "ASIA" + base64.b32encode(nonce).decode(),
        "AWS_SECRET_ACCESS_KEY": base64.b64encode(secret).decode(),
        "AWS_SESSION_TOKEN": base64.b64encode(body + mac).decode(),
    }


def test_expired_ones_are_told_so(another_daemon):
    daemon = another_daemon("--auth", "always", "--access-keys", "AKIDEXAMPLE:verysecret")
    key = (daemon.data / "router" / "session.key").read_bytes()
    good = seal(key, "000000000000", "r", "n", int(time.time()) + 600)
    assert session_client(daemon, "sts", good).get_caller_identity()["Arn"] == "arn:aws:sts::000000000000:assumed-role/r/n"
    over = seal(key, "000000000000", "r", "n", int(time.time()) - 1)
    text = "The security token included in the request is expired"
    with error("ExpiredToken", text, 403):
        session_client(daemon, "sts", over).get_caller_identity()
    with error("ExpiredTokenException", text, 403):
        session_client(daemon, "lambda", over).list_functions()
    forged = seal(os.urandom(32), "000000000000", "r", "n", int(time.time()) + 600)
    with error("UnrecognizedClientException", TOKEN_INVALID, 403):
        session_client(daemon, "lambda", forged).list_functions()


def test_the_key_is_nobody_elses(daemon):
    key = daemon.data / "router" / "session.key"
    assert (key.stat().st_size, key.stat().st_mode & 0o777) == (32, 0o600)


def test_the_functions_own_variable_goes_before(functions):
    name = functions.make(SHOW, Environment={"Variables": {"AWS_ENDPOINT_URL": "http://elsewhere:1"}})
    assert functions.call(name, {})["AWS_ENDPOINT_URL"] == "http://elsewhere:1"


def test_a_setting_switches_them_off(another_daemon, aws_of):
    daemon = another_daemon("--function-credentials=false")
    functions = aws_of(daemon).functions()
    assert functions.call(functions.make(SHOW), {}) == dict.fromkeys(VARIABLES)


def test_credentials_of_sts_are_known_where_signatures_count(another_daemon):
    daemon = another_daemon("--auth", "always", "--access-keys", "AKIDEXAMPLE:verysecret")
    owner = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "verysecret", "AWS_SESSION_TOKEN": None}
    sts, iam = session_client(daemon, "sts", owner), session_client(daemon, "iam", owner)
    iam.create_role(RoleName="reader", AssumeRolePolicyDocument='{"Statement": []}')
    arn = "arn:aws:iam::000000000000:role/reader"
    made = sts.assume_role(RoleArn=arn, RoleSessionName="me", DurationSeconds=900)
    given = {
        "AWS_ACCESS_KEY_ID": made["Credentials"]["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": made["Credentials"]["SecretAccessKey"],
        "AWS_SESSION_TOKEN": made["Credentials"]["SessionToken"],
    }
    who = session_client(daemon, "sts", given).get_caller_identity()
    assert who["Arn"] == made["AssumedRoleUser"]["Arn"] == "arn:aws:sts::000000000000:assumed-role/reader/me"
    assert who["UserId"] == made["AssumedRoleUser"]["AssumedRoleId"]
    with error("AccessDenied", "Cannot call GetSessionToken with session credentials", 403):
        session_client(daemon, "sts", given).get_session_token()
    token = sts.get_session_token()["Credentials"]
    plain = {
        "AWS_ACCESS_KEY_ID": token["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": token["SecretAccessKey"],
        "AWS_SESSION_TOKEN": token["SessionToken"],
    }
    assert session_client(daemon, "sts", plain).get_caller_identity()["Arn"] == "arn:aws:iam::000000000000:root"
    url = session_client(daemon, "sts", given).generate_presigned_url("get_caller_identity", HttpMethod="GET")
    with urllib.request.urlopen(url) as answer:
        assert b"assumed-role/reader/me" in answer.read()


def test_where_signatures_count_the_operators_pages_want_them_too(another_daemon):
    daemon = another_daemon("--auth", "always", "--access-keys", "AKIDEXAMPLE:verysecret")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(daemon.endpoint + "/_mayfly/status")
    assert refused.value.code == 403


def test_an_environment_is_replaced_when_it_has_lived_for_its_time(another_daemon, aws_of, eventually):
    daemon = another_daemon("--lifetime", "1")
    functions = aws_of(daemon).functions()
    name = functions.make(SHOW)
    first = functions.call(name, {})["AWS_ACCESS_KEY_ID"]
    eventually(lambda: functions.call(name, {})["AWS_ACCESS_KEY_ID"] != first)
