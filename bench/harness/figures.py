"""The figures: for each one, which contenders and workloads are measured in which order, and its tables.

A contender that gives a wrong answer, complains in the error log or dies gets "failed" in its row and is
named at the end; the others are still measured.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from . import instructions, memory, rounds, syscalls
from .contender import FLOOR, OURS, REFERENCE, Contender
from .kit import Kit, say
from .report import Table, mebibytes, share, thousands
from .server import Wrong
from .workload import WORKLOADS, Workload

FAILED, LATE = "failed", "-"

#: Above the floor, as a share of what the reference module needs: what we aim at.
GOALS = {"hello": 0.10, "real": 0.14, "mib": 0.10, "stream": 0.40, "post": 0.40, "file": 0.15, "flask": 0.60}


@dataclass
class Plan:
    """What was asked for, how long it may last, and what went wrong."""

    kit: Kit
    contenders: list[str]
    workloads: list[str]
    #: For CPU time and start, which take turns and time: fewer, unless the command line names them.
    turn_contenders: list[str]
    turn_workloads: list[str]
    rounds: int
    seconds: float
    runs: int
    jobs: int
    until: float
    failures: list[str] = field(default_factory=list)

    def is_late(self) -> bool:
        return time.monotonic() > self.until

    def contender(self, name: str) -> Contender:
        return Contender(name, self.kit)

    def attempt(self, what: str, measure: Callable[[], object]) -> object:
        """What `measure` gives; `FAILED` and a line in `failures`, or `LATE` where time is up."""
        if self.is_late():
            return LATE
        began = time.monotonic()
        try:
            return measure()
        except Wrong as wrong:
            self.failures.append(f"{what}: {wrong}")
            return FAILED
        finally:
            say(f"{what} ({time.monotonic() - began:.1f} s)")

    def each(self, figure: str, jobs: int, measure: Callable[[Contender, Workload], object]) -> dict:
        """Measures every contender on every workload, `jobs` at once; (workload, contender) -> result."""
        pairs = [(workload, name) for workload in self.workloads for name in self.contenders]

        def one(pair: tuple[str, str]) -> object:
            workload, name = pair
            job = partial(measure, self.contender(name), WORKLOADS[workload])
            return self.attempt(f"{figure}: {workload}, {name}", job)

        with ThreadPoolExecutor(jobs) as pool:
            try:
                return dict(zip(pairs, pool.map(one, pairs), strict=True))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


def show(result: object, form: Callable[[object], str]) -> str:
    return result if isinstance(result, str) else form(result)


def measure_instructions(plan: Plan) -> list[Table]:
    found = plan.each("instructions", plan.jobs, partial(instructions.measure, runs=plan.runs))
    variants = [end for end in ("", "-sub") if {FLOOR, REFERENCE + end, OURS + end} <= set(plan.contenders)]
    note = "Counted by callgrind; prefork, one keep-alive connection, a short pause before each request."
    header = ["workload", *plan.contenders]
    if plan.runs > 1:
        note += f" Mean of {plan.runs} runs; apart: how far they differ at most in the row."
        header.append("apart")
    if variants:
        note += f" Share: {OURS} above the floor, of {REFERENCE} above the floor."
        header += [*(f"share{end}" for end in variants), "goal"]
    table = Table("Instructions per request", note, header)
    for workload in plan.workloads:
        counts = [found[workload, name] for name in plan.contenders]
        row = [workload, *(show(count, lambda counted: thousands(counted.per_request)) for count in counts)]
        if plan.runs > 1:
            row.append(f"{max((count.spread for count in counts if not has_text([count])), default=0):.2%}")
        for end in variants:
            three = [found[workload, name] for name in (FLOOR, REFERENCE + end, OURS + end)]
            row.append(share(None if has_text(three) else above(*(count.per_request for count in three))))
        if variants:
            row.append(f"{GOALS[workload]:.2f}")
        table.rows.append(row)
    return [table]


def above(floor: float, reference: float, ours: float) -> float:
    return (ours - floor) / (reference - floor)


def has_text(results: list) -> bool:
    return any(isinstance(result, str) for result in results)


def measure_syscalls(plan: Plan) -> list[Table]:
    found = plan.each("syscalls", plan.jobs, syscalls.measure)
    note = "Of the serving process (strace; prefork, one keep-alive connection, a pause before each)."
    table = Table("System calls per request", note, ["workload", *plan.contenders])
    for workload in plan.workloads:
        cells = (
            show(found[workload, name], lambda calls: f"{calls.per_request:.1f}") for name in plan.contenders
        )
        table.rows.append([workload, *cells])
    first = plan.workloads[0]
    counted = {
        name: found[first, name].by_name for name in plan.contenders if not has_text([found[first, name]])
    }
    names = dict.fromkeys(call for calls in counted.values() for call in calls)
    detail = Table(f"System calls of {first}, by name", "Per request.", ["call", *counted])
    for call in names:
        cells = [f"{calls.get(call, 0):.2f}" for calls in counted.values()]
        if any(float(cell) >= 0.05 for cell in cells):
            detail.rows.append([call, *cells])
    return [table, detail]


def measure_memory(plan: Plan) -> list[Table]:
    tables = []
    for mpm, (clients, workers) in memory.SIZES.items():
        threads = f"{clients} client{'s' * (clients > 1)}, {workers} thread{'s' * (workers > 1)}"
        found = plan.each(f"memory, {mpm}", 1, partial(memory.measure, mpm=mpm))
        note = (
            f"MiB of anonymous memory of the one child ({threads}) after the workload's requests;"
            " in brackets the proportional part, which counts half of what it shares with its parent."
        )
        table = Table(f"Memory, {mpm} MPM", note, ["workload", *plan.contenders])
        for workload in plan.workloads:
            cells = (show(found[workload, name], anonymous) for name in plan.contenders)
            table.rows.append([workload, *cells])
        tables.append(table)
    return tables


def anonymous(memory_of: dict[str, int]) -> str:
    return f"{mebibytes(memory_of['Anonymous'])} ({mebibytes(memory_of['Pss_Anon'])})"


def in_turns(
    plan: Plan, what: str, workload: Workload, once: Callable[[Contender], dict[str, float]]
) -> dict:
    """Rounds of one workload; who fails is left out of the further rounds. Figure -> name -> series."""

    def one(name: str) -> dict[str, float] | None:
        result = plan.attempt(f"{what}: {workload.name}, {name}", lambda: once(plan.contender(name)))
        return None if isinstance(result, str) else result

    return rounds.take_turns(plan.turn_contenders, plan.rounds * workload.rounds, plan.is_late, one)


def turn_table(
    plan: Plan, title: str, note: str, form: str, found: dict[str, dict[str, rounds.Series]]
) -> Table:
    """Median, least and most of each contender's rounds; last, ours relative to the reference."""
    both = {REFERENCE, OURS} <= set(plan.turn_contenders)
    ratio_header = [f"{OURS} / {REFERENCE}"] if both else []
    note += " Median of the rounds, in brackets the least and the most"
    note += "; the ratio is the median of the ratios round by round." if both else "."
    table = Table(title, note, ["workload", *plan.turn_contenders, *ratio_header, "rounds"])
    for workload, series in found.items():
        row = [workload]
        for name in plan.turn_contenders:
            one = series.get(name)
            if one is None:
                row.append(FAILED if series else LATE)
            else:
                row.append(f"{one.median:{form}} ({min(one.values):{form}}..{max(one.values):{form}})")
        if both:
            present = {REFERENCE, OURS} <= set(series)
            row.append(share(series[OURS].ratio(series[REFERENCE]) if present else None))
        row.append(str(max((len(one.values) for one in series.values()), default=0)))
        table.rows.append(row)
    return table


