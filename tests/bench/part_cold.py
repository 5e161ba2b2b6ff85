"""Cold starts of each runtime, without and with what waits ahead, beside fork and exec of the bare interpreter."""

import statistics
import threading
import time

import measure
import servers
from report import say, table

# What may wait ahead of a start: nothing, booted runtimes of no function, an initialised environment of the function.
KINDS = {
    "nothing ahead": "stems = 0\nspares = 0\n",
    "stems": "stems = 4\nspares = 0\n",
    "spare": "stems = 4\nspares = 1\n",
}

STEMS = ("node", "java")  # whose runtimes can be booted before they have a function; Python is forked
STEM_TRIES = 20


def bare_commands(folder):
    """name → a program that does nothing, in the same language."""
    nothing = servers.compile_c("functions/nothing.c", folder / "nothing", "-static")
    bare = {
        "native": [str(nothing)],
        "python": [servers.interpreter("python3", "-c", "import sys; print(sys.executable)"), "-I", "-c", "pass"],
        "node": [servers.interpreter("node", "-p", "process.execPath"), "-e", "0"],
    }
    java = servers.compile_java(folder, servers.SHARED / "Hello.java")
    if java:
        bare["java"] = [java, "-cp", str(folder), "Hello"]
    return bare


def cold_start(daemon, client, name, mark):
    """The first invocation after a change of the configuration, which retires all environments."""
    daemon.make_cold(name, mark)
    time.sleep(0.1)  # for what the change has left to do
    return client.invoke(name)


def stem_start(daemon, client, name, mark):
    """The same from a stem: there may be one for another runtime only, at first."""
    for attempt in range(STEM_TRIES):
        daemon.wait_for(lambda counters: counters["stems"] > 0)
        before = daemon.counters()["startedFromStem"]
        took = cold_start(daemon, client, name, f"{mark} {attempt}")
        if daemon.counters()["startedFromStem"] > before:
            return took
        time.sleep(0.5)
    raise RuntimeError(f"no stem for {name}")


def spare_start(daemon, client, name):
    """While the environment in use is busy, another one is needed: the spare."""
    other = measure.Client(daemon.port)
    other.invoke(name)
    daemon.wait_for(lambda counters: counters["idle"] >= 2 and not counters["starting"])
    busy = threading.Thread(target=other.invoke, args=(name, b'{"wait": 0.2}'))
    busy.start()
    daemon.wait_for(lambda counters: counters["busy"] == 1)
    took = client.invoke(name)
    busy.join()
    other.close()
    return took


def run(folder, options):
    packs, why = servers.java_packs(folder)
    daemon = servers.Mayfly(options.port, folder / "cold", *(["--runtimes-dir", str(packs)] if packs else [])).start()
    try:
        names = servers.make_functions(daemon, folder)
        servers.make_waiting(daemon)
        bare = bare_commands(folder)
        if packs:
            daemon.create_function("java", "java17", "Hello::handle", "Hello.class", (folder / "Hello.class").read_bytes())
            names.append("java")
        else:
            say(f"no Java: {why}")
        found = {}
        client = measure.Client(daemon.port)
        for number in range(options.rounds):
            for name in names:
                say(f"round {number + 1} of {options.rounds}: cold starts of {name}")
                row = found.setdefault(name, {"bare": [], **{kind: [] for kind in KINDS}})
                row["bare"] += measure.bare_starts(bare[name], options.cold) if name in bare else []
                for kind in ("nothing ahead", "stems") if name in STEMS else ("nothing ahead",):
                    daemon.settle(KINDS[kind])
                    start = stem_start if kind == "stems" else cold_start
                    row[kind] += [start(daemon, client, name, f"{number}-{i}-{kind}") for i in range(options.cold)]
            daemon.settle(KINDS["spare"])
            for name in ("python", "node"):
                waiting = f"waiting-{name}"
                daemon.make_cold(waiting, number)
                found[name]["spare"] += [spare_start(daemon, client, waiting) for _ in range(options.cold)]
                daemon.make_cold(waiting, f"{number} again")  # its environments go
        client.close()
    finally:
        daemon.stop()
    return found


def show(figures, options):
    rows = []
    for name, row in figures.items():
        bare = statistics.median(row["bare"]) if row["bare"] else None
        for kind in KINDS:
            if not row[kind]:
                continue
            cold = statistics.median(row[kind])
            ratio = f"{bare / cold:.2f}" if bare else "-"
            rows.append([name, kind, f"{cold:.2f}", f"{max(row[kind]):.1f}", f"{bare:.2f}" if bare else "-", ratio])
    head = ["runtime", "ahead", "invoke p50", "worst", "bare fork+exec p50", "bare / invoke"]
    table(f"Cold, {options.cold * options.rounds} starts each, milliseconds", head, rows)
