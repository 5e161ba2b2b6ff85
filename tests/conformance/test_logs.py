"""CloudWatch Logs as a service: groups, streams, events, retention, paging."""

import time

import pytest

from harness.errors import error
from harness.functions import unique

REGION, ACCOUNT = "us-east-1", "000000000000"


def now_ms():
    return int(time.time() * 1000)


def group_arn(name):
    return f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{name}"


@pytest.fixture
def group(logs):
    name = unique("group")
    logs.create_log_group(logGroupName=name)
    return name


@pytest.fixture
def stream(logs, group):
    logs.create_log_stream(logGroupName=group, logStreamName="stream")
    return group, "stream"


def put(logs, group, stream, messages, start=None, step=1):
    start = start or now_ms() - 10_000
    events = [{"timestamp": start + i * step, "message": m} for i, m in enumerate(messages)]
    answer = logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
    assert "rejectedLogEventsInfo" not in answer
    return start


def test_a_group_is_described(logs, group):
    (found,) = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    created = found.pop("creationTime")
    assert abs(created - now_ms()) < 60_000
    assert found == {
        "logGroupName": group,
        "arn": group_arn(group) + ":*",
        "logGroupArn": group_arn(group),
        "logGroupClass": "STANDARD",
        "metricFilterCount": 0,
        "storedBytes": 0,
        "deletionProtectionEnabled": False,
    }


def test_groups_are_found_by_prefix_and_pattern_in_order(logs):
    prefix = unique("prefix")
    for tail in ("b", "a", "c"):
        logs.create_log_group(logGroupName=f"{prefix}/{tail}")
    found = logs.describe_log_groups(logGroupNamePrefix=prefix)["logGroups"]
    assert [g["logGroupName"] for g in found] == [f"{prefix}/{tail}" for tail in "abc"]
    found = logs.describe_log_groups(logGroupNamePattern=prefix[3:])["logGroups"]
    assert [g["logGroupName"] for g in found] == [f"{prefix}/{tail}" for tail in "abc"]


def test_groups_are_paged(logs):
    prefix = unique("paged")
    for i in range(5):
        logs.create_log_group(logGroupName=f"{prefix}-{i}")
    pages = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=prefix, PaginationConfig={"PageSize": 2})
    found = [[g["logGroupName"] for g in page["logGroups"]] for page in pages]
    assert [len(page) for page in found] == [2, 2, 1]
    assert sum(found, []) == [f"{prefix}-{i}" for i in range(5)]


def test_groups_that_cannot_be_made(logs, group):
    with error("ResourceAlreadyExistsException", "The specified log group already exists", 400):
        logs.create_log_group(logGroupName=group)
    with error(
        "InvalidParameterException",
        "Invalid LogGroup or LogStream, both must have length less than or equal to 512.",
        400,
    ):
        logs.create_log_group(logGroupName="a" * 513)
    with error("InvalidParameterException", status=400):
        logs.create_log_group(logGroupName="not allowed!")


def test_delete_takes_streams_and_events_away(logs, stream):
    group, name = stream
    put(logs, group, name, ["one"])
    assert logs.delete_log_group(logGroupName=group)["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"] == []
    with error("ResourceNotFoundException", "The specified log group does not exist.", 400):
        logs.delete_log_group(logGroupName=group)
    logs.create_log_group(logGroupName=group)
    assert logs.describe_log_streams(logGroupName=group)["logStreams"] == []


def test_streams(logs, group):
    logs.create_log_stream(logGroupName=group, logStreamName="one")
    (found,) = logs.describe_log_streams(logGroupName=group)["logStreams"]
    assert abs(found.pop("creationTime") - now_ms()) < 60_000
    assert found == {"logStreamName": "one", "arn": group_arn(group) + ":log-stream:one", "storedBytes": 0}
    with error("ResourceAlreadyExistsException", "The specified log stream already exists", 400):
        logs.create_log_stream(logGroupName=group, logStreamName="one")
    logs.delete_log_stream(logGroupName=group, logStreamName="one")
    assert logs.describe_log_streams(logGroupName=group)["logStreams"] == []
    with error("ResourceNotFoundException", "The specified log stream does not exist.", 400):
        logs.delete_log_stream(logGroupName=group, logStreamName="one")


