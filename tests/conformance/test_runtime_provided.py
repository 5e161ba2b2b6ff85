"""provided.al2023 and provided.al2: an executable `bootstrap` speaks the Runtime API itself."""

import base64
import json
import re

import pytest

from harness.functions import PROVIDED, zip_files

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"

# One exchange over bash's own /dev/tcp: nothing but bash and coreutils is needed inside.
PRELUDE = r"""#!/bin/bash
API=${AWS_LAMBDA_RUNTIME_API}
HOST=${API%:*} PORT=${API#*:}
ask() { # method path body [header]: sets STATUS, HEADERS, BODY
	exec 3<>"/dev/tcp/$HOST/$PORT"
	local length
	length=$(printf %s "$3" | wc -c)
	{
		printf '%s /2018-06-01/runtime/%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n' "$1" "$2" "$API"
		[ -n "$4" ] && printf '%s\r\n' "$4"
		[ "$1" = POST ] && printf 'Content-Length: %s\r\n' "$length"
		printf '\r\n%s' "$3"
	} >&3
	local answer
	answer=$(cat <&3)
	exec 3>&-
	STATUS=${answer#* }
	STATUS=${STATUS%% *}
	HEADERS=${answer%%$'\r\n\r\n'*}
	BODY=${answer#*$'\r\n\r\n'}
	ID=$(printf %s "$HEADERS" | tr -d '\r' | sed -n 's/^[Ll]ambda-[Rr]untime-[Aa]ws-[Rr]equest-[Ii]d: //p')
}
"""



def loop(step):
    """A bootstrap that runs `step` for each event."""
    return PRELUDE + f"\nwhile true; do\n\task GET invocation/next ''\n\tEVENT=$BODY\n{step}\ndone\n"


ECHO = loop('\task POST "invocation/$ID/response" "$EVENT"')


@pytest.mark.parametrize("runtime", ["provided.al2023", "provided.al2"])
def test_a_shell_script_is_a_function(functions, runtime):
    name = functions.make(ECHO, runtime=runtime)
    for n in range(3):
        assert functions.call(name, {"n": n}) == {"n": n}


def test_the_environment_of_a_bootstrap(functions):
    name = functions.make(loop('\task POST "invocation/$ID/response" "[\\"$(env | base64 -w0)\\",\\"$PWD\\",\\"$0\\"]"'), runtime=PROVIDED)
    encoded, directory, program = functions.call(name, {})
    seen = dict(line.split("=", 1) for line in base64.b64decode(encoded).decode().splitlines() if "=" in line)
    assert directory == "/var/task"
    assert program in ("/var/task/bootstrap", "./bootstrap", "bootstrap")
    assert seen["_HANDLER"] == "bootstrap"
    assert seen["LAMBDA_TASK_ROOT"] == "/var/task"
    assert seen["AWS_LAMBDA_FUNCTION_NAME"] == name
    assert "AWS_EXECUTION_ENV" not in seen


def test_the_headers_of_next(functions):
    name = functions.make(loop('\task POST "invocation/$ID/response" "\\"$(printf %s "$HEADERS" | base64 -w0)\\""'), runtime=PROVIDED, Timeout=4)
    context = base64.b64encode(json.dumps({"custom": {"a": "b"}}).encode()).decode()
    answer, encoded = functions.invoke(name, {}, ClientContext=context)
    lines = base64.b64decode(encoded).decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 200 OK"
    headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
    assert headers["lambda-runtime-aws-request-id"] == answer["ResponseMetadata"]["RequestId"]
    assert headers["lambda-runtime-invoked-function-arn"] == functions.arn(name)
    assert re.match(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}", headers["lambda-runtime-trace-id"])
    assert len(headers["lambda-runtime-deadline-ms"]) == 13
    assert json.loads(headers["lambda-runtime-client-context"]) == {"custom": {"a": "b"}}
    assert headers["content-type"] == "application/json"


def test_a_reported_error_is_passed_on_as_it_is(functions):
    body = '{\\"errorMessage\\":\\"my message\\",\\"errorType\\":\\"My.Type\\",\\"stackTrace\\":[]}'
    name = functions.make(loop(f'\task POST "invocation/$ID/error" "{body}" "Lambda-Runtime-Function-Error-Type: My.Type"'), runtime=PROVIDED)
    for _ in range(2):
        answer, payload = functions.invoke(name, {})
        assert answer["FunctionError"] == "Unhandled"
        assert payload == {"errorMessage": "my message", "errorType": "My.Type", "stackTrace": []}


