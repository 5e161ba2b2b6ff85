"""What a node has room for: memory, starts at a time, frozen environments; what its figures say about it."""

import concurrent.futures
import json
import time
import urllib.request

from harness.errors import error

# No environments but those that are asked for.
PLAIN = ["--spares", "0", "--stems", "0"]

SLEEP = "import time\ndef handler(event, context):\n    time.sleep(event.get('s', 0))\n    return 'slept'\n"

TICKS = """
import threading, time
ticks = []
def tick():
    while True:
        ticks.append(time.monotonic())
        time.sleep(0.005)
threading.Thread(target=tick, daemon=True).start()
def handler(event, context):
    began = time.monotonic()
    while ticks[-1] < began:
        time.sleep(0.001)
    return ticks[-2000:]
"""


def ask(daemon, what):
    with urllib.request.urlopen(f"{daemon.endpoint}/_mayfly/{what}", timeout=10) as answer:
        return json.load(answer)


def counters(daemon):
    return ask(daemon, "status")["counters"]


def test_an_idle_environment_is_frozen_until_it_has_work(another_daemon, aws_of, eventually):
    daemon = another_daemon(*PLAIN, "--freeze", "100")
    functions = aws_of(daemon).functions()
    name = functions.make(TICKS)
    functions.call(name, {})
    eventually(lambda: counters(daemon)["frozen"] == 1)
    assert [env["state"] for env in ask(daemon, "environments")["environments"]] == ["frozen"]
    from_, to = time.monotonic(), time.monotonic() + 1
    while time.monotonic() < to:
        time.sleep(0.01)
    ticks = functions.call(name, {})
    assert ticks[-1] > to, "it did not go on"
    # It is frozen a moment after it is shown to be; running it would have ticked about 200 times.
    assert sum(from_ < tick < to for tick in ticks) < 40
    assert counters(daemon)["spawns"] == 1
    eventually(lambda: counters(daemon)["freezes"] == 2)


def test_a_frozen_environment_is_replaced_like_any_other(another_daemon, aws_of, eventually):
    daemon = another_daemon(*PLAIN, "--freeze", "50")
    functions = aws_of(daemon).functions()
    name = functions.make("def handler(event, context):\n    return 1\n")
    assert functions.call(name, {}) == 1
    eventually(lambda: counters(daemon)["frozen"] == 1)
    functions.update_code(name, "def handler(event, context):\n    return 2\n")
    eventually(lambda: counters(daemon)["environments"] == 0)
    assert functions.call(name, {}) == 2


def test_a_frozen_environment_is_stopped_after_its_time(another_daemon, aws_of, eventually):
    daemon = another_daemon(*PLAIN, "--freeze", "50", "--idle", "1")
    functions = aws_of(daemon).functions()
    functions.call(functions.make(), {})
    eventually(lambda: counters(daemon)["freezes"] == 1)
    eventually(lambda: counters(daemon)["environments"] == 0)


def test_environments_that_are_never_frozen(another_daemon, aws_of):
    daemon = another_daemon(*PLAIN, "--freeze", "0")
    functions = aws_of(daemon).functions()
    functions.call(functions.make(), {})
    assert counters(daemon)["frozen"] == 0
    assert ask(daemon, "environments")["environments"][0]["state"] == "idle"


def test_the_memory_of_the_node_is_a_bound(another_daemon, aws_of, eventually):
    daemon = another_daemon(*PLAIN, "--memory", "256", "--memory-count", "reserved", "--queue", "500")
    functions = aws_of(daemon).functions()
    busy, other = functions.make(SLEEP, Timeout=60), functions.make(SLEEP, Timeout=60)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        running = [pool.submit(functions.call, busy, {"s": 6}) for _ in range(2)]
        eventually(lambda: counters(daemon)["busy"] == 2)
        assert counters(daemon)["memoryMb"] == counters(daemon)["memoryMbMax"] == 256
        message = "Rate Exceeded. The memory of this node is in use: 256 of 256 MB, and 128 MB are needed."
        with error("TooManyRequestsException", message, 429) as caught:
            functions.client.invoke(FunctionName=other, Payload="{}")
        assert caught.response["Reason"] == "ConcurrentInvocationLimitExceeded"
        assert [job.result() for job in running] == ["slept", "slept"]
    # Idle ones make room, those that have been idle longest.
    assert functions.call(other, {}) == "slept"
    assert counters(daemon)["evictions"] == 1


def test_memory_is_counted_by_what_is_used(another_daemon, aws_of, eventually):
    daemon = another_daemon(*PLAIN, "--freeze", "50")
    functions = aws_of(daemon).functions()
    name = functions.make("blob = bytearray(100 * 1024 * 1024)\ndef handler(event, context):\n    return len(blob)\n",
                          MemorySize=1024)
    functions.call(name, {})
    eventually(lambda: counters(daemon)["frozen"] == 1)
    (env,) = ask(daemon, "environments")["environments"]
    assert 100 < env["memoryMb"] < 400
    assert counters(daemon)["memoryMb"] == env["memoryMb"]


def test_cold_starts_of_one_function_do_not_stop_another(another_daemon, aws_of):
    """A hundred cold starts wait their turn, two at a time; a warm function answers meanwhile."""
    daemon = another_daemon(*PLAIN, "--starts", "2", "--queue", "60000")
    functions = aws_of(daemon).functions()
    crowd, warm = functions.make(SLEEP, Timeout=60), functions.make()
    functions.call(warm, {})
    with concurrent.futures.ThreadPoolExecutor(60) as pool:
        waiting = [pool.submit(functions.call, crowd, {"s": 0.5}) for _ in range(60)]
        answered = 0
        while not any(job.done() for job in waiting):
            assert functions.call(warm, {"n": answered}) == {"n": answered}
            answered += 1
        assert answered > 0
        assert [job.result() for job in waiting] == ["slept"] * 60
    assert counters(daemon)["throttled"] == 0
