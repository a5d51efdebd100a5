"""A real httpd: its configuration, its life, its logs."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.config import Config, as_apache
from harness.connections import unix_connections
from harness.error_log import HTTPD_LINE
from harness.lane import Lane, MissingComponentError
from harness.processes import Process
from harness.server import Server
from harness.wait import wait_until

_BASE_MODULES = ("authz_core", "authz_host", "alias", "mime", "dir", "env", "setenvif", "headers", "status")
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
            # With room for those that are replaced and take their time to end.
            "ServerLimit": 2 * self.processes + 8,
            "MaxRequestWorkers": workers,
        }
        return "\n".join(f"{directive} {value}" for directive, value in settings.items())


class Httpd(Server):
    """One httpd. `mpm` is its multi-processing module, `modules` what it loads besides the usual."""

    name = "httpd"
    log_format = HTTPD_LINE
    graceful_stop_signal = signal.SIGWINCH
    stopping_gracefully = "AH00492"

    def __init__(
        self,
        folder: Path,
        session: Path,
        lane: Lane,
        config: Config,
        *,
        mpm: Mpm | None = None,
        modules: Iterable[str] = (),
        load_module: str | None = None,
        **options,
    ) -> None:
        """`options` are those of `Server`."""
        self.mpm = mpm or Mpm()
        self._modules = (*_BASE_MODULES, *modules)
        self._load = (
            f'LoadModule wsgi_module "{lane.module_file(session)}"' if load_module is None else load_module
        )
        super().__init__(folder, session, lane, config, **options)

    def configure(self, config: Config) -> None:
        modules = "\n".join(_load_line(name) for name in self._modules)
        user = f"User {self._account}\nGroup {self._account}" if self._account else ""
        mode, test_lines = (self._filled_in(as_apache(lines)) for lines in (self._mode, config))
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
{user}
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

    def command(self, *arguments: str) -> list[str]:
        return [_httpd(), "-d", str(self.root), "-f", str(self.config_file), *arguments]

    def _foreground(self, *arguments: str) -> list[str]:
        return self.command(*arguments, "-DFOREGROUND")

    def graceful(self) -> None:
        self._start_anew(signal.SIGUSR1)

    def restart(self) -> None:
        self._start_anew(signal.SIGHUP)

    def _start_anew(self, how: signal.Signals) -> None:
        since, old = self.error_log.position(), self._listeners()
        self._running().send_signal(how)
        self.error_log.wait_for(_READY, since, timeout=30)
        # A child of the old generation is told to go by then, but may not have heard of it.
        wait_until(
            lambda: not any(child.is_listening for child in old),
            "the old children to stop accepting",
            timeout=30,
        )

    def _listeners(self) -> list[Process]:
        """The children that accept connections."""
        children = Process.at(self._running().pid).children()
        return [child for child in children if _is_httpd(child) and child.is_listening]

    def own_processes(self) -> list[Process]:
        return [process for process in self.processes() if _is_httpd(process)]

    def client_in_log(self, port: int) -> str:
        return f"127.0.0.1:{port}"

    def busy(self) -> int:
        return self.scoreboard().count("W")

    def scoreboard(self) -> str:
        """A letter for each of httpd's workers, as mod_status has it."""
        status = self._status()
        scoreboard = re.search(r"^Scoreboard: (.*)$", status, re.MULTILINE)
        assert scoreboard, status
        return scoreboard[1]

    def _is_idle(self) -> bool:
        """Whether the only worker at work is the one that answers this question, and no process of a group
        works for a request that httpd has given up: it learns of that later."""
        is_idle = sum(self.scoreboard().count(state) for state in "RWLC") <= 1
        return is_idle and not (self.lane.is_daemon and self._has_abandoned())

    def _has_abandoned(self) -> bool:
        return any(
            connection.path.startswith(f"{self.root}/") and connection.inode != "0" == connection.other_end
            for connection in unix_connections()
        )


def _is_httpd(process: Process) -> bool:
    try:
        return process.command[0].endswith(("apache2", "httpd"))
    except ProcessLookupError:
        return False


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
