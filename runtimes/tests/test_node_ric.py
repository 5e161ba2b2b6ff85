"""
The nodejs pack against AWS's own runtime clients, aws-lambda-ric 3 (up to Node.js 22) and 4
(from Node.js 24 on): the same functions and events must give the same reports and log events.
"""
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

import pytest

from frames import read_log

CLASSIC, MODERN = "nodejs20.x", "nodejs24.x"
CLIENTS = {CLASSIC: "3.3.0", MODERN: "4.0.2"}
ADDON = Path(__file__).parent / "ric_rapid_client.cjs"
INSTALL_SECONDS_MAX = 120
pytestmark = [pytest.mark.network, pytest.mark.seconds(180)]


@pytest.fixture(scope="session", params=CLIENTS)
def ric(request):
    """(runtime name, path of the client's program), installed once and kept for the next run."""
    version = CLIENTS[request.param]
    folder = Path(tempfile.gettempdir()) / ("mayfly-aws-lambda-ric-%s-%d" % (version, os.getuid()))
    if not (folder / "installed").exists():
        try:
            folder.mkdir(exist_ok=True)
            subprocess.run(["npm", "install", "--no-save", "--ignore-scripts", "--force", "--prefix", str(folder),
                            "aws-lambda-ric@" + version], check=True, capture_output=True, timeout=INSTALL_SECONDS_MAX)
            (folder / "installed").touch()
        except (subprocess.SubprocessError, OSError) as e:
            warnings.warn("aws-lambda-ric %s cannot be installed: NOT COMPARED (%s)" % (version, e))
            pytest.skip("aws-lambda-ric %s is not installable here" % version)
    if not shutil.which("curl"):
        pytest.skip("curl is needed to stand in for the client's addon")
    package = folder / "node_modules" / "aws-lambda-ric"
    return request.param, package / ("bin/index.mjs" if version[0] == "3" else "index.mjs")


@pytest.fixture
def both(node, ric):
    """start(code, …) → environments (ours, AWS's) of the same function."""
    runtime, program = ric

    def start(code, handler="index.handler", env=None, **more):
        env = {"_LAMBDA_TELEMETRY_LOG_FD": "1", **(env or {})}
        ours = node(code, handler=handler, env=env, runtime=runtime, **more)
        experiments = [] if start.is_modern else ["--no-experimental-require-module", "--no-experimental-detect-module"]
        theirs = node(code, handler=handler, env=env, runtime=runtime, argv=[
            node.pack.program, *experiments, "--require", str(ADDON), str(program), handler], **more)
        return ours, theirs

    start.is_modern = runtime == MODERN
    return start


def same(environment, text):
    text = text.replace(str(environment.task), "TASK")
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "TIME", text)
    # "Require stack" ends with the client, unless it has imported the function.
    return re.sub(r"(\n|\\n)- /[^\s\"\\]*/index\.mjs", "", text)


def is_of_function(line):
    return "TASK" in line and line.lstrip().startswith("at ")


def comparable(environment, report):
    result = {"kind": report.kind}
    if report.kind == "response":
        return {**result, "body": report.json, "content-type": report.fields["content-type"]}
    body = report.json
    lines = [same(environment, line) for line in body["trace"]]
    body["trace"] = lines[:1] + [line for line in lines[1:] if is_of_function(line)]
    body["errorMessage"] = same(environment, body["errorMessage"])
    result["body"] = list(body.items())
    if report.kind == "init":
        result["type"] = report.error_type
    if "lambda-runtime-function-xray-error-cause" in report.fields:
        cause = report.cause
        cause.pop("paths")
        for exception in cause["exceptions"]:
            exception["stack"] = [f for f in exception["stack"] if str(environment.task) in str(f["path"])]
        result["cause"] = same(environment, repr(cause))
    return result


def without_stacks(value):
    """Stacks keep their first line: below it they differ by the client's own frames."""
    if isinstance(value, dict):
        if str(value.get("errorType")).startswith("Runtime."):
            value.pop("name", None)  # an own property of the modern client's errors
        return {k: v[:1] if k in ("stack", "stackTrace") else without_stacks(v) for k, v in value.items()}
    if isinstance(value, list):
        return [without_stacks(item) for item in value]
    return re.sub(r"\n +at [^\n]*", "", value) if isinstance(value, str) else value


