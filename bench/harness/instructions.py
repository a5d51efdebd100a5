"""Instructions per request, counted by callgrind in the one process of `httpd -X`.

The count of a batch of many requests minus that of a batch of few, in the same process, divided by the
difference of the numbers: start-up, connection and marks cancel out. Also the profile of one request.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from .contender import Contender
from .kit import run
from .server import Server, Wrong
from .workload import Workload

#: Between two requests, so that httpd has gone to wait for the next one: the same path every time.
PAUSE_MICROSECONDS = 1000


@dataclass(frozen=True)
class Count:
    """Instructions per request: the mean of the runs, and how far they lie apart as a share of it."""

    per_request: float
    spread: float


def callgrind(folder: Path) -> tuple[str, ...]:
    return ("valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder}/counts")


class Batches:
    """A server below callgrind; `counts` runs a batch of requests and gives the file with what it cost."""

    def __init__(self, contender: Contender, workload: Workload):
        self.folder = contender.kit.output_folder("callgrind")
        self.server = Server(contender, workload, single=True, wrapper=callgrind(self.folder))
        self.files = 0

    def __enter__(self) -> "Batches":
        self.server.__enter__()
        try:
            self.server.load(requests=self.server.workload.size.warm_up)
            self.server.mark("on")
            self.counts(self.server.workload.size.few)
        except BaseException:
            self.server.stop()
            raise
        return self

    def __exit__(self, *reason) -> None:
        self.server.__exit__(*reason)

    def counts(self, requests: int) -> Path:
        self.server.load(requests=requests, pause=PAUSE_MICROSECONDS)
        self.server.mark()
        self.files += 1
        return self.folder / f"counts.{self.files}"


def total(counts: Path) -> int:
    found = re.search(r"^totals: (\d+)", counts.read_text(), re.M)
    if not found:
        raise Wrong(f"{counts} has no totals")
    return int(found[1])


def measure(contender: Contender, workload: Workload, runs: int) -> Count:
    results = [once(contender, workload) for _ in range(runs)]
    mean = sum(results) / runs
    return Count(mean, (max(results) - min(results)) / mean)


def once(contender: Contender, workload: Workload) -> float:
    size = workload.size
    with Batches(contender, workload) as batches:
        few, many = total(batches.counts(size.few)), total(batches.counts(size.many))
    return (many - few) / (size.many - size.few)


@dataclass(frozen=True)
class Profile:
    """What `callgrind_annotate` says of a batch, per request."""

    requests: int
    total: float
    objects: list[tuple[float, str]]
    exclusive: list[tuple[float, str]]
    inclusive: list[tuple[float, str]]


def profile(contender: Contender, workload: Workload) -> Profile:
    requests = workload.size.many
    with Batches(contender, workload) as batches:
        counts = batches.counts(requests)
        exclusive = annotate(counts, requests, "no")
        inclusive = annotate(counts, requests, "yes")
        whole = total(counts) / requests
    objects: dict[str, float] = {}
    for instructions, function in exclusive:
        name = re.search(r"\[([^\]]+)\]$", function)[1]
        objects[name] = objects.get(name, 0) + instructions
    ranked = sorted(((instructions, name) for name, instructions in objects.items()), reverse=True)
    return Profile(requests, whole, ranked, exclusive, inclusive)


def annotate(counts: Path, requests: int, inclusive: str) -> list[tuple[float, str]]:
    """Functions with their instructions per request, most first."""
    options = (f"--inclusive={inclusive}", "--threshold=100", "--auto=no", "--show-percs=no")
    text = run("callgrind_annotate", *options, counts)
    lines = re.findall(r"^\s*([\d,]+)\s+(\S.*:\S.*)$", text, re.M)
    return [(int(number.replace(",", "")) / requests, shorten(function)) for number, function in lines]


def shorten(function: str) -> str:
    """`file:function [object]` without the folders, and without the file where it is not known."""
    found = re.fullmatch(r"(.*?):(.*?)(?: \[(.*)\])?\s*", function)
    file, name, binary = found.groups()
    file = "" if file == "???" else f"{Path(file).name}:"
    return f"{file}{name} [{Path(binary).name if binary else 'unknown'}]"
