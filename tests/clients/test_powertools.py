"""Powertools for AWS Lambda, for Python (in a layer, as AWS publishes it) and for TypeScript: what it knows of its
invocation from variables, context and event, and what becomes of what it prints and sends."""

import json
import pathlib
import shutil
import sys

import pytest
from fetching import fetch, need, tree

from harness.functions import NODE, PYTHON, unique, zip_files
from harness.urls import ask, make_url

HERE = pathlib.Path(__file__).parent / "powertools"
PYTHON_PACKAGES = ["aws-lambda-powertools[tracer]==3.37.0", "aws-xray-sdk==2.15.0"]

# Listens where AWS's X-Ray daemon does, and says what the X-Ray SDK sends there.
XRAY_DAEMON = '''#!/usr/bin/env python3
import http.client, json, os, socket, threading

API = os.environ["AWS_LAMBDA_RUNTIME_API"]


def ask(method, path, body=None, **fields):
    api = http.client.HTTPConnection(API)
    names = {"Lambda-Extension-" + name: value for name, value in fields.items()}
    api.request(method, "/2020-01-01/extension/" + path, json.dumps(body) if body is not None else None, names)
    answer = api.getresponse()
    return answer, json.loads(answer.read())


def listen():
    while True:
        head, _, segment = receiver.recv(65536).partition(b"\\n")
        print("segment", segment.decode() if json.loads(head) == {"format": "json", "version": 1} else head, flush=True)


receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.bind(("127.0.0.1", 2000))
threading.Thread(target=listen, daemon=True).start()
me = ask("POST", "register", {"events": ["SHUTDOWN"]}, Name="xray")[0].headers["Lambda-Extension-Identifier"]
ask("GET", "event/next", Identifier=me)
'''


