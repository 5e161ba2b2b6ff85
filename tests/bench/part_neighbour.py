"""A warm function alone, and while another one takes many cold starts."""

import measure
import servers
from report import say, table

CROWD, NEIGHBOURS, SECONDS = 200, 4, 1  # the starts take most of a second


def run(folder, options):
    burst = servers.compile_c("burst.c", folder / "burst")
    daemon = servers.Mayfly(options.port, folder / "neighbour", "--environments", str(CROWD * 2)).start()
    daemon.settle("stems = 0\nspares = 0\n")
    path, crowd = measure.invocations("native"), [burst, options.port, CROWD, f"-{CROWD}", "crowd-%d"]
    alone, beside, starts = [], [], []
    try:
        servers.make_functions(daemon, folder)
        daemon.create_many("crowd-%d", CROWD)
        for number in range(options.rounds):
            say(f"round {number + 1} of {options.rounds}: a warm function beside {CROWD} cold starts")
            daemon.forget_environments(folder)
            measure.load(daemon.port, path, NEIGHBOURS, SECONDS, [])
            alone.append(measure.load(daemon.port, path, NEIGHBOURS, SECONDS, []))
            before = daemon.counters()["spawns"]
            beside.append(measure.load_beside(daemon.port, path, NEIGHBOURS, SECONDS, crowd))
            starts.append(daemon.counters()["spawns"] - before)
    finally:
        daemon.stop()
    return {"alone": measure.medians(alone), "beside": measure.medians(beside), "starts": min(starts)}


def show(figures, options):
    quiet = figures["alone"]["p99"]
    rows = [
        [name, f"{r['rate']:,.0f}", f"{r['p50']:,.0f}", f"{r['p99']:,.0f}", f"{r['p99'] / quiet:.1f}", f"{r['errors']:.0f}"]
        for name, r in (("alone", figures["alone"]), (f"beside {figures['starts']} cold starts", figures["beside"]))
    ]
    head = ["", "requests/s", "p50 us", "p99 us", "of alone", "errors"]
    table(f"A warm native function, {NEIGHBOURS} connections, for {SECONDS} s", head, rows)
