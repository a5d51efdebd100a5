"""python-home: each group runs what `bin/python` of its home runs, and root runs none of it."""

from __future__ import annotations

import pwd
import re
import subprocess
from pathlib import Path

import pytest

from harness import pythons
from harness.config import MAIN, Group, Mount, Part
from harness.marks import START_FAILED
from harness.places import is_world_readable
from harness.server import ServerStartError

SCRIPT = """
import json, os, sys
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    shown = {name: getattr(sys, name) for name in ("version", "prefix", "base_prefix", "executable", "path")}
    return [json.dumps({**shown, "pid": os.getpid(), "group": environ["mod_wsgi.process_group"]}).encode()]
"""
ONE_PYTHON = "each group has a Python of its own"


def group(name: str, home: Path, options: str = "") -> list[Part]:
    return [
        Group(name, f'python-home="{home}" {options}'),
        Mount(f"/{name}", "${root}/app.wsgi", name, MAIN),
    ]


def in_words_of(lane, name: str) -> str:
    """How the lane's server calls a directive or an option."""
    names = {"WSGIDaemonProcess": "wsgi_daemon_process", "python-home": "python_home"}
    return names.get(name, name) if lane.server == "nginx" else name


def asked(python: Path, what: str) -> str:
    """What the Python itself says."""
    run = subprocess.run([python, "-c", f"import sys; print({what})"], capture_output=True, check=True)
    return run.stdout.decode().strip()


def virtual_environment(python: Path, folder: Path) -> Path:
    subprocess.run([python, "-m", "venv", "--without-pip", folder], check=True)
    (site_packages,) = folder.glob("lib/python3*/site-packages")
    (site_packages / "only_here.py").write_text("")
    return folder


@pytest.mark.differs(ONE_PYTHON, run=False)
def test_three_groups_on_three_pythons(start):
    homes = [python.readable().home for python in pythons.find() if python.home != pythons.DEBIAN][:3]
    assert len(homes) == 3, "three Pythons are needed beside the distribution's"
    parts = [part for number, home in enumerate(homes) for part in group(f"g{number}", home)]
    server = start(parts, files={"app.wsgi": SCRIPT})
    answers = [server.get(f"/g{number}").json() for number in range(3)]
    assert len({answer["version"] for answer in answers}) == 3
    assert len({answer["pid"] for answer in answers}) == 3
    for home, answer in zip(homes, answers, strict=True):
        assert answer["version"] == asked(home / "bin" / "python3", "sys.version")
        assert answer["prefix"] == answer["base_prefix"] == str(home)
        assert Path(answer["executable"]).parent == home / "bin"


@pytest.mark.every_python
@pytest.mark.differs(ONE_PYTHON, run=False)
def test_a_virtual_environment(start, lane, servers):
    folder = servers.folder / f"daemon-venv-{lane.id}"
    home = virtual_environment(lane.readable_python.executable, folder)
    answer = start(group("g", home), files={"app.wsgi": "import only_here\n" + SCRIPT}).get("/g").json()
    assert answer["prefix"] == str(home)
    assert answer["base_prefix"] == str(lane.readable_python.home)
    assert answer["executable"].startswith(f"{home}/bin/python")
    assert answer["path"][-1].startswith(f"{home}/lib/")


@pytest.mark.differs(ONE_PYTHON, run=False)
def test_two_groups_in_two_environments(start, lane, servers):
    homes = [
        virtual_environment(lane.readable_python.executable, servers.folder / f"{name}-venv-{lane.id}")
        for name in ("one", "two")
    ]
    parts = [*group("one", homes[0]), *group("two", homes[1])]
    server = start(parts, files={"app.wsgi": SCRIPT})
    assert [server.get(f"/{name}").json()["prefix"] for name in ("one", "two")] == [
        str(home) for home in homes
    ]


@pytest.mark.differs(ONE_PYTHON, run=False)
def test_a_python_without_a_shared_library(start):
    """The distribution's executable has its libpython inside."""
    assert (
        "libpython" not in subprocess.run(["ldd", "/usr/bin/python3"], capture_output=True, text=True).stdout
    )
    server = start(group("g", Path("/usr")), files={"app.wsgi": SCRIPT})
    answer = server.get("/g").json()
    assert answer["version"] == asked(Path("/usr/bin/python3"), "sys.version")
    assert answer["prefix"] == "/usr"
    assert "libpython" not in Path(f"/proc/{answer['pid']}/maps").read_text()


@pytest.mark.every_python
def test_the_servers_home_is_the_default(start, lane):
    """What the lane's configuration has for the whole server is for every group that names none."""
    server = start(
        [Group("g"), Mount("/g", "${root}/app.wsgi", "g")],
        files={"app.wsgi": SCRIPT},
    )
    assert server.get("/g").json()["prefix"] == str(lane.readable_python.home)