def test_an_init_error_is_passed_on(functions):
    body = '{\\"errorMessage\\":\\"no config\\",\\"errorType\\":\\"Init.Broken\\"}'
    name = functions.make(PRELUDE + f'ask POST init/error "{body}" "Lambda-Runtime-Function-Error-Type: Init.Broken"\nexit 1\n', runtime=PROVIDED)
    for _ in range(2):
        answer, payload = functions.invoke(name, {})
        assert (answer["FunctionError"], payload["errorType"], payload["errorMessage"]) == ("Unhandled", "Init.Broken", "no config")


@pytest.mark.parametrize("code, reason", [(0, "Runtime exited without providing a reason"), (9, "Runtime exited with error: exit status 9")])
def test_an_exit_before_the_first_event(functions, code, reason):
    name = functions.make(f"#!/bin/bash\nexit {code}\n", runtime=PROVIDED)
    answer, payload = functions.invoke(name, {})
    assert answer["FunctionError"] == "Unhandled"
    assert payload["errorType"] == "Runtime.ExitError"
    assert re.fullmatch(rf"RequestId: {UUID} Error: {reason}", payload["errorMessage"])


def test_an_exit_with_an_event_in_hand(functions):
    name = functions.make(loop("\texit 4"), runtime=PROVIDED)
    for _ in range(2):
        answer, payload = functions.invoke(name, {})
        request = answer["ResponseMetadata"]["RequestId"]
        assert payload == {
            "errorType": "Runtime.ExitError",
            "errorMessage": f"RequestId: {request} Error: Runtime exited with error: exit status 4",
        }


def test_a_bootstrap_that_cannot_be_executed(functions):
    """AWS: a file that is not executable is found and not usable; a wrong interpreter line fails at exec."""
    for files, executable in (({"bootstrap": "#!/bin/bash\n"}, ()), ({"bootstrap": "#!/no/such/interpreter\n"}, ("bootstrap",))):
        name = functions.make(zipped=zip_files(files, executable=executable), runtime=PROVIDED)
        answer, payload = functions.invoke(name, {})
        assert answer["FunctionError"] == "Unhandled"
        assert payload["errorType"] == "Runtime.InvalidEntrypoint"


def test_what_the_runtime_api_refuses(functions):
    """Statuses of wrong calls, told as the function's result."""
    source = PRELUDE + """
while true; do
	ask GET invocation/next ''
	KEEP=$ID
	R=""
	ask GET no/such/path ""; R="$R $STATUS"
	ask POST "invocation/00000000-0000-0000-0000-000000000000/response" "{}"; R="$R $STATUS"
	ask DELETE "invocation/$KEEP/response" ""; R="$R $STATUS"
	ask POST "invocation/$KEEP/response" "\\"${R# }\\""
	echo "after: $STATUS"
	ask POST "invocation/$KEEP/response" "\\"twice\\""
	echo "twice: $STATUS"
done
"""
    name = functions.make(source, runtime=PROVIDED)
    statuses = functions.call(name, {}).split()
    assert statuses[0] == "404"
    assert statuses[1] in ("400", "403")
    assert statuses[2] in ("404", "405")
    answer, _ = functions.invoke(name, {}, LogType="Tail")
    assert answer["StatusCode"] == 200


def test_output_of_both_streams_is_logged(functions):
    name = functions.make(loop('\techo out\n\techo err >&2\n\task POST "invocation/$ID/response" null'), runtime=PROVIDED)
    answer, payload = functions.invoke(name, {}, LogType="Tail")
    assert payload is None
    logged = base64.b64decode(answer["LogResult"]).decode()
    assert "\nout\n" in logged and "\nerr\n" in logged


def test_a_response_that_is_no_json_is_passed_on(lambda_, functions):
    """AWS gives back the bytes that the runtime posted."""
    name = functions.make(loop('\task POST "invocation/$ID/response" "plain text"'), runtime=PROVIDED)
    assert lambda_.invoke(FunctionName=name, Payload="{}")["Payload"].read() == b"plain text"


def test_an_init_that_hangs_is_ended_by_the_time_out(functions):
    name = functions.make("#!/bin/bash\nsleep 60\n", runtime=PROVIDED, Timeout=1)
    answer, payload = functions.invoke(name, {})
    assert answer["FunctionError"] == "Unhandled"
    assert payload["errorType"] == "Sandbox.Timedout"
    assert payload["errorMessage"].endswith("Task timed out after 1.00 seconds")
