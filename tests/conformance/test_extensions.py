"""Extensions, written for these tests against AWS's documentation: the phases, their events, and all ways to fail."""

import datetime
import json
import os
import pathlib
import re
import subprocess
import time

import pytest

from harness.functions import NODE, PROVIDED, PYTHON, unique, zip_files

# An external extension. What it does at which point is in its environment (the function's).
EXTENSION = '''#!/usr/bin/env python3
import http.client, json, os, sys, time

NAME = os.path.basename(sys.argv[0])
STEPS = json.loads(os.environ.get("STEPS", "{}"))


def ask(method, path, body=None, **headers):
    api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    fields = {"Lambda-Extension-" + name.replace("_", "-"): value for name, value in headers.items()}
    api.request(method, "/2020-01-01/extension/" + path, json.dumps(body) if body is not None else None, fields)
    answer = api.getresponse()
    return answer, json.loads(answer.read())


def say(*words):
    print(NAME + ":", *words, flush=True)


def do(step):
    for word in STEPS.get(step, "").split(","):
        what, _, value = word.partition("=")
        if what == "exit":
            os._exit(int(value))
        if what == "sleep":
            time.sleep(float(value))
        if what in ("init", "exit-error"):
            path = "init/error" if what == "init" else "exit/error"
            answer, body = ask("POST", path, {}, Identifier=ME, Function_Error_Type=value)
            say(path, answer.status, json.dumps(body))


say("starts", os.getcwd(), json.dumps(sorted(os.environ)))
do("start")
answer, body = ask("POST", "register", {"events": ["INVOKE", "SHUTDOWN"]}, Name=NAME, Accept_Feature="accountId")
ME = answer.headers["Lambda-Extension-Identifier"]
say("registered", answer.status, json.dumps(body))
do("registered")
while True:
    answer, event = ask("GET", "event/next", Identifier=ME)
    say("event", json.dumps(event))
    do(event["eventType"])
    if event["eventType"] == "SHUTDOWN":
        sys.exit(0)
'''

HANDLER = """
import json, os, signal, sys, time

print("runtime: initialises", flush=True)
signal.signal(signal.SIGTERM, lambda *_: (print("runtime: SIGTERM", flush=True), os._exit(0)))


def handler(event, context):
    if "exit" in event:
        os._exit(event["exit"])
    time.sleep(event.get("sleep", 0))
    return context.aws_request_id
"""


class Layers:
    def __init__(self, client):
        self.client = client

    def publish(self, files, executable=None):
        content = zip_files(files, executable=files if executable is None else executable)
        return self.client.publish_layer_version(LayerName=unique("layer"), Content={"ZipFile": content})["LayerVersionArn"]

    def extensions(self, *names, source=EXTENSION):
        return self.publish({f"extensions/{name}": source for name in names})


class Log:
    def __init__(self, client, eventually):
        self.client, self.eventually = client, eventually

    def text(self, name):
        try:
            events = self.client.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{name}")
            return "".join(event["message"] for page in events for event in page["events"])
        except self.client.exceptions.ResourceNotFoundException:
            return ""

    def wait(self, name, *patterns):
        """Until all of them are in it, in this order: the text."""
        pattern = re.compile(".*?".join(patterns), re.DOTALL)
        try:
            return self.eventually(lambda: (text := self.text(name)) and pattern.search(text) and text)
        except AssertionError:
            pytest.fail(f"{patterns} not in\n{self.text(name)}")


@pytest.fixture
def layers(lambda_):
    return Layers(lambda_)


@pytest.fixture
def log(aws, eventually):
    return Log(aws.client("logs"), eventually)


@pytest.fixture
def made(functions, layers):
    """A Python function with one extension of that name, which does STEPS."""

    def make(todo=None, names=("watcher",), source=HANDLER, **more):
        settings = {"Timeout": 10, "Environment": {"Variables": {"STEPS": json.dumps(todo or {}), "MINE": "yes"}}, **more}
        return functions.make(source, Layers=[layers.extensions(*names)], **settings)

    return make


def failure(functions, name, event=None):
    answer, payload = functions.invoke(name, event or {})
    assert answer["FunctionError"] == "Unhandled"
    return payload["errorType"], re.sub(r"RequestId: [0-9a-f-]{36} ", "", payload["errorMessage"])


# --- the phases ---


