"""Function URLs: their configurations, who may come in, the event, the response."""

import base64
import json
import re
import threading
import time

import pytest

from harness.errors import arn, conflict, invalid, not_found, validation, unmatched
from harness.functions import PROVIDED, PYTHON, unique
from harness.rawhttp import Peer, request
from harness.urls import SHOW, ask, event_of, host_of, id_of, make_url, open_to_all, signed

FORBIDDEN = {
    "Message": "Forbidden. For troubleshooting Function URL authorization issues, see: "
    "https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"
}
MISSING = "The resource you requested does not exist."
QUALIFIER = r"((?!^\d+$)^[0-9a-zA-Z-_]+$)"
GIVE = """
import json
def handler(event, context):
    return json.loads(event["body"]) if event.get("body") else None
"""


@pytest.fixture(scope="module")
def shown(lambda_, functions):
    """The URL of a function that answers with its event."""
    return make_url(lambda_, functions.make(SHOW))


@pytest.fixture(scope="module")
def given(lambda_, functions):
    """The URL of a function that returns what it is told to."""
    return make_url(lambda_, functions.make(GIVE))


def give(url, value, method="POST", **headers):
    return ask(url, method, headers={"Content-Type": "text/plain", **headers}, body=json.dumps(value).encode())


# --- configurations ---


def test_create_get_update_list_delete(lambda_, functions, daemon):
    name = functions.make()
    made = lambda_.create_function_url_config(FunctionName=name, AuthType="NONE")
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert set(made) == {"FunctionUrl", "FunctionArn", "AuthType", "CreationTime", "ResponseMetadata"}
    assert made["FunctionArn"] == arn(name)
    assert re.fullmatch(
        rf"http://[a-z0-9]{{32}}\.lambda-url\.us-east-1\.localhost:{daemon.port}/", made["FunctionUrl"]
    )
    found = lambda_.get_function_url_config(FunctionName=name)
    assert found["FunctionUrl"] == made["FunctionUrl"] and found["InvokeMode"] == "BUFFERED"
    assert found["CreationTime"] == found["LastModifiedTime"] == made["CreationTime"]
    cors = {
        "AllowCredentials": True,
        "AllowHeaders": ["X-A", "X-B"],
        "AllowMethods": ["GET", "PUT"],
        "AllowOrigins": ["https://a.example"],
        "ExposeHeaders": ["Date"],
        "MaxAge": 600,
    }
    changed = lambda_.update_function_url_config(FunctionName=name, AuthType="AWS_IAM", Cors=cors)
    assert changed["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert changed["Cors"] == cors and changed["AuthType"] == "AWS_IAM"
    assert changed["CreationTime"] == made["CreationTime"]
    listed = lambda_.list_function_url_configs(FunctionName=name)["FunctionUrlConfigs"]
    assert len(listed) == 1
    changed.pop("ResponseMetadata")
    assert listed[0] == changed
    gone = lambda_.delete_function_url_config(FunctionName=name)
    assert gone["ResponseMetadata"]["HTTPStatusCode"] == 204
    with not_found(MISSING) as caught:
        lambda_.get_function_url_config(FunctionName=name)
    assert caught.response["Type"] == "User"
    assert lambda_.list_function_url_configs(FunctionName=name)["FunctionUrlConfigs"] == []


def test_one_url_a_function_and_one_an_alias(lambda_, functions):
    name = functions.make()
    lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion="$LATEST")
    make_url(lambda_, name, is_open=False)
    of_alias = lambda_.create_function_url_config(FunctionName=name, Qualifier="live", AuthType="AWS_IAM")
    assert of_alias["FunctionArn"] == arn(name) + ":live"
    with conflict(
        f"Failed to create function url config for [functionArn = {arn(name)}:live]. "
        "Error message:  FunctionUrlConfig exists for this Lambda function"
    ) as caught:
        lambda_.create_function_url_config(FunctionName=f"{name}:live", AuthType="NONE")
    assert caught.response["Type"] == "User"
    first = lambda_.list_function_url_configs(FunctionName=name, MaxItems=1)
    assert [one["FunctionArn"] for one in first["FunctionUrlConfigs"]] == [arn(name)]
    rest = lambda_.list_function_url_configs(FunctionName=name, Marker=first["NextMarker"])
    assert [one["FunctionArn"] for one in rest["FunctionUrlConfigs"]] == [arn(name) + ":live"]
    assert "NextMarker" not in rest