def test_streams_of_a_group_by_its_identifier(logs, stream):
    group, name = stream
    for identifier in (group, group_arn(group)):
        found = logs.describe_log_streams(logGroupIdentifier=identifier)["logStreams"]
        assert [s["logStreamName"] for s in found] == [name]
    with error(
        "ValidationException", "LogGroup name and LogGroup ARN are mutually exclusive parameters.", 400
    ):
        logs.describe_log_streams(logGroupName=group, logGroupIdentifier=group)


def test_streams_are_sorted_by_name_or_by_their_last_event(logs, group):
    for i, name in enumerate(("c", "a", "b")):
        logs.create_log_stream(logGroupName=group, logStreamName=name)
        put(logs, group, name, ["x"], start=now_ms() - 60_000 + i * 1000)

    def names(**more):
        return [s["logStreamName"] for s in logs.describe_log_streams(logGroupName=group, **more)["logStreams"]]

    assert names() == ["a", "b", "c"]
    assert names(descending=True) == ["c", "b", "a"]
    assert names(orderBy="LastEventTime") == ["c", "a", "b"]
    assert names(orderBy="LastEventTime", descending=True) == ["b", "a", "c"]
    assert names(logStreamNamePrefix="a") == ["a"]
    first = logs.describe_log_streams(logGroupName=group, limit=2)
    second = logs.describe_log_streams(logGroupName=group, limit=2, nextToken=first["nextToken"])
    assert [s["logStreamName"] for s in first["logStreams"] + second["logStreams"]] == ["a", "b", "c"]
    with error("InvalidParameterException", status=400):
        logs.describe_log_streams(logGroupName=group, orderBy="LastEventTime", logStreamNamePrefix="a")


def test_a_stream_knows_the_times_of_its_events(logs, stream):
    group, name = stream
    start = put(logs, group, name, ["one", "two", "three"], step=1000)
    (found,) = logs.describe_log_streams(logGroupName=group)["logStreams"]
    assert found["firstEventTimestamp"] == start
    assert found["lastEventTimestamp"] == start + 2000
    assert abs(found["lastIngestionTime"] - now_ms()) < 60_000
    assert "uploadSequenceToken" in found


def test_events_are_read_in_order_from_both_ends(logs, stream):
    group, name = stream
    messages = [f"message {i}" for i in range(10)]
    start = put(logs, group, name, messages)
    read = logs.get_log_events(logGroupName=group, logStreamName=name, startFromHead=True)
    assert [e["message"] for e in read["events"]] == messages
    assert [e["timestamp"] for e in read["events"]] == [start + i for i in range(10)]
    assert all(abs(e["ingestionTime"] - now_ms()) < 60_000 for e in read["events"])

    newest = logs.get_log_events(logGroupName=group, logStreamName=name, limit=3)
    assert [e["message"] for e in newest["events"]] == messages[7:]
    older = logs.get_log_events(logGroupName=group, logStreamName=name, limit=3, nextToken=newest["nextBackwardToken"])
    assert [e["message"] for e in older["events"]] == messages[4:7]


def test_reading_forward_ends_with_the_same_token(logs, stream):
    group, name = stream
    put(logs, group, name, [f"m{i}" for i in range(5)])
    seen, token = [], None
    for _ in range(10):
        page = logs.get_log_events(
            logGroupName=group, logStreamName=name, startFromHead=True, limit=2, **({"nextToken": token} if token else {})
        )
        seen += [e["message"] for e in page["events"]]
        if page["nextForwardToken"] == token:
            break
        token = page["nextForwardToken"]
    assert seen == [f"m{i}" for i in range(5)]
    put(logs, group, name, ["later"], start=now_ms())
    page = logs.get_log_events(logGroupName=group, logStreamName=name, nextToken=token, startFromHead=True)
    assert [e["message"] for e in page["events"]] == ["later"]


