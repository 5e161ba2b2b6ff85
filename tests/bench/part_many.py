"""
Very many registered functions: memory of each, a restart until the first invocation, and what an idle daemon does.

Only one of them and CREATED others are created over the API. The rest are rows of the store, copied from those of the one, with
names and ids of their own, while no daemon runs: what is measured comes after a restart, which sees no difference.
"""

import contextlib
import json
import sqlite3
import time
import uuid

import measure
import servers
from report import say, table

CREATED = 1000
IDLE_SECONDS = 30
REST_SECONDS = 35  # with those before: a minute, after which a daemon gives back what it does not use
NAME = "registered-%d"


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


def renamed(text, old, new, function_id):
    """A document or a key of the function `old`, as one of `new`."""
    return text.replace(old[0].encode(), new.encode()).replace(old[1].encode(), function_id.encode())


def copy_functions(data, first, count):
    """Rows like those of function `first - 1`, under the next names."""
    with contextlib.closing(sqlite3.connect(data / "router" / "docs.db")) as store, store:
        name = NAME % (first - 1)
        key, value = store.execute("SELECT key, value FROM doc WHERE kind = ? AND CAST(key AS TEXT) LIKE ?", (b"lambda.function", f"%/{name}")).fetchone()
        document = json.loads(value)
        old = (name, document["Id"])
        ids = [document["Latest"][key].encode() for key in ("RevisionId", "Build")]
        code_key, code = store.execute("SELECT key, value FROM doc WHERE kind = ? AND CAST(key AS TEXT) LIKE ?", (b"lambda.code", f"%/{name}/%")).fetchone()
        (revision,) = store.execute("SELECT revision FROM last").fetchone()
        for number in range(first, first + count):
            function_id, copy = uuid.uuid4().hex[:8], value
            for one in ids:
                copy = copy.replace(one, str(uuid.uuid4()).encode())
            revision += 1
            rows = [
                (b"lambda.code", renamed(code_key, old, NAME % number, function_id), code, revision),
                (b"lambda.function", renamed(key, old, NAME % number, function_id), renamed(copy, old, NAME % number, function_id), revision),
            ]
            store.executemany("INSERT INTO doc (kind, key, value, revision) VALUES (?, ?, ?, ?)", rows)
        store.execute("UPDATE last SET revision = ?", (revision,))


def use_once(daemon, folder, name):
    """One invocation, and then nothing of it: what a daemon keeps that has been used."""
    client = measure.Client(daemon.port)
    client.invoke(name)
    client.close()
    daemon.forget_environments(folder)
    time.sleep(2)
    return memory_mb(daemon)


def register(folder, data, options):
    """All functions. What the daemon takes with none, and with one that was used; and how fast it creates."""
    daemon = servers.Mayfly(options.port, data).start()
    try:
        time.sleep(2)
        found = {"empty_mb": memory_mb(daemon)}
        daemon.create_many(NAME, 1)
        found["one_mb"] = use_once(daemon, folder, NAME % 0)
        created = min(CREATED, options.registered - 1)
        say(f"creating {created} functions, and copying them to {options.registered}")
        began = time.perf_counter()
        daemon.create_many("measured-%d", created)
        found["created_per_s"] = created / (time.perf_counter() - began)
    finally:
        daemon.stop()
    copy_functions(data, 1, options.registered - 1)
    return found


def run(folder, options):
    data = folder / "many"
    found = register(folder, data, options)
    daemon = servers.Mayfly(options.port, data)
    began = time.perf_counter()
    daemon.start()
    try:
        client = measure.Client(daemon.port)
        client.invoke(NAME % (options.registered - 1))
        found["first_ms"] = (time.perf_counter() - began) * 1000
        found["ready_ms"] = daemon.ready_ms
        client.close()
        found["full_mb"] = use_once(daemon, folder, NAME % 0)
        found["wake_ups"] = idle(daemon)
        time.sleep(REST_SECONDS)
        found["rested_mb"] = memory_mb(daemon)
    finally:
        daemon.stop()
    return found


def show(figures, options):
    count = options.registered
    empty, one, full = figures["empty_mb"], figures["one_mb"], figures["full_mb"]
    each = (full["router"] - one["router"]) * 1024 * 1024 / count
    rows = [
        ["created a second, 8 clients, durable", f"{figures['created_per_s']:.0f}"],
        ["memory of the router for each, bytes", f"{each:.0f}"],
        ["restart to Ready, ms", f"{figures['ready_ms']:.0f}"],
        ["restart to the answer of the first invocation, ms", f"{figures['first_ms']:.0f}"],
        ["RSS of warden + router, MB, idle for a minute", f"{sum(figures['rested_mb'].values()):.1f}"],
        ["the same, used just now", f"{sum(full.values()):.1f}"],
        ["the same with one function", f"{sum(one.values()):.1f}"],
        ["the same with none, not used", f"{sum(empty.values()):.1f}"],
        ["wake-ups a second, warden + router, idle", f"{sum(figures['wake_ups'].values()):.2f}"],
    ]
    table(f"{count:,} registered functions", ["what", ""], rows)