@pytest.mark.parametrize("operation", ["create", "get", "update", "delete"])
@pytest.mark.parametrize("qualifier", ["$LATEST", "1"])
def test_a_url_is_of_no_version(lambda_, functions, operation, qualifier, echo):
    call = getattr(lambda_, f"{operation}_function_url_config")
    more = {"AuthType": "NONE"} if operation == "create" else {}
    with validation(unmatched(qualifier, "qualifier", QUALIFIER)):
        call(FunctionName=echo, Qualifier=qualifier, **more)


@pytest.mark.parametrize(
    "operation, function, alias",
    [
        ("create", "Function does not exist", "Function does not exist"),
        ("update", "Function does not exist", "Function does not exist"),
        ("get", MISSING, MISSING),
        ("delete", MISSING, MISSING),
    ],
)
def test_what_does_not_exist(lambda_, echo, operation, function, alias):
    call = getattr(lambda_, f"{operation}_function_url_config")
    more = {"AuthType": "NONE"} if operation == "create" else {}
    for name in ("doesnotexist", arn("doesnotexist")):
        with not_found(function):
            call(FunctionName=name, **more)
    with not_found(alias):
        call(FunctionName=echo, Qualifier="none", **more)
    with invalid("The derived qualifier from the function name does not match the specified qualifier."):
        call(FunctionName=f"{arn(echo)}:one", Qualifier="two", **more)


def test_unknown_modes_and_types_are_refused(lambda_, echo):
    with validation(
        "Value 'UNKNOWN' at 'invokeMode' failed to satisfy constraint: "
        "Member must satisfy enum value set: [RESPONSE_STREAM, BUFFERED]"
    ):
        lambda_.create_function_url_config(FunctionName=echo, AuthType="NONE", InvokeMode="UNKNOWN")


# --- the event ---


