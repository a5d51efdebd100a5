"""What /proc tells of the processes of a server (see proc(5))."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_ENDED = "ZX"
_LISTENING = "0A"


@dataclass(frozen=True)
class Process:
    """One process. Its start time tells it from a later one with the same id."""

    pid: int
    started: int

    @classmethod
    def at(cls, pid: int) -> Process:
        """The process with that id; ProcessLookupError when there is none."""
        fields = _stat(pid)
        if fields is None:
            raise ProcessLookupError(pid)
        return cls(pid, int(fields[19]))

    @property
    def is_alive(self) -> bool:
        """Whether it still runs; one that only waits to be reaped does not."""
        fields = _stat(self.pid)
        return fields is not None and int(fields[19]) == self.started and fields[0] not in _ENDED

    @property
    def is_stopped(self) -> bool:
        """Whether each of its threads has come to the stop that SIGSTOP asks for."""
        states = []
        for thread in (_PROC / str(self.pid) / "task").iterdir():
            # One that has ended meanwhile does nothing more either.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                states.append((thread / "stat").read_text().rpartition(") ")[2][0])
        return set(states) == {"T"}

    @property
    def parent(self) -> int:
        return int(self._stat()[1])

    @property
    def session(self) -> int:
        return int(self._stat()[3])

    @property
    def nice(self) -> int:
        return int(self._stat()[16])

    @property
    def command(self) -> list[str]:
        """The words of its command line, as `ps` shows them."""
        return self._read("cmdline").rstrip(b"\0 ").decode("utf-8", "replace").split("\0")

    @property
    def is_supervisor(self) -> bool:
        """Whether it is `oxwsgi supervise`."""
        return self._runs_oxwsgi("supervise")

    @property
    def is_keeper(self) -> bool:
        """Whether it is `oxwsgi keep`."""
        return self._runs_oxwsgi("keep")

    def _runs_oxwsgi(self, command: str) -> bool:
        with contextlib.suppress(ProcessLookupError):
            words = " ".join(self.command).split()
            return len(words) > 1 and Path(words[0]).name == "oxwsgi" and words[1] == command
        return False

    @property
    def user(self) -> int:
        """The effective user id."""
        return int(self.status("Uid").split()[1])

    def status(self, name: str) -> str:
        """A line of /proc/PID/status."""
        lines = dict(line.split(":", 1) for line in self._read("status").decode().splitlines())
        return lines[name].strip()

    def children(self) -> list[Process]:
        found = []
        for pid in _children(self.pid):
            with contextlib.suppress(ProcessLookupError):
                found.append(Process.at(pid))
        return found

    def descendants(self) -> list[Process]:
        """Everyone below it, nearest first."""
        found = [self]
        for process in found:
            found += process.children()
        return found[1:]

    def descriptors(self) -> dict[int, str]:
        """What its open descriptors refer to; ProcessLookupError when it is no more."""
        targets = {}
        try:
            for entry in (_PROC / str(self.pid) / "fd").iterdir():
                with contextlib.suppress(FileNotFoundError):
                    targets[int(entry.name)] = str(entry.readlink())
        except (FileNotFoundError, PermissionError):
            # In the moment of its end nobody may read them.
            if self.is_alive:
                raise
            raise ProcessLookupError(self.pid) from None
        return targets

    @property
    def is_listening(self) -> bool:
        """Whether it has a TCP socket that waits for connections (see proc_pid_net(5))."""
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        waiting = {f"socket:[{row[9]}]" for row in rows if row[3] == _LISTENING}
        try:
            return not waiting.isdisjoint(self.descriptors().values())
        except ProcessLookupError:
            return False

    def can_only_read(self, descriptor: int) -> bool:
        """Whether nothing can be written to a descriptor of it."""
        lines = dict(line.split(":\t") for line in self._read(f"fdinfo/{descriptor}").decode().splitlines())
        return int(lines["flags"], 8) & os.O_ACCMODE == os.O_RDONLY

    def memory(self) -> Iterator[bytes]:
        """Its writable mappings, one after the other, as far as they can be read."""
        with (_PROC / str(self.pid) / "mem").open("rb", buffering=0) as memory:
            for line in self._read("maps").decode().splitlines():
                addresses, permissions = line.split()[:2]
                start, end = (int(address, 16) for address in addresses.split("-"))
                if "w" in permissions:
                    with contextlib.suppress(OSError):
                        memory.seek(start)
                        yield _read_whole(memory, end - start)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal unless it has ended."""
        if self.is_alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def _read(self, name: str) -> bytes:
        try:
            return (_PROC / str(self.pid) / name).read_bytes()
        except FileNotFoundError:
            raise ProcessLookupError(self.pid) from None

    def _stat(self) -> list[str]:
        fields = _stat(self.pid)
        if fields is None:
            raise ProcessLookupError(self.pid)
        return fields


def everyone() -> list[Process]:
    """Every process of the machine that runs."""
    found = []
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(ProcessLookupError):
                found.append(Process.at(int(entry.name)))
    return [process for process in found if process.is_alive]


def of_session(session: int) -> list[Process]:
    """Every process of a session."""
    found = []
    for process in everyone():
        with contextlib.suppress(ProcessLookupError):
            if process.session == session:
                found.append(process)
    return found


def without_copies(found: Iterable[Process]) -> list[Process]:
    """Those of them that are no child of another.

    Until a new process executes its program it looks like its parent.
    """
    parents: dict[Process, int] = {}
    for process in found:
        with contextlib.suppress(ProcessLookupError):
            parents[process] = process.parent
    pids = {process.pid for process in parents}
    return [process for process, parent in parents.items() if parent not in pids]


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the third, its state, on; None when there is no such process."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text[text.rindex(")") + 2 :].split()


def _children(pid: int) -> set[int]:
    try:
        threads = list((_PROC / str(pid) / "task").iterdir())
        return {int(child) for thread in threads for child in (thread / "children").read_text().split()}
    except (FileNotFoundError, ProcessLookupError):
        return set()


def _read_whole(memory, size: int) -> bytes:
    pieces = []
    while size > 0 and (piece := memory.read(min(size, 2**24))):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)
