"""A lane: one gateway module in one mode with one Python, against which the same tests run."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from harness import places, pythons
from harness.config import Group, Lines, Part, Use
from harness.pythons import Python

APACHE = "apache"
NGINX = "nginx"
REFERENCE = "reference"
REFERENCE_6 = "reference-6"
EMBEDDED = "embedded"
DAEMON = "daemon"

HTTPD = "httpd"

# The daemon group whose processes run what a configuration does not give to a group of its own.
GROUP = "site"

_DEBIAN_MOD_WSGI = Path("/usr/lib/apache2/modules/mod_wsgi.so")
_MOD_WSGI_6 = places.TESTS / "reference-6-requirements.txt"
_COMPANIONS = ("liboxwsgi_runtime.so", "oxwsgi")


# A lane's name, with its gateway and its mode.
_LANES = {
    "apache-embedded": (APACHE, EMBEDDED),
    "apache-daemon": (APACHE, DAEMON),
    "nginx-daemon": (NGINX, DAEMON),
    "reference": (REFERENCE, EMBEDDED),
    "reference-daemon": (REFERENCE, DAEMON),
    "reference-6": (REFERENCE_6, EMBEDDED),
    "reference-6-daemon": (REFERENCE_6, DAEMON),
}
NAMES = tuple(_LANES)
# Those whose module is ours.
_OURS = (APACHE, NGINX)
_HOW_TO_BUILD = {
    APACHE: "run `cargo build --release`, or name --module",
    NGINX: "run `make nginx`, or name --nginx-module",
}
DEFAULT = ("apache-embedded", "apache-daemon", "nginx-daemon")


class MissingComponentError(Exception):
    """Something a lane needs is not on this machine: the lane fails, it is never skipped."""


@dataclass(frozen=True)
class Lane:
    """`module` is the built artefact as the command line named it; None for a reference module.

    `companions` is the folder of what is the same for every server: the runtime and the command.
    """

    name: str
    python: Python
    module: Path | None
    companions: Path | None = None

    @property
    def gateway(self) -> str:
        """Whose module it is, in whichever mode."""
        return _LANES[self.name][0]

    @property
    def server(self) -> str:
        """The server that loads it."""
        return NGINX if self.gateway == NGINX else HTTPD

    @property
    def mode(self) -> str:
        """Where applications run: in httpd's children (EMBEDDED) or in processes of their own (DAEMON)."""
        return _LANES[self.name][1]

    @property
    def is_daemon(self) -> bool:
        return self.mode == DAEMON

    @property
    def is_reference(self) -> bool:
        return self.gateway not in _OURS

    def answers_to(self, name: str | None) -> bool:
        """Whether a marker means this lane: by name, gateway, mode, as one of the references or of ours."""
        names = {None, self.name, self.gateway, self.mode, f"{self.gateway}-{self.mode}"}
        return name in names | {"references" if self.is_reference else "oxwsgi"}

    @property
    def mod_wsgi_version(self) -> tuple[int, int, int]:
        """The level of compatibility `mod_wsgi.version` reports."""
        return {REFERENCE: (4, 9, 4), REFERENCE_6: (6, 1, 1)}.get(self.gateway, (6, 0, 5))

    @property
    def folds_headers(self) -> bool:
        """Whether a repeated header reaches the client as one: httpd treats a daemon's as those of CGI."""
        return self.is_daemon and self.server == HTTPD

    @property
    def log_module(self) -> str:
        """What the error log names as the module that wrote a line; nginx names none."""
        return "wsgi" if self.server == HTTPD else ""

    @property
    def stops_promptly(self) -> bool:
        """Whether a child with threads ends when told to: one with 4.9.4 in it waits for httpd's SIGKILL."""
        return (self.gateway, self.mode) != (REFERENCE, EMBEDDED)

    @property
    def id(self) -> str:
        return f"{self.name}-{self.python.name}"

    def require(self) -> None:
        """Raise MissingComponentError when a needed file is absent."""
        if self.gateway == REFERENCE and not _DEBIAN_MOD_WSGI.exists():
            raise MissingComponentError(f"{_DEBIAN_MOD_WSGI} is missing: install libapache2-mod-wsgi-py3")
        if self.module and self.companions:
            needed = _COMPANIONS if self.is_daemon else _COMPANIONS[:1]
            for path in (self.module, *(self.companions / name for name in needed)):
                if not path.exists():
                    raise MissingComponentError(f"{path} is missing: {_HOW_TO_BUILD[self.gateway]}")

    @cached_property
    def readable_python(self) -> Python:
        return self.python.readable()

    def prepare(self) -> None:
        """Make what is kept between sessions."""
        python = self.readable_python
        if self.gateway == REFERENCE_6:
            python.venv(_MOD_WSGI_6)

    def module_file(self, session: Path) -> Path:
        """The module of this lane, with its Python, where the server's user can read it."""
        if self.gateway == REFERENCE:
            return _DEBIAN_MOD_WSGI
        if self.gateway == REFERENCE_6:
            venv = self.readable_python.venv(_MOD_WSGI_6)
            (module,) = venv.glob("lib/python3*/site-packages/mod_wsgi/server/*.so")
            return module
        return self._copied_module(session)

    @property
    def process_group(self) -> str:
        """What `mod_wsgi.process_group` is where a configuration names no group."""
        return GROUP if self.is_daemon else ""

    def mode_parts(self, python_home: str | None, python_path: str, *, own_groups: bool) -> list[Part]:
        """What makes applications run in this lane's mode, with its Python or `python_home`.

        With `own_groups` the configuration that follows says itself which processes run what. An empty
        `python_home` leaves the choice to the gateway.
        """
        if python_home is None:
            # A reference module is built for one Python.
            python_home = "" if self.is_reference else str(self.readable_python.home)
        settings = {"home": python_home, "path": python_path}
        given = {name: value for name, value in settings.items() if value}
        if not self.is_daemon:
            return [Lines(f'WSGIPython{name.title()} "{value}"') for name, value in given.items()]
        # What is not meant to run in httpd's children cannot.
        restricted = Lines("WSGIRestrictEmbedded On")
        if own_groups:
            home = Lines(f'WSGIPythonHome "{python_home}"', nginx_http=f'wsgi_python_home "{python_home}";')
            return [restricted, home] if python_home else [restricted]
        options = " ".join(["threads=8", *(f'python-{name}="{value}"' for name, value in given.items())])
        return [restricted, Group(GROUP, options), Use(GROUP)]

    def _copied_module(self, session: Path) -> Path:
        """The module, copied with its companions to where the server's user can read them."""
        assert self.module is not None
        assert self.companions is not None
        folder = session / f"artefacts-{self.gateway}"
        if not folder.exists():
            folder.mkdir()
            for source in (self.module, *(self.companions / name for name in _COMPANIONS)):
                if source.exists():
                    shutil.copy2(source, folder / source.name)
                    (folder / source.name).chmod(0o755)
        return folder / self.module.name


