"""The nodejs pack: what a function gets, what becomes of its result, its errors and its output."""
import json
import os
import re
import time

import pytest

from frames import read_log
from runtime_api import ARN, Refusal

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
ECHO = "exports.handler = async (event) => event;\n"
MODERN = "nodejs24.x"


# ---- the protocol ----


@pytest.mark.parametrize("runtime", ["nodejs20.x", MODERN])
def test_invocations_share_one_connection_and_pipeline(node, runtime):
    env = node(ECHO, runtime=runtime)
    for i in range(20):
        report = env.call({"n": i})
        assert (report.kind, report.json, report.is_pipelined) == ("response", {"n": i}, True)
    assert env.api.connections == 1


def test_an_answer_may_come_in_pieces(node):
    env = node(ECHO, piece_bytes=13)
    for event in ({"a": "é" * 40}, [1, 2, 3]):
        assert env.call(event).json == event


def test_an_event_may_be_chunked(node):
    env = node(ECHO)
    assert env.call({"text": "x" * 1000}, is_chunked=True).json == {"text": "x" * 1000}
    assert env.call("after").json == "after"


def test_a_chunked_event_may_come_in_pieces(node):
    env = node(ECHO, piece_bytes=7)
    assert env.call({"text": "é" * 100}, is_chunked=True).json == {"text": "é" * 100}


def test_large_events_and_responses_arrive_whole(node):
    event = {"text": "0123456789" * 500_000}
    assert node(ECHO).call(event).json == event


def test_a_refused_response_is_over(node):
    env = node(ECHO)
    env.api.refusals.append(Refusal(413))
    env.call(1)
    assert env.call(2).json == 2
    assert env.api.connections == 1


def test_a_refusal_may_close_the_connection(node):
    env = node(ECHO)
    env.api.refusals.append(Refusal(413, is_closing=True))
    env.call(1)
    assert env.call(2).json == 2
    assert env.api.connections == 2


def test_a_platform_that_is_gone_ends_the_process(node):
    env = node(ECHO)
    env.call(1)
    env.api.close()
    assert env.exit_status() == 1
    assert "The Runtime API cannot be used" in env.log


def test_open_work_of_an_async_handler_goes_on_between_invocations(node):
    env = node("let n = 0;\nexports.handler = async () => { setTimeout(() => n++, 20); return n; };\n")
    assert env.call().json == 0
    time.sleep(0.2)
    assert env.call().json == 1


# ---- handlers ----


@pytest.mark.parametrize("source, result", [
    ("async (event) => event.a", 1),
    ("(event) => Promise.resolve(event.a)", 1),
    ("(event) => ({ then: (yes) => yes('thenable') })", "thenable"),
    ("(event, context, callback) => callback(null, event.a)", 1),
    ("(event, context, callback) => { setTimeout(() => callback(undefined, 'late'), 20); }", "late"),
    ("(event, context) => context.succeed('succeed')", "succeed"),
    ("(event, context) => context.done(null, 'done')", "done"),
    ("(event, context) => { setTimeout(() => context.done(null, 'done'), 20); }", "done"),
    ("(event) => 'a value that is not waited for'", None),
    ("() => new Promise(() => {})", None),
    ("async () => undefined", None),
    ("async () => ({ a: undefined, b: new Date(0), c: [undefined], d: NaN })",
     {"b": "1970-01-01T00:00:00.000Z", "c": [None], "d": None}),
    ("async () => 'é\\u2028\\ud83d'", "é\u2028\ud83d"),
    ("(event, context, callback) => { callback(null, 1); callback(null, 2); }", 1),
    ("(event, context, callback) => { callback(null, 1); throw new Error('after'); }", 1),
    ("async (event, context, callback) => { callback(null, 'called'); return 'returned'; }", "called"),
], ids=lambda value: str(value)[:50])
def test_ways_to_answer(node, source, result):
    env = node("exports.handler = %s;\n" % source)
    for _ in range(2):
        report = env.call({"a": 1})
        assert (report.kind, report.json) == ("response", result)
        assert report.fields["content-type"] == "application/json"