def test_events_of_a_span_of_time(logs, stream):
    group, name = stream
    start = put(logs, group, name, [f"m{i}" for i in range(10)], step=100)
    read = logs.get_log_events(
        logGroupName=group, logStreamName=name, startTime=start + 200, endTime=start + 500, startFromHead=True
    )
    assert [e["message"] for e in read["events"]] == ["m2", "m3", "m4"]


def test_what_reading_refuses(logs, stream):
    group, name = stream
    limit = (
        "1 validation error detected: Value '10001' at 'limit' failed to satisfy constraint: "
        "Member must have value less than or equal to 10000"
    )
    with error("InvalidParameterException", limit, 400):
        logs.get_log_events(logGroupName=group, logStreamName=name, limit=10001)
    with error("InvalidParameterException", limit, 400):
        logs.filter_log_events(logGroupName=group, limit=10001)
    with error("InvalidParameterException", "The specified nextToken is invalid.", 400):
        logs.get_log_events(logGroupName=group, logStreamName=name, nextToken="invalid")
    with error("InvalidParameterException", "The specified nextToken is invalid.", 400):
        logs.filter_log_events(logGroupName=group, nextToken="invalid")
    with error("ResourceNotFoundException", "The specified log group does not exist.", 400):
        logs.get_log_events(logGroupName="nobody", logStreamName=name)
    with error("ResourceNotFoundException", "The specified log stream does not exist.", 400):
        logs.get_log_events(logGroupName=group, logStreamName="nobody")


def test_what_writing_refuses(logs, stream):
    group, name = stream
    with error("ResourceNotFoundException", "The specified log stream does not exist.", 400):
        logs.put_log_events(logGroupName=group, logStreamName="x", logEvents=[{"timestamp": now_ms(), "message": "m"}])
    with error("ResourceNotFoundException", "The specified log group does not exist.", 400):
        logs.put_log_events(logGroupName="x", logStreamName=name, logEvents=[{"timestamp": now_ms(), "message": "m"}])
    with error(
        "InvalidParameterException",
        "Log events in a single PutLogEvents request must be in chronological order.",
        400,
    ):
        logs.put_log_events(
            logGroupName=group,
            logStreamName=name,
            logEvents=[{"timestamp": now_ms(), "message": "a"}, {"timestamp": now_ms() - 5000, "message": "b"}],
        )


def test_events_too_old_and_too_new_are_rejected_aloud(logs, stream):
    group, name = stream
    day = 24 * 3600 * 1000
    answer = logs.put_log_events(
        logGroupName=group,
        logStreamName=name,
        logEvents=[{"timestamp": now_ms() - 20 * day, "message": "old"}, {"timestamp": now_ms(), "message": "now"}],
    )
    assert answer["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 1}
    answer = logs.put_log_events(
        logGroupName=group,
        logStreamName=name,
        logEvents=[{"timestamp": now_ms(), "message": "now"}, {"timestamp": now_ms() + day, "message": "new"}],
    )
    assert answer["rejectedLogEventsInfo"] == {"tooNewLogEventStartIndex": 1}
    read = logs.get_log_events(logGroupName=group, logStreamName=name, startFromHead=True)
    assert [e["message"] for e in read["events"]] == ["now", "now"]


@pytest.mark.parametrize(
    "pattern, expected",
    [
        ("", ["ERROR one", "INFO two", "ERROR three two", '{"level":"warn","n":5}']),
        ("ERROR", ["ERROR one", "ERROR three two"]),
        ("ERROR two", ["ERROR three two"]),
        ('"three two"', ["ERROR three two"]),
        ("?one ?INFO", ["ERROR one", "INFO two"]),
        ("ERROR -three", ["ERROR one"]),
        ('{ $.level = "warn" }', ['{"level":"warn","n":5}']),
        ("{ $.n > 4 }", ['{"level":"warn","n":5}']),
        ("{ $.n > 5 }", []),
        ("nothing", []),
    ],
)
def test_filter_patterns(logs, stream, pattern, expected):
    group, name = stream
    put(logs, group, name, ["ERROR one", "INFO two", "ERROR three two", '{"level":"warn","n":5}'])
    found = logs.filter_log_events(logGroupName=group, filterPattern=pattern)["events"]
    assert [e["message"] for e in found] == expected


def test_filter_merges_streams_by_time_and_names_them(logs, group):
    start = now_ms() - 10_000
    for offset, name in enumerate(("a", "b", "ab")):
        logs.create_log_stream(logGroupName=group, logStreamName=name)
        put(logs, group, name, [f"{name}{i}" for i in range(3)], start=start + offset, step=10)

    found = logs.filter_log_events(logGroupName=group)["events"]
    assert [e["message"] for e in found] == ["a0", "b0", "ab0", "a1", "b1", "ab1", "a2", "b2", "ab2"]
    assert [e["logStreamName"] for e in found][:3] == ["a", "b", "ab"]
    assert len({e["eventId"] for e in found}) == 9
    found = logs.filter_log_events(logGroupName=group, logStreamNames=["b"])["events"]
    assert [e["message"] for e in found] == ["b0", "b1", "b2"]
    found = logs.filter_log_events(logGroupName=group, logStreamNamePrefix="a")["events"]
    assert {e["logStreamName"] for e in found} == {"a", "ab"}
    found = logs.filter_log_events(logGroupName=group, startTime=start + 10, endTime=start + 12)["events"]
    assert all(start + 10 <= e["timestamp"] <= start + 12 for e in found) and len(found) >= 2
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, PaginationConfig={"PageSize": 2})
    assert [e["message"] for p in pages for e in p["events"]] == ["a0", "b0", "ab0", "a1", "b1", "ab1", "a2", "b2", "ab2"]


