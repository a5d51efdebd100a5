"""A virtual environment with the frameworks for each lane's Python."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.places import FRAMEWORKS


@pytest.fixture(scope="session")
def venv(lane) -> Path:
    """The environment's folder: what WSGIPythonHome names."""
    return lane.readable_python.venv(FRAMEWORKS)
