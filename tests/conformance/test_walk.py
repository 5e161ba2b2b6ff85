"""The walk finds what it is for: a check that cannot fail proves nothing."""

import json

import botocore.session
import pytest

from harness.walk import Walk, Watch

REQUEST_ID = {"x-amzn-RequestId": "c0ffee00-0000-4000-8000-000000000000"}
JSON = {**REQUEST_ID, "Content-Type": "application/json"}
XML = {**REQUEST_ID, "Content-Type": "text/xml"}
ALIAS = {
    "AliasArn": "arn:aws:lambda:us-east-1:000000000000:function:f:a",
    "Name": "a",
    "FunctionVersion": "1",
    "Description": "",
    "RevisionId": "c0ffee00-0000-4000-8000-000000000000",
    "RoutingConfig": {"AdditionalVersionWeights": {"2": 0.5}},
}


@pytest.fixture(scope="module")
def walk():
    session = botocore.session.Session()

    def one(service, operation, status, headers, body):
        model = session.get_service_model(service).operation_model(operation)
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return Walk(model, status, headers, data).run()

    return one


def test_a_right_answer_passes(walk):
    assert walk("lambda", "GetAlias", 200, JSON, ALIAS) == []
    assert walk("lambda", "DeleteAlias", 204, REQUEST_ID, b"") == []
    assert walk("logs", "CreateLogGroup", 200, JSON, b"") == []


@pytest.mark.parametrize(
    "change, word",
    [
        ({"Invented": 1}, "does not know"),
        ({"Description": None}, "null"),
        ({"Description": 5}, "not a string"),
        ({"RoutingConfig": []}, "not an object"),
        ({"RoutingConfig": {"AdditionalVersionWeights": {"2": "0.5"}}}, "not a number"),
        ({"RoutingConfig": {"AdditionalVersionWeights": {"2": True}}}, "not a number"),
    ],
    ids=str,
)
def test_wrong_members_are_found(walk, change, word):
    (problem,) = walk("lambda", "GetAlias", 200, JSON, {**ALIAS, **change})
    assert word in problem


def test_wrong_envelopes_are_found(walk):
    assert "the model says 201" in walk("lambda", "CreateAlias", 200, JSON, ALIAS)[0]
    assert "missing" in walk("lambda", "GetAlias", 200, {"Content-Type": "application/json"}, ALIAS)[0]
    assert "not a UUID" in walk("lambda", "GetAlias", 200, {**JSON, "x-amzn-RequestId": "7"}, ALIAS)[0]
    assert "content-type" in walk("lambda", "GetAlias", 200, {**JSON, "Content-Type": "text/html"}, ALIAS)[0]
    assert "not JSON" in walk("lambda", "GetAlias", 200, JSON, b"{")[0]
    assert "a key twice" in walk("lambda", "GetAlias", 200, JSON, b'{"Name":"a","Name":"b"}')[0]
    assert "a 204 has none" in walk("lambda", "DeleteAlias", 204, JSON, {})[0]


def test_wrong_enums_required_members_and_nesting_are_found(walk):
    function = {"FunctionName": "f", "State": "Sleeping", "VpcConfig": {"SubnetIds": ["a", 1]}, "Layers": [{"X": 1}]}
    problems = walk("lambda", "GetFunctionConfiguration", 200, JSON, function)
    assert len(problems) == 3
    assert "'Sleeping' is none of" in problems[0] and ".VpcConfig.SubnetIds[1]" in problems[1] and ".Layers[0].X" in problems[2]
    (missing,) = walk("lambda", "GetFunctionCodeSigningConfig", 200, JSON, {"FunctionName": "f"})
    assert "CodeSigningConfigArn: required, missing" in missing


def test_errors_are_walked(walk):
    def error(status, code, body):
        return walk("lambda", "GetAlias", status, {**JSON, "x-amzn-ErrorType": code}, body)

    good = {"Type": "User", "Message": "Function not found"}
    assert error(404, "ResourceNotFoundException", good) == []
    assert "the model says 404" in error(400, "ResourceNotFoundException", good)[0]
    assert "no error of this service" in error(400, "InventedException", {"message": "x"})[0]
    lower = {"Type": "User", "message": "Function not found"}
    assert "SDKs read the error's message here" in error(404, "ResourceNotFoundException", lower)[0]
    assert "ErrorType" in walk("lambda", "GetAlias", 404, JSON, good)[0]


IDENTITY = (
    '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>{}'
    "</GetCallerIdentityResult><ResponseMetadata><RequestId>x</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
)


def test_xml_is_walked(walk):
    good = IDENTITY.format("<Arn>a</Arn><UserId>u</UserId><Account>1</Account>").encode()
    assert walk("sts", "GetCallerIdentity", 200, XML, good) == []
    bad = IDENTITY.format("<Arn>a</Arn><Arn>b</Arn><Name>u</Name>").encode()
    problems = walk("sts", "GetCallerIdentity", 200, XML, bad)
    assert [("twice" in p, "does not know" in p) for p in problems] == [(True, False), (False, True)]
    assert "namespace" in walk("sts", "GetCallerIdentity", 200, XML, good.replace(b"https://sts", b"http://x"))[0]
    wrong = b"<ErrorResponse><Error><Code>Invented</Code></Error></ErrorResponse>"
    assert len(walk("sts", "GetCallerIdentity", 400, XML, wrong)) == 4


def test_a_run_that_walks_nothing_is_blind():
    watch, session = Watch(), botocore.session.Session()
    assert not watch.is_blind(), "there was no client"
    client = session.create_client("lambda", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    watch.attach(client)
    assert watch.is_blind()
    answer = {"status_code": 204, "headers": REQUEST_ID, "body": b""}
    model = client.meta.service_model.operation_model("DeleteAlias")
    client.meta.events.emit("before-parse.lambda.DeleteAlias", operation_model=model, response_dict=answer)
    assert not watch.is_blind() and watch.take() == []