@pytest.mark.differs("a Python home is checked at start", run=False)
@pytest.mark.allows(r"WSGI115\d", on="nginx")  # which says it in its log as well
class TestBrokenHome:
    pytestmark = pytest.mark.root

    @pytest.mark.parametrize("home", ["/no/such/folder", "/etc/passwd", "/etc"])
    def test_without_python(self, new_server, lane, home):
        said = new_server(group("shop", Path(home), "user=games")).configtest()
        assert said.returncode != 0
        for part in ("WSGIDaemonProcess", "python-home", "shop", home):
            assert in_words_of(lane, part) in said.stderr

    def test_a_python_that_fails(self, new_server, lane):
        server = new_server(group("shop", Path("${root}/home"), "user=games"))
        server.write("home/bin/python", "#!/bin/sh\necho 'this Python is broken' >&2\nexit 3\n").chmod(0o755)
        said = server.configtest()
        assert said.returncode != 0
        for part in ("python-home", "shop", f"{server.root}/home", "games", "this Python is broken"):
            assert in_words_of(lane, part) in said.stderr

    def test_a_python_of_another_user_learns_little_of_the_server(self, new_server):
        server = new_server(group("shop", Path("${root}/home"), "user=games"), env={"PASSWORD": "secret"})
        shown = 'echo "password=<$PASSWORD> path=<$PATH>" >&2'
        server.write("home/bin/python", f"#!/bin/sh\n{shown}\nexit 3\n").chmod(0o755)
        said = server.configtest().stderr
        assert "password=<> path=</" in said
        assert "secret" not in said

    def test_a_python_the_user_may_not_read(self, new_server, lane):
        """What root could run does not count."""
        home = Path.home() / ".pyenv"
        assert not is_world_readable(home), "a folder that only root can read is needed"
        said = new_server(group("shop", home, "user=games")).configtest()
        assert said.returncode != 0
        for part in ("python-home", "shop", str(home), "games"):
            assert in_words_of(lane, part) in said.stderr

    def test_a_python_of_another_language(self, new_server):
        """A python that is no CPython from 3.10 up is told by what it says of itself."""
        server = new_server(group("shop", Path("${root}/home"), "user=games"))
        server.write("home/bin/python", "#!/bin/sh\necho nonsense\n").chmod(0o755)
        said = server.configtest()
        assert said.returncode != 0
        assert f"{server.root}/home" in said.stderr

    @START_FAILED
    def test_the_server_does_not_start_either(self, new_server):
        server = new_server(group("shop", Path("/no/such/folder")), files={"app.wsgi": SCRIPT})
        with pytest.raises(ServerStartError, match="/no/such/folder"):
            server.start()

    def test_every_broken_home_is_named(self, new_server):
        said = new_server(group("one", Path("/etc")) + group("two", Path("/no/such"))).configtest()
        assert said.returncode != 0
        assert "one" in said.stderr


# One line, as a .pth file wants it.
NOTING = "import os; note = open('{record}/{name}', 'a'); print(os.getuid(), file=note); note.close()\n"
RECORDING = """#!/bin/bash
id -u >> "{record}/python"
exec -a "$0" {python} "$@"
"""


@pytest.mark.root
@pytest.mark.differs("a group's Python is executed", run=False)
@pytest.mark.parametrize("user", ["games", "daemon"])
def test_root_runs_nothing_a_site_can_write(new_server, lane, servers, user):
    """Not its python, its .pth files or its sitecustomize: at configtest, start, restart and stop."""
    account = pwd.getpwnam(user)
    record = servers.folder / f"record-{lane.id}-{user}"
    record.mkdir()
    record.chmod(0o777)
    home = virtual_environment(lane.readable_python.executable, servers.folder / f"home-of-{user}")
    (site_packages,) = home.glob("lib/python3*/site-packages")
    (site_packages / "noting.pth").write_text(NOTING.format(record=record, name="pth"))
    (site_packages / "sitecustomize.py").write_text(NOTING.format(record=record, name="sitecustomize"))
    for name in ("python", "python3", f"python3.{lane.python.minor[1]}"):
        (home / "bin" / name).unlink()
        (home / "bin" / name).write_text(
            RECORDING.format(record=record, python=lane.readable_python.executable.resolve())
        )
        (home / "bin" / name).chmod(0o755)
    for path in (home, *home.rglob("*")):
        subprocess.run(["chown", "-h", f"{user}:", path], check=True)
    server = new_server(group("g", home, f"user={user}"), files={"app.wsgi": SCRIPT})

    def users() -> dict[str, set[str]]:
        return {path.name: set(path.read_text().split()) for path in record.iterdir()}

    said = server.configtest()
    assert said.returncode == 0, said.stderr
    assert users()["python"] == {str(account.pw_uid)}
    with servers.serving(server):
        assert server.get("/g").json()["prefix"] == str(home)
        server.graceful()
        assert server.get("/g").json()["prefix"] == str(home)
    expected = {str(account.pw_uid)}
    assert users() == {"python": expected, "pth": expected, "sitecustomize": expected}
    assert not re.search("uid=0", server.error_log.text())
