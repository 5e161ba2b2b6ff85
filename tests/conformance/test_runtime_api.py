"""Runtimes that say the wrong thing, or nothing, or at the wrong time: what the Runtime API answers and the invoker sees."""

import base64
import concurrent.futures
import json
import time

import pytest

from harness.functions import PROVIDED
from harness.rawhttp import Peer

# One exchange at a time, each over a connection of its own; LAST is kept from one invocation to the next.
PRELUDE = r"""#!/bin/bash
api=${AWS_LAMBDA_RUNTIME_API}
LAST=none
ask() { # method path body: sets STATUS, BODY, ID
	exec 3<>"/dev/tcp/${api%:*}/${api#*:}"
	printf '%s /2018-06-01/runtime/%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %s\r\n\r\n%s' "$1" "$2" "${#3}" "$3" >&3
	local answer
	answer=$(cat <&3)
	exec 3>&-
	STATUS=${answer#* }
	STATUS=${STATUS%% *}
	BODY=${answer#*$'\r\n\r\n'}
	ID=$(printf %s "${answer%%$'\r\n\r\n'*}" | tr -d '\r' | sed -n 's/^[Ll]ambda-[Rr]untime-[Aa]ws-[Rr]equest-[Ii]d: //p')
}
quote() { printf '"%s"' "$(printf %s "$1" | base64 -w0)"; }
"""


def runtime(step):
    return PRELUDE + f"\nwhile true; do\n\task GET invocation/next ''\n\tME=$ID EVENT=$BODY\n{step}\ndone\n"


@pytest.fixture
def made(functions):
    def make(step, **more):
        return functions.make(runtime(step), runtime=PROVIDED, **{"Timeout": 10, **more})

    return make


def kept(functions, name):
    """What an environment remembers of an invocation before: another one may come first, if it is not back yet."""
    deadline = time.monotonic() + 20
    while True:
        text = functions.call(name, {})
        if base64.b64decode(text) not in (b"none", b""):
            return text
        assert time.monotonic() < deadline
        time.sleep(0.5)


def decoded(text):
    status, _, body = base64.b64decode(text).decode().partition(" ")
    return int(status), json.loads(body)


def wrong_state(before, asked):
    return 403, {
        "errorMessage": f"State transition from {before} to {asked} failed for runtime. Error: State transition is not allowed",
        "errorType": "InvalidStateTransition",
    }


@pytest.mark.parametrize("what, asked", [("response", "InvocationResponse"), ("error", "InvocationErrorResponse")])
def test_answering_twice(functions, made, what, asked):
    """The first answer counts; the second is told that it comes too late."""
    name = made(
        '\task POST "invocation/$ME/response" "$(quote "$LAST")"\n'
        f'\task POST "invocation/$ME/{what}" "{{}}"\n'
        '\tLAST="$STATUS $BODY"'
    )
    assert decoded(kept(functions, name)) == wrong_state("ResponseSent", asked)


def test_a_wrong_request_id(functions, made):
    name = made(
        '\task POST "invocation/00000000-0000-0000-0000-000000000000/response" "1"\n'
        '\tLAST="$STATUS $BODY"\n'
        '\task POST "invocation/$ME/response" "$(quote "$LAST")"'
    )
    for _ in range(2):
        assert decoded(functions.call(name, {})) == (400, {"errorMessage": "Invalid request ID", "errorType": "InvalidRequestID"})


def test_the_id_of_the_invocation_before(functions, made):
    """A late answer of an earlier invocation is none of this one."""
    name = made(
        '\tOLD=${NEW:-none} NEW=$ME\n'
        '\task POST "invocation/$OLD/response" "1"\n'
        '\tLAST="$STATUS $BODY"\n'
        '\task POST "invocation/$ME/response" "$(quote "$LAST")"'
    )
    functions.call(name, {})
    assert decoded(functions.call(name, {}))[0] == 400


def test_asking_for_the_next_with_one_in_hand(functions, made):
    name = made('\task GET invocation/next ""\n\tLAST="$STATUS $BODY"\n\task POST "invocation/$ME/response" "$(quote "$LAST")"')
    assert decoded(functions.call(name, {})) == wrong_state("Running", "Ready")


