"""The Python installations the lanes run with: found, made readable, given virtual environments."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness import places

DEBIAN = Path("/usr")
OLDEST = (3, 10)

_PROBE = """
import json, sys, sysconfig
print(json.dumps({
    "version": sys.version_info[:3],
    "shared": bool(sysconfig.get_config_var("Py_ENABLE_SHARED")),
    "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
}))
"""


@dataclass(frozen=True)
class Python:
    """One installation: `home` is what `WSGIPythonHome` would name. Embedded mode needs `has_library`."""

    home: Path
    version: tuple[int, int, int]
    has_library: bool = True

    @property
    def executable(self) -> Path:
        return self.home / "bin" / "python3"

    @property
    def minor(self) -> tuple[int, int]:
        return self.version[:2]

    @property
    def name(self) -> str:
        """A short name for test identifiers; `debian` marks the distribution's own."""
        dotted = ".".join(map(str, self.version))
        return f"debian{dotted}" if self.home == DEBIAN else f"python{dotted}"

    def readable(self) -> Python:
        """This installation, or a copy of it that the server's user can read."""
        if os.getuid() != 0 or places.is_world_readable(self.executable):
            return self
        folder = "python-" + ".".join(map(str, self.version))
        return Python(
            places.cached(folder, lambda target: _copy_installation(self.home, target)),
            self.version,
            self.has_library,
        )

    def venv(self, requirements: Path) -> Path:
        """A virtual environment of this Python with the packages of `requirements`, built once."""
        digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
        return places.cached(
            f"venv-{self.name}-{requirements.stem}-{digest}",
            lambda target: _build_venv(self.executable, target, requirements),
        )


@cache
def at(home: Path) -> Python | None:
    """The usable Python at `home`: 3.10 or newer, with a GIL; else None."""
    executable = home / "bin" / "python3"
    if not executable.exists():
        return None
    answer = json.loads(subprocess.run([executable, "-c", _PROBE], capture_output=True, check=True).stdout)
    version = tuple(answer["version"])
    if version[:2] < OLDEST or answer["free_threaded"]:
        return None
    # Debian's executable does without the library, which is there all the same.
    return Python(home, version, has_library=answer["shared"] or home == DEBIAN)


def find() -> list[Python]:
    """Every usable Python of this machine: pyenv's and the distribution's, oldest first."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    homes = sorted(pyenv.iterdir()) if pyenv.is_dir() else []
    found = [python for home in homes if not home.is_symlink() and (python := _at_or_none(home))]
    if debian := at(DEBIAN):
        found.append(debian)
    return sorted(found, key=lambda python: python.version)


def _at_or_none(home: Path) -> Python | None:
    """Like `at`, for folders that need not hold a Python 3 at all."""
    try:
        return at(home)
    except (subprocess.CalledProcessError, OSError):
        return None


def _copy_installation(home: Path, target: Path) -> None:
    """Copy the installation without its own tests, and make it find its own libpython and settings."""
    shutil.copytree(
        home, target, symlinks=True, ignore=shutil.ignore_patterns("test", "idlelib", "*.a", "__pycache__")
    )
    library = target / "lib"
    binaries = [path for path in (target / "bin").glob("python3.*") if _is_elf(path)]
    binaries += [path for path in library.glob("libpython3*.so*") if not path.is_symlink()]
    for binary in binaries:
        subprocess.run(["patchelf", "--set-rpath", str(library), str(binary)], check=True)
    for settings in library.glob("python3.*/_sysconfigdata*.py"):
        settings.write_text(settings.read_text().replace(str(home), str(target)))
    subprocess.run([target / "bin" / "python3", "-m", "compileall", "-q", library], check=False)


def _is_elf(path: Path) -> bool:
    return not path.is_symlink() and path.read_bytes()[:4] == b"\x7fELF"


def _build_venv(executable: Path, target: Path, requirements: Path) -> None:
    subprocess.run([executable, "-m", "venv", target], check=True)
    subprocess.run([places.REPOSITORY / "tools" / "pip-install", target, "-r", requirements], check=True)
