"""/metrics: Prometheus's text format, with figures that are true."""

import re
import urllib.error
import urllib.request

import pytest

from harness.sdk import SIGNED

FAILS = "def handler(event, context):\n    raise Exception('no')\n"
SAMPLE = re.compile(r'(mayfly_[a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? ([0-9.]+)')
LABEL = re.compile(r'([a-z]+)="((?:[^"\\]|\\.)*)"')


@pytest.fixture(scope="module")
def metered(daemon_of):
    return daemon_of()


def scrape(daemon):
    """{(name, labels as sorted pairs): value}; fails for what Prometheus would not read."""
    with urllib.request.urlopen(daemon.endpoint + "/metrics", timeout=10) as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        text = answer.read().decode()
    samples, family, families = {}, None, []
    for line in text.splitlines():
        if line.startswith("# HELP "):
            family = line.split()[2]
            assert family not in families, "a family stands in one piece"
            families.append(family)
        elif line.startswith("# TYPE "):
            assert line.split()[2] == family and line.split()[3] in ("counter", "gauge", "histogram")
        else:
            name, labels, value = SAMPLE.fullmatch(line).groups()
            assert re.fullmatch(family + "(_bucket|_sum|_count)?", name)
            key = (name, tuple(sorted(LABEL.findall(labels or ""))))
            assert key not in samples, f"{key} is there twice"
            samples[key] = float(value)
    return samples


def of(samples, name, **labels):
    wanted = tuple(sorted(labels.items()))
    found = [value for (key, pairs), value in samples.items() if key == name and set(wanted) <= set(pairs)]
    return sum(found)


def test_what_functions_did_is_counted(metered, aws_of, eventually):
    functions = aws_of(metered).functions()
    good, bad = functions.make(), functions.make(FAILS)
    for _ in range(3):
        functions.call(good, {})
    functions.invoke(bad, {})
    functions.client.put_function_concurrency(FunctionName=bad, ReservedConcurrentExecutions=0)
    with pytest.raises(functions.client.exceptions.TooManyRequestsException):
        functions.invoke(bad, {})
    samples = scrape(metered)
    where = {"account": "000000000000", "region": "us-east-1"}
    assert of(samples, "mayfly_function_invocations_total", function=good, **where) == 3
    assert of(samples, "mayfly_function_errors_total", function=good, **where) == 0
    assert of(samples, "mayfly_function_invocations_total", function=bad, **where) == 1
    assert of(samples, "mayfly_function_errors_total", function=bad, **where) == 1
    assert of(samples, "mayfly_function_throttles_total", function=bad, **where) == 1
    assert of(samples, "mayfly_function_duration_seconds_total", function=good, **where) > 0
    assert of(samples, "mayfly_invocation_duration_seconds_count", runtime="python3.12") == 4
    assert of(samples, "mayfly_invocation_duration_seconds_bucket", runtime="python3.12", le="+Inf") == 4
    assert of(samples, "mayfly_init_duration_seconds_count", runtime="python3.12") >= 2
    assert of(samples, "mayfly_environment_starts_total") >= 2
    assert of(samples, "mayfly_environments") >= 1
    assert of(samples, "mayfly_memory_limit_bytes") > of(samples, "mayfly_memory_bytes") > 0


def test_asynchronous_invocations_are_counted(metered, aws_of, eventually):
    functions = aws_of(metered).functions()
    name = functions.make()
    before = scrape(metered)
    assert of(before, "mayfly_events_waiting") == of(before, "mayfly_event_queue_age_seconds") == 0
    functions.invoke(name, {}, InvocationType="Event")
    eventually(lambda: of(scrape(metered), "mayfly_events_ended_total", end="succeeded") == 1)
    after = scrape(metered)
    assert of(after, "mayfly_events_accepted_total") == of(before, "mayfly_events_accepted_total") + 1
    functions.invoke(functions.make(FAILS), {}, InvocationType="Event")  # is tried again in a minute
    eventually(lambda: of(scrape(metered), "mayfly_event_queue_age_seconds") >= 1)
    assert of(scrape(metered), "mayfly_events_waiting") == 1
    assert of(scrape(metered), "mayfly_event_retries_total") <= 1


def test_buckets_grow(metered):
    samples = scrape(metered)
    for name in ("invocation", "init"):
        steps = {}
        for (key, pairs), value in samples.items():
            if key == f"mayfly_{name}_duration_seconds_bucket":
                labels = dict(pairs)
                bound = float("inf") if labels["le"] == "+Inf" else float(labels["le"])
                steps.setdefault(labels["runtime"], []).append((bound, value))
        for runtime, pairs in steps.items():
            assert pairs == sorted(pairs) and [v for _, v in pairs] == sorted(v for _, v in pairs)
            assert pairs[-1][1] == of(samples, f"mayfly_{name}_duration_seconds_count", runtime=runtime)


def test_a_function_does_not_see_them(functions):
    source = (
        "import os, urllib.error, urllib.request\n"
        "def handler(event, context):\n"
        "    try:\n"
        "        return urllib.request.urlopen(os.environ['AWS_ENDPOINT_URL'] + '/metrics').status\n"
        "    except urllib.error.HTTPError as error:\n"
        "        return error.code\n"
    )
    assert functions.call(functions.make(source), {}) == 404


def test_where_signatures_count_they_want_one(another_daemon):
    daemon = another_daemon("--auth", "always", "--access-keys", "AKIDEXAMPLE:verysecret")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(daemon.endpoint + "/metrics")
    assert refused.value.code == 403
    request = signed(daemon, "aps", "AKIDEXAMPLE", "verysecret")
    with urllib.request.urlopen(request) as answer:
        assert b"mayfly_info" in answer.read()


def signed(daemon, service, key, secret):
    """GET /metrics, signed for a service."""
    scope = {}
    environment = {
        "AWS_ENDPOINT_URL": daemon.endpoint,
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_SESSION_TOKEN": "",
        "AWS_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        exec(SIGNED, scope)
        return scope["signed"](service, "/metrics", b"", "GET")


def test_the_bucket_of_that_name_is_s3s(daemon):
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(signed(daemon, "s3", "test", "test"))
    assert refused.value.code == 501 and b"'s3' is not available" in refused.value.read().replace(b"&apos;", b"'")
