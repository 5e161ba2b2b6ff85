"""A warm function alone, and while another one takes many cold starts."""

import measure
import servers
from report import say, table

CROWD, NEIGHBOURS = 200, 4


def run(folder, options):
    daemon = servers.Mayfly(options.port, folder / "neighbour").start()
    path, crowd = measure.invocations("native"), (measure.invocations("crowd"), CROWD)
    alone, beside = [], []
    try:
        servers.make_functions(daemon, folder)
        measure.load(daemon.port, path, NEIGHBOURS, 1, [])
        for number in range(options.rounds):
            say(f"round {number + 1} of {options.rounds}: a warm function beside {CROWD} cold starts")
            alone.append(measure.load(daemon.port, path, NEIGHBOURS, options.seconds, []))
            daemon.make_cold("crowd", number)
            beside.append(measure.load_beside(daemon.port, path, NEIGHBOURS, options.seconds, crowd))
    finally:
        daemon.stop()
    return {"alone": measure.medians(alone), "beside": measure.medians(beside)}


def show(figures, options):
    rows = [
        [name, f"{r['rate']:,.0f}", f"{r['p50']:,.0f}", f"{r['p99']:,.0f}", f"{r['errors']:.0f}"]
        for name, r in (("alone", figures["alone"]), (f"beside {CROWD} cold starts", figures["beside"]))
    ]
    table(f"A warm native function, {NEIGHBOURS} connections", ["", "requests/s", "p50 us", "p99 us", "errors"], rows)
