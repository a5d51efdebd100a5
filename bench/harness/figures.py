"""The figures: for each one, which contenders and workloads are measured in which order, and its tables.

A contender that gives a wrong answer, complains in the error log or dies gets "failed" in its row and is
named at the end; the others are still measured.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

from . import instructions, memory, neighbour, rounds, syscalls
from .contender import FLOOR, Contender, contender
from .kit import Kit, say
from .lineup import LineUp
from .report import Table, mebibytes, share, thousands
from .server import THREADS, Wrong
from .workload import WORKLOADS, Workload

#: In the place of a figure: it went wrong, time was up, the contender does not serve the workload.
FAILED, LATE, NONE = "failed", "-", ""


@dataclass
class Plan:
    """What was asked for, how long it may last, and what went wrong."""

    kit: Kit
    line_up: LineUp
    contenders: list[str]
    workloads: list[str]
    #: For CPU time and start, which take turns and time: fewer, unless the command line names them.
    turn_contenders: list[str]
    turn_workloads: list[str]
    #: The applications of the figure `neighbour`.
    slow_workloads: list[str]
    rounds: int
    seconds: float
    runs: int
    jobs: int
    until: float
    failures: list[str]

    def is_late(self) -> bool:
        return time.monotonic() > self.until

    def contender(self, name: str) -> Contender:
        return contender(name, self.kit)

    def title(self, figure: str) -> str:
        return f"{figure}, {self.line_up.title}"

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
            workload, name = WORKLOADS[pair[0]], pair[1]
            if not self.contender(name).serves(workload):
                return NONE
            job = partial(measure, self.contender(name), workload)
            return self.attempt(f"{figure}: {workload.name}, {name}", job)

        with ThreadPoolExecutor(jobs) as pool:
            try:
                return dict(zip(pairs, pool.map(one, pairs), strict=True))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


def show(result: object, form: Callable[[object], str]) -> str:
    return result if isinstance(result, str) else form(result)


def sides_too(number: float, worker: float | None, form: Callable[[float], str]) -> str:
    """A figure of all processes; in brackets how much of it is the worker's, if there is one."""
    return form(number) if worker is None else f"{form(number)} ({form(worker)})"


def measure_instructions(plan: Plan) -> list[Table]:
    found = plan.each("instructions", plan.jobs, partial(instructions.measure, runs=plan.runs))
    line_up = plan.line_up

    def three_of(end: str) -> tuple[str, str, str]:
        return FLOOR, line_up.reference + end, line_up.ours + end

    variants = [end for end in line_up.variants if set(three_of(end)) <= set(plan.contenders)]
    note = "Counted by callgrind; prefork, one keep-alive connection, a short pause before each request."
    header = ["workload", *plan.contenders]
    if has_workers(plan):
        note += " httpd's child and the worker process together; in brackets the worker's part."
    if plan.runs > 1:
        note += f" Mean of {plan.runs} runs; apart: how far they differ at most in the row."
        header.append("apart")
    if variants:
        note += f" Share: {line_up.ours} above the floor, of {line_up.reference} above the floor."
        header += [*(f"share{end}" for end in variants), "goal"]
    table = Table(plan.title("Instructions per request"), note, header)
    for workload in plan.workloads:
        counts = [found[workload, name] for name in plan.contenders]
        row = [workload]
        row += [
            show(count, lambda one: sides_too(one.per_request, one.sides.get("worker"), thousands))
            for count in counts
        ]
        if plan.runs > 1:
            row.append(f"{max((count.spread for count in counts if not has_text([count])), default=0):.2%}")
        for end in variants:
            three = [found[workload, name] for name in three_of(end)]
            row.append(share(None if has_text(three) else above(*(count.per_request for count in three))))
        if variants:
            goal = line_up.goals.get(workload)
            row.append(NONE if goal is None else f"{goal:.2f}")
        table.rows.append(row)
    return [table]


def has_workers(plan: Plan) -> bool:
    return any(plan.contender(name).has_workers for name in plan.contenders)


def above(floor: float, reference: float, ours: float) -> float:
    return (ours - floor) / (reference - floor)


def has_text(results: list) -> bool:
    return any(isinstance(result, str) for result in results)


