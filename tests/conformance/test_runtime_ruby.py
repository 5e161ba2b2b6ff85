"""The Ruby pack in its sandbox: the context, the environment, errors, the log."""

import base64
import re
import shutil

import pytest

from harness.functions import RUBY

pytestmark = pytest.mark.skipif(not shutil.which("ruby"), reason="ruby is not on this machine")


def tail(answer):
    return base64.b64decode(answer["LogResult"]).decode()


def test_the_context_object_and_the_environment(functions):
    name = functions.make(
        "def handler(event:, context:)\n"
        "  names = %i[function_name function_version invoked_function_arn memory_limit_in_mb aws_request_id\n"
        "    log_group_name log_stream_name identity client_context]\n"
        "  { context: names.to_h { |name| [name, context.public_send(name)] }, event: event, env: ENV.to_h,\n"
        "    remaining: context.get_remaining_time_in_millis, cwd: Dir.pwd, path: $LOAD_PATH.first }\n"
        "end\n",
        runtime=RUBY,
        Timeout=5,
        MemorySize=256,
        Environment={"Variables": {"TEST_KEY": "TEST_VAL"}},
    )
    answer, seen = functions.invoke(name, {"ü": [1]})
    context, env = seen["context"], seen["env"]
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", context.pop("log_stream_name"))
    assert context == {
        "function_name": name,
        "function_version": "$LATEST",
        "invoked_function_arn": functions.arn(name),
        "memory_limit_in_mb": "256",
        "aws_request_id": answer["ResponseMetadata"]["RequestId"],
        "log_group_name": f"/aws/lambda/{name}",
        "identity": None,
        "client_context": None,
    }
    assert (seen["event"], seen["cwd"], seen["path"]) == ({"ü": [1]}, "/var/task", "/var/task")
    assert 3000 < seen["remaining"] <= 5000
    assert (env["TEST_KEY"], env["AWS_EXECUTION_ENV"]) == ("TEST_VAL", f"AWS_Lambda_{RUBY}")
    assert env["GEM_HOME"] == "/var/runtime"
    assert env["GEM_PATH"].startswith(
        "/var/task/vendor/bundle/ruby/3.3.0:/opt/ruby/gems/3.3.0:/var/runtime:/var/runtime/ruby/3.3.0"
    )
    assert re.match(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}", env["_X_AMZN_TRACE_ID"])
    assert "_LAMBDA_TELEMETRY_LOG_FD" not in env


def test_an_error_and_what_is_logged(functions):
    name = functions.make(
        "require 'logger'\nLOG = Logger.new($stdout)\ndef handler(event:, context:)\n"
        "  puts \"two\\nlines\"\n  LOG.info('careful')\n  raise 'Error: some_error_msg'\nend\n",
        runtime=RUBY,
    )
    answer, payload = functions.invoke(name, {}, LogType="Tail")
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    trace = payload.pop("stackTrace")
    assert len(trace) == 1 and trace[0].startswith("/var/task/function.rb:6:in ")
    assert payload == {"errorMessage": "Error: some_error_msg", "errorType": "Function<RuntimeError>"}
    request, logged = answer["ResponseMetadata"]["RequestId"], tail(answer)
    assert "two\nlines\n" in logged
    assert re.search(rf"^I, \[[0-9T:.-]{{26}} #\d+\]  INFO {request} -- : careful$", logged, re.MULTILINE)
    assert "Error raised from handler method" in logged and "Init Duration" in logged


def test_errors_of_the_init_phase_and_critical_ones(functions):
    name = functions.make("require 'not-installed'\n", runtime=RUBY)
    answer, payload = functions.invoke(name, {})
    assert (answer["FunctionError"], payload["errorType"]) == ("Unhandled", "Init<LoadError>")
    assert payload["errorMessage"] == "cannot load such file -- not-installed"

    name = functions.make("COUNT = [0]\ndef handler(event:, context:)\n  COUNT[0] += 1\n  nothing if event\n  COUNT[0]\nend\n", runtime=RUBY)
    assert functions.call(name, False) == 1
    answer, payload = functions.invoke(name, True)
    assert (answer["FunctionError"], payload["errorType"]) == ("Unhandled", "Function<NameError>")
    assert functions.call(name, False) == 1, "AWS's client ends the process after a NameError"
