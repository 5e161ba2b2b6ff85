"""What the chaos test is made of: a load that notes how each request ends, a killer, and a census of what exists."""

import http.client
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import threading
import time

from harness.daemon import cgroup_name, cgroups, descendants, parents

ANSWER_SECONDS = 60  # nothing may take longer: the timeouts of the functions are a few seconds


class Load(threading.Thread):
    """Invokes functions in a loop. Each request ends with an answer or with the end of its connection, or it hangs."""

    def __init__(self, port, names, seed):
        super().__init__()
        self.port, self.names, self.chance = port, names, random.Random(seed)
        self.over = threading.Event()
        self.ends = {"answered": 0, "function error": 0, "refused politely": 0, "closed": 0, "no connection": 0}
        self.problems = []
        self.connection = None

    def run(self):
        number = 0
        while not self.over.is_set():
            number += 1
            name = self.chance.choice(self.names)
            body = json.dumps({"n": number, "seconds": self.chance.choice((0, 0, 0, 0.05))})
            try:
                end = self.ask(name, body)
            except TimeoutError:
                self.problems.append(f"{name}: neither an answer nor an end in {ANSWER_SECONDS} s")
                self.connection, end = None, None
            except ConnectionRefusedError:
                self.connection, end = None, "no connection"
            except (OSError, http.client.HTTPException):
                self.connection, end = None, "closed"
            if end:
                self.ends[end] += 1
            if end != "answered":
                time.sleep(0.01)
        if self.connection:
            self.connection.close()

    def ask(self, name, body):
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS)
        connection = self.connection
        connection.request("POST", f"/2015-03-31/functions/{name}/invocations", body)
        answer = connection.getresponse()
        content = answer.read()
        if answer.will_close or self.chance.random() < 0.2:
            connection.close()
            self.connection = None
        if answer.status != 200:
            return "refused politely"
        if answer.headers["X-Amz-Function-Error"]:
            return "function error"
        if json.loads(content)["n"] != json.loads(body)["n"]:
            self.problems.append(f"{name}: asked {body}, answered {content[:200]}")
        return "answered"


class Changes(threading.Thread):
    """Changes functions now and then, so that environments are replaced and starts are cold."""

    def __init__(self, client, names, seed):
        super().__init__()
        self.client, self.names, self.chance = client, names, random.Random(seed)
        self.over = threading.Event()
        self.done = self.failed = 0

    def run(self):
        while not self.over.wait(0.3):
            name = self.chance.choice(self.names)
            try:
                self.client.update_function_configuration(
                    FunctionName=name, Environment={"Variables": {"MARK": str(self.chance.random())}}
                )
                self.done += 1
            except Exception:  # the daemon under test is being killed
                self.failed += 1


def status(port, what="status", seconds=ANSWER_SECONDS):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request("GET", f"/_mayfly/{what}")
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def counters_add_up(counters):
    return counters["started"] == counters["finished"] + counters["failed"] + counters["inFlight"]


def diagnosis(daemon):
    """Why does something hang? What the daemon says of itself, and what its processes wait for."""
    said = {}
    for what in ("status", "environments"):
        try:
            said[what] = status(daemon.port, what, seconds=5)
        except (OSError, ValueError, http.client.HTTPException) as error:
            said[what] = repr(error)
    if isinstance(said["status"], dict):
        said["status"] = said["status"]["counters"]
    said["processes"] = {
        pid: (kind, _read(f"/proc/{pid}/stat").rpartition(")")[2].split()[0:1], _read(f"/proc/{pid}/wchan"))
        for pid, kind in Victims(daemon).all().items()
    }
    return json.dumps(said, indent=1)