def test_the_phases_of_an_environment(functions, made, log, lambda_):
    name = made()
    request = functions.call(name, {})
    text = log.wait(name, "REPORT")
    order = [
        "INIT_START", "watcher: starts / ", "watcher: registered 200", "runtime: initialises",
        "EXTENSION\tName: watcher\tState: Ready\tEvents: [INVOKE, SHUTDOWN]\n", "START RequestId", "watcher: event", "END RequestId", "REPORT RequestId",
    ]  # fmt: skip
    places = [text.index(what) for what in order]
    assert places == sorted(places), text

    registered = json.loads(re.search(r"registered 200 (.*)", text)[1])
    handler = functions.client.get_function_configuration(FunctionName=name)["Handler"]
    assert registered == {"functionName": name, "functionVersion": "$LATEST", "handler": handler, "accountId": functions.account}
    event = json.loads(re.search(r"watcher: event (.*)", text)[1])
    assert event.pop("deadlineMs") > time.time() * 1000 - 60_000
    assert event["tracing"].pop("value").startswith("Root=1-")
    assert event == {
        "eventType": "INVOKE",
        "requestId": request,
        "invokedFunctionArn": functions.arn(name),
        "tracing": {"type": "X-Amzn-Trace-Id"},
    }
    # It goes because there is newer code: the runtime is asked to leave, then the extension is told.
    functions.update_code(name, HANDLER + "\n# new\n")
    text = log.wait(name, "runtime: SIGTERM", "watcher: event .*SHUTDOWN")
    event = json.loads(re.search(r'watcher: event (.*"SHUTDOWN".*)', text)[1])
    assert event.pop("deadlineMs") > time.time() * 1000 - 60_000
    assert event == {"eventType": "SHUTDOWN", "shutdownReason": "spindown"}


def test_the_environment_of_an_extension(functions, made, log):
    name = made()
    functions.call(name, {})
    variables = set(json.loads(re.search(r"watcher: starts / (\[.*\])", log.wait(name, "REPORT"))[1]))
    assert variables >= {
        "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_LAMBDA_RUNTIME_API",
        "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_METADATA_API",
        "AWS_LAMBDA_METADATA_TOKEN", "PATH", "LD_LIBRARY_PATH", "TZ", "MINE",
    }  # fmt: skip
    assert not variables & {
        "AWS_EXECUTION_ENV", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_XRAY_CONTEXT_MISSING",
        "AWS_XRAY_DAEMON_ADDRESS", "LAMBDA_RUNTIME_DIR", "LAMBDA_TASK_ROOT", "_AWS_XRAY_DAEMON_ADDRESS", "_AWS_XRAY_DAEMON_PORT", "_HANDLER",
    }  # fmt: skip


def test_an_answer_does_not_wait_but_the_report_does(functions, made, log):
    name = made({"INVOKE": "sleep=1.5"})
    functions.call(name, {})  # the environment is there
    functions.call(name, {})
    text = log.wait(name, "REPORT", "REPORT")
    durations = [float(ms) for ms in re.findall(r"\tDuration: ([\d.]+) ms", text)]
    assert min(durations) >= 1500
    tail = functions.invoke(name, {}, LogType="Tail")[0]
    assert "LogResult" in tail


def test_a_static_binary(functions, layers, log, tmp_path):
    program = tmp_path / "extension"
    source = pathlib.Path(__file__).with_name("extension.c")
    subprocess.run([os.environ.get("CC", "cc"), "-O2", "-static", "-o", program, source], check=True, timeout=60)
    layer = layers.publish({"extensions/tiny": program.read_bytes()})
    bootstrap = (
        '#!/bin/bash\nwhile :; do\nexec 3<>"/dev/tcp/127.0.0.1/9001"\n'
        "printf 'GET /2018-06-01/runtime/invocation/next HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n' >&3\n"
        "id=$(cat <&3 | tr -d '\\r' | sed -n 's/^[Ll]ambda-[Rr]untime-[Aa]ws-[Rr]equest-[Ii]d: //p'); exec 3>&-\n"
        '[ -n "$id" ] || continue\nexec 3<>"/dev/tcp/127.0.0.1/9001"\n'
        "printf 'POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n"
        "Content-Length: 2\\r\\n\\r\\n11' \"$id\" >&3\ncat <&3 >/dev/null; exec 3>&-\ndone\n"
    )
    name = functions.make(bootstrap, runtime=PROVIDED, Layers=[layer], Timeout=10)
    for _ in range(2):
        assert functions.call(name, {}) == 11
    log.wait(name, "EXTENSION\tName: tiny\tState: Ready", 'static: {"eventType":"INVOKE"', "REPORT", 'static: {"eventType":"INVOKE"')
    functions.client.delete_function(FunctionName=name)


