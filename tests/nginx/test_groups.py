"""Daemon groups as nginx's configuration makes them."""

from __future__ import annotations

import contextlib
import pwd
import signal
import time

import pytest

from harness.marks import PROCESS_ABORTED, REQUEST_LOST
from harness.processes import Process
from harness.server import server_account
from harness.wait import wait_until

PAGES = "wsgi_pass ${apps}/environ.wsgi;"


def environ_of(server, path="/app", **options):
    response = server.get(path, **options)
    assert response.status_code == 200, response.text
    return {key: value for key, (_type, value) in response.json().items()}


def test_the_implicit_group(start):
    """Of locations that name none; it is one process."""
    server = start(f"location /app {{ {PAGES} }} location /other {{ {PAGES} }}")
    assert {environ_of(server, path)["mod_wsgi.process_group"] for path in ("/app", "/other")} == {"default"}
    (supervisor,) = server.supervisors()
    assert len(supervisor.children()) == 1
    assert environ_of(server)["wsgi.multithread"] is True


def test_no_location_no_group(start):
    """A module that is loaded costs nothing."""
    server = start("location / { return 200 hello; }")
    assert server.get("/").text == "hello"
    assert server.supervisors() == []
    assert server.keepers() == []


def test_there_is_no_implicit_one_beside_those_that_are_named(start):
    server = start(
        f"location /app {{ {PAGES} wsgi_process_group one; }}",
        http="wsgi_daemon_process one processes=2; wsgi_daemon_process two;",
    )
    assert environ_of(server)["mod_wsgi.process_group"] == "one"
    (supervisor,) = server.supervisors()
    wait_until(lambda: len(supervisor.children()) == 3, "three processes")


def test_inheritance(start):
    server = start(
        f"""
        wsgi_process_group two;
        location /app {{ {PAGES} }}
        location /app/one {{ {PAGES} wsgi_process_group one; }}
        location /app/off {{ {PAGES} wsgi_process_group off; }}
        """,
        http="""
        wsgi_daemon_process one;
        wsgi_daemon_process two;
        wsgi_process_group one;
        """,
    )
    groups = [environ_of(server, path)["mod_wsgi.process_group"] for path in ("/app", "/app/one", "/app/off")]
    assert groups == ["two", "one", "default"]


def test_a_group_may_be_named_before_it_is_defined(start):
    server = start(
        f"location /app {{ {PAGES} wsgi_process_group late; }}",
        http="wsgi_process_group late; wsgi_daemon_process late;",
    )
    assert environ_of(server)["mod_wsgi.process_group"] == "late"


def test_environment(start):
    """nginx clears its own; what processes are to have is said."""
    server = start(
        "location /app { wsgi_pass ${root}/app.wsgi; } "
        "location /one { wsgi_pass ${root}/app.wsgi; wsgi_process_group one; }",
        http="""
        wsgi_env COMMON "of all";
        wsgi_env REPLACED common;
        wsgi_env HOME /srv/site;
        wsgi_daemon_process one env=OWN=1 env=REPLACED=own env=USER=nobody;
        """,
        files={
            "app.wsgi": "import json, os\n"
            "at_start = dict(os.environ)\n"
            "def application(environ, start_response):\n"
            "    start_response('200 OK', [])\n"
            "    return [json.dumps(at_start).encode()]\n"
        },
    )
    shown = server.get("/app").json()
    assert (shown["COMMON"], shown["REPLACED"], shown["HOME"]) == ("of all", "common", "/srv/site")
    assert "OWN" not in shown
    assert shown.get("USER") != "nobody"
    shown = server.get("/one").json()
    assert (shown["COMMON"], shown["REPLACED"], shown["OWN"]) == ("of all", "own", "1")
    assert (shown["HOME"], shown["USER"]) == ("/srv/site", "nobody")


@pytest.mark.root
def test_the_users_of_processes(start):
    server = start(
        f"location /app {{ {PAGES} }} location /one {{ {PAGES} wsgi_process_group one; }}",
        http="wsgi_daemon_process one user=games;",
    )
    environ_of(server)
    environ_of(server, "/one")
    (supervisor,) = server.supervisors()
    users = {process.user for process in supervisor.children()}
    assert users == {pwd.getpwnam(name).pw_uid for name in (server_account(), "games")}


@REQUEST_LOST
@PROCESS_ABORTED
def test_how_long_a_process_may_take_to_end(start):
    """One that has a request which does not; a group may say it itself."""
    sites = "wsgi_pass ${apps}/daemon/site.wsgi; wsgi_param FOLDER ${root}/shared;"
    server = start(
        f"location /app {{ {sites} }} location /own {{ {sites} wsgi_process_group own; }}",
        http="wsgi_shutdown_timeout 1s; wsgi_daemon_process own shutdown_timeout=7;",
        folders=["shared"],
    )
    with contextlib.ExitStack() as connections:
        processes = []
        for mount in ("app", "own"):
            connection = connections.enter_context(server.raw())
            connection.request(f"GET /{mount}/uninterruptible?name={mount}", "Connection: close")
            entered = server.root / "shared" / f"{mount}.entered"
            pid = wait_until(lambda path=entered: path.exists() and path.read_text(), "the request to begin")
            processes.append(Process.at(int(pid)))
        began = time.monotonic()
        for process in processes:
            process.signal(signal.SIGTERM)
        # The first before the time of a group that says nothing, which is five seconds.
        for process, seconds, end in zip(processes, (1, 7), (5, 15), strict=True):
            wait_until(lambda process=process: not process.is_alive, "the process to end")
            assert seconds <= time.monotonic() - began < end


@pytest.mark.provokes("imported by default", "imported by one")
def test_imports(start):
    script = "import sys\nprint('imported by', __import__('mod_wsgi').process_group, file=sys.stderr)\n"
    server = start(
        f"location /app {{ {PAGES} }}",
        http="""
        wsgi_daemon_process one;
        wsgi_python_path "${root}/lib";
        wsgi_import ${root}/script.py;
        wsgi_import noted daemon=one "group=%{GLOBAL}";
        """,
        files={"script.py": script, "lib/noted.py": script},
    )
    server.error_log.wait_for("imported by default")
    server.error_log.wait_for("imported by one")


def test_many_workers_share_a_group(start):
    from harness.httpd import Mpm

    server = start(f"location /app {{ {PAGES} }}", mpm=Mpm(processes=3))
    # One of them serves when the server has started.
    wait_until(lambda: len(server.workers()) == 3, "three workers of nginx")
    pids = {environ_of(server)["mod_wsgi.server_pid"] for _ in range(60)}
    assert pids <= {str(worker.pid) for worker in server.workers()}
    (supervisor,) = server.supervisors()
    assert len(supervisor.children()) == 1
