"""Warm invocations beside the limit of the machine and the peers: requests a second, latencies, processor time."""

import subprocess

import measure
import peers
import servers
from report import say, table


def targets_of(folder, options, started):
    daemon = servers.Mayfly(options.port, folder / "warm").start()
    started.append(daemon)
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
    return daemon, targets


def peers_of(folder, options, started):
    """(targets, why others are missing)."""
    targets, missing = [], {}
    for number, peer in enumerate(peers.chosen(options.peers)):
        say(f"starting {peer.name}")
        try:
            server = peer.start(folder / peer.name, options.port + 10 + number)
        except peers.Missing as reason:
            say(f"ATTENTION: {peer.name} is left out: {reason}")
            missing[peer.name] = str(reason)
            continue
        started.append(server)
        targets.append((peer.name, server.port, peer.path, [server.process.pid]))
    return targets, missing


def measure_load(targets, peer_names, options):
    """
    Interleaved: each round runs every target once at every number of connections. (results, which peers broke under it);
    one of ours that breaks ends the run.
    """
    found = {(name, count): [] for name, *_ in targets for count in options.connections}
    broken = {}
    for number in range(options.rounds):
        for count in options.connections:
            for name, port, path, roots in targets:
                if name in broken:
                    continue
                say(f"round {number + 1} of {options.rounds}: {name}, {count} connections")
                try:
                    if number == 0:
                        measure.load(port, path, count, 1, roots)  # environments start, caches fill
                    found[name, count].append(measure.load(port, path, count, options.seconds, roots))
                except (RuntimeError, subprocess.TimeoutExpired) as error:
                    if name not in peer_names:
                        raise
                    broken[name] = f"breaks with {count} connections: {error}"[:120]
    return {key: measure.medians(rounds) for key, rounds in found.items() if rounds}, broken


def run(folder, options):
    started = []
    try:
        daemon, targets = targets_of(folder, options, started)
        more, missing = peers_of(folder, options, started)
        load, broken = measure_load(targets + more, {name for name, *_ in more}, options)
        calls = measure.system_calls(daemon, "native", options.traced, folder)
    finally:
        servers.stop_all(started)
    return {
        "load": [{"target": name, "connections": count, **r} for (name, count), r in load.items()],
        "missing": missing | broken,
        "calls": calls,
    }


def show(figures, options):
    rows = []
    for count in options.connections:
        found = [r for r in figures["load"] if r["connections"] == count]
        peer = next(r["rate"] for r in found if r["target"] == "nginx")
        for r in found:
            rate = f"{r['rate']:,.0f}"
            if r["errors"] * 2 > r["rate"]:  # wrk counts what is refused, too
                rate += " (mostly errors)"
            rows.append(
                [count, r["target"], rate, f"{r['rate'] / peer:.2f}", f"{r['p50']:,.0f}", f"{r['p99']:,.0f}", f"{r['cpu']:.0f}", f"{r['errors']:.0f}"]
            )
    head = ["connections", "target", "requests/s", "of nginx", "p50 us", "p99 us", "CPU us/request", "errors"]
    table(f"Warm, medians of {options.rounds} rounds of {options.seconds} s", head, rows)
    if figures["missing"]:
        table("Left out", ["target", "because"], [[name, " ".join(reason.split())] for name, reason in figures["missing"].items()])
    show_calls(figures["calls"], options)


def show_calls(calls, options):
    if calls is None:
        print("\nstrace is not installed: system calls are not counted.")
        return
    rows = [[name, f"{number:.2f}"] for name, number in sorted(calls.items(), key=lambda item: -item[1]) if number >= 0.005]
    rows.append(["all", f"{sum(calls.values()):.2f}"])
    table(f"System calls of the router per warm invocation ({options.traced} traced)", ["call", "number"], rows)