def test_the_event_is_of_format_2_to_the_letter(lambda_, functions):
    name = functions.make(
        "import json\ndef handler(event, context):\n"
        "    return {'statusCode': 200, 'body': json.dumps([event, context.aws_request_id])}\n"
    )
    url = make_url(lambda_, name)
    before = int(time.time() * 1000)
    answer = ask(
        url,
        "POST",
        "/my/path%20x?parameter1=value1&parameter1=value2&parameter2=v%2B+w",
        headers={
            "Content-Type": "application/json",
            "Header1": "value1",
            "Cookie": "cookie1=a; cookie2=b",
            "User-Agent": "agent",
            "Connection": "keep-alive",
        },
        body=b'{"n":1}',
    )
    event, request_id = json.loads(answer.body)
    context = event.pop("requestContext")
    trace = event["headers"].pop("x-amzn-trace-id")
    assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}", trace)
    port = host_of(url).rpartition(":")[2]
    assert event == {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/my/path%20x",
        "rawQueryString": "parameter1=value1&parameter1=value2&parameter2=v%2B+w",
        "cookies": ["cookie1=a", "cookie2=b"],
        "headers": {
            "host": host_of(url),
            "content-type": "application/json",
            "content-length": "7",
            "header1": "value1",
            "user-agent": "agent",
            "x-forwarded-for": "127.0.0.1",
            "x-forwarded-port": port,
            "x-forwarded-proto": "http",
        },
        "queryStringParameters": {"parameter1": "value1,value2", "parameter2": "v+ w"},
        "body": '{"n":1}',
        "isBase64Encoded": False,
    }
    epoch = context.pop("timeEpoch")
    assert before - 5000 <= epoch <= int(time.time() * 1000) + 5000
    assert context.pop("time") == time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(epoch // 1000))
    assert context.pop("requestId") == request_id == answer.headers["x-amzn-requestid"]
    assert context == {
        "accountId": "anonymous",
        "apiId": id_of(url),
        "domainName": host_of(url).rpartition(":")[0],
        "domainPrefix": id_of(url),
        "http": {
            "method": "POST",
            "path": "/my/path%20x",
            "protocol": "HTTP/1.1",
            "sourceIp": "127.0.0.1",
            "userAgent": "agent",
        },
        "routeKey": "$default",
        "stage": "$default",
    }
    assert answer.headers["x-amzn-trace-id"].startswith(trace)


def test_a_plain_request_has_no_empty_members(shown):
    event = event_of(shown)
    assert not {"body", "cookies", "queryStringParameters"} & set(event)
    assert event["rawPath"] == "/" and event["rawQueryString"] == ""
    assert event["isBase64Encoded"] is False


def test_repeated_headers_are_joined_with_commas(shown):
    raw = f"GET / HTTP/1.1\r\nHost: {host_of(shown)}\r\nX-A: 1\r\nx-a: 2\r\nX-A: 3\r\nX-Amzn-Trace-Id: Root=mine\r\n\r\n"
    with Peer(int(host_of(shown).rpartition(":")[2])) as peer:
        event = json.loads(peer.send(raw).answer().body)
    assert event["headers"]["x-a"] == "1,2,3"
    assert event["headers"]["x-amzn-trace-id"] == "Root=mine"


@pytest.mark.parametrize(
    "kind, body, is_text",
    [
        ("text/plain", "grüße \\ \"x\"\n".encode(), True),
        ("application/json; charset=utf-8", b"[1]", True),
        ("application/x-www-form-urlencoded", b"a=b&c=d", False),
        ("application/octet-stream", bytes(range(256)), False),
        (None, b"abc", False),
        ("text/plain", b"\xff\xfe", False),
    ],
)
def test_bodies_that_are_not_text_go_in_base64(shown, kind, body, is_text):
    event = event_of(shown, "POST", headers={"Content-Type": kind} if kind else {}, body=body)
    assert event["isBase64Encoded"] is not is_text
    assert event["body"] == (body.decode() if is_text else base64.b64encode(body).decode())


def test_a_chunked_body_is_a_body(shown):
    raw = (
        f"POST / HTTP/1.1\r\nHost: {host_of(shown)}\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )
    with Peer(int(host_of(shown).rpartition(":")[2])) as peer:
        event = json.loads(peer.send(raw).answer().body)
    assert event["body"] == "abcde" and "transfer-encoding" not in event["headers"]


def test_both_forms_of_the_address_and_any_case(shown, daemon):
    event = event_of(shown, path="/x")
    with Peer(daemon.port) as peer:
        path = f"/_mayfly/lambda-url/{id_of(shown)}/x?a=1"
        by_path = json.loads(peer.send(request("GET", path)).answer().body)
        shouted = {"Host": host_of(shown).upper()}
        by_case = json.loads(peer.send(request("GET", "/x", shouted)).answer().body)
        elsewhere = {"Host": f"{id_of(shown)}.lambda-url.eu-west-3.on.example"}
        by_host = json.loads(peer.send(request("GET", "/x", elsewhere)).answer().body)
        bare = json.loads(peer.send(request("GET", f"/_mayfly/lambda-url/{id_of(shown)}")).answer().body)
    assert event["rawPath"] == by_path["rawPath"] == by_case["rawPath"] == by_host["rawPath"] == "/x"
    assert by_path["rawQueryString"] == "a=1" and bare["rawPath"] == "/"
    assert by_path["requestContext"]["apiId"] == by_case["requestContext"]["apiId"] == id_of(shown)
    assert by_host["requestContext"]["domainName"] == elsewhere["Host"]


def test_paths_of_apis_are_the_functions_own_there(shown):
    for path in ("/2015-03-31/functions", "/_localstack/health", "/_mayfly/status", "/?Action=GetCallerIdentity"):
        assert event_of(shown, path=path)["rawPath"] == path.partition("?")[0]


# --- the response ---


@pytest.mark.parametrize(
    "returned, status, kind, body",
    [
        ({"statusCode": 200, "body": "body123"}, 200, "application/json", b"body123"),
        ({"statusCode": 200, "body": '{"hello": "world"}'}, 200, "application/json", b'{"hello": "world"}'),
        ({"hello": "world"}, 200, "application/json", b'{"hello": "world"}'),
        ("hello", 200, "application/json", b"hello"),
        ('with "quotes"\n', 200, "application/json", b'with "quotes"\n'),
        (True, 200, "application/json", b"true"),
        (3, 200, "application/json", b"3"),
        (["hello", 3, True], 200, "application/json", b'["hello", 3, true]'),
        (None, 200, "application/json", b"null"),
        ({"statusCode": 404, "headers": {"Content-Type": "text/html"}, "body": "<p>"}, 404, "text/html", b"<p>"),
        ({"statusCode": 200, "body": "AP8=", "isBase64Encoded": True}, 200, "application/json", b"\x00\xff"),
        ({"statusCode": 418}, 418, "application/json", b""),
        ({"statusCode": 204}, 204, "application/json", b""),
    ],
)
def test_every_shape_becomes_a_response(given, returned, status, kind, body):
    answer = give(given, returned)
    assert (answer.status, answer.headers["content-type"], answer.body) == (status, kind, body)
    assert answer.headers["x-amzn-requestid"] and answer.headers["x-amzn-trace-id"].startswith("Root=1-")


def test_cookies_and_headers_of_the_response(given):
    with Peer(int(host_of(given).rpartition(":")[2])) as peer:
        value = {
            "statusCode": 201,
            "headers": {"X-Number": 5, "X-Text": "ü", "Content-Length": "99", "Connection": "close"},
            "cookies": ["a=1; Secure", "b=2"],
            "body": "x",
        }
        head = {"Host": host_of(given), "Content-Type": "text/plain"}
        peer.send(request("POST", "/", head, json.dumps(value).encode()))
        lines = peer._until(b"\r\n\r\n").decode().split("\r\n")
        assert peer._exactly(1) == b"x"
        assert [line for line in lines if line.startswith("Set-Cookie: ")] == ["Set-Cookie: a=1; Secure", "Set-Cookie: b=2"]
        assert "X-Number: 5" in lines and "X-Text: ü" in lines
        assert [line for line in lines if line.lower().startswith("content-length")] == ["Content-Length: 1"]
        assert not any(line.lower().startswith("connection") for line in lines)
        # and the connection goes on
        assert give(given, "again", method="POST").body == b"again"


@pytest.mark.parametrize(
    "returned",
    [
        {"statusCode": "fine"},
        {"statusCode": 99},
        {"statusCode": 1000},
        {"statusCode": 200, "headers": ["a"]},
        {"statusCode": 200, "headers": {"a": "b\r\nc: d"}},
        {"statusCode": 200, "headers": {"a b": "c"}},
        {"statusCode": 200, "cookies": "a=1"},
        {"statusCode": 200, "body": "no base64", "isBase64Encoded": True},
    ],
)
def test_a_malformed_response_is_a_bad_gateway(given, returned):
    answer = give(given, returned)
    assert (answer.status, answer.body) == (502, b"Internal Server Error")
    assert answer.headers["content-type"] == "application/json"


def test_errors_and_timeouts_of_the_function_are_a_bad_gateway(lambda_, functions):
    name = functions.make(
        "import time, os\ndef handler(event, context):\n"
        "    {'/raise': lambda: 1 / 0, '/sleep': lambda: time.sleep(60), '/exit': lambda: os._exit(1)}[event['rawPath']]()\n",
        Timeout=1,
    )
    url = make_url(lambda_, name)
    for path in ("/raise", "/sleep", "/exit"):
        answer = ask(url, path=path)
        assert (answer.status, answer.body) == (502, b"Internal Server Error"), path


def test_head_has_no_body_and_the_connection_goes_on(given):
    with Peer(int(host_of(given).rpartition(":")[2])) as peer:
        answer = ask(given, "HEAD", peer=peer)
        assert answer.status == 200 and answer.headers["content-length"] == "4"
        assert ask(given, peer=peer).body == b"null"


# --- sizes ---


def test_six_megabytes_each_way(lambda_, functions):
    name = functions.make(
        "def handler(event, context):\n"
        "    body = event.get('body')\n"
        "    return str(len(body)) if body else 'x' * int(event['rawPath'][1:])\n",
        MemorySize=512,
        Timeout=30,
    )
    url = make_url(lambda_, name)
    plain = {"Content-Type": "text/plain"}
    assert ask(url, "POST", headers=plain, body=b"a" * 6_000_000).body == b"6000000"
    too_large = ask(url, "POST", headers=plain, body=b"a" * 6_291_456)
    assert too_large.status == 413
    assert too_large.headers["x-amzn-errortype"] == "RequestTooLargeException"
    assert ask(url, "POST", body=b"a" * 5_000_000).status == 413  # base64 makes it too large
    answer = ask(url, path="/6000000")
    assert answer.status == 200 and len(answer.body) == 6_000_000
    assert ask(url, path="/6300000").status == 502


# --- who may come in ---


def test_without_a_permission_nobody_comes_in(lambda_, functions):
    name = functions.make(SHOW)
    url = make_url(lambda_, name, is_open=False)
    for _ in range(2):  # read from the store, and known
        answer = ask(url)
        assert answer.status == 403 and json.loads(answer.body) == FORBIDDEN
        assert answer.headers["x-amzn-errortype"] == "AccessDeniedException"
    lambda_.add_permission(
        FunctionName=name, StatementId="other", Action="lambda:InvokeFunction", Principal="*"
    )
    assert ask(url).status == 403
    open_to_all(lambda_, name)
    assert ask(url).status == 200
    lambda_.remove_permission(FunctionName=name, StatementId="url")
    assert ask(url).status == 403


def test_what_is_no_url_is_told_as_aws_tells_it(shown, lambda_, functions, daemon):
    name = functions.make()
    url = make_url(lambda_, name)
    assert ask(url).status == 200
    lambda_.delete_function_url_config(FunctionName=name)
    hosts = [host_of(url), "x.lambda-url.us-east-1.localhost", "a" * 32 + ".lambda-url.x", ".lambda-url.y"]
    with Peer(daemon.port) as peer:
        for host in hosts:
            answer = peer.send(request("GET", "/", {"Host": host})).answer()
            assert (answer.status, json.loads(answer.body)) == (403, {"Message": None}), host
            assert answer.headers["x-amzn-errortype"] == "AccessDeniedException"


def test_a_deleted_function_has_no_url(lambda_, functions):
    name = functions.make(SHOW)
    url = make_url(lambda_, name)
    assert ask(url).status == 200
    lambda_.delete_function(FunctionName=name)
    assert ask(url).status == 403
    functions.create(SHOW, name=name)
    with not_found(MISSING):
        lambda_.get_function_url_config(FunctionName=name)
    assert ask(url).status == 403


def test_aws_iam_wants_a_signature_of_the_account(lambda_, functions):
    url = make_url(lambda_, functions.make(SHOW), auth="AWS_IAM")
    unsigned = ask(url)
    assert unsigned.status == 403 and json.loads(unsigned.body) == FORBIDDEN
    event = event_of(url, "POST", "/p?b=2&a=1", headers=signed(url, "POST", "/p?b=2&a=1", b"x"), body=b"x")
    assert event["requestContext"]["accountId"] == "000000000000"
    assert event["requestContext"]["authorizer"] == {
        "iam": {
            "accessKey": "test",
            "accountId": "000000000000",
            "callerId": "000000000000",
            "cognitoIdentity": None,
            "principalOrgId": None,
            "userArn": "arn:aws:iam::000000000000:root",
            "userId": "000000000000",
        }
    }
    assert "authorization" not in event["headers"] and event["headers"]["x-amz-date"]
    wrong = ask(url, headers=signed(url, service="execute-api"))
    assert wrong.status == 403 and wrong.headers["x-amzn-errortype"] == "InvalidSignatureException"


def test_where_everybody_must_sign_urls_have_their_own_rules(another_daemon, aws_of):
    daemon = another_daemon("--auth", "always", "--access-keys", "AKIDEXAMPLE:verysecret,test:test")
    functions = aws_of(daemon).functions()
    lambda_ = functions.client
    name = functions.make(SHOW)
    assert ask(make_url(lambda_, name)).status == 200
    lambda_.update_function_url_config(FunctionName=name, AuthType="AWS_IAM")
    url = lambda_.get_function_url_config(FunctionName=name)["FunctionUrl"]
    good = ask(url, headers=signed(url, key="AKIDEXAMPLE", secret="verysecret"))
    assert good.status == 200
    forged = ask(url, headers=signed(url, key="AKIDEXAMPLE", secret="other"))
    assert forged.status == 403 and forged.headers["x-amzn-errortype"] == "InvalidSignatureException"
    assert json.loads(forged.body)["message"].startswith("The request signature we calculated does not match")
    unknown = ask(url, headers=signed(url, key="AKIDOTHER", secret="other"))
    assert unknown.status == 403 and unknown.headers["x-amzn-errortype"] == "UnrecognizedClientException"
    tampered = ask(url, path="/other", headers=signed(url, key="AKIDEXAMPLE", secret="verysecret"))
    assert tampered.status == 403
    assert json.loads(ask(url).body) == FORBIDDEN


# --- CORS ---

CORS = {
    "AllowOrigins": ["https://a.example", "https://b.example"],
    "AllowMethods": ["GET", "PUT"],
    "AllowHeaders": ["x-a"],
    "ExposeHeaders": ["x-b"],
    "MaxAge": 300,
    "AllowCredentials": True,
}


def preflight(url, origin="https://b.example", method="PUT"):
    return ask(url, "OPTIONS", headers={"Origin": origin, "Access-Control-Request-Method": method})


def test_preflights_are_answered_without_the_function(lambda_, functions):
    name = functions.make("def handler(event, context):\n    raise Exception\n")
    url = make_url(lambda_, name, is_open=False, Cors=CORS)
    answer = preflight(url)
    assert answer.status == 200 and answer.body == b""
    assert answer.headers["access-control-allow-origin"] == "https://b.example"
    assert answer.headers["access-control-allow-methods"] == "GET,PUT"
    assert answer.headers["access-control-allow-headers"] == "x-a"
    assert answer.headers["access-control-max-age"] == "300"
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert answer.headers["vary"] == "Origin"
    for refused in (preflight(url, origin="https://c.example"), preflight(url, method="POST")):
        assert refused.status == 200 and not any(name.startswith("access-control") for name in refused.headers)


def test_answers_tell_allowed_origins_what_they_may_see(lambda_, functions):
    name = functions.make(
        "def handler(event, context):\n"
        "    return {'statusCode': 200, 'headers': {'Access-Control-Max-Age': 'mine', 'x-b': '1'}, 'body': 'x'}\n"
    )
    url = make_url(lambda_, name, Cors=CORS)
    answer = ask(url, headers={"Origin": "https://a.example"})
    assert answer.headers["access-control-allow-origin"] == "https://a.example"
    assert answer.headers["access-control-expose-headers"] == "x-b"
    assert answer.headers["access-control-max-age"] == "mine"  # the function's own are there too
    assert answer.headers["x-b"] == "1"
    other = ask(url, headers={"Origin": "https://c.example"})
    assert other.status == 200 and "access-control-allow-origin" not in other.headers
    lambda_.update_function_url_config(FunctionName=name, Cors={"AllowOrigins": ["*"]})
    anybody = ask(url, headers={"Origin": "https://c.example"})
    assert anybody.headers["access-control-allow-origin"] == "https://c.example"
    lambda_.update_function_url_config(FunctionName=name, Cors={})
    assert "Cors" not in lambda_.get_function_url_config(FunctionName=name)
    own = ask(url, headers={"Origin": "https://a.example"})
    assert own.headers["access-control-max-age"] == "mine" and "access-control-allow-origin" not in own.headers
    # without a Cors the function answers preflights itself
    assert preflight(url).body == b"x"


# --- versions, concurrency, modes ---


def versions(functions):
    name = functions.make("def handler(event, context):\n    return 'one'\n")
    functions.publish(name)
    functions.update_code(name, "def handler(event, context):\n    return 'two'\n")
    functions.publish(name)
    return name


def test_a_url_of_an_alias_follows_it(lambda_, functions):
    name = versions(functions)
    lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    url = make_url(lambda_, name, "live")
    latest = make_url(lambda_, name)
    assert ask(url).body == b"one" and ask(latest).body == b"two"
    lambda_.update_alias(FunctionName=name, Name="live", FunctionVersion="2")
    assert ask(url).body == b"two"
    lambda_.update_alias(FunctionName=name, Name="live", RoutingConfig={"AdditionalVersionWeights": {"1": 0.5}})
    assert {ask(url).body for _ in range(60)} == {b"one", b"two"}


def test_the_url_of_a_deleted_alias_lets_nobody_in(lambda_, functions):
    name = versions(functions)
    lambda_.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    url = make_url(lambda_, name, "live")
    assert ask(url).status == 200
    lambda_.delete_alias(FunctionName=name, Name="live")
    answer = ask(url)
    assert answer.status == 403 and json.loads(answer.body) == FORBIDDEN
    assert lambda_.get_function_url_config(FunctionName=name, Qualifier="live")["FunctionUrl"] == url


def test_too_many_at_a_time_are_throttled(lambda_, functions):
    name = functions.make(SHOW)
    url = make_url(lambda_, name)
    lambda_.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    answer = ask(url)
    assert answer.status == 429 and answer.headers["x-amzn-errortype"] == "TooManyRequestsException"
    assert json.loads(answer.body) == {
        "Reason": "ReservedFunctionConcurrentInvocationLimitExceeded",
        "Type": "User",
        "message": "Rate Exceeded.",
    }
    lambda_.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    assert ask(url).status == 200


# --- life ---


def test_requests_that_come_together_are_all_answered(lambda_, functions):
    """Before the URL is known and before an environment is there."""
    url = make_url(lambda_, functions.make(SHOW))
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(event_of(url)["rawPath"])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["/"] * 8


def test_a_client_that_leaves_costs_nothing(lambda_, functions):
    name = functions.make("import time\ndef handler(event, context):\n    time.sleep(0.3)\n    return 'x'\n")
    url = make_url(lambda_, name)
    port = int(host_of(url).rpartition(":")[2])
    for _ in range(4):  # while the URL is read, while a function starts, while it runs
        with Peer(port) as peer:
            peer.send(request("GET", "/", {"Host": host_of(url)}))
    assert ask(url).body == b"x"


def test_pipelined_requests_are_answered_in_order(shown):
    with Peer(int(host_of(shown).rpartition(":")[2]), timeout=30) as peer:
        for i in range(5):
            peer.send(request("GET", f"/{i}", {"Host": host_of(shown)}))
        assert [json.loads(peer.answer().body)["rawPath"] for _ in range(5)] == [f"/{i}" for i in range(5)]


def test_urls_outlive_the_daemon(another_daemon, aws_of, tmp_path):
    first = another_daemon(data=tmp_path / "data")
    functions = aws_of(first).functions()
    url = make_url(functions.client, functions.make(SHOW))
    assert ask(url).status == 200
    assert first.stop() == 0
    first.start()
    assert ask(url).status == 200
