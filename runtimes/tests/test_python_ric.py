"""
The python pack against AWS's own runtime client, awslambdaric: the same functions and events
must give the same reports and the same log events.
"""
import os
import re
import subprocess
import tempfile
import warnings
from pathlib import Path

import pytest

from frames import read_log
from packs import PYTHONS, python_starter

INSTALL_SECONDS_MAX = 120
pytestmark = [pytest.mark.network, pytest.mark.seconds(180)]

# Older versions of Python have older versions of the client, which differ among themselves. The
# pack's own tests run on every Python: the oldest and the newest are enough here.
NEW_ENOUGH = [item for item in PYTHONS.items() if [int(n) for n in item[0].split(".")] >= [3, 10]]
COMPARED = NEW_ENOUGH[:1] + NEW_ENOUGH[1:][-1:]


@pytest.fixture(params=COMPARED, ids=lambda item: item[0])
def python(request, tmp_path):
    start = python_starter(*request.param, tmp_path)
    yield start
    start.pack.stop()


@pytest.fixture(scope="session")
def ric_folder():
    """program → folder with awslambdaric for it; installed once, kept for the next run."""
    folders = {}

    def install(program, version):
        if program in folders:
            return folders[program]
        folder = Path(tempfile.gettempdir()) / ("mayfly-awslambdaric-%s-%d" % (version, os.getuid()))
        if not (folder / "installed").exists():
            try:
                subprocess.run([program, "-m", "pip", "install", "-q", "--target", str(folder), "awslambdaric"],
                               check=True, capture_output=True, timeout=INSTALL_SECONDS_MAX)
                (folder / "installed").touch()
            except (subprocess.SubprocessError, OSError) as e:
                warnings.warn("awslambdaric cannot be installed for Python %s: NOT COMPARED (%s)" % (version, e))
                folder = None
        folders[program] = folder
        return folder

    return install


@pytest.fixture
def both(python, ric_folder):
    """start(code, …) → environments (ours, AWS's) of the same function."""
    folder = ric_folder(python.pack.program, python.pack.version)
    if folder is None:
        pytest.skip("awslambdaric is not installable here")

    def start(code, handler="lambda_function.handler", env=None, **more):
        env = {"_LAMBDA_TELEMETRY_LOG_FD": "1", **(env or {})}
        ours = python(code, handler=handler, env=env, **more)
        theirs = python(code, handler=handler, env={**env, "PYTHONPATH": str(folder)},
                        argv=[python.pack.program, "-s", "-u", "-m", "awslambdaric", handler], **more)
        return ours, theirs

    return start


CLIENTS = ("/bootstrap.py", "/mayfly_runtime.py", "/lambda_context.py")


def is_of_client(text):
    return any(name in text for name in CLIENTS)


def same(environment, text):
    """Text without what differs for good: folders, times, the frames of the clients themselves."""
    text = text.replace(str(environment.task), "TASK")
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?", "TIME", text)
    return text


def comparable(environment, report):
    result = {"kind": report.kind, "body": same(environment, report.body.decode("utf-8", "backslashreplace"))}
    if report.kind == "response":
        result["content-type"] = report.fields["content-type"]
    else:
        body = report.json
        body["stackTrace"] = [same(environment, line) for line in body["stackTrace"] if not is_of_client(line)]
        body["errorMessage"] = same(environment, body["errorMessage"])
        result["body"] = body
        result["order"] = list(body)
    if report.kind == "init":
        result["type"] = report.error_type
    if report.kind == "error":
        cause = report.cause
        for exception in cause["exceptions"]:
            exception["stack"] = [f for f in exception["stack"] if not is_of_client(f["path"])]
        cause["paths"] = sorted(path for path in cause["paths"] if not is_of_client(path))
        result["cause"] = same(environment, repr(cause))
    return result


def logged(environment):
    """The log's events; AWS's general warning before an init error is not ours to give."""
    result = []
    for event in read_log(environment.log_path.read_bytes()):
        if "LAMBDA_WARNING: Unhandled exception" in event.text:
            continue
        text = same(environment, event.text)
        # A frame of the client: its line, and the line of its source below, indented further.
        text = re.sub(r"\n\u00a0\u00a0File [^\n]*(%s)[^\n]*(\n\u00a0{4}[^\n]*)?" % "|".join(CLIENTS), "", text)
        text = re.sub(r'"  File [^"]*\\"[^"]*(%s)[^"]*(\\"[^"]*)*",? ?' % "|".join(CLIENTS), "", text)
        result.append((event.format, text, event.level if event.format == "json" else None))
    return result


