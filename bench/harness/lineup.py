"""The line-ups: who is compared with whom, on what, and what we aim at. One for each mode of serving."""

from dataclasses import dataclass

from .contender import FLOOR, GUNICORN, NGINX, OURS, REFERENCE, STATIC, UWSGI
from .rounds import Setup
from .server import THREADS
from .workload import SLOW, WORKLOADS


@dataclass(frozen=True)
class LineUp:
    """`turns` are the contenders of the figures that take turns, and time."""

    mode: str
    contenders: tuple[str, ...]
    turns: tuple[str, ...]
    #: Whose cost above the floor is the measure, and whose is compared with it.
    reference: str
    ours: str
    #: Ends of names: the reference and ours have variants of the same name.
    variants: tuple[str, ...]
    workloads: tuple[str, ...]
    setups: tuple[Setup, ...]
    #: Instructions above the floor, as a share of what the reference needs.
    goals: dict[str, float]
    #: The figures that there are of it; none is all.
    figures: frozenset[str] | None = None
    #: How the application is kept busy beside what the server serves by itself.
    neighbours: tuple[Setup, ...] = ()

    @property
    def title(self) -> str:
        return self.mode if self.mode == "nginx" else f"{self.mode} mode"


_HELLO = frozenset({"hello"})
_QUICK = tuple(name for name in WORKLOADS if name not in SLOW)

EMBEDDED = LineUp(
    mode="embedded",
    contenders=(FLOOR, REFERENCE, f"{REFERENCE}-sub", OURS, f"{OURS}-sub"),
    turns=(FLOOR, REFERENCE, OURS),
    reference=REFERENCE,
    ours=OURS,
    variants=("", "-sub"),
    workloads=tuple(name for name in _QUICK if name != "python2ms"),
    setups=(
        Setup("prefork", 1, one_cpu=True),
        Setup("prefork", 1, workloads=_HELLO),
        Setup("event", 8),
    ),
    goals={
        "hello": 0.10,
        "real": 0.14,
        "mib": 0.10,
        "stream": 0.40,
        "post": 0.40,
        "file": 0.15,
        "flask": 0.60,
    },
)

_DAEMONS = (FLOOR, f"{REFERENCE}-daemon", f"{OURS}-daemon", GUNICORN, UWSGI, STATIC)

DAEMON = LineUp(
    mode="daemon",
    contenders=_DAEMONS,
    turns=_DAEMONS,
    reference=f"{REFERENCE}-daemon",
    ours=f"{OURS}-daemon",
    variants=("",),
    workloads=_QUICK,
    setups=(
        Setup("prefork", 1, one_cpu=True),
        Setup("prefork", 1, workloads=_HELLO),
        Setup("event", 1, one_cpu=True, workloads=_HELLO),
        Setup("prefork", 8, workloads=_HELLO),
        Setup("event", 8),
        Setup("event", 8, processes=2, workloads=frozenset({"hello", "flask", "python2ms"})),
    ),
    goals={"hello": 0.20},
)

_BEHIND_NGINX = tuple(NGINX + name for name in (FLOOR, OURS, UWSGI, GUNICORN, STATIC))

BEHIND_NGINX = LineUp(
    mode="nginx",
    contenders=_BEHIND_NGINX,
    turns=_BEHIND_NGINX,
    reference=NGINX + UWSGI,
    ours=NGINX + OURS,
    variants=(),
    workloads=tuple(name for name in _QUICK if name != "flask"),
    setups=(
        Setup("nginx", 1, one_cpu=True),
        Setup("nginx", 8),
        Setup("nginx", 8, processes=2, workloads=frozenset({"hello", "real", "python2ms"})),
    ),
    goals={},
    figures=frozenset({"syscalls", "start", "cpu", "neighbour"}),
    # Four clients for each thread, so that requests queue all the time.
    neighbours=(Setup("nginx", 4 * THREADS, one_cpu=True, workloads=frozenset(SLOW)),),
)

LINE_UPS = {line_up.mode: line_up for line_up in (EMBEDDED, DAEMON, BEHIND_NGINX)}
