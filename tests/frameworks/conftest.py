"""A virtual environment with the frameworks for each lane's Python."""

from __future__ import annotations

from pathlib import Path

import pytest

REQUIREMENTS = Path(__file__).with_name("requirements.txt")


@pytest.fixture(scope="session")
def venv(lane) -> Path:
    """The environment's folder: what WSGIPythonHome names."""
    return lane.readable_python.venv(REQUIREMENTS)
