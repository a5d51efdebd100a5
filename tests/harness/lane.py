"""A lane: one gateway module with one Python, against which the same tests run."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from harness import places, pythons
from harness.pythons import Python

APACHE_EMBEDDED = "apache-embedded"
REFERENCE = "reference"
REFERENCE_6 = "reference-6"
NAMES = (APACHE_EMBEDDED, REFERENCE, REFERENCE_6)

_DEBIAN_MOD_WSGI = Path("/usr/lib/apache2/modules/mod_wsgi.so")
_MOD_WSGI_6 = places.TESTS / "reference-6-requirements.txt"
_COMPANIONS = ("liboxwsgi_runtime.so", "oxwsgi")


class MissingComponentError(Exception):
    """Something a lane needs is not on this machine: the lane fails, it is never skipped."""


@dataclass(frozen=True)
class Lane:
    """`module` is the built artefact as the command line named it; None for a reference module."""

    name: str
    python: Python
    module: Path | None

    @property
    def is_reference(self) -> bool:
        return self.name != APACHE_EMBEDDED

    @property
    def mod_wsgi_version(self) -> tuple[int, int, int]:
        """The level of compatibility `mod_wsgi.version` reports."""
        return {APACHE_EMBEDDED: (6, 0, 5), REFERENCE: (4, 9, 4), REFERENCE_6: (6, 1, 1)}[self.name]

    @property
    def stops_promptly(self) -> bool:
        """Whether a child with threads ends when told to: one with 4.9.4 waits for httpd's SIGKILL."""
        return self.name != REFERENCE

    @property
    def id(self) -> str:
        return f"{self.name}-{self.python.name}"

    def require(self) -> None:
        """Raise MissingComponentError when a needed file is absent."""
        if self.name == REFERENCE and not _DEBIAN_MOD_WSGI.exists():
            raise MissingComponentError(f"{_DEBIAN_MOD_WSGI} is missing: install libapache2-mod-wsgi-py3")
        if self.module:
            for path in (self.module, self.module.parent / _COMPANIONS[0]):
                if not path.exists():
                    raise MissingComponentError(
                        f"{path} is missing: run `cargo build --release`, or name --module"
                    )

    @cached_property
    def readable_python(self) -> Python:
        return self.python.readable()

    def load_module(self, session: Path) -> str:
        """The configuration lines that load this lane's module with this lane's Python."""
        if self.name == REFERENCE:
            return f'LoadModule wsgi_module "{_DEBIAN_MOD_WSGI}"'
        if self.name == REFERENCE_6:
            venv = self.readable_python.venv(_MOD_WSGI_6)
            (module,) = venv.glob("lib/python3*/site-packages/mod_wsgi/server/*.so")
            return f'LoadModule wsgi_module "{module}"'
        return f'LoadModule wsgi_module "{self.installed_module(session)}"'

    def python_home(self) -> str:
        """The directive that chooses this lane's Python; empty where the module is built for it."""
        return "" if self.is_reference else f'WSGIPythonHome "{self.readable_python.home}"'

    def installed_module(self, session: Path) -> Path:
        """The module, copied with its companions to where the server's user can read them."""
        assert self.module is not None
        folder = session / "artefacts"
        if not folder.exists():
            folder.mkdir()
            for name in (self.module.name, *_COMPANIONS):
                source = self.module.parent / name
                if source.exists():
                    shutil.copy2(source, folder / name)
                    (folder / name).chmod(0o755)
        return folder / self.module.name


def choose(names: list[str], homes: list[str], module: Path) -> list[Lane]:
    """The lanes the command line asks for; MissingComponentError when one cannot run."""
    lanes: list[Lane] = []
    for name in names:
        if name == APACHE_EMBEDDED:
            lanes += [Lane(name, python, module) for python in _pythons(homes)]
        else:
            lanes.append(Lane(name, _named(pythons.DEBIAN), None))
    for lane in lanes:
        lane.require()
    return lanes


def _pythons(homes: list[str]) -> list[Python]:
    if homes:
        return [_named(Path(home)) for home in homes]
    found = pythons.find()
    if os.environ.get("CI") and len({python.minor for python in found}) < 2:
        names = ", ".join(python.name for python in found) or "none"
        raise MissingComponentError(f"fewer than two minor versions of Python were found: {names}")
    return found


def _named(home: Path) -> Python:
    try:
        python = pythons.at(home)
    except subprocess.CalledProcessError as error:
        raise MissingComponentError(f"{home}/bin/python3 does not run: {error}") from error
    if python is None:
        raise MissingComponentError(f"{home} holds no CPython from 3.10 up with a GIL and a shared libpython")
    return python
