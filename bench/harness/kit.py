"""The kit: all that a measurement needs, found, installed or built once, in a folder the server can read.

It installs the Debian packages of `apt-packages.txt` (as root; otherwise it says what to install), makes a
virtual environment with the peers and Flask, and compiles floor, markers and load client.
"""

import fcntl
import grp
import hashlib
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from .workload import FILE_BYTES, FILE_NAME

BENCH = Path(__file__).resolve().parent.parent
REPOSITORY = BENCH.parent
INSTALL_SECONDS = 600


class Missing(Exception):
    """Something that has to be there is not; the text says how to get it."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def run(*command: str | Path, **options) -> str:
    """The output of a command that has to succeed."""
    try:
        done = subprocess.run(
            [str(part) for part in command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
            **options,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(f"`{' '.join(map(str, command))}`: {error}") from error
    if done.returncode != 0:
        raise Missing(f"`{' '.join(map(str, command))}` failed:\n{done.stdout.strip()}")
    return done.stdout


@dataclass
class Kit:
    """Where everything is. Made by `prepare`; `close` removes what belongs to this run alone."""

    cache: Path
    module: Path
    python: Path
    work: Path = field(init=False)
    apps: Path = field(init=False)
    httpd: Path = field(init=False)
    nginx: Path = field(init=False, default=Path("/usr/sbin/nginx"))
    modules: Path = field(init=False)
    python_home: Path = field(init=False)
    reference: Path = field(init=False)
    floor: Path = field(init=False)
    mark: Path = field(init=False)
    library_mark: Path = field(init=False)
    load: Path = field(init=False)

    @property
    def is_root(self) -> bool:
        return os.geteuid() == 0

    @property
    def static_file(self) -> Path:
        return self.apps / FILE_NAME

    def prepare(self) -> None:
        install_packages()
        own_folder(self.cache)
        with (self.cache / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._prepare_httpd()
            self._prepare_python()
            self._build()
        self.work = Path(tempfile.mkdtemp(prefix="run-", dir=self.cache))
        self.work.chmod(0o755)
        self.apps = self.work / "apps"
        shutil.copytree(BENCH / "apps", self.apps)
        shutil.copy(self.library_mark, self.apps)
        self.static_file.write_bytes(FILE_BYTES)

    def close(self) -> None:
        if hasattr(self, "work"):
            shutil.rmtree(self.work, ignore_errors=True)

    def ours(self) -> Path:
        """Our module, copied with what it needs beside it to where the server's user can read it."""
        folder = self.work / "oxwsgi"
        if not folder.exists():
            runtime = self.module.with_name("liboxwsgi_runtime.so")
            for needed in (self.module, runtime):
                if not needed.exists():
                    raise Missing(f"{needed} is missing: run `cargo build --release`, or name it by --module")
            folder.mkdir()
            for file in (self.module, runtime, self.module.with_name("oxwsgi")):
                if file.exists():
                    shutil.copy(file, folder)
        return folder / self.module.name

    def ours_for_nginx(self) -> Path:
        """Our module for nginx, beside the same runtime and command."""
        folder = self.ours().parent
        module = folder / "ngx_http_oxwsgi_module.so"
        if not module.exists():
            built = self.module.parent.parent / "nginx/release" / self.module.name
            if not built.exists():
                raise Missing(f"{built} is missing: run `make nginx`")
            shutil.copy(built, module)
        return module

    def output_folder(self, name: str) -> Path:
        """A new folder that the server's user may write to."""
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.work))
        folder.chmod(0o755)
        if self.is_root:
            user = pwd.getpwnam(server_user())
            os.chown(folder, user.pw_uid, user.pw_gid)
        return folder

    def _prepare_httpd(self) -> None:
        def ask(name: str) -> str:
            return run("apxs", "-q", name).strip()

        self.httpd = Path(ask("SBINDIR"), ask("PROGNAME"))
        self.modules = Path(ask("LIBEXECDIR"))

    def _prepare_python(self) -> None:
        requirements = BENCH / "requirements.txt"
        self.python_home = self.cache / "venv"
        version = run(self.python, "-VV") + run(self.httpd, "-v")
        key = digest(requirements.read_bytes(), version.encode(), str(self.python).encode())
        if not is_current(self.python_home, key):
            say(f"making {self.python_home} with {self.python} ...")
            shutil.rmtree(self.python_home, ignore_errors=True)
            run(self.python, "-m", "venv", self.python_home)
            pip = [self.python_home / "bin/python", "-m", "pip", "install", "--quiet", "--no-cache-dir"]
            run(*pip, "wheel")
            run(*pip, "--requirement", requirements, env={**os.environ, "PYTHONPATH": ""})
            stamp(self.python_home, key)
        found = sorted(self.python_home.glob("lib/python3*/site-packages/mod_wsgi/server/mod_wsgi*.so"))
        if len(found) != 1:
            raise Missing(f"one module of mod_wsgi is expected in {self.python_home}, found: {found}")
        self.reference = found[0]

    def _build(self) -> None:
        folder = self.cache / "built"
        modules = [BENCH / "floor/mod_floor.c", BENCH / "floor/mod_mark.c"]
        library, client, header = BENCH / "floor/libmark.c", BENCH / "client/load.c", BENCH / "floor/mark.h"
        sources = [*modules, library, client, header]
        key = digest(run(self.httpd, "-v").encode(), *(source.read_bytes() for source in sources))
        self.floor, self.mark = folder / ".libs/mod_floor.so", folder / ".libs/mod_mark.so"
        self.library_mark, self.load = folder / "libmark.so", folder / "load"
        if not is_current(folder, key):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            shutil.copy(header, folder)
            for source in modules:
                shutil.copy(source, folder)
                run("apxs", "-Wc,-O2", "-Wc,-Wall", "-Wc,-Wextra", "-c", source.name, cwd=folder)
            warnings = ("-O2", "-Wall", "-Wextra", "-D_GNU_SOURCE")
            run("gcc", *warnings, "-shared", "-fPIC", "-o", self.library_mark, library)
            run("gcc", *warnings, "-pthread", "-o", self.load, client)
            stamp(folder, key)