def test_a_callback_waits_for_the_event_loop_to_run_dry(node):
    env = node("exports.handler = (event, context, callback) => {\n"
               "  context.callbackWaitsForEmptyEventLoop = event.waits;\n"
               "  setTimeout(() => console.log('timer'), 100);\n  callback(null, context.callbackWaitsForEmptyEventLoop);\n};\n")
    assert env.call({"waits": True}).json is True
    assert env.log.count("timer") == 1, "the answer came before the timer"
    assert env.call({"waits": False}).json is False
    assert env.log.count("timer") == 1, "the answer waited for the timer"


def test_an_async_result_does_not_wait_for_the_event_loop(node):
    env = node("exports.handler = async () => { setTimeout(() => {}, 60000); return 'now'; };\n")
    assert env.call().json == "now"
    assert env.call().json == "now"


@pytest.mark.parametrize("files, handler", [
    ({"index.js": "exports.handler = async () => 'found';"}, "index.handler"),
    ({"index.cjs": "exports.handler = async () => 'found';"}, "index.handler"),
    ({"index.mjs": "export const handler = async () => 'found';"}, "index.handler"),
    ({"index.mjs": "await null; export const handler = async () => 'found';"}, "index.handler"),
    ({"index.js": "export const handler = async () => 'found';", "package.json": '{"type":"module"}'}, "index.handler"),
    ({"src/a.js": "export const handler = async () => 'found';", "package.json": '{"type":"module"}'}, "src/a.handler"),
    ({"src/a.js": "exports.handler = async () => 'found';", "src/package.json": "{}", "package.json": '{"type":"module"}'},
     "src/a.handler"),
    ({"index": "exports.handler = async () => 'found';"}, "index.handler"),
    ({"index.js": "exports.handler = async () => 'found';", "index.mjs": "export const handler = 1;"}, "index.handler"),
    ({"index.mjs": "export const handler = async () => 'found';", "index.cjs": "exports.handler = 1;"}, "index.handler"),
    ({"index/index.js": "exports.handler = async () => 'found';"}, "index.handler"),
    ({"index/x.txt": "", "index.js": "exports.handler = async () => 'found';"}, "index.handler"),
    ({"src/deep/app.js": "exports.lambda = async () => 'found';"}, "src/deep/app.lambda"),
    ({"index.js": "exports.api = { v1: { run: async () => 'found' } };"}, "index.api.v1.run"),
    ({"node_modules/pkg/index.js": "exports.handler = async () => 'found';"}, "pkg.handler"),
    ({"index.js": "const d = require('dep'); exports.handler = async () => d;",
      "node_modules/dep/index.js": "module.exports = 'found';"}, "index.handler"),
    ({"index.mjs": "import d from 'dep'; export const handler = async () => d;",
      "node_modules/dep/index.js": "module.exports = 'found';"}, "index.handler"),
    ({"a b%.mjs": "export const handler = async () => 'found';"}, "a b%.handler"),
], ids=lambda value: str(value)[:60])
@pytest.mark.parametrize("runtime", ["nodejs20.x", MODERN])
def test_where_handlers_are_found(node, files, handler, runtime):
    assert node(files, handler=handler, runtime=runtime).call().json == "found"


def test_node_path_leads_to_layers(node):
    own = node({"index.js": "exports.handler = async () => process.env.NODE_PATH;"}, runtime="nodejs18.x")
    pack = os.path.dirname(own.argv[1])
    assert own.call().json == "/opt/nodejs/node18/node_modules:/opt/nodejs/node_modules:%s/node_modules" % pack
    files = {"index.js": "exports.handler = async () => require('dep');", "layer/dep.js": "module.exports = 'layer';"}
    env = node(files, env={"NODE_PATH": "layer"})
    assert env.call().json == "layer"


# ---- init ----


