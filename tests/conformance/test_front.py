"""One endpoint for all services: who is meant, who asks, and what does not exist yet."""

import json
import urllib.error
import urllib.request

import boto3
import botocore.config
import botocore.exceptions
import pytest

from harness.errors import error, not_found
from harness.functions import unique
from harness.rawhttp import Peer, request, scope

ASSUME = json.dumps({"Version": "2012-10-17", "Statement": []})


def get(daemon, path):
    with urllib.request.urlopen(daemon.endpoint + path) as answer:
        return answer.status, answer.read()


def plain_client(daemon, service, **config):
    """A client whose responses are not walked: the services do not exist."""
    return boto3.client(
        service,
        region_name="us-east-1",
        endpoint_url=daemon.endpoint,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=botocore.config.Config(retries={"total_max_attempts": 1}, **config),
    )


def test_the_root_answers(daemon):
    assert get(daemon, "/")[0] == 200


def test_health_lists_the_services(daemon):
    status, body = get(daemon, "/_localstack/health")
    services = json.loads(body)["services"]
    assert status == 200
    assert {"lambda", "logs", "iam", "sts"} <= set(services)
    assert set(services.values()) <= {"running", "available"}
    assert "s3" not in services or services["s3"] == "disabled"


ABSENT = [
    ("sqs", "list_queues", {}),
    ("dynamodb", "list_tables", {}),
    ("sns", "list_topics", {}),
    ("s3", "list_buckets", {}),
    ("events", "list_rules", {}),
    ("kinesis", "list_streams", {}),
    ("ec2", "describe_instances", {}),
    ("apigateway", "get_rest_apis", {}),
    ("scheduler", "list_schedules", {}),
    ("stepfunctions", "list_state_machines", {}),
    ("secretsmanager", "list_secrets", {}),
    ("cloudformation", "list_stacks", {}),
]


@pytest.mark.parametrize("service, operation, parameters", ABSENT, ids=[row[0] for row in ABSENT])
def test_a_service_that_does_not_exist_yet_is_named(daemon, service, operation, parameters):
    client = plain_client(daemon, service)
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        getattr(client, operation)(**parameters)
    response = refused.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] in (400, 404, 501)
    assert response["Error"]["Code"] not in ("", "Unknown", "404", "400", "501"), response
    assert f"'{client.meta.service_model.service_name}'" in response["Error"]["Message"], response["Error"]


@pytest.mark.parametrize(
    "operation, parameters",
    [
        ("list_event_source_mappings", {}),
        ("list_layers", {}),
        ("list_function_url_configs", {"FunctionName": "x"}),
        ("put_provisioned_concurrency_config", {"FunctionName": "x", "Qualifier": "1", "ProvisionedConcurrentExecutions": 1}),
    ],
)
def test_an_operation_that_does_not_exist_yet_is_named(daemon, operation, parameters):
    """Or it exists, and then it does not answer with an error that names it."""
    client = plain_client(daemon, "lambda")
    try:
        getattr(client, operation)(**parameters)
    except botocore.exceptions.ClientError as refused:
        response = refused.response
        name = "".join(word.capitalize() for word in operation.split("_"))
        assert response["ResponseMetadata"]["HTTPStatusCode"] in (400, 404, 501)
        assert response["Error"]["Code"] != "Unknown"
        if response["Error"]["Code"] != "ResourceNotFoundException":
            assert name in response["Error"]["Message"], response["Error"]


def test_paths_that_no_service_has(daemon):
    for path in ("/2015-03-31/nothing", "/2099-01-01/functions", "/nothing/at/all"):
        with Peer(daemon.port) as peer:
            answer = peer.send(request("GET", path, scope("lambda"))).answer()
        assert 400 <= answer.status < 500
        assert "x-amzn-requestid" in answer.headers


def test_a_wrong_method_on_a_known_path(daemon):
    with Peer(daemon.port) as peer:
        answer = peer.send(request("PATCH", "/2015-03-31/functions", scope("lambda"))).answer()
    assert answer.status in (403, 404, 405)


@pytest.mark.parametrize(
    "headers, path, body, status, sign",
    [
        (scope("sts"), "/", b"Action=GetCallerIdentity&Version=2011-06-15", 200, b"GetCallerIdentityResponse"),
        ({}, "/", b"Action=GetCallerIdentity&Version=2011-06-15", 200, b"GetCallerIdentityResponse"),
        (
            {"X-Amz-Target": "Logs_20140328.DescribeLogGroups", "Content-Type": "application/x-amz-json-1.1"},
            "/",
            b'{"logGroupNamePrefix":"nobody"}',
            200,
            b"logGroups",
        ),
        ({"Host": "lambda.us-east-1.amazonaws.com"}, "/2015-03-31/functions/none", None, 404, b"Function not found"),
        ({}, "/2015-03-31/functions/none", None, 404, b"Function not found"),
    ],
    ids=["scope", "action", "target", "host", "path"],
)
def test_the_service_is_told_by_any_of_its_marks(daemon, headers, path, body, status, sign):
    if body is not None and "Content-Type" not in headers:
        headers = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
    with Peer(daemon.port) as peer:
        answer = peer.send(request("GET" if body is None else "POST", path, headers, body or b"")).answer()
    assert (answer.status, sign in answer.body) == (status, True), answer


