"""A site: a server with one application, which tells about its process and does to it what a test asks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from harness import log_lines
from harness.config import MAIN, Group, Mount, Part, Use, Variable
from harness.processes import Process
from harness.server import Server
from harness.wait import wait_until

SITE = [
    Variable("FOLDER", "${root}/shared"),
    Mount("/app", "${root}/site/app.wsgi", application_group=MAIN),
    Use("g"),
]


class Site:
    """A server whose /app is tests/apps/daemon/site.wsgi, run by the daemon group `g`."""

    def __init__(self, server: Server, options: str) -> None:
        self.server, self.options = server, options

    @staticmethod
    def parts(options: str, others: Sequence[Part]) -> list[Part]:
        """The configuration of a site whose group has these options, with other parts besides."""
        return [Group("g", options), *SITE, *others]

    def configure(self, others: Sequence[Part]) -> None:
        """Write the configuration anew, with these parts besides."""
        self.server.configure(self.parts(self.options, others))

    @property
    def shared(self) -> Path:
        """The folder the application may write to."""
        return self.server.root / "shared"

    @property
    def script(self) -> Path:
        return self.server.root / "site" / "app.wsgi"

    def get(self, path: str = "", /, **query):
        return self.server.get(f"/app{path}", params=query)

    def facts(self) -> dict:
        response = self.get()
        assert response.status_code == 200, response.text
        return response.json()

    def pid(self) -> int:
        response = self.get("/pid")
        assert response.status_code == 200, response.text
        return int(response.text)

    def process(self) -> Process:
        return Process.at(self.pid())

    def wait_for_entry(self, name: str) -> int:
        """The process id of the request that waits for `name`, once it does."""
        path = self.shared / f"{name}.entered"
        return int(wait_until(lambda: path.exists() and path.read_text(), f"a request to wait for {name}"))

    def release(self, name: str) -> None:
        """Let go the requests that wait for `name`."""
        (self.shared / name).touch()

    def waiting(self, name: str, path: str = "/wait"):
        """A raw connection with a request that waits for `name`; it is at it when this returns."""
        connection = self.server.raw()
        connection.request(f"GET /app{path}?name={name}", "Connection: close")
        self.wait_for_entry(name)
        return connection

    def warm_up(self) -> None:
        """Have each of its two processes load the script."""
        with self.waiting("warm-0") as one, self.waiting("warm-1") as other:
            for name, connection in (("warm-0", one), ("warm-1", other)):
                self.release(name)
                connection.response()

    def wait_for_shutdown(self, reason: str, count: int = 1) -> None:
        """Wait until it is logged that so many processes were told to end for that reason."""
        pattern = log_lines.shutdown(self.server.lane, reason)
        entry = self.server.error_log.wait_for(pattern, count=count)[0]
        assert (entry.module, entry.level) == (self.server.lane.log_module, "info")

    def wait_for_successor(self, pid: int, timeout: float = 15.0) -> int:
        """The process id of who serves in place of `pid`."""
        return wait_until(
            lambda: next((later for later in [self.pid()] if later != pid), None),
            f"{pid} to be replaced",
            timeout,
        )

    def touch(self, ahead: int = 1) -> None:
        """Give the script a modification time it never had."""
        time = self.script.stat().st_mtime + ahead
        os.utime(self.script, (time, time))
