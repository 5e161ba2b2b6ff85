"""The Node.js pack: module kinds, handler styles, errors, logs."""

import base64
import re

import pytest

from harness.functions import NODE

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


@pytest.fixture(scope="module")
def make(functions):
    def one(source=None, **more):
        return functions.make(source, runtime=NODE, **more)

    return one


def failed(functions, name, event=None, **more):
    answer, payload = functions.invoke(name, {} if event is None else event, **more)
    assert (answer["StatusCode"], answer.get("FunctionError")) == (200, "Unhandled"), payload
    return answer, payload


@pytest.mark.parametrize(
    "file, source",
    [
        ("index.js", "exports.handler = async (event) => ({ got: event });\n"),
        ("index.js", "exports.handler = (event, context, callback) => callback(null, { got: event });\n"),
        ("index.js", "exports.handler = (event, context, callback) => { setTimeout(() => callback(null, { got: event }), 20); };\n"),
        ("index.js", "exports.handler = (event, context) => { context.succeed({ got: event }); };\n"),
        ("index.mjs", "export const handler = async (event) => ({ got: event });\n"),
        ("index.mjs", "const word = await Promise.resolve('got');\nexport async function handler(e) { return { [word]: e }; }\n"),
        ("index.cjs", "module.exports.handler = async (event) => ({ got: event });\n"),
    ],
    ids=["async", "callback", "late-callback", "succeed", "module", "top-level-await", "cjs"],
)
def test_styles_of_handlers(functions, make, file, source):
    name = make(files={file: source})
    assert functions.call(name, {"x": 1}) == {"got": {"x": 1}}


def test_a_package_of_type_module(functions, make):
    files = {
        "package.json": '{"type": "module"}',
        "index.js": "import { word } from './lib/other.js';\nexport const handler = async () => word;\n",
        "lib/other.js": "export const word = 'found';\n",
    }
    assert functions.call(make(files=files), {}) == "found"


def test_a_handler_in_a_folder(functions, make):
    name = make(files={"src/app.js": "exports.lambdaHandler = async () => 'deep';\n"}, Handler="src/app.lambdaHandler")
    assert functions.call(name, {}) == "deep"


def test_a_nested_handler(functions, make):
    name = make("exports.api = { v1: { run: async () => 'nested' } };\n", Handler="index.api.v1.run")
    assert functions.call(name, {}) == "nested"


def test_node_modules_are_found(functions, make):
    files = {
        "index.js": "const dep = require('dep');\nexports.handler = async () => dep;\n",
        "node_modules/dep/index.js": "module.exports = 'dependency';\n",
    }
    assert functions.call(make(files=files), {}) == "dependency"


def test_the_context_object(functions, make):
    name = make(
        "exports.handler = async (event, context) => ({ context, remaining: context.getRemainingTimeInMillis(),\n"
        "  env: process.env, cwd: process.cwd() });\n",
        Timeout=5,
        MemorySize=256,
    )
    answer, seen = functions.invoke(name, {})
    context = seen["context"]
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", context["logStreamName"])
    assert {k: v for k, v in context.items() if k not in ("logStreamName", "tenantId")} == {
        "callbackWaitsForEmptyEventLoop": True,
        "functionVersion": "$LATEST",
        "functionName": name,
        "memoryLimitInMB": "256",
        "logGroupName": f"/aws/lambda/{name}",
        "invokedFunctionArn": functions.arn(name),
        "awsRequestId": answer["ResponseMetadata"]["RequestId"],
    }
    assert 4000 < seen["remaining"] <= 5000
    assert seen["cwd"] == "/var/task"
    assert seen["env"]["AWS_EXECUTION_ENV"] == f"AWS_Lambda_{NODE}"
    assert seen["env"]["_HANDLER"] == "index.handler"
    assert re.match(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}", seen["env"]["_X_AMZN_TRACE_ID"])


@pytest.mark.parametrize(
    "source",
    [
        "exports.handler = async () => { throw new TypeError('it broke'); };\n",
        "exports.handler = (event, context, callback) => callback(new TypeError('it broke'));\n",
        "exports.handler = (event, context) => context.fail(new TypeError('it broke'));\n",
        "exports.handler = () => { throw new TypeError('it broke'); };\n",
        "exports.handler = () => Promise.reject(new TypeError('it broke'));\n",
    ],
    ids=["async", "callback", "fail", "throw", "reject"],
)
def test_errors(functions, make, source):
    name = make(source)
    answer, payload = failed(functions, name, LogType="Tail")
    assert (payload["errorType"], payload["errorMessage"]) == ("TypeError", "it broke")
    assert payload["trace"][0] == "TypeError: it broke"
    assert any("/var/task/index.js:1:" in line for line in payload["trace"])
    assert list(payload) == ["errorType", "errorMessage", "trace"]
    request = answer["ResponseMetadata"]["RequestId"]
    logged = base64.b64decode(answer["LogResult"]).decode()
    assert re.search(rf"^[0-9T:.Z-]{{24}}\t{request}\tERROR\tInvoke Error \t\{{\"errorType\":\"TypeError\"", logged, re.MULTILINE)