@pytest.mark.parametrize("files, handler, kind, message", [
    ({}, "nothing.handler", "Runtime.ImportModuleError",
     "Error: Cannot find module 'nothing'\nRequire stack:\n- /var/runtime/index.mjs"),
    ({"index.js": "require('not-there');"}, "index.handler", "Runtime.ImportModuleError",
     "Error: Cannot find module 'not-there'\nRequire stack:\n- "),
    ({"index.js": "exports.x = 1;"}, "index.handler", "Runtime.HandlerNotFound", "index.handler is undefined or not exported"),
    ({"index.js": "exports.handler = 1;"}, "index.handler", "Runtime.HandlerNotFound", "index.handler is not a function"),
    ({}, "index", "Runtime.MalformedHandlerName", "Bad handler"),
    ({}, "../index.handler", "Runtime.MalformedHandlerName",
     "'../index.handler' is not a valid handler name. Use absolute paths when specifying root directories in handler names."),
    ({"index.js": "let a b;"}, "index.handler", "Runtime.UserCodeSyntaxError", "SyntaxError: Unexpected identifier"),
    ({"index.mjs": "let a b;"}, "index.handler", "Runtime.UserCodeSyntaxError", "SyntaxError: Unexpected identifier"),
    ({"index.js": "throw new RangeError('startup');"}, "index.handler", "RangeError", "startup"),
    ({"index.js": "throw 'a string';"}, "index.handler", "string", "a string"),
    ({"index.mjs": "throw new RangeError('startup');"}, "index.handler", "RangeError", "startup"),
], ids=lambda value: str(value)[:40])
@pytest.mark.parametrize("runtime", ["nodejs20.x", MODERN])
def test_a_handler_that_cannot_be_loaded(node, files, handler, kind, message, runtime):
    env = node(files, handler=handler, runtime=runtime)
    report = env.api.report()
    assert (report.kind, report.error_type, report.json["errorType"]) == ("init", kind, kind)
    assert report.json["errorMessage"].startswith(message)
    assert kind == "string" or report.json["trace"]
    assert env.exit_status() == (1 if runtime == MODERN else 129)
    first = "undefined\tERROR\tUncaught Exception" if runtime != MODERN else "-\tERROR\tInit Error"
    assert re.search(r"^%s\t%s \t\{" % (TIME, first), env.log, re.MULTILINE), env.log


def test_where_the_syntax_error_is(node):
    env = node("const fine = 1;\nlet a b;\n")
    trace = env.api.report().json["trace"]
    assert trace[0] == "Runtime.UserCodeSyntaxError: SyntaxError: Unexpected identifier 'b'" or "SyntaxError" in trace[0]
    assert "%s/index.js:2" % env.task in trace


def test_an_error_after_loading_has_begun(node):
    env = node("setTimeout(() => { throw new RangeError('later'); }, 10);\nexports.handler = async () => 1;\n")
    assert env.exit_status() == 129
    assert "Uncaught Exception" in env.log


def test_the_awslambda_global_can_be_switched_off(node):
    env = node("exports.handler = async () => typeof awslambda;\n", env={"AWS_LAMBDA_NODEJS_NO_GLOBAL_AWSLAMBDA": "1"})
    assert env.call().json == "undefined"


# ---- errors of a handler ----


@pytest.mark.parametrize("source", [
    "async () => { throw new TypeError('bröken'); }",
    "() => Promise.reject(new TypeError('bröken'))",
    "() => { throw new TypeError('bröken'); }",
    "(event, context, callback) => callback(new TypeError('bröken'))",
    "(event, context, callback) => { setTimeout(() => callback(new TypeError('bröken')), 10); }",
    "(event, context) => context.fail(new TypeError('bröken'))",
    "(event, context) => context.done(new TypeError('bröken'))",
])
def test_an_error_is_the_error_object_the_cause_and_a_log_entry(node, source):
    env = node("exports.handler = %s;\n" % source)
    file = str(env.task / "index.js")
    for _ in range(2):
        report = env.call()
        assert (report.kind, report.error_type, report.is_pipelined) == ("error", "TypeError", True)
        assert list(report.json) == ["errorType", "errorMessage", "trace"]
        assert (report.json["errorType"], report.json["errorMessage"]) == ("TypeError", "bröken")
        trace = report.json["trace"]
        assert trace[0] == "TypeError: bröken" and re.search(r"\(?%s:1:\d+" % re.escape(file), trace[1])
        assert len(trace) < 8, "too many frames of ours"
        cause = report.cause
        assert cause["working_directory"] == str(env.task) and file in cause["paths"]
        assert (cause["exceptions"][0]["type"], cause["exceptions"][0]["message"]) == ("TypeError", "bröken")
        assert (cause["exceptions"][0]["stack"][0]["path"], cause["exceptions"][0]["stack"][0]["line"]) == (file, 1)
    line = env.log.splitlines()[-1]
    match = re.fullmatch(r"%s\t%s\tERROR\tInvoke Error \t(.*)" % (TIME, report.request_id), line)
    logged = json.loads(match[1])
    assert (logged["errorType"], logged["errorMessage"], logged["stack"]) == ("TypeError", "bröken", trace)


