"""The python pack: what a function gets, what becomes of its result, its errors and its output."""
import json
import os
import re
import subprocess
import time

import pytest

from frames import read_log
from runtime_api import ARN, Refusal

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"


def returning(expression, setup=""):
    return "%s\ndef handler(event, context):\n    return %s\n" % (setup, expression)


# ---- the protocol ----


def test_invocations_share_one_connection_and_pipeline(python):
    env = python(returning("event"))
    for i in range(20):
        report = env.call({"n": i})
        assert (report.kind, report.json, report.is_pipelined) == ("response", {"n": i}, True)
    assert env.api.connections == 1


def test_an_answer_may_come_in_pieces(python):
    env = python(returning("event"), piece_bytes=13)
    for event in ({"a": "é" * 40}, [1, 2, 3]):
        assert env.call(event).json == event


def test_an_event_may_be_chunked(python):
    env = python(returning("event"))
    assert env.call({"text": "x" * 1000}, is_chunked=True).json == {"text": "x" * 1000}
    assert env.call("after").json == "after"


def test_large_events_and_responses_arrive_whole(python):
    env = python(returning("event"))
    event = {"text": "0123456789" * 500_000}
    assert env.call(event).json == event


def test_a_refused_response_is_over(python):
    env = python(returning("event"))
    env.api.refusals.append(Refusal(413))
    env.call(1)
    assert env.call(2).json == 2
    assert env.api.connections == 1


def test_a_refusal_may_close_the_connection(python):
    env = python(returning("event"))
    env.api.refusals.append(Refusal(413, is_closing=True))
    env.call(1)
    assert env.call(2).json == 2
    assert env.api.connections == 2


def test_a_platform_that_is_gone_ends_the_process(python):
    env = python(returning("event"))
    env.call(1)
    env.api.close()
    assert env.exit_status() == 1


def test_a_default_timeout_of_the_function_is_not_ours(python):
    env = python(returning("event", "import socket\nsocket.setdefaulttimeout(0.01)"))
    assert env.call(1).json == 1
    time.sleep(0.1)
    assert env.call(2).json == 2


# ---- events ----


@pytest.mark.parametrize("event", [
    None, True, 0, -1.5e300, "", "é\u2028\U0001f600", [], {}, {"a": [{"b": None}]}, 10 ** 30,
], ids=repr)
def test_events_of_every_kind(python, event):
    env = python(returning("[event, repr(event)]"))
    assert env.call(event).json == [event, repr(event)]


def test_white_space_around_an_event(python):
    assert python(returning("event")).call(body=b" \r\n\t{} \n").json == {}


@pytest.mark.parametrize("body, message", [
    (b"", "Expecting value: line 1 column 1 (char 0)"),
    (b"{", "Expecting property name enclosed in double quotes"),
    (b"[1] x", "Extra data: line 1 column 5"),
    (b"nul", "Expecting value: line 1 column 1 (char 0)"),
    (b"NaN", "NaN is not JSON"),
    (b'"\xff"', "'utf-8' codec can't decode byte 0xff in position 1: invalid start byte"),
], ids=repr)
def test_an_event_that_is_no_json(python, body, message):
    report = python(returning("event")).call(body=body)
    assert report.kind == "error" and report.json["errorType"] == "Runtime.UnmarshalError"
    assert report.json["errorMessage"].startswith("Unable to unmarshal input: " + message)
    assert report.json["stackTrace"] == []


def test_an_event_of_another_content_type_is_bytes(python):
    env = python(returning("repr(event)"))
    assert env.call(body=b"\x00x", fields={"Content-Type": "application/octet-stream"}).json == r"b'\x00x'"
    assert env.call(body=b"1", fields={"Content-Type": None}).json == "1"


# ---- responses ----

SETUP = """
import collections, decimal, enum, math
D = decimal.Decimal
Point = collections.namedtuple('Point', 'x y')
class Number(enum.IntEnum):
    ONE = 1
class Text(str, enum.Enum):
    A = 'a'
class Fields:
    def _asdict(self):
        return {'f': Point(1, b'2')}
class BadFields:
    def _asdict(self):
        return 1
class Pair(tuple):
    pass
loop = []
loop.append({'loop': loop})
deep = []
for _ in range(100000):
    deep = [deep]
"""


