"""A real server in a private folder on free ports: what the tests ask of httpd and of nginx alike.

The interesting lines of a configuration stand in the test; `Httpd` and `Nginx` add the rest. In them
`${port}`, `${root}`, `${docroot}`, `${apps}`, `${session}`, the extra ports `${port2}`, `${port3}`, and
`${process_group}`, what `process-group=` has to name for the processes of the lane, are filled in.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import socket
import ssl
import string
import subprocess
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import ClassVar

import httpx

from harness import processes
from harness.config import Config
from harness.error_log import ErrorLog, LineFormat
from harness.lane import Lane
from harness.processes import Process
from harness.raw_http import RawConnection
from harness.wait import wait_until

_LISTENING = "0A"


class ServerStartError(Exception):
    """The server ended, or said nothing, instead of serving; the text is what it printed and logged."""


class Server:
    """One server instance. `start` it, use `client`, `raw` and `error_log`, then `stop` it."""

    name: ClassVar[str]
    log_format: ClassVar[LineFormat]
    # By which it ends once the requests under way are answered, and what it logs when it begins to.
    graceful_stop_signal: ClassVar[signal.Signals]
    stopping_gracefully: ClassVar[str]

    def __init__(
        self,
        folder: Path,
        session: Path,
        lane: Lane,
        config: Config,
        *,
        python_home: str | None = None,
        python_path: str = "",
        own_groups: bool = False,
        names_user: bool = True,
        files: Mapping[str, str | bytes] | None = None,
        folders: Iterable[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Write the configuration and `files` (by path below the folder) into `folder`.

        `folders` are made there too, and every user may write to them. `python_home`, `python_path` and
        `own_groups` are for `Lane.mode_parts`. Without `names_user` the test's lines say as whom it runs.
        """
        self.root = folder
        self.lane = lane
        self._mode = lane.mode_parts(python_home, python_path, own_groups=own_groups)
        self._account = server_account() if names_user else None
        self.process: subprocess.Popen | None = None
        *self._ports, self._status_port = free_ports(4)
        self._env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", **(env or {})}
        self._clients: list[httpx.Client] = []
        for name in ("logs", "run", "htdocs"):
            (folder / name).mkdir(parents=True)
        for name, content in (files or {}).items():
            self.write(name, content)
        for name in folders:
            (folder / name).mkdir(parents=True, exist_ok=True)
            (folder / name).chmod(0o777)
        self._placeholders = {
            "root": folder,
            "docroot": folder / "htdocs",
            "apps": session / "apps",
            "session": session,
            "process_group": lane.process_group or "%{GLOBAL}",
            **{f"port{index + 1}".replace("port1", "port"): port for index, port in enumerate(self._ports)},
        }
        self.configure(config)

    # Configuration

    @property
    def port(self) -> int:
        return self._ports[0]

    @property
    def port2(self) -> int:
        return self._ports[1]

    @property
    def port3(self) -> int:
        return self._ports[2]

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def config_file(self) -> Path:
        return self.root / f"{self.name}.conf"

    def write(self, name: str, content: str | bytes) -> Path:
        """Write a file below the server's folder, readable by its user."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(0o644)
        return path

    def configure(self, config: Config) -> None:
        """Write the configuration anew with the test's lines; a graceful restart reads it."""
        raise NotImplementedError

    def configtest(self) -> subprocess.CompletedProcess[str]:
        """Let the server check the configuration (`-t`); its stderr carries the verdict."""
        return subprocess.run(self.command("-t"), env=self._env, capture_output=True, text=True, timeout=60)

    def command(self, *arguments: str) -> list[str]:
        """The server's command line for its configuration."""
        raise NotImplementedError

    def _filled_in(self, text: str) -> str:
        return string.Template(text).safe_substitute(self._placeholders)

    # Life

    def start(self, *arguments: str, prefix: Iterable[str] = (), timeout: float = 30.0) -> None:
        """Start the server in the foreground and wait until it serves; ServerStartError otherwise."""
        output = (self.root / "logs" / "console").open("ab")
        self.process = subprocess.Popen(
            [*prefix, *self._foreground(*arguments)],
            env=self._env,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        output.close()
        try:
            wait_until(self._serves_or_ended, f"{self.name} to serve", timeout)
        except TimeoutError as error:
            self.kill()
            raise ServerStartError(f"{error}\n{self.console()}{self.error_log.text()}") from None
        if self.process.poll() is not None:
            raise ServerStartError(f"{self.console()}{self.error_log.text()}")

    def _foreground(self, *arguments: str) -> list[str]:
        """The command line by which it stays in the foreground."""
        raise NotImplementedError

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def graceful(self) -> None:
        """Restart gracefully and wait until the new generation alone takes requests."""
        raise NotImplementedError

    def restart(self) -> None:
        """Restart as fast as the server can, and wait until the new generation serves."""
        raise NotImplementedError

    def stop(self) -> None:
        """Stop at once (SIGTERM) and require that no process is left.

        Connections that are being closed are waited for: a child of httpd's event MPM may crash when told to
        stop in that moment.
        """
        self._close_clients()
        with contextlib.suppress(TimeoutError):
            wait_until(lambda: not self._has_connections(), "connections to end", timeout=5)
        self._end(signal.SIGTERM)

    def graceful_stop(self) -> None:
        """Stop after the running requests and require that no process is left."""
        self._end(self.graceful_stop_signal)

    def begin_graceful_stop(self) -> None:
        """Have it stop after the running requests; it has begun to when this returns."""
        self._running().send_signal(self.graceful_stop_signal)
        self.error_log.wait_for(self.stopping_gracefully)

    def kill(self) -> None:
        """End every process of this server unconditionally."""
        if self.process is not None:
            for process in self.processes():
                process.signal(signal.SIGKILL)
            self.process.wait(10)

    def children(self) -> list[int]:
        """The process ids of the parent's living children."""
        path = Path(f"/proc/{self._running().pid}/task/{self._running().pid}/children")
        return [int(pid) for pid in path.read_text().split()]

    def processes(self) -> list[Process]:
        """Every living process of this server, its parent first."""
        parent = self._running().pid
        found = {process.pid: process for process in processes.of_session(parent)}
        with contextlib.suppress(ProcessLookupError):
            found |= {process.pid: process for process in Process.at(parent).descendants()}
        return sorted(found.values(), key=lambda process: (process.pid != parent, process.pid))

    def supervisors(self) -> list[Process]:
        """Those that look after the processes of its daemon groups."""
        return processes.without_copies(process for process in self.processes() if process.is_supervisor)

    def keepers(self) -> list[Process]:
        """Those that start and replace supervisors for a server that cannot do it itself."""
        return processes.without_copies(process for process in self.processes() if process.is_keeper)

    def own_processes(self) -> list[Process]:
        """Those that run the server's own program: neither supervisor nor application."""
        raise NotImplementedError

    def _end(self, how: signal.Signals) -> None:
        self._close_clients()
        everyone = self.processes()
        process = self._running()
        process.send_signal(how)
        try:
            process.wait(60)
            self.wait_until_gone(everyone)
        except (subprocess.TimeoutExpired, TimeoutError) as error:
            left = {process.pid: process.command for process in self.processes()}
            self.kill()
            log = self.error_log.text()
            raise AssertionError(f"{self.name} did not end after {how.name}: {error} {left}\n{log}") from None

    def wait_until_gone(self, everyone: Iterable[Process], timeout: float = 15.0) -> None:
        """Wait until none of those processes, and no other of this server, lives; else TimeoutError."""

        def are_gone() -> bool:
            return not any(process.is_alive for process in everyone) and not self.processes()

        wait_until(are_gone, "the server's processes to end", timeout)

    def _close_clients(self) -> None:
        for client in self._clients:
            client.close()

    def _has_connections(self) -> bool:
        """Whether a process still holds a connection on one of this server's ports (see proc_pid_net(5))."""
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        ports = {f"{port:04X}" for port in (*self._ports, self._status_port)}
        return any(row[1].split(":")[1] in ports and row[3] != _LISTENING and row[9] != "0" for row in rows)

    def _running(self) -> subprocess.Popen:
        assert self.process is not None, f"{self.name} was not started"
        return self.process

    def _serves_or_ended(self) -> bool:
        if self._running().poll() is not None:
            return True
        with contextlib.suppress(httpx.TransportError):
            return self.busy() > 0
        return False

    # Clients

    def client(self, **options) -> httpx.Client:
        """A new httpx client of this server; it is closed with the server."""
        client = httpx.Client(
            **{"base_url": self.url, "timeout": 30, "verify": _tls_context(), "trust_env": False, **options}
        )
        self._clients.append(client)
        return client

    def get(self, path: str, **options) -> httpx.Response:
        """One GET on a connection of its own."""
        return self.request("GET", path, **options)

    def post(self, path: str, content: bytes = b"", **options) -> httpx.Response:
        """One POST on a connection of its own."""
        return self.request("POST", path, content=content, **options)

    def request(self, method: str, path: str, **options) -> httpx.Response:
        """One request on a connection of its own; `path` may be a whole URL."""
        url = path if path.startswith("http") else self.url + path
        options["headers"] = {"Connection": "close", **options.get("headers", {})}
        return httpx.request(method, url, timeout=30, verify=_tls_context(), trust_env=False, **options)

    def raw(self, port: int | None = None) -> RawConnection:
        """A raw connection to this server."""
        return RawConnection(port or self.port)

    # Logs

    @property
    def error_log(self) -> ErrorLog:
        return self.log("error")

    def log(self, name: str) -> ErrorLog:
        """The error log `logs/<name>.log`."""
        return ErrorLog(self.root / "logs" / f"{name}.log", self.log_format)

    def error_logs(self) -> list[ErrorLog]:
        """Every error log of this server: all in its folder but access logs."""
        paths = sorted((self.root / "logs").glob("*.log"))
        return [ErrorLog(path, self.log_format) for path in paths if "access" not in path.stem]

    def client_in_log(self, port: int) -> str:
        """How the error log names a client that came from that port."""
        raise NotImplementedError

    def console(self) -> str:
        """What the server printed to its standard output and error."""
        path = self.root / "logs" / "console"
        return path.read_text(errors="replace") if path.exists() else ""

    # State

    def settle(self) -> None:
        """Wait until no request is being processed, so that all they log has been logged."""
        wait_until(self._is_idle, f"{self.name} to become idle")

    def busy(self) -> int:
        """How many requests the server is at, the one that asks for its status among them."""
        raise NotImplementedError

    def _is_idle(self) -> bool:
        raise NotImplementedError

    def _status(self) -> str:
        """What its status page says."""
        url = f"http://127.0.0.1:{self._status_port}/?auto"
        closing = {"Connection": "close"}
        return httpx.get(url, headers=closing, timeout=30, verify=_tls_context(), trust_env=False).text


def free_ports(count: int) -> list[int]:
    """So many ports nobody listens on now, each another: they are all held until the last one is found."""
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def server_account() -> str | None:
    """The account the server's children run as when root starts it; None for an ordinary user's server."""
    if os.getuid() != 0:
        return None
    pwd.getpwnam("www-data")
    return "www-data"


@cache
def _tls_context() -> ssl.SSLContext:
    """One context for all clients: making one takes longer than a request."""
    return ssl.create_default_context()
