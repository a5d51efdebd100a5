"""A real httpd in a private folder on free ports: its configuration, its life, its logs.

The interesting lines of a configuration stand in the test; this adds the rest. In them `${port}`, `${root}`,
`${docroot}`, `${apps}`, `${session}`, the extra ports `${port2}`, `${port3}`, and `${process_group}`, what
`process-group=` has to name for the processes of the lane, are filled in.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import signal
import socket
import ssl
import string
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import httpx

from harness import processes
from harness.error_log import ErrorLog
from harness.lane import Lane, MissingComponentError
from harness.processes import Process
from harness.raw_http import RawConnection
from harness.wait import wait_until

_BASE_MODULES = ("authz_core", "authz_host", "alias", "mime", "dir", "env", "setenvif", "headers", "status")
_LISTENING = "0A"
_READY = "resuming normal operations"


@dataclass(frozen=True)
class Mpm:
    """A multi-processing module and how much of it runs. Prefork has one thread a process."""

    name: str = "event"
    processes: int = 1
    threads: int = 8

    def lines(self) -> str:
        if self.name == "prefork":
            settings = {"MinSpareServers": 1, "MaxSpareServers": max(self.processes, 2)}
            workers = self.processes
        else:
            workers = self.processes * self.threads
            settings = {"ThreadsPerChild": self.threads, "ThreadLimit": self.threads}
            settings |= {"MinSpareThreads": 1, "MaxSpareThreads": workers}
        settings |= {
            "StartServers": self.processes,
            "ServerLimit": 2 * self.processes + 2,
            "MaxRequestWorkers": workers,
        }
        return "\n".join(f"{directive} {value}" for directive, value in settings.items())


class HttpdStartError(Exception):
    """httpd ended, or said nothing, instead of serving; the text is what it printed and logged."""


class Httpd:
    """One server instance. `start` it, use `client`, `raw` and `error_log`, then `stop` it."""

    def __init__(
        self,
        folder: Path,
        session: Path,
        lane: Lane,
        config: str,
        *,
        mpm: Mpm | None = None,
        modules: Iterable[str] = (),
        files: Mapping[str, str | bytes] | None = None,
        folders: Iterable[str] = (),
        env: Mapping[str, str] | None = None,
        python_home: str | None = None,
        python_path: str = "",
        own_groups: bool = False,
        names_user: bool = True,
        load_module: str | None = None,
    ) -> None:
        """Write the configuration and `files` (by path below the folder) into `folder`.

        `folders` are made there too, and every user may write to them. Without `names_user` the configuration
        says itself as whom the server runs.
        `python_home`, `python_path` and `own_groups` are for `Lane.mode_lines`.
        """
        self.root = folder
        self.lane = lane
        self.mpm = mpm or Mpm()
        self.process: subprocess.Popen | None = None
        self._ports = [free_port() for _ in range(3)]
        self._status_port = free_port()
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
        self._modules = (*_BASE_MODULES, *modules)
        self._load = lane.load_module(session) if load_module is None else load_module
        self._user = _server_user() if names_user else ""
        self._mode = lane.mode_lines(python_home, python_path, own_groups=own_groups)
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
        return self.root / "httpd.conf"

    def write(self, name: str, content: str | bytes) -> Path:
        """Write a file below the server's folder, readable by its user."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(0o644)
        return path

    def configure(self, config: str) -> None:
        """Write httpd.conf anew with the test's lines; a graceful restart reads it."""
        modules = "\n".join(_load_line(name) for name in self._modules)
        mode, test_lines = (
            string.Template(text).safe_substitute(self._placeholders) for text in (self._mode, config)
        )
        self.config_file.write_text(f"""\
ServerRoot "{self.root}"
DefaultRuntimeDir "{self.root}/run"
PidFile "{self.root}/run/httpd.pid"
ServerName localhost
Listen 127.0.0.1:{self.port}
{_load_line(f"mpm_{self.mpm.name}")}
{modules}
{self._load}
{mode}
{self.mpm.lines()}
{self._user}
ErrorLog "{self.root}/logs/error.log"
LogLevel notice wsgi:info
CustomLog "{self.root}/logs/access.log" "%h %u \\"%r\\" %>s %B"
TypesConfig /etc/mime.types
DocumentRoot "{self.root}/htdocs"
Timeout 20
KeepAliveTimeout 3
GracefulShutdownTimeout 10
<Directory "/">
    AllowOverride None
    Require all granted
</Directory>
Listen 127.0.0.1:{self._status_port}
<VirtualHost 127.0.0.1:{self._status_port}>
    CustomLog "{self.root}/logs/status_access.log" "%r"
    DocumentRoot "{self.root}/run"
    <Location "/">
        SetHandler server-status
    </Location>
</VirtualHost>
{test_lines}
""")

    def configtest(self) -> subprocess.CompletedProcess[str]:
        """Run `httpd -t` over the configuration; its stderr carries the verdict."""
        return subprocess.run(self.command("-t"), env=self._env, capture_output=True, text=True, timeout=60)

    # Life

    def start(self, *arguments: str, prefix: Iterable[str] = (), timeout: float = 30.0) -> None:
        """Start httpd in the foreground and wait until it serves; HttpdStartError otherwise."""
        output = (self.root / "logs" / "console").open("ab")
        self.process = subprocess.Popen(
            [*prefix, *self.command(*arguments, "-DFOREGROUND")],
            env=self._env,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        output.close()
        try:
            wait_until(self._serves_or_ended, "httpd to serve", timeout)
        except TimeoutError as error:
            self.kill()
            raise HttpdStartError(f"{error}\n{self.console()}{self.error_log.text()}") from None
        if self.process.poll() is not None:
            raise HttpdStartError(f"{self.console()}{self.error_log.text()}")

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def graceful(self) -> None:
        """Restart gracefully and wait until the new generation serves."""
        since = self.error_log.position()
        self._running().send_signal(signal.SIGUSR1)
        self.error_log.wait_for(_READY, since, timeout=30)

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
        """Stop after the running requests (SIGWINCH) and require that no process is left."""
        self._end(signal.SIGWINCH)

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

    def _end(self, how: signal.Signals) -> None:
        self._close_clients()
        everyone = self.processes()
        process = self._running()
        process.send_signal(how)
        try:
            process.wait(30)
            self.wait_until_gone(everyone)
        except (subprocess.TimeoutExpired, TimeoutError) as error:
            left = {process.pid: process.command for process in self.processes()}
            self.kill()
            log = self.error_log.text()
            raise AssertionError(f"httpd did not end after {how.name}: {error} {left}\n{log}") from None

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
        assert self.process is not None, "httpd was not started"
        return self.process

    def command(self, *arguments: str) -> list[str]:
        """The httpd command line for this server's configuration."""
        return [_httpd(), "-d", str(self.root), "-f", str(self.config_file), *arguments]

    def _serves_or_ended(self) -> bool:
        if self._running().poll() is not None:
            return True
        with contextlib.suppress(httpx.TransportError):
            return bool(self.scoreboard())
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
        return ErrorLog(self.root / "logs" / f"{name}.log")

    def error_logs(self) -> list[ErrorLog]:
        """Every error log of this server: all in its folder but access logs."""
        paths = sorted((self.root / "logs").glob("*.log"))
        return [ErrorLog(path) for path in paths if "access" not in path.stem]

    def console(self) -> str:
        """What httpd printed to its standard output and error."""
        path = self.root / "logs" / "console"
        return path.read_text(errors="replace") if path.exists() else ""

    def settle(self) -> None:
        """Wait until no request is being processed, so that all they log has been logged."""
        wait_until(self._is_idle, "httpd to become idle")

    def scoreboard(self) -> str:
        """A letter for each of httpd's workers, as mod_status has it."""
        url = f"http://127.0.0.1:{self._status_port}/?auto"
        closing = {"Connection": "close"}
        status = httpx.get(url, headers=closing, timeout=10, verify=_tls_context(), trust_env=False).text
        scoreboard = re.search(r"^Scoreboard: (.*)$", status, re.MULTILINE)
        assert scoreboard, status
        return scoreboard[1]

    def _is_idle(self) -> bool:
        """Whether the only worker at work is the one that answers this question."""
        return sum(self.scoreboard().count(state) for state in "RWLC") <= 1


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def server_account() -> str | None:
    """The account the server's children run as when root starts it; None for an ordinary user's server."""
    return "www-data" if os.getuid() == 0 else None


def _server_user() -> str:
    account = server_account()
    if account is None:
        return ""
    pwd.getpwnam(account)
    return f"User {account}\nGroup {account}"


@cache
def _tls_context() -> ssl.SSLContext:
    """One context for all clients: making one takes longer than a request."""
    return ssl.create_default_context()


@cache
def _httpd() -> str:
    path = (
        os.environ.get("HTTPD") or shutil.which("apache2", path="/usr/sbin:/usr/bin") or shutil.which("httpd")
    )
    if not path:
        raise MissingComponentError("no httpd was found: install apache2, or name it in $HTTPD")
    return path


@cache
def _module_folder() -> Path:
    apxs = os.environ.get("APXS") or shutil.which("apxs") or shutil.which("apxs2")
    if not apxs:
        raise MissingComponentError("no apxs was found: install apache2-dev, or name it in $APXS")
    return Path(
        subprocess.run([apxs, "-q", "LIBEXECDIR"], capture_output=True, text=True, check=True).stdout.strip()
    )


def _load_line(module: str) -> str:
    path = _module_folder() / f"mod_{module}.so"
    return f'LoadModule {module}_module "{path}"'
