"""Folders the server's user can read: a cache kept between sessions, and one folder for each session.

Servers started by root run their children as an ordinary user, who cannot read a checkout below a home of
mode 0700. Whatever such a child opens is therefore copied to one of these.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
REPOSITORY = TESTS.parent
FRAMEWORKS = TESTS / "frameworks" / "requirements.txt"
CACHE = Path("/var/tmp") / f"oxwsgi-tests-{os.getuid()}"


def is_world_readable(path: Path) -> bool:
    """Whether a stranger may enter every folder on the way to `path` and read it."""
    path = path.resolve()
    return all(folder.stat().st_mode & 0o001 for folder in path.parents) and bool(path.stat().st_mode & 0o004)


def new_session_folder() -> Path:
    """An empty folder for one pytest session that every user can read."""
    folder = Path(tempfile.mkdtemp(prefix="oxwsgi-tests-", dir="/tmp"))
    folder.chmod(0o755)
    return folder


def cached(name: str, build: Callable[[Path], None]) -> Path:
    """The cached folder `name`, made by `build(folder)` when it is not there yet.

    One session builds, the others wait. The folder is built in its final place, because virtual environments
    cannot be moved, and a marker beside it says that it is complete.
    """
    CACHE.mkdir(mode=0o755, exist_ok=True)
    folder, complete = CACHE / name, CACHE / f"{name}.complete"
    with _locked(CACHE / f"{name}.lock"):
        if not complete.exists():
            shutil.rmtree(folder, ignore_errors=True)
            build(folder)
            complete.touch()
    return folder


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