def set_faults(port, every):
    """Every n-th allocation of the router fails; False in a build that has no faults."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("POST", f"/_mayfly/faults?every={every}")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


class Victims:
    """The processes of a daemon, told apart by their place: the warden is never among them."""

    def __init__(self, daemon):
        self.warden = daemon.process.pid
        self.groups = cgroup_name(daemon.data)

    def of(self, kind):
        return [pid for pid, found in self.all().items() if found == kind]

    def all(self):
        table = parents()
        found = {pid: self.kind(pid, table.get(pid, 0), line) for pid, line in descendants(self.warden).items()}
        return {pid: kind for pid, kind in found.items() if kind}

    def kind(self, pid, parent, line):
        name = _read(f"/proc/{pid}/comm").strip()
        if "mayfly router" in line:
            return "router"
        if name == "mayfly-janitor":
            return "janitor"
        if name == "mayfly-zygote" or (parent == self.warden and f"{self.groups}/z" in _read(f"/proc/{pid}/cgroup")):
            return "zygote"
        if parent == self.warden and f"{self.groups}/s" in _read(f"/proc/{pid}/cgroup"):
            return "init"
        if f"{self.groups}/s" in _read(f"/proc/{pid}/cgroup"):
            return "runtime"
        return "other" if parent else None


class Killer:
    """kill -9, and SIGSTOP for who must then be missed."""

    WEIGHTS = {"runtime": 8, "init": 6, "zygote": 2, "router": 1, "janitor": 1, "other": 2, "stopped runtime": 3, "stopped init": 1}

    def __init__(self, daemon, seed):
        self.victims, self.chance = Victims(daemon), random.Random(seed)
        self.kills = dict.fromkeys(self.WEIGHTS, 0)

    def strike(self):
        """One kill; False when there was nobody of the kind that chance chose."""
        kind = self.chance.choices(*zip(*self.WEIGHTS.items(), strict=True))[0]
        found = self.victims.of(kind.removeprefix("stopped "))
        if not found:
            return False
        try:
            os.kill(self.chance.choice(found), signal.SIGSTOP if kind.startswith("stopped") else signal.SIGKILL)
        except ProcessLookupError:
            return False
        self.kills[kind] += 1
        return True


def census(daemon):
    """What a daemon has: processes by kind, groups, mounts, namespaces, descriptors, memory."""
    warden = daemon.process.pid
    kinds = {}
    victims = Victims(daemon).all()
    for kind in victims.values():
        kinds[kind] = kinds.get(kind, 0) + 1
    routers = [pid for pid, kind in victims.items() if kind == "router"]
    folders = [folder for top in cgroups(cgroup_name(daemon.data)) for folder in pathlib.Path(top).iterdir() if folder.is_dir()]
    # those of sandboxes are kept for the next ones, too
    kept = {folder.name for folder in folders if folder.name[0] == "s" and "populated 0" in _read(folder / "cgroup.events")}
    groups = {folder.name for folder in folders} - kept
    spaces = {_link(f"/proc/{pid}/ns/net") for pid in [warden, *victims]} - {""}
    return {
        "processes": kinds,
        "groups": len(groups),
        "mounts": _read(f"/proc/{warden}/mountinfo").count("\n"),
        "net": len(spaces),
        # namespaces of networks are kept for the next sandboxes: as many as ever lived at a time
        "warden fds": _fds(warden) - _kept_networks(warden),
        "kept networks": _kept_networks(warden),
        # a store keeps the connections of its busiest moment: assert_nothing_leaks knows how many
        "router fds": max((_fds(pid) - _store_fds(pid) for pid in routers), default=0),
        "store fds": max((_store_fds(pid) for pid in routers), default=0),
        "warden kB": _rss(warden),
        "router kB": max((_rss(pid) for pid in routers), default=0),
        "tmp": sorted(os.listdir(daemon.data / "code" / "tmp")),
    }


def _read(path):
    try:
        return pathlib.Path(path).read_text(errors="replace")
    except OSError:
        return ""


def _link(path):
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _fds(pid):
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


def descriptors(daemon):
    """What the warden and the router hold, counted by kind: where to look for a leak."""
    found = {}
    for name, pid in (("warden", daemon.process.pid), *(("router", pid) for pid in Victims(daemon).of("router"))):
        kinds = found.setdefault(name, {})
        for fd in os.listdir(f"/proc/{pid}/fd"):
            kind = re.sub(r"\d+", "N", _link(f"/proc/{pid}/fd/{fd}"))
            kinds[kind] = kinds.get(kind, 0) + 1
    return found


def _kept_networks(warden):
    return sum(_link(f"/proc/{warden}/fd/{fd}").startswith("net:") for fd in os.listdir(f"/proc/{warden}/fd"))


def _store_fds(pid):
    try:
        return sum(re.search(r"\.db(-wal|-shm)?$", _link(f"/proc/{pid}/fd/{fd}")) is not None for fd in os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


def _rss(pid):
    for line in _read(f"/proc/{pid}/status").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


class SmallDisk:
    """A tmpfs of a few megabytes, which can be filled."""

    def __init__(self, path, megabytes):
        self.path = pathlib.Path(path)
        self.path.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "chaos", path], check=True, timeout=20)

    def fill(self):
        with open(self.path / "filler", "ab", buffering=0) as filler:
            try:
                while True:
                    filler.write(b"x" * 65536)
            except OSError:
                pass

    def drain(self):
        (self.path / "filler").unlink(missing_ok=True)

    def close(self):
        subprocess.run(["umount", "-l", self.path], check=True, timeout=20)
        self.path.rmdir()
