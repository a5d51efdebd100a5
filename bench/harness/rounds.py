"""Figures that the machine's noise moves: CPU time and rate under load, start to first answer.

The contenders take turns, round by round in one run, each time with a fresh server, so that a slow minute of
the machine meets all of them; reported are the median, the extremes, and the median of the rounds' ratios.
"""

import os
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from .contender import Contender
from .server import Server
from .workload import WORKLOADS, Workload


@dataclass(frozen=True)
class Setup:
    """A server under load: clients (one keep-alive connection each) and twice as many httpd threads.

    With `one_cpu` httpd and client share one CPU: they take turns anyhow, and otherwise half of what is
    counted is how a virtual machine wakes an idle CPU. `workloads` are all, or the named ones.
    """

    mpm: str
    clients: int
    one_cpu: bool = False
    workloads: frozenset[str] = frozenset(WORKLOADS)

    @property
    def name(self) -> str:
        where = ", one CPU" if self.one_cpu else ""
        return f"{self.mpm} MPM, {self.clients} client{'s' if self.clients > 1 else ''}{where}"


SETUPS = (
    Setup("prefork", 1, one_cpu=True),
    Setup("prefork", 1, workloads=frozenset({"hello"})),
    Setup("event", 8),
)


@dataclass(frozen=True)
class Series:
    """One contender's values of one figure, a value per round."""

    values: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def ratio(self, other: "Series") -> float:
        """The median of the ratios of the same rounds."""
        return statistics.median(
            mine / theirs for mine, theirs in zip(self.values, other.values, strict=False)
        )


def take_turns(
    names: Iterable[str],
    rounds: int,
    is_late: Callable[[], bool],
    once: Callable[[str], dict[str, float] | None],
) -> dict[str, dict[str, Series]]:
    """Runs `once` for each name in each round; who begins changes. Figure -> name -> series.

    A name for which `once` gives nothing is left out from then on. When it is late there is no further round,
    and the one that was not completed does not count.
    """
    order = list(names)
    taken: list[dict[str, dict[str, float]]] = []
    for number in range(rounds):
        turn = number % len(order) if order else 0
        results = {name: once(name) for name in order[turn:] + order[:turn]}
        if is_late():
            break
        order = [name for name in order if results[name] is not None]
        taken.append({name: results[name] for name in order})
    if not order or not taken:
        return {}
    figures = taken[0][order[0]]
    return {
        figure: {name: Series([one[name][figure] for one in taken]) for name in order} for figure in figures
    }


def under_load(contender: Contender, workload: Workload, setup: Setup, seconds: float) -> dict[str, float]:
    """CPU milliseconds a request (that is, seconds per 1000) of the server, and requests a second."""
    cpu = max(os.sched_getaffinity(0)) if setup.one_cpu else None
    server = Server(contender, workload, mpm=setup.mpm, workers=2 * setup.clients, cpu=cpu)
    with server:
        server.load(clients=setup.clients, requests=2 * setup.clients + workload.size.warm_up)
        before = server.cpu_seconds()
        answered, elapsed = server.load(clients=setup.clients, seconds=seconds)
        spent = server.cpu_seconds() - before
    return {"cpu": 1000 * spent / answered, "rate": answered / elapsed}


def first_answer(contender: Contender, workload: Workload) -> dict[str, float]:
    """Milliseconds from the start of httpd to the first complete answer, which is checked."""
    server = Server(contender, workload)
    server.prepare()
    try:
        began = time.monotonic()
        server.start()
        server.wait_until_listening()
        server.check()
        return {"milliseconds": 1000 * (time.monotonic() - began)}
    finally:
        server.stop()