@pytest.mark.parametrize("expression, text", [
    ("None", "null"),
    ("{'a': [1, 2.0, True, None], 'b': 'c'}", '{"a": [1, 2.0, true, null], "b": "c"}'),
    ("(1, (2,))", "[1, [2]]"),
    ("{1: 1, 2.5: 2, None: 3, False: 4}", '{"1": 1, "2.5": 2, "null": 3, "false": 4}'),
    ("[math.nan, math.inf, -math.inf]", "[NaN, Infinity, -Infinity]"),
    ("D('1.10')", "1.10"),
    ("{'d': [D('1E+3'), D('-0.50'), D('NaN'), D('Infinity')]}", '{"d": [1E+3, -0.50, NaN, Infinity]}'),
    ("Point(1, 2)", '{"x": 1, "y": 2}'),
    ("{'p': [Point(1, Point('a', None))]}", '{"p": [{"x": 1, "y": {"x": "a", "y": null}}]}'),
    ("[Fields()]", '[{"f": {"x": 1, "y": "2"}}]'),
    ("Pair([1])", "[1]"),
    ("{b'k': b'caf\\xc3\\xa9'}", '{"k": "café"}'),
    ("[Number.ONE, Text.A, {Number.ONE: 1, Text.A: 2}]", '[1, "a", {"1": 1, "a": 2}]'),
    ("'é\\u2028\\U0001f600\"\\x00/'", '"é\u2028\U0001f600\\"\\u0000/"'),
    ("collections.OrderedDict(b=1, a=2)", '{"b": 1, "a": 2}'),
    ("10 ** 40", "1" + "0" * 40),
], ids=lambda value: value[:40])
def test_responses(python, expression, text):
    report = python(returning(expression, SETUP)).call()
    assert (report.kind, report.body.decode()) == ("response", text)
    assert report.fields["content-type"] == "application/json"


@pytest.mark.parametrize("runtime, body", [
    ("python3.8", rb'"caf\u00e9"'), ("python3.11", rb'"caf\u00e9"'),
    ("python3.12", '"café"'.encode()), ("python3.14", '"café"'.encode()),
])
def test_the_runtime_name_decides_how_text_is_escaped(python, runtime, body):
    env = python("def handler(event, context):\n    if event:\n        raise ValueError('café')\n    return 'café'\n",
                 runtime=runtime)
    assert env.call(False).body == body
    assert body.strip(b'"') in env.call(True).body


def test_bytes_are_the_response_itself(python):
    report = python(returning("b'\\x00\\xff'")).call()
    assert (report.kind, report.body) == ("response", b"\x00\xff")
    assert report.fields["content-type"] == "application/unknown"


