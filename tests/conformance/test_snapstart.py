"""SnapStart: versions whose environments are restored from a snapshot of an initialised one."""

import concurrent.futures

import pytest
from harness.errors import error, invalid

SNAPSHOTS = {"ApplyOn": "PublishedVersions"}

SOURCE = """
import os, random, time
from snapshot_restore_py import register_after_restore, register_before_snapshot

calls = []
register_before_snapshot(lambda: calls.append("before 1"))
register_before_snapshot(lambda: calls.append("before 2"))

@register_after_restore
def after():
    calls.append("after")

time.sleep(0.5)
BORN = time.time()
TABLE = {str(i): i for i in range(10000)}

def handler(event, context):
    return {
        "born": BORN,
        "size": len(TABLE),
        "random": random.random(),
        "calls": calls,
        "pid": os.getpid(),
        "type": os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"],
        "stream": context.log_stream_name,
        "same_stream": os.environ["AWS_LAMBDA_LOG_STREAM_NAME"] == context.log_stream_name,
        "ours": [name for name in os.environ if "MAYFLY" in name],
    }
"""


def published(functions, eventually, source, **options):
    """A function's first version, when its snapshot is made or cannot be."""
    name = functions.make(source, SnapStart=SNAPSHOTS, **options)
    answer = functions.client.publish_version(FunctionName=name)
    assert answer["State"] == "Pending"
    assert answer["SnapStart"] == {**SNAPSHOTS, "OptimizationStatus": "Off"}

    def settled():
        config = functions.client.get_function_configuration(FunctionName=name, Qualifier="1")
        return config if config["State"] != "Pending" else None

    return name, eventually(settled, seconds=30)


def invoked(functions, name):
    return functions.call(name, {}, Qualifier="1")


def test_a_version_is_restored_from_its_snapshot(functions, logs, eventually):
    name, config = published(functions, eventually, SOURCE)
    assert config["State"] == "Active" and config["LastUpdateStatus"] == "Successful"
    assert config["SnapStart"] == {**SNAPSHOTS, "OptimizationStatus": "On"}
    assert functions.client.get_function_configuration(FunctionName=name)["SnapStart"]["OptimizationStatus"] == "Off"

    first = invoked(functions, name)
    assert first["size"] == 10000
    assert first["calls"] == ["before 2", "before 1", "after"]
    assert first["type"] == "snap-start" and first["same_stream"] and first["ours"] == []

    def lines():
        try:
            found = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}", logStreamNames=[first["stream"]])
        except logs.exceptions.ResourceNotFoundException:  # nothing was written yet
            return None
        messages = [event["message"] for event in found["events"]]
        return messages if any(line.startswith("REPORT") for line in messages) else None

    messages = eventually(lines)
    assert messages[0].startswith("RESTORE_START Runtime Version: python:3.12")
    assert messages[1].startswith("RESTORE_REPORT Restore Duration: ")
    report = next(line for line in messages if line.startswith("REPORT"))
    assert "\tRestore Duration: " in report and "\tBilled Restore Duration: " in report
    assert "Init Duration" not in report


def test_each_environment_is_another_one(functions, eventually):
    source = SOURCE.replace("    return {", "    time.sleep(event.get('sleep', 0))\n    return {")
    name, config = published(functions, eventually, source)
    assert config["SnapStart"]["OptimizationStatus"] == "On"
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: functions.call(name, {"sleep": 1}, Qualifier="1"), range(2)))
    assert len({answer["stream"] for answer in answers}) == 2
    assert len({answer["born"] for answer in answers}) == 1, "both come from the one initialisation"
    assert len({answer["random"] for answer in answers}) == 2, "and neither repeats the other"


def test_a_version_whose_snapshot_is_being_made_cannot_be_invoked_yet(functions):
    name = functions.make("import time\ntime.sleep(2)\ndef handler(e, c):\n    return 1\n", SnapStart=SNAPSHOTS)
    functions.client.publish_version(FunctionName=name)
    with error("SnapStartNotReadyException", status=409):
        functions.client.invoke(FunctionName=name, Qualifier="1")


def test_what_cannot_be_saved_works_without_a_snapshot(functions, eventually):
    source = """
import threading, time
threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
def handler(event, context):
    return threading.active_count()
"""
    name, config = published(functions, eventually, source)
    assert config["State"] == "Active"
    assert config["SnapStart"]["OptimizationStatus"] == "Off"
    assert "more than one thread" in config["StateReason"]
    assert invoked(functions, name) == 2


def test_an_initialisation_may_fork(functions, eventually):
    source = """
import os
pid = os.fork()
if pid == 0:
    os._exit(7)
STATUS = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
def handler(event, context):
    return STATUS
"""
    name, config = published(functions, eventually, source)
    assert config["SnapStart"]["OptimizationStatus"] == "On"
    assert invoked(functions, name) == 7


def test_the_reason_names_what_is_in_the_way(functions, eventually):
    source = "import os\npipe = os.pipe()\ndef handler(event, context):\n    return 1\n"
    name, config = published(functions, eventually, source)
    assert config["SnapStart"]["OptimizationStatus"] == "Off"
    assert "pipe" in config["StateReason"]
    assert invoked(functions, name) == 1


def test_an_initialisation_that_fails_fails_the_version(functions, eventually):
    _, config = published(functions, eventually, "raise ValueError('no')\n")
    assert config["State"] == "Failed"
    assert config["StateReasonCode"] == "FunctionError"
    assert "ValueError" in config["StateReason"] or "Runtime" in config["StateReason"]


def test_runtimes_that_have_no_snapshots_are_refused(functions):
    with invalid("nodejs20.x is not supported for SnapStart enabled functions."):
        functions.make("exports.handler = async () => 1", runtime="nodejs20.x", SnapStart=SNAPSHOTS)


def test_latest_has_no_snapshot(functions):
    name = functions.make("def handler(event, context):\n    return 1\n", SnapStart=SNAPSHOTS)
    assert functions.call(name) == 1


@pytest.mark.seconds(90)
def test_a_snapshot_outlives_the_daemon(another_daemon, aws_of, eventually):
    daemon = another_daemon()
    functions = aws_of(daemon).functions()
    name, config = published(functions, eventually, SOURCE)
    assert config["SnapStart"]["OptimizationStatus"] == "On"
    before = invoked(functions, name)
    assert daemon.stop() == 0
    daemon.start()
    after = invoked(functions, name)
    assert after["born"] == before["born"] and after["stream"] != before["stream"]
