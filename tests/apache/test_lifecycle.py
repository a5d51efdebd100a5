"""Start, restart and stop: what applications see of it, and that no request is lost."""

from __future__ import annotations

import threading

import httpx
import pytest

from harness.wait import wait_until

# Waits until a file `release` lies beside it.
SLOW = """
import pathlib, threading, time

entered = threading.Event()

def application(environ, start_response):
    if environ["PATH_INFO"] == "/wait":
        entered.set()
        deadline = time.monotonic() + 20
        while not pathlib.Path(__file__).with_name("release").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
    else:
        assert entered.wait(20)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"done"]
"""

ATEXIT = """
import atexit, sys

@atexit.register
def farewell():
    print("farewell from", repr(__import__("mod_wsgi").application_group), file=sys.stderr)

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"registered"]
"""

FAREWELL = """
WSGIScriptAlias /sub "${root}/farewell.wsgi" application-group=sub
WSGIScriptAlias /main "${root}/farewell.wsgi" application-group=%{GLOBAL}
"""


class Load:
    """Clients that ask without pause and count answers that are not as they should be."""

    def __init__(self, server, clients=3):
        self.server, self.answers, self.failures = server, 0, []
        self._stopping = threading.Event()
        self._clients = [threading.Thread(target=self._ask) for _ in range(clients)]

    def __enter__(self):
        for client in self._clients:
            client.start()
        return self

    def __exit__(self, *_exc_info):
        self._stopping.set()
        for client in self._clients:
            client.join()

    def wait_for_answers(self, more):
        target = self.answers + more
        wait_until(lambda: self.answers >= target, f"{more} more answers", timeout=30)

    def _ask(self):
        while not self._stopping.is_set():
            try:
                response = self.server.get("/iteration/list")
                if (response.status_code, response.text) != (200, "abc"):
                    self.failures.append(response)
            except httpx.HTTPError as error:
                self.failures.append(error)
            self.answers += 1


DRAINS = pytest.mark.differs("a graceful restart lets daemons finish", reference="daemon", run=False)


@DRAINS
def test_a_graceful_restart_under_load_loses_nothing(start):
    server = start('WSGIScriptAlias /iteration "${apps}/iteration.wsgi"')
    with Load(server) as load:
        for _ in range(3):
            load.wait_for_answers(30)
            server.graceful()
        load.wait_for_answers(30)
    assert load.failures == []
    assert load.answers >= 120


# The threads of a child that is being replaced may all be seen before its successor's.
@pytest.mark.allows("AH00484")
@pytest.mark.differs("a child with threads ends when it is told to", reference="reference", run=False)
def test_processes_that_are_replaced_under_load_lose_nothing(start):
    server = start('WSGIScriptAlias /iteration "${apps}/iteration.wsgi"\nMaxConnectionsPerChild 20')
    with Load(server) as load:
        load.wait_for_answers(70)
    assert load.failures == []


def test_a_graceful_restart_reads_the_configuration(start):
    server = start('WSGIScriptAlias /old "${apps}/iteration.wsgi"')
    assert server.get("/old/list").text == "abc"
    server.configure('WSGIScriptAlias /new "${apps}/iteration.wsgi"')
    server.graceful()
    assert server.get("/old/list").status_code == 404
    assert server.get("/new/list").text == "abc"


@DRAINS
def test_a_graceful_restart_lets_requests_finish(start):
    server = start('WSGIScriptAlias /slow "${root}/slow.wsgi"', files={"slow.wsgi": SLOW})
    with server.raw() as waiting:
        waiting.request("GET /slow/wait")
        server.get("/slow/entered")
        server.graceful()
        server.write("release", "now")
        assert waiting.response()[1].data == b"done"


@DRAINS
@pytest.mark.differs("a child with threads ends when it is told to", reference="reference", run=False)
def test_a_graceful_stop_lets_requests_finish(start):
    server = start('WSGIScriptAlias /slow "${root}/slow.wsgi"', files={"slow.wsgi": SLOW})
    with server.raw() as waiting:
        waiting.request("GET /slow/wait")
        server.get("/slow/entered")
        stopping = threading.Thread(target=server.graceful_stop)
        stopping.start()
        server.error_log.wait_for("AH00492")
        server.write("release", "now")
        assert waiting.response()[1].data == b"done"
        stopping.join()
    assert not server.is_running


@pytest.mark.provokes("farewell from 'sub'", "farewell from ''")
@pytest.mark.differs("a child with threads ends when it is told to", reference="reference", run=False)
def test_atexit_runs_in_every_interpreter(start):
    server = start(FAREWELL, files={"farewell.wsgi": ATEXIT})
    server.get("/sub")
    server.get("/main")
    server.stop()


def test_without_destroying_interpreters_atexit_does_not_run(start):
    server = start(FAREWELL + "WSGIDestroyInterpreter Off\n", files={"farewell.wsgi": ATEXIT})
    server.get("/sub")
    server.get("/main")
    server.stop()
    assert "farewell from" not in server.error_log.text()


def stop_at_once(server):
    """Who is told to stop a second time, after three seconds, or is killed, is named in the log: that tells a
    process that does not end from a machine that is busy."""
    since = server.error_log.position()
    server.stop()
    assert server.error_log.find("AH0004[56]|WSGI1202|WSGI1205", since) == []


@pytest.mark.differs("a child with threads ends when it is told to", reference="reference", run=False)
def test_stopping_is_prompt(start):
    server = start('WSGIScriptAlias /iteration "${apps}/iteration.wsgi"')
    server.get("/iteration/list")
    stop_at_once(server)


@pytest.mark.every_python
@pytest.mark.provokes("end of")
@pytest.mark.parametrize("group", ["%{GLOBAL}", "sub"])
@pytest.mark.differs("a child with threads ends when it is told to", reference="reference", run=False)
def test_stopping_is_prompt_when_threading_was_imported_by_a_request(start, group):
    """Until Python 3.12 the thread that imports it counts as main, and finalisation waits for it."""
    server = start(
        f'WSGIScriptAlias /app "${{root}}/app.wsgi" application-group={group}',
        files={"app.wsgi": "import threading\n" + ATEXIT.replace("farewell from", "end of")},
    )
    for _ in range(4):
        assert server.get("/app").text == "registered"
    stop_at_once(server)
    server.error_log.wait_for("end of")


def test_a_server_that_was_never_asked_stops(start):
    server = start('WSGIScriptAlias /iteration "${apps}/iteration.wsgi"')
    server.stop()
    assert not server.is_running


def test_a_server_starts_again_in_the_same_place(start):
    server = start('WSGIScriptAlias /iteration "${apps}/iteration.wsgi"')
    server.stop()
    server.start()
    assert server.get("/iteration/list").text == "abc"