def logged(environment):
    """The log's events."""
    result = []
    for event in read_log(environment.log_path.read_bytes()):
        if event.text.startswith("Executing '"):  # printed by the client's program, not on AWS
            continue
        head, brace, tail = same(environment, event.text).partition("{")
        if event.format == "json" or head.endswith(" \t"):
            rest = list(without_stacks(json.loads(brace + tail)).items())
        else:
            rest = without_stacks(brace + tail)
            head = without_stacks(head)
        result.append((event.format, event.level, head.rstrip("\n"), rest))
    return result


def compare_calls(pair, events, **options):
    for number, event in enumerate(events):
        request_id = "00000000-0000-4000-8000-%012d" % number
        ours, theirs = (comparable(e, e.call(event, request_id=request_id, **options)) for e in pair)
        assert ours == theirs, event
    assert logged(pair[0]) == logged(pair[1])


@pytest.mark.parametrize("source", [
    "async (event) => event", "(event) => Promise.resolve(event)", "async () => undefined", "(event) => 'not waited for'",
    "async () => 'é\\u2028\\ud83d'", "async () => ({ a: undefined, b: new Date(0), c: [undefined], d: NaN, e: -0 })",
    "async () => new Map([[1, 2]])", "async () => { const a = {}; a.a = a; return a; }", "async () => 1n",
    "() => ({ then: (yes) => yes('thenable') })",
    "async () => { setTimeout(() => {}, 60000); return 'now'; }",
    "async () => { throw new TypeError('bröken'); }", "() => { throw new TypeError('bad'); }",
    "() => Promise.reject(new TypeError('bad'))", "async () => { throw 'plain'; }", "async () => { throw 42; }",
    "async () => { throw { a: 1 }; }", "async () => { throw Object.assign(new Error('x'), { name: 'My', code: 7, more: [1] }); }",
    "async () => { throw new Error('two\\nlines'); }", "async () => { throw new Error('del\\x7f'); }",
    "async () => { throw new AggregateError([new Error('a')], 'many'); }", "async () => { class Mine extends Error {}; throw new Mine('m'); }",
], ids=lambda value: value[:50])
def test_handlers(both, source):
    compare_calls(both("exports.handler = %s;\n" % source), [{"a": ["é"]}, None])


@pytest.mark.parametrize("source", [
    "(event, context, callback) => callback(null, event)", "(event, context, callback) => callback()",
    "(event, context, callback) => { setTimeout(() => callback(null, 'late'), 10); }",
    "(event, context, callback) => callback(new TypeError('bad'))", "(event, context, callback) => callback('plain')",
    "(event, context, callback) => callback(0)", "(event, context, callback) => { callback(null, 1); callback(null, 2); }",
    "(event, context, callback) => { context.callbackWaitsForEmptyEventLoop = false; setTimeout(() => {}, 9e6); callback(null, 1); }",
    "(event, context, callback) => { setTimeout(() => console.log('first'), 30); callback(null, 'then'); }",
    "(event, context, callback) => { context.callbackWaitsForEmptyEventLoop = false; callback(null, 1n); }",
    "(event, context) => context.succeed(event)", "(event, context) => context.fail(new Error('f'))",
    "(event, context) => context.fail()", "(event, context) => context.done('x')", "(event, context) => context.done(null, 1)",
    "async (event, context, callback) => { callback(null, 'called'); return 'returned'; }",
    "(event, context) => { context.succeed(1); throw new Error('after'); }", "() => new Promise(() => {})",
    "async () => { throw undefined; }", "async () => { throw null; }",
], ids=lambda value: value[:50])
@pytest.mark.parametrize("ric", [CLASSIC], indirect=True)
def test_classic_handlers(both, source):
    compare_calls(both("exports.handler = %s;\n" % source), [{"a": 1}, None])


FAULTS = [
    "async () => { Promise.reject(new Error('nobody')); await new Promise(() => setTimeout(() => {}, 9e6)); }",
    "async () => { Promise.reject('text'); await new Promise(() => setTimeout(() => {}, 9e6)); }",
    "async () => { setTimeout(() => { throw new RangeError('late'); }, 5); await new Promise(() => setTimeout(() => {}, 9e6)); }",
    "() => { setTimeout(() => { throw 'text'; }, 5); return new Promise(() => setTimeout(() => {}, 9e6)); }",
    "async () => process.exit(3)",
]


@pytest.mark.parametrize("source", FAULTS, ids=lambda value: value[:50])
def test_faults(both, source):
    compare_faults(both, source)


@pytest.mark.parametrize("ric", [MODERN], indirect=True)
def test_a_modern_handler_that_never_answers(both):
    compare_faults(both, "async () => { await new Promise(() => {}); }")


