"""STS and IAM as far as tools need them: who am I, and roles that are made before functions."""

import json
import re

import pytest

from harness.errors import error
from harness.functions import unique

ASSUME = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)
BASIC = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"


@pytest.fixture(scope="module")
def iam(aws):
    return aws.client("iam")


@pytest.fixture
def role(iam):
    name = unique("role")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=ASSUME)
    return name


def test_caller_identity(aws):
    who = aws.client("sts").get_caller_identity()
    assert who["Account"] == "000000000000"
    assert re.match(r"arn:aws:(iam|sts)::000000000000:", who["Arn"])
    assert who["UserId"]


def test_an_access_key_of_twelve_digits_names_the_account(aws):
    who = aws.client("sts", access_key="123456789012").get_caller_identity()
    assert who["Account"] == "123456789012"
    assert ":123456789012:" in who["Arn"]


def test_a_role_is_made_and_read(iam):
    name = unique("role")
    made = iam.create_role(
        RoleName=name,
        AssumeRolePolicyDocument=ASSUME,
        Path="/service-role/",
        Description="for tests",
        MaxSessionDuration=7200,
        Tags=[{"Key": "team", "Value": "blue"}],
    )["Role"]
    assert made["Arn"] == f"arn:aws:iam::000000000000:role/service-role/{name}"
    assert re.fullmatch(r"AROA[A-Z0-9]{17}", made["RoleId"])
    found = iam.get_role(RoleName=name)["Role"]
    assert (found["RoleName"], found["Path"], found["Description"]) == (name, "/service-role/", "for tests")
    assert found["MaxSessionDuration"] == 7200
    assert found["AssumeRolePolicyDocument"] == json.loads(ASSUME)
    assert found["Tags"] == [{"Key": "team", "Value": "blue"}]
    assert found["CreateDate"] == made["CreateDate"]
    assert iam.list_role_tags(RoleName=name)["Tags"] == [{"Key": "team", "Value": "blue"}]


def test_roles_are_listed_and_paged(aws):
    iam = aws.client("iam", access_key="210987654321")
    names = sorted(unique("listed") for _ in range(5))
    for name in names:
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=ASSUME)
    listed = iam.list_roles()
    assert [r["RoleName"] for r in listed["Roles"]] == names and listed["IsTruncated"] is False
    pages = list(iam.get_paginator("list_roles").paginate(PaginationConfig={"PageSize": 2}))
    assert [r["RoleName"] for page in pages for r in page["Roles"]] == names and len(pages) == 3
    assert iam.list_roles(PathPrefix="/nothing/")["Roles"] == []


def test_missing_and_double_roles(iam, role):
    with error("EntityAlreadyExists", f"Role with name {role} already exists.", 409):
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=ASSUME)
    for operation in ("get_role", "delete_role", "list_attached_role_policies", "list_role_policies"):
        with error("NoSuchEntity", "The role with name nobody cannot be found.", 404):
            getattr(iam, operation)(RoleName="nobody")


def test_a_policy_document_must_be_json(iam):
    with error("MalformedPolicyDocument", status=400):
        iam.create_role(RoleName=unique("role"), AssumeRolePolicyDocument="{nope")


def test_managed_policies_are_attached_listed_and_detached(iam, role):
    iam.attach_role_policy(RoleName=role, PolicyArn=BASIC)
    iam.attach_role_policy(RoleName=role, PolicyArn=BASIC)
    attached = iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
    assert attached == [{"PolicyName": "AWSLambdaBasicExecutionRole", "PolicyArn": BASIC}]
    iam.detach_role_policy(RoleName=role, PolicyArn=BASIC)
    assert iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"] == []
    with error("NoSuchEntity", status=404):
        iam.detach_role_policy(RoleName=role, PolicyArn=BASIC)


def test_inline_policies(iam, role):
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    iam.put_role_policy(RoleName=role, PolicyName="inline", PolicyDocument=json.dumps(document))
    assert iam.list_role_policies(RoleName=role)["PolicyNames"] == ["inline"]
    found = iam.get_role_policy(RoleName=role, PolicyName="inline")
    assert (found["RoleName"], found["PolicyName"], found["PolicyDocument"]) == (role, "inline", document)
    iam.delete_role_policy(RoleName=role, PolicyName="inline")
    assert iam.list_role_policies(RoleName=role)["PolicyNames"] == []
    with error("NoSuchEntity", status=404):
        iam.get_role_policy(RoleName=role, PolicyName="inline")


def test_a_role_with_policies_cannot_be_deleted(iam, role):
    iam.attach_role_policy(RoleName=role, PolicyArn=BASIC)
    with error("DeleteConflict", "Cannot delete entity, must detach all policies first.", 409):
        iam.delete_role(RoleName=role)
    iam.detach_role_policy(RoleName=role, PolicyArn=BASIC)
    iam.delete_role(RoleName=role)
    with error("NoSuchEntity", status=404):
        iam.get_role(RoleName=role)


def test_what_a_role_trusts_can_be_changed(iam, role):
    document = json.loads(ASSUME)
    document["Statement"][0]["Principal"] = {"Service": "events.amazonaws.com"}
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(document))
    assert iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"] == document
    iam.update_role(RoleName=role, Description="changed")
    assert iam.get_role(RoleName=role)["Role"]["Description"] == "changed"


def test_tags_of_roles(iam, role):
    iam.tag_role(RoleName=role, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    assert iam.list_role_tags(RoleName=role)["Tags"] == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]
    iam.untag_role(RoleName=role, TagKeys=["a"])
    assert iam.list_role_tags(RoleName=role)["Tags"] == [{"Key": "b", "Value": "2"}]


def test_roles_belong_to_the_account_and_to_all_regions(aws, role):
    assert aws.client("iam", region="eu-west-1").get_role(RoleName=role)["Role"]["RoleName"] == role
    with error("NoSuchEntity", status=404):
        aws.client("iam", access_key="123456789012").get_role(RoleName=role)


def test_a_function_takes_the_role(iam, role, functions):
    arn = iam.get_role(RoleName=role)["Role"]["Arn"]
    assert functions.create(Role=arn)["Role"] == arn


def test_operations_that_do_not_exist_yet_are_named(iam):
    with pytest.raises(iam.exceptions.ClientError) as refused:
        iam.list_virtual_mfa_devices()
    assert "ListVirtualMFADevices" in str(refused.value)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] >= 400
