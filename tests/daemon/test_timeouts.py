"""Requests, scripts and clients that take too long.

The options are times of whole seconds, so that 1 is the shortest; all else waits for conditions.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness import log_lines
from harness.config import Lines, Mount
from harness.httpd import Mpm
from harness.marks import PROCESS_ABORTED, REQUEST_LOST
from harness.processes import Process
from harness.wait import wait_until


def took(began: float) -> float:
    return time.monotonic() - began


def wait_for_stack(site) -> None:
    """Wait until it is logged, at info, that a thread was waiting in the application."""
    level = ":".join(filter(None, (site.server.lane.log_module, "info")))
    wait_until(
        lambda: re.search(
            rf"\[{level}\] .*app\.wsgi.*, in wait$", site.server.error_log.text(), re.MULTILINE
        ),
        "the stack of a thread",
    )


class TestRequestTimeout:
    @REQUEST_LOST
    @PROCESS_ABORTED
    def test_the_process_is_replaced(self, site):
        site = site("threads=1 request-timeout=1 graceful-timeout=1 shutdown-timeout=1")
        pid = site.pid()
        began = time.monotonic()
        assert site.get("/uninterruptible", name="never").status_code == 502
        assert 1 <= took(began) < 10
        site.wait_for_shutdown("request_timeout")
        assert site.pid() != pid

    @REQUEST_LOST
    @PROCESS_ABORTED
    def test_what_the_threads_were_doing_is_logged(self, site):
        """All of them, at info."""
        site = site("threads=1 request-timeout=1 graceful-timeout=1 shutdown-timeout=1")
        site.get("/uninterruptible", name="never")
        site.server.error_log.wait_for("Dumping stack trace")
        wait_for_stack(site)

    @REQUEST_LOST
    @PROCESS_ABORTED
    def test_it_grows_with_the_threads(self, site):
        """1 s * (1 + ln 3) is 2.1 s."""
        site = site("threads=3 request-timeout=1 graceful-timeout=1 shutdown-timeout=1")
        began = time.monotonic()
        assert site.get("/uninterruptible", name="never").status_code == 502
        assert took(began) >= 2

    @REQUEST_LOST
    @PROCESS_ABORTED
    @pytest.mark.differs("deadlock-timeout=0 does not turn other timeouts off", run=False)
    def test_it_is_not_tied_to_the_deadlock_timeout(self, site):
        site = site("threads=1 request-timeout=1 deadlock-timeout=0 graceful-timeout=1 shutdown-timeout=1")
        assert site.get("/uninterruptible", name="never").status_code == 502
        site.wait_for_shutdown("request_timeout")

    def test_a_request_in_time(self, site):
        site = site("threads=1 request-timeout=10")
        pid = site.pid()
        assert site.get("/sleep", seconds=1).text == "slept"
        assert site.pid() == pid

    @REQUEST_LOST
    @PROCESS_ABORTED
    def test_the_other_requests_finish(self, site):
        """Those that are not too old have the graceful timeout."""
        site = site("threads=2 request-timeout=2 graceful-timeout=10 shutdown-timeout=1")
        with site.waiting("never", "/uninterruptible") as stuck:
            time.sleep(2)
            pid = site.wait_for_entry("never")
            assert site.get("/sleep", seconds=2).text == "slept"
            assert stuck.response()[0].status == 502
        assert site.wait_for_successor(pid)

    @REQUEST_LOST
    @PROCESS_ABORTED
    def test_requests_go_to_other_processes_meanwhile(self, site):
        site = site("processes=2 threads=1 request-timeout=3 graceful-timeout=3 shutdown-timeout=3")
        with site.waiting("never", "/uninterruptible") as stuck, ThreadPoolExecutor(1) as pool:
            ended = pool.submit(lambda: stuck.response()[0].status)
            longest = 0.0
            while not ended.done():
                began = time.monotonic()
                assert site.get("/pid").status_code == 200
                longest = max(longest, took(began))
            assert ended.result() == 502
            # None waited through one of the three times that the end of the other took.
            assert longest < 3


class TestInterruptTimeout:
    def test_an_exception_is_raised_in_the_request(self, site):
        """Which then is answered 504; the process lives on."""
        site = site("threads=1 request-timeout=2 interrupt-timeout=5")
        pid = site.pid()
        assert site.get("/wait", name="never").status_code == 504
        site.server.error_log.wait_for("Injected RequestTimeout into thread")
        site.server.error_log.wait_for("Request interrupted by RequestTimeout; thread recovered")
        assert site.pid() == pid

    def test_the_stack_is_logged_first(self, site):
        site = site("threads=1 request-timeout=1 interrupt-timeout=5")
        site.get("/wait", name="never")
        wait_for_stack(site)

    def test_after_the_head_the_reply_breaks(self, site):
        site = site("threads=1 request-timeout=1 interrupt-timeout=5")
        with site.server.raw() as connection:
            connection.request("GET /app/stream?name=never", "Connection: close")
            head, body = connection.response()
            assert head.status == 200
            assert int(body.data)
            if not site.server.lane.is_reference:
                assert not body.is_complete
        site.server.error_log.wait_for("after headers sent; response truncated")

    @REQUEST_LOST
    @PROCESS_ABORTED
    def test_a_request_that_goes_on_regardless(self, site):
        site = site("threads=1 request-timeout=1 interrupt-timeout=1 graceful-timeout=1 shutdown-timeout=1")
        pid = site.pid()
        assert site.get("/uninterruptible", name="never").status_code == 502
        assert "RequestTimeout" in (site.shared / "never.refused").read_text()
        site.wait_for_shutdown("request_timeout")
        assert site.pid() != pid

    def test_the_next_request_is_left_alone(self, site):
        """The exception never reaches a request it was not meant for."""
        site = site("threads=1 request-timeout=2 interrupt-timeout=10")
        for _ in range(2):
            assert site.get("/wait", name="never").status_code == 504
            assert [site.get("/pid").status_code for _ in range(10)] == [200] * 10


class TestDeadlockTimeout:
    @REQUEST_LOST
    @PROCESS_ABORTED
    @pytest.mark.provokes(r"^(Thread|Current thread) 0x", on="oxwsgi")
    def test_a_process_whose_lock_is_held(self, site):
        site = site("threads=2 deadlock-timeout=1 shutdown-timeout=1")
        pid = site.pid()
        began = time.monotonic()
        assert site.get("/hold", seconds=30).status_code == 502
        assert 1 <= took(began) < 10
        site.wait_for_shutdown("deadlock_timeout")
        assert site.pid() != pid
        if not site.server.lane.is_reference:

            def stacks() -> str:
                return "\n".join(str(entry) for entry in site.server.error_log.find(r"^Thread 0x"))

            pattern = re.compile(r"app\.wsgi.*, line \d+ in hold$", re.MULTILINE)
            wait_until(lambda: pattern.search(stacks()), "the stack of the thread that holds it")

    def test_a_lock_that_is_held_for_a_while(self, site):
        site = site("threads=2 deadlock-timeout=10")
        pid = site.pid()
        assert site.get("/hold", seconds=1).text == "held"
        assert site.pid() == pid


STARTING = """
import os, time
deadline = time.monotonic() + 30
while not os.path.exists({go!r}) and time.monotonic() < deadline:
    time.sleep(0.01)
