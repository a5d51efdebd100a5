"""Servers whose tests say themselves which processes run what."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def own_groups() -> bool:
    return True
