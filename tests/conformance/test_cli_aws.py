"""The stock AWS CLI (version 2), as its user types it: from a ZIP to a log tail and back to nothing."""

import base64
import datetime
import json
import os
import re
import shutil
import subprocess
import time
import urllib.request
import zipfile

import pytest

from harness.functions import unique


ENDPOINT_URL_SINCE = (2, 13)  # before, AWS_ENDPOINT_URL is unknown and --endpoint-url is needed


@pytest.fixture(scope="module")
def aws_command(aws_environment):
    """The words to begin with: the CLI of version 2, wherever on PATH. `logs tail` and raw payloads came with it."""
    for folder in dict.fromkeys([*os.environ["PATH"].split(os.pathsep), "/usr/local/bin", "/usr/bin"]):
        program = shutil.which("aws", path=folder)
        said = program and subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60).stdout
        version = said and re.match(r"aws-cli/(\d+)\.(\d+)", said)
        if not version or version[1] == "1":
            continue
        told = tuple(int(n) for n in version.groups()) >= ENDPOINT_URL_SINCE
        return [program] + ([] if told else ["--endpoint-url", aws_environment["AWS_ENDPOINT_URL"]])
    pytest.fail("no AWS CLI of version 2: tools/setup check installs it")


@pytest.fixture
def run(aws_command, aws_environment, tmp_path):
    """run("lambda", "list-functions") -> its JSON; fails on a status that is not `status`."""

    def call(*words, status=0, raw=False):
        done = subprocess.run(
            [*aws_command, *words], env=aws_environment, cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == status, (words, done.returncode, done.stdout, done.stderr)
        if status:
            return done.stderr
        if raw or not done.stdout.strip():
            return done.stdout
        return json.loads(done.stdout)

    return call


def write_zip(path, source):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("lambda_function.py", source)


HELLO = "def handler(event, context):\n    print('hello from', event.get('name'))\n    return {'hello': event.get('name')}\n"


@pytest.mark.seconds(180)
def test_the_walk_through_a_life(run, tmp_path):
    name = unique("hello")
    write_zip(tmp_path / "function.zip", HELLO)
    created = run(
        "lambda", "create-function", "--function-name", name, "--runtime", "python3.12",
        "--handler", "lambda_function.handler", "--role", "arn:aws:iam::000000000000:role/any",
        "--zip-file", "fileb://function.zip",
    )  # fmt: skip
    assert (created["FunctionName"], created["State"]) == (name, "Pending")
    run("lambda", "wait", "function-active-v2", "--function-name", name)

    invoked = run(
        "lambda", "invoke", "--function-name", name, "--payload", '{"name":"x"}',
        "--cli-binary-format", "raw-in-base64-out", "--log-type", "Tail", "out.json",
    )  # fmt: skip
    assert (invoked["StatusCode"], invoked["ExecutedVersion"]) == (200, "$LATEST")
    assert json.loads((tmp_path / "out.json").read_text()) == {"hello": "x"}
    assert "hello from x\n" in base64.b64decode(invoked["LogResult"]).decode()

    tailed = run("logs", "tail", f"/aws/lambda/{name}", raw=True)
    deadline = time.monotonic() + 10
    while "REPORT RequestId" not in tailed and time.monotonic() < deadline:
        tailed = run("logs", "tail", f"/aws/lambda/{name}", raw=True)
    assert re.search(r"\[\$LATEST\][0-9a-f]{32} hello from x\n", tailed), tailed
    for line in ("INIT_START", "START RequestId", "END RequestId", "REPORT RequestId"):
        assert line in tailed

    write_zip(tmp_path / "new.zip", HELLO.replace("'hello':", "'bye':"))
    updated = run("lambda", "update-function-code", "--function-name", name, "--zip-file", "fileb://new.zip")
    assert updated["LastUpdateStatus"] == "InProgress"
    run("lambda", "wait", "function-updated-v2", "--function-name", name)
    got = run("lambda", "get-function", "--function-name", name)
    assert got["Configuration"]["LastUpdateStatus"] == "Successful"
    with urllib.request.urlopen(got["Code"]["Location"]) as download:
        assert download.read() == (tmp_path / "new.zip").read_bytes()

    changed = run(
        "lambda", "update-function-configuration", "--function-name", name, "--timeout", "7",
        "--environment", "Variables={AA=1,BB=2}",
    )  # fmt: skip
    assert (changed["Timeout"], changed["Environment"]) == (7, {"Variables": {"AA": "1", "BB": "2"}})
    run("lambda", "wait", "function-updated-v2", "--function-name", name)
    assert name in [f["FunctionName"] for f in run("lambda", "list-functions")["Functions"]]

    published = run("lambda", "publish-version", "--function-name", name, "--description", "first")
    assert (published["Version"], published["Description"]) == ("1", "first")
    run("lambda", "wait", "published-version-active", "--function-name", name, "--qualifier", "1")
    alias = run("lambda", "create-alias", "--function-name", name, "--name", "live", "--function-version", "1")
    assert alias["AliasArn"].endswith(f"{name}:live")
    run(
        "lambda", "invoke", "--function-name", f"{name}:live", "--payload", '{"name":"y"}',
        "--cli-binary-format", "raw-in-base64-out", "out.json",
    )  # fmt: skip
    assert json.loads((tmp_path / "out.json").read_text()) == {"bye": "y"}
    versions = run("lambda", "list-versions-by-function", "--function-name", name)["Versions"]
    assert [v["Version"] for v in versions] == ["$LATEST", "1"]

    run("lambda", "delete-function", "--function-name", name)
    refused = run("lambda", "get-function", "--function-name", name, status=254)
    assert "An error occurred (ResourceNotFoundException) when calling the GetFunction operation" in refused
    assert "Function not found: arn:aws:lambda:us-east-1:000000000000:function:" + name in refused


def test_lists_are_paged_by_the_cli(run, functions):
    names = [functions.create(name=unique("cli-page"), wait=False)["FunctionName"] for _ in range(4)]
    listed = run("lambda", "list-functions", "--page-size", "2", "--query", "Functions[].FunctionName")
    assert set(names) <= set(listed) and len(listed) == len(set(listed))


@pytest.mark.seconds(90)
def test_following_a_log(aws_command, aws_environment, functions, tmp_path):
    """--follow shows what comes after it was started."""
    name = functions.make("def handler(event, context):\n    print('line', event['n'])\n")
    functions.call(name, {"n": 1})
    out = tmp_path / "out.txt"
    with open(out, "w") as file:
        tail = subprocess.Popen(
            [*aws_command, "logs", "tail", f"/aws/lambda/{name}", "--follow", "--since", "5m"],
            env={**aws_environment, "PYTHONUNBUFFERED": "1"},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
        try:
            deadline = time.monotonic() + 30
            while "line 1" not in out.read_text() and time.monotonic() < deadline:
                time.sleep(0.2)
            functions.call(name, {"n": 2})
            while "line 2" not in out.read_text() and time.monotonic() < deadline:
                time.sleep(0.2)
            assert tail.poll() is None, "it did not keep following"
        finally:
            tail.terminate()
            tail.wait(10)
    text = out.read_text()
    assert text.count("line 1\n") == 1 and text.count("line 2\n") == 1, text


def test_a_role_and_an_identity(run, tmp_path):
    (tmp_path / "trust.json").write_text('{"Version":"2012-10-17","Statement":[]}')
    name = unique("cli-role")
    made = run("iam", "create-role", "--role-name", name, "--assume-role-policy-document", "file://trust.json")
    assert made["Role"]["RoleName"] == name
    run(
        "iam", "attach-role-policy", "--role-name", name,
        "--policy-arn", "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole",
    )  # fmt: skip
    run("iam", "wait", "role-exists", "--role-name", name)
    assert run("sts", "get-caller-identity")["Account"] == "000000000000"


def test_metrics_are_put_and_read(run, functions):
    name = functions.make()
    functions.call(name, {})
    now = datetime.datetime.now(datetime.timezone.utc)
    times = [f"--start-time={now - datetime.timedelta(minutes=10):%FT%TZ}", f"--end-time={now + datetime.timedelta(minutes=10):%FT%TZ}"]
    for value in ("1.5", "2"):
        words = ["--namespace", name, "--metric-name", "Orders", "--unit", "Count", "--dimensions", "Shop=a b,Kind=é", "--value", value]
        assert run("cloudwatch", "put-metric-data", *words, raw=True) == ""

    dimensions = [{"Name": "Shop", "Value": "a b"}, {"Name": "Kind", "Value": "é"}]
    (metric,) = run("cloudwatch", "list-metrics", "--namespace", name)["Metrics"]
    assert (metric["Namespace"], metric["MetricName"]) == (name, "Orders")
    assert sorted(metric["Dimensions"], key=str) == sorted(dimensions, key=str)
    words = ["--dimensions", "Name=Shop,Value=a b", "Name=Kind,Value=é", "--period", "1200", "--statistics", "Sum", "Maximum"]
    points = run("cloudwatch", "get-metric-statistics", "--namespace", name, "--metric-name", "Orders", *times, *words)["Datapoints"]
    assert sum(point["Sum"] for point in points) == 3.5
    assert max(point["Maximum"] for point in points) == 2 and {point["Unit"] for point in points} == {"Count"}

    stat = {"Period": 1200, "Stat": "Sum"}
    own = {"Namespace": name, "MetricName": "Orders", "Dimensions": dimensions}
    invocations = {"Namespace": "AWS/Lambda", "MetricName": "Invocations", "Dimensions": [{"Name": "FunctionName", "Value": name}]}
    queries = [{"Id": key, "MetricStat": {"Metric": metric, **stat}} for key, metric in (("own", own), ("lambda", invocations))]
    results = run("cloudwatch", "get-metric-data", *times, "--metric-data-queries", json.dumps(queries))["MetricDataResults"]
    assert {one["Id"]: sum(one["Values"]) for one in results} == {"own": 3.5, "lambda": 1}
    refused = run("cloudwatch", "put-metric-data", "--namespace", "AWS/Mine", "--metric-name", "a", "--value", "1", status=254)
    assert "(InvalidParameterValue) when calling the PutMetricData operation" in refused, refused


def test_errors_of_the_functions_are_shown(run, functions, tmp_path):
    name = functions.make("def handler(event, context):\n    raise ValueError('no')\n")
    answer = run("lambda", "invoke", "--function-name", name, "out.json")
    assert answer["FunctionError"] == "Unhandled"
    assert json.loads((tmp_path / "out.json").read_text())["errorType"] == "ValueError"


def test_a_service_that_does_not_exist_yet_reads_well(run):
    text = run("sqs", "list-queues", status=254)
    assert "(NotImplementedException) when calling the ListQueues operation" in text
    assert "The service 'sqs' is not available in mayfly yet." in text