@pytest.fixture(scope="module")
def python_layer(cached, lambda_):
    """Powertools with the X-Ray SDK; of botocore, which that imports, no models."""

    def build(folder):
        fetch([sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--target", folder, *PYTHON_PACKAGES], folder)
        for models in (folder / "botocore" / "data").iterdir():
            if models.is_dir():
                shutil.rmtree(models)

    folder = cached("powertools-python", [*PYTHON_PACKAGES, sys.version], build)
    zipped = zip_files(tree(folder, "python/")[0])
    return lambda_.publish_layer_version(LayerName=unique("powertools"), Content={"ZipFile": zipped})["LayerVersionArn"]


@pytest.fixture(scope="module")
def node_files(cached):
    npm = need("npm")
    package = HERE / "package.json"

    def build(folder):
        shutil.copy(package, folder)
        fetch([npm, "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"], folder)

    folder = cached("powertools-node", [package], build)
    return {name: data for name, data in tree(folder)[0].items() if not name.endswith((".map", ".d.ts", ".md"))}


@pytest.fixture(scope="module")
def daemon_layer(lambda_):
    zipped = zip_files({"extensions/xray": XRAY_DAEMON}, executable=["extensions/xray"])
    return lambda_.publish_layer_version(LayerName=unique("xray"), Content={"ZipFile": zipped})["LayerVersionArn"]


SETTINGS = {
    "Environment": {
        "Variables": {"POWERTOOLS_SERVICE_NAME": "shop", "POWERTOOLS_METRICS_NAMESPACE": "Tests", "POWERTOOLS_LOG_LEVEL": "INFO"}
    },
    "Timeout": 30,
    "MemorySize": 512,
    "TracingConfig": {"Mode": "Active"},
}


@pytest.fixture(params=[PYTHON, NODE])
def make_shop(request, functions):
    """A function that uses everything; it is called by a URL."""

    def make(*layers, **more):
        if request.param == PYTHON:
            files = {"lambda_function.py": (HERE / "shop.py").read_text()}
            layers += (request.getfixturevalue("python_layer"),)
        else:
            files = {"index.mjs": (HERE / "shop.mjs").read_text(), **request.getfixturevalue("node_files")}
        return functions.make(files=files, runtime=request.param, Layers=list(layers), **SETTINGS, **more)

    return make


@pytest.fixture
def lines_of(logs, eventually):
    """lines_of(function, enough): the lines of its log, when enough(lines)."""

    def get(name, enough):
        def read():
            events = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
            lines = [event["message"].rstrip("\n") for event in events]
            return lines if enough(lines) else None

        return eventually(read, seconds=30)

    return get


def objects(lines):
    return [json.loads(line) for line in lines if line.startswith("{")]


def order(url, what):
    """The answer to an order, with the ids of its request and its trace."""
    answer = ask(url, path=f"/orders/{what}")
    trace = dict(part.split("=") for part in answer.headers["x-amzn-trace-id"].split(";"))
    return answer, answer.headers["x-amzn-requestid"], trace


@pytest.mark.network
@pytest.mark.seconds(600)
def test_logger_metrics_and_tracer(make_shop, daemon_layer, lines_of, functions, lambda_):
    name = make_shop(daemon_layer)
    url = make_url(lambda_, name)
    calls = [order(url, what) for what in ("7", "8", "x")]
    for (answer, _, _), price in zip(calls, (70, 80)):
        assert answer.status == 200 and json.loads(answer.body) == {"price": price, "of": "127.0.0.1", "zone": "use1-az1"}
    assert (calls[2][0].status, calls[2][0].body) == (422, b"no number")

    lines = lines_of(name, lambda all_: [len(some) for some in segments_in(all_)] == [3, 2])
    said = [one for one in objects(lines) if "message" in one]
    assert [(one["level"], one["message"]) for one in said] == [("INFO", "an order")] * 2 + [("ERROR", "no number")]
    assert [one["cold_start"] for one in said] == [True, False, False]
    for one, (_, request, trace) in zip(said, calls):
        assert one["function_request_id"] == one["correlation_id"] == request
        assert one["xray_trace_id"] == trace["Root"]
        assert (one["service"], one["function_name"], one["function_arn"]) == ("shop", name, functions.arn(name))
        assert int(one["function_memory_size"]) == 512
    check_metrics(objects(lines), name)
    check_segments(*segments_in(lines), calls)


def check_metrics(lines, name):
    """Lines in the embedded metric format: one for the cold start, one for each order."""
    cold, *orders = [one for one in lines if "_aws" in one]
    (directive,) = cold["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "Tests" and directive["Metrics"] == [{"Name": "ColdStart", "Unit": "Count"}]
    assert (cold["service"], cold["function_name"]) == ("shop", name)
    assert len(orders) == 2
    for one in orders:
        (directive,) = one["_aws"]["CloudWatchMetrics"]
        assert directive["Metrics"] == [{"Name": "orders", "Unit": "Count"}] and one["orders"] in (1, [1.0])
        assert sorted(directive["Dimensions"][0]) == ["service", "stage"] and (one["service"], one["stage"]) == ("shop", "test")


def segments_in(lines):
    """Those of handlers, those of prices; the SDK for Node.js has more, of what it fetches."""
    segments = [json.loads(line.removeprefix("segment ")) for line in lines if line.startswith("segment ")]
    return [[one for one in segments if one["name"].endswith(end)] for end in ("handler", "price")]


def check_segments(handlers, prices, calls):
    """Subsegments of the function's own segment, which is the platform's: one for the handler, below it one for the price."""
    for one, (_, _, trace) in zip(handlers, calls):
        assert (one["type"], one["trace_id"], one["parent_id"]) == ("subsegment", trace["Root"], trace["Parent"])
    assert [one["annotations"] for one in handlers] == [{"ColdStart": cold, "Service": "shop"} for cold in (True, False, False)]
    for one, parent, number in zip(prices, handlers, (7, 8)):
        assert (one["trace_id"], one["parent_id"], one["annotations"]) == (parent["trace_id"], parent["id"], {"number": number})
        assert one["metadata"]["shop"]["currency"] == "EUR"


@pytest.mark.network
@pytest.mark.seconds(600)
def test_without_a_daemon_and_with_a_level_in_json(make_shop, lines_of, lambda_):
    """What nobody listens for is lost, and the function's level counts where it is above the logger's own."""
    name = make_shop(LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "WARN"})
    url = make_url(lambda_, name)
    calls = [order(url, what) for what in ("7", "x")]
    assert [answer.status for answer, _, _ in calls] == [200, 422]
    lines = objects(lines_of(name, lambda all_: sum("platform.report" in line for line in all_) == 2))
    assert [one["record"]["status"] for one in lines if one.get("type") == "platform.report"] == ["success", "success"]
    (said,) = [one for one in lines if one.get("level") == "ERROR"]
    assert (said["message"], said["function_request_id"], said["xray_trace_id"]) == ("no number", calls[1][1], calls[1][2]["Root"])
    assert not [one for one in lines if one.get("level") == "INFO"]