def test_two_next_at_once(functions, made):
    """The first of them waits; the other is refused, and the runtime goes on."""
    name = made(
        '\task POST "invocation/$ME/response" "$(quote "$LAST")"\n'
        '\t( sleep 0.3; ask GET invocation/next ""; printf "%s %s" "$STATUS" "$BODY" >/tmp/second ) &\n'
        '\tLAST=$(cat /tmp/second 2>/dev/null)'
    )
    assert decoded(kept(functions, name)) == wrong_state("Ready", "Ready")


def test_an_init_error_in_the_middle_of_an_invocation(functions, made):
    name = made('\task POST init/error "{}"\n\tLAST="$STATUS $BODY"\n\task POST "invocation/$ME/response" "$(quote "$LAST")"')
    assert decoded(functions.call(name, {})) == wrong_state("Running", "InitError")


def test_an_answer_after_the_deadline(functions, made):
    """It is too late for it: the environment is gone, and nothing of it reaches the next invocation."""
    name = made('\t[ "$EVENT" = 1 ] && sleep 2\n\task POST "invocation/$ME/response" "$EVENT"', Timeout=1)
    assert functions.call(name, 0) == 0
    _, payload = functions.invoke(name, 1)
    assert payload["errorType"] == "Sandbox.Timedout"
    time.sleep(1.5)
    assert [functions.call(name, n) for n in (2, 3)] == [2, 3]


def test_an_exit_after_the_answer(functions, made):
    """The answer counts; the next invocation has a new environment."""
    name = made('\task POST "invocation/$ME/response" "$$"\n\texit 3')
    assert [functions.call(name, {}) for _ in range(3)] and functions.call(name, {})


def test_a_runtime_that_does_not_come_back(functions, made):
    """It has answered, and asks for nothing more: at the time-out it is stopped. Others are served meanwhile."""
    name = made('\task POST "invocation/$ME/response" "\\"$HOSTNAME $RANDOM\\""\n\tsleep 60', Timeout=1)
    answers = {functions.call(name, {}) for _ in range(3)}
    assert len(answers) == 3


def test_a_caller_that_goes_away_does_not_stop_the_function(functions, lambda_, daemon, eventually, logs):
    name = functions.make(
        "import time\n"
        "def handler(event, context):\n"
        "    time.sleep(event.get('sleep', 0))\n"
        "    print('finished', event)\n"
        "    return context.aws_request_id\n",
        Timeout=10,
    )
    functions.call(name, {})
    with Peer(daemon.port) as peer:
        body = b'{"sleep": 1}'
        peer.send(
            f"POST /2015-03-31/functions/{name}/invocations HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        )
        time.sleep(0.3)
    group = f"/aws/lambda/{name}"
    eventually(lambda: len(logs.filter_log_events(logGroupName=group, filterPattern="REPORT")["events"]) == 2)
    printed = logs.filter_log_events(logGroupName=group, filterPattern="finished")["events"]
    assert [e["message"] for e in printed] == ["finished {}\n", "finished {'sleep': 1}\n"]
    assert functions.call(name, {})


def test_many_callers_that_go_away_leave_the_concurrency_free(functions, lambda_, daemon, eventually):
    """Each still occupies its place until it ends, and no longer."""
    name = functions.make("import time\ndef handler(event, context):\n    time.sleep(event)\n    return 1\n", Timeout=10)
    lambda_.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=2)
    for _ in range(2):
        with Peer(daemon.port) as peer:
            peer.send(
                f"POST /2015-03-31/functions/{name}/invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n2".encode()
            )
            time.sleep(0.2)
    with pytest.raises(lambda_.exceptions.TooManyRequestsException):
        functions.call(name, 0)

    def both():
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            try:
                return list(pool.map(lambda _: functions.call(name, 0.2), range(2))) == [1, 1]
            except lambda_.exceptions.TooManyRequestsException:
                return False

    eventually(both, seconds=20)


@pytest.mark.parametrize("answer", ["", "{", "plain", "\\xff\\xfe"])
def test_an_answer_that_is_no_json_is_given_back_as_it_is(functions, lambda_, made, answer):
    name = made(
        f"\tbody=$(printf '{answer}'; printf .); body=${{body%.}}\n"
        '\tLC_ALL=C ask POST "invocation/$ME/response" "$body"'
    )
    raw = lambda_.invoke(FunctionName=name, Payload="{}")
    assert "FunctionError" not in raw
    assert raw["Payload"].read() == answer.encode().decode("unicode_escape").encode("latin-1")
