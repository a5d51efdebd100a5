"""When a process is replaced although it works: limits, signals, and the time its requests have to finish.

The options are times of whole seconds, so that 1 is the shortest; all else waits for conditions.
"""

from __future__ import annotations

import signal
import tempfile
import time
from pathlib import Path

import pytest

from harness import log_lines
from harness.config import MAIN, Group, Lines, Mount, Use
from harness.marks import PROCESS_ABORTED, PROCESS_DIED, REQUEST_LOST
from harness.processes import Process
from harness.wait import wait_until


class TestMaximumRequests:
    def test_the_process_is_replaced(self, site):
        site = site("threads=1 maximum-requests=5")
        pids = [site.pid() for _ in range(10)]
        assert len(set(pids)) == 2
        assert pids == [pids[0]] * 5 + [pids[5]] * 5
        site.wait_for_shutdown("maximum_requests")

    def test_each_process_counts_its_own(self, site):
        site = site("processes=2 threads=1 maximum-requests=5")
        pids = [site.pid() for _ in range(25)]
        assert all(pids.count(pid) <= 5 for pid in pids)
        site.wait_for_shutdown("maximum_requests", count=2)

    def test_requests_under_way_finish(self, site):
        site = site("threads=2 maximum-requests=3")
        with site.waiting("held") as held:
            pid = site.wait_for_entry("held")
            for _ in range(6):
                site.pid()
            site.release("held")
            assert int(held.response()[1].data) == pid
        assert site.wait_for_successor(pid)
        site.wait_for_shutdown("maximum_requests")

    @REQUEST_LOST
    @PROCESS_ABORTED
    @pytest.mark.differs("the time to finish is not prolonged by further requests", run=False)
    def test_their_time_is_not_prolonged_by_others(self, site):
        site = site("threads=3 maximum-requests=2 graceful-timeout=1 shutdown-timeout=1")
        with site.waiting("held") as held:
            process = Process.at(site.wait_for_entry("held"))
            deadline = time.monotonic() + 20
            while process.is_alive and time.monotonic() < deadline:
                site.pid()
            assert not process.is_alive
            assert held.response()[0].status == 502
        site.wait_for_shutdown("maximum_requests")


class TestRestartInterval:
    def test_an_idle_process(self, site):
        site = site("restart-interval=1")
        pid = site.pid()
        wait_until(lambda: not _exists(pid), "the process to end")
        site.wait_for_shutdown("restart_interval")
        assert site.pid() != pid

    def test_a_request_under_way_finishes(self, site):
        site = site("restart-interval=1")
        with site.waiting("held") as held:
            pid = site.wait_for_entry("held")
            site.wait_for_shutdown("restart_interval")
            site.release("held")
            assert int(held.response()[1].data) == pid
        assert site.wait_for_successor(pid)

    def test_it_is_not_tied_to_the_deadlock_timeout(self, site):
        site = site("restart-interval=1 deadlock-timeout=0")
        site.pid()
        if not site.server.lane.is_reference:
            site.wait_for_shutdown("restart_interval")


class TestInactivityTimeout:
    def test_a_process_without_requests_for_some_time(self, site):
        site = site("inactivity-timeout=1")
        pid = site.pid()
        site.wait_for_shutdown("inactivity_timeout")
        assert site.wait_for_successor(pid)

    def test_a_long_quiet_request_is_not_inactivity(self, site):
        site = site("inactivity-timeout=1")
        # The first one: before it the process is not idle, it has had none.
        with site.waiting("held") as held:
            pid = site.wait_for_entry("held")
            time.sleep(2)
            pattern = log_lines.shutdown(site.server.lane, "inactivity_timeout")
            assert not site.server.error_log.find(pattern)
            site.release("held")
            assert int(held.response()[1].data) == pid

    def test_a_process_that_never_had_a_request(self, site):
        site = site("inactivity-timeout=1", parts=[Mount("/other", "${apps}/interpreter.wsgi")])
        time.sleep(2)
        assert not site.server.error_log.find(log_lines.shutdown(site.server.lane, "inactivity_timeout"))

    @pytest.mark.server("httpd")
    def test_requests_that_are_no_activity(self, site):
        quiet = Lines('<Location "/app/count">\nWSGIIgnoreActivity On\n</Location>')
        site = site("inactivity-timeout=1", [quiet])
        pid = site.pid()
        deadline = time.monotonic() + 20
        pattern = log_lines.shutdown(site.server.lane, "inactivity_timeout")
        while not site.server.error_log.find(pattern):
            assert time.monotonic() < deadline, "requests that are no activity kept the process alive"
            site.get("/count", id="1")
            time.sleep(0.1)
        assert site.wait_for_successor(pid)