def measure_syscalls(plan: Plan) -> list[Table]:
    found = plan.each("syscalls", plan.jobs, syscalls.measure)
    behind_nginx = plan.line_up.mode == "nginx"
    server = "strace" if behind_nginx else "strace; prefork"
    note = f"Of the processes that serve ({server}, one keep-alive connection, a pause before each)."
    if has_workers(plan):
        front = "nginx's worker" if behind_nginx else "httpd's child"
        note += f" {front} and the worker process together; in brackets the worker's part."
    table = Table(plan.title("System calls per request"), note, ["workload", *plan.contenders])

    def form(calls: syscalls.Calls) -> str:
        worker = calls.of_side("worker") if "worker" in calls.sides else None
        return sides_too(calls.per_request, worker, lambda count: f"{count:.1f}")

    for workload in plan.workloads:
        table.rows.append([workload, *(show(found[workload, name], form) for name in plan.contenders)])
    first = plan.workloads[0]
    counted = {
        name: found[first, name].by_name for name in plan.contenders if not has_text([found[first, name]])
    }
    keys = sorted(dict.fromkeys(key for calls in counted.values() for key in calls), key=lambda key: key[0])
    title = plan.title(f"System calls of {first}, by name")
    detail = Table(title, "Per request.", ["call", *counted])
    for side, call in keys:
        cells = [f"{calls.get((side, call), 0):.2f}" for calls in counted.values()]
        if any(float(cell) >= 0.05 for cell in cells):
            detail.rows.append([f"{side}: {call}" if has_workers(plan) else call, *cells])
    return [table, detail]


def measure_memory(plan: Plan) -> list[Table]:
    tables = []
    for mpm, (clients, workers) in memory.SIZES.items():
        threads = f"{clients} client{'s' * (clients > 1)}, {workers} thread{'s' * (workers > 1)}"
        found = plan.each(f"memory, {mpm}", 1, partial(memory.measure, mpm=mpm))
        note = (
            f"MiB of anonymous memory of httpd's one child ({threads}) after the workload's requests;"
            " in brackets the proportional part, which counts half of what it shares with its parent."
        )
        if has_workers(plan):
            note += " Before the + that of the worker process."
        table = Table(plan.title(f"Memory, {mpm} MPM"), note, ["workload", *plan.contenders])
        for workload in plan.workloads:
            cells = (show(found[workload, name], anonymous) for name in plan.contenders)
            table.rows.append([workload, *cells])
        tables.append(table)
    return tables


def anonymous(memory_of: dict[str, dict[str, int]]) -> str:
    def form(side: str) -> str:
        return f"{mebibytes(memory_of[side]['Anonymous'])} ({mebibytes(memory_of[side]['Pss_Anon'])})"

    return " + ".join(form(side) for side in ("worker", "httpd") if side in memory_of)


def in_turns(
    plan: Plan, what: str, workload: Workload, once: Callable[[Contender], dict[str, float]]
) -> dict:
    """Rounds of one workload; who fails is left out of the further rounds. Figure -> name -> series."""

    def one(name: str) -> dict[str, float] | None:
        result = plan.attempt(f"{what}: {workload.name}, {name}", lambda: once(plan.contender(name)))
        return None if isinstance(result, str) else result

    names = [name for name in plan.turn_contenders if plan.contender(name).serves(workload)]
    return rounds.take_turns(names, plan.rounds * workload.rounds, plan.is_late, one)


def turn_table(
    plan: Plan, title: str, note: str, form: str, found: dict[str, dict[str, rounds.Series]]
) -> Table:
    """Median, least and most of each contender's rounds; last, ours relative to the reference."""
    reference, ours = plan.line_up.reference, plan.line_up.ours
    both = {reference, ours} <= set(plan.turn_contenders)
    ratio_header = [f"{ours} / {reference}"] if both else []
    note += " Median of the rounds, in brackets the least and the most"
    note += "; the ratio is the median of the ratios round by round." if both else "."
    table = Table(plan.title(title), note, ["workload", *plan.turn_contenders, *ratio_header, "rounds"])
    for workload, series in found.items():
        row = [workload]
        for name in plan.turn_contenders:
            one = series.get(name)
            if not plan.contender(name).serves(WORKLOADS[workload]):
                row.append(NONE)
            elif one is None:
                row.append(FAILED if series else LATE)
            else:
                row.append(spread(one, form))
        if both:
            present = {reference, ours} <= set(series)
            row.append(share(series[ours].ratio(series[reference]) if present else None))
        row.append(str(max((len(one.values) for one in series.values()), default=0)))
        table.rows.append(row)
    return table


def spread(series: rounds.Series, form: str) -> str:
    """The median, in brackets the least and the most."""
    return f"{series.median:{form}} ({min(series.values):{form}}..{max(series.values):{form}})"


def measure_start(plan: Plan) -> list[Table]:
    names = [name for name in plan.turn_workloads if name in ("hello", "flask")] or plan.turn_workloads[:1]

    def of_each(what: str, among: Plan, measure: Callable[..., dict[str, float]]) -> dict:
        return {
            name: in_turns(among, what, WORKLOADS[name], partial(measure, workload=WORKLOADS[name])).get(
                "milliseconds", {}
            )
            for name in names
        }

    found = of_each("start", plan, rounds.first_answer)
    server = "nginx" if plan.line_up.mode == "nginx" else "httpd (prefork)"
    note = f"Milliseconds from the start of {server} to the first complete answer."
    if has_workers(plan):
        note += " An application server beside it is started at the same time."
    tables = [turn_table(plan, "Start to first answer", note, ".1f", found)]
    with_workers = [name for name in plan.turn_contenders if plan.contender(name).has_workers]
    if with_workers:
        note = f" `python -c pass` alone takes {rounds.python_alone(plan.kit, 9):.1f} ms."
        tables[0].note += note
        among = replace(plan, turn_contenders=with_workers)
        found = of_each("restart", among, rounds.next_answer)
        note = "Milliseconds from SIGKILL of the one worker process, idle, to the next good answer."
        tables.append(turn_table(among, "Restart to next answer", note, ".1f", found))
    return tables


