"""System calls per request of the one process of `httpd -X`, from strace's log cut at the marks.

As with instructions: a batch of many requests minus a batch of few, so that connection and marks cancel out.
"""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from .contender import Contender
from .instructions import PAUSE_MICROSECONDS
from .server import Server, Wrong
from .workload import Workload

MARK = "/oxwsgi-bench-mark"
FEW, MANY = 20, 120


@dataclass(frozen=True)
class Calls:
    per_request: float
    by_name: dict[str, float]


def measure(contender: Contender, workload: Workload) -> Calls:
    few, many = min(FEW, workload.size.few), min(MANY, workload.size.many)
    log = contender.kit.output_folder("strace") / "log"
    wrapper = ("strace", "-f", "-qq", "-e", "signal=none", "-s", "32", "-o", str(log))
    with Server(contender, workload, single=True, wrapper=wrapper) as server:
        server.load(requests=workload.size.warm_up)
        server.mark()
        server.load(requests=few, pause=PAUSE_MICROSECONDS)
        server.mark()
        server.load(requests=many, pause=PAUSE_MICROSECONDS)
        server.mark()
    _, first, second, _ = batches(log)
    by_name = {name: (second[name] - first[name]) / (many - few) for name in second | first}
    by_name = {name: count for name, count in by_name.items() if abs(count) >= 0.005}
    return Calls(sum(by_name.values()), dict(sorted(by_name.items(), key=lambda pair: -pair[1])))


def batches(log: Path) -> list[Counter]:
    """The calls by name between the marks."""
    found = [Counter()]
    for line in log.read_text(errors="replace").splitlines():
        call = re.match(r"\d+\s+(\w+)\(", line)
        if call and call[1] == "access" and MARK in line:
            found.append(Counter())
        elif call:
            found[-1][call[1]] += 1
    if len(found) != 4:
        raise Wrong(f"strace's log has {len(found) - 1} marks where 3 are expected")
    return found
