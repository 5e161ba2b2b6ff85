"""Limits beyond AWS's: for functions that ask for them by a tag, on a node that grants them."""

import pytest

from harness.errors import error
from harness.functions import ECHO

MB = 1024 * 1024
RELAXED = {"mayfly:limits": "relaxed"}


def above(value, name, limit):
    return (
        f"1 validation error detected: Value '{value}' at '{name}' failed to satisfy constraint: "
        f"Member must have value less than or equal to {limit}"
    )


BEYOND = [
    ({"Timeout": 901}, above(901, "timeout", 900)),
    ({"Timeout": 100_000}, above(100_000, "timeout", 900)),
    ({"MemorySize": 10241}, above(10241, "memorySize", 10240)),
    ({"MemorySize": 40_000}, above(40_000, "memorySize", 10240)),
    ({"EphemeralStorage": {"Size": 10241}}, above(10241, "ephemeralStorage.size", 10240)),
]


@pytest.mark.parametrize("settings, message", BEYOND)
@pytest.mark.parametrize("tags", [{}, RELAXED], ids=["plain", "tagged"])
def test_a_strict_node_has_awss_limits_for_all(functions, settings, message, tags):
    """There the tag is one like any other."""
    with error("ValidationException", message, 400):
        functions.create(wait=False, Tags=tags, **settings)
    name = functions.make(Tags=tags)
    with error("ValidationException", message, 400):
        functions.update(name, **settings)


@pytest.fixture(scope="module")
def node(run_daemon, aws_of):
    """Functions of a node that relaxes."""
    with run_daemon(
        "--limits", "relaxed", "--relaxed-timeout", "7200", "--relaxed-memory", "12000", "--relaxed-tmp", "20000", "--relaxed-payload", "16"
    ) as one:
        yield aws_of(one)


@pytest.fixture
def relaxed(node):
    return node.functions()


@pytest.mark.parametrize("settings, message", BEYOND)
@pytest.mark.parametrize("tags", [{}, {"mayfly:limits": "strict"}, {"mayfly": "relaxed"}])
def test_functions_without_the_tag_have_awss_limits(relaxed, settings, message, tags):
    with error("ValidationException", message, 400):
        relaxed.create(wait=False, Tags=tags, **settings)


@pytest.mark.parametrize(
    "settings",
    [{"Timeout": 7200}, {"MemorySize": 12000}, {"EphemeralStorage": {"Size": 20000}}, {"Timeout": 901, "MemorySize": 10241}],
)
def test_a_tagged_function_may_be_larger(relaxed, settings):
    name = relaxed.make(Tags=RELAXED, **settings)
    found = relaxed.wait(name)
    assert {key: found[key] for key in settings} == settings
    assert relaxed.call(name, {"n": 1}) == {"n": 1}
    other = relaxed.make(Tags=RELAXED)
    relaxed.update(other, **settings)
    assert relaxed.call(other, {"n": 1}) == {"n": 1}


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"Timeout": 7201}, above(7201, "timeout", 7200)),
        ({"MemorySize": 12001}, above(12001, "memorySize", 12000)),
        ({"EphemeralStorage": {"Size": 20001}}, above(20001, "ephemeralStorage.size", 20000)),
        ({"Timeout": 0}, None),
        ({"MemorySize": 127}, None),
        ({"EphemeralStorage": {"Size": 511}}, None),
    ],
)
def test_the_node_has_bounds_of_its_own_and_the_minima_stay(relaxed, settings, message):
    with error("ValidationException", message, 400):
        relaxed.create(wait=False, Tags=RELAXED, **settings)


def test_what_was_granted_has_effect(relaxed):
    name = relaxed.make(
        "import os\n"
        "def handler(event, context):\n"
        "    s = os.statvfs('/tmp')\n"
        "    return [context.get_remaining_time_in_millis(), context.memory_limit_in_mb, s.f_frsize * s.f_blocks // 2**20]\n",
        Tags=RELAXED,
        Timeout=2000,
        MemorySize=11000,
        EphemeralStorage={"Size": 11000},
    )
    left, memory, tmp = relaxed.call(name, {})
    assert 1_900_000 < left <= 2_000_000 and int(memory) == 11000 and tmp == 11000