def compare_faults(both, source):
    pair = both("exports.handler = %s;\n" % source)
    for environment in pair:
        environment.api.invoke()
    assert pair[0].exit_status() == pair[1].exit_status()
    reports = [[] if e.api.reports.empty() else [comparable(e, e.api.report())] for e in pair]
    assert reports[0] == reports[1]
    if not both.is_modern:  # the modern client leaves it to node to print the error
        assert logged(pair[0]) == logged(pair[1])


@pytest.mark.parametrize("files, handler", [
    ({}, "nothing.handler"), ({"index.js": "require('not-there');"}, "index.handler"),
    ({"index.mjs": "import 'not-there';"}, "index.handler"), ({"index.js": "exports.x = 1;"}, "index.handler"),
    ({"index.js": "exports.handler = 1;"}, "index.handler"), ({"index.js": "exports.a = {};"}, "index.a.b.c"),
    ({}, "index"), ({}, "../index.handler"), ({"index.js": "throw new RangeError('startup');"}, "index.handler"),
    ({"index.mjs": "throw new RangeError('startup');"}, "index.handler"), ({"index.js": "throw 'text';"}, "index.handler"),
    ({"index.js": ""}, "src/index.handler"),
], ids=lambda value: str(value)[:40])
@pytest.mark.parametrize("env", [{}, {"AWS_LAMBDA_LOG_FORMAT": "JSON"}], ids=["text", "json"])
def test_init_errors(both, files, handler, env):
    pair = both(files, handler=handler, env=env)
    ours, theirs = (comparable(e, e.api.report()) for e in pair)
    if ours["body"][0][1] in ("Runtime.ImportModuleError", "Runtime.HandlerNotFound", "Runtime.MalformedHandlerName"):
        for report in (ours, theirs):  # their traces begin in the client
            report["body"] = [item for item in report["body"] if item[0] != "trace"]
    assert ours == theirs
    assert pair[0].exit_status() == pair[1].exit_status()


@pytest.mark.parametrize("source", ["let a b;", "import fs from 'fs';\nexport const handler = 1;", "foo(", "await 1;"])
def test_syntax_errors(both, source):
    pair = both(source)
    ours, theirs = (e.api.report() for e in pair)
    assert (ours.kind, ours.error_type, same(pair[0], ours.json["errorMessage"])) == (
        theirs.kind, theirs.error_type, same(pair[1], theirs.json["errorMessage"]))


@pytest.mark.parametrize("files, handler", [
    ({"index.cjs": "exports.handler = async () => 1;"}, "index.handler"),
    ({"index.mjs": "export const handler = async () => 1;"}, "index.handler"),
    ({"index.js": "export const handler = async () => 1;", "package.json": '{"type":"module"}'}, "index.handler"),
    ({"src/a.js": "exports.b = { c: async () => 1 };"}, "src/a.b.c"),
    ({"index.js": "exports.handler = async () => 1;", "index.mjs": "export const handler = async () => 2;"}, "index.handler"),
    ({"node_modules/pkg/index.js": "exports.handler = async () => 1;"}, "pkg.handler"),
], ids=lambda value: str(value)[:40])
def test_where_handlers_are_found(both, files, handler):
    compare_calls(both(files, handler=handler), [None])


@pytest.mark.parametrize("ric", [CLASSIC], indirect=True)
def test_a_file_without_an_extension(both):
    compare_calls(both({"index": "exports.handler = async () => 1;"}), [None])


@pytest.mark.parametrize("fields", [
    {}, {"Lambda-Runtime-Client-Context": '{"custom":{"a":1}}'}, {"Lambda-Runtime-Cognito-Identity": '{"cognitoIdentityId":"i"}'},
    {"Lambda-Runtime-Aws-Tenant-Id": "blue"},
], ids=str)
def test_the_context(both, fields):
    code = ("exports.handler = async (event, context) => [context, Object.keys(context).sort(),\n"
            "  process.env._X_AMZN_TRACE_ID, process.env._LAMBDA_TELEMETRY_LOG_FD];\n")
    compare_calls(both(code), [1, 2], fields={"Lambda-Runtime-Deadline-Ms": "1", "Lambda-Runtime-Trace-Id": "Root=1", **fields})


