"""200,000 mixed requests with clients that vanish: no crash, no wrong byte, no growth, nothing logged."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from soak.clients import MIXTURE, run_clients

from harness.contract import contract_config
from harness.httpd import Mpm

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(2400),
    # An application that reads a body whose client left gets an OSError; these do not catch it.
    pytest.mark.allows("WSGI0174", r"OSError: .*request data read error", "AH00161"),
]

REQUESTS = 200_000
CLIENTS = 4


def anonymous_memory(pid: int) -> int:
    """Bytes of memory of its own that the process has."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Anonymous: +(\d+) kB$", rollup, re.MULTILINE)[1]) * 1024


def test_event(start, servers):
    server = start(contract_config(servers.folder / "apps"), mpm=Mpm("event", processes=1, threads=8))
    # Of daemon mode the worker too.
    serving = [process for process in server.processes()[1:] if not process.is_supervisor]
    warm = run_clients(server.port, REQUESTS // 2, CLIENTS, seed=1)
    halfway = [anonymous_memory(process.pid) for process in serving]
    rest = run_clients(server.port, REQUESTS // 2, CLIENTS, seed=1000)
    assert (warm + rest).total() == REQUESTS
    assert set(warm) == {ask.__name__ for ask, _weight in MIXTURE}
    assert serving
    assert all(process.is_alive for process in serving), "who served at the end is not who began"
    for process, before in zip(serving, halfway, strict=True):
        grown = anonymous_memory(process.pid) - before
        assert grown < 8 * 2**20, f"{process} grew by {grown / 2**20:.1f} MiB over {REQUESTS // 2} requests"


@pytest.mark.server("httpd")
def test_prefork(start, servers):
    server = start(contract_config(servers.folder / "apps"), mpm=Mpm("prefork", processes=CLIENTS))
    run_clients(server.port, REQUESTS // 10, CLIENTS, seed=7)
