"""The supervisor's own life, and what becomes of the processes of a server that ends in any way."""

from __future__ import annotations

import contextlib
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.config import MAIN, Group, Lines, Mount
from harness.marks import START_FAILED
from harness.processes import Process
from harness.server import ServerStartError
from harness.wait import wait_until

OWN = "there is a supervisor"
GROUPS = [Group("one", "processes=2"), Group("two", "processes=3")]


def starter(server) -> int:
    """Who starts the supervisor: httpd's parent; for nginx, whose master has no hook for that, a keeper."""
    if server.lane.server == "httpd":
        return server.process.pid
    (keeper,) = server.keepers()
    return keeper.pid


@pytest.mark.differs(OWN)
def test_one_supervisor_starts_the_processes_of_all_groups(start):
    server = start(GROUPS)
    (supervisor,) = server.supervisors()
    assert supervisor.parent == starter(server)
    assert (
        len(wait_until(lambda: len(supervisor.children()) == 5 and supervisor.children(), "five processes"))
        == 5
    )


def test_without_groups_there_is_none(start):
    assert start([Lines('WSGIScriptAlias /app "${apps}/interpreter.wsgi"')]).supervisors() == []


def test_a_server_is_ready_when_its_groups_are(site):
    """The first request finds a process that takes it."""
    assert site().get("/pid").status_code == 200


class TestEnd:
    @pytest.fixture
    def everyone(self, site):
        # Nobody who ends because its time is up ends soon.
        patient = "shutdown-timeout=60"
        groups = [Group("one", f"processes=2 {patient}"), Group("two", f"processes=3 {patient}")]
        made = site(f"processes=2 {patient}", groups)
        made.pid()

        def are_all_there() -> bool:
            if made.server.lane.is_reference:
                return len(made.server.processes()) >= 9
            return sum(len(supervisor.children()) for supervisor in made.server.supervisors()) == 7

        wait_until(are_all_there, "every process of the server")
        return made, made.server.processes()

    def test_stop(self, everyone):
        site, processes = everyone
        began = time.monotonic()
        site.server.stop()
        assert not any(process.is_alive for process in processes)
        assert time.monotonic() - began < 20
        assert list((site.server.root / "run").glob("*.sock")) == []

    def test_graceful_stop(self, everyone):
        site, processes = everyone
        site.server.graceful_stop()
        assert not any(process.is_alive for process in processes)
        assert list((site.server.root / "run").glob("*.sock")) == []

    def test_restart(self, everyone):
        """At once, with new processes. nginx has none but the graceful one."""
        site, _processes = everyone
        process = site.process()
        site.server.restart()
        assert site.pid() != process.pid
        wait_until(lambda: not process.is_alive, "the process of the past generation to end")

    @pytest.mark.differs("nothing outlives the server, however it ends", run=False)
    def test_the_parent_is_killed(self, everyone):
        site, processes = everyone
        own = site.server.own_processes()
        site.server.process.kill()
        site.server.process.wait(10)
        for process in own:
            process.signal(signal.SIGKILL)  # the server's own children live on: that is the server's affair
        site.server.wait_until_gone(processes)

    @pytest.mark.allows("WSGI0146")  # by the children of httpd that live on
    @pytest.mark.differs("nothing outlives the server, however it ends", run=False)
    def test_the_parent_is_killed_with_requests_under_way(self, site):
        site = site("shutdown-timeout=60 graceful-timeout=60")
        with site.waiting("never", "/uninterruptible"):
            process = Process.at(site.wait_for_entry("never"))
            (supervisor,) = site.server.supervisors()
            everyone = site.server.processes()
            site.server.process.kill()
            site.server.process.wait(10)
            wait_until(lambda: not process.is_alive, "the process to end")
            wait_until(lambda: not supervisor.is_alive, "the supervisor to end")
            for process in everyone:
                process.signal(signal.SIGKILL)

    @pytest.mark.differs("nothing outlives the server, however it ends", run=False)
    def test_supervisor_and_parent_are_killed(self, everyone):
        """Orphans of the supervisor learn of the server's end themselves."""
        site, processes = everyone
        (supervisor,) = site.server.supervisors()
        workers = supervisor.children()
        assert len(workers) >= 7
        Process.at(starter(site.server)).signal(signal.SIGSTOP)  # so that it starts no other
        supervisor.signal(signal.SIGKILL)
        site.server.process.kill()
        site.server.process.wait(10)
        wait_until(lambda: not any(worker.is_alive for worker in workers), "the workers to end")
        for process in processes:
            process.signal(signal.SIGKILL)

    @pytest.mark.allows(r"WSGI12\d\d")
    @pytest.mark.differs("nothing outlives the server, however it ends", run=False)
    def test_a_process_that_is_stopped(self, site):
        """SIGSTOP makes it deaf; the end of the server does not depend on it."""
        site = site("shutdown-timeout=1")
        process = site.process()
        process.signal(signal.SIGSTOP)
        began = time.monotonic()
        site.server.stop()
        assert time.monotonic() - began < 10
        assert not process.is_alive

    @pytest.mark.differs("nothing outlives the server, however it ends", run=False)
    def test_what_a_process_has_started(self, start):
        """A child of the application ends with the server too when it is in its process group."""
        server = start(
            [Group("g"), Mount("/app", "${root}/app.wsgi", "g", MAIN)],
            files={
                "app.wsgi": "import subprocess\n"
                "def application(environ, start_response):\n"
                "    start_response('200 OK', [])\n"
                "    return [str(subprocess.Popen(['sleep', '60']).pid).encode()]\n"
            },
        )
        child = Process.at(int(server.get("/app").text))
        server.stop()
        wait_until(lambda: not child.is_alive, "the child of the application to end")