def test_node_and_several_extensions_from_several_layers(functions, layers, log):
    arns = [layers.extensions("b", "a"), layers.extensions("c")]
    source = "exports.handler = async (event) => event;"
    name = functions.make(source, runtime=NODE, Layers=arns, Timeout=10)
    assert functions.call(name, {"x": 1}) == {"x": 1}
    text = log.wait(name, "REPORT")
    assert sorted(re.findall(r"EXTENSION\tName: (\w)\tState: Ready", text)) == ["a", "b", "c"]


# --- how environments end, and what extensions are told ---


def test_a_timeout_is_the_reason(functions, made, log):
    name = made(Timeout=1)
    assert failure(functions, name, {"sleep": 30})[0] == "Sandbox.Timedout"
    log.wait(name, '"shutdownReason": "timeout"')


def test_a_runtime_that_exits_is_a_failure(functions, made, log):
    name = made()
    assert failure(functions, name, {"exit": 4}) == ("Runtime.ExitError", "Error: Runtime exited with error: exit status 4")
    log.wait(name, '"shutdownReason": "failure"')
    assert functions.call(name, {})


def test_a_crash_ends_the_invocation(functions, made, log):
    name = made({"INVOKE": "exit=3"})
    assert failure(functions, name, {"sleep": 5}) == ("Extension.Crash", "Error: exit status 3")
    log.wait(name, "Status: error\tError Type: Extension.Crash")


def test_an_announced_exit_has_its_own_type(functions, made, log):
    name = made({"INVOKE": "exit-error=Extension.Mine,exit=1"})
    assert failure(functions, name, {"sleep": 5}) == ("Extension.ExitError", "Error: exit status 1")
    log.wait(name, 'watcher: exit/error 202 {"status": "OK"}')


@pytest.mark.parametrize(
    "step, what, state",
    [
        ("start", ("Extension.Crash", "Error: exit status 2"), "Started\tEvents: []"),
        ("registered", ("Extension.Crash", "Error: exit status 2"), "Registered\tEvents: [INVOKE, SHUTDOWN]"),
    ],
)
def test_one_that_exits_too_early(functions, made, log, step, what, state):
    name = made({step: "exit=2"})
    assert failure(functions, name) == what
    text = log.wait(name, "INIT_REPORT", "Status: error\tError Type: Extension.Crash")
    assert f"EXTENSION\tName: watcher\tState: {state}\n" in text


def test_an_error_of_its_initialisation(functions, made, log):
    name = made({"registered": "init=Extension.NoConfig,exit=1"})
    assert failure(functions, name) == ("Extension.InitError", "Error: exit status 1")
    log.wait(name, "EXTENSION\tName: watcher\tState: InitError\tEvents: \\[INVOKE, SHUTDOWN\\]\tError Type: Extension.NoConfig\n")


def test_what_cannot_be_executed(functions, layers, log):
    layer = layers.publish({"extensions/broken": b"\x7fELF nothing"})
    name = functions.make(Layers=[layer])
    kind, message = failure(functions, name)
    assert (kind, message) == ("Extension.LaunchError", "Error: fork/exec /opt/extensions/broken: exec format error")
    log.wait(name, "EXTENSION\tName: broken\tState: LaunchError\tEvents: \\[\\]\tError Type: UnknownError\n")


def test_ten_and_no_more(functions, made):
    names = [f"e{i:02}" for i in range(11)]
    assert functions.call(made(names=names[:10], MemorySize=512), {})
    assert failure(functions, made(names=names, MemorySize=512))[0] == "Extension.LaunchError"


def test_snapshots_are_not_for_functions_with_extensions(functions, made, log):
    """Neither external ones nor those that the runtime registers itself: their versions work without."""
    snapshots = {"ApplyOn": "PublishedVersions"}
    for name, why in ((made(SnapStart=snapshots), "external extensions"), (functions.make(INTERNAL, SnapStart=snapshots), "an internal extension")):
        version = functions.publish(name)["Version"]
        config = functions.client.get_function_configuration(FunctionName=name, Qualifier=version)
        assert config["SnapStart"]["OptimizationStatus"] == "Off"
        assert why in config["StateReason"]
        assert functions.call(name, {}, Qualifier=version)


def test_the_log_in_json(functions, made, log):
    todo = {"INVOKE": "sleep=0.3"}  # longer than the function: only then is there an overhead
    name = made(todo, LoggingConfig={"LogFormat": "JSON", "SystemLogLevel": "INFO"})
    functions.call(name, {})
    text = log.wait(name, "platform.report")
    (extension,) = [json.loads(line) for line in text.splitlines() if '"platform.extension"' in line]
    assert extension["record"] == {"name": "watcher", "state": "Ready", "events": ["INVOKE", "SHUTDOWN"]}
    report = next(json.loads(line) for line in text.splitlines() if '"platform.report"' in line)
    assert report["record"]["spans"][0]["name"] == "extensionOverhead"


