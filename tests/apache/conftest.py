"""Shared by the Apache tests: reading the environ a server shows."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.server import Server

ShowEnviron = Callable[..., dict]


@pytest.fixture(scope="session")
def environ_of() -> ShowEnviron:
    """`environ_of(server, path, **request options)`: what environ.wsgi, mounted there, was called with."""

    def show(server: Server, path: str, **options) -> dict:
        response = server.get(path, **options)
        assert response.status_code == 200, response.text
        return {key: value for key, (_type, value) in response.json().items()}

    return show
