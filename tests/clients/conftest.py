"""Folders that outlive test runs, for what the clients fetch and build."""

import contextlib
import fcntl
import hashlib
import os
import pathlib
import shutil

import pytest
from fetching import need


@contextlib.contextmanager
def locked(path):
    """One of all test processes at a time."""
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def make(folder, unfinished, build):
    """A folder is there whole or not at all."""
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        build(unfinished)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


@pytest.fixture(scope="session")
def cached(cache):
    """cached(name, inputs, build): a folder made by build(folder) once for these inputs (texts or paths)."""

    def get(name, inputs, build):
        digest = hashlib.sha256()
        for item in inputs:
            digest.update(item.read_bytes() if isinstance(item, pathlib.Path) else str(item).encode())
        folder = cache / f"{name}-{digest.hexdigest()[:16]}"
        with locked(cache / f"{name}.lock"):
            if not folder.exists():
                make(folder, cache / f"{name}-unfinished", build)
        return folder

    return get


@pytest.fixture(scope="session")
def go(cache):
    """Environment of the Go tools, with caches of their own."""
    need("go")
    return {
        "GOPATH": str(cache / "go"),
        "GOCACHE": str(cache / "go-build"),
        "GOFLAGS": "-mod=readonly -modcacherw -buildvcs=false -trimpath",
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",
    }