class TestCpuTimeLimit:
    def test_the_request_finishes_and_the_process_is_replaced(self, site):
        site = site("cpu-time-limit=1")
        pid = site.pid()
        assert site.get("/spin", seconds=1.5).text == "spun"
        assert site.wait_for_successor(pid)
        site.wait_for_shutdown("cpu_time_limit")

    @REQUEST_LOST
    @PROCESS_DIED
    def test_the_hard_limit_ends_it(self, site):
        """The kernel kills a process that goes on computing."""
        site = site("cpu-time-limit=1 graceful-timeout=20 shutdown-timeout=1 threads=2")
        process = site.process()
        assert site.get("/spin", seconds=20).status_code == 502
        # Its connections end before it is gone altogether.
        wait_until(lambda: not process.is_alive, "the process to end")
        assert site.pid() != process.pid


class TestSignals:
    @pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
    def test_shutdown(self, site, name):
        site = site()
        process = site.process()
        process.signal(signal.Signals[name])
        wait_until(lambda: not process.is_alive, "the process to end")
        site.wait_for_shutdown("shutdown_signal")
        assert site.pid() != process.pid

    @pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
    def test_shutdown_lets_requests_finish(self, site, name):
        """Within the shutdown timeout."""
        site = site("shutdown-timeout=20")
        with site.waiting("held") as held:
            process = Process.at(site.wait_for_entry("held"))
            process.signal(signal.Signals[name])
            site.wait_for_shutdown("shutdown_signal")
            site.release("held")
            assert int(held.response()[1].data) == process.pid

    def test_eviction_of_an_idle_process(self, site):
        site = site("graceful-timeout=60 shutdown-timeout=60")
        process = site.process()
        process.signal(signal.SIGUSR1)
        wait_until(lambda: not process.is_alive, "the process to end")
        site.wait_for_shutdown("graceful_signal")
        assert site.pid() != process.pid

    @pytest.mark.parametrize(
        ("options", "reason"),
        [("eviction-timeout=20", "eviction_signal"), ("graceful-timeout=20", "graceful_signal")],
    )
    def test_eviction_lets_requests_finish(self, site, options, reason):
        site = site(options)
        with site.waiting("held") as held:
            process = Process.at(site.wait_for_entry("held"))
            process.signal(signal.SIGUSR1)
            site.wait_for_shutdown(reason)
            site.release("held")
            assert int(held.response()[1].data) == process.pid
        wait_until(lambda: not process.is_alive, "the process to end")

    @REQUEST_LOST
    @PROCESS_ABORTED
    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            ("eviction-timeout=1 graceful-timeout=60", "eviction_signal"),
            ("graceful-timeout=1", "graceful_signal"),
        ],
    )
    def test_the_window_of_eviction_ends(self, site, options, reason):
        site = site(f"{options} shutdown-timeout=1")
        with site.waiting("held") as held:
            process = Process.at(site.wait_for_entry("held"))
            process.signal(signal.SIGUSR1)
            assert held.response()[0].status == 502
        site.wait_for_shutdown(reason)
        site.server.error_log.wait_for("Shutdown timeout expired; aborting daemon process 'g'")
        wait_until(lambda: not process.is_alive, "the process to end")

    @pytest.mark.parametrize("name", ["SIGHUP", "SIGUSR2"])
    def test_those_for_the_application_leave_it_alone(self, site, name):
        site = site()
        pid = site.pid()
        Process.at(pid).signal(signal.Signals[name])
        assert [site.pid() for _ in range(5)] == [pid] * 5

    def test_a_signal_from_within(self, site):
        """A process that ends itself is replaced as well."""
        site = site()
        pid = int(site.pid())
        site.get("/kill", signal="SIGTERM")
        assert site.wait_for_successor(pid)
        site.wait_for_shutdown("shutdown_signal")

    def test_a_pipe_that_broke_is_an_error_to_python(self, start):
        """As in any Python, SIGPIPE is ignored."""
        server = start(
            [Group("g"), Mount("/app", "${root}/app.wsgi", "g", MAIN)],
            files={
                "app.wsgi": "import os\n"
                "def application(environ, start_response):\n"
                "    start_response('200 OK', [])\n"
                "    reader, writer = os.pipe()\n"
                "    os.close(reader)\n"
                "    try:\n"
                "        os.write(writer, b'x')\n"
                "    except BrokenPipeError:\n"
                "        return [b'broken']\n"
                "    finally:\n"
                "        os.close(writer)\n"
            },
        )
        assert server.get("/app").text == "broken"


