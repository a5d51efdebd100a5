"""Starts servers for tests, knows which are alive, and turns their error logs into assertions."""

from __future__ import annotations

import contextlib
import itertools
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from harness import log_lines, places
from harness.config import Config
from harness.error_log import Entry, ErrorLog
from harness.httpd import Httpd
from harness.lane import HTTPD, NGINX, Lane
from harness.nginx import Nginx
from harness.server import Server
from harness.wait import wait_until

_KINDS: dict[str, type[Server]] = {HTTPD: Httpd, NGINX: Nginx}


class Servers:
    """Every server of one pytest session. Its folder also holds readable copies of the test applications."""

    def __init__(self) -> None:
        self.folder = places.new_session_folder()
        self._numbers = itertools.count(1)
        self._alive: list[Server] = []
        self._checked: dict[Path, int] = {}
        self._seen: list[Server] = []
        shutil.copytree(
            places.TESTS / "apps", self.folder / "apps", ignore=shutil.ignore_patterns("__pycache__")
        )
        for path in (self.folder / "apps").rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)

    def new(self, lane: Lane, config: Config, **options) -> Server:
        """A server with a folder of its own, not started."""
        folder = self.folder / f"{lane.server}-{next(self._numbers)}"
        server = _KINDS[lane.server](folder, self.folder, lane, config, **options)
        server.root.chmod(0o755)
        self._seen.append(server)
        return server

    def start(self, lane: Lane, config: Config, **options) -> Server:
        """A server that serves."""
        server = self.new(lane, config, **options)
        self._alive.append(server)
        server.start()
        return server

    def stop(self, server: Server) -> None:
        """Stop it if it still runs; AssertionError when it cannot."""
        self._alive.remove(server)
        if not server.is_running:
            return
        if server.lane.stops_promptly:
            server.stop()
        else:
            server.kill()

    @contextlib.contextmanager
    def running(self, lane: Lane, config: Config, **options) -> Iterator[Server]:
        """A server for the length of a `with` block."""
        with self.serving(self.new(lane, config, **options)) as server:
            yield server

    @contextlib.contextmanager
    def serving(self, server: Server, *arguments: str, **options) -> Iterator[Server]:
        """A server that `new` made, started as `Server.start` takes it, for the length of a `with` block."""
        self._alive.append(server)
        try:
            server.start(*arguments, **options)
            yield server
        finally:
            self.stop(server)

    def close(self) -> None:
        for server in list(self._alive):
            server.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    # Error logs

    def settle(self) -> None:
        """Wait until every running server has logged all it has to say about past requests."""
        for server in self._alive:
            if server.is_running:
                server.settle()

    def skip_past(self) -> None:
        """Take everything logged so far as dealt with."""
        for log in self._logs():
            self._checked[log.path] = log.position()

    def unread_text(self) -> str:
        """What was logged since the last check, as it stands in the files."""
        texts = [(log.path, log.text(self._checked.get(log.path, 0))) for log in self._logs()]
        return "\n".join(f"{path}:\n{text}" for path, text in texts if text)

    def check(self, lane: Lane, provoked: list[str], allowed: list[str]) -> list[str]:
        """What is wrong with everything logged since the last check: empty when all is as declared.

        Each of `provoked` must have been logged; nothing alarming but those and `allowed` may have been.
        """
        required = [log_lines.pattern(lane, what) for what in provoked]
        tolerated = [*log_lines.noise(lane), *required] + [log_lines.pattern(lane, what) for what in allowed]
        problems = []
        try:
            wait_until(lambda: not self._missing(required), "the declared log lines")
        except TimeoutError:
            problems += [f"was declared but not logged: {what!r}" for what in self._missing(required)]
        for entry in self._unread():
            if entry.is_alarming and not any(re.search(what, entry.text) for what in tolerated):
                problems.append(f"was logged but not declared: {entry}")
        self.skip_past()
        return problems

    def _missing(self, required: list[str]) -> list[str]:
        texts = [entry.text for entry in self._unread()]
        return [what for what in required if not any(re.search(what, text) for text in texts)]

    def _unread(self) -> list[Entry]:
        return [entry for log in self._logs() for entry in log.entries(self._checked.get(log.path, 0))]

    def _logs(self) -> list[ErrorLog]:
        return [log for server in self._seen for log in server.error_logs()]
