"""What runs in a process without a request: import and preloaded scripts, and services (threads=0)."""

from __future__ import annotations

import signal
import tempfile
from pathlib import Path

import pytest

from harness import log_lines
from harness.config import MAIN, Group, Import, Mount, Part, Use
from harness.marks import PROCESS_DIED
from harness.processes import Process
from harness.wait import wait_until

SCRIPT = """
import os, sys, threading
print("imported {name} into", repr(__import__("mod_wsgi").application_group),
      "of", repr(__import__("mod_wsgi").process_group),
      "on the main thread" if threading.current_thread() is threading.main_thread() else "elsewhere",
      file=sys.stderr)
served = 0

def application(environ, start_response):
    global served
    served += 1
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{name} {{served}}".encode()]
"""

# Notes that it began and, if it is told to, how it ends; lives until told to end.
SERVICE = """
import os, signal, sys, time
folder = {folder!r}

def note(text):
    with open(os.path.join(folder, "service"), "a") as file:
        print(text, os.getpid(), file=file)

try:
    note("began")
    deadline = time.monotonic() + 30
    while not os.path.exists(os.path.join(folder, "end")) and time.monotonic() < deadline:
        time.sleep(0.02)
    note("returned")
except SystemExit:
    note("was told to exit")
    raise
"""


def service_group(options: str = "") -> list[Part]:
    return [Group("service", f"threads=0 {options}"), Import("${root}/service.py", "service", MAIN)]


class Service:
    def __init__(self, start, servers, script=SERVICE, options=""):
        # The folder has to be known before the server is.
        self.folder = Path(tempfile.mkdtemp(prefix="service-", dir=servers.folder))
        self.folder.chmod(0o777)
        self.server = start(
            service_group(options), files={"service.py": script.format(folder=str(self.folder))}
        )

    def notes(self, what: str) -> list[int]:
        """The processes that noted it."""
        path = self.folder / "service"
        lines = path.read_text().splitlines() if path.exists() else []
        return [int(line.split()[-1]) for line in lines if line.rsplit(" ", 1)[0] == what]

    def wait_for(self, what: str, count: int = 1) -> list[int]:
        def enough():
            return len(self.notes(what)) >= count and self.notes(what)

        return wait_until(enough, f"{count} notes {what!r}")


@pytest.mark.provokes("imported app into '' of 'g' on the main thread")
def test_an_import_script_is_loaded_before_the_first_request(start):
    server = start(
        [
            Group("g"),
            Import("${root}/app.wsgi", "g", MAIN),
            Mount("/app", "${root}/app.wsgi", application_group=MAIN),
            Use("g"),
        ],
        files={"app.wsgi": SCRIPT.format(name="app")},
    )
    server.error_log.wait_for("imported app")
    assert server.get("/app").text == "app 1"
    assert len(server.error_log.find("imported app")) == 1


# nginx loads at the start what `wsgi_import` names.
preloads = pytest.mark.server("httpd")


@preloads
@pytest.mark.provokes("imported app into 'early' of 'g'")
def test_a_script_of_named_groups_is_preloaded(start):
    server = start(
        [Group("g"), Mount("/app", "${root}/app.wsgi", "g", "early")],
        files={"app.wsgi": SCRIPT.format(name="app")},
    )
    server.error_log.wait_for("imported app")
    assert server.get("/app").text == "app 1"
    assert len(server.error_log.find("imported app")) == 1


@preloads
@pytest.mark.provokes("imported app into 'early' of 'g'")
def test_every_process_loads_them(start):
    server = start(
        [Group("g", "processes=3"), Mount("/app", "${root}/app.wsgi", "g", "early")],
        files={"app.wsgi": SCRIPT.format(name="app")},
    )
    entries = server.error_log.wait_for("imported app", count=3)
    assert len(entries) == 3


@pytest.mark.provokes("imported one into 'a' of 'g'", "imported two into '' of 'other'")
def test_each_group_loads_its_own(start):
    server = start(
        [
            Group("g"),
            Group("other"),
            Import("${root}/one.py", "g", "a"),
            Import("${root}/two.py", "other", MAIN),
        ],
        files={"one.py": SCRIPT.format(name="one"), "two.py": SCRIPT.format(name="two")},
    )
    server.error_log.wait_for("imported one")
    server.error_log.wait_for("imported two")


