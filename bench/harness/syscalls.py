"""System calls per request of the processes that serve, httpd's child and the worker, from strace's log.

As with instructions: a batch of many requests minus a batch of few, cut at the marks, so that connection and
marks cancel out.
"""

import re
from collections import Counter
from dataclasses import dataclass

from .contender import Contender
from .instructions import PAUSE_MICROSECONDS
from .nginx import server_of
from .processes import threads
from .server import WRAPPED, Wrong
from .workload import Workload

MARK = "/oxwsgi-bench-mark"
FEW, MANY = 20, 120


@dataclass(frozen=True)
class Calls:
    per_request: float
    sides: tuple[str, ...]
    #: (side, call) -> how many.
    by_name: dict[tuple[str, str], float]

    def of_side(self, side: str) -> float:
        return sum(count for (where, _), count in self.by_name.items() if where == side)


def measure(contender: Contender, workload: Workload) -> Calls:
    few, many = min(FEW, workload.size.few), min(MANY, workload.size.many)
    folder = contender.kit.output_folder("strace")
    options = ("-f", "-qq", "-e", "signal=none", "-s", "32", "-o", f"{folder}/log.{WRAPPED}")
    members = {}
    with server_of(contender, workload, wrapper=("strace", *options)) as server:
        server.load(requests=workload.size.warm_up)
        server.mark()
        server.load(requests=few, pause=PAUSE_MICROSECONDS)
        server.mark()
        server.load(requests=many, pause=PAUSE_MICROSECONDS)
        for side, pid in server.mark().items():
            members[side] = threads(pid)
    lines = [line for log in folder.glob("log.*") for line in log.read_text(errors="replace").splitlines()]
    by_name = {}
    for side, tasks in members.items():
        _, first, second, _ = batches(lines, tasks)
        for name in second | first:
            by_name[side, name] = (second[name] - first[name]) / (many - few)
    by_name = {key: count for key, count in by_name.items() if abs(count) >= 0.005}
    return Calls(sum(by_name.values()), tuple(members), by_name)


def batches(lines: list[str], tasks: set[int]) -> list[Counter]:
    """The calls of these threads by name, between their process's marks."""
    found = [Counter()]
    for line in lines:
        call = re.match(r"(\d+)\s+(\w+)\(", line)
        if not call or int(call[1]) not in tasks:
            continue
        if MARK in line:
            found.append(Counter())
        else:
            found[-1][call[2]] += 1
    if len(found) != 4:
        raise Wrong(f"strace's log has {len(found) - 1} marks where 3 are expected")
    return found
