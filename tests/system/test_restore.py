"""
Interpreters that save themselves and are restored, without any of the daemon: the library that stands in for
fork(), and mayfly-restore. A saved script goes on twice, as its children would have.
"""

import glob
import json
import os
import pathlib
import subprocess

import pytest
import warden as wardens

from harness.zips import zip_of

BUILD = pathlib.Path(os.environ.get("MAYFLY_BIN", pathlib.Path(__file__).parents[2] / "build" / "mayfly")).resolve().parent
PYTHONS = sorted(glob.glob("/usr/bin/python3.[0-9]*[0-9]") + glob.glob(os.path.expanduser("~/.pyenv/versions/3*/bin/python3")))

# What a function does before it is saved, and after.
SCRIPT = """
import os, sys
import asyncio, ctypes, decimal, gc, hashlib, json, mmap, random, ssl, sqlite3, subprocess, tempfile, threading, time, uuid
sys.path.extend(json.loads(os.environ["MORE_PATHS"]))
try:
    import boto3
except Exception:  # it is of another Python
    boto3 = None
random.seed(1)
ssl.RAND_bytes(8)
uuid.uuid4()
data = {str(i): [i, {"half": i / 2}] for i in range(100_000)}
shared = mmap.mmap(-1, 10_000)
shared[:6] = b"shared"
callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda x: x + 1)
database = sqlite3.connect(":memory:")
database.execute("create table t (x)")
database.execute("insert into t values (7)")
early = threading.Thread(target=sorted, args=([3, 1, 2],))
early.start()
early.join()
saver = os.getpid()
gc.collect()  # what an import that failed has left open
opened = [fd for fd in range(3, 50) if fd != 6 and os.path.exists("/proc/self/fd/%d" % fd)]
os.environ["MAYFLY_SNAPSHOT"] = "1"
if os.fork() != 0:
    assert os.getpid() == saver and random.random() == 0.13436424411240122
    sys.exit(0)

async def later():
    await asyncio.sleep(0.01)
    return "later"

def in_thread(value):
    threads = []
    found = []
    for i in range(4):
        threads.append(threading.Thread(target=lambda i=i: found.append(value + i)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    return sorted(found)

descriptors = [fd for fd in range(3, 50) if os.path.exists("/proc/self/fd/%d" % fd)]
more = [bytes(n) for n in range(0, 3_000_000, 100_000)]
large = bytearray(40_000_000)
assert not any(large)
large.extend(large)
child = os.fork()
if child == 0:
    os._exit(len(data) % 251)
maps = open("/proc/self/maps").read()
print(json.dumps({
    "version": sys.version_info[:2], "pid": os.getpid(), "saver": saver, "pid_in_proc": int(os.readlink("/proc/self")),
    "random": random.random(), "uuid": str(uuid.uuid4()), "ssl": ssl.RAND_bytes(16).hex(), "urandom": os.urandom(8).hex(),
    "data": [len(data), data["99999"]], "shared": shared[:6].decode(), "callback": callback(41),
    "decimal": str(decimal.Decimal(1) / 3), "database": database.execute("select x from t").fetchall(),
    "later": asyncio.run(later()) if sys.version_info >= (3, 7) else "later", "threads": in_thread(5),
    "subprocess": subprocess.check_output(["echo", "$$"]).decode(), "zero": sum(map(len, more)) and not any(map(any, more)),
    "child": os.waitpid(child, 0)[1] >> 8, "context": len(ssl.create_default_context().get_ciphers()) > 0,
    "sha": hashlib.sha256(b"x").hexdigest()[:8], "client": boto3 and boto3.client("lambda", "us-east-1").meta.region_name,
    "cmdline": open("/proc/self/cmdline").read().split("\\0")[1], "name": open("/proc/self/comm").read().strip(),
    "time": time.time(), "heap": "[heap]" in maps, "stack": "[stack]" in maps, "restorer": "mayfly-restore" in maps,
    "extensions": sorted({line.split()[-1] for line in maps.splitlines() if "lib-dynload" in line}),
    "libc": "r-xp" in next((line for line in maps.splitlines() if "libc" in line and "r-xp" in line), ""),
    "descriptors": descriptors, "opened": opened, "ssl_file": "libcrypto" in maps,
}))
"""


def run(argv, image, env):
    """A process with the image as its descriptor 6, and no others but 0, 1 and 2."""
    argv = ["/bin/sh", "-c", 'exec "$@" 6<>"$0"', image, *argv]
    return subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=50)


def save(python, script, image, **more):
    paths = glob.glob(str(pathlib.Path(pytest.__file__).parents[1]))
    env = {"MORE_PATHS": json.dumps(paths), "PATH": "/usr/bin:/bin", **more}
    return run(["/usr/bin/env", f"LD_PRELOAD={BUILD}/mayfly-zygote.so", python, "-s", "-c", script], image, env)


def restore(image):
    return run([str(BUILD / "mayfly-restore")], image, {})


