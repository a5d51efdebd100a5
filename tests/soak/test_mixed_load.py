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
    (child,) = server.children()
    warm = run_clients(server.port, REQUESTS // 2, CLIENTS, seed=1)
    halfway = anonymous_memory(child)
    rest = run_clients(server.port, REQUESTS // 2, CLIENTS, seed=1000)
    assert (warm + rest).total() == REQUESTS
    assert set(warm) == {ask.__name__ for ask, _weight in MIXTURE}
    assert server.children() == [child], "the process that served is not the one that began"
    grown = anonymous_memory(child) - halfway
    assert grown < 8 * 2**20, f"grew by {grown / 2**20:.1f} MiB over {REQUESTS // 2} requests"


def test_prefork(start, servers):
    server = start(contract_config(servers.folder / "apps"), mpm=Mpm("prefork", processes=CLIENTS))
    run_clients(server.port, REQUESTS // 10, CLIENTS, seed=7)
