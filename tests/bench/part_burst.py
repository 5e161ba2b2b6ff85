"""A thousand cold invocations at one moment, of one function and of a thousand; how many starts a second; how dense they lie."""

import statistics
import time

import measure
import servers
from report import say, table


def available_kb():
    with open("/proc/meminfo", encoding="ascii") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))


def density(daemon, before_kb):
    """What an idle environment takes: by what the system has less, and by its share of pages."""
    time.sleep(1)
    count = daemon.counters()["environments"]
    lost = before_kb - available_kb()
    shares = sum(measure.pss_kb(pid) for pid in measure.tree(daemon.process.pid))
    return {"environments": count, "kb_available": lost / count, "kb_pss": shares / count} if count else None


def run(folder, options):
    burst = servers.compile_c("burst.c", folder / "burst")
    settings = "stems = 4\nspares = 0\nfreeze = 86400000\n"
    flags = ["--environments", str(options.burst + 200), "--account-concurrency", str(options.burst * 2), "--scaling-rate", "1000000"]
    daemon = servers.Mayfly(options.port, folder / "burst-data", *flags).start()
    rounds = {"one": [], "many": []}
    dense = []
    try:
        daemon.settle(settings)
        say(f"creating {options.burst} functions")
        daemon.create_many("many-%d", options.burst)
        daemon.create_python("one", servers.SHARED / "hello.py")
        for number in range(max(1, options.rounds // 2 + 1)):
            for kind in rounds:
                say(f"a burst over {kind}, round {number + 1}")
                daemon.forget_environments(folder)
                before_kb, before = available_kb(), daemon.counters()
                words = ["one"] if kind == "one" else [f"-{options.burst}", "many-%d"]
                result = measure.burst(burst, daemon.port, options.burst, *words)
                after = daemon.counters()
                result["starts"] = after["spawns"] - before["spawns"]
                rounds[kind].append(result)
                if kind == "many":
                    dense.append(density(daemon, before_kb))
    finally:
        daemon.stop()
    return {"rounds": rounds, "density": [d for d in dense if d]}


def show(figures, options):
    rows = []
    for kind, rounds in figures["rounds"].items():
        r = {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
        what = "one function" if kind == "one" else f"{options.burst} functions"
        rate = r["starts"] / (r["last"] / 1e6)
        rows.append(
            [what, f"{r['count'] - r['good']:.0f}", f"{r['p50'] / 1000:.0f}", f"{r['p99'] / 1000:.0f}", f"{r['last'] / 1000:.0f}", f"{r['starts']:.0f}", f"{rate:.0f}"]
        )
    head = ["over", "errors", "p50 ms", "p99 ms", "last ms", "starts", "starts/s"]
    table(f"{options.burst} cold invocations at once, Python", head, rows)
    if figures["density"]:
        rows = []
        for key, what in (("kb_available", "memory that the system has less"), ("kb_pss", "PSS of all processes")):
            kb = statistics.median(d[key] for d in figures["density"])
            rows.append([what, f"{kb:.0f}", f"{1024 * 1024 / kb:.0f}"])
        count = statistics.median(d["environments"] for d in figures["density"])
        table(f"Density: {count:.0f} idle sandboxed Pythons", ["by", "KB each", "in a GB"], rows)
