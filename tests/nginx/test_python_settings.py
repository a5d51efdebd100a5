"""The directives that set up Python and what applications are kept from, in the processes of all groups.

Two servers: in one each directive says something else than holds without it, as in the other.
"""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from harness.processes import Process
from harness.wait import wait_until

MOUNTS = """
location /main { wsgi_pass ${apps}/interpreter.wsgi; }
location /sub { wsgi_pass ${apps}/interpreter.wsgi; wsgi_application_group apart; }
location /own { wsgi_pass ${apps}/interpreter.wsgi; wsgi_process_group own; }
"""
# Loaded by the main thread, which alone may set what becomes of a signal.
AT_START = """
import atexit, os, pathlib, signal
import module_with_bytecode
signal.signal(signal.SIGUSR2, signal.SIG_IGN)
atexit.register(pathlib.Path(__file__).with_name("shared").joinpath(f"farewell.{os.getpid()}").touch)
"""
IMPORT = """
wsgi_python_path "${root}/lib";
wsgi_import "${root}/at_start.py";
"""
FILES = {"at_start.py": AT_START, "lib/module_with_bytecode.py": ""}
# What Python's own variables and the user's folder have to say.
ENVIRONMENT = """
wsgi_env HOME "${root}/home";
wsgi_env PYTHONPATH "${root}/from-environment";
wsgi_env TEST_VARIABLE seen;
"""


@pytest.fixture(scope="module")
def user_packages(lane):
    major, minor = lane.python.minor
    return f"home/.local/lib/python{major}.{minor}/site-packages"


@pytest.fixture(scope="module")
def configured(start_shared):
    return start_shared(
        MOUNTS,
        http=f"""
        {IMPORT}
        wsgi_daemon_process own python_eggs=/var/cache/own switch_interval=0.5;
        wsgi_python_eggs eggs;
        wsgi_python_optimize 2;
        wsgi_python_hash_seed 7;
        wsgi_python_warnings ignore error::BytesWarning;
        wsgi_python_warnings default::ImportWarning;
        wsgi_dont_write_bytecode on;
        wsgi_switch_interval 0.025;
        wsgi_destroy_interpreter off;
        wsgi_restrict_signal off;
        wsgi_restrict_stdin on;
        wsgi_restrict_stdout on;
        """,
        files=FILES,
        folders=["lib", "shared"],
    )


@pytest.fixture(scope="module")
def plain(start_shared, user_packages):
    return start_shared(
        MOUNTS,
        http=f"{IMPORT} {ENVIRONMENT} wsgi_daemon_process own;",
        files=FILES,
        folders=["lib", "shared", user_packages],
    )


def facts_of(server, mount):
    response = server.get(f"/{mount}")
    assert response.status_code == 200, response.text
    return response.json()


@pytest.mark.parametrize("mount", ["main", "sub"])
@pytest.mark.parametrize(
    ("fact", "value", "default"),
    [
        ("optimize", 2, 0),
        ("asserts", False, True),
        ("warnoptions", ["ignore", "error::BytesWarning", "default::ImportWarning"], []),
        ("dont_write_bytecode", True, False),
    ],
)
def test_what_is_set(configured, plain, mount, fact, value, default):
    assert (facts_of(configured, mount)[fact], facts_of(plain, mount)[fact]) == (value, default)


@pytest.mark.parametrize("mount", ["main", "sub"])
def test_a_hash_seed(configured, plain, lane, mount):
    command = [lane.python.executable, "-c", "print(hash('abc'))"]
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    expected = int(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
    assert facts_of(configured, mount)["hash"] == expected
    assert facts_of(plain, mount)["hash"] != expected


def test_what_a_group_may_say_itself(configured, plain):
    def shown(server, mount):
        facts = facts_of(server, mount)
        return facts["eggs"], round(facts["switchinterval"], 6)

    for mount in ("main", "sub"):
        assert shown(configured, mount) == (f"{configured.root}/eggs", 0.025)
    assert shown(configured, "own") == ("/var/cache/own", 0.5)
    assert shown(plain, "own") == shown(plain, "main") == (None, 0.005)


def test_bytecode_is_not_written(configured, plain):
    for server in (configured, plain):
        facts_of(server, "main")
    assert [(server.root / "lib/__pycache__").exists() for server in (configured, plain)] == [False, True]


@pytest.mark.provokes("written to stdout")
def test_the_standard_streams(configured, plain):
    kept_out = configured.get("/main/restricted").json()
    for name in ("stdin", "stdout"):
        assert kept_out[name] == f"OSError: sys.{name} access restricted by mod_wsgi"
    let_in = plain.get("/main/restricted").json()
    assert (let_in["stdin"], let_in["stdout"]) == ("''", "18")


@pytest.mark.allows("written to stdout")
def test_signals(configured, plain):
    """With the restriction an application may try, and nothing comes of it."""
    shown = configured.get("/main/restricted").json()
    assert shown["signal"].startswith("ValueError: signal only works in main thread")
    assert "SIG_IGN" in shown["handler"]
    shown = plain.get("/main/restricted").json()
    assert "Error" not in shown["signal"]
    assert "SIG_IGN" not in shown["handler"]


def test_exit_handlers(configured, plain):
    """They run when interpreters are ended, and only then."""
    for server, has_run in ((configured, False), (plain, True)):
        process = Process.at(facts_of(server, "main")["pid"])
        process.signal(signal.SIGTERM)
        wait_until(lambda process=process: not process.is_alive, "the process to end")
        assert (server.root / "shared" / f"farewell.{process.pid}").exists() is has_run


def test_isolated(plain, start, user_packages):
    """Python's own variables and the user's packages have no say; the application's variables are there."""
    isolated = start(
        MOUNTS,
        http=f"{ENVIRONMENT} wsgi_python_isolated on; wsgi_daemon_process own;",
        folders=[user_packages],
    )
    for server, is_listened_to in ((plain, True), (isolated, False)):
        for mount in ("main", "sub", "own"):
            facts = facts_of(server, mount)
            folders = {f"{server.root}/from-environment", f"{server.root}/{user_packages}"}
            assert folders & set(facts["path"]) == (folders if is_listened_to else set())
            assert facts["variable"] == "seen"
