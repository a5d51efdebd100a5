"""What /proc says of processes: who belongs to whom, what they are called, what they have used."""

import contextlib
import re
from pathlib import Path


def below(*roots: int) -> list[int]:
    """The given processes, and all that descend from them."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                stat = (entry / "stat").read_text()
                parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    found = list(roots)
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def command_line(pid: int) -> bytes:
    """Empty if there is no such process any more."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def executable(pid: int) -> str:
    return str(Path(f"/proc/{pid}/exe").readlink())


def threads(pid: int) -> set[int]:
    return {int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()}


def mentions(pid: int, folder: Path) -> bool:
    """Whether its command line or environment names the folder, so that it is the process that we mean."""
    with contextlib.suppress(OSError):
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        return str(folder).encode() in command_line(pid) + environment
    return False


def holders(folder: Path) -> list[int]:
    """The processes that have a file or socket of the folder open."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                opened = [str(link.readlink()) for link in (entry / "fd").iterdir()]
                if any(name.startswith(f"{folder}/") for name in opened):
                    found.append(int(entry.name))
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of all its threads, from the scheduler's nanoseconds."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def anonymous_bytes(pid: int) -> dict[str, int]:
    """Anonymous memory, and the proportional part of it."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    names = ("Anonymous", "Pss_Anon")
    return {name: int(re.search(rf"^{name}:\s+(\d+) kB", rollup, re.M)[1]) * 1024 for name in names}