@pytest.mark.parametrize("value, kind, message", [
    ("'plain'", "string", "plain"), ("42", "number", "42"), ("{ a: 1 }", "object", "[object Object]"),
    ("undefined", "string", "handled"), ("null", "string", "handled"),
    ("Object.assign(new Error('own'), { name: 'My\\r\\nError' })", "My\r\nError", "own"),
    ("{ name: 'Like', message: 'an error', stack: 'Like: an error' }", "Like", "an error"),
    ("Object.create(null)", "handled", "callback called with Error argument, but there was a problem while retrieving "
     "one or more of its message, name, and stack"),
    ("Object.assign(new Error('del\\x7f'), { code: 'E1' })", "Error", "del%7F"),
], ids=lambda value: value[:40])
def test_unusual_errors(node, value, kind, message):
    env = node("exports.handler = async () => { throw %s; };\n" % value)
    report = env.call()
    assert (report.kind, report.json["errorType"], report.json["errorMessage"]) == ("error", kind, message)
    assert env.call().kind == "error", "the environment lives on"


def test_a_cause_that_is_too_long_for_a_header_is_left_out(node):
    env = node("exports.handler = async (n) => { throw new Error('x'.repeat(n)); };\n")
    assert "lambda-runtime-function-xray-error-cause" in env.call(10_000).fields
    report = env.call(33_000)
    assert "lambda-runtime-function-xray-error-cause" not in report.fields
    assert report.json["errorMessage"] == "x" * 33_000


@pytest.mark.parametrize("source", [
    "async () => { const a = {}; a.a = a; return a; }",
    "async () => 1n",
    "async () => () => 1",
    "(event, context, callback) => callback(null, 1n)",
    "(event, context, callback) => { context.callbackWaitsForEmptyEventLoop = false; callback(null, 1n); }",
])
def test_a_response_that_is_no_json(node, source):
    report = node("exports.handler = %s;\n" % source).call()
    assert (report.kind, report.json["errorType"]) == ("error", "Error")
    assert report.json["errorMessage"] == "Unable to stringify response body"


def test_an_event_that_is_no_json(node):
    report = node(ECHO).call(body=b"{x")
    assert (report.kind, report.json["errorType"]) == ("error", "SyntaxError")


def test_a_client_context_that_is_no_json(node):
    report = node(ECHO).call(fields={"Lambda-Runtime-Client-Context": "{x"})
    assert report.json["errorMessage"].startswith("Cannot parse ClientContext as json: SyntaxError")


# ---- the end of the process ----


def test_an_unhandled_rejection_is_the_result_and_ends_the_process(node):
    env = node("exports.handler = async () => { Promise.reject(new Error('nobody')); await new Promise(() => setTimeout(() => {}, 9e6)); };\n")
    report = env.call()
    assert (report.kind, report.error_type) == ("error", "Runtime.UnhandledPromiseRejection")
    assert report.json["errorMessage"] == "Error: nobody"
    assert not report.is_pipelined
    assert env.exit_status() == 128
    assert "\tERROR\tUnhandled Promise Rejection \t{" in env.log


def test_an_uncaught_exception_is_the_result_and_ends_the_process(node):
    env = node("exports.handler = async () => { setTimeout(() => { throw new RangeError('late'); }, 5);\n"
               "  setTimeout(() => { throw new RangeError('later'); }, 6); await new Promise(() => setTimeout(() => {}, 9e6)); };\n")
    report = env.call()
    assert (report.kind, report.json["errorType"], report.json["errorMessage"]) == ("error", "RangeError", "late")
    assert env.exit_status() == 129
    assert env.api.reports.empty(), "reported twice"
    assert "\tERROR\tUncaught Exception \t{" in env.log


