"""The Python pack: what a function sees, how it fails, what it logs. The reference is AWS's own runtime client."""

import base64
import json
import re

import pytest

from harness.functions import zip_files

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


def failed(functions, name, event=None, **more):
    """(answer, error object) of an invocation that must fail."""
    answer, payload = functions.invoke(name, {} if event is None else event, **more)
    assert (answer["StatusCode"], answer.get("FunctionError")) == (200, "Unhandled"), payload
    assert answer["ExecutedVersion"] == "$LATEST"
    return answer, payload


def tail(answer):
    return base64.b64decode(answer["LogResult"]).decode()


def test_the_context_object(functions):
    name = functions.make(
        "def handler(event, context):\n"
        "    return {k: getattr(context, k) for k in ('function_name', 'function_version', 'invoked_function_arn',\n"
        "        'memory_limit_in_mb', 'aws_request_id', 'log_group_name', 'log_stream_name', 'client_context')} | {\n"
        "        'identity': [context.identity.cognito_identity_id, context.identity.cognito_identity_pool_id],\n"
        "        'remaining': context.get_remaining_time_in_millis()}\n",
        Timeout=5,
        MemorySize=256,
    )
    answer, seen = functions.invoke(name, {})
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", seen.pop("log_stream_name"))
    assert 4000 < seen.pop("remaining") <= 5000
    assert seen == {
        "function_name": name,
        "function_version": "$LATEST",
        "invoked_function_arn": functions.arn(name),
        "memory_limit_in_mb": "256",
        "aws_request_id": answer["ResponseMetadata"]["RequestId"],
        "log_group_name": f"/aws/lambda/{name}",
        "client_context": None,
        "identity": [None, None],
    }


def test_environment_variables(functions):
    name = functions.make(
        "import os\ndef handler(event, context):\n    return dict(os.environ)\n",
        Environment={"Variables": {"TEST_KEY": "TEST_VAL"}},
        MemorySize=1024,
    )
    seen = functions.call(name, {})
    expected = {
        "TEST_KEY": "TEST_VAL",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.12",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}",
        "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
        "LAMBDA_TASK_ROOT": "/var/task",
        "TZ": ":UTC",
        "_HANDLER": "lambda_function.handler",
    }
    assert {key: seen.get(key) for key in expected} == expected
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", seen["AWS_LAMBDA_LOG_STREAM_NAME"])
    for secret in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        assert seen[secret], f"{secret} is not set"
    assert re.match(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}", seen["_X_AMZN_TRACE_ID"])
    assert "/var/task" in seen["LD_LIBRARY_PATH"] and "/opt/bin" in seen["PATH"]
    for host in ("HOME", "USER", "SUDO_USER", "MAYFLY_BIN", "PYTEST_CURRENT_TEST"):
        assert host not in seen or seen[host] in ("/tmp", "/home/sbx_user1051", "/"), f"{host} leaks: {seen[host]}"


def test_the_working_directory_is_the_code(functions):
    name = functions.make("import os\ndef handler(event, context):\n    return [os.getcwd(), sorted(os.listdir('.'))]\n")
    assert functions.call(name, {}) == ["/var/task", ["lambda_function.py"]]


def test_an_exception_becomes_an_error_object(functions):
    source = 'def inner():\n    raise Exception("Handler fails")\n\ndef handler(event, context):\n    inner()\n'
    name = functions.make(source)
    answer, payload = failed(functions, name, LogType="Tail")
    assert payload == {
        "errorMessage": "Handler fails",
        "errorType": "Exception",
        "requestId": answer["ResponseMetadata"]["RequestId"],
        "stackTrace": [
            '  File "/var/task/lambda_function.py", line 5, in handler\n    inner()\n',
            '  File "/var/task/lambda_function.py", line 2, in inner\n    raise Exception("Handler fails")\n',
        ],
    }
    assert list(payload) == ["errorMessage", "errorType", "requestId", "stackTrace"]
    logged = tail(answer)
    assert "[ERROR] Exception: Handler fails\nTraceback (most recent call last):\n" in logged
    assert '\u00a0\u00a0File "/var/task/lambda_function.py", line 5, in handler\n\u00a0\u00a0\u00a0\u00a0inner()' in logged
    assert functions.invoke(name, {})[1]["errorMessage"] == "Handler fails", "an error must not end the environment"


def test_a_custom_exception_has_its_own_name(functions):
    name = functions.make(
        "class OutOfStock(Exception):\n    pass\ndef handler(event, context):\n    raise OutOfStock('no ünits')\n"
    )
    _, payload = failed(functions, name)
    assert (payload["errorType"], payload["errorMessage"]) == ("OutOfStock", "no ünits")


def test_a_result_that_is_not_json(functions):
    name = functions.make("def handler(event, context):\n    return {1, 2}\n")
    _, payload = failed(functions, name)
    assert payload["errorType"] == "Runtime.MarshalError"
    assert payload["errorMessage"] == "Unable to marshal response: Object of type set is not JSON serializable"


