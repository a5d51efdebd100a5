"""How the contract applications are mounted: every script of tests/apps at the path of its name."""

from __future__ import annotations

from pathlib import Path


def contract_config(apps: Path) -> str:
    """Configuration for httpd with the scripts in `apps`."""
    mounts = "\n".join(f'WSGIScriptAlias /{script.stem} "{script}"' for script in sorted(apps.glob("*.wsgi")))
    return f"""
{mounts}
WSGIChunkedRequest On
"""
