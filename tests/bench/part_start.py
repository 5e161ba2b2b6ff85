"""The daemon itself: from exec to Ready, and its memory when nothing is there."""

import statistics
import time

import measure
import servers
from report import say, table

IDLE_SECONDS = 2


def run(folder, options):
    ready = {"first": [], "again": []}
    rows = {}
    for number in range(max(options.rounds, 3)):
        say(f"start {number + 1} of the daemon")
        data = folder / f"start-{number}"
        for kind in ("first", "again"):  # the second time its databases are there
            daemon = servers.Mayfly(options.port, data).start()
            ready[kind].append(daemon.ready_ms)
            if kind == "again" and not rows:
                time.sleep(IDLE_SECONDS)
                for pid in sorted(measure.tree(daemon.process.pid)):
                    rss, pss = measure.memory(pid)
                    rows[pid] = {"command": measure.name_of(pid), "rss": rss, "pss": pss}
            daemon.stop()
        servers.remove(data)
    return {"ready_ms": {kind: statistics.median(took) for kind, took in ready.items()}, "memory": list(rows.values())}


def show(figures, options):
    ready = figures["ready_ms"]
    print(f"\nFrom exec to `Ready.`: {ready['first']:.0f} ms the first time, {ready['again']:.0f} ms with a data directory.")
    rows = [[r["command"], f"{r['rss']:.1f}", f"{r['pss']:.1f}"] for r in figures["memory"]]
    rows.append(["all", *(f"{sum(r[key] for r in figures['memory']):.1f}" for key in ("rss", "pss"))])
    table("Memory of the idle daemon, MB", ["process", "RSS", "PSS"], rows)
