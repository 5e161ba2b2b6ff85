"""Getting things from package registries. One that cannot be reached skips the test, aloud; anything else that goes
wrong fails it."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

NETWORK = re.compile(
    r"could ?n[o']t resolve|name resolution|network is unreachable|no route to host|connection (timed out|refused|reset)"
    r"|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|ENETUNREACH|i/o timeout|TLS handshake timeout"
    r"|spurious network error|failed to download|proxyconnect|Max retries exceeded|NewConnectionError|ReadTimeoutError"
    r"|dial tcp|offline",
    re.IGNORECASE,
)


def need(program):
    """The path of a program, or a loud skip."""
    found = shutil.which(program)
    if not found:
        pytest.skip(f"no {program} on this machine")
    return found


def fetch(words, cwd, env=None, seconds=540):
    """Run a command that may need a registry; returns what it printed."""
    words = [str(word) for word in words]
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"{words[0]} did not end in {seconds} s: the registry is too slow or out of reach")
    if done.returncode == 0:
        return done.stdout
    if NETWORK.search(done.stdout):
        pytest.skip(f"the registry of {words[0]} is out of reach: {done.stdout.strip().splitlines()[-1][:200]}")
    pytest.fail(f"{' '.join(words)}: status {done.returncode}\n{done.stdout[-4000:]}")


def tree(folder, prefix=""):
    """({"name": bytes}, names of the executable ones) of all files below a folder."""
    files, executable = {}, []
    for path in sorted(pathlib.Path(folder).rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            name = prefix + str(path.relative_to(folder))
            files[name] = path.read_bytes()
            if os.access(path, os.X_OK):
                executable.append(name)
    return files, executable
