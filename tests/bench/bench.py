"""
Measures mayfly beside its limit and its peers and prints tables; README.md says what the columns mean.

There is no pass or fail here. Figures of different runs, machines or days are not comparable:
compare rows of one run. All traffic is on 127.0.0.1, bounded in time and in count.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time

import measure
import servers

IDLE_SECONDS = 2
CROWD, NEIGHBOURS = 200, 4


def parse():
    parser = argparse.ArgumentParser(prog="tools/bench", description=__doc__.strip().splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="rounds of the load, each over all targets (default 5)")
    parser.add_argument("--seconds", type=int, default=2, help="of each run of the load (default 2)")
    parser.add_argument("--connections", default="1,8,32", help="default 1,8,32")
    parser.add_argument("--cold", type=int, default=15, help="cold starts of each runtime (default 15)")
    parser.add_argument("--traced", type=int, default=1000, help="invocations under strace (default 1000)")
    parser.add_argument("--port", type=int, default=14500, help="the first of three ports (default 14500)")
    parser.add_argument("--quick", action="store_true", help="one round of one second, few starts")
    parser.add_argument("--json", metavar="FILE", help="write all figures there, too")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds, options.cold, options.traced = 1, 1, 3, 200
    options.connections = [int(n) for n in options.connections.split(",")]
    return options


def say(text):
    print(text, file=sys.stderr, flush=True)


def table(title, head, rows):
    cells = [head, *[[str(cell) for cell in row] for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    print(f"\n## {title}\n")
    for number, row in enumerate(cells):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |")
        if number == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")


def measure_start(folder, options):
    """Ready time of some starts, and the memory of the last one when idle."""
    ready = []
    for i in range(max(options.rounds, 3)):
        data = folder / f"start-{i}"
        daemon = servers.Mayfly(options.port, data).start()
        ready.append(daemon.ready_ms)
        daemon.stop()
        daemon = servers.Mayfly(options.port, data).start()  # the second time its databases are there
        ready.append(daemon.ready_ms)
        daemon.stop()
        servers.remove(data)
    return {"first": statistics.median(ready[0::2]), "again": statistics.median(ready[1::2])}


def measure_idle(daemon):
    time.sleep(IDLE_SECONDS)
    rows = {}
    for pid in sorted(measure.tree(daemon.process.pid)):
        rss, pss = measure.memory(pid)
        rows[pid] = {"command": measure.command(pid), "rss": rss, "pss": pss}
    return rows


def measure_load(targets, options):
    """Interleaved: each round runs every target once at every number of connections."""
    found = {(name, count): [] for name, *_ in targets for count in options.connections}
    for number in range(options.rounds):
        for count in options.connections:
            for name, port, path, roots in targets:
                say(f"round {number + 1} of {options.rounds}: {name}, {count} connections")
                if number == 0:
                    measure.load(port, path, count, 1, roots)  # environments start, caches fill
                found[name, count].append(measure.load(port, path, count, options.seconds, roots))
    return {key: measure.medians(rounds) for key, rounds in found.items()}


def print_load(results, options):
    rows = []
    for count in options.connections:
        peer = results["nginx", count]["rate"]
        for (name, connections), r in results.items():
            if connections == count:
                rows.append(
                    [
                        count,
                        name,
                        f"{r['rate']:,.0f}",
                        f"{r['rate'] / peer:.2f}",
                        f"{r['p50']:,.0f}",
                        f"{r['p99']:,.0f}",
                        f"{r['cpu']:.0f}",
                        f"{r['errors']:.0f}",
                    ]
                )
    head = ["connections", "target", "requests/s", "of nginx", "p50 us", "p99 us", "CPU us/request", "errors"]
    table(f"Warm, medians of {options.rounds} rounds of {options.seconds} s", head, rows)


def measure_cold(daemon, names, folder, options):
    """Interleaved by halves: bare, cold, bare."""
    nothing = servers.compile_c("functions/nothing.c", folder / "nothing", "-static")
    bare = {
        "native": [str(nothing)],
        "python": [servers.interpreter("python3", "-c", "import sys; print(sys.executable)"), "-I", "-c", "pass"],
        "node": [servers.interpreter("node", "-p", "process.execPath"), "-e", "0"],
    }
    found = {}
    for name in names:
        say(f"cold starts: {name}")
        began = measure.bare_starts(bare[name], options.cold)
        cold = measure.cold_starts(daemon, name, options.cold)
        began += measure.bare_starts(bare[name], options.cold)
        found[name] = {"bare": statistics.median(began), "cold": statistics.median(cold), "worst": max(cold), "what": " ".join(bare[name])}
    return found


def print_cold(found, options):
    rows = [
        [name, f"{r['cold']:.1f}", f"{r['worst']:.1f}", f"{r['bare']:.1f}", f"{r['cold'] / r['bare']:.2f}"] for name, r in found.items()
    ]
    table(f"Cold, {options.cold} starts each, milliseconds", ["runtime", "invoke p50", "worst", "bare fork+exec p50", "ratio"], rows)


def measure_neighbour(daemon, options):
    """Latency of a warm function alone, and while another takes CROWD cold starts; interleaved."""
    path, crowd = measure.invocations("native"), (measure.invocations("crowd"), CROWD)
    alone, beside = [], []
    measure.load(daemon.port, path, NEIGHBOURS, 1, [])
    for number in range(options.rounds):
        say(f"round {number + 1} of {options.rounds}: a warm function beside {CROWD} cold starts")
        alone.append(measure.load(daemon.port, path, NEIGHBOURS, options.seconds, []))
        daemon.make_cold("crowd", number)
        beside.append(measure.load_beside(daemon.port, path, NEIGHBOURS, options.seconds, crowd))
    return {"alone": measure.medians(alone), "beside": measure.medians(beside)}


def print_neighbour(found):
    rows = [
        [name, f"{r['rate']:,.0f}", f"{r['p50']:,.0f}", f"{r['p99']:,.0f}", f"{r['errors']:.0f}"]
        for name, r in (("alone", found["alone"]), (f"beside {CROWD} cold starts", found["beside"]))
    ]
    table(f"A warm native function, {NEIGHBOURS} connections", ["", "requests/s", "p50 us", "p99 us", "errors"], rows)


def print_idle(idle):
    rows = [[r["command"][:60], f"{r['rss']:.1f}", f"{r['pss']:.1f}"] for r in idle.values()]
    rows.append(["all", f"{sum(r['rss'] for r in idle.values()):.1f}", f"{sum(r['pss'] for r in idle.values()):.1f}"])
    table("Memory of the idle daemon, MB", ["process", "RSS", "PSS"], rows)


def print_calls(calls, options):
    if calls is None:
        print("\nstrace is not installed: system calls are not counted.")
        return
    rows = [[name, f"{number:.2f}"] for name, number in sorted(calls.items(), key=lambda item: -item[1]) if number >= 0.005]
    rows.append(["all", f"{sum(calls.values()):.2f}"])
    table(f"System calls of the router per warm invocation ({options.traced} traced)", ["call", "number"], rows)


def run(folder, options, started):
    figures = {}
    say("starts of the daemon")
    figures["ready_ms"] = measure_start(folder, options)

    daemon = servers.Mayfly(options.port, folder / "data").start()
    started.append(daemon)
    figures["idle"] = measure_idle(daemon)
    names = servers.make_functions(daemon, folder)
    echo = servers.start_echo(folder, options.port + 1)
    started.append(echo)
    nginx = servers.start_nginx(folder, options.port + 2, echo.port)
    started.append(nginx)

    path = measure.invocations("native")
    targets = [
        ("echo", echo.port, path, [echo.process.pid]),
        ("nginx", nginx.port, path, [nginx.process.pid, echo.process.pid]),
    ]
    targets += [(name, daemon.port, measure.invocations(name), [daemon.process.pid]) for name in names]
    load = measure_load(targets, options)
    figures["load"] = [{"target": name, "connections": count, **r} for (name, count), r in load.items()]
    figures["calls"] = measure.system_calls(daemon, "native", options.traced, folder)
    figures["cold"] = measure_cold(daemon, names, folder, options)
    figures["neighbour"] = measure_neighbour(daemon, options)

    print(f"# mayfly, {os.cpu_count()} CPUs, Linux {platform.release()}, load generator on the same machine")
    print_load(load, options)
    print_cold(figures["cold"], options)
    print_neighbour(figures["neighbour"])
    ready = figures["ready_ms"]
    print(f"\nFrom exec to `Ready.`: {ready['first']:.0f} ms the first time, {ready['again']:.0f} ms with a data directory.")
    print_idle(figures["idle"])
    print_calls(figures["calls"], options)
    return figures


def main():
    options = parse()
    folder = servers.work_folder()
    started = []
    try:
        figures = run(folder, options, started)
        if options.json:
            with open(options.json, "w", encoding="utf-8") as out:
                json.dump(figures, out, indent=1)
    finally:
        for server in reversed(started):
            server.stop()
        servers.remove(folder)


if __name__ == "__main__":
    main()
