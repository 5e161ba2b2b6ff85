"""What another account may do with a function: what the function's policy says, and nothing else."""

import json
import urllib.request

import boto3
import botocore.config
import pytest

from harness.errors import error, invalid
from harness.functions import unique
from harness.urls import SHOW, ask, event_of, make_url, signed

INVOKE = "lambda:InvokeFunction"
URL = "lambda:InvokeFunctionUrl"


@pytest.fixture
def owned(functions):
    """A function, by its full ARN."""
    return functions.arn(functions.make())


def denied(who, arn, action=INVOKE):
    who = who if who.startswith("arn:") else f"arn:aws:iam::{who}:root"
    return error(
        "AccessDeniedException",
        f"User: {who} is not authorized to perform: {action} on resource: {arn} "
        f"because no resource-based policy allows the {action} action",
        403,
    )


def allow(lambda_, arn, principal, action=INVOKE, **more):
    statement = {"FunctionName": arn, "StatementId": unique("s"), "Action": action, "Principal": principal}
    lambda_.add_permission(**statement, **more)


def session_of(aws, account):
    """Lambda's client with the credentials of a role's session, and the ARNs of role and session."""
    name = unique("role")
    role = aws.client("iam", access_key=account).create_role(
        RoleName=name, Path="/team/", AssumeRolePolicyDocument='{"Version": "2012-10-17", "Statement": []}'
    )["Role"]["Arn"]
    assumed = aws.client("sts", access_key=account).assume_role(RoleArn=role, RoleSessionName="me")
    keys = assumed["Credentials"]
    client = boto3.client(
        "lambda",
        region_name="us-east-1",
        endpoint_url=aws.endpoint,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
        config=botocore.config.Config(retries={"total_max_attempts": 1}),
    )
    return client, role, assumed["AssumedRoleUser"]["Arn"]


def test_without_a_policy_no_other_account_invokes(lambda_, functions, owned, empty_world):
    account, other = empty_world.account, empty_world.client
    for how in ({}, {"InvocationType": "Event"}, {"InvocationType": "DryRun"}, {"Payload": b"no json"}):
        with denied(account, owned):
            other.invoke(FunctionName=owned, **how)
    with denied(account, owned):
        other.invoke_with_response_stream(FunctionName=owned)
    with denied(account, owned, "lambda:InvokeAsync"):
        other.invoke_async(FunctionName=owned, InvokeArgs=b"{}")
    with denied(account, f"{owned}:$LATEST"):
        other.invoke(FunctionName=owned, Qualifier="$LATEST")
    missing = functions.arn("not-there")  # whether it is there is nobody else's business
    with denied(account, missing):
        other.invoke(FunctionName=missing)
    assert functions.call(owned, {"a": 1}) == {"a": 1}


def test_the_policy_lets_an_account_invoke(lambda_, functions, owned, empty_world, aws, eventually):
    allow(lambda_, owned, empty_world.account)
    answer, payload = empty_world.invoke(owned, {"a": 1}, LogType="Tail")
    assert (payload, answer["ExecutedVersion"]) == ({"a": 1}, "$LATEST") and answer["LogResult"]
    stream = empty_world.client.invoke_with_response_stream(FunctionName=owned, Payload=b'"s"')["EventStream"]
    assert b"".join(event.get("PayloadChunk", {}).get("Payload", b"") for event in stream) == b'"s"'
    assert empty_world.client.invoke(FunctionName=owned, InvocationType="Event")["StatusCode"] == 202
    assert empty_world.client.invoke(FunctionName=owned, InvocationType="DryRun")["StatusCode"] == 204
    group = "/aws/lambda/" + owned.rpartition(":")[2]  # it ran in its own account, the event too
    eventually(lambda: len(events(aws.client("logs"), group)) == 3)
    with error("InvalidRequestContentException", status=400):
        empty_world.client.invoke(FunctionName=owned, Payload=b"no json")
    stranger = aws.functions(account="210987654321")
    with denied("210987654321", owned):
        stranger.call(owned)


def events(logs, group):
    return logs.filter_log_events(logGroupName=group, filterPattern='"REPORT RequestId"')["events"]


def test_a_policy_that_is_taken_away_lets_nobody_in(lambda_, owned, empty_world):
    lambda_.add_permission(FunctionName=owned, StatementId="s", Action=INVOKE, Principal=empty_world.account)
    assert empty_world.call(owned, 1) == 1
    lambda_.remove_permission(FunctionName=owned, StatementId="s")
    with denied(empty_world.account, owned):
        empty_world.call(owned)


@pytest.mark.parametrize("principal", ["*", "arn:aws:iam::{}:root"])
def test_principals_that_are_an_account(lambda_, owned, empty_world, principal):
    allow(lambda_, owned, principal.format(empty_world.account))
    assert empty_world.call(owned, 1) == 1