def check(seen):
    """What two restored scripts have said."""
    for one in seen:
        assert one["pid"] == one["pid_in_proc"] != one["saver"]
        assert one["data"] == [100_000, [99999, {"half": 49999.5}]]
        assert (one["shared"], one["callback"], one["database"]) == ("shared", 42, [[7]])
        assert (one["later"], one["threads"], one["subprocess"]) == ("later", [5, 6, 7, 8], "$$\n")
        assert one["zero"] and one["context"] and one["child"] == 100_000 % 251
        assert one["sha"] == "2d711642" and one["decimal"] == "0.3333333333333333333333333333"
        assert one["client"] in ("us-east-1", None)
        assert one["cmdline"] == "-s" and one["name"].startswith("python3")
        assert one["stack"] and not one["restorer"] and one["libc"] and one["ssl_file"]
        assert one["descriptors"] == one["opened"]
        assert any("_sqlite3" in path or "_decimal" in path or "_ssl" in path for path in one["extensions"])
    for name in ("random", "uuid", "ssl", "urandom", "pid"):
        if name == "random" and one["version"] < [3, 7]:
            continue  # it does not look after its random state in children
        assert seen[0][name] != seen[1][name], name


@pytest.mark.parametrize("python", PYTHONS)
def test_a_restored_interpreter_goes_on_where_it_was_saved(python, tmp_path):
    image = tmp_path / "image"
    saved = save(python, SCRIPT, image)
    assert (saved.returncode, saved.stderr) == (0, b""), image.read_bytes()[:600]
    seen = []
    for _ in range(2):
        restored = restore(image)
        assert (restored.returncode, restored.stderr) == (0, b"")
        seen.append(json.loads(restored.stdout))
    check(seen)


@pytest.mark.parametrize(("before", "error", "words"), [
    ("import threading; t = threading.Thread(target=__import__('time').sleep, args=(9,), daemon=True); t.start()", 16, "more than one thread"),
    ("import subprocess; p = subprocess.Popen(['sleep', '9'])", 10, "child processes"),
    ("import os; r, w = os.pipe()", 77, "pipe:"),
    ("import mmap, os, tempfile; t = tempfile.TemporaryFile(); t.write(bytes(9)); t.flush(); m = mmap.mmap(t.fileno(), 0); "
     "os.closerange(3, 6); os.closerange(7, 20)", 95, "to be written: /"),
])
def test_a_fork_that_cannot_save_fails_and_says_why(before, error, words, tmp_path):
    image = tmp_path / "image"
    script = f"""
{before}
import os
os.environ["MAYFLY_SNAPSHOT"] = "1"
try:
    os.fork()
except OSError as e:
    os._exit(e.errno)
os._exit(0)
"""
    saved = save(PYTHONS[0], script, image)
    assert saved.returncode == error, saved.stderr
    assert image.read_text().startswith(f"refused {error} ") and words in image.read_text()
    assert restore(image).returncode == 127


def test_an_image_may_be_bounded(tmp_path):
    image = tmp_path / "image"
    script = "import os; x = bytes(range(256)) * 40000; os.environ['MAYFLY_SNAPSHOT'] = '1'; os.fork()"
    assert save(PYTHONS[0], script, image).returncode == 0
    assert b"[Errno 75]" in save(PYTHONS[0], script, image, MAYFLY_SNAPSHOT_BYTES="10000000").stderr
    assert image.read_text().startswith("refused 75 the image is larger than 10000000 bytes")


def test_other_forks_are_forks(tmp_path):
    image = tmp_path / "image"
    script = "import os; r = os.fork(); r or os._exit(3); os._exit(os.waitpid(r, 0)[1] >> 8)"
    assert save(PYTHONS[0], script, image).returncode == 3
    assert image.read_bytes() == b""


def test_an_image_of_another_file_than_it_maps_is_refused(tmp_path):
    """A library that was changed since: its code would not fit the memory that refers to it."""
    image = tmp_path / "image"
    data = tmp_path / "file"
    data.write_bytes(b"x" * 8192)
    script = f"""
import mmap, os
with open({str(data)!r}, "rb") as f:
    m = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)
os.closerange(3, 6)
os.closerange(7, 20)
os.environ["MAYFLY_SNAPSHOT"] = "1"
os.fork() == 0 and print(m[0])
"""
    assert save(PYTHONS[0], script, image).returncode == 0
    assert restore(image).stdout == b"120\n"
    os.utime(data, (1, 1))
    assert restore(image).stderr == b"restore: %s: 116\n" % os.fsencode(data)
    data.unlink()
    assert restore(image).stderr == b"restore: %s: 2\n" % os.fsencode(data)


BOOTSTRAP = """#!/bin/sh
exec 6<>/tmp/image
LD_PRELOAD=/var/task/mayfly-zygote.so /usr/bin/python3 -s /var/task/script.py || cat /tmp/image
/var/task/mayfly-restore
/var/task/mayfly-restore
"""


@pytest.mark.skipif(not os.path.exists("/usr/bin/python3"), reason="there is no Python below /usr")
def test_a_sandbox_has_all_the_rights_that_it_takes(new_warden, programs):
    code = zip_of({
        "bootstrap": (BOOTSTRAP.encode(), 0o755),
        "mayfly-restore": ((BUILD / "mayfly-restore").read_bytes(), 0o755),
        "mayfly-zygote.so": ((BUILD / "mayfly-zygote.so").read_bytes(), 0o755),
        "script.py": SCRIPT.encode(),
    })
    warden = new_warden(drain_ms_max=100).serving()
    assert warden.router.unpack(code).answer == wardens.UNPACK_DONE
    sandbox = warden.router.spawn(wardens.digest_of(code), env={"MORE_PATHS": "[]"}, memory_mb=512, tmp_mb=512)
    lines = sandbox.output(seconds=40).decode().splitlines()
    sandbox.exited()
    assert len(lines) == 2, lines
    check([json.loads(line) for line in lines])