def test_an_uncaught_exception_between_invocations_ends_the_process(node):
    env = node("exports.handler = async () => { setTimeout(() => { throw new RangeError('late'); }, 50); return 1; };\n")
    assert env.call().json == 1
    assert env.exit_status() == 129
    assert env.api.reports.empty()


def test_process_exit(node):
    env = node("exports.handler = async () => { process.stdout.write('half'); process.exit(3); };\n")
    env.api.invoke()
    assert env.exit_status() == 3
    assert env.api.reports.empty() and env.log == "half"


# ---- what the handler sees ----


def test_the_context(node):
    env = node("exports.handler = async (event, context) => ({ context, left: context.getRemainingTimeInMillis(),\n"
               "  keys: Object.keys(context) });\n")
    report = env.call(remaining_ms=5000)
    assert 4000 < report.json["left"] <= 5000
    assert report.json["context"] == {
        "callbackWaitsForEmptyEventLoop": True, "functionVersion": "$LATEST", "functionName": "hello",
        "memoryLimitInMB": "128", "logGroupName": "/aws/lambda/hello",
        "logStreamName": "2026/01/01/[$LATEST]00000000000000000000000000000000",
        "invokedFunctionArn": ARN, "awsRequestId": report.request_id,
    }
    assert report.json["keys"] == [
        "callbackWaitsForEmptyEventLoop", "succeed", "fail", "done", "functionVersion", "functionName", "memoryLimitInMB",
        "logGroupName", "logStreamName", "clientContext", "identity", "invokedFunctionArn", "awsRequestId", "tenantId",
        "getRemainingTimeInMillis"]


def test_client_context_identity_and_tenant(node):
    env = node("exports.handler = async (event, { clientContext, identity, tenantId }) => [clientContext, identity, tenantId];\n")
    assert env.call(fields={
        "Lambda-Runtime-Client-Context": '{"custom":{"k":"é"}}',
        "Lambda-Runtime-Cognito-Identity": '{"cognitoIdentityId":"id"}',
        "Lambda-Runtime-Aws-Tenant-Id": "blue",
    }).json == [{"custom": {"k": "é"}}, {"cognitoIdentityId": "id"}, "blue"]


def test_the_trace_id_is_that_of_the_invocation(node):
    env = node("exports.handler = async () => process.env._X_AMZN_TRACE_ID;\n")
    assert env.call(fields={"Lambda-Runtime-Trace-Id": "Root=1"}).json == "Root=1"
    assert env.call(fields={"Lambda-Runtime-Trace-Id": None}).json is None


def test_the_process_that_a_function_finds(node):
    env = node("exports.handler = async () => [process.cwd(), process.env.PATH, process.execArgv, typeof gc,\n"
               "  require('v8').getHeapStatistics().heap_size_limit >> 20, process.env._LAMBDA_TELEMETRY_LOG_FD];\n",
               env={"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512"})
    cwd, path, options, gc, heap_mb, fd = env.call().json
    assert (cwd, gc, fd) == (str(env.task), "function", None)
    assert path == "%s:/usr/local/bin:/usr/bin/:/bin:/opt/bin" % os.path.dirname(node.pack.program)
    assert options[:3] == ["--expose-gc", "--max-semi-space-size=25", "--max-old-space-size=460"]
    assert 460 <= heap_mb < 600


def test_node_options_may_ask_for_what_lambda_switches_off(node):
    has_flags = node("exports.handler = async () => process.execArgv.slice(3);\n").call().json
    version = [int(n) for n in node.pack.version.split(".")]
    if not ([20, 19] <= version < [21] or version[0] == 22):
        assert has_flags == []
        return
    assert has_flags == ["--no-experimental-require-module", "--no-experimental-detect-module"]
    both = "--experimental-require-module --experimental-detect-module"
    env = node("export const handler = async () => 'detected';\n", env={"NODE_OPTIONS": both})
    assert env.call().json == "detected"


def test_a_script_is_no_module_by_its_syntax(node):
    report = node("import fs from 'fs';\nexports.handler = 1;\n").api.report()
    assert (report.kind, report.json["errorType"]) == ("init", "Runtime.UserCodeSyntaxError")
    assert report.json["errorMessage"] == "SyntaxError: Cannot use import statement outside a module"