def default_cache() -> Path:
    """A folder outside of homes, because the server's user cannot read what lies below /root."""
    return Path(f"/var/tmp/oxwsgi-bench-{os.geteuid()}")


def server_user() -> str:
    """Whom httpd becomes when root starts it."""
    for name in ("www-data", "apache", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise Missing("no user for the server: www-data, apache or nobody")


def server_group() -> str:
    return grp.getgrgid(pwd.getpwnam(server_user()).pw_gid).gr_name


def own_folder(folder: Path) -> None:
    """Makes the folder, or refuses one that another user could have filled."""
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    status = folder.lstat()
    if folder.is_symlink() or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise Missing(f"{folder} is not ours alone: remove it, or name another folder by --cache")


def install_packages() -> None:
    wanted = (BENCH / "apt-packages.txt").read_text().split()
    form = "${Package} ${db:Status-Status}\n"
    try:
        listed = subprocess.run(
            ["dpkg-query", "--show", f"--showformat={form}", *wanted],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        say(f"this is not Debian: what {' '.join(wanted)} would bring has to be there")
        return
    installed = {line.split()[0] for line in listed.stdout.splitlines() if line.endswith(" installed")}
    missing = [package for package in wanted if package not in installed]
    if not missing:
        return
    if os.geteuid() != 0:
        raise Missing(f"packages are missing; as root: apt-get install {' '.join(missing)}")
    say(f"installing {' '.join(missing)} ...")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run("apt-get", "install", "--yes", "--no-install-recommends", *missing, env=environment)


def digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def is_current(folder: Path, key: str) -> bool:
    mark = folder / "made-from"
    return mark.exists() and mark.read_text() == key


def stamp(folder: Path, key: str) -> None:
    (folder / "made-from").write_text(key)
