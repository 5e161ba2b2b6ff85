"""Very many registered functions: memory of each, a restart until the first invocation, and what an idle daemon does."""

import time

import measure
import servers
from report import say, table

IDLE_SECONDS = 5


def router_and_warden(daemon):
    return {"router": measure.router_of(daemon), "warden": daemon.process.pid}


def memory_mb(daemon):
    return {name: measure.memory(pid)[0] for name, pid in router_and_warden(daemon).items()}


def idle(daemon):
    """Wake-ups of all threads of router and warden."""
    time.sleep(2)
    pids = router_and_warden(daemon)
    before = {name: measure.wake_ups(pid) for name, pid in pids.items()}
    time.sleep(IDLE_SECONDS)
    return {name: (measure.wake_ups(pid) - before[name]) / IDLE_SECONDS for name, pid in pids.items()}


def run(folder, options):
    data = folder / "many"
    daemon = servers.Mayfly(options.port, data).start()
    empty = memory_mb(daemon)
    say(f"registering {options.registered} functions")
    began = time.perf_counter()
    daemon.create_many("registered-%d", options.registered)
    took = time.perf_counter() - began
    daemon.stop()

    daemon = servers.Mayfly(options.port, data)
    began = time.perf_counter()
    daemon.start()
    client = measure.Client(daemon.port)
    client.invoke(f"registered-{options.registered - 1}")
    first = (time.perf_counter() - began) * 1000
    client.close()
    try:
        daemon.forget_environments(folder)
        full = memory_mb(daemon)
        return {
            "create_s": took,
            "ready_ms": daemon.ready_ms,
            "first_ms": first,
            "empty_mb": empty,
            "full_mb": full,
            "wake_ups": idle(daemon),
        }
    finally:
        daemon.stop()


def show(figures, options):
    count = options.registered
    empty, full = figures["empty_mb"], figures["full_mb"]
    each = (full["router"] - empty["router"]) * 1024 * 1024 / count
    rows = [
        ["created a second, 8 clients, durable", f"{count / figures['create_s']:.0f}"],
        ["memory of the router for each, bytes", f"{each:.0f}"],
        ["restart to Ready, ms", f"{figures['ready_ms']:.0f}"],
        ["restart to the answer of the first invocation, ms", f"{figures['first_ms']:.0f}"],
        ["RSS of warden + router, MB, idle", f"{full['warden'] + full['router']:.1f}"],
        ["the same with no functions", f"{empty['warden'] + empty['router']:.1f}"],
        ["wake-ups a second, warden + router, idle", f"{sum(figures['wake_ups'].values()):.2f}"],
    ]
    table(f"{count:,} registered functions", ["what", ""], rows)