def test_conditions_that_are_not_met_allow_nothing(lambda_, owned, empty_world):
    allow(lambda_, owned, empty_world.account, SourceAccount=empty_world.account)
    allow(lambda_, owned, empty_world.account, SourceArn="arn:aws:s3:::bucket")
    allow(lambda_, owned, empty_world.account, EventSourceToken="token")
    allow(lambda_, owned, empty_world.account, InvokedViaFunctionUrl=True)
    allow(lambda_, owned, empty_world.account, action="lambda:GetFunction")
    allow(lambda_, owned, "s3.amazonaws.com")
    with denied(empty_world.account, owned):
        empty_world.call(owned)
    allow(lambda_, owned, empty_world.account, InvokedViaFunctionUrl=False)
    assert empty_world.call(owned, 1) == 1


def test_a_qualifier_has_the_policy_of_its_own(lambda_, functions, empty_world):
    name = functions.make()
    functions.publish(name)
    lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    allow(lambda_, name, empty_world.account, Qualifier="live")
    answer, _ = empty_world.invoke(functions.arn(name, "live"), {})
    assert answer["ExecutedVersion"] == "1"
    assert empty_world.call(functions.arn(name), 1, Qualifier="live") == 1
    for qualifier in (None, "1", "$LATEST", "none"):
        with denied(empty_world.account, functions.arn(name, qualifier)):
            empty_world.call(functions.arn(name, qualifier))


def test_sessions_of_roles_are_principals(lambda_, owned, empty_world, aws):
    client, role, session = session_of(aws, empty_world.account)
    with denied(session, owned):
        client.invoke(FunctionName=owned)
    with denied(session, owned, "lambda:GetFunction"):
        client.get_function(FunctionName=owned)
    allow(lambda_, owned, role)
    assert client.invoke(FunctionName=owned, Payload=b"1")["Payload"].read() == b"1"
    with denied(empty_world.account, owned):  # a role's permission is not its account's
        empty_world.call(owned)
    other, _, other_session = session_of(aws, empty_world.account)
    with denied(other_session, owned):
        other.invoke(FunctionName=owned)
    allow(lambda_, owned, other_session)
    assert other.invoke(FunctionName=owned, Payload=b"2")["Payload"].read() == b"2"


def test_reading_is_granted_operation_by_operation(lambda_, functions, owned, empty_world):
    other, account = empty_world.client, empty_world.account
    allow(lambda_, owned, account, action="lambda:GetFunction")
    found = other.get_function(FunctionName=owned)
    assert found["Configuration"]["FunctionArn"] == owned
    assert urllib.request.urlopen(found["Code"]["Location"]).read()[:2] == b"PK"
    with denied(account, owned, "lambda:GetFunctionConfiguration"):
        other.get_function_configuration(FunctionName=owned)
    allow(lambda_, owned, account, action="lambda:*")
    assert other.get_function_configuration(FunctionName=owned)["FunctionArn"] == owned
    assert [v["FunctionArn"] for v in other.list_versions_by_function(FunctionName=owned)["Versions"]] == [f"{owned}:$LATEST"]
    assert json.loads(other.get_policy(FunctionName=owned)["Policy"])["Statement"][1]["Action"] == "lambda:*"


def test_nobody_else_changes_a_function(lambda_, owned, empty_world):
    allow(lambda_, owned, empty_world.account, action="*")
    with denied(empty_world.account, owned, "lambda:UpdateFunctionConfiguration"):
        empty_world.client.update_function_configuration(FunctionName=owned, Timeout=9)
    with denied(empty_world.account, owned, "lambda:DeleteFunction"):
        empty_world.client.delete_function(FunctionName=owned)
    with denied(empty_world.account, owned, "lambda:AddPermission"):
        allow(empty_world.client, owned, "*")
    with denied(empty_world.account, owned, "lambda:CreateFunction"):
        empty_world.create(name=owned, wait=False)


def test_a_url_wants_both_permissions_of_another_account(lambda_, functions, empty_world):
    name = functions.make(SHOW)
    url = make_url(lambda_, name, auth="AWS_IAM")
    theirs = signed(url, key=empty_world.account)
    assert ask(url, headers=theirs).status == 403
    allow(lambda_, name, empty_world.account, action=URL, FunctionUrlAuthType="AWS_IAM")
    refused = ask(url, headers=theirs)
    assert (refused.status, refused.headers["x-amzn-errortype"]) == (403, "AccessDeniedException")
    assert json.loads(refused.body)["Message"].startswith("Forbidden. For troubleshooting Function URL authorization")
    allow(lambda_, name, empty_world.account, InvokedViaFunctionUrl=True)
    who = event_of(url, headers=theirs)["requestContext"]["authorizer"]["iam"]
    assert (who["accountId"], who["userArn"]) == (empty_world.account, f"arn:aws:iam::{empty_world.account}:root")
    with denied(empty_world.account, functions.arn(name)):  # by URL only
        empty_world.call(functions.arn(name))
    assert ask(url, headers=signed(url, key="310987654321")).status == 403


def test_a_destination_is_of_the_account(lambda_, functions, owned, empty_world):
    name = empty_world.make()
    allow(lambda_, owned, "*")
    with invalid(f"The destination ARN {owned} is invalid."):
        empty_world.client.put_function_event_invoke_config(
            FunctionName=name, DestinationConfig={"OnSuccess": {"Destination": owned}}
        )