@pytest.mark.differs("a killed supervisor is replaced", run=False)
@pytest.mark.provokes(r"WSGI11[56]\d|WSGI12\d\d")
class TestReplacement:
    @pytest.fixture
    def replaced(self, site):
        def make(options=""):
            made = site(options)
            workers = [made.process()]
            (old,) = made.server.supervisors()
            old.signal(signal.SIGKILL)
            new = wait_until(
                lambda: next((one for one in made.server.supervisors() if one != old), None),
                "another supervisor",
            )
            return made, workers[0], new

        return make

    def test_another_one_is_started(self, replaced):
        site, _worker, new = replaced()
        assert new.parent == starter(site.server)
        assert site.get("/pid").status_code == 200

    def test_orphans_serve_until_there_are_others(self, replaced):
        site, worker, new = replaced()
        later = site.wait_for_successor(worker.pid)
        assert Process.at(later).parent == new.pid
        wait_until(lambda: not worker.is_alive, "the orphan to end")

    def test_requests_of_orphans_finish(self, site):
        site = site("threads=2")
        (old,) = site.server.supervisors()
        with site.waiting("held") as held:
            worker = Process.at(site.wait_for_entry("held"))
            old.signal(signal.SIGKILL)
            assert site.wait_for_successor(worker.pid)
            site.release("held")
            assert int(held.response()[1].data) == worker.pid
        wait_until(lambda: not worker.is_alive, "the orphan to end")

    def test_it_does_its_work(self, replaced):
        """Starts processes in place of those that end, and ends with the server."""
        site, worker, _new = replaced()
        later = Process.at(site.wait_for_successor(worker.pid))
        wait_until(lambda: not worker.is_alive, "the orphan to end")
        later.signal(signal.SIGTERM)
        assert site.wait_for_successor(later.pid)
        everyone = site.server.processes()
        site.server.stop()
        assert not any(process.is_alive for process in everyone)

    def test_one_that_was_told_to_end(self, site):
        """Its processes end with it; those of the next one are found where these were."""
        site = site()
        worker = site.process()
        (old,) = site.server.supervisors()
        old.signal(signal.SIGTERM)
        wait_until(lambda: not worker.is_alive, "the process to end")
        wait_until(lambda: [one for one in site.server.supervisors() if one != old], "another supervisor")
        assert site.get("/pid").status_code == 200
        site.server.stop()
        assert list((site.server.root / "run").glob("*.sock")) == []

    def test_a_graceful_restart_after_it(self, replaced):
        site, _worker, new = replaced()
        site.server.graceful()
        assert site.get("/pid").status_code == 200
        wait_until(lambda: not new.is_alive, "the supervisor of the past generation to end")
        assert len(site.server.supervisors()) == 1


