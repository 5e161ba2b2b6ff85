"""The first invocation of a version with SnapStart whose initialisation takes two seconds, beside that of a hello without."""

import statistics

import measure
import servers
from report import say, table

# name -> its code, and whether its version is published with SnapStart
FUNCTIONS = {"hello": (servers.SHARED / "hello.py", False), "slow_init": (servers.SHARED / "slow_init.py", True)}


def publish(daemon, name, has_snapshot):
    """Version 1; waits until it is active, and so its snapshot there."""
    if has_snapshot:
        daemon.ask("PUT", f"/2015-03-31/functions/{name}/configuration", {"SnapStart": {"ApplyOn": "PublishedVersions"}})
        daemon.wait_function(name)
    daemon.ask("POST", f"/2015-03-31/functions/{name}/versions", {})
    daemon.wait_function(f"{name}:1")
    state = daemon.ask("GET", f"/2015-03-31/functions/{name}:1/configuration")
    if has_snapshot and state["SnapStart"]["OptimizationStatus"] != "On":
        raise RuntimeError(f"no snapshot: {state.get('StateReason')}")


def run(folder, options):
    daemon = servers.Mayfly(options.port, folder / "snapstart").start()
    found = {name: [] for name in FUNCTIONS}
    try:
        daemon.settle("stems = 0\nspares = 0\n")
        for name, (path, has_snapshot) in FUNCTIONS.items():
            daemon.create_python(name, path)
            publish(daemon, name, has_snapshot)
        client = measure.Client(daemon.port)
        for number in range(options.rounds * options.cold):
            say(f"cold start {number + 1} of {options.rounds * options.cold}")
            for name in FUNCTIONS:
                daemon.forget_environments(folder)
                found[name].append(client.invoke(f"{name}:1"))
        found["restored"] = daemon.counters()["startedFromSnapshot"]
        client.close()
    finally:
        daemon.stop()
    return found


def show(figures, options):
    hello = statistics.median(figures["hello"])
    rows = []
    for name, what in (("hello", "a hello, initialised"), ("slow_init", "two seconds of initialisation, restored")):
        took = figures[name]
        middle = statistics.median(took)
        rows.append([what, f"{middle:.2f}", f"{max(took):.1f}", f"{middle / hello:.2f}"])
    head = ["version", "invoke p50", "worst", "of the hello"]
    table(f"SnapStart, {options.rounds * options.cold} cold starts each ({figures['restored']} restored), milliseconds", head, rows)