def compare_calls(pair, events, **options):
    """Call both with each event; the same reports and the same logs."""
    for number, event in enumerate(events):
        request_id = "00000000-0000-4000-8000-%012d" % number
        ours, theirs = (comparable(e, e.call(event, request_id=request_id, **options)) for e in pair)
        assert ours == theirs
    assert logged(pair[0]) == logged(pair[1])


RESPONSES = """
import collections, datetime, decimal, enum, math, uuid
D = decimal.Decimal
Point = collections.namedtuple('Point', 'x y')
class Number(enum.IntEnum):
    ONE = 1
class Text(str, enum.Enum):
    A = 'a'
class Fields:
    def _asdict(self):
        return {'f': Point(1, b'2')}
class Pair(tuple):
    pass
class BadFields:
    def _asdict(self):
        return 1
loop = []
loop.append({'loop': loop})
def handler(event, context):
    return eval(event)
"""
EXPRESSIONS = [
    "None", "'é\\u2028\\U0001f600\\x7f\"'", "{'a': [1, 2.0, True, None]}", "(1, (2,))", "{1: 1, 2.5: 2, None: 3, False: 4}",
    "[math.nan, math.inf, -math.inf]", "D('1.10')", "[D('1E+3'), D('NaN'), D('Infinity'), D('-0')]", "Point(1, 2)",
    "{'p': [Point(1, Point('a', None))]}", "[Fields()]", "Pair([1])", "{b'k': b'caf\\xc3\\xa9'}", "[Number.ONE, Text.A]",
    "{Number.ONE: 1, Text.A: 2}", "collections.OrderedDict(b=1, a=2)", "10 ** 40", "1e22", "b'raw\\x00'", "''", "[]",
    "{1, 2}", "{'a': object()}", "bytearray(b'x')", "{(1,): 2}", "loop", "[D(1), loop]", "{'a': b'\\xff'}", "BadFields()",
    "datetime.datetime(2020, 1, 1)", "uuid.UUID(int=1)", "(i for i in [1])", "range(3)", "{D(1): 1}", "[Point(1, object())]",
]


@pytest.mark.parametrize("runtime", ["python3.11", "python3.13"])
def test_responses(both, runtime):
    pair = both(RESPONSES, runtime=runtime)
    compare_calls(pair, EXPRESSIONS)


ERRORS = """
class OutOfStock(Exception):
    pass
class Outer:
    class Inner(Exception):
        pass
def inner(message):
    raise OutOfStock(message)
def deep(n):
    return deep(n - 1) if n else 1 / 0
def chained():
    try:
        1 / 0
    except ZeroDivisionError as e:
        raise ValueError('chained') from e
def handler(event, context):
    return eval(event)
"""


@pytest.mark.parametrize("env", [{}, {"AWS_LAMBDA_LOG_FORMAT": "JSON"}], ids=["text", "json"])
def test_errors(both, env):
    compare_calls(both(ERRORS, env=env), [
        "inner('no ünits')", "inner('')", "inner('two\\n  lines')", "1 / 0", "{}['k']", "deep(3)", "deep(50)", "chained()",
        "(_ for _ in ()).throw(Outer.Inner('x'))", "undefined_name", "'a' + 1", "int('x')", "open('/nothing')", "inner(None)",
    ])


def test_a_handler_with_other_parameters(both):
    compare_calls(both("def handler():\n    pass\n"), [1])