@pytest.mark.differs(OWN, run=False)
class TestGenerations:
    def test_a_graceful_restart_has_a_supervisor_of_its_own(self, site):
        site = site("processes=2")
        (old,) = site.server.supervisors()
        workers = old.children()
        site.server.graceful()
        wait_until(lambda: not old.is_alive, "the supervisor of the past generation to end")
        assert not any(worker.is_alive for worker in workers)
        assert len(site.server.supervisors()) == 1

    def test_it_reads_the_groups_anew(self, start, servers):
        app = (servers.folder / "apps" / "daemon" / "site.wsgi").read_text()

        def named(name):
            return [Group(name), Mount("/app", "${root}/site/app.wsgi", name, MAIN)]

        server = start(named("old"), files={"site/app.wsgi": app})
        assert server.get("/app").json()["process group"] == "old"
        server.configure(named("new"))
        server.graceful()
        assert server.get("/app").json()["process group"] == "new"

    @pytest.fixture
    def slow(self, start):
        """A server with a quick site, and one whose script takes as long as a file is there from now on."""
        answer = (
            "def application(environ, start_response):\n"
            "    start_response('200 OK', [('Content-Type', 'text/plain')])\n"
            "    return [b'here']\n"
        )
        sleeper = (
            "import pathlib, time\n"
            "deadline = time.monotonic() + 60\n"
            "while pathlib.Path(__file__).with_name('sleep').exists() and time.monotonic() < deadline:\n"
            "    time.sleep(0.05)\n"
        )
        server = start(
            """
            WSGIDaemonProcess quick
            WSGIDaemonProcess slow
            WSGIScriptAlias /quick "${root}/quick.wsgi" process-group=quick application-group=%{GLOBAL}
            WSGIScriptAlias /slow "${root}/slow.wsgi" process-group=slow application-group=%{GLOBAL}
            """,
            files={"quick.wsgi": answer, "slow.wsgi": sleeper + answer},
        )
        server.write("sleep", "")
        return server

    # nginx goes on with the old configuration until the groups of the new one are there.
    @pytest.mark.server("httpd")
    def test_a_site_that_takes_long_to_start_holds_up_no_other(self, slow):
        """Its own requests wait for it."""
        slow.graceful()
        assert slow.get("/quick").text == "here"
        with ThreadPoolExecutor(1) as pool:
            waits = pool.submit(slow.get, "/slow")
            wait_until(lambda: slow.busy() >= 2, "the request to have begun")
            time.sleep(1)
            assert not waits.done()
            (slow.root / "sleep").unlink()
            assert waits.result().text == "here"

    @pytest.mark.server("httpd")
    @pytest.mark.provokes("WSGI1153")
    def test_one_that_is_killed_while_it_starts(self, slow):
        """Another one is started, and the processes of the first end."""
        before = slow.supervisors()
        since = slow.error_log.position()
        slow.process.send_signal(signal.SIGUSR1)
        first = wait_until(
            lambda: next((one for one in slow.supervisors() if one not in before and one.children()), None),
            "the next supervisor and its processes",
        )
        orphans = first.children()
        first.signal(signal.SIGKILL)
        slow.error_log.wait_for("resuming normal operations", since, timeout=30)
        assert slow.get("/quick").text == "here"
        (slow.root / "sleep").unlink()
        assert slow.get("/slow").text == "here"
        wait_until(lambda: not any(orphan.is_alive for orphan in orphans), "its processes to end", timeout=30)

    # Under nginx its keeper replaces it.
    @pytest.mark.provokes("WSGI1153", on="nginx")
    def test_one_that_is_killed_when_its_generation_has_ended(self, site):
        """Httpd does not replace it, and its processes end with the last request."""
        site = site("threads=2")
        (old,) = site.server.supervisors()
        with site.waiting("held") as held:
            worker = Process.at(site.wait_for_entry("held"))
            site.server.graceful()
            old.signal(signal.SIGKILL)
            site.release("held")
            assert int(held.response()[1].data) == worker.pid
        wait_until(lambda: not worker.is_alive, "the orphan to end")

    @pytest.mark.server("httpd")
    def test_children_of_a_generation_without_groups_have_no_part_in_the_lifeline(self, site):
        """It tells processes of earlier generations that httpd's parent lives, so only that may hold it."""
        site = site("threads=2")
        (old,) = site.server.supervisors()
        number = next(word for word in old.command if word.startswith("--lifeline=")).partition("=")[2]
        lifeline = old.descriptors()[int(number)]
        with site.waiting("held") as held:
            worker = site.wait_for_entry("held")
            site.server.configure("")
            site.server.graceful()

            def holders() -> list[int]:
                found = []
                for process in site.server.own_processes():
                    with contextlib.suppress(ProcessLookupError):
                        if lifeline in process.descriptors().values():
                            found.append(process.pid)
                return found

            # An old child holds it for as long as it lives, if at all; a new one gives it up when it begins.
            wait_until(
                lambda: holders() == [site.server.process.pid], "the parent alone to hold the lifeline"
            )
            site.release("held")
            assert int(held.response()[1].data) == worker

    def test_nothing_piles_up(self, site):
        site = site("processes=2")
        site.pid()
        before = len(site.server.processes())
        parent = Process.at(site.server.process.pid)
        site.server.graceful()
        wait_until(lambda: len(site.server.supervisors()) == 1, "one supervisor")
        descriptors = len(parent.descriptors())
        for _ in range(5):
            site.server.graceful()
        wait_until(
            lambda: len(site.server.processes()) <= before + 1, "the processes of the past generations to end"
        )
        wait_until(lambda: len(parent.descriptors()) <= descriptors, "descriptors to be closed")
        sockets = site.server.root / "run"
        wait_until(lambda: len(list(sockets.glob("*.sock"))) <= 1, "past generations' sockets to go")

    def test_configtest_starts_nothing(self, site):
        site = site()
        before = {process.pid for process in site.server.processes()}
        assert site.server.configtest().returncode == 0
        assert {process.pid for process in site.server.processes()} == before