def application(environ, start_response):
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
"""
SLOW = Mount("/slow", "${root}/slow.wsgi", "g")


class TestStartupTimeout:
    @pytest.fixture
    def slow(self, site, servers):
        def make(options):
            go = Path(tempfile.mkdtemp(prefix="go-", dir=servers.folder), "go")
            go.parent.chmod(0o755)
            files = {"slow.wsgi": STARTING.format(go=str(go))}
            return site(
                f"{options} startup-timeout=2 graceful-timeout=1 shutdown-timeout=1", [SLOW], files=files
            ), go

        return make

    @REQUEST_LOST
    @PROCESS_ABORTED
    def test_a_script_that_does_not_load_in_time(self, slow):
        site, go = slow("threads=2")
        assert site.server.get("/slow").status_code == 502
        site.wait_for_shutdown("startup_timeout")
        go.touch()
        assert int(site.server.get("/slow").text)

    @REQUEST_LOST
    @PROCESS_ABORTED
    @pytest.mark.differs("deadlock-timeout=0 does not turn other timeouts off", run=False)
    def test_it_is_not_tied_to_the_deadlock_timeout(self, slow):
        site, _go = slow("threads=2 deadlock-timeout=0")
        assert site.server.get("/slow").status_code == 502
        site.wait_for_shutdown("startup_timeout")

    def test_a_script_that_loads_in_time(self, slow):
        site, go = slow("threads=2")
        go.touch()
        pid = int(site.server.get("/slow").text)
        time.sleep(2.5)
        assert int(site.server.get("/slow").text) == pid


class TestSocketTimeout:
    @pytest.mark.provokes("WSGI0145|upstream timed out")
    def test_a_reply_that_does_not_begin(self, site):
        site = site("threads=2 socket-timeout=2")
        began = time.monotonic()
        with site.waiting("late") as late:
            assert late.response()[0].status == 504
            assert 2 <= took(began) < 15
            site.release("late")
        assert site.get("/pid").status_code == 200

    @pytest.mark.allows("WSGI0119", r"WSGI11[2-4]\d", "WSGI0120")
    @pytest.mark.differs("a reply that breaks off in mid-stream breaks the connection", run=False)
    def test_a_reply_that_does_not_go_on(self, site):
        site = site("threads=2 socket-timeout=2")
        with site.server.raw() as connection:
            connection.request("GET /app/stream?name=late")
            head = connection.read_head()
            began = time.monotonic()
            body = connection.read_body(head)
            assert int(body.data)
            assert not body.is_complete
            assert took(began) < 15
            site.release("late")
        assert site.get("/pid").status_code == 200

    def test_a_reply_in_time(self, site):
        site = site("threads=2 socket-timeout=10")
        assert site.get("/sleep", seconds=1).text == "slept"


@pytest.mark.provokes(r"WSGI0116|WSGI11[2-4]\d")
def test_connect_timeout(site):
    """The longest that a request waits to be taken into the queue."""
    site = site("processes=1 threads=1 listen-backlog=1 connect-timeout=1", mpm=Mpm(threads=32))
    with contextlib.ExitStack() as connections:
        held = connections.enter_context(site.waiting("held"))
        asked = [connections.enter_context(site.server.raw()) for _ in range(8)]
        for connection in asked:
            connection.request("GET /app/pid", "Connection: close")
        began, refused = time.monotonic(), []
        with ThreadPoolExecutor(8) as pool:
            answers = [pool.submit(lambda c=connection: c.response()[0].status) for connection in asked]
            wait_until(lambda: sum(answer.done() for answer in answers) >= 5, "five to be refused")
            assert took(began) < 12
            refused = [answer.result() for answer in answers if answer.done()]
            site.release("held")
            assert set(refused) == {503}
            assert held.response()[0].status == 200
            assert {answer.result() for answer in answers} == {200, 503}


@pytest.mark.server("httpd")
class TestResponseSocketTimeout:
    """nginx has `send_timeout`."""

    @pytest.mark.allows("WSGI0120", r"WSGI11[2-4]\d", "AH0", "WSGI0174", "OSError")
    def test_a_client_that_does_not_read(self, site):
        """Has its connection cut, and the thread is free."""
        site = site("processes=1 threads=1 response-socket-timeout=1")
        began = time.monotonic()
        with site.server.raw() as connection:
            connection.request("GET /app/unread?size=40000000", "Connection: close")
            connection.read_head()
            assert site.get("/pid").status_code == 200
            assert took(began) < 15
            data = connection.read_to_end()
            assert len(data) < 40_000_000

    def test_a_client_that_reads_slowly(self, site):
        site = site("processes=1 threads=1 response-socket-timeout=5")
        with site.server.raw() as connection:
            connection.request("GET /app/unread?size=40000000", "Connection: close")
            head = connection.read_head()
            time.sleep(1)
            assert len(connection.read_body(head).data) == 40_000_000


@pytest.mark.server("httpd")
@pytest.mark.differs("a server without a timeout waits for ever")
def test_a_server_without_a_timeout(site):
    site = site("threads=1", [Lines("Timeout 0")])
    assert site.get("/pid").status_code == 200


def test_unused_limits_do_nothing(site):
    """Limits far away do not disturb; nothing but the start is logged."""
    site = site(
        "processes=2 threads=2 request-timeout=60 interrupt-timeout=60 deadlock-timeout=60 "
        "inactivity-timeout=60 startup-timeout=60 restart-interval=600 maximum-requests=100000"
    )
    since = site.server.error_log.position()
    pids = {site.pid() for _ in range(50)}
    assert len(pids) <= 2
    assert all(Process.at(pid).is_alive for pid in pids)
    assert not site.server.error_log.find("Shutdown|has died", since)
    assert not site.server.error_log.find(log_lines.shutdown(site.server.lane, "request_timeout"))
