"""Reads the error log of httpd or nginx: lines become entries, a traceback becomes one entry named by its
last line, what `faulthandler` says of a thread one named by its first."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from harness.wait import wait_until

_SCRIPT_PREFIX = re.compile(r"^\[script [^\]]*\] ")
_TRACEBACK = "Traceback (most recent call last):"
_FRAME = "  File "
# A line of it below that, which comes first when tracebacks of two threads are mixed.
_SOURCE = "    "
_CHAIN = re.compile(r"The above exception was the direct cause|During handling of the above exception")
_THREAD = re.compile(r"(Thread|Current thread) 0x")
_QUIET = {"notice", "info", "debug", *(f"trace{number}" for number in range(1, 9))}
_CRASH = re.compile(r"exit signal|exited on signal|AddressSanitizer|panicked at|Fatal Python error")


@dataclass
class Entry:
    """One thing that was logged. `level` is empty for a line the server did not write.

    `module` is httpd's; nginx names none. `thread` tells apart what is written by turns.
    """

    module: str
    level: str
    pid: int
    thread: str
    client: str
    text: str
    lines: list[str] = field(default_factory=list)

    @property
    def is_alarming(self) -> bool:
        """Whether an operator would have to look: warning and above, a stray line, a crash at any level."""
        return self.level not in _QUIET or bool(_CRASH.search(self.text))

    def __str__(self) -> str:
        return "\n".join(self.lines)


@dataclass(frozen=True)
class LineFormat:
    """How a server writes a line: a pattern with the groups of `Entry`, and which of them tell the thread."""

    pattern: re.Pattern[str]
    thread: tuple[str, ...]

    def entry(self, line: str) -> Entry:
        match = self.pattern.fullmatch(line)
        if not match:
            return Entry("", "", 0, "", "", line, [line])
        found = match.groupdict(default="")
        text = _SCRIPT_PREFIX.sub("", found["text"])
        thread = ":".join(found[name] for name in self.thread)
        return Entry(
            found.get("module", ""), found["level"], int(found["pid"]), thread, found["client"], text, [line]
        )


HTTPD_LINE = LineFormat(
    re.compile(
        r"\[(?P<time>[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d [\d:.]+ \d{4})\] "
        r"\[(?P<module>[\w-]*):(?P<level>[a-z0-9]+)\] "
        r"\[pid (?P<pid>\d+)(?::tid (?P<tid>\d+))?\] "
        r"(?:\[(?:client|remote) (?P<client>[^\]]+)\] )?"
        r"(?P<text>.*)"
    ),
    thread=("pid", "tid"),
)

# One thread of nginx serves all requests: what belongs together is of one connection. A line about a request
# ends with what nginx was doing and whose request it was.
NGINX_LINE = LineFormat(
    re.compile(
        r"(?P<time>\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) "
        r"\[(?P<level>[a-z]+)\] "
        r"(?P<pid>\d+)#(?P<tid>\d+): "
        r"(?:\*(?P<connection>\d+) )?"
        r"(?P<text>.*?)"
        r"(?:(?: while [a-z ]+)?, client: (?P<client>[^ ,]+)(?:, (?:server|request): .*)?)?"
    ),
    thread=("pid", "tid", "connection"),
)


class ErrorLog:
    """One log file. Positions are byte offsets into it."""

    def __init__(self, path: Path, line_format: LineFormat) -> None:
        self.path = path
        self._format = line_format

    def position(self) -> int:
        """Where the next line will be written."""
        return self.path.stat().st_size if self.path.exists() else 0

    def text(self, since: int = 0) -> str:
        """What was written from `since` on."""
        if not self.path.exists():
            return ""
        with self.path.open("rb") as log:
            log.seek(since)
            return log.read().decode("utf-8", "replace")

    def entries(self, since: int = 0) -> list[Entry]:
        """The complete entries written from `since` on."""
        text = self.text(since)
        return _grouped(self._format.entry(line) for line in text[: text.rfind("\n") + 1].splitlines())

    def find(self, pattern: str, since: int = 0) -> list[Entry]:
        """The entries whose text matches the regular expression."""
        return [entry for entry in self.entries(since) if re.search(pattern, entry.text)]

    def wait_for(self, pattern: str, since: int = 0, count: int = 1, timeout: float = 15.0) -> list[Entry]:
        """The matching entries, once there are `count` of them."""

        def enough() -> list[Entry]:
            found = self.find(pattern, since)
            return found if len(found) >= count else []

        return wait_until(enough, f"{count} log line(s) matching {pattern!r} in {self.path}", timeout)


def _grouped(entries: Iterable[Entry]) -> list[Entry]:
    """Fold the lines of a traceback with the chain it belongs to, and of a thread's stack, into one entry."""
    grouped: list[Entry] = []
    stacks: dict[str, Entry] = {}
    unfinished: dict[str, Entry] = {}
    finished: dict[str, Entry] = {}
    for entry in entries:
        thread = entry.thread
        if _THREAD.match(entry.text):
            stacks[thread] = entry
            grouped.append(entry)
            continue
        if thread in stacks:
            if not entry.text or entry.text.startswith("  "):
                stacks[thread].lines += entry.lines
                continue
            del stacks[thread]
        if thread in finished:
            traceback = finished.pop(thread)
            if not entry.text or _CHAIN.match(entry.text):
                unfinished[thread] = traceback
        if thread not in unfinished:
            grouped.append(entry)
            if entry.text == _TRACEBACK or entry.text.startswith((_FRAME, _SOURCE)):
                unfinished[thread] = entry
            continue
        traceback = unfinished[thread]
        traceback.lines += entry.lines
        if entry.text and not entry.text.startswith((" ", _TRACEBACK)) and not _CHAIN.match(entry.text):
            traceback.text = entry.text
            finished[thread] = unfinished.pop(thread)
    return grouped
