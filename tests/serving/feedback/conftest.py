from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[3] / "benchmarks"))

import postgres


@pytest.fixture(scope="package")
def postgres_server() -> Iterator[postgres.PostgresServer]:
    """A real server; tests that want it are skipped only where none is installed."""
    if reason := postgres.missing():
        pytest.skip(reason)
    with postgres.PostgresServer() as server:
        yield server