#: What is reported of a setup: key of `rounds.under_load`, title, format, what the numbers are.
LOAD_FIGURES = (
    ("cpu", "CPU time", ".3f", "CPU seconds per 1000 requests, user and system, of all processes."),
    ("workers", "CPU time of the worker processes", ".3f", "CPU seconds per 1000 requests, user and system."),
    ("rate", "Rate", ",.0f", "Requests per second; client and servers share the machine's CPUs."),
    ("median", "Median time", ",.0f", "Microseconds from request to complete answer, median of a round."),
    (
        "p99",
        "99th percentile",
        ",.0f",
        "Microseconds from request to complete answer, 99th percentile of a round.",
    ),
)


def measure_cpu(plan: Plan) -> list[Table]:
    tables = []
    for setup in plan.line_up.setups:
        found = {}
        for name in plan.turn_workloads:
            if name in setup.workloads:
                once = partial(rounds.under_load, workload=WORKLOADS[name], setup=setup, seconds=plan.seconds)
                found[name] = in_turns(plan, f"cpu, {setup.name}", WORKLOADS[name], once)
        if not found:
            continue
        for key, title, form, note in LOAD_FIGURES:
            if key == "workers" and not has_workers(plan):
                continue
            series = {name: figures.get(key, {}) for name, figures in found.items()}
            tables.append(turn_table(plan, f"{title}, {setup.name}", note, form, series))
    return tables


#: What is reported of a neighbour: key of `neighbour.beside`, column, format.
NEIGHBOUR_FIGURES = (
    ("idle_median", "idle p50", ",.0f"),
    ("busy_median", "busy p50", ",.0f"),
    ("idle_p99", "idle p99", ",.0f"),
    ("busy_p99", "busy p99", ",.0f"),
    ("ratio", "p99, busy / idle", ".2f"),
    ("idle_longest", "idle longest", ",.0f"),
    ("busy_longest", "busy longest", ",.0f"),
    ("rate", "rate, busy / idle", ".2f"),
    ("application", "application's answers/s", ".1f"),
)


def measure_neighbour(plan: Plan) -> list[Table]:
    names = [name for name in plan.turn_contenders if plan.contender(name).has_workers]
    among = replace(plan, turn_contenders=names)
    tables = []
    for setup in plan.line_up.neighbours if names else ():
        for name in plan.slow_workloads:
            if name in setup.workloads:
                workload = WORKLOADS[name]
                once = partial(neighbour.beside, workload=workload, setup=setup, seconds=plan.seconds)
                found = in_turns(among, "neighbour", workload, once)
                tables.append(neighbour_table(among, workload, setup, found))
    return tables


def neighbour_table(plan: Plan, workload: Workload, setup: rounds.Setup, found: dict) -> Table:
    """A row for each contender, with the median, least and most of its rounds."""
    note = (
        "Microseconds from request to complete answer of a file of 1 KiB that nginx serves by itself, on one"
        f" keep-alive connection: with the application idle, and while {setup.clients} clients ask for"
        f" {workload.says} in {THREADS} threads. nginx and the clients share a CPU, the application has any."
        " Median of the rounds, in brackets the least and the most."
    )
    header = ["contender", *(column for _, column, _ in NEIGHBOUR_FIGURES), "rounds"]
    table = Table(plan.title(f"Static file beside {workload.name}, {setup.clients} clients"), note, header)
    for name in plan.turn_contenders:
        series = [found.get(key, {}).get(name) for key, _, _ in NEIGHBOUR_FIGURES]
        cells = [
            (FAILED if found else LATE) if one is None else spread(one, form)
            for one, (_, _, form) in zip(series, NEIGHBOUR_FIGURES, strict=True)
        ]
        table.rows.append([name, *cells, str(len(series[0].values) if series[0] else 0)])
    return table


def measure_growth(plan: Plan, counts: tuple[int, ...]) -> list[Table]:
    header = ["workload", "contender", *(f"after {thousands(count)}" for count in counts), "growth"]
    note = "KiB of anonymous memory of the one process that ran the application (prefork, 1 client)."
    table = Table(plan.title("Memory over many requests"), note, header)
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
    "neighbour": measure_neighbour,
}
