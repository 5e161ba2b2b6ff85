"""
Measures mayfly beside its limit and its peers and prints tables; README.md says what the columns mean.

There is no pass or fail here. Figures of different runs, machines or days are not comparable:
compare rows of one run. All traffic is on 127.0.0.1, bounded in time and in count.
"""

import argparse
import importlib
import json
import os
import platform

import peers
import servers
from report import say

PARTS = ("start", "warm", "cold", "snapstart", "burst", "density", "many", "create", "neighbour")


def parse():
    parser = argparse.ArgumentParser(prog="tools/bench", description=__doc__.strip().splitlines()[0])
    parser.add_argument("--only", default=",".join(PARTS), help=f"these parts, of {','.join(PARTS)}")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, each over all targets (default 5)")
    parser.add_argument("--seconds", type=int, default=2, help="of each run of the load (default 2)")
    parser.add_argument("--connections", default="1,8,32", help="default 1,8,32")
    parser.add_argument("--cold", type=int, default=5, help="cold starts of each kind in a round (default 5)")
    parser.add_argument("--burst", type=int, default=1000, help="invocations at one moment (default 1000)")
    parser.add_argument("--registered", type=int, default=100_000, help="functions in the part `many` (default 100000)")
    parser.add_argument("--traced", type=int, default=1000, help="invocations under strace (default 1000)")
    parser.add_argument("--peers", default="all", help=f"all, none, or some of {','.join(peers.names())}")
    parser.add_argument("--port", type=int, default=14500, help="the first of thirty ports (default 14500)")
    parser.add_argument("--quick", action="store_true", help="one round of one second, few starts")
    parser.add_argument("--json", metavar="FILE", help="write all figures there, too")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds, options.cold, options.traced = 1, 1, 3, 200
        options.burst, options.registered = 100, 2000
    options.connections = [int(n) for n in options.connections.split(",")]
    options.only = options.only.split(",")
    unknown = [name for name in options.only if name not in PARTS]
    if unknown:
        parser.error(f"there is no part {unknown[0]}; there are {','.join(PARTS)}")
    return options


def main():
    options = parse()
    folder = servers.work_folder()
    figures = {}
    print(f"# mayfly, {os.cpu_count()} CPUs, Linux {platform.release()}, load generator on the same machine")
    try:
        for name in PARTS:
            if name not in options.only:
                continue
            say(f"== {name}")
            part = importlib.import_module(f"part_{name}")
            figures[name] = part.run(folder, options)
            part.show(figures[name], options)
            if options.json:  # after each part: what was measured is not lost with what fails
                with open(options.json, "w", encoding="utf-8") as out:
                    json.dump(figures, out, indent=1)
    finally:
        servers.remove(folder)


if __name__ == "__main__":
    main()