def test_payloads_of_16_mb_both_ways(relaxed):
    name = relaxed.make(ECHO, Tags=RELAXED, MemorySize=1024, Timeout=60)
    text = "x" * (16 * MB - 2)
    assert relaxed.call(name, text) == text
    with error("RequestTooLargeException", f"Request must be smaller than {16 * MB + 100} bytes for the InvokeFunction operation", 413):
        relaxed.invoke(name, text + "xx")


def test_an_answer_that_is_larger_than_that(relaxed):
    name = relaxed.make("def handler(event, context):\n    return 'x' * event\n", Tags=RELAXED, MemorySize=1024, Timeout=60)
    assert len(relaxed.call(name, 16 * MB - 2)) == 16 * MB - 2
    answer, payload = relaxed.invoke(name, 17 * MB)
    assert answer["FunctionError"] == "Unhandled"
    assert payload == {
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage": f"Response payload size exceeded maximum allowed payload size ({16 * MB + 100} bytes).",
    }


def test_others_on_the_same_node_keep_6_mb(relaxed):
    name = relaxed.make("def handler(event, context):\n    return 'x' * event if isinstance(event, int) else 0\n", MemorySize=1024, Timeout=60)
    with error("RequestTooLargeException", "Request must be smaller than 6291556 bytes for the InvokeFunction operation", 413):
        relaxed.invoke(name, "x" * (6 * MB + 1))
    with error("RequestTooLargeException", status=413):
        relaxed.invoke(name, "x" * (6 * MB + 1), InvocationType="DryRun")
    _, payload = relaxed.invoke(name, 7 * MB)
    assert payload["errorType"] == "Function.ResponseSizeTooLarge" and "(6291556 bytes)" in payload["errorMessage"]
    with error("RequestTooLargeException", status=413):
        relaxed.invoke(name, "x" * (MB + 1), InvocationType="Event")


def test_an_event_of_more_than_1_mb(relaxed, node, eventually):
    name = relaxed.make("def handler(event, context):\n    print('length', len(event))\n", Tags=RELAXED, MemorySize=512)
    assert relaxed.invoke(name, "x" * (3 * MB), InvocationType="Event")[0]["StatusCode"] == 202
    logs = node.client("logs")

    def printed():
        if not logs.describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{name}")["logGroups"]:
            return False
        return logs.filter_log_events(logGroupName=f"/aws/lambda/{name}", filterPattern="length")["events"]

    assert eventually(printed)[0]["message"] == f"length {3 * MB}\n"


def test_the_tag_can_be_given_and_taken_away(relaxed):
    """What runs with other limits than the tag says is drained."""
    client = relaxed.client
    name = relaxed.make(
        "n = 0\ndef handler(event, context):\n    global n\n    n += 1\n    return [n, context.get_remaining_time_in_millis() > 900000]\n",
        Tags=RELAXED,
        Timeout=1000,
    )
    arn = relaxed.arn(name)
    assert [relaxed.call(name, {}) for _ in range(2)] == [[1, True], [2, True]]
    client.untag_resource(Resource=arn, TagKeys=["mayfly:limits"])
    assert [relaxed.call(name, {}) for _ in range(2)] == [[1, False], [2, False]]
    with error("ValidationException", above(1001, "timeout", 900), 400):
        relaxed.update(name, Timeout=1001)
    client.tag_resource(Resource=arn, Tags=RELAXED)
    assert relaxed.call(name, {}) == [1, True]
    relaxed.update(name, Timeout=1001)
    client.tag_resource(Resource=arn, Tags={"other": "tag"})
    assert [relaxed.call(name, {})[0] for _ in range(2)] == [1, 2]
    client.tag_resource(Resource=arn, Tags={"another": "tag"})
    assert relaxed.call(name, {})[0] == 3, "a tag that says nothing about limits stopped the environment"
