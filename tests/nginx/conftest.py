"""Servers for what only nginx has: their configurations, in its words, say themselves what runs where."""

from __future__ import annotations

import string

import pytest

LETTERS = string.ascii_letters.encode()


@pytest.fixture(scope="session")
def own_groups() -> bool:
    return True


@pytest.fixture(scope="session")
def letters():
    """`letters(size)`: what pages.wsgi makes of that size."""
    return lambda size: (LETTERS * (size // len(LETTERS) + 1))[:size]
