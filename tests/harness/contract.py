"""How the contract applications are mounted: every script of tests/apps at the path of its name."""

from __future__ import annotations

from pathlib import Path

from harness.config import Lines, Mount, Part


def contract_config(apps: Path) -> list[Part]:
    """The configuration with the scripts in `apps`."""
    mounts = [Mount(f"/{script.stem}", str(script)) for script in sorted(apps.glob("*.wsgi"))]
    # What nginx does of itself.
    return [*mounts, Lines("WSGIChunkedRequest On")]
