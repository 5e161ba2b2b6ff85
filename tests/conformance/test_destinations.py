"""Records and dead letters over the wire: queues, topics, buses and buckets, each request as AWS's own signer signs it."""

import json
import pathlib
import re
import socket
import subprocess
import tempfile

import pytest

from harness.pki import Authority
from harness.targets import KEY, SECRET, Targets

SAY = "def handler(event, context):\n    return 'x' * event.get('len', 1)\n"
FAIL = "def handler(event, context):\n    raise ValueError('on purpose')\n"
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
FLAGS = ("--async-wait", "100", "--destinations-key", f"{KEY}:{SECRET}")


class Post:
    """A daemon, and the targets that it delivers to."""

    def __init__(self, daemon, aws, targets):
        self.daemon, self.targets = daemon, targets
        self.functions, self.lambda_ = aws.functions(), aws.client("lambda")

    def make(self, source=SAY, **destinations):
        name = self.functions.make(source)
        self.lambda_.put_function_event_invoke_config(
            FunctionName=name,
            MaximumRetryAttempts=0,
            DestinationConfig={side: {"Destination": arn} for side, arn in destinations.items()},
        )
        return name

    def send(self, name, event):
        sent = self.lambda_.invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps(event))
        return sent["ResponseMetadata"]["RequestId"]


@pytest.fixture(scope="module")
def post(daemon_of, aws_of):
    targets = Targets().start()
    daemon = daemon_of("--destinations", targets.endpoint, *FLAGS)
    yield Post(daemon, aws_of(daemon), targets)
    targets.stop()


@pytest.fixture(autouse=True)
def no_signature_is_wrong(request):
    yield
    if "post" in request.fixturenames:
        targets = request.getfixturevalue("post").targets
        targets.refusals[:] = []
        assert targets.problems == []


def region_and_service(headers):
    return headers["Authorization"].split("Credential=", 1)[1].split("/")[2:4]


def test_a_queue_gets_a_message(post, eventually):
    name = post.make(OnSuccess="arn:aws:sqs:eu-central-1:000000000000:a-queue")
    request_id = post.send(name, {"q": "ü"})
    ((method, path, headers, body),) = eventually(lambda: post.targets.requests(b"/a-queue"))
    assert (method, path, region_and_service(headers)) == ("POST", "/", ["eu-central-1", "sqs"])
    assert (headers["X-Amz-Target"], headers["Content-Type"]) == ("AmazonSQS.SendMessage", "application/x-amz-json-1.0")
    message = json.loads(body)
    assert set(message) == {"QueueUrl", "MessageBody"}
    assert message["QueueUrl"] == f"{post.targets.endpoint}/000000000000/a-queue"
    record = json.loads(message["MessageBody"])
    assert (record["requestContext"]["requestId"], record["requestPayload"], record["responsePayload"]) == (request_id, {"q": "ü"}, "x")


def test_a_topic_gets_a_form(post, eventually):
    topic = "arn:aws:sns:us-west-2:000000000000:a-topic"
    post.send(post.make(FAIL, OnFailure=topic), {"n": "&=+ %"})
    (form,) = eventually(lambda: [f for f in post.targets.forms() if f["TopicArn"] == topic])
    record = json.loads(form["Message"])
    assert (form["Action"], form["Version"], set(form)) == ("Publish", "2010-03-31", {"Action", "Version", "TopicArn", "Message"})
    assert (record["requestPayload"], record["responsePayload"]["errorMessage"]) == ({"n": "&=+ %"}, "on purpose")
    ((_, _, headers, _),) = post.targets.requests(b"a-topic")
    assert region_and_service(headers) == ["us-west-2", "sns"]


def test_a_record_that_is_too_large_for_a_topic_goes_without_its_payloads(post, eventually):
    topic = "arn:aws:sns:us-east-1:000000000000:small"
    name = post.make(OnSuccess=topic)
    request_id = post.send(name, {"len": 256 * 1024})
    (form,) = eventually(lambda: [f for f in post.targets.forms() if f["TopicArn"] == topic])
    record = json.loads(form["Message"])
    assert (record["requestPayload"], record["responsePayload"], record["requestContext"]["requestId"]) == (None, None, request_id)
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST"}
    post.send(name, {"len": 200 * 1024})
    (_, form) = eventually(lambda: (lambda f: f if len(f) == 2 else None)([f for f in post.targets.forms() if f["TopicArn"] == topic]))
    assert len(json.loads(form["Message"])["responsePayload"]) == 200 * 1024