@pytest.mark.parametrize("files, handler", [
    ({}, "nothing.handler"), ({"a.py": "import not_there"}, "a.handler"), ({"a.py": "from os import nope"}, "a.handler"),
    ({"a.py": "x = 1"}, "a.handler"), ({"a.py": ""}, "a"), ({"a.py": "def f(:\n"}, "a.handler"), ({"a.py": "\n  x\n"}, "a.h"),
    ({"a.py": "raise RuntimeError('startup')"}, "a.handler"), ({"a.py": "import b\n", "b.py": "1 / 0\n"}, "a.handler"),
    ({"p/__init__.py": "", "p/q.py": "x"}, "p.q.handler"), ({}, "time.handler"), ({}, "sys.exit"), ({}, ".handler"),
    ({"a.py": "def handler(e, c): pass"}, "/a.handler"), ({"a.py": "handler = 1"}, "a.b.handler"), ({"a.py": ""}, "a."),
    ({"a.py": "import logging\nlogging.warning('x')\nraise ValueError"}, "a.handler"),
], ids=lambda value: str(value)[:40])
@pytest.mark.parametrize("env", [{}, {"AWS_LAMBDA_LOG_FORMAT": "JSON"}], ids=["text", "json"])
def test_init_errors(both, files, handler, env):
    pair = both(files, handler=handler, env=env)
    ours, theirs = (comparable(e, e.api.report()) for e in pair)
    assert ours == theirs
    assert pair[0].exit_status() == pair[1].exit_status() == 1
    assert logged(pair[0]) == logged(pair[1])


CONTEXT = """
import os
def handler(event, context):
    c, i = context.client_context, context.identity
    return [repr(context), repr(c), repr(i), context.w3c(), context.aws_request_id, context.invoked_function_arn,
        context.memory_limit_in_mb, context.tenant_id, c and [c.custom, c.env, c.client and c.client.app_title],
        i.cognito_identity_id, os.environ.get('_X_AMZN_TRACE_ID'), os.environ.get('_LAMBDA_TELEMETRY_LOG_FD')]
"""


@pytest.mark.parametrize("fields", [
    {}, {"Lambda-Runtime-Client-Context": '{"custom":{"a":1},"client":{"app_title":"t"},"env":{"x":"y"}}'},
    {"Lambda-Runtime-Client-Context": '{"client":null,"w3c":{"traceparent":"00-1","tracestate":1,"more":"x"}}'},
    {"Lambda-Runtime-Client-Context": "{x"}, {"Lambda-Runtime-Client-Context": "[1]"},
    {"Lambda-Runtime-Cognito-Identity": '{"cognitoIdentityId":"i","cognitoIdentityPoolId":"p"}'},
    {"Lambda-Runtime-Cognito-Identity": "x"}, {"Lambda-Runtime-Aws-Tenant-Id": "blue"},
], ids=str)
def test_the_context(both, fields):
    compare_calls(both(CONTEXT), [1, 2], fields={"Lambda-Runtime-Trace-Id": "Root=1", **fields})


LOGS = """
import logging, sys
log = logging.getLogger('shop')
log.setLevel('DEBUG')
logging.warning('at init')
def handler(event, context):
    for level in (5, 10, 15, 20, 30, 40, 50, 60):
        logging.log(level, 'root %d', level)
        log.log(level, 'shop %d', level, extra={'order': {'n': level}, 'none': None, 'obj': object})
    log.info({'a': 1})
    log.info('two\\nlines')
    try:
        1 / 0
    except ZeroDivisionError:
        log.exception('caught')
        log.error('again', exc_info=True, stack_info=False)
    print('printed')
    context.log('logged\\n')
"""


@pytest.mark.parametrize("env", [
    {}, {"AWS_LAMBDA_LOG_FORMAT": "JSON"}, {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "INFO"},
    {"AWS_LAMBDA_LOG_FORMAT": "json", "AWS_LAMBDA_LOG_LEVEL": "TRACE"}, {"AWS_LAMBDA_LOG_LEVEL": "ERROR"},
    {"AWS_LAMBDA_LOG_FORMAT": "Text", "AWS_LAMBDA_LOG_LEVEL": "FATAL"},
], ids=str)
def test_logs(both, env):
    compare_calls(both(LOGS, env=env), [1, 2], fields={"Lambda-Runtime-Aws-Tenant-Id": "blue"})


@pytest.mark.parametrize("statement", ["sys.exit(0)", "sys.exit(3)", "sys.exit('why')", "raise BaseException('x')", "os._exit(5)"])
def test_exits(both, statement):
    pair = both("import os, sys\ndef handler(event, context):\n    print('x', end='')\n    %s\n" % statement)
    for environment in pair:
        environment.api.invoke()
    assert pair[0].exit_status() == pair[1].exit_status()
    assert pair[0].api.reports.empty() and pair[1].api.reports.empty()