def test_modern_handlers_may_be_modules_without_saying_so(node):
    if [int(n) for n in node.pack.version.split(".")[:2]] < [20, 19]:
        pytest.skip("node %s cannot tell a module by its syntax" % node.pack.version)
    env = node("await null;\nexport const handler = async () => 'detected';\n", runtime=MODERN)
    assert env.call().json == "detected"


def test_a_package_file_that_cannot_be_read_is_said_to_be(node):
    env = node({"index.js": ECHO, "package.json": "{broken"})
    assert "/package.json" in env.api.report().json["errorMessage"]
    assert '/package.json cannot be read, so its "type" is not known' in env.log


def test_a_wrapper_script_starts_the_runtime(node, tmp_path):
    wrapper = tmp_path / "wrapper"
    wrapper.write_text('#!/bin/sh\nexport WRAPPED="$#"\nexec "$@"\n')
    wrapper.chmod(0o755)
    env = node("exports.handler = async () => process.env.WRAPPED;\n", env={"AWS_LAMBDA_EXEC_WRAPPER": str(wrapper)})
    assert int(env.call().json) >= 5


# ---- the modern client: nodejs24.x ----


@pytest.mark.parametrize("source, result", [
    ("async (event) => event.a", 1), ("(event) => event.a", 1), ("() => {}", None), ("async (event, context) => context.done", None),
])
def test_modern_handlers_return_their_result(node, source, result):
    env = node("exports.handler = %s;\n" % source, runtime=MODERN)
    for _ in range(2):
        assert env.call({"a": 1}).json == result


def test_modern_handlers_may_be_a_default_export(node):
    env = node({"index.mjs": "export default { handler: async () => 'default' };"}, runtime=MODERN)
    assert env.call().json == "default"


def test_modern_handlers_have_no_callback(node):
    env = node("exports.handler = (event, context, callback) => callback(null, 1);\n", runtime=MODERN)
    report = env.api.report()
    assert (report.kind, report.error_type) == ("init", "Runtime.CallbackHandlerDeprecated")
    assert env.exit_status() == 1


def test_modern_errors(node):
    env = node("exports.handler = async (e) => { if (e) return 1n; throw new TypeError('bad'); };\n", runtime=MODERN)
    report = env.call(0)
    assert (report.kind, report.json["errorType"], report.is_pipelined) == ("error", "TypeError", True)
    assert env.call(1).json["errorType"] == "Runtime.JSONStringifyError"


@pytest.mark.parametrize("body, status", [
    ("await new Promise(() => {})", 0), ("Promise.reject(new Error('nobody'))", 1),
    ("setTimeout(() => { throw new Error('late'); }, 5); await new Promise((r) => setTimeout(r, 500))", 1),
])
def test_a_modern_process_just_ends(node, body, status):
    env = node("exports.handler = async () => { %s; };\n" % body, runtime=MODERN)
    env.api.invoke()
    assert env.exit_status() == status
    assert env.api.reports.empty()


# ---- logs ----


def test_console_in_the_text_format(node):
    env = node("console.log('init');\nexports.handler = async () => {\n  console.log('hello %s', 'x', { a: [1] });\n"
               "  console.trace('t'); console.debug('d'); console.info('i'); console.warn('w'); console.error('e');\n"
               "  console.fatal('f'); console.log('two\\nlines'); console.log(); process.stdout.write('raw\\n');\n};\n")
    id_ = env.call().request_id
    shape = "".join(r"%s\t%s\t%s\t%s\n" % (TIME, who, level, text) for who, level, text in [
        ("undefined", "INFO", "init"), (id_, "INFO", r"hello x \{ a: \[ 1 \] \}"), (id_, "TRACE", "t"), (id_, "DEBUG", "d"),
        (id_, "INFO", "i"), (id_, "WARN", "w"), (id_, "ERROR", "e"), (id_, "FATAL", "f"), (id_, "INFO", "two\nlines"),
        (id_, "INFO", "undefined"),
    ])
    assert re.fullmatch(shape + "raw\n", env.log), env.log