ASKED = b"Action=GetCallerIdentity&Version=2011-06-15"


@pytest.mark.parametrize(
    "method, path, headers",
    [
        ("POST", "/", {"Origin": "http://a.example"}),
        ("POST", "/", {"Origin": "null", "Sec-Fetch-Site": "cross-site"}),
        ("GET", "/?" + ASKED.decode(), {"Sec-Fetch-Site": "cross-site"}),
        ("GET", "/2015-03-31/functions", {"Host": "turned.example", "User-Agent": "Mozilla/5.0 (X11)"}),
        ("OPTIONS", "/2015-03-31/functions", {"Origin": "http://a.example", "Access-Control-Request-Method": "POST"}),
        ("POST", "/_mayfly/async", {"Origin": "http://a.example"}),
        ("GET", "/metrics", {"Sec-Fetch-Site": "same-site"}),
    ],
)
def test_nothing_is_done_for_a_web_page(daemon, method, path, headers):
    """Signatures are not verified here, so a page would be believed whatever it says."""
    kind = {"Content-Type": "application/x-www-form-urlencoded"} if method == "POST" else {}
    with Peer(daemon.port) as peer:
        answer = peer.send(request(method, path, {**kind, **headers}, ASKED if method == "POST" else b"")).answer()
    assert answer.status == 403 and b"Web pages cannot call this endpoint" in answer.body, answer
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "path, headers",
    [
        ("/?" + ASKED.decode(), {"User-Agent": "Mozilla/5.0 (X11)", "Sec-Fetch-Site": "none"}),
        ("/", {"User-Agent": "Mozilla/5.0 (X11)", "Sec-Fetch-Site": "cross-site"}),
        ("/_localstack/health", {"Origin": "http://a.example"}),
        ("/2015-03-31/functions", {"Host": "turned.example", "User-Agent": "Boto3/1.40"}),
    ],
)
def test_a_person_and_an_sdk_are_no_web_page(daemon, path, headers):
    with Peer(daemon.port) as peer:
        assert peer.send(request("GET", path, headers)).answer().status == 200


def test_regions_are_worlds_of_their_own(aws):
    name = unique("regional")
    here, there = aws.functions(), aws.functions(region="eu-central-1")
    here.make("def handler(e, c):\n    return 'here'\n", name=name)
    with not_found(f"Function not found: arn:aws:lambda:eu-central-1:000000000000:function:{name}"):
        there.client.get_function(FunctionName=name)
    there.make("import os\ndef handler(e, c):\n    return os.environ['AWS_REGION']\n", name=name)
    assert here.call(name, {}) == "here"
    assert there.call(name, {}) == "eu-central-1"


def test_accounts_are_worlds_of_their_own(aws):
    name = unique("mine")
    ours, theirs = aws.functions(), aws.functions(account="123456789012")
    ours.make("def handler(e, c):\n    return 'ours'\n", name=name)
    with not_found(f"Function not found: arn:aws:lambda:us-east-1:123456789012:function:{name}"):
        theirs.client.get_function(FunctionName=name)
    made = theirs.create("def handler(e, c):\n    return c.invoked_function_arn\n", name=name)
    assert made["FunctionArn"] == f"arn:aws:lambda:us-east-1:123456789012:function:{name}"
    assert theirs.call(name, {}) == made["FunctionArn"]
    assert ours.call(name, {}) == "ours"


def test_the_default_account_is_a_setting(another_daemon, aws_of):
    daemon = another_daemon(account="555566667777")
    aws = aws_of(daemon)
    assert aws.client("sts").get_caller_identity()["Account"] == "555566667777"
    functions = aws.functions()
    made = functions.create(wait=False)
    assert made["FunctionArn"].split(":")[4] == "555566667777"


def test_query_errors_are_xml(daemon):
    body = b"Action=NoSuchAction&Version=2011-06-15"
    headers = {**scope("sts"), "Content-Type": "application/x-www-form-urlencoded"}
    with Peer(daemon.port) as peer:
        answer = peer.send(request("POST", "/", headers, body)).answer()
    assert answer.status == 400
    assert b"<ErrorResponse" in answer.body and b"NoSuchAction" in answer.body and b"<Code>InvalidAction</Code>" in answer.body