BROKEN_LATER = """#!/bin/bash
test -e {folder}/broken && {{ echo attempt >> {folder}/attempts; echo "not today" >&2; exit 7; }}
exec -a "$0" {python} "$@"
"""


@pytest.mark.differs("a group that cannot start fails the server's start", run=False)
class TestGroupThatCannotStart:
    @pytest.fixture
    def home(self, lane, servers):
        """A Python that can be broken: it notes how often it was tried then."""
        folder = servers.folder / f"breakable-{time.monotonic_ns()}"
        (folder / "bin").mkdir(parents=True)
        folder.chmod(0o777)
        python = lane.readable_python
        (folder / "pyvenv.cfg").write_text(
            f"home = {python.home}/bin\nversion = {'.'.join(map(str, python.version))}\n"
        )
        for name in ("python", "python3"):
            path = folder / "bin" / name
            path.write_text(BROKEN_LATER.format(folder=folder, python=python.executable.resolve()))
            path.chmod(0o755)
        return folder

    @pytest.mark.provokes("WSGI1203")
    @pytest.mark.allows("WSGI1202", "not today")
    def test_a_process_that_cannot_start_is_tried_again_ever_later(self, site, home):
        made = site(f'python-home="{home}"')
        process = made.process()
        (home / "broken").touch()
        since, began = made.server.error_log.position(), time.monotonic()
        process.signal(signal.SIGKILL)

        def attempts():
            path = home / "attempts"
            return len(path.read_text().splitlines()) if path.exists() else 0

        wait_until(lambda: attempts() >= 4, "four attempts")
        assert attempts() <= 8
        took = time.monotonic() - began
        assert took >= 0.5, "four attempts came without a pause"
        entries = made.server.error_log.wait_for("WSGI1203", since, count=3)
        assert all("'g'" in entry.text for entry in entries)
        assert any("not today" in entry.text for entry in entries)
        (home / "broken").unlink()
        assert made.get("/pid").status_code == 200

    @START_FAILED
    def test_the_server_does_not_start(self, new_server, home):
        """What is only found out by the start itself stops the server, with the reason."""
        server = new_server([Group("shop", f'python-home="{home}" home="/no/such/folder"')])
        with pytest.raises(ServerStartError, match="shop") as raised:
            server.start()
        assert "/no/such/folder" in str(raised.value)

    @START_FAILED
    @pytest.mark.root
    def test_a_socket_that_cannot_be_made(self, new_server):
        prefix = Lines("WSGISocketPrefix /proc/no/wsgi", nginx_http="wsgi_socket_prefix /proc/no/wsgi;")
        server = new_server([prefix, Group("shop")])
        with pytest.raises(ServerStartError, match="shop") as raised:
            server.start()
        assert "/proc/no/wsgi" in str(raised.value)

    @START_FAILED
    def test_nothing_is_left_of_it(self, new_server):
        server = new_server([Group("good", "processes=2"), Group("shop", 'home="/no/such/folder"')])
        with pytest.raises(ServerStartError):
            server.start()
        wait_until(lambda: server.processes() == [], "every process to end")
        assert list((server.root / "run").glob("*.sock")) == []

    @pytest.mark.provokes("shop")
    def test_a_restart_goes_on_without_it(self, site, lane):
        """A running server does not end for one new group; nginx keeps the configuration it has."""
        made = site()
        made.configure([Group("shop", 'home="/no/such/folder"')])
        if lane.server == "nginx":
            with pytest.raises(AssertionError, match="was not taken"):
                made.server.graceful()
        else:
            made.server.graceful()
        assert made.get("/pid").status_code == 200


@pytest.mark.differs("the server holds no Python")
def test_the_server_holds_no_python(site):
    """Neither its parent nor the children that serve no embedded application."""
    site = site()
    site.pid()
    ours = {process.pid for supervisor in site.server.supervisors() for process in supervisor.children()}
    for process in site.server.processes():
        if process.pid not in ours:
            assert "libpython" not in Path(f"/proc/{process.pid}/maps").read_text()