def choose(names: Iterable[str], homes: list[str], modules: Mapping[str, Path]) -> list[Lane]:
    """The lanes the command line asks for; MissingComponentError when one cannot run.

    `modules` are our artefacts, by gateway; beside that for Apache lie the runtime and the command.
    """
    lanes: list[Lane] = []
    for name in names:
        gateway, mode = _LANES[name]
        if gateway in _OURS:
            companions = modules[APACHE].parent
            lanes += [Lane(name, python, modules[gateway], companions) for python in _pythons(homes, mode)]
        else:
            lanes.append(Lane(name, _named(pythons.DEBIAN, mode), None))
    for lane in lanes:
        lane.require()
    return lanes


def _pythons(homes: list[str], mode: str) -> list[Python]:
    if homes:
        return [_named(Path(home), mode) for home in homes]
    found = [python for python in pythons.find() if mode == DAEMON or python.has_library]
    if os.environ.get("CI") and len({python.minor for python in found}) < 2:
        names = ", ".join(python.name for python in found) or "none"
        raise MissingComponentError(f"fewer than two minor versions of Python were found: {names}")
    return found


def _named(home: Path, mode: str) -> Python:
    try:
        python = pythons.at(home)
    except subprocess.CalledProcessError as error:
        raise MissingComponentError(f"{home}/bin/python3 does not run: {error}") from error
    if python is None:
        raise MissingComponentError(f"{home} holds no CPython from 3.10 up with a GIL")
    if mode == EMBEDDED and not python.has_library:
        raise MissingComponentError(f"{home} holds no shared libpython, which embedded mode needs")
    return python
