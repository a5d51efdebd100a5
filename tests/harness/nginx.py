"""A real nginx: its configuration, its life, its logs."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from harness.config import Config, as_nginx
from harness.connections import unix_connections
from harness.error_log import NGINX_LINE
from harness.httpd import Mpm
from harness.lane import Lane, MissingComponentError
from harness.processes import Process, everyone
from harness.server import Server
from harness.wait import wait_until

_MIME_TYPES = Path("/etc/nginx/mime.types")
_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


class Nginx(Server):
    """One nginx. A test's text stands in the `server` block that listens on `port`.

    Of `mpm` only the number of processes means something here.
    """

    name = "nginx"
    log_format = NGINX_LINE
    graceful_stop_signal = signal.SIGQUIT
    stopping_gracefully = "gracefully shutting down"

    def __init__(
        self,
        folder: Path,
        session: Path,
        lane: Lane,
        config: Config,
        *,
        http: str = "",
        main: str = "",
        listen: str = "",
        mpm: Mpm | None = None,
        modules: Iterable[str] = (),  # noqa: ARG002  (httpd's; what tests need of nginx is built in)
        load_module: str | None = None,
        **options,
    ) -> None:
        """`options` are those of `Server`.

        `http` and `main` are lines outside the `server` block, `listen` follows its address.
        """
        self._http, self._main, self._listen = http, main, listen
        self._workers = mpm.processes if mpm else 1
        self._load = f'load_module "{lane.module_file(session)}";' if load_module is None else load_module
        super().__init__(folder, session, lane, config, **options)

    def configure(self, config: Config, *, http: str | None = None, main: str | None = None) -> None:
        self._http = self._http if http is None else http
        self._main = self._main if main is None else main
        (self.root / "temporary").mkdir(exist_ok=True)
        temporary = "\n    ".join(f"{name}_temp_path {self.root}/temporary/{name};" for name in _TEMPORARY)
        user = f"user {self._account} {self._account};" if self._account else ""
        mode, lines = as_nginx(self._mode), as_nginx(config)
        self.config_file.write_text(
            self._filled_in(f"""\
{self._load}
daemon off;
{user}
worker_processes {self._workers};
pid {self.root}/run/nginx.pid;
error_log {self.root}/logs/error.log info;
{lines.main}
{self._main}
events {{
    worker_connections 512;
}}
http {{
    include {_MIME_TYPES};
    access_log {self.root}/logs/access.log;
    {temporary}
    sendfile on;
    keepalive_timeout 3;
    client_max_body_size 100m;
    {mode.http}
    {lines.http}
    {self._http}
    server {{
        listen 127.0.0.1:{self.port} {self._listen};
        server_name localhost;
        root {self.root}/htdocs;
        {mode.server}
        {lines.server}
    }}
    server {{
        listen 127.0.0.1:{self._status_port};
        access_log off;
        location / {{
            stub_status;
        }}
    }}
}}
""")
        )

    def command(self, *arguments: str) -> list[str]:
        log = f"{self.root}/logs/error.log"
        return [_nginx(), "-p", str(self.root), "-e", log, "-c", str(self.config_file), *arguments]

    def _foreground(self, *arguments: str) -> list[str]:
        return self.command(*arguments)

    def configtest(self) -> subprocess.CompletedProcess[str]:
        """What it finds is said; nothing of it is in the log of a server that runs."""
        return subprocess.run(
            [*self.command("-t"), "-e", "/dev/null"],
            env=self._env,
            capture_output=True,
            text=True,
            timeout=60,
        )

    # Life

    def graceful(self) -> None:
        """Reload the configuration (SIGHUP) and wait until the workers of the old one accept nothing more."""
        wait_until(lambda: not self._unnamed(), "all that was forked to say what it is")
        old, since = self.workers(), self.error_log.position()
        self._running().send_signal(signal.SIGHUP)

        def have_ended() -> bool:
            entries = self.error_log.entries(since)
            failures = [entry for entry in entries if entry.level == "emerg"]
            assert not failures, f"the new configuration was not taken: {failures[0]}"
            shutting = {entry.pid for entry in entries if entry.text == self.stopping_gracefully}
            return all(worker.pid in shutting or not worker.is_alive for worker in old)

        wait_until(have_ended, "the workers of the old configuration to stop accepting", timeout=30)

    def restart(self) -> None:
        self.graceful()

    def workers(self) -> list[Process]:
        """The worker processes that accept connections."""
        return [process for process in self.own_processes() if _title(process) == "nginx: worker process"]

    def _unnamed(self) -> list[Process]:
        """Those that have just been forked by the master, and are called as it is."""
        master = self._running().pid
        named = [process for process in self.own_processes() if process.pid != master]
        return [process for process in named if _title(process).startswith("nginx: master process")]

    def processes(self) -> list[Process]:
        """Those below the master and in its session, and those below its keepers, which have their own."""
        found = {process.pid: process for process in super().processes()}
        for process in everyone():
            if process.pid not in found and self._has_started(process):
                found |= {one.pid: one for one in (process, *process.descendants())}
        parent = self._running().pid
        return sorted(found.values(), key=lambda process: (process.pid != parent, process.pid))

    def _has_started(self, process: Process) -> bool:
        """Whether it is a keeper of this server, or a supervisor without one: they write to its log."""
        if not (process.is_keeper or process.is_supervisor):
            return False
        try:
            return process.descriptors().get(1, "").startswith(f"{self.root}/logs/")
        except (ProcessLookupError, FileNotFoundError):
            return False

    def own_processes(self) -> list[Process]:
        return [process for process in self.processes() if _title(process).startswith("nginx: ")]

    # State

    def client_in_log(self, port: int) -> str:  # noqa: ARG002
        return "127.0.0.1"

    def busy(self) -> int:
        status = self._status()
        writing = re.search(r"^Reading: \d+ Writing: (\d+) ", status, re.MULTILINE)
        assert writing, status
        return int(writing[1])

    def _is_idle(self) -> bool:
        """Whether the only request is that for the status, and nobody works for one that was given up."""
        return self.busy() <= 1 and not _abandoned(self.processes())


def _title(process: Process) -> str:
    try:
        return " ".join(process.command)
    except ProcessLookupError:
        return ""


def _abandoned(processes: Iterable[Process]) -> bool:
    """Whether one of the processes has a connection to a group's socket whose other end is gone.

    nginx ends a request when its client has left; the process that works for it learns of it later.
    """
    ends = {connection.inode: connection.other_end for connection in unix_connections()}
    for process in processes:
        try:
            targets = process.descriptors().values()
        except (ProcessLookupError, FileNotFoundError):
            continue
        inodes = {target[len("socket:[") : -1] for target in targets if target.startswith("socket:[")}
        if any(ends.get(inode) == "0" for inode in inodes):
            return True
    return False


@cache
def _nginx() -> str:
    path = os.environ.get("OXWSGI_NGINX") or shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if not path:
        raise MissingComponentError("no nginx was found: install nginx, or name it in $OXWSGI_NGINX")
    return path