def test_a_body_that_is_no_json_is_refused(daemon):
    for method, path in (("POST", "/2015-03-31/functions"), ("PUT", "/2015-03-31/functions/x/configuration")):
        for body in (b"{", b"[]", b"\xff\xfe", b'{"FunctionName": }'):
            with Peer(daemon.port) as peer:
                answer = peer.send(request(method, path, scope("lambda"), body)).answer()
            assert answer.status == 400, (body, answer)
            assert answer.headers["x-amzn-errortype"].startswith(("SerializationException", "InvalidRequestContent"))


def test_wrong_types_in_a_body_are_refused(daemon):
    body = json.dumps({"FunctionName": "x", "Role": 5, "Code": {}, "Timeout": "three"}).encode()
    with Peer(daemon.port) as peer:
        answer = peer.send(request("POST", "/2015-03-31/functions", scope("lambda"), body)).answer()
    assert answer.status == 400
    assert answer.headers["x-amzn-errortype"].startswith(("SerializationException", "ValidationException"))


def test_missing_members_are_told_in_order(lambda_):
    with error("ValidationException", status=400) as caught:
        lambda_.create_function(FunctionName="x")
    assert caught.message.startswith("2 validation errors detected: ")
    assert "Value null at 'role' failed to satisfy constraint: Member must not be null" in caught.message
    assert "Value null at 'code' failed to satisfy constraint: Member must not be null" in caught.message


# Signatures


def test_signatures_are_checked_where_that_is_asked_for(another_daemon):
    daemon = another_daemon("--auth", "always", "--access-keys", "AKIDEXAMPLE:verysecret")

    def functions_of(key, secret):
        client = boto3.client(
            "lambda",
            region_name="us-east-1",
            endpoint_url=daemon.endpoint,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            config=botocore.config.Config(retries={"total_max_attempts": 1}),
        )
        return client.list_functions()["Functions"]

    assert functions_of("AKIDEXAMPLE", "verysecret") == []
    for key, secret, code in (
        ("AKIDEXAMPLE", "wrong", "InvalidSignatureException"),
        ("UNKNOWN", "verysecret", "UnrecognizedClientException"),
    ):
        with pytest.raises(botocore.exceptions.ClientError) as refused:
            functions_of(key, secret)
        assert refused.value.response["Error"]["Code"] == code
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    with pytest.raises(urllib.error.HTTPError) as unsigned:
        get(daemon, "/2015-03-31/functions")
    assert unsigned.value.code == 403
    assert unsigned.value.headers["x-amzn-ErrorType"].startswith("MissingAuthenticationToken")


# Test controls


def post(daemon, path):
    with Peer(daemon.port) as peer:
        return peer.send(request("POST", path)).answer()


@pytest.mark.parametrize("path", ["/_localstack/state/reset", "/moto-api/reset"])
def test_reset_wipes_everything(another_daemon, aws_of, path):
    daemon = another_daemon()
    aws = aws_of(daemon)
    functions = aws.functions()
    name = functions.make(Tags={"a": "b"})
    functions.call(name, {})
    aws.functions(region="eu-west-1").create(wait=False)
    aws.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument=ASSUME)
    aws.client("logs").create_log_group(logGroupName="g")

    assert post(daemon, path).status == 200
    assert functions.client.list_functions()["Functions"] == []
    assert aws.functions(region="eu-west-1").client.list_functions()["Functions"] == []
    assert aws.client("iam").list_roles()["Roles"] == []
    assert aws.client("logs").describe_log_groups()["logGroups"] == []
    functions.make("def handler(e, c):\n    return 'again'\n", name=name)
    assert functions.call(name, {}) == "again"


def test_without_the_flag_there_are_no_test_controls(another_daemon, aws_of):
    daemon = another_daemon(test_controls=False)
    functions = aws_of(daemon).functions()
    name = functions.make()
    for path in ("/_localstack/state/reset", "/moto-api/reset"):
        assert post(daemon, path).status in (403, 404, 405)
    assert functions.call(name, {"still": "here"}) == {"still": "here"}


def test_a_restart_finds_everything_again(another_daemon, aws_of):
    daemon = another_daemon()
    aws = aws_of(daemon)
    functions = aws.functions()
    name = functions.make("def handler(e, c):\n    print('logged')\n    return 'kept'\n", Tags={"a": "b"})
    functions.publish(name)
    functions.client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    aws.client("iam").create_role(RoleName="kept", AssumeRolePolicyDocument=ASSUME)
    before = functions.client.get_function(FunctionName=name)
    assert functions.call(name, {}) == "kept"

    assert daemon.stop() == 0
    daemon.start()
    after = functions.client.get_function(FunctionName=name)
    for answer in (before, after):
        answer.pop("ResponseMetadata")
        answer["Code"].pop("Location")
    assert after == before
    assert functions.call(name, {}, Qualifier="live") == "kept"
    assert aws.client("iam").get_role(RoleName="kept")["Role"]["RoleName"] == "kept"
    found = aws.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{name}", filterPattern="logged")
    assert len(found["events"]) >= 1