def test_an_exit_in_the_handler(functions):
    name = functions.make("import sys\ndef handler(event, context):\n    sys.exit(0)\n")
    answer, payload = failed(functions, name)
    request = answer["ResponseMetadata"]["RequestId"]
    assert payload == {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: {request} Error: Runtime exited without providing a reason",
    }


@pytest.mark.parametrize(
    "how, reason",
    [
        ("os._exit(0)", "Runtime exited without providing a reason"),
        ("os._exit(7)", "Runtime exited with error: exit status 7"),
        ("os.kill(os.getpid(), 11)", "Runtime exited with error: signal: segmentation fault"),
        ("os.kill(os.getpid(), 9)", "Runtime exited with error: signal: killed"),
    ],
)
def test_a_death_of_the_process(functions, how, reason):
    name = functions.make(f"import os\ndef handler(event, context):\n    if event.get('die'):\n        {how}\n    return 1\n")
    answer, payload = failed(functions, name, {"die": True})
    request = answer["ResponseMetadata"]["RequestId"]
    assert payload["errorType"] == "Runtime.ExitError"
    assert re.match(rf"RequestId: {request} Error: {re.escape(reason)}", payload["errorMessage"]), payload
    assert functions.call(name, {}) == 1, "the next invocation gets a new environment"


def test_an_error_while_importing(functions):
    name = functions.make('raise Exception("Runtime startup fails")\n')
    for _ in range(2):
        _, payload = failed(functions, name)
        assert (payload["errorType"], payload["errorMessage"]) == ("Exception", "Runtime startup fails")
        assert payload["stackTrace"][-1] == (
            '  File "/var/task/lambda_function.py", line 1, in <module>\n    raise Exception("Runtime startup fails")\n'
        )


def test_a_syntax_error(functions):
    name = functions.make("def handler(event, context:\n    return 1\n")
    _, payload = failed(functions, name)
    assert payload["errorType"] == "Runtime.UserCodeSyntaxError"
    assert payload["errorMessage"].startswith("Syntax error in module 'lambda_function': ")


def test_a_module_that_does_not_exist(functions):
    name = functions.make(Handler="nothing.handler")
    _, payload = failed(functions, name)
    assert payload["errorType"] == "Runtime.ImportModuleError"
    assert payload["errorMessage"] == "Unable to import module 'nothing': No module named 'nothing'"


def test_a_dependency_that_does_not_exist(functions):
    name = functions.make("import not_installed\ndef handler(e, c):\n    pass\n")
    _, payload = failed(functions, name)
    assert payload["errorType"] == "Runtime.ImportModuleError"
    assert payload["errorMessage"] == "Unable to import module 'lambda_function': No module named 'not_installed'"


def test_a_handler_that_does_not_exist(functions):
    name = functions.make(Handler="lambda_function.nobody")
    _, payload = failed(functions, name)
    assert payload["errorType"] == "Runtime.HandlerNotFound"
    assert payload["errorMessage"] == "Handler 'nobody' missing on module 'lambda_function'"


def test_a_handler_without_a_dot(functions):
    name = functions.make(Handler="lambda_function")
    _, payload = failed(functions, name)
    assert payload["errorType"] == "Runtime.MalformedHandlerName"
    assert payload["errorMessage"] == "Bad handler 'lambda_function': not enough values to unpack (expected 2, got 1)"


@pytest.mark.parametrize("handler", ["pkg/sub/module.handler", "pkg.sub.module.handler"])
def test_a_handler_in_a_package(functions, handler):
    files = {
        "pkg/__init__.py": "",
        "pkg/sub/__init__.py": "",
        "pkg/sub/module.py": "from pkg.other import word\ndef handler(e, c):\n    return word\n",
        "pkg/other.py": "word = 'found'\n",
    }
    name = functions.make(files=files, Handler=handler)
    assert functions.call(name, {}) == "found"


def test_the_version_of_the_interpreter_or_the_nearest(functions):
    source = "import sys\ndef handler(event, context):\n    return list(sys.version_info[:2])\n"
    for runtime in ("python3.11", "python3.12", "python3.13"):
        name = functions.make(source, runtime=runtime)
        assert functions.call(name, {})[0] == 3


def test_prints_and_log_records(functions):
    name = functions.make(
        "import logging, sys\n"
        "logger = logging.getLogger()\n"
        "logger.setLevel('INFO')\n"
        "def handler(event, context):\n"
        "    print('printed')\n"
        "    print('to stderr', file=sys.stderr)\n"
        "    logger.info('info %s', 1)\n"
        "    logger.debug('not shown')\n"
        "    logging.getLogger('other').warning('warned')\n"
    )
    answer, _ = functions.invoke(name, {}, LogType="Tail")
    request = answer["ResponseMetadata"]["RequestId"]
    logged = tail(answer)
    assert "\nprinted\n" in logged and "\nto stderr\n" in logged and "not shown" not in logged
    time_ = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert re.search(rf"^\[INFO\]\t{time_}\t{request}\tinfo 1$", logged, re.MULTILINE)
    assert re.search(rf"^\[WARNING\]\t{time_}\t{request}\twarned$", logged, re.MULTILINE)


