"""Instructions per request, counted by callgrind in the processes that serve: httpd's child and the worker.

The count of a batch of many requests minus that of a batch of few, in the same process, divided by the
difference of the numbers: start-up, connection and marks cancel out. Also the profile of one request.
"""

import re
from dataclasses import dataclass
from operator import add
from pathlib import Path

from .contender import Contender
from .kit import run
from .nginx import server_of
from .server import Wrong
from .workload import Workload

#: Between two requests, so that httpd has gone to wait for the next one: the same path every time.
PAUSE_MICROSECONDS = 1000


@dataclass(frozen=True)
class Count:
    """Instructions per request: the mean of the runs, and how far they lie apart as a share of it."""

    per_request: float
    spread: float
    #: The mean of each side, httpd's child and the worker.
    sides: dict[str, float]


def callgrind(folder: Path) -> tuple[str, ...]:
    """Whatever the server starts is followed, forked or executed; each process has files of its own."""
    options = ("--trace-children=yes", "--instr-atstart=no", "--vgdb=no")
    return ("valgrind", "--tool=callgrind", "-q", *options, f"--callgrind-out-file={folder}/counts.%p")


class Batches:
    """A server below callgrind; `counts` runs a batch and gives the files with what it cost each side."""

    def __init__(self, contender: Contender, workload: Workload):
        self.folder = contender.kit.output_folder("callgrind")
        self.server = server_of(contender, workload, wrapper=callgrind(self.folder))
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

    def counts(self, requests: int) -> dict[str, Path]:
        self.server.load(requests=requests, pause=PAUSE_MICROSECONDS)
        pids = self.server.mark()
        self.files += 1
        return {side: self.folder / f"counts.{pid}.{self.files}" for side, pid in pids.items()}


def total(counts: Path) -> int:
    found = re.search(r"^totals: (\d+)", counts.read_text(), re.M)
    if not found:
        raise Wrong(f"{counts} has no totals")
    return int(found[1])


def measure(contender: Contender, workload: Workload, runs: int) -> Count:
    results = [once(contender, workload) for _ in range(runs)]
    sums = [sum(result.values()) for result in results]
    mean = sum(sums) / runs
    sides = {side: sum(result[side] for result in results) / runs for side in results[0]}
    return Count(mean, (max(sums) - min(sums)) / mean, sides)


def once(contender: Contender, workload: Workload) -> dict[str, float]:
    size = workload.size
    with Batches(contender, workload) as batches:
        few, many = batches.counts(size.few), batches.counts(size.many)
        return {side: (total(many[side]) - total(few[side])) / (size.many - size.few) for side in many}


@dataclass(frozen=True)
class Profile:
    """What `callgrind_annotate` says of a batch in one process, per request."""

    side: str
    requests: int
    total: float
    objects: list[tuple[float, str]]
    exclusive: list[tuple[float, str]]
    inclusive: list[tuple[float, str]]


def profile(contender: Contender, workload: Workload) -> list[Profile]:
    requests = workload.size.many
    with Batches(contender, workload) as batches:
        return [side_profile(side, counts, requests) for side, counts in batches.counts(requests).items()]


def side_profile(side: str, counts: Path, requests: int) -> Profile:
    exclusive = annotate(counts, requests, "no")
    objects: dict[str, float] = {}
    for instructions, function in exclusive:
        name = re.search(r"\[([^\]]+)\]$", function)[1]
        objects[name] = objects.get(name, 0) + instructions
    ranked = sorted(((instructions, name) for name, instructions in objects.items()), reverse=True)
    inclusive = annotate(counts, requests, "yes")
    return Profile(side, requests, total(counts) / requests, ranked, exclusive, inclusive)


def annotate(counts: Path, requests: int, inclusive: str) -> list[tuple[float, str]]:
    """Functions with their instructions per request, most first.

    With debug information a function has a line for each source file that was inlined into it, and only one
    of them names the object; without, a name may be an address, and needs its object to be one function.
    """
    options = (f"--inclusive={inclusive}", "--threshold=100", "--auto=no", "--show-percs=no")
    text = run("callgrind_annotate", *options, counts)
    per_function: dict[tuple[str, str], float] = {}
    objects: dict[tuple[str, str], str] = {}
    together = max if inclusive == "yes" else add
    for number, file, name, binary in FUNCTION.findall(text):
        key = (name, binary if file == "???" else "")
        per_function[key] = together(per_function.get(key, 0), int(number.replace(",", "")) / requests)
        objects[key] = objects.get(key) or Path(binary).name
    ranked = sorted(per_function.items(), key=lambda pair: -pair[1])
    return [(count, f"{key[0]} [{objects[key] or 'unknown'}]") for key, count in ranked]


#: A line of callgrind_annotate: count, source file, function, and the object if it is said.
FUNCTION = re.compile(r"^\s*([\d,]+)\s+(\S.*?):(\S.*?)(?: \[(/[^\]]*|\?\?\?)\])?\s*$", re.M)
