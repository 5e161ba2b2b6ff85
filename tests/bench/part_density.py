"""What an idle environment takes of the machine, at several numbers of them, and which memory that is."""

import statistics
import time

import measure
import servers
from report import say, table

COUNTS = (100, 300, 1000)
# Of /proc/meminfo: what the kernel keeps for processes, sockets, mounts, namespaces and groups.
KERNEL = ("Slab", "KernelStack", "PageTables", "Percpu")


def meminfo():
    with open("/proc/meminfo", encoding="ascii") as lines:
        return {name: int(rest.split()[0]) for name, rest in (line.split(":") for line in lines)}


def look(daemon):
    return {
        **meminfo(),
        "Pss": sum(measure.pss_kb(pid) for pid in measure.tree(daemon.process.pid)),
        "count": daemon.counters()["environments"],
    }


def measured(daemon, folder, burst, count):
    """KB of each environment: what the system has less, the shares of pages, and parts of the kernel's."""
    daemon.forget_environments(folder)
    time.sleep(2)  # what has ended is taken down behind its end
    before = look(daemon)
    measure.burst(burst, daemon.port, count, f"-{count}", "dense-%d")
    time.sleep(2)
    after = look(daemon)
    living = after["count"]
    each = {name: (after[name] - before[name]) / living for name in ("Pss", *KERNEL)}
    return {"environments": living, "available": (before["MemAvailable"] - after["MemAvailable"]) / living, **each}


def run(folder, options):
    burst = servers.compile_c("burst.c", folder / "burst")
    counts = [count for count in COUNTS if count <= options.burst] or [options.burst]
    flags = ["--environments", str(max(counts) + 100), "--account-concurrency", str(max(counts) * 2), "--scaling-rate", "1000000"]
    daemon = servers.Mayfly(options.port, folder / "density", *flags).start()
    found = {count: [] for count in counts}
    try:
        # Frozen or not makes no difference to memory, and being stopped would.
        daemon.settle("stems = 0\nspares = 0\nidle = 3600\nfreeze = 86400000\n")
        say(f"creating {max(counts)} functions")
        daemon.create_many("dense-%d", max(counts))
        for number in range(max(1, options.rounds // 2)):
            for count in counts:
                say(f"{count} idle environments, round {number + 1}")
                found[count].append(measured(daemon, folder, burst, count))
    finally:
        daemon.stop()
    return found


def show(figures, options):
    rows = []
    for rounds in figures.values():
        r = {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
        gigabyte = [f"{1024 * 1024 / r[key]:.0f}" for key in ("available", "Pss")]
        rows.append([f"{r['environments']:.0f}", f"{r['available']:.0f}", gigabyte[0], f"{r['Pss']:.0f}", gigabyte[1], *(f"{r[key]:.0f}" for key in KERNEL)])
    head = ["environments", "KB less available", "in a GB", "KB PSS", "in a GB", *(f"{name} KB" for name in KERNEL)]
    table("Density: idle sandboxed Pythons, each", head, rows)
