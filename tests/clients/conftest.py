"""Folders that outlive test runs, for what the clients fetch and build."""

import hashlib
import os
import pathlib
import shutil

import pytest
from fetching import need


@pytest.fixture(scope="session")
def cached(cache):
    """cached(name, inputs, build): a folder made by build(folder) once for these inputs (texts or paths)."""

    def get(name, inputs, build):
        digest = hashlib.sha256()
        for item in inputs:
            digest.update(item.read_bytes() if isinstance(item, pathlib.Path) else str(item).encode())
        folder = cache / f"{name}-{digest.hexdigest()[:16]}"
        if not folder.exists():
            unfinished = cache / f"{name}-unfinished-{os.getpid()}"
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            try:
                build(unfinished)
                unfinished.rename(folder)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
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