def test_json_logs(functions):
    name = functions.make(
        "import logging\n"
        "logger = logging.getLogger()\n"
        "def handler(event, context):\n"
        "    logger.info('hello %s', 'json', extra={'order': 7})\n"
        "    logger.debug('below the level')\n"
        "    try:\n"
        "        1 / 0\n"
        "    except ZeroDivisionError:\n"
        "        logger.exception('caught')\n",
        LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "INFO"},
    )
    answer, _ = functions.invoke(name, {}, LogType="Tail")
    request = answer["ResponseMetadata"]["RequestId"]
    records = [json.loads(line) for line in tail(answer).splitlines() if line.startswith("{")]
    mine = [record for record in records if "level" in record]
    assert [record["message"] for record in mine] == ["hello json", "caught"]
    assert (mine[0]["level"], mine[0]["requestId"], mine[0]["order"]) == ("INFO", request, 7)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", mine[0]["timestamp"])
    assert (mine[1]["level"], mine[1]["errorType"]) == ("ERROR", "ZeroDivisionError")
    platform = {record["type"]: record["record"] for record in records if "type" in record}
    assert platform["platform.start"]["requestId"] == request
    report = platform["platform.report"]
    assert report["requestId"] == request and report["status"] == "success"
    assert report["metrics"]["memorySizeMB"] == 128 and report["metrics"]["durationMs"] > 0


def test_lines_of_one_write_are_events_of_their_own(functions, logs, eventually):
    name = functions.make("def handler(event, context):\n    print('multi\\nline\\nstring')\n    print('another\\rline')\n")
    functions.call(name, {})

    def messages():
        if not logs.describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{name}")["logGroups"]:
            return []
        found = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
        return [event["message"] for event in found]

    eventually(lambda: any(m.startswith("REPORT") for m in messages()))
    assert [m for m in messages() if not re.match("INIT_START|START|END|REPORT", m)] == [
        "multi\n",
        "line\n",
        "string\n",
        "another\rline\n",
    ]


def test_large_output_arrives_whole(functions, logs, eventually):
    name = functions.make("def handler(event, context):\n    for i in range(3000):\n        print('%06d' % i, 'y' * 90)\n", Timeout=20)
    functions.call(name, {})

    def lines():
        if not logs.describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{name}")["logGroups"]:
            return []
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{name}")
        return [e["message"] for page in pages for e in page["events"] if e["message"][:6].isdigit()]

    eventually(lambda: len(lines()) == 3000)
    assert [int(line[:6]) for line in lines()] == list(range(3000))


def test_an_import_without_a_package_finds_the_code_and_the_layers_folder_in_the_path(functions):
    name = functions.make("import sys\ndef handler(event, context):\n    return sys.path\n")
    path = functions.call(name, {})
    assert "/var/task" in path and "/opt/python" in path


def test_threads_and_subprocesses_work(functions):
    name = functions.make(
        "import subprocess, threading\n"
        "def handler(event, context):\n"
        "    seen = []\n"
        "    t = threading.Thread(target=lambda: seen.append('thread'))\n"
        "    t.start(); t.join()\n"
        "    seen.append(subprocess.run(['/bin/echo', 'child'], capture_output=True, text=True).stdout)\n"
        "    return seen\n"
    )
    assert functions.call(name, {}) == ["thread", "child\n"]


def test_tls_and_hashes_are_there(functions):
    name = functions.make(
        "import ssl, hashlib, sqlite3, ctypes, json, zlib, decimal, asyncio, uuid\n"
        "def handler(event, context):\n"
        "    ssl.create_default_context()\n"
        "    return hashlib.sha256(b'').hexdigest()[:8]\n"
    )
    assert functions.call(name, {}) == "e3b0c442"


def test_files_of_the_zip_keep_their_mode(functions):
    files = {"lambda_function.py": "import os\ndef handler(e, c):\n    return [oct(os.stat(f).st_mode)[-3:] for f in ('run', 'data')]\n"}
    zipped = zip_files({**files, "run": "#!/bin/sh\n", "data": "x"}, executable=("run",))
    name = functions.make(zipped=zipped)
    assert functions.call(name, {}) == ["755", "644"]


def test_the_aws_endpoint_is_reachable_from_inside(functions):
    """boto3 is not promised inside; the endpoint is, over plain HTTP."""
    name = functions.make(
        "import os, urllib.request, json\n"
        "def handler(event, context):\n"
        "    with urllib.request.urlopen(os.environ['AWS_ENDPOINT_URL'] + '/_localstack/health') as answer:\n"
        "        return [answer.status, 'lambda' in json.load(answer)['services']]\n"
    )
    assert functions.call(name, {}) == [200, True]