def measure_start(plan: Plan) -> list[Table]:
    found = {}
    for name in plan.turn_workloads:
        if name in ("hello", "flask") or len(plan.turn_workloads) == 1:
            once = partial(rounds.first_answer, workload=WORKLOADS[name])
            found[name] = in_turns(plan, "start", WORKLOADS[name], once).get("milliseconds", {})
    note = "Milliseconds from the start of httpd (prefork) to the first complete answer."
    return [turn_table(plan, "Start to first answer", note, ".1f", found)]


def measure_cpu(plan: Plan) -> list[Table]:
    tables = []
    for setup in rounds.SETUPS:
        found = {}
        for name in plan.turn_workloads:
            if name in setup.workloads:
                once = partial(rounds.under_load, workload=WORKLOADS[name], setup=setup, seconds=plan.seconds)
                found[name] = in_turns(plan, f"cpu, {setup.name}", WORKLOADS[name], once)
        if not found:
            continue
        cpu = {name: series.get("cpu", {}) for name, series in found.items()}
        rate = {name: series.get("rate", {}) for name, series in found.items()}
        note = "CPU seconds per 1000 requests, user and system, of all httpd processes."
        tables.append(turn_table(plan, f"CPU time, {setup.name}", note, ".3f", cpu))
        note = "Requests per second; client and server share the machine's CPUs."
        tables.append(turn_table(plan, f"Rate, {setup.name}", note, ",.0f", rate))
    return tables


def measure_growth(plan: Plan, counts: tuple[int, ...]) -> list[Table]:
    header = ["workload", "contender", *(f"after {thousands(count)}" for count in counts), "growth"]
    note = "KiB of anonymous memory of the one child that served all requests (prefork, 1 client)."
    table = Table("Memory over many requests", note, header)
    job = partial(memory.growth, counts=counts)
    for (workload, name), found in plan.each("growth", 1, job).items():
        kib = [found] * (len(counts) + 1)
        if not isinstance(found, str):
            kib = [thousands(size / 1024) for size in (*found, found[-1] - found[0])]
        table.rows.append([workload, name, *kib])
    return [table]


FIGURES: dict[str, Callable[[Plan], list[Table]]] = {
    "instructions": measure_instructions,
    "syscalls": measure_syscalls,
    "memory": measure_memory,
    "start": measure_start,
    "cpu": measure_cpu,
}
