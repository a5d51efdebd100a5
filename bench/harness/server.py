"""One private httpd on a free port: configuration, start, checked requests, what /proc says of it, stop."""

import contextlib
import grp
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from .contender import Contender
from .kit import server_user
from .workload import Workload

ANSWER_SECONDS = 60
STOP_SECONDS = 10
#: "server reached MaxRequestWorkers setting": there are as many as wanted, all of them busy.
ALL_BUSY = "AH00161"
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


class Wrong(Exception):
    """Not the expected answer, or a server that does not start: a figure would mean nothing."""


@dataclass
class Server:
    """An httpd with one contender and one workload; a context manager that stops what it started.

    `workers` is the number of children (prefork) or threads (event). `single` runs it as the one process of
    `httpd -X`, below `wrapper` (valgrind, strace) if one is given.
    """

    contender: Contender
    workload: Workload
    mpm: str = "prefork"
    workers: int = 1
    single: bool = False
    wrapper: tuple[str, ...] = ()
    #: The CPU that server and load client are bound to; None: any.
    cpu: int | None = None
    folder: Path = field(init=False)
    port: int = field(init=False)
    process: subprocess.Popen = field(init=False)

    def __enter__(self) -> "Server":
        self.prepare()
        self.start()
        try:
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
        """Writes what httpd and the load client read; the first answer's time does not contain it."""
        kit = self.contender.kit
        self.folder = kit.output_folder(f"{self.contender.name}-{self.workload.name}")
        self.port = free_port()
        processes = PREFORK if self.mpm == "prefork" else EVENT
        user = f"User {server_user()}\nGroup {server_group()}" if os.geteuid() == 0 else ""
        (self.folder / "httpd.conf").write_text(
            CONFIGURATION.format(
                folder=self.folder,
                port=self.port,
                user=user,
                mpm=self.mpm,
                modules=kit.modules,
                mark=kit.mark,
                apps=kit.apps,
                processes=processes.format(workers=self.workers),
                contender=self.contender.configuration(self.workload),
            )
        )
        (self.folder / "request").write_bytes(self.workload.request)
        (self.folder / "body").write_bytes(self.workload.body)

    def start(self) -> None:
        mode = ["-X"] if self.single else ["-D", "FOREGROUND"]
        command = [*self.binding, *self.wrapper, str(self.contender.kit.httpd), "-d", str(self.folder)]
        environment = {
            "PATH": os.defpath,
            "LANG": "C.UTF-8",
            "PYTHONHASHSEED": "0",
            "TMPDIR": str(self.folder),
        }
        with (self.folder / "terminal.log").open("wb") as terminal:
            self.process = subprocess.Popen(
                [*command, "-f", str(self.folder / "httpd.conf"), *mode],
                stdin=subprocess.DEVNULL,
                stdout=terminal,
                stderr=terminal,
                cwd="/",
                env=environment,
                start_new_session=True,  # httpd ends by a signal to its whole process group
            )

    def stop(self) -> list[str]:
        """Stops the server and what it started, by process id, keeps nothing; what was in its log."""
        below = self.processes()
        if self.process.poll() is None:
            # The tracer of a traced server ends with it; the server itself is what has to be told.
            for pid in below[1:] if self.wrapper and len(below) > 1 else below[:1]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pid in below[1:]:
            if is_running(pid, str(self.folder)):
                os.kill(pid, signal.SIGKILL)
        complaints = self.complaints()
        shutil.rmtree(self.folder, ignore_errors=True)
        return complaints

    @property
    def title(self) -> str:
        return f"{self.contender.name}, {self.workload.name}"

    @property
    def binding(self) -> list[str]:
        return [] if self.cpu is None else ["taskset", "--cpu-list", str(self.cpu)]

    def wait_until_listening(self) -> None:
        until = time.monotonic() + ANSWER_SECONDS
        while time.monotonic() < until:
            if self.process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.port), ANSWER_SECONDS).close()
                return
            except ConnectionRefusedError:
                time.sleep(0.001)
        raise Wrong(f"{self.title}: httpd does not start:\n{self.last_words()}")

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
        given = sorted(pair for pair in headers if pair[0].lower() not in SERVER_HEADERS)
        if given != sorted(self.workload.headers):
            raise Wrong(f"{self.title}: headers {given} where {sorted(self.workload.headers)} are expected")
        if body != self.workload.body:
            raise Wrong(f"{self.title}: another body ({len(body)} bytes) than the expected one")

    def mark(self, argument: str = "") -> None:
        """Draws a line for callgrind and strace (floor/mod_mark.c)."""
        request = f"GET /bench-mark?{argument} HTTP/1.1\r\nHost: bench.example\r\n\r\n"
        if self.exchange(request.encode())[2] != b"marked\n":
            raise Wrong(f"{self.title}: no mark:\n{self.last_words()}")

    def load(
        self, clients: int = 1, requests: int = 0, seconds: float = 0, pause: int = 0
    ) -> tuple[int, float]:
        """How many requests were answered, every answer as expected, in how many seconds.

        Until there are so many `requests` or `seconds`; before each one a `pause` of so many microseconds.
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
        command += [self.folder / "request", self.folder / "body"]
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Wrong(f"{self.title}: {done.stderr.strip()}\n{self.last_words()}")
        answered, elapsed = done.stdout.split()
        return int(answered), float(elapsed)

    def processes(self) -> list[int]:
        """The process that was started, and all below it."""
        parents = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    stat = (entry / "stat").read_text()
                    parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
        found = [self.process.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found

    def cpu_seconds(self) -> float:
        """User and system time of all threads of all its processes, from the scheduler's nanoseconds."""
        total = 0
        for pid in self.processes():
            for task in Path(f"/proc/{pid}/task").iterdir():
                total += int((task / "schedstat").read_text().split()[0])
        return total / 1e9

    def anonymous_bytes(self) -> dict[str, int]:
        """Anonymous and proportional anonymous memory of the one child that serves."""
        httpd = str(self.contender.kit.httpd)
        children = [pid for pid in self.processes()[1:] if str(Path(f"/proc/{pid}/exe").readlink()) == httpd]
        if len(children) != 1:
            raise Wrong(f"{self.title}: one serving process is expected, there are {len(children)}")
        rollup = Path(f"/proc/{children[0]}/smaps_rollup").read_text()
        names = ("Anonymous", "Pss_Anon")
        return {name: int(re.search(rf"^{name}:\s+(\d+) kB", rollup, re.M)[1]) * 1024 for name in names}

    def complaints(self) -> list[str]:
        """Lines of the error log at level warn or above."""
        with contextlib.suppress(OSError):
            lines = (self.folder / "error.log").read_text(errors="replace").splitlines()
            loud = [line for line in lines if re.search(r"\[[\w-]*:(warn|error|crit|alert|emerg)\]", line)]
            return [line for line in loud if ALL_BUSY not in line]
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


def is_running(pid: int, mention: str) -> bool:
    """Whether the process is still the one we mean: its command line names our folder."""
    try:
        return mention.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def server_group() -> str:
    return grp.getgrgid(pwd.getpwnam(server_user()).pw_gid).gr_name
