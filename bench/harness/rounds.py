"""Figures that the machine's noise moves: CPU time and rate under load, start and restart to an answer.

The contenders take turns, round by round in one run, each time with a fresh server, so that a slow minute of
the machine meets all of them; reported are the median, the extremes, and the median of the rounds' ratios.
"""

import os
import signal
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from .contender import Contender
from .kit import Kit, run
from .nginx import server_of
from .workload import WORKLOADS, Workload

#: How long a worker has lived before it is killed: one that dies young is replaced with hesitation.
PROVEN_SECONDS = 1.5


@dataclass(frozen=True)
class Setup:
    """A server under load: clients, a keep-alive connection each, twice as many httpd threads or children.

    Of threads there are at least four: with none idle, event closes connections instead of keeping them.

    With `one_cpu` httpd and client share one CPU: they take turns anyhow, and otherwise half of what is
    counted is how a virtual machine wakes an idle CPU. `workloads` are all, or the named ones.
    `processes` are the worker processes of contenders that have them.
    """

    mpm: str
    clients: int
    one_cpu: bool = False
    workloads: frozenset[str] = frozenset(WORKLOADS)
    processes: int = 1

    @property
    def workers(self) -> int:
        return max(2 * self.clients, 4 if self.mpm == "event" else 0)

    @property
    def name(self) -> str:
        where = ", one CPU" if self.one_cpu else ""
        workers = f", {self.processes} worker processes" if self.processes > 1 else ""
        server = "nginx" if self.mpm == "nginx" else f"{self.mpm} MPM"
        return f"{server}, {self.clients} client{'s' if self.clients > 1 else ''}{where}{workers}"


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
    """CPU milliseconds a request (that is, seconds per 1000) of all processes and of the workers among them,
    requests a second, and percentiles of the requests' times in microseconds."""
    cpu = max(os.sched_getaffinity(0)) if setup.one_cpu else None
    server = server_of(
        contender, workload, mpm=setup.mpm, workers=setup.workers, processes=setup.processes, cpu=cpu
    )
    with server:
        server.load(clients=setup.clients, requests=2 * setup.clients + workload.size.warm_up)
        before = server.cpu_seconds()
        load = server.load(clients=setup.clients, seconds=seconds)
        after = server.cpu_seconds()
    spent = {side: 1000 * (after[side] - before[side]) / load.answered for side in after}
    return {
        "cpu": sum(spent.values()),
        "workers": spent["worker"],
        "rate": load.answered / load.seconds,
        "median": load.median,
        "p99": load.last_percentile,
    }


def first_answer(contender: Contender, workload: Workload) -> dict[str, float]:
    """Milliseconds from the start of the servers to the first complete answer, which is checked."""
    server = server_of(contender, workload)
    server.prepare()
    try:
        began = time.monotonic()
        server.start()
        server.wait_until_listening()
        server.check()
        return {"milliseconds": 1000 * (time.monotonic() - began)}
    finally:
        server.stop()


def next_answer(contender: Contender, workload: Workload) -> dict[str, float]:
    """Milliseconds from SIGKILL of the one worker process, idle, to the next good answer, of another process.

    An answer that is not good (503 while there is no process) is asked for again; the logs may speak of it.
    """
    server = server_of(contender, workload)
    server.prepare()
    try:
        server.start()
        server.wait_until_listening()
        server.load(requests=workload.size.warm_up)
        (worker,) = server.worker_pids()
        time.sleep(PROVEN_SECONDS)
        began = time.monotonic()
        os.kill(worker, signal.SIGKILL)
        server.wait_until_good()
        return {"milliseconds": 1000 * (time.monotonic() - began)}
    finally:
        server.stop()


def python_alone(kit: Kit, times: int) -> float:
    """Milliseconds that `python -c pass` takes, the median."""
    taken = []
    for _ in range(times):
        began = time.monotonic()
        run(kit.python_home / "bin/python", "-c", "pass")
        taken.append(1000 * (time.monotonic() - began))
    return statistics.median(taken)
