"""Measuring: load, processor time, memory, system calls, starts of processes."""

import http.client
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
TICK_US = 1_000_000 / os.sysconf("SC_CLK_TCK")
BODY = b'{"name":"x"}'


def invocations(name):
    return f"/2015-03-31/functions/{name}/invocations"


def stat_fields(pid):
    """(parent, utime + stime in ticks) of a process, None when it is gone."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[1]), int(fields[11]) + int(fields[12])


def tree(root):
    """The process and all below it."""
    parents = {}
    for entry in os.listdir("/proc"):
        fields = stat_fields(entry) if entry.isdigit() else None
        if fields:
            parents[int(entry)] = fields[0]
    found = {root}
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        grown = bool(more)
        found |= more
    return found


def cpu_ticks(roots):
    """Processor time of the trees: process -> ticks."""
    used = {}
    for root in roots:
        for pid in tree(root):
            fields = stat_fields(pid)
            if fields:
                used[pid] = fields[1]
    return used


def load(port, path, connections, seconds, roots):
    """One run of wrk. Rates and latencies, and what the server's processes used meanwhile."""
    before = cpu_ticks(roots)
    ran = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(HERE / "post.lua"), f"http://127.0.0.1:{port}{path}"],
        capture_output=True,
        text=True,
        timeout=seconds + 60,
    )
    after = cpu_ticks(roots)
    line = re.search(r"^BENCH (.*)$", ran.stdout, re.MULTILINE)
    if not line:
        raise RuntimeError(f"wrk: {ran.stdout}{ran.stderr}")
    requests, duration_us, p50, p99, bad, broken = (int(n) for n in line[1].split())
    # What has ended meanwhile had used something, too; no server here ends processes under load.
    ticks = sum(used - before.get(pid, 0) for pid, used in after.items())
    return {
        "rate": requests / (duration_us / 1e6),
        "p50": p50,
        "p99": p99,
        "cpu": ticks * TICK_US / requests if requests else 0,
        "errors": bad + broken,
    }


def load_beside(port, path, connections, seconds, other):
    """The same while another program runs, which begins at the same moment."""
    with subprocess.Popen([str(word) for word in other], stdout=subprocess.DEVNULL) as beside:
        result = load(port, path, connections, seconds, [])
    if beside.returncode != 0:
        raise RuntimeError(f"{other[0]} ended with {beside.returncode}")
    return result


def medians(rounds):
    return {key: statistics.median(r[key] for r in rounds) for key in rounds[0]}


def memory(pid):
    """(RSS, PSS) of a process in MB."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return tuple(int(re.search(rf"^{key}:\s+(\d+)", text, re.MULTILINE)[1]) / 1024 for key in ("Rss", "Pss"))


def pss_kb(pid):
    try:
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    found = re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)
    return int(found[1]) if found else 0


def wake_ups(pid):
    """How often its threads have gone to sleep, which is as often as they were woken."""
    count = 0
    for status in pathlib.Path(f"/proc/{pid}/task").glob("*/status"):
        count += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status.read_text(), re.MULTILINE)[1])
    return count


def name_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "?"


def durable_copy_ms(folder, content):
    """What a file costs that a power cut may not take: written under another name, synced, renamed, its folder synced."""
    folder.mkdir(exist_ok=True)
    began = time.perf_counter()
    with open(folder / "draft", "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    os.rename(folder / "draft", folder / f"{began}")
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(descriptor)
    os.close(descriptor)
    return (time.perf_counter() - began) * 1000


def burst(program, port, count, *words):
    """So many invocations at one moment; microseconds until answers."""
    ran = subprocess.run([str(program), str(port), str(count), *words], capture_output=True, text=True, timeout=180)
    line = re.search(r"^BURST (.*)$", ran.stdout, re.MULTILINE)
    if not line:
        raise RuntimeError(f"burst: {ran.stdout}{ran.stderr}")
    return dict(zip(("count", "good", "first", "p50", "p99", "last"), map(int, line[1].split()), strict=True))


def command(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def router_of(daemon):
    """The router: the child of the warden that was started as `mayfly router`."""
    for pid in sorted(tree(daemon.process.pid)):
        words = command(pid).split()
        if len(words) > 1 and words[1] == "router":
            return pid
    raise RuntimeError("no router among " + "; ".join(command(pid) for pid in tree(daemon.process.pid)))


class Client:
    """One keep-alive connection that invokes."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.connection.connect()

    def invoke(self, name, body=BODY):
        """Milliseconds."""
        began = time.perf_counter()
        self.connection.request("POST", invocations(name), body)
        response = self.connection.getresponse()
        answer = response.read()
        took = (time.perf_counter() - began) * 1000
        if response.status != 200 or response.headers.get("X-Amz-Function-Error"):
            raise RuntimeError(f"{name}: {response.status} {answer[:300]!r}")
        return took

    def close(self):
        self.connection.close()


def bare_starts(argv, count):
    """Milliseconds of fork, exec and exit of a program."""
    took = []
    null = os.open(os.devnull, os.O_RDWR)
    for _ in range(count):
        began = time.perf_counter()
        pid = os.posix_spawnp(
            argv[0], argv, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, null, fd) for fd in (0, 1, 2)]
        )
        os.waitpid(pid, 0)
        took.append((time.perf_counter() - began) * 1000)
    os.close(null)
    return took


def system_calls(daemon, name, count, folder):
    """System calls of the router per warm invocation: name -> number. None without strace."""
    if not shutil.which("strace"):
        return None
    out = folder / "strace"
    client = Client(daemon.port)
    client.invoke(name)
    tracer = subprocess.Popen(
        ["strace", "-c", "-f", "-U", "calls,name", "-o", str(out), "-p", str(router_of(daemon))],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    attached = tracer.stderr.readline()
    if "attached" not in attached:
        tracer.wait()
        raise RuntimeError("strace: " + attached)
    client.invoke(name)  # the first one under the tracer may still be in an epoll_wait of before
    for _ in range(count - 1):
        client.invoke(name)
    tracer.send_signal(signal.SIGINT)
    tracer.wait(30)
    client.close()
    calls = {}
    for line in out.read_text().splitlines():
        words = line.split()
        if len(words) == 2 and words[0].isdigit() and words[1] != "total":
            calls[words[1]] = int(words[0]) / count
    return calls