# --- telemetry ---

LISTENER = '''#!/usr/bin/env python3
import http.client, http.server, json, os, queue, threading

API = os.environ["AWS_LAMBDA_RUNTIME_API"]
DONE = queue.Queue()


class Sink(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        for event in json.loads(self.rfile.read(int(self.headers["Content-Length"]))):
            if event["type"].startswith("platform."):
                print("got:", json.dumps(event), flush=True)
            elif "got:" not in event["record"]:
                print("got:", event["type"], event["record"], flush=True)
            if event["type"] == "platform.runtimeDone":
                DONE.put(event)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def ask(method, path, body=None, **fields):
    api = http.client.HTTPConnection(API)
    names = {"Lambda-Extension-" + name: value for name, value in fields.items()}
    api.request(method, path, json.dumps(body) if body is not None else None, names)
    answer = api.getresponse()
    return answer, json.loads(answer.read())


me = ask("POST", "/2020-01-01/extension/register", {"events": ["INVOKE", "SHUTDOWN"]}, Name="listener")[0].headers["Lambda-Extension-Identifier"]
server = http.server.ThreadingHTTPServer(("", 8080), Sink)
threading.Thread(target=server.serve_forever, daemon=True).start()
wish = {
    "schemaVersion": "2022-12-13", "types": ["platform", "function", "extension"],
    "buffering": {"maxItems": 1000, "maxBytes": 262144, "timeoutMs": 25},
    "destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:8080"},
}
answer, body = ask("PUT", "/2022-07-01/telemetry", wish, Identifier=me)
print("subscribed:", answer.status, body, flush=True)
while True:
    event = ask("GET", "/2020-01-01/extension/event/next", Identifier=me)[1]
    if event["eventType"] == "SHUTDOWN":
        break
    DONE.get(timeout=9)  # as agents do: the next event is asked for when the runtime is known to be done
'''


@pytest.mark.parametrize("tail", [{}, {"LogType": "Tail"}])
def test_telemetry_reaches_an_extension_that_waits_for_it(functions, layers, log, tail):
    source = "def handler(event, context):\n    print('hello from', context.aws_request_id)\n    return context.aws_request_id\n"
    layer = layers.publish({"extensions/listener": LISTENER})
    name = functions.make(source, Layers=[layer], Timeout=10)
    requests = [functions.call(name, {}, **tail) for _ in range(2)]
    text = log.wait(name, *(f'"platform.report".*?{request}' for request in requests))
    assert "subscribed: 200 OK" in text
    assert "TELEMETRY\tName: listener\tState: Subscribed\tTypes: [Platform, Function, Extension]\n" in text
    events = [json.loads(line) for line in re.findall(r"got: ({.*})", text)]
    kinds = [event["type"].removeprefix("platform.") for event in events]
    for kind in ("initStart", "telemetrySubscription", "initRuntimeDone", "initReport", "extension", "start", "runtimeDone", "report"):
        assert kind in kinds, kinds
    assert f"got: function hello from {requests[0]}" in text
    reports = [event["record"] for event in events if event["type"] == "platform.report"]
    assert [report["requestId"] for report in reports][:2] == requests
    assert all(report["status"] == "success" and report["metrics"]["durationMs"] > 0 for report in reports)


def test_what_extensions_do_after_the_answer_is_measured(functions, layers, aws, log, eventually):
    name = functions.make("def handler(event, context):\n    pass\n", Layers=[layers.publish({"extensions/slow": SLOW})], Timeout=10)
    functions.call(name, {})
    log.wait(name, "REPORT RequestId")
    now = datetime.datetime.now(datetime.timezone.utc)
    (point,) = eventually(
        lambda: aws.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/Lambda",
            MetricName="PostRuntimeExtensionsDuration",
            Dimensions=[{"Name": "FunctionName", "Value": name}],
            StartTime=now - datetime.timedelta(minutes=15),
            EndTime=now + datetime.timedelta(minutes=15),
            Period=3600,
            Statistics=["SampleCount", "Minimum"],
        )["Datapoints"]
    )
    assert point["SampleCount"] == 1 and point["Minimum"] >= 300 and point["Unit"] == "Milliseconds"


