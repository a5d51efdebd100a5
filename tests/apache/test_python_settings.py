"""The directives that set up the interpreter: WSGIPython*, WSGIDontWriteBytecode, WSGISwitchInterval."""

from __future__ import annotations

import os
import subprocess

import pytest

ALIAS = """
WSGIScriptAlias /interpreter "${apps}/interpreter.wsgi"
WSGIScriptAlias /global "${apps}/interpreter.wsgi" application-group=%{GLOBAL}
"""


@pytest.fixture
def facts(start):
    """Start a server with these lines; what the interpreter of a sub-interpreter looks like."""

    def fetch(lines="", path="/interpreter", **options):
        return start(ALIAS + lines, **options).get(path).json()

    return fetch


def test_the_defaults(facts):
    shown = facts()
    assert shown["optimize"] == 0
    assert shown["asserts"] is True
    assert shown["warnoptions"] == []
    assert shown["dont_write_bytecode"] is False
    assert shown["switchinterval"] == pytest.approx(0.005)
    assert shown["eggs"] is None


def test_the_scripts_folder_is_not_on_the_path(facts, servers):
    assert str(servers.folder / "apps") not in facts()["path"]


class TestPythonPath:
    def test_folders_come_first_in_order(self, start):
        files = {"lib/one/first_module.py": "", "lib/two/second_module.py": ""}
        server = start(ALIAS, python_path="${root}/lib/one:${root}/lib/two", files=files)
        for path in ("/interpreter", "/global"):
            shown = server.get(path).json()
            assert shown["path"][:2] == [f"{server.root}/lib/one", f"{server.root}/lib/two"]

    def test_path_configuration_files_are_obeyed(self, start):
        """A relative line of a .pth file is a folder below the one it lies in."""
        files = {"lib/one/links.pth": "linked\n", "lib/one/linked/module.py": ""}
        server = start(ALIAS, python_path="${root}/lib/one", files=files)
        path = server.get("/interpreter").json()["path"]
        assert path[:2] == [f"{server.root}/lib/one", f"{server.root}/lib/one/linked"]


@pytest.mark.parametrize(("level", "asserts"), [(0, True), (1, False), (2, False)])
def test_optimize(facts, level, asserts):
    shown = facts(f"WSGIPythonOptimize {level}\n")
    assert (shown["optimize"], shown["asserts"]) == (level, asserts)


def test_warnings_in_order(facts):
    shown = facts("WSGIPythonWarnings ignore\nWSGIPythonWarnings error::BytesWarning\n")
    assert shown["warnoptions"] == ["ignore", "error::BytesWarning"]


@pytest.mark.parametrize("seed", [0, 1, 4294967295])
def test_a_hash_seed(facts, lane, seed):
    command = [lane.python.executable, "-c", "print(hash('abc'))"]
    environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
    expected = int(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
    assert facts(f"WSGIPythonHashSeed {seed}\n")["hash"] == expected


@pytest.mark.differs("WSGIPythonHashSeed random is random, not the seed 0", reference="reference-6")
def test_a_random_hash_seed(start):
    hashes = {start(ALIAS + "WSGIPythonHashSeed random\n").get("/global").json()["hash"] for _ in range(2)}
    assert len(hashes) == 2


def test_hashes_are_random_without_the_directive(start):
    assert len({start(ALIAS).get("/global").json()["hash"] for _ in range(2)}) == 2


def test_dont_write_bytecode(facts):
    assert facts("WSGIDontWriteBytecode On\n")["dont_write_bytecode"] is True


@pytest.mark.mode("embedded")
def test_eggs(facts):
    assert facts("WSGIPythonEggs /var/cache/eggs\n")["eggs"] == "/var/cache/eggs"


@pytest.mark.differs("WSGISwitchInterval (mod_wsgi 6.0)", reference="reference", run=False)
def test_switch_interval(facts):
    assert facts("WSGISwitchInterval 0.025\n")["switchinterval"] == pytest.approx(0.025)


def test_the_servers_environment_is_seen(facts):
    assert facts(env={"TEST_VARIABLE": "value"})["variable"] == "value"


def test_python_variables_apply(facts):
    assert facts(env={"PYTHONWARNINGS": "ignore::ResourceWarning"})["warnoptions"] == [
        "ignore::ResourceWarning"
    ]


def test_children_are_not_root(facts):
    """The server's user, never root, runs an application."""
    assert facts()["uid"] != 0


@pytest.fixture
def venv(lane, servers):
    """A virtual environment of the lane's Python with one package in it, readable by the server's user."""
    folder = servers.folder / f"venv-{lane.id}"
    if not folder.exists():
        python = lane.readable_python.executable
        subprocess.run([python, "-m", "venv", "--without-pip", folder], check=True)
        (site_packages,) = folder.glob("lib/python3*/site-packages")
        (site_packages / "only_in_the_venv.py").write_text("where = __file__\n")
    return folder


IMPORTING = """
import sys
import only_in_the_venv

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return ["|".join([only_in_the_venv.where, sys.prefix, sys.executable]).encode()]
"""


@pytest.mark.every_python
def test_home_is_a_virtual_environment(start, venv):
    server = start(
        """
        WSGIScriptAlias /app "${root}/app.wsgi"
        WSGIScriptAlias /global "${root}/app.wsgi" application-group=%{GLOBAL}
        """,
        python_home=str(venv),
        files={"app.wsgi": IMPORTING},
    )
    for path in ("/app", "/global"):
        where, prefix, executable = server.get(path).text.split("|")
        assert where.startswith(f"{venv}/lib/")
        assert prefix == str(venv)
        assert executable.startswith(f"{venv}/bin/python")


@pytest.mark.every_python
def test_home_is_an_installation(start, lane):
    home = lane.readable_python.home
    server = start(ALIAS, python_home=str(home))
    shown = server.get("/interpreter").json()
    assert shown["prefix"] == shown["base_prefix"] == str(home)
    assert tuple(shown["version"])[:2] == lane.python.minor


@pytest.mark.every_python
@pytest.mark.differs("without WSGIPythonHome it is the python3 on PATH", run=False)
def test_without_home_it_is_the_python_on_path(start, lane):
    home = lane.readable_python.home
    server = start(ALIAS, python_home="", env={"PATH": f"{home}/bin:/usr/sbin:/usr/bin:/bin"})
    shown = server.get("/interpreter").json()
    assert shown["version"] == list(lane.python.version)
    assert shown["prefix"] == str(home)
