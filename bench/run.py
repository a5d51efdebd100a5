#!/usr/bin/env python3
"""Benchmarks of oxwsgi beside its peers and a C handler that sends the same bytes; README.md explains them.

run.py                                      all figures (under 90 minutes)
run.py --mode daemon                        those of daemon mode (under 30 minutes)
run.py --mode nginx                         those behind nginx (under 30 minutes)
run.py --quick                              fewer contenders, workloads and rounds (under 5 minutes a mode)
run.py --figure instructions --workload hello flask
run.py profile --workload hello --contender oxwsgi
run.py growth                               memory after 100,000 and after 1,000,000 requests
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from harness import figures, instructions, memory, report
from harness.contender import CONTENDERS, FLOOR, NGINX, OURS
from harness.contender import contender as contender_of
from harness.kit import REPOSITORY, Kit, Missing, default_cache
from harness.lineup import LINE_UPS, LineUp
from harness.server import Wrong
from harness.workload import SLOW, WORKLOADS

#: What fits in the time of a quick run.
QUICK_TURNS = ["hello", "stream", "flask"]
QUICK_SLOW = ["sleep2s"]
QUICK_CONTENDERS = {
    FLOOR,
    *(name for line_up in LINE_UPS.values() for name in (line_up.reference, line_up.ours)),
}
#: Left of the allowed minutes for the measurement under way and the report.
MARGIN_SECONDS = 30


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("command", nargs="?", choices=["table", "profile", "growth"], default="table", help="default: table")
    add(
        "--mode", nargs="+", choices=LINE_UPS, metavar="NAME", help=f"of {', '.join(LINE_UPS)} (default: all)"
    )
    add("--contender", nargs="+", choices=CONTENDERS, metavar="NAME", help=f"of {', '.join(CONTENDERS)}")
    add("--workload", nargs="+", choices=WORKLOADS, metavar="NAME", help=f"of {', '.join(WORKLOADS)}")
    add(
        "--figure",
        nargs="+",
        choices=figures.FIGURES,
        metavar="NAME",
        help=f"of {', '.join(figures.FIGURES)}",
    )
    add("--quick", action="store_true", help="a first impression")
    add(
        "--rounds",
        type=int,
        help="of CPU time and start; hello takes three times as many (default 3; quick 1)",
    )
    add(
        "--seconds",
        type=float,
        help="of load in each round; a neighbour takes four times as many (default 1; quick 0.7)",
    )
    add("--minutes", type=float, help="of a mode, then nothing new begins (default 30; quick 5; growth 60)")
    add(
        "--requests",
        type=int,
        nargs=2,
        default=memory.GROWTH_REQUESTS,
        help="of growth: after how many to read",
    )
    add("--lines", type=int, default=30, help="of each list of a profile")
    module = REPOSITORY / "target/release/libmod_oxwsgi.so"
    add(
        "--module",
        type=Path,
        default=module,
        help="ours; the runtime lies beside it (default: %(default)s)",
    )
    add(
        "--python",
        type=Path,
        default=Path("/usr/bin/python3"),
        help="of all contenders (default: %(default)s)",
    )
    add("--cache", type=Path, default=default_cache(), help="what is built once (default: %(default)s)")
    markdown = REPOSITORY / "target/bench/performance.md"
    add("--markdown", type=Path, default=markdown, help="where the tables go, too (default: %(default)s)")
    options = parser.parse_args()
    slow = [name for name in options.workload or () if name in SLOW]
    if slow and (options.command, options.figure) != ("table", ["neighbour"]):
        parser.error(f"--workload {slow[0]} is of one figure alone: add --figure neighbour")
    return options


def plan(options: argparse.Namespace, kit: Kit, line_up: LineUp, failures: list[str]) -> figures.Plan:
    quick = options.quick
    minutes = options.minutes or (60 if options.command == "growth" else 5 if quick else 30)
    named = [name for name in line_up.contenders if name in (options.contender or [])]
    turns = [name for name in line_up.turns if name in QUICK_CONTENDERS] if quick else list(line_up.turns)
    return figures.Plan(
        kit=kit,
        line_up=line_up,
        contenders=named or (turns if quick else list(line_up.contenders)),
        workloads=options.workload or list(line_up.workloads),
        turn_contenders=named or turns,
        slow_workloads=options.workload or (QUICK_SLOW if quick else list(SLOW)),
        turn_workloads=options.workload or (QUICK_TURNS if quick else list(line_up.workloads)),
        rounds=options.rounds or (1 if quick else 3),
        seconds=options.seconds or (0.7 if quick else 1),
        runs=1 if quick else 2,
        jobs=min(2, os.cpu_count() or 1),
        until=time.monotonic() + 60 * minutes - MARGIN_SECONDS,
        failures=failures,
    )


def line_ups(options: argparse.Namespace) -> list[LineUp]:
    """The modes that were asked for, by name or by a contender of theirs."""
    modes = [LINE_UPS[mode] for mode in options.mode or LINE_UPS]
    if not options.contender or options.mode:
        return modes
    shared = set.intersection(*(set(line_up.contenders) for line_up in LINE_UPS.values()))
    asked = set(options.contender) - shared
    return [line_up for line_up in modes if asked & set(line_up.contenders)] or modes


def is_of(measure: Callable, line_up: LineUp) -> bool:
    """Whether there is this figure of the mode."""
    return line_up.figures is None or any(figures.FIGURES[name] is measure for name in line_up.figures)


def print_tables(options: argparse.Namespace, kit: Kit) -> int:
    measures = [figures.FIGURES[figure] for figure in options.figure or figures.FIGURES]
    failures, tables, late = [], [], False
    for line_up in line_ups(options):
        todo = plan(options, kit, line_up, failures)
        if options.command == "growth":
            todo.contenders = [name for name in todo.contenders if name in (line_up.reference, line_up.ours)]
            todo.workloads = options.workload or ["hello"]
            measures = [partial(figures.measure_growth, counts=tuple(options.requests))]
        for measure in [measure for measure in measures if is_of(measure, line_up)]:
            for table in measure(todo):
                print(f"\n{table.text()}", flush=True)
                tables.append(table)
        late = late or todo.is_late()
    head = report.machine(kit)
    print(f"\n{head}")
    report.save(options.markdown, head, tables)
    print(f"As Markdown: {options.markdown}")
    if late:
        print("Time was up: what has a - was not measured, or has fewer rounds (see --minutes).")
    for failure in failures:
        print(f"\nFAILED {failure}")
    return 1 if failures else 0


def print_profile(options: argparse.Namespace, kit: Kit) -> int:
    for workload in options.workload or ["hello"]:
        for name in options.contender or [OURS]:
            for found in instructions.profile(contender_of(name, kit), WORKLOADS[workload]):
                title = f"{workload}, {name}, {found.side}"
                print(f"\n{title}: {found.total:,.0f} instructions per request, of {found.requests}")
                print_lists(found, options.lines)
    return 0


def print_lists(found: instructions.Profile, lines: int) -> None:
    lists = {
        "By shared object": found.objects,
        "Exclusive": found.exclusive[:lines],
        "Inclusive (a function that calls itself counts more than once)": found.inclusive[:lines],
    }
    for title, entries in lists.items():
        print(f"\n{title}")
        for count, what in entries:
            print(f"{count:>12,.0f}  {count / found.total:>6.1%}  {what[:140]}")


def main() -> int:
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    kit = Kit(options.cache, options.module.resolve(), options.python)
    try:
        kit.prepare()
        chosen = options.contender or CONTENDERS
        if any(name.startswith(OURS) for name in chosen):
            kit.ours()
        if NGINX + OURS in chosen and (not options.mode or "nginx" in options.mode):
            kit.ours_for_nginx()
        return print_profile(options, kit) if options.command == "profile" else print_tables(options, kit)
    except (Missing, Wrong) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        kit.close()


if __name__ == "__main__":
    sys.exit(main())
