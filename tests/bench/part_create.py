"""From CreateFunction with a megabyte of code to an invocation that was answered."""

import base64
import os
import statistics
import time

import measure
import servers
from report import say, table

CODE_BYTES = 1 << 20


def run(folder, options):
    daemon = servers.Mayfly(options.port, folder / "create").start()
    found = {"created": [], "invokable": [], "bare copy": []}
    try:
        daemon.create_python("warm-up", servers.SHARED / "hello.py")
        measure.Client(daemon.port).invoke("warm-up")
        for number in range(options.rounds * options.cold):
            say(f"creating function {number + 1} of {options.rounds * options.cold}")
            files = {"hello.py": (servers.SHARED / "hello.py").read_bytes(), "data.bin": os.urandom(CODE_BYTES)}
            packed = base64.b64encode(servers.packed(files)).decode()
            client = measure.Client(daemon.port)
            began = time.perf_counter()
            daemon.create(f"large-{number}", "python3.12", "hello.handler", packed)
            found["created"].append((time.perf_counter() - began) * 1000)
            daemon.wait_function(f"large-{number}", pause=0.0005)
            found["invokable"].append((time.perf_counter() - began) * 1000)
            client.invoke(f"large-{number}")
            client.close()
            found["bare copy"].append(measure.durable_copy_ms(folder / "copies", files["data.bin"]))
    finally:
        daemon.stop()
    return found


def show(figures, options):
    names = {
        "created": "CreateFunction answered",
        "invokable": "state Active, by GetFunction",
        "bare copy": "write, fsync, rename and fsync of its folder, 1 MB, bare",
    }
    bare = statistics.median(figures["bare copy"])
    rows = []
    for key, took in figures.items():
        middle = statistics.median(took)
        rows.append([names[key], f"{middle:.1f}", f"{max(took):.1f}", f"{middle / bare:.1f}"])
    table("A function with 1 MB of code, milliseconds", ["until", "p50", "worst", "of bare"], rows)