@pytest.mark.provokes("ImportError: cannot start")
@pytest.mark.allows("WSGI0105", "WSGI0106", "WSGI0109", "WSGI0110", "WSGI0174")
def test_a_failure_is_logged_and_the_process_serves(start):
    server = start(
        [
            Group("g"),
            Import("${root}/broken.py", "g", MAIN),
            Mount("/interpreter", "${apps}/interpreter.wsgi", "g"),
        ],
        files={"broken.py": "raise ImportError('cannot start')\n"},
    )
    server.error_log.wait_for("cannot start")
    assert server.get("/interpreter").status_code == 200


class TestService:
    def test_it_runs_when_the_server_starts(self, start, servers):
        service = Service(start, servers)
        (pid,) = service.wait_for("began")
        assert Process.at(pid).is_alive

    def test_it_is_run_again_when_it_returns(self, start, servers):
        service = Service(start, servers)
        service.wait_for("began")
        (service.folder / "end").touch()
        pids = service.wait_for("returned", count=2)
        assert len(set(pids)) == len(pids)
        assert service.server.error_log.wait_for("'service'")

    @PROCESS_DIED
    def test_it_is_run_again_when_it_is_killed(self, start, servers):
        service = Service(start, servers)
        (pid,) = service.wait_for("began")
        Process.at(pid).signal(signal.SIGKILL)
        assert len(set(service.wait_for("began", count=2))) == 2
        service.server.error_log.wait_for(log_lines.died("service", pid))

    @pytest.mark.allows("WSGI0107", "WSGI0108", "SystemExit", on="references")
    def test_it_is_told_to_exit(self, start, servers):
        """SIGTERM raises SystemExit in it."""
        service = Service(start, servers)
        (pid,) = service.wait_for("began")
        Process.at(pid).signal(signal.SIGTERM)
        assert service.wait_for("was told to exit") == [pid]
        service.wait_for("began", count=2)

    @pytest.mark.allows("WSGI0107", "WSGI0108", "SystemExit", on="references")
    def test_it_ends_with_the_server(self, start, servers):
        service = Service(start, servers)
        (pid,) = service.wait_for("began")
        process = Process.at(pid)
        service.server.stop()
        assert not process.is_alive
        assert service.notes("was told to exit") == [pid]

    def test_a_graceful_restart_replaces_it(self, start, servers):
        service = Service(start, servers)
        (pid,) = service.wait_for("began")
        service.server.graceful()
        later = service.wait_for("began", count=2)[-1]
        assert later != pid
        wait_until(lambda: not _lives(pid), "the service of the past generation to end")
        assert _lives(later)

    @pytest.mark.provokes(r"WSGI11[56]\d|WSGI12\d\d")
    @pytest.mark.differs("a killed supervisor is replaced", run=False)
    def test_it_runs_once_when_the_supervisor_is_replaced(self, start, servers):
        service = Service(start, servers)
        (pid,) = service.wait_for("began")
        (old,) = service.server.supervisors()
        old.signal(signal.SIGKILL)
        later = service.wait_for("began", count=2)[-1]
        assert service.wait_for("was told to exit") == [pid]
        wait_until(lambda: not _lives(pid), "the orphan to end")
        assert _lives(later)

    def test_it_may_handle_signals(self, start, servers):
        handling = SERVICE.replace(
            "try:\n",
            'signal.signal(signal.SIGUSR1, lambda number, frame: note("was signalled"))\ntry:\n',
        )
        service = Service(start, servers, handling)
        (pid,) = service.wait_for("began")
        Process.at(pid).signal(signal.SIGUSR1)
        assert service.wait_for("was signalled") == [pid]

    @pytest.mark.root
    def test_it_runs_as_the_groups_user(self, start, servers):
        service = Service(start, servers, options="user=games")
        (pid,) = service.wait_for("began")
        assert Process.at(pid).user == 5

    @pytest.mark.provokes("WSGI1125")
    @pytest.mark.differs("a request for a group without threads is refused at once", run=False)
    def test_it_serves_no_requests(self, start, servers):
        service = Service(start, servers)
        service.wait_for("began")
        service.server.configure([*service_group(), Mount("/app", "${apps}/interpreter.wsgi", "service")])
        service.server.graceful()
        assert service.server.get("/app").status_code == 500


def _lives(pid: int) -> bool:
    try:
        return Process.at(pid).is_alive
    except ProcessLookupError:
        return False