def test_a_thrown_string(functions, make):
    _, payload = failed(functions, make("exports.handler = async () => { throw 'plain'; };\n"))
    assert (payload["errorType"], payload["errorMessage"]) == ("string", "plain")


@pytest.mark.parametrize("wait", [200, 0], ids=["its handler never returns", "its handler returns meanwhile"])
def test_an_unhandled_rejection_ends_the_environment(functions, make, wait):
    name = make(
        "exports.handler = async (event) => {\n"
        f"  if (event.die) {{ Promise.reject(new Error('nobody caught me')); await new Promise((r) => setTimeout(r, {wait})); }}\n"
        "  return 'fine';\n};\n"
    )
    _, payload = failed(functions, name, {"die": True})
    assert payload["errorType"] == "Runtime.UnhandledPromiseRejection"
    assert payload["errorMessage"] == "Error: nobody caught me"
    assert functions.call(name, {}) == "fine"


def test_an_uncaught_exception_in_a_timer(functions, make):
    name = make(
        "exports.handler = async () => {\n"
        "  setTimeout(() => { throw new RangeError('late'); }, 10);\n  await new Promise((r) => setTimeout(r, 500));\n};\n"
    )
    _, payload = failed(functions, name)
    assert (payload["errorType"], payload["errorMessage"]) == ("RangeError", "late")


def test_process_exit(functions, make):
    name = make("exports.handler = async (event) => { process.exit(event.code); };\n")
    for code, reason in ((0, "Runtime exited without providing a reason"), (3, "Runtime exited with error: exit status 3")):
        answer, payload = failed(functions, name, {"code": code})
        request = answer["ResponseMetadata"]["RequestId"]
        assert payload == {"errorType": "Runtime.ExitError", "errorMessage": f"RequestId: {request} Error: {reason}"}


def test_a_module_that_does_not_exist(functions, make):
    _, payload = failed(functions, make("exports.handler = 1;\n", Handler="nothing.handler"))
    assert payload["errorType"] == "Runtime.ImportModuleError"
    assert payload["errorMessage"].startswith("Error: Cannot find module 'nothing'")


def test_a_dependency_that_does_not_exist(functions, make):
    _, payload = failed(functions, make("require('not-installed');\n"))
    assert payload["errorType"] == "Runtime.ImportModuleError"
    assert payload["errorMessage"].startswith("Error: Cannot find module 'not-installed'")


def test_a_handler_that_does_not_exist(functions, make):
    _, payload = failed(functions, make("exports.other = async () => 1;\n"))
    assert payload["errorType"] == "Runtime.HandlerNotFound"
    assert payload["errorMessage"] == "index.handler is undefined or not exported"


def test_a_handler_without_a_dot(functions, make):
    _, payload = failed(functions, make("exports.handler = async () => 1;\n", Handler="index"))
    assert payload["errorType"] == "Runtime.MalformedHandlerName"


def test_a_syntax_error(functions, make):
    _, payload = failed(functions, make("exports.handler = async () => {\n"))
    assert payload["errorType"] == "Runtime.UserCodeSyntaxError"
    assert payload["errorMessage"].startswith("SyntaxError: ")


def test_an_error_while_loading(functions, make):
    for _ in range(2):
        _, payload = failed(functions, make("throw new Error('startup fails');\n"))
        assert (payload["errorType"], payload["errorMessage"]) == ("Error", "startup fails")


def test_console_lines(functions, make):
    name = make(
        "exports.handler = async () => {\n"
        "  console.log('hello %s', 'node'); console.error('bad'); console.warn('careful'); console.info('fyi');\n"
        "  console.debug('deep'); console.log({ a: [1, 2] }); console.log('two\\nlines');\n};\n"
    )
    answer, _ = functions.invoke(name, {}, LogType="Tail")
    request = answer["ResponseMetadata"]["RequestId"]
    logged = base64.b64decode(answer["LogResult"]).decode()
    for level, text in (
        ("INFO", "hello node"),
        ("ERROR", "bad"),
        ("WARN", "careful"),
        ("INFO", "fyi"),
        ("DEBUG", "deep"),
        ("INFO", r"\{ a: \[ 1, 2 \] \}"),
    ):
        assert re.search(rf"^\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}Z\t{request}\t{level}\t{text}$", logged, re.MULTILINE), (
            level,
            text,
            logged,
        )


def test_an_open_timer_does_not_hold_back_an_async_handler(functions, make):
    name = make("exports.handler = async () => { setTimeout(() => {}, 60000); return 'now'; };\n")
    assert functions.call(name, {}) == "now"


def test_a_result_of_undefined_is_null(functions, make):
    assert functions.call(make("exports.handler = async () => undefined;\n"), {}) is None


def test_a_result_that_is_no_json(functions, make):
    name = make("exports.handler = async () => { const a = {}; a.a = a; return a; };\n")
    _, payload = failed(functions, name)
    assert payload["errorMessage"] == "Unable to stringify response body"


def test_fetch_is_there(functions, make):
    name = make(
        "exports.handler = async () => {\n"
        "  const r = await fetch(process.env.AWS_ENDPOINT_URL + '/_localstack/health'); return r.status;\n};\n"
    )
    assert functions.call(name, {}) == 200