def test_retention_is_shown_and_taken_back(logs, group):
    logs.put_retention_policy(logGroupName=group, retentionInDays=7)
    assert logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]["retentionInDays"] == 7
    logs.delete_retention_policy(logGroupName=group)
    assert "retentionInDays" not in logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"][0]
    with error("InvalidParameterException", status=400):
        logs.put_retention_policy(logGroupName=group, retentionInDays=2)
    with error("ResourceNotFoundException", "The specified log group does not exist.", 400):
        logs.put_retention_policy(logGroupName="nobody", retentionInDays=7)


def test_retention_is_obeyed(logs, stream):
    """Events are accepted for 14 days back; with one day of retention those of before are not shown."""
    group, name = stream
    day = 24 * 3600 * 1000
    put(logs, group, name, ["old"], start=now_ms() - 3 * day)  # one batch may span a day at most
    put(logs, group, name, ["new"])
    logs.put_retention_policy(logGroupName=group, retentionInDays=1)
    found = logs.filter_log_events(logGroupName=group)["events"]
    assert [e["message"] for e in found] == ["new"]
    read = logs.get_log_events(logGroupName=group, logStreamName=name, startFromHead=True)
    assert [e["message"] for e in read["events"]] == ["new"]


def test_tags_of_groups(logs):
    name = unique("tagged")
    logs.create_log_group(logGroupName=name, tags={"env": "testing1"})
    resource = group_arn(name)

    def tags():
        return logs.list_tags_for_resource(resourceArn=resource)["tags"]

    assert tags() == {"env": "testing1"}
    logs.tag_resource(resourceArn=resource, tags={"test1": "val1", "test2": "val2"})
    assert tags() == {"env": "testing1", "test1": "val1", "test2": "val2"}
    logs.untag_resource(resourceArn=resource, tagKeys=["env", "test1"])
    assert tags() == {"test2": "val2"}


def test_messages_keep_their_bytes(logs, stream):
    group, name = stream
    messages = ["ünïcode ✓ 🎉", "tab\tand \"quotes\" and \\", "line\nbreak", "x" * 200_000]
    put(logs, group, name, messages)
    read = logs.get_log_events(logGroupName=group, logStreamName=name, startFromHead=True)
    assert [e["message"] for e in read["events"]] == messages


def test_groups_of_regions_and_accounts_do_not_meet(aws, logs, group):
    for client in (aws.client("logs", region="eu-west-1"), aws.client("logs", access_key="123456789012")):
        assert client.describe_log_groups(logGroupNamePrefix=group)["logGroups"] == []
