"""Environments of a replaced revision drain: nothing in flight fails, nothing new meets them."""

import concurrent.futures
import json
import threading
import urllib.request

SOURCE = """
import os, time
me = os.urandom(6).hex()
def handler(event, context):
    time.sleep(event.get("s", 0))
    return {{"revision": {n}, "me": me, "timeout": context.get_remaining_time_in_millis()}}
"""


def environments(daemon, name):
    with urllib.request.urlopen(f"{daemon.endpoint}/_mayfly/environments", timeout=10) as answer:
        return [env for env in json.load(answer)["environments"] if env["function"] == name]


def test_no_invocation_fails_while_code_and_configuration_change(daemon, functions, eventually):
    name = functions.make(SOURCE.format(n=0), Timeout=30)
    stop, answered = threading.Event(), [0] * 5

    def load(worker):
        newest = 0
        while not stop.is_set():
            got = functions.call(name, {"s": 0.01})["revision"]
            assert got >= newest, "an old environment answered after a new one had"
            newest = got
            answered[worker] += 1

    with concurrent.futures.ThreadPoolExecutor(len(answered)) as pool:
        loads = [pool.submit(load, worker) for worker in range(len(answered))]
        try:
            for n in range(1, 7):
                if n % 2:
                    functions.update_code(name, SOURCE.format(n=n))
                else:
                    functions.update(name, Timeout=30 - n)
                # What is asked after the change was answered sees it.
                got = functions.call(name, {})
                assert got["revision"] == (n if n % 2 else n - 1)
                assert got["timeout"] <= (30 - n + n % 2) * 1000
        finally:
            stop.set()
        for one in loads:
            one.result()
    assert all(answered)
    # And those of old revisions are gone: what is left serves the last one.
    eventually(lambda: {env["state"] for env in environments(daemon, name)} <= {"idle", "frozen"}, seconds=30)
    left = environments(daemon, name)
    with concurrent.futures.ThreadPoolExecutor(len(left)) as pool:
        for got in pool.map(lambda _: functions.call(name, {"s": 0.2}), range(len(left))):
            assert got["revision"] == 5


def test_an_invocation_in_flight_ends_in_its_old_environment(functions):
    name = functions.make(SOURCE.format(n=1), Timeout=30)
    functions.call(name, {})
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(functions.call, name, {"s": 4})
        functions.update_code(name, SOURCE.format(n=2))
        assert functions.call(name, {})["revision"] == 2
        assert not running.done()
        assert running.result()["revision"] == 1


def test_each_version_has_environments_of_its_own(functions):
    name = functions.make(SOURCE.format(n=1))
    functions.publish(name)
    functions.update_code(name, SOURCE.format(n=2))
    functions.publish(name)
    seen = {}
    for _ in range(3):
        for qualifier in ("1", "2", "$LATEST"):
            got = functions.call(name, {}, Qualifier=qualifier)
            assert got["revision"] == (1 if qualifier == "1" else 2)
            seen.setdefault(qualifier, set()).add(got["me"])
    assert not seen["1"] & seen["2"] and not seen["2"] & seen["$LATEST"] and not seen["1"] & seen["$LATEST"]


def test_a_tag_or_a_new_version_stops_no_environment(functions, lambda_):
    name = functions.make(SOURCE.format(n=1))
    first = functions.call(name, {})["me"]
    lambda_.tag_resource(Resource=functions.arn(name), Tags={"a": "b"})
    functions.publish(name)
    lambda_.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=5)
    assert functions.call(name, {})["me"] == first
