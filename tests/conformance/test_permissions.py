"""AddPermission, GetPolicy, RemovePermission."""

import json

import pytest

from harness.errors import (
    POLICY_REVISION_MISMATCH,
    QUALIFIER_MISMATCH,
    QUALIFIER_PATTERN,
    arn,
    conflict,
    invalid,
    not_found,
    precondition,
    unmatched,
    validation,
)
from harness.functions import unique

BUCKET = "arn:aws:s3:::my-bucket"
S3 = {"Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}


def policy_of(lambda_, name, **more):
    answer = lambda_.get_policy(FunctionName=name, **more)
    return json.loads(answer["Policy"]), answer["RevisionId"]


def add(lambda_, name, sid, **more):
    answer = lambda_.add_permission(FunctionName=name, StatementId=sid, **{**S3, **more})
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 201
    return json.loads(answer["Statement"])


def test_a_statement_for_a_service_and_its_policy(lambda_, functions):
    name = functions.make()
    statement = add(lambda_, name, "s3", SourceArn=BUCKET)
    assert statement == {
        "Sid": "s3",
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "lambda:InvokeFunction",
        "Resource": arn(name),
        "Condition": {"ArnLike": {"AWS:SourceArn": BUCKET}},
    }
    policy, _ = policy_of(lambda_, name)
    assert policy == {"Version": "2012-10-17", "Id": "default", "Statement": [statement]}


@pytest.mark.parametrize(
    "given, principal, condition",
    [
        ({"Principal": "*", "SourceAccount": "123456789012"}, "*", {"StringEquals": {"AWS:SourceAccount": "123456789012"}}),
        ({"Principal": "lambda.amazonaws.com"}, {"Service": "lambda.amazonaws.com"}, None),
        ({"Principal": "123456789012"}, {"AWS": "arn:aws:iam::123456789012:root"}, None),
        (
            {"Principal": "arn:aws:iam::123456789012:user/me", "SourceAccount": "123456789012"},
            {"AWS": "arn:aws:iam::123456789012:user/me"},
            {"StringEquals": {"AWS:SourceAccount": "123456789012"}},
        ),
        (
            {"Principal": "alexa-appkit.amazon.com", "EventSourceToken": "amzn1.ask.skill.x"},
            {"Service": "alexa-appkit.amazon.com"},
            {"StringEquals": {"lambda:EventSourceToken": "amzn1.ask.skill.x"}},
        ),
        (
            {
                "Principal": "*",
                "Action": "lambda:InvokeFunctionUrl",
                "SourceArn": BUCKET,
                "SourceAccount": "123456789012",
                "FunctionUrlAuthType": "NONE",
            },
            "*",
            {
                "ArnLike": {"AWS:SourceArn": BUCKET},
                "StringEquals": {
                    "AWS:SourceAccount": "123456789012",
                    "lambda:FunctionUrlAuthType": "NONE",
                },
            },
        ),
    ],
    ids=["wildcard", "service", "account", "arn", "token", "everything"],
)
def test_principals_and_conditions(lambda_, functions, echo_with_policy, given, principal, condition):
    statement = add(lambda_, echo_with_policy, unique("sid"), **given)
    assert statement["Principal"] == principal
    assert statement.get("Condition") == condition
    assert statement["Action"] == given.get("Action", "lambda:InvokeFunction")


@pytest.fixture(scope="module")
def echo_with_policy(functions):
    return functions.make()


def test_organizations_are_refused_by_name(lambda_, echo_with_policy):
    with invalid("PrincipalOrgID (AWS Organizations) is not available in mayfly yet."):
        add(lambda_, echo_with_policy, unique("sid"), Principal="*", PrincipalOrgID="o-1234567890")


def test_statements_come_and_go(lambda_, functions):
    name = functions.make()
    first = add(lambda_, name, "s3")
    second = add(lambda_, name, "sqs", Principal="sqs.amazonaws.com", SourceArn=BUCKET)
    policy, revision = policy_of(lambda_, name)
    assert policy["Statement"] == [first, second]
    with not_found("Statement non-existent is not found in resource policy.") as caught:
        lambda_.remove_permission(FunctionName=name, StatementId="non-existent")
    assert caught.response["Type"] == "User"
    removed = lambda_.remove_permission(FunctionName=name, StatementId="sqs")
    assert removed["ResponseMetadata"]["HTTPStatusCode"] == 204
    policy, after = policy_of(lambda_, name)
    assert policy["Statement"] == [first]
    assert after != revision
    lambda_.remove_permission(FunctionName=name, StatementId="s3", RevisionId=after)
    with not_found("The resource you requested does not exist."):
        lambda_.get_policy(FunctionName=name)


def test_policies_belong_to_one_qualifier(lambda_, functions):
    name = functions.make()
    functions.publish(name)
    lambda_.create_alias(FunctionName=name, Name="permission-alias", FunctionVersion="1")
    add(lambda_, name, "s3")
    for qualifier in ("1", "permission-alias"):
        with not_found("The resource you requested does not exist."):
            lambda_.get_policy(FunctionName=name, Qualifier=qualifier)
        statement = add(lambda_, name, "s3", Qualifier=qualifier)
        assert statement["Resource"] == f"{arn(name)}:{qualifier}"
        assert policy_of(lambda_, name, Qualifier=qualifier)[0]["Statement"] == [statement]
    assert policy_of(lambda_, name)[0]["Statement"][0]["Resource"] == arn(name)


def test_a_policy_has_a_revision_of_its_own(lambda_, functions):
    name = functions.make()
    before = functions.wait(name)["RevisionId"]
    add(lambda_, name, "s3")
    revision = policy_of(lambda_, name)[1]
    assert revision != before == functions.wait(name)["RevisionId"]
    functions.publish(name)
    assert functions.wait(name)["RevisionId"] != before
    assert policy_of(lambda_, name)[1] == revision


def test_revisions_guard_policies(lambda_, functions):
    name = functions.make()
    add(lambda_, name, "s3")
    _, revision = policy_of(lambda_, name)
    with precondition(POLICY_REVISION_MISMATCH) as caught:
        add(lambda_, name, "s3_2", RevisionId="11111111-1111-1111-1111-111111111111")
    assert caught.response["Type"] == "User"
    add(lambda_, name, "s3_2", RevisionId=revision)
    _, current = policy_of(lambda_, name)
    with precondition():
        lambda_.remove_permission(FunctionName=name, StatementId="s3", RevisionId=revision)
    lambda_.remove_permission(FunctionName=name, StatementId="s3", RevisionId=current)


def test_what_add_permission_refuses(lambda_, functions):
    name = functions.make()
    add(lambda_, name, "s3")
    with conflict(
        "The statement id (s3) provided already exists. Please provide a new statement id, "
        "or remove the existing statement."
    ) as caught:
        add(lambda_, name, "s3")
    assert caught.response["Type"] == "User"
    with not_found(f"Cannot find alias arn: {arn(name)}:alias-doesnotexist"):
        add(lambda_, name, "x", Qualifier="alias-doesnotexist")
    with not_found(f"Function not found: {arn(name)}:42"):
        add(lambda_, name, "x", Qualifier="42")
    with not_found(f"Function not found: {arn(name)}:valid-with-$-but-doesnotexist"):
        add(lambda_, name, "x", Qualifier="valid-with-$-but-doesnotexist")
    with not_found(f"Function not found: {arn('doesnotexist')}"):
        add(lambda_, "doesnotexist", "x")
    with validation(unmatched("invalid-qualifier-with-?-char", "qualifier", QUALIFIER_PATTERN)):
        add(lambda_, name, "x", Qualifier="invalid-qualifier-with-?-char")
    with invalid("We currently do not support adding policies for $LATEST."):
        add(lambda_, name, "x", Qualifier="$LATEST")
    with invalid(QUALIFIER_MISMATCH):
        add(lambda_, f"{arn(name)}:alias-1", "x", Qualifier="alias-2")
    with validation(unmatched("example.com", "statementId", "([a-zA-Z0-9-_]+)")):
        add(lambda_, name, "example.com")
    with invalid("The provided principal was invalid. Please check the principal and try again."):
        add(lambda_, name, "x", Principal="invalid.nonaws.com")


def test_what_get_policy_and_remove_permission_refuse(lambda_, functions):
    name = functions.make()
    for missing in ({"FunctionName": "doesnotexist"}, {"FunctionName": name, "Qualifier": "42"}):
        with not_found("The resource you requested does not exist.") as caught:
            lambda_.get_policy(**missing)
        assert caught.response["Message"] == caught.message
    with not_found(f"No policy found for: {arn('doesnotexist')}"):
        lambda_.remove_permission(FunctionName="doesnotexist", StatementId="s3")
    with not_found(f"Cannot find alias arn: {arn(name)}:alias-doesnotexist"):
        lambda_.remove_permission(FunctionName=name, StatementId="s3", Qualifier="alias-doesnotexist")
    with not_found("No policy is associated with the given resource."):
        lambda_.remove_permission(FunctionName=name, StatementId="s3")


def test_a_policy_has_a_size(lambda_, functions):
    name = functions.make()
    with pytest.raises(lambda_.exceptions.PolicyLengthExceededException):
        for i in range(200):
            add(lambda_, name, f"statement-{i}", SourceArn="arn:aws:s3:::" + "b" * 200)
    assert len(json.dumps(policy_of(lambda_, name)[0])) < 25000
