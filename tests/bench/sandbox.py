"""
What a sandbox costs without HTTP and engine: the real warden, with this program as its router (tests/system/warden.py).

    MAYFLY_BIN=build/mayfly .venv/bin/python tests/bench/sandbox.py [--rounds N] [--many N]

Prints, of a native program and of a Python that is forked: from FRAME_SPAWN to FRAME_SPAWNED with a sandbox that is ready;
starts per second, each killed at once, as many at a time as are prepared; memory of sandboxes that do nothing.
"""

import argparse
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "system"), str(TESTS)]

import test_fork  # noqa: E402
import warden as wardens  # noqa: E402
from harness.zips import zip_of  # noqa: E402

NATIVE, PYTHON = 0, 1
IDLE = b"import os, time\nos.write(1, b'here\\n')\nwhile True: time.sleep(1000)\n"


class Bench:
    def __init__(self, programs, slots, prepared):
        self.pack, env = test_fork.python_pack()
        self.env = dict(word.split("=", 1) for word in env)
        self.warden = wardens.Warden(programs, packs=[wardens.PROVIDED, self.pack], sandboxes_max=slots, prepared=prepared, drain_ms_max=0, log_level=2)
        self.warden.serving()
        self.router = self.warden.router
        content = zip_of({"idle.py": IDLE, "bootstrap": ((programs / "probe").read_bytes(), 0o755)})
        assert self.router.unpack(content).answer == wardens.UNPACK_DONE
        self.code = wardens.digest_of(content)
        self.router.warm(PYTHON)
        deadline = time.monotonic() + 60
        while True:
            sandbox = self.end(self.router.spawn(self.code, **self.options(PYTHON)))
            if sandbox.start == wardens.START_FORK or time.monotonic() > deadline:
                break

    def options(self, pack):
        env = {"PROBE": "sleep"}
        if pack == PYTHON:
            env |= {**self.env, "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001", "LAMBDA_TASK_ROOT": "/var/task", "_HANDLER": "idle.handler"}
        return {"pack": pack, "start": wardens.START_FORK, "env": env}

    def end(self, sandbox):
        sandbox.kill()
        sandbox.exited()
        return sandbox

    def one(self, pack):
        """Milliseconds: until FRAME_SPAWNED, until it speaks."""
        self.warden.leaves()  # all that are to be prepared are
        began = time.perf_counter()
        sandbox = self.router.spawn(self.code, **self.options(pack))
        spawned = time.perf_counter()
        assert sandbox.line() == "here"
        spoke = time.perf_counter()
        self.end(sandbox)
        return (spawned - began) * 1e3, (spoke - began) * 1e3

    def rate(self, pack, count, at_a_time):
        """Starts per second, each killed as soon as it is there, `at_a_time` asked for and not gone."""
        began, asked, gone = time.perf_counter(), 0, 0
        logs = {}
        while gone < count:
            while asked < count and asked - gone < at_a_time:
                ticket, log = self.router.spawn_asked(self.code, **self.options(pack))
                logs[ticket] = log
                asked += 1
            frame, fds = self.router.receive()
            for fd in fds:
                os.close(fd)
            if isinstance(frame, wardens.SpawnedFrame):
                self.router.ask(wardens.KILL, frame.handle)
            else:
                assert frame.kind == wardens.EXIT_KILLED, frame.step
                os.close(logs.pop(frame.head.ticket))
                gone += 1
        return count / (time.perf_counter() - began)

    def memory(self, pack, count):
        """Bytes that `count` sandboxes take of the machine's memory, each."""
        before = available()
        living = [self.router.spawn(self.code, **self.options(pack)) for _ in range(count)]
        for sandbox in living:
            sandbox.line()
        self.warden.leaves()
        after = available()
        inits, runtimes = [], []
        for pid, name in self.warden.processes().items():
            if re.search(r"/s\d+$", test_fork.cgroup_of(pid), re.M):
                (inits if name == "mayfly-init" else runtimes).append(private(pid))
        for sandbox in living:
            self.end(sandbox)
        return (before - after) / count, statistics.median(inits), statistics.median(runtimes)


def available():
    text = pathlib.Path("/proc/meminfo").read_text()
    return int(re.search(r"MemAvailable:\s+(\d+)", text)[1]) * 1024


def private(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(kb) * 1024 for kb in re.findall(r"^Private_\w+:\s+(\d+) kB", text, re.M))


def bare(program, *words):
    """Milliseconds from fork to the first word of the program, without any sandbox."""
    env = {"PROBE": "sleep"}
    began = time.perf_counter()
    with subprocess.Popen([program, *words], env=env, stdout=subprocess.PIPE, close_fds=False) as process:
        process.stdout.readline()
        took = time.perf_counter() - began
        process.kill()
    return took * 1e3


def middle(values):
    values = sorted(values)
    return f"{values[len(values) // 2]:8.2f} {values[0]:8.2f} {values[int(len(values) * 0.95)]:8.2f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--many", type=int, default=200)
    asked = parser.parse_args()
    programs = pathlib.Path(tempfile.mkdtemp(prefix="mayfly-bench-"))
    programs.chmod(0o755)
    for name, flags in (("fake_router", []), ("probe", ["-static"])):
        subprocess.run(["cc", "-std=gnu2x", "-D_GNU_SOURCE", "-O2", *flags, "-o", programs / name, TESTS / "system" / f"{name}.c"], check=True)
    bench = Bench(programs, slots=asked.many + 64, prepared=8)
    print("milliseconds               median    least      95%")
    print(f"bare native program:     {middle([bare(programs / 'probe') for _ in range(asked.rounds)])}")
    for pack, name in ((NATIVE, "native"), (PYTHON, "python")):
        pairs = [bench.one(pack) for _ in range(asked.rounds)]
        print(f"{name}: until SPAWNED    {middle([a for a, _ in pairs])}")
        print(f"{name}: until it speaks  {middle([b for _, b in pairs])}")
    for pack, name in ((NATIVE, "native"), (PYTHON, "python")):
        print(f"{name}: {bench.rate(pack, asked.many, 8):.0f} starts per second")
    for pack, name in ((NATIVE, "native"), (PYTHON, "python")):
        each, init, runtime = bench.memory(pack, asked.many)
        print(f"{name}: {each / 1024:.0f} KiB each of the machine, private: process 1 {init / 1024:.0f} KiB, runtime {runtime / 1024:.0f} KiB")
    bench.warden.stop()
    bench.warden.forget()


if __name__ == "__main__":
    main()
