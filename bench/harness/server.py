"""One private server, an httpd, on a free port, and what runs beside it."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from . import processes
from .contender import GROUP_TITLE, Contender, Site
from .kit import server_group, server_user
from .workload import Workload

ANSWER_SECONDS = 60
STOP_SECONDS = 10
#: Of httpd alone, also with the floor: there are as many threads as wanted, all of them busy; when it stops,
#: event closes the sockets of connections that threads are done with and are about to keep.
HTTPD_ALONE = ("AH00161", "AH03093")
#: The worker threads of each process, of every contender that has them.
THREADS = 8
#: Response headers that are the server's own.
SERVER_HEADERS = {"date", "server", "keep-alive", "connection"}

CONFIGURATION = """\
ServerRoot "{folder}"
DefaultRuntimeDir "{folder}"
PidFile "{folder}/httpd.pid"
Listen 127.0.0.1:{port}
ServerName bench.example
ServerTokens Prod
ErrorLog "{folder}/error.log"
LogLevel warn
{user}
LoadModule mpm_{mpm}_module "{modules}/mod_mpm_{mpm}.so"
LoadModule authz_core_module "{modules}/mod_authz_core.so"
LoadModule bench_mark_module "{mark}"
{contender_modules}
{processes}
Timeout 60
KeepAlive On
KeepAliveTimeout 60
MaxKeepAliveRequests 0
MaxConnectionsPerChild 0
DocumentRoot "{apps}"
<Directory />
    AllowOverride None
    Require all granted
</Directory>
<Location /bench-mark>
    SetHandler bench-mark