SLOW = '''#!/usr/bin/env python3
import http.client, json, os, time


def ask(method, path, body=None, **fields):
    api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    names = {"Lambda-Extension-" + name: value for name, value in fields.items()}
    api.request(method, "/2020-01-01/extension/" + path, json.dumps(body) if body is not None else None, names)
    answer = api.getresponse()
    answer.read()
    return answer


me = ask("POST", "register", {"events": ["INVOKE"]}, Name="slow").headers["Lambda-Extension-Identifier"]
while True:
    ask("GET", "event/next", Identifier=me)
    time.sleep(0.5)
'''

LINES = '''#!/usr/bin/env python3
import http.client, json, os, socketserver, threading

API = os.environ["AWS_LAMBDA_RUNTIME_API"]


class Sink(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            event = json.loads(line)
            print("line:", event["type"], json.dumps(event["record"]), flush=True)


def ask(method, path, body=None, **fields):
    api = http.client.HTTPConnection(API)
    names = {"Lambda-Extension-" + name: value for name, value in fields.items()}
    api.request(method, path, json.dumps(body) if body is not None else None, names)
    answer = api.getresponse()
    return answer, json.loads(answer.read())


me = ask("POST", "/2020-01-01/extension/register", {"events": ["INVOKE"]}, Name="lines")[0].headers["Lambda-Extension-Identifier"]
server = socketserver.ThreadingTCPServer(("", 8080), Sink)
threading.Thread(target=server.serve_forever, daemon=True).start()
wish = {
    "schemaVersion": "2025-01-29", "types": ["platform", "function"], "buffering": {"timeoutMs": 25},
    "destination": {"protocol": "TCP", "port": 8080},
}
print("subscribed:", ask("PUT", "/2022-07-01/telemetry", wish, Identifier=me)[0].status, flush=True)
while True:
    ask("GET", "/2020-01-01/extension/event/next", Identifier=me)
'''


def test_telemetry_as_lines_over_tcp(functions, layers, log):
    name = functions.make(
        "def handler(event, context):\n    print('printed')\n", Layers=[layers.publish({"extensions/lines": LINES})], Timeout=10
    )
    functions.call(name, {})
    functions.call(name, {})  # what was told after the first one comes while it is not frozen
    text = log.wait(name, "subscribed: 200", "line: function \"printed", "line: platform.report")
    (start,) = re.findall(r"line: platform.initStart ({.*})", text)
    record = json.loads(start)
    assert re.fullmatch(r"\d{4}/\d{2}/\d{2}/" + name + r"\[\$LATEST\][0-9a-f]{32}", record["instanceId"])
    assert record["instanceMaxMemory"] == 128 * 1024 * 1024


# --- internal ones ---

INTERNAL = """
import http.client, json, os, threading


def ask(method, path, body=None, **headers):
    api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    fields = {"Lambda-Extension-" + name: value for name, value in headers.items()}
    api.request(method, "/2020-01-01/extension/" + path, json.dumps(body) if body is not None else None, fields)
    answer = api.getresponse()
    return answer, json.loads(answer.read())


def run():
    while True:
        print("inside:", ask("GET", "event/next", Identifier=ME)[1]["eventType"], flush=True)


answer, refused = ask("POST", "register", {"events": ["SHUTDOWN"]}, Name="wrong")
print("refused:", answer.status, refused["errorType"])
ME = ask("POST", "register", {"events": ["INVOKE"]}, Name="inside")[0].headers["Lambda-Extension-Identifier"]
threading.Thread(target=run, daemon=True).start()


def handler(event, context):
    answer, body = ask("POST", "register", {"events": []}, Name="late")
    return [answer.status, body]
"""


def test_an_internal_extension(functions, log):
    name = functions.make(INTERNAL)
    late = [403, {"errorMessage": "Extension registration closed already", "errorType": "Extension.RegistrationClosed"}]
    for _ in range(3):
        assert functions.call(name, {}) == late
    text = log.wait(name, "REPORT", "REPORT", "REPORT")
    assert "refused: 403 Extension.InvalidEventType\n" in text
    assert "EXTENSION\tName: inside\tState: Ready\tEvents: [INVOKE]\n" in text
    assert text.count("inside: INVOKE") >= 3


# --- wrappers ---


@pytest.mark.parametrize(
    "runtime, source",
    [(PYTHON, "import os\ndef handler(e, c):\n    return os.environ['WRAPPED']\n"), (NODE, "exports.handler = async () => process.env.WRAPPED;")],
)
def test_a_wrapper_starts_the_runtime(functions, layers, runtime, source):
    layer = layers.publish({"wrapper": '#!/bin/bash\nexport WRAPPED="$#"\nexec "$@"\n'})
    variables = {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrapper"}
    name = functions.make(source, runtime=runtime, Layers=[layer], Environment={"Variables": variables}, Timeout=10)
    assert int(functions.call(name, {})) >= 2
