"""Connections to named sockets: what httpd and nginx have to the processes of groups."""

from __future__ import annotations

import subprocess
from typing import NamedTuple


class UnixConnection(NamedTuple):
    """One of them. `inode` is that of the accepting end; either is 0 for an end that is not there."""

    path: str
    inode: str
    other_end: str


def unix_connections() -> list[UnixConnection]:
    """Those of the whole machine (see ss(8))."""
    listing = subprocess.run(
        ["ss", "-xHn", "state", "established"], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split() for line in listing.splitlines()]
    return [
        UnixConnection(row[-4], row[-3], row[-1])
        for row in rows
        if row[0] == "u_str" and row[-4].startswith("/")
    ]
