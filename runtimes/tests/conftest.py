"""Fixtures that start a pack on a function's code, once for each interpreter."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from packs import NODES, PYTHONS, RUBIES, node_starter, python_starter, ruby_starter  # noqa: E402


@pytest.fixture(params=PYTHONS.items(), ids=lambda item: item[0])
def python(request, tmp_path):
    """start(code) → Environment, for each Python that the pack finds."""
    start = python_starter(*request.param, tmp_path)
    yield start
    start.pack.stop()


@pytest.fixture(params=NODES.items(), ids=lambda item: item[0])
def node(request, tmp_path):
    """start(code) → Environment, for each node that the pack finds."""
    start = node_starter(*request.param, tmp_path)
    yield start
    start.pack.stop()


@pytest.fixture(params=RUBIES.items(), ids=lambda item: item[0])
def ruby(request, tmp_path):
    """start(code) → Environment, for each Ruby that the pack finds."""
    start = ruby_starter(*request.param, tmp_path)
    yield start
    start.pack.stop()