def test_console_in_the_json_format(node):
    env = node("exports.handler = async () => {\n  console.log('hello'); console.log({ a: 1 }); console.warn('n=%d', 1, 2);\n"
               "  console.error(new RangeError('one')); console.error('with', new TypeError('two'));\n"
               "  const loop = {}; loop.loop = loop; console.log(loop); console.debug('hidden');\n  throw new Error('end');\n};\n",
               env={"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "INFO"})
    report = env.call(fields={"Lambda-Runtime-Aws-Tenant-Id": "blue"})
    records = [json.loads(line) for line in env.log.splitlines()]
    for record in records:
        assert re.fullmatch(TIME, record.pop("timestamp"))
        assert (record.pop("requestId"), record.pop("tenantId")) == (report.request_id, "blue")
    one, two, end = records[3], records[4], records[6]
    assert one["message"].pop("stackTrace")[0] == "RangeError: one"
    assert end["message"].pop("stackTrace")[0] == "Error: end"
    assert two.pop("stackTrace")[0] == "TypeError: two" and two.pop("message").startswith("with TypeError: two\n")
    assert records == [
        {"level": "INFO", "message": "hello"},
        {"level": "INFO", "message": {"a": 1}},
        {"level": "WARN", "message": "n=1 2"},
        {"level": "ERROR", "message": {"errorType": "RangeError", "errorMessage": "one"}},
        {"level": "ERROR", "errorType": "TypeError", "errorMessage": "two"},
        {"level": "INFO", "message": "<ref *1> { loop: [Circular *1] }"},
        {"level": "ERROR", "message": {"errorType": "Error", "errorMessage": "end"}},
    ]


@pytest.mark.parametrize("level, shown", [("TRACE", 6), ("DEBUG", 5), ("INFO", 4), ("warn", 3), ("ERROR", 2), ("FATAL", 1), ("x", 6)])
def test_the_log_level(node, level, shown):
    env = node("exports.handler = async () => { for (const l of ['trace', 'debug', 'info', 'warn', 'error', 'fatal']) console[l]('x'); };\n",
               env={"AWS_LAMBDA_LOG_LEVEL": level})
    env.call()
    assert len(env.log.splitlines()) == shown


def test_log_events_are_framed_for_a_platform_that_takes_frames(node):
    env = node("exports.handler = async () => {\n  process.stdout.write('plain\\n'); console.warn('two\\nlines'); throw new Error('x');\n};\n",
               env={"_LAMBDA_TELEMETRY_LOG_FD": "1"})
    report = env.call()
    plain, warning, error = read_log(env.log_path.read_bytes())
    assert (plain.text, plain.format) == ("plain", None)
    assert (warning.level, warning.format) == ("WARN", "text")
    assert re.fullmatch(r"%s\t%s\tWARN\ttwo\nlines\n" % (TIME, report.request_id), warning.text)
    assert (error.level, error.format) == ("ERROR", "text") and "\tInvoke Error \t{" in error.text


def test_a_long_log_event_is_cut_into_frames(node):
    env = node("exports.handler = async () => { console.log('x'.repeat(600000)); console.log('after'); };\n",
               env={"_LAMBDA_TELEMETRY_LOG_FD": "1"})
    env.call()
    *pieces, after = read_log(env.log_path.read_bytes())
    assert [len(piece.text) for piece in pieces[:2]] == [256 << 10] * 2 and len(pieces) == 3
    assert "".join(piece.text for piece in pieces).endswith("x" * 600_000 + "\n")
    assert after.text.endswith("\tafter\n")


def test_output_survives_a_pipe_that_is_full_and_non_blocking(node, tmp_path):
    # A child of the function may make the shared pipe non-blocking: nothing is lost all the same.
    code = ("const fs = require('fs');\nexports.handler = async () => { process.stdout; for (let i = 0; i < 3000; i++)\n"
            "  console.log('%d', i, 'x'.repeat(100)); };\n")
    env = node(code, argv=["/bin/sh", "-c", '"$@" | { sleep 0.3; cat; }', "sh", *node.pack.argv])
    env.call()
    env.api.close()
    env.process.wait(10)
    lines = [line for line in env.log.splitlines() if "\tINFO\t" in line]
    assert len(lines) == 3000