def test_a_bus_gets_events_of_two_types(post, eventually):
    bus = "arn:aws:events:us-east-1:000000000000:event-bus/a-bus"
    request_id = post.send(post.make(OnSuccess=bus), {})
    post.send(post.make(FAIL, OnFailure=bus), {})

    def entries():
        sent = [json.loads(body)["Entries"] for _, _, _, body in post.targets.requests(b"a-bus")]
        return sorted((one for (one,) in sent), key=lambda one: one["DetailType"]) if len(sent) == 2 else None

    failure, success = eventually(entries)
    assert failure["DetailType"] == "Lambda Function Invocation Result - Failure"
    assert {**success, "Detail": None} == {
        "Source": "lambda",
        "DetailType": "Lambda Function Invocation Result - Success",
        "EventBusName": bus,
        "Detail": None,
    }
    assert json.loads(success["Detail"])["requestContext"]["requestId"] == request_id
    for _, _, headers, _ in post.targets.requests(b"a-bus"):
        assert (headers["X-Amz-Target"], headers["Content-Type"]) == ("AWSEvents.PutEvents", "application/x-amz-json-1.1")


def test_a_bucket_gets_a_file(post, eventually):
    name = post.make(FAIL, OnFailure="arn:aws:s3:::a-bucket")
    request_id = post.send(name, {"s": 3})
    ((method, path, headers, body),) = eventually(lambda: post.targets.requests(b"/a-bucket/"))
    day = r"(\d{4})/(\d{2})/(\d{2})/\1-\2-\3T\d{2}\.\d{2}\.\d{2}"
    assert method == "PUT" and re.fullmatch(f"/a-bucket/aws/lambda/async/{name}/{day}-{UUID}", path)
    assert json.loads(body)["requestContext"]["requestId"] == request_id
    assert region_and_service(headers) == ["us-east-1", "s3"]


def test_a_bus_that_takes_nothing_is_asked_again(post, eventually):
    post.targets.refusals[:] = [500, 429, 408]
    post.send(post.make(OnSuccess="arn:aws:events:us-east-1:000000000000:event-bus/later"), {})
    eventually(lambda: post.targets.requests(b"event-bus/later"))
    assert "delivery_retried" in post.daemon.log()


def test_a_slow_target_holds_up_itself_alone(post, eventually):
    slow = post.make(OnSuccess="arn:aws:sqs:us-east-1:000000000000:slow")
    quick = post.make(OnSuccess="arn:aws:sqs:us-east-1:000000000000:quick")
    post.targets.slow = b"/slow"
    for i in range(12):
        post.send(slow, {"i": i})
    eventually(lambda: post.targets.waiting == 8)
    for _ in range(12):
        post.send(quick, {})
    eventually(lambda: len(post.targets.requests(b"/quick")) == 12)
    assert (post.targets.requests(b"/slow"), post.targets.most_waiting) == ([], 8)
    post.targets.released.set()
    eventually(lambda: len(post.targets.requests(b"/slow")) == 12)
    kept = sorted(json.loads(json.loads(body)["MessageBody"])["requestPayload"]["i"] for *_, body in post.targets.requests(b"/slow"))
    assert kept == list(range(12))


def a_name():
    """A name of this host that the system's resolver knows; libcurl answers for localhost itself."""
    name = socket.gethostname()
    try:
        return name if socket.gethostbyname(name).startswith("127.") else "localhost"
    except OSError:
        return "localhost"


@pytest.fixture
def safe_targets():
    """safe_targets(host): targets with a certificate for it, and their authority's, which every user may read."""
    with tempfile.TemporaryDirectory(prefix="mayfly-test-ca-") as folder:
        pathlib.Path(folder).chmod(0o755)
        made = []

        def start(host):
            authority = Authority(folder)
            made.append(Targets(host, authority.issue("host", names=f"DNS:{host}")).start())
            return made[-1], authority.path

        yield start
        for targets in made:
            targets.stop()


def test_an_endpoint_over_tls_by_its_name(safe_targets, another_daemon, aws_of, eventually):
    targets, authority = safe_targets(a_name())
    daemon = another_daemon("--destinations", targets.endpoint, "--destinations-ca", str(authority), *FLAGS)
    post = Post(daemon, aws_of(daemon), targets)
    post.send(post.make(OnSuccess="arn:aws:sqs:us-east-1:000000000000:safe"), {})
    eventually(lambda: targets.requests(b"/safe"))
    assert targets.problems == []


def test_who_has_another_authority_is_not_believed(safe_targets, another_daemon, aws_of, eventually):
    targets, _ = safe_targets("localhost")
    daemon = another_daemon("--destinations", targets.endpoint, *FLAGS)
    post = Post(daemon, aws_of(daemon), targets)
    post.send(post.make(OnSuccess="arn:aws:sqs:us-east-1:000000000000:safe"), {})
    eventually(lambda: "delivery_retried" in daemon.log())
    assert "could not be reached: SSL certificate problem" in daemon.log()
    assert targets.taken == []


@pytest.mark.parametrize("path, why", [("/none/ca.pem", "cannot be read"), ("ca.pem", "is no absolute path")])
def test_authorities_that_are_not_there_are_told_at_once(daemon_binary, tmp_path, path, why):
    words = [daemon_binary, "serve", "--listen", "127.0.0.1:0", "--data", tmp_path / "data", "--destinations-ca", path]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2 and f"destinations-ca: {path} {why}" in done.stderr