LOGS = """
console.log('init');
exports.handler = async () => {
  console.log('hello %s', 'x', { a: [1] }); console.log({ a: 1 }); console.log(); console.log(undefined); console.log(null, 1);
  for (const level of ['trace', 'debug', 'info', 'warn', 'error', 'fatal']) console[level](level);
  console.log('two\\nlines'); console.error(new RangeError('one')); console.error('with', new TypeError('two'));
  console.log(Object.assign(new Error('own'), { code: 1 })); const loop = {}; loop.loop = loop; console.log(loop); console.log(1n);
  console.log('é', [new Error('nested')]);
};
"""


@pytest.mark.parametrize("env", [
    {}, {"AWS_LAMBDA_LOG_FORMAT": "JSON"}, {"AWS_LAMBDA_LOG_FORMAT": "json", "AWS_LAMBDA_LOG_LEVEL": "WARN"},
    {"AWS_LAMBDA_LOG_LEVEL": "error"}, {"AWS_LAMBDA_LOG_LEVEL": "FATAL"},
], ids=str)
def test_logs(both, env):
    # The modern client forgets the tenant in its JSON lines; ours has it, as AWS documents.
    fields = {} if both.is_modern else {"Lambda-Runtime-Aws-Tenant-Id": "blue"}
    compare_calls(both(LOGS, env=env), [1, 2], fields=fields)


STREAMS = [
    "stream.write('a'); stream.write(new Uint8Array([1, 2])); stream.write([1, { b: 2 }]); stream.end();",
    "stream.end('only');", "stream.end();", "stream.end(); return 'ignored';",
    "stream.setContentType('text/x'); stream.write('a'); stream.end();",
    "stream.write('a'); stream.setContentType('text/x'); stream.end();",
    "awslambda.HttpResponseStream.from(stream, { statusCode: 201, cookies: ['a=b'] }).write('x'); stream.end();",
    "awslambda.HttpResponseStream.from(stream, { statusCode: 204 }); stream.end();",
    "stream.write('x'); awslambda.HttpResponseStream.from(stream, {});",
    "stream.write('begun'); throw new RangeError('middle');", "throw new TypeError('br\u00f6ken');", "throw 'plain';",
    "stream.write('a'); await new Promise((resolve) => setTimeout(resolve, 20)); throw Object.assign(new Error('x'), { name: 'My' });",
    "stream.end('done'); throw new Error('after the end');",
    "setTimeout(() => { stream.write('late'); stream.end(); }, 20);",
    "stream.on('finish', () => console.log('finished')); stream.end('x');",
    "stream.end(JSON.stringify(['cork', 'pipe', 'write', 'setHeader', 'setContentType', 'addTrailers', 'flushHeaders', 'emit']"
    ".map((name) => typeof stream[name])));",
    "stream.write('x'); stream.end(JSON.stringify([stream.destroyed, stream.writableEnded, stream.writableFinished, stream.writable,"
    " stream.writableObjectMode, stream.writableCorked]));",
    "const names = Object.keys(context).sort(); stream.end(JSON.stringify(names));",
]


def comparable_stream(environment, report):
    fields = ("content-type", "transfer-encoding", "trailer", "lambda-runtime-function-response-mode")
    result = {"kind": report.kind, "body": report.body, **{name: report.fields.get(name) for name in fields}}
    if report.trailers:
        result["type"], error = report.trailer_error
        # Whose method the handler is depends on the client.
        lines = [re.sub(r"at (async )?\S+ \((.*)\)$", r"at \2", same(environment, line)) for line in error["trace"]]
        error["trace"] = lines[:1] + [line for line in lines[1:] if is_of_function(line)]
        result["error"] = list(error.items())
    return result


@pytest.mark.parametrize("source", STREAMS, ids=lambda value: value[:50])
def test_streaming_handlers(both, source):
    pair = both("exports.handler = awslambda.streamifyResponse(async (event, stream, context) => {\n%s\n});\n" % source)
    for number in range(2):
        request_id = "00000000-0000-4000-8000-%012d" % number
        ours, theirs = (comparable_stream(e, e.call({}, request_id=request_id)) for e in pair)
        assert ours == theirs
    deadline = time.monotonic() + 10  # what is logged behind the end comes a moment after the report
    while logged(pair[0]) != logged(pair[1]) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert logged(pair[0]) == logged(pair[1])


def test_a_streaming_handler_must_be_async(both):
    pair = both("exports.handler = awslambda.streamifyResponse((event, stream) => { stream.write('a'); });\n")
    ours, theirs = (comparable_stream(e, e.call({})) for e in pair)
    for report in (ours, theirs):
        report["error"] = [item for item in report["error"] if item[0] != "trace"]
    assert ours == theirs