@pytest.mark.parametrize("expression, message", [
    ("{1, 2}", "Object of type set is not JSON serializable"),
    ("{'a': object()}", "Object of type object is not JSON serializable"),
    ("[Point(1, 2), object()]", "Object of type object is not JSON serializable"),
    ("bytearray(b'x')", "Object of type bytearray is not JSON serializable"),
    ("{(1,): 2}", "keys must be str, int, float, bool or None, not tuple"),
    ("loop", "Circular reference detected"),
    ("[D(1), loop]", "Circular reference detected"),
    ("deep", "maximum recursion depth exceeded"),
    ("[D(1), deep]", "maximum recursion depth exceeded"),
    ("BadFields()", "_asdict() must return a dict, not int"),
    ("{'a': b'\\xff'}", "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
    ("'\\ud83d'", "'utf-8' codec can't encode character '\\ud83d' in position 1: surrogates not allowed"),
    ("(lambda: (yield))()", "Object of type generator is not JSON serializable"),
], ids=lambda value: value[:40])
def test_a_response_that_is_no_json(python, expression, message):
    env = python(returning(expression, SETUP))
    report = env.call()
    assert report.kind == "error"
    assert report.error_type == report.json["errorType"] == "Runtime.MarshalError"
    assert report.json["errorMessage"].startswith("Unable to marshal response: " + message)
    assert report.json["stackTrace"] == []
    assert env.call().kind == "error", "the environment lives on"


# ---- errors of a handler ----

FAILING = '''class OutOfStock(Exception):
    pass

def inner(message):
    raise OutOfStock(message)

def handler(event, context):
    inner(event)
'''


def test_an_exception_is_the_error_object_the_cause_and_a_log_entry(python):
    env = python(FAILING)
    report = env.call("no ünits")
    file = str(env.task / "lambda_function.py")
    assert (report.kind, report.is_pipelined) == ("error", True)
    assert report.error_type == "OutOfStock"
    assert report.fields["content-type"] == "application/json"
    assert list(report.json.items()) == [
        ("errorMessage", "no ünits"),
        ("errorType", "OutOfStock"),
        ("requestId", report.request_id),
        ("stackTrace", [
            '  File "%s", line 8, in handler\n    inner(event)\n' % file,
            '  File "%s", line 5, in inner\n    raise OutOfStock(message)\n' % file,
        ]),
    ]
    assert report.cause == {
        "working_directory": str(env.task),
        "exceptions": [{"message": "no ünits", "type": "OutOfStock", "stack": [
            {"label": "handler", "path": file, "line": 8},
            {"label": "inner", "path": file, "line": 5},
        ]}],
        "paths": [file],
    }
    assert env.log == (
        "[ERROR] OutOfStock: no ünits\nTraceback (most recent call last):\n"
        '\u00a0\u00a0File "%s", line 8, in handler\n\u00a0\u00a0\u00a0\u00a0inner(event)\n'
        '\u00a0\u00a0File "%s", line 5, in inner\n\u00a0\u00a0\u00a0\u00a0raise OutOfStock(message)\n' % (file, file))
    assert env.call("again").json["errorMessage"] == "again", "the environment lives on"


def test_an_error_in_the_json_log_format(python):
    env = python(FAILING, env={"AWS_LAMBDA_LOG_FORMAT": "JSON"})
    report = env.call("x")
    logged = json.loads(env.log)
    assert re.fullmatch(TIME + "Z", logged.pop("timestamp"))
    assert logged.pop("level") == "ERROR"
    assert logged == report.json


@pytest.mark.parametrize("statement, kind, message", [
    ("raise ValueError", "ValueError", ""),
    ("raise KeyError('k')", "KeyError", "'k'"),
    ("raise type('A\\r\\nX: é', (Exception,), {})('two\\nlines')", "A\r\nX: é", "two\nlines"),
    ("raise Silent", "Silent", "<exception str() failed>"),
    ("raise ValueError('half \\ud83d')", "ValueError", "half \ud83d"),
    ("1 / 0", "ZeroDivisionError", "division by zero"),
], ids=lambda value: repr(value)[:40])
def test_unusual_errors(python, statement, kind, message):
    setup = "class Silent(Exception):\n    def __str__(self):\n        raise TypeError\n"
    env = python("%sdef handler(event, context):\n    %s\n" % (setup, statement))
    report = env.call()
    assert (report.json["errorType"], report.json["errorMessage"]) == (kind, message)
    assert len(report.json["stackTrace"]) == 1
    assert env.call().kind == "error", "the environment lives on"


def test_a_cause_that_is_too_long_for_a_header_is_left_out(python):
    env = python("def handler(event, context):\n    raise ValueError('x' * event)\n")
    assert "lambda-runtime-function-xray-error-cause" in env.call(30_000).fields
    report = env.call(33_000)
    assert "lambda-runtime-function-xray-error-cause" not in report.fields
    assert report.json["errorMessage"] == "x" * 33_000


def test_endless_recursion_is_an_error(python):
    env = python("def handler(event, context):\n    return handler(event, context)\n")
    report = env.call()
    assert report.json["errorType"] == "RecursionError"
    assert "Previous line repeated" in report.json["stackTrace"][-1]


def test_a_handler_with_other_parameters(python):
    report = python("def handler():\n    pass\n").call()
    assert report.json["errorType"] == "TypeError"
    assert report.json["errorMessage"] == "handler() takes 0 positional arguments but 2 were given"
    assert report.json["stackTrace"], "there are no frames but ours"


def test_an_error_after_the_working_directory_is_gone(python):
    env = python("import os, tempfile\ndef handler(event, context):\n"
                 "    d = tempfile.mkdtemp(); os.chdir(d); os.rmdir(d)\n    raise ValueError('x')\n")
    report = env.call()
    assert (report.json["errorType"], report.cause["working_directory"]) == ("ValueError", "")


# ---- the end of the process ----


@pytest.mark.parametrize("statement, status", [
    ("sys.exit(0)", 0), ("sys.exit(3)", 3), ("sys.exit('why')", 1), ("raise KeyboardInterrupt", -2),
    ("raise BaseException('x')", 1), ("os._exit(7)", 7), ("os.kill(os.getpid(), 9)", -9),
])
def test_an_exit_in_the_handler_ends_the_process_without_a_report(python, statement, status):
    env = python("import os, sys\ndef handler(event, context):\n    if event:\n        print('half', end='')\n        %s\n" % statement)
    env.call(False)
    env.api.invoke(True)
    assert env.exit_status() == status
    assert env.api.reports.empty()
    assert env.log.startswith("half")


def test_an_exit_while_importing_is_no_init_error(python):
    env = python("import sys\nsys.exit(4)\n")
    assert env.exit_status() == 4
    assert env.api.reports.empty()


# ---- init ----


@pytest.mark.parametrize("files, handler, kind, message", [
    ({}, "nothing.handler", "Runtime.ImportModuleError", "Unable to import module 'nothing': No module named 'nothing'"),
    ({"a.py": "import not_there"}, "a.handler", "Runtime.ImportModuleError",
     "Unable to import module 'a': No module named 'not_there'"),
    ({"a.py": "from os import nope"}, "a.handler", "Runtime.ImportModuleError",
     "Unable to import module 'a': cannot import name 'nope' from 'os'"),
    ({"a.py": "x = 1"}, "a.handler", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'a'"),
    ({"a.py": ""}, "a", "Runtime.MalformedHandlerName",
     "Bad handler 'a': not enough values to unpack (expected 2, got 1)"),
    ({}, "time.handler", "Runtime.BuiltInModuleConflict", "Cannot use built-in module time as a handler module"),
    ({}, ".handler", "ValueError", "Empty module name"),
], ids=lambda value: str(value)[:30])
def test_a_handler_that_cannot_be_loaded(python, files, handler, kind, message):
    env = python(files, handler=handler)
    report = env.api.report()
    assert (report.kind, report.error_type, report.json["errorType"]) == ("init", kind, kind)
    assert report.json["errorMessage"].startswith(message)
    assert report.json["requestId"] == ""
    assert kind == "ValueError" or report.json["stackTrace"] == []
    assert env.exit_status() == 1
    assert env.log.startswith("[ERROR] %s: %s" % (kind, message))


def test_a_syntax_error(python):
    env = python("def handler(event, context:\n    return 1\n")
    report = env.api.report()
    assert report.json["errorType"] == "Runtime.UserCodeSyntaxError"
    assert report.json["errorMessage"].startswith("Syntax error in module 'lambda_function': ")
    place = r'  File "%s" Line \d\n    ' % (env.task / "lambda_function.py")
    assert re.match(place, report.json["stackTrace"][0])
    assert env.exit_status() == 1


def test_an_exception_while_importing(python):
    env = python("def boom():\n    raise RuntimeError('startup')\nboom()\n")
    report = env.api.report()
    file = env.task / "lambda_function.py"
    assert (report.kind, report.json["errorType"], report.json["errorMessage"]) == ("init", "RuntimeError", "startup")
    assert report.json["stackTrace"][-2:] == [
        '  File "%s", line 3, in <module>\n    boom()\n' % file,
        '  File "%s", line 2, in boom\n    raise RuntimeError(\'startup\')\n' % file,
    ]
    assert env.exit_status() == 1


@pytest.mark.parametrize("handler", ["pkg/sub/module.handler", "pkg.sub.module.handler"])
def test_a_handler_in_a_package(python, handler):
    env = python({
        "pkg/__init__.py": "", "pkg/sub/__init__.py": "", "pkg/other.py": "word = 'found'",
        "pkg/sub/module.py": "from pkg.other import word\ndef handler(e, c):\n    return word\n",
    }, handler=handler)
    assert env.call().json == "found"


# ---- what the handler sees ----


def test_the_context(python):
    env = python("def handler(event, context):\n    return {**{k: getattr(context, k) for k in (\n"
                 "        'aws_request_id log_group_name log_stream_name function_name memory_limit_in_mb '\n"
                 "        'function_version invoked_function_arn tenant_id client_context').split()},\n"
                 "        'identity': [context.identity.cognito_identity_id, context.identity.cognito_identity_pool_id],\n"
                 "        'left': context.get_remaining_time_in_millis(), 'repr': repr(context), 'w3c': context.w3c()}\n")
    report = env.call(remaining_ms=5000)
    seen = report.json
    assert 4000 < seen.pop("left") <= 5000
    stream = "2026/01/01/[$LATEST]00000000000000000000000000000000"
    assert seen.pop("repr") == (
        "LambdaContext([aws_request_id=%s,log_group_name=/aws/lambda/hello,log_stream_name=%s,function_name=hello,"
        "memory_limit_in_mb=128,function_version=$LATEST,invoked_function_arn=%s,client_context=None,"
        "identity=CognitoIdentity([cognito_identity_id=None,cognito_identity_pool_id=None]),tenant_id=None])"
        % (report.request_id, stream, ARN))
    assert seen == {
        "aws_request_id": report.request_id, "log_group_name": "/aws/lambda/hello", "log_stream_name": stream,
        "function_name": "hello", "memory_limit_in_mb": "128", "function_version": "$LATEST",
        "invoked_function_arn": ARN, "tenant_id": None, "client_context": None, "identity": [None, None], "w3c": {},
    }
    assert env.call(remaining_ms=-5000).json["left"] == 0


def test_client_context_identity_and_tenant(python):
    env = python("def handler(event, context):\n    c = context.client_context\n"
                 "    return [c.custom, c.env, c.client.app_title, c.client.app_version_code, repr(c),\n"
                 "        context.identity.cognito_identity_id, context.identity.cognito_identity_pool_id,\n"
                 "        context.tenant_id, context.w3c()]\n")
    report = env.call(fields={
        "Lambda-Runtime-Client-Context": json.dumps({
            "custom": {"k": "v"}, "client": {"app_title": "title"}, "w3c": {"traceparent": "00-1", "other": "x", "baggage": 1}}),
        "Lambda-Runtime-Cognito-Identity": json.dumps({"cognitoIdentityId": "id", "cognitoIdentityPoolId": "pool"}),
        "Lambda-Runtime-Aws-Tenant-Id": "blue",
    })
    assert report.json == [
        {"k": "v"}, None, "title", None,
        "ClientContext([custom={'k': 'v'},env=None,client=Client([installation_id=None,app_title=title,"
        "app_version_name=None,app_version_code=None,app_package_name=None])])",
        "id", "pool", "blue", {"traceparent": "00-1"},
    ]


def test_a_client_context_that_is_no_json(python):
    report = python(returning("1")).call(fields={"Lambda-Runtime-Client-Context": "{x"})
    assert report.json["errorType"] == "Runtime.LambdaContextUnmarshalError"
    assert report.json["errorMessage"].startswith("Unable to parse Client Context JSON: ")


def test_the_trace_id_is_that_of_the_invocation(python):
    env = python(returning("os.environ.get('_X_AMZN_TRACE_ID')", "import os"))
    assert env.call(fields={"Lambda-Runtime-Trace-Id": "Root=1"}).json == "Root=1"
    assert env.call(fields={"Lambda-Runtime-Trace-Id": None}).json is None
    assert env.call(fields={"Lambda-Runtime-Trace-Id": "Root=2"}).json == "Root=2"


def test_the_process_that_a_function_finds(python):
    env = python(returning("[sys.path, os.environ['PATH'], os.getcwd(), sys.argv, sys.executable, __name__]", "import os, sys"),
                 runtime="python3.99")
    path, search, cwd, argv, executable, name = env.call().json
    own = "python%s" % ".".join(python.pack.version.split(".")[:2])
    runtime = os.path.dirname(argv[0])
    assert path[:5] == [str(env.task), "/opt/python/lib/python3.99/site-packages",
                        "/opt/python/lib/%s/site-packages" % own, "/opt/python", runtime]
    assert len(path) == len(set(path))
    assert search == "%s:/usr/local/bin:/usr/bin/:/bin:/opt/bin" % os.path.dirname(executable)
    assert (cwd, len(argv), name) == (str(env.task), 1, "lambda_function")


def test_a_path_of_the_functions_own_is_left_alone(python):
    assert python(returning("os.environ['PATH']", "import os"), env={"PATH": "/opt/mine"}).call().json == "/opt/mine"


def test_files_beside_the_handler_do_not_replace_what_the_runtime_uses(python):
    bad = "raise RuntimeError('not this one')\n"
    names = "token logging json traceback string re decimal types enum linecache mayfly_errors mayfly_json mayfly_logging"
    files = {name + ".py": bad for name in names.split()}
    files["bootstrap.py"] = "mine = 1\n"
    files["lambda_function.py"] = (
        "import bootstrap, decimal, json, logging\n"
        "def handler(event, context):\n"
        "    logging.warning('logged')\n    if event:\n        raise ValueError('mine')\n"
        "    return [decimal.Decimal('1.0'), bootstrap.mine, json.dumps(1)]\n")
    env = python(files)
    assert env.call(False).body == b'[1.0, 1, "1"]'
    assert env.call(True).json["errorType"] == "ValueError"
    assert env.log.count("logged") == 2


def test_a_plain_function_costs_no_big_imports(python):
    # What .pth files of this machine import is not ours: compare with the bare interpreter.
    bare = subprocess.run([python.pack.program, "-s", "-c", "import sys; print(*sys.modules)"],
                          env={}, capture_output=True, text=True, check=True).stdout.split()
    env = python(returning("before", "import sys\nbefore = list(sys.modules)"))
    assert set(env.call().json) - set(bare) <= {
        "mayfly_runtime", "lambda_function", "_json", "_socket", "importlib", "importlib._bootstrap",
        "importlib._bootstrap_external", "warnings", "types"}


def test_a_child_process_is_no_second_runtime(python):
    env = python("import multiprocessing\ndef child(pipe):\n    pipe.send('child')\n"
                 "def handler(event, context):\n    spawn = multiprocessing.get_context('spawn')\n"
                 "    ours, theirs = spawn.Pipe()\n    process = spawn.Process(target=child, args=(theirs,))\n"
                 "    process.start()\n    said = ours.recv()\n    process.join()\n    return [said, process.exitcode]\n")
    assert env.call().json == ["child", 0]
    assert env.api.connections == 1


def test_a_wrapper_script_starts_the_runtime(python, tmp_path):
    wrapper = tmp_path / "wrapper"
    wrapper.write_text('#!/bin/sh\nexport WRAPPED=yes\nexec "$@"\n')
    wrapper.chmod(0o755)
    env = python(returning("[os.environ['WRAPPED'], sys.argv[1:]]", "import os, sys"),
                 env={"AWS_LAMBDA_EXEC_WRAPPER": str(wrapper)})
    assert env.call().json == ["yes", []]


# ---- logs ----


def test_what_is_printed_is_logged_as_it_is(python):
    env = python("import sys\ndef handler(event, context):\n    print('one\\ntwo', 'three')\n"
                 "    print('err', file=sys.stderr)\n    sys.stdout.write('no end')\n    context.log(' logged')\n")
    env.call()
    assert env.log == "one\ntwo three\nerr\nno end logged\n"


def test_a_function_may_close_its_output(python):
    env = python("import sys\nsys.stdout.close()\nsys.stderr = None\ndef handler(event, context):\n    return event\n")
    assert env.call(1).json == 1
    assert env.call(2).json == 2


def test_log_records_in_the_text_format(python):
    env = python("import logging\nlogging.basicConfig(level='INFO')\nlogging.warning('init')\n"
                 "def handler(event, context):\n    logging.warning('two\\nlines %s', 1)\n    logging.info('hidden')\n"
                 "    logging.getLogger().setLevel('INFO')\n    logging.getLogger('x').info('shown')\n")
    report = env.call()
    line = r"\[%s\]\t" + TIME + r"\.\d{3}Z\t%s\t%s\n"
    assert re.fullmatch(line % ("WARNING", "", "init") + line % ("WARNING", report.request_id, "two\nlines 1")
                        + line % ("INFO", report.request_id, "shown"), env.log), env.log


def test_log_records_in_the_json_format(python):
    env = python("import logging\nlog = logging.getLogger('shop')\ndef handler(event, context):\n"
                 "    log.info('hello %s', 'é', extra={'order': {1: object}, 'message2': None})\n    log.debug('hidden')\n"
                 "    log.warning({'a': 1})\n    log.warning({'a': 1}, 2) if event else None\n"
                 "    try:\n        1 / 0\n    except ZeroDivisionError:\n        log.exception('caught')\n",
                 env={"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "INFO"})
    report = env.call(fields={"Lambda-Runtime-Aws-Tenant-Id": "blue"})
    records = [json.loads(line) for line in env.log.splitlines()]
    for record in records:
        assert re.fullmatch(TIME + "Z", record.pop("timestamp"))
        assert (record.pop("logger"), record.pop("requestId"), record.pop("tenantId")) == ("shop", report.request_id, "blue")
    file = env.task / "lambda_function.py"
    trace = records[2].pop("stackTrace")
    assert trace[0].startswith('  File "%s", line 9, in handler\n    1 / 0\n' % file)
    assert records == [
        {"level": "INFO", "message": "hello é", "order": {"1": "<class 'object'>"}},
        {"level": "WARNING", "message": {"a": 1}},
        {"level": "ERROR", "message": "caught", "errorType": "ZeroDivisionError", "errorMessage": "division by zero",
         "location": "%s:handler:11" % file},
    ]


@pytest.mark.parametrize("level, shown", [
    ("TRACE", "DIWEC"), ("DEBUG", "DIWEC"), ("INFO", "IWEC"), ("WARN", "WEC"), ("ERROR", "EC"), ("FATAL", "C"), ("nonsense", "WEC"),
])
def test_the_log_level(python, level, shown):
    env = python("import logging\ndef handler(event, context):\n    for l in (10, 20, 30, 40, 50):\n        logging.log(l, 'x')\n",
                 env={"AWS_LAMBDA_LOG_LEVEL": level})
    env.call()
    assert [line[1] for line in env.log.splitlines()] == list(shown)


def test_log_events_are_framed_for_a_platform_that_takes_frames(python):
    env = python("import logging, os\ndef handler(event, context):\n    print('plain')\n    logging.warning('two\\nlines')\n"
                 "    context.log('é')\n    assert '_LAMBDA_TELEMETRY_LOG_FD' not in os.environ\n    raise ValueError('a\\nb')\n",
                 env={"_LAMBDA_TELEMETRY_LOG_FD": "1"})
    report = env.call()
    assert report.json["errorType"] == "ValueError"
    plain, record, logged, error = read_log(env.log_path.read_bytes())
    assert (plain.text, plain.format) == ("plain", None)
    assert (record.level, record.format) == ("WARN", "text") and record.text.endswith("\ttwo\nlines\n")
    assert (logged.level, logged.format, logged.text) == (None, "text", "é")
    assert (error.level, error.format) == ("ERROR", "text")
    assert error.text.startswith("[ERROR] ValueError: a\nb\nTraceback (most recent call last):\n")


def test_json_log_events_are_framed_too(python):
    env = python("import logging\ndef handler(event, context):\n    logging.error('x')\n    raise ValueError('a\\nb')\n",
                 env={"_LAMBDA_TELEMETRY_LOG_FD": "1", "AWS_LAMBDA_LOG_FORMAT": "JSON"})
    env.call()
    record, error = read_log(env.log_path.read_bytes())
    assert [record.format, record.level, error.format, error.level] == ["json", "ERROR"] * 2
    assert json.loads(record.text)["message"] == "x" and json.loads(error.text)["errorMessage"] == "a\nb"


def test_a_long_log_event_is_cut_into_frames(python):
    env = python("import logging\ndef handler(event, context):\n    logging.warning('x' * 600_000)\n    print('after')\n",
                 env={"_LAMBDA_TELEMETRY_LOG_FD": "1"})
    env.call()
    *pieces, after = read_log(env.log_path.read_bytes())
    assert [len(piece.text) for piece in pieces[:2]] == [256 << 10] * 2 and len(pieces) == 3
    assert "".join(piece.text for piece in pieces).endswith("x" * 600_000 + "\n")
    assert after.text == "after"