</Location>
{contender}
"""

PREFORK = """\
StartServers {workers}
MinSpareServers 1
MaxSpareServers {workers}
ServerLimit {workers}
MaxRequestWorkers {workers}"""

EVENT = """\
StartServers 1
ServerLimit 1
ThreadLimit {workers}
ThreadsPerChild {workers}
MinSpareThreads 1
MaxSpareThreads {workers}
MaxRequestWorkers {workers}"""


#: In a wrapper's arguments: stands for the number of what is watched, as there may be more than one.
WRAPPED = "%SERVER%"


class Wrong(Exception):
    """Not the expected answer, or a server that does not start: a figure would mean nothing."""


@dataclass(frozen=True)
class Load:
    """What the load client says of a run: every answer was the expected one."""

    answered: int
    seconds: float
    #: Microseconds from the request to the complete answer.
    median: float
    ninth_decile: float
    last_percentile: float
    longest: float


@dataclass
class Server:
    """An httpd with one contender and one workload; a context manager that stops what it started.

    `workers` is the number of children (prefork) or threads (event) of httpd, `processes` that of the worker
    processes beside them, of contenders that have them. `wrapper`, valgrind or strace, watches all of them.
    """

    contender: Contender
    workload: Workload
    mpm: str = "prefork"
    workers: int = 1
    processes: int = 1
    wrapper: tuple[str, ...] = ()
    #: The CPU that server and load client are bound to; None: any.
    cpu: int | None = None
    folder: Path = field(init=False)
    port: int = field(init=False)
    #: httpd, and before it the application server beside it if there is one.
    started: list[subprocess.Popen] = field(init=False, default_factory=list)

    #: How the processes of the server itself are called, beside the workers.
    side: ClassVar[str] = "httpd"
    #: A line of the error log at level warn or above.
    complaint: ClassVar[str] = r"\[[\w-]*:(warn|error|crit|alert|emerg)\]"

    def __enter__(self) -> "Server":
        self.prepare()
        try:
            self.start()
            self.wait_until_listening()
            self.check()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind, *_) -> None:
        complaints = self.stop()
        if complaints and kind is None:
            raise Wrong(f"{self.title}: in the error log:\n" + "\n".join(complaints[:10]))

    def prepare(self) -> None:
        """Writes what the server and the load client read; the first answer's time does not contain it."""
        self.folder = self.contender.kit.output_folder(f"{self.contender.name}-{self.workload.name}")
        self.port = free_port()
        self.configure()
        self.write(self.workload)

    def write(self, workload: Workload) -> None:
        """Writes what the load client sends and what it expects."""
        request, body = self.files(workload)
        request.write_bytes(workload.request)
        body.write_bytes(workload.body)

    def files(self, workload: Workload) -> tuple[Path, Path]:
        """Where the request and the expected body are."""
        return self.folder / f"{workload.name}.request", self.folder / f"{workload.name}.body"

    def configure(self) -> None:
        kit = self.contender.kit
        pool = PREFORK if self.mpm == "prefork" else EVENT
        user = f"User {server_user()}\nGroup {server_group()}" if kit.is_root else ""
        modules = [
            f'LoadModule {name}_module "{kit.modules}/mod_{name}.so"' for name in self.contender.modules()
        ]
        (self.folder / "httpd.conf").write_text(
            CONFIGURATION.format(
                folder=self.folder,
                port=self.port,
                user=user,
                mpm=self.mpm,
                modules=kit.modules,
                mark=kit.mark,
                apps=kit.apps,
                processes=pool.format(workers=self.workers),
                contender_modules="\n".join(modules),
                contender="\n".join(self.contender.configuration(self.site)),
            )
        )

    def command(self) -> list[str]:
        httpd, file = str(self.contender.kit.httpd), str(self.folder / "httpd.conf")
        return [httpd, "-d", str(self.folder), "-f", file, "-D", "FOREGROUND"]

    @property
    def site(self) -> Site:
        is_marked = bool(self.wrapper) and self.contender.has_workers
        return Site(self.folder, self.workload, self.processes, THREADS, is_marked)

    def start(self) -> None:
        """Starts the application server, if there is one, and the server; neither need be ready."""
        beside = self.contender.application_server(self.site)
        if beside:
            self._start(*beside)
        self._start(self.command(), {})

    def _start(self, command: list[str], environment: dict[str, str]) -> None:
        common = {
            "PATH": os.defpath,
            "LANG": "C.UTF-8",
            "PYTHONHASHSEED": "0",
            "TMPDIR": str(self.folder),
        }
        wrapper = [part.replace(WRAPPED, str(len(self.started))) for part in self.wrapper]
        with (self.folder / "terminal.log").open("ab") as terminal:
            process = subprocess.Popen(
                [*self.binding, *wrapper, *command],
                stdin=subprocess.DEVNULL,
                stdout=terminal,
                stderr=terminal,
                cwd="/",
                env=common | environment,
                start_new_session=True,  # httpd ends by a signal to its whole process group
            )
        self.started.append(process)

    def stop(self) -> list[str]:
        """Stops the server and what it started, by process id, keeps nothing; what was in its log."""
        below = self.pids()
        for process in reversed(self.started):
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.told(process), signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for pid in below:
            if processes.mentions(pid, self.folder):
                os.kill(pid, signal.SIGKILL)
        complaints = self.complaints()
        shutil.rmtree(self.folder, ignore_errors=True)
        return complaints

    def told(self, process: subprocess.Popen) -> int:
        """Whom to tell to stop: strace ends with what it watches, and has to be left alone."""
        children = processes.below(process.pid)[1:]
        return children[0] if self.wrapper[:1] == ("strace",) and children else process.pid

    @property
    def title(self) -> str:
        return f"{self.contender.name}, {self.workload.name}"

    @property
    def binding(self) -> list[str]:
        return [] if self.cpu is None else ["taskset", "--cpu-list", str(self.cpu)]

    def wait_until_listening(self) -> None:
        until = time.monotonic() + ANSWER_SECONDS
        while time.monotonic() < until:
            if any(process.poll() is not None for process in self.started):
                break
            if not self.contender.is_ready(self.site):
                time.sleep(0.001)
                continue
            try:
                socket.create_connection(("127.0.0.1", self.port), ANSWER_SECONDS).close()
                return
            except ConnectionRefusedError:
                time.sleep(0.001)
        raise Wrong(f"{self.title}: does not start:\n{self.last_words()}")

    def exchange(self, request: bytes) -> tuple[str, list[tuple[str, str]], bytes]:
        """Status line, headers and body of one request on a connection of its own."""
        with socket.create_connection(("127.0.0.1", self.port), ANSWER_SECONDS) as peer:
            peer.sendall(request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
            answer = b"".join(iter(lambda: peer.recv(1 << 20), b""))
        head, _, body = answer.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        headers = [tuple(line.split(": ", 1)) for line in lines]
        if ("Transfer-Encoding", "chunked") in headers:
            body = b"".join(chunks(body))
        return status, headers, body

    def check(self) -> None:
        """Asks once and compares the whole answer, headers included, with the expected one."""
        plain = self.workload.request.replace(b"Connection: keep-alive\r\n", b"")
        status, headers, body = self.exchange(plain)
        if status != "HTTP/1.1 200 OK":
            raise Wrong(f"{self.title}: {status!r} where 200 is expected:\n{self.last_words()}")
        others = SERVER_HEADERS | self.contender.extra_headers
        given = sorted(pair for pair in headers if pair[0].lower() not in others)
        if given != sorted(self.workload.headers):
            raise Wrong(f"{self.title}: headers {given} where {sorted(self.workload.headers)} are expected")
        if body != self.workload.body:
            raise Wrong(f"{self.title}: another body ({len(body)} bytes) than the expected one")

    def wait_until_good(self) -> None:
        """Asks until the answer is the expected one."""
        until = time.monotonic() + ANSWER_SECONDS
        while True:
            try:
                return self.check()
            except (Wrong, OSError):
                if time.monotonic() > until:
                    raise
                time.sleep(0.001)

    def mark(self, argument: str = "") -> dict[str, int]:
        """Draws a line for callgrind and strace (floor/mark.h) in each process that serves: side -> pid."""
        sides = {self.side: "/bench-mark"}
        if self.contender.has_workers:
            sides["worker"] = self.site.worker_mark
        return {side: self._mark(f"{path}?{argument}") for side, path in sides.items()}

    def _mark(self, target: str) -> int:
        request = f"GET {target} HTTP/1.1\r\nHost: bench.example\r\n\r\n"
        body = self.exchange(request.encode())[2]
        if not re.fullmatch(rb"marked \d+\n", body):
            raise Wrong(f"{self.title}: no mark at {target}:\n{self.last_words()}")
        return int(body.split()[1])

    def load(
        self,
        clients: int = 1,
        requests: int = 0,
        seconds: float = 0,
        pause: int = 0,
        workload: Workload | None = None,
    ) -> Load:
        """Sends so many `requests`, or for so many `seconds`; before each one a `pause` of microseconds.

        Another `workload` than the one that is mounted is of the server itself, and was written before.
        """
        until = ["-n", requests] if requests else ["-t", seconds]
        command = [
            *self.binding,
            self.contender.kit.load,
            "-p",
            self.port,
            "-c",
            clients,
            *until,
            "-w",
            pause,
        ]
        command += self.files(workload or self.workload)
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Wrong(f"{self.title}: {done.stderr.strip()}\n{self.last_words()}")
        answered, *times = done.stdout.split()
        return Load(int(answered), *map(float, times))

    def pids(self) -> list[int]:
        """All processes of what was started."""
        return processes.below(*(process.pid for process in self.started))

    def worker_pids(self) -> list[int]:
        """The processes beside httpd's that run the application."""
        if len(self.started) > 1:
            return processes.below(self.started[0].pid)[1:]
        title = GROUP_TITLE.encode()
        return [pid for pid in self.pids() if processes.command_line(pid).startswith(title)]

    def cpu_seconds(self) -> dict[str, float]:
        """User and system time of the worker processes, and of all others."""
        workers = self.worker_pids()
        spent = {self.side: 0.0, "worker": 0.0}
        for pid in self.pids():
            spent["worker" if pid in workers else self.side] += processes.cpu_seconds(pid)
        return spent

    def anonymous_bytes(self) -> dict[str, dict[str, int]]:
        """Anonymous and proportional anonymous memory of httpd's one child, and of the one worker process."""
        workers = self.worker_pids()
        httpd = str(self.contender.kit.httpd)
        below = processes.below(self.started[-1].pid)[1:]
        sides = {"httpd": [pid for pid in below if processes.executable(pid) == httpd and pid not in workers]}
        if self.contender.has_workers:
            sides["worker"] = workers
        for side, pids in sides.items():
            if len(pids) != 1:
                raise Wrong(f"{self.title}: one {side} process is expected, there are {len(pids)}")
        return {side: processes.anonymous_bytes(pids[0]) for side, pids in sides.items()}

    def complaints(self) -> list[str]:
        """Lines of the error log at level warn or above."""
        with contextlib.suppress(OSError):
            lines = (self.folder / "error.log").read_text(errors="replace").splitlines()
            loud = [line for line in lines if re.search(self.complaint, line)]
            return [line for line in loud if not any(number in line for number in HTTPD_ALONE)]
        return []

    def last_words(self) -> str:
        texts = []
        for name in ("terminal.log", "error.log"):
            with contextlib.suppress(OSError):
                texts += (self.folder / name).read_text(errors="replace").splitlines()
        return "\n".join(texts[-20:])


def chunks(body: bytes):
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        yield body[:length]
        body = body[length + 2 :]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