class TestShutdownTimeout:
    @REQUEST_LOST
    @PROCESS_ABORTED
    def test_a_process_that_does_not_end_is_killed(self, site):
        site = site("shutdown-timeout=1")
        with site.waiting("held", "/uninterruptible") as held:
            process = Process.at(site.wait_for_entry("held"))
            began = time.monotonic()
            process.signal(signal.SIGTERM)
            assert held.response()[0].status == 502
            assert time.monotonic() - began < 5
        site.server.error_log.wait_for("Shutdown timeout expired; aborting daemon process 'g'")
        wait_until(lambda: not process.is_alive, "the process to end")

    def test_never(self, site):
        """0 leaves a process that is told to end all the time its requests need."""
        site = site("shutdown-timeout=0")
        with site.waiting("held") as held:
            process = Process.at(site.wait_for_entry("held"))
            process.signal(signal.SIGTERM)
            site.wait_for_shutdown("shutdown_signal")
            time.sleep(1.5)
            assert process.is_alive
            site.release("held")
            assert int(held.response()[1].data) == process.pid
        wait_until(lambda: not process.is_alive, "the process to end")
        assert not site.server.error_log.find("Shutdown timeout expired")


class TestExit:
    """A process that ends by itself."""

    @REQUEST_LOST
    @pytest.mark.allows("WSGI1202")
    def test_it_is_replaced(self, site):
        site = site()
        pid = site.pid()
        assert site.get("/exit", code=0).status_code == 502
        assert site.pid() != pid
        site.server.error_log.wait_for(log_lines.died("g", pid))
        site.server.error_log.wait_for(rf"\(pid={pid}\).*exit code 0")

    @REQUEST_LOST
    @PROCESS_DIED
    @pytest.mark.differs("an exit code is not taken for a signal")
    def test_its_exit_code_is_told(self, site):
        site = site()
        pid = site.pid()
        assert site.get("/exit", code=3).status_code == 502
        site.server.error_log.wait_for(rf"\(pid={pid}\).*exit code 3")

    @REQUEST_LOST
    @PROCESS_DIED
    def test_its_signal_is_told(self, site):
        site = site()
        pid = site.pid()
        assert site.get("/kill", signal="SIGKILL").status_code == 502
        assert site.pid() != pid
        site.server.error_log.wait_for(log_lines.died("g", pid))
        site.server.error_log.wait_for(rf"\(pid={pid}\).*signal 9")

    @REQUEST_LOST
    @PROCESS_DIED
    @pytest.mark.differs("a request that was lost is logged with the process, its end and the request")
    def test_what_was_lost_is_told(self, site):
        site = site()
        pid = site.pid()
        since = site.server.error_log.position()
        site.get("/kill", signal="SIGKILL")
        site.server.settle()
        (entry,) = [
            entry for entry in site.server.error_log.entries(since) if entry.client and entry.is_alarming
        ]
        for part in (str(pid), "SIGKILL", "/app/kill"):
            assert part in str(entry)

    def test_atexit_runs(self, start, servers):
        record = Path(tempfile.mkdtemp(prefix="atexit-", dir=servers.folder))
        record.chmod(0o777)
        server = start(
            [
                Group("g"),
                Use("g"),
                Mount("/main", "${root}/app.wsgi", application_group=MAIN),
                Mount("/sub", "${root}/app.wsgi", application_group="sub"),
            ],
            files={
                "app.wsgi": "import atexit, os, pathlib\n"
                "name = __import__('mod_wsgi').application_group or 'main'\n"
                f"atexit.register(lambda: pathlib.Path({str(record)!r}, name).write_text('bye'))\n"
                "def application(environ, start_response):\n"
                "    start_response('200 OK', [])\n"
                "    return [str(os.getpid()).encode()]\n"
            },
        )
        server.get("/sub")
        Process.at(int(server.get("/main").text)).signal(signal.SIGTERM)
        wait_until(lambda: sorted(path.name for path in record.iterdir()) == ["main", "sub"], "atexit to run")


def _exists(pid: int) -> bool:
    try:
        return Process.at(pid).is_alive
    except ProcessLookupError:
        return False
