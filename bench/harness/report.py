"""What a run prints: tables, as plain text for the terminal and as Markdown for the documentation."""

import os
import platform
import re
import time
from dataclasses import dataclass, field
from pathlib import Path

from .kit import Kit, run


@dataclass
class Table:
    """A title, what the numbers are, a header and rows; the first column is text, the others are numbers."""

    title: str
    note: str
    header: list[str]
    rows: list[list[str]] = field(default_factory=list)

    def text(self) -> str:
        lines = [self.header, *self.rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.header))]
        drawn = []
        for line in lines:
            first = line[0].ljust(widths[0])
            rest = [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
            drawn.append("  ".join([first, *rest]).rstrip())
        drawn.insert(1, "-" * max(map(len, drawn)))
        return "\n".join([self.title, self.note, "", *drawn])

    def markdown(self) -> str:
        rule = ["---", *["--:"] * (len(self.header) - 1)]
        lines = ["| " + " | ".join(cells) + " |" for cells in (self.header, rule, *self.rows)]
        return "\n".join([f"### {self.title}", "", self.note, "", *lines])


def machine(kit: Kit) -> str:
    """The machine and the versions, in one sentence; a figure without them says nothing."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    httpd = re.search(r"Apache/(\S+)", run(kit.httpd, "-v"))[1]
    python = run(kit.python_home / "bin/python", "--version").split()[1]
    listed = run(kit.python_home / "bin/pip", "freeze")
    peers = ", ".join(re.findall(r"^(?:mod[-_]wsgi|gunicorn|uWSGI)==\S+", listed, re.M)).replace("==", " ")
    return (
        f"{time.strftime('%Y-%m-%d')}: {model[1] if model else platform.machine()}, {os.cpu_count()} CPUs, "
        f"Linux {platform.release().split('-')[0]}, httpd {httpd}, CPython {python}, {peers}; "
        f"load average at the end {os.getloadavg()[1]:.1f}."
    )


def thousands(number: float) -> str:
    return f"{number:,.0f}"


def share(number: float | None) -> str:
    return "-" if number is None else f"{number:.3f}"


def mebibytes(count: float) -> str:
    return f"{count / 2**20:.1f}"


def save(path: Path, head: str, tables: list[Table]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n\n".join([head, *(table.markdown() for table in tables)]) + "\n")
