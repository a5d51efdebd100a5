"""Every multi-processing module serves, with the concurrency it promises."""

from __future__ import annotations

import dataclasses
import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest

# The requests may well come faster than the few processes here can take them.
pytestmark = [pytest.mark.every_mpm, pytest.mark.allows("AH00161", "AH00286", "AH00484")]

CONFIG = """
WSGIScriptAlias /environ "${apps}/environ.wsgi"
WSGIScriptAlias /input "${apps}/input.wsgi"
WSGIScriptAlias /iteration "${apps}/iteration.wsgi"
WSGIScriptAlias /file_wrapper "${apps}/file_wrapper.wsgi"
WSGIScriptAlias /interpreter "${apps}/interpreter.wsgi"
WSGIScriptAlias /rendezvous "${root}/rendezvous.wsgi"
WSGIScriptAlias /exceptions "${apps}/exceptions.wsgi"
"""

# A request waits until four are inside at once.
RENDEZVOUS = """
import threading

barrier = threading.Barrier(4, timeout=20)

def application(environ, start_response):
    barrier.wait()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"met"]
"""


@pytest.fixture
def server(start, mpm):
    return start(CONFIG, mpm=dataclasses.replace(mpm, processes=3), files={"rendezvous.wsgi": RENDEZVOUS})


def at_once(count, request):
    """What `request(number)` gives for each number, asked from as many threads."""
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(request, range(count)))


@pytest.mark.mode("embedded")
def test_it_says_how_it_runs(server, mpm):
    shown = server.get("/environ").json()
    assert shown["wsgi.multiprocess"][1] is True
    assert shown["wsgi.multithread"][1] is (mpm.name != "prefork")


@pytest.mark.mode("embedded")
def test_one_process_with_one_thread_says_so(start, mpm):
    server = start(CONFIG, mpm=dataclasses.replace(mpm, threads=1))
    shown = server.get("/environ").json()
    assert shown["wsgi.multiprocess"][1] is False
    assert shown["wsgi.multithread"][1] is False


def test_requests(server):
    data = b"0123456789" * 20_000
    assert server.get("/iteration/list").text == "abc"
    assert server.get("/iteration/large").content == b"y" * 2**20
    assert len(server.get("/file_wrapper/file?size=100000").content) == 100_000
    assert server.post("/input/digest", data).json() == [len(data), hashlib.sha256(data).hexdigest()]


def test_requests_on_one_connection(server):
    with server.raw() as connection:
        for _ in range(20):
            connection.request("GET /iteration/generator")
            assert connection.response()[1].data == b"abc"


@pytest.mark.provokes("WSGI0174", "ValueError: from the call")
def test_an_error(server):
    assert server.get("/exceptions/call").status_code == 500
    assert server.get("/exceptions/fine").text == "fine"


def test_many_requests_at_once(server):
    def post(number):
        body = bytes([number]) * 5_000
        return server.post("/input/all", body).json() == [5_000, hashlib.sha256(body).hexdigest()]

    assert all(at_once(24, post))


def test_requests_run_at_once(start, mpm, lane):
    """In the threads of a process; in embedded mode with prefork each process has but one."""
    # The barrier is one process's: with threads all requests go to the same.
    processes = 4 if mpm.name == "prefork" else 1
    mpm = dataclasses.replace(mpm, processes=processes)
    server = start(CONFIG, mpm=mpm, files={"rendezvous.wsgi": RENDEZVOUS})
    if mpm.name == "prefork" and not lane.is_daemon:
        pids = {answer["pid"] for answer in at_once(16, lambda _: server.get("/interpreter").json())}
        assert pids <= set(server.children())
    else:
        assert at_once(4, lambda _: server.get("/rendezvous").text) == ["met"] * 4


@pytest.mark.mode("embedded")
def test_a_process_that_is_replaced(start, mpm):
    server = start(CONFIG + "MaxConnectionsPerChild 10\n", mpm=dataclasses.replace(mpm, processes=2))
    pids = {server.get("/interpreter").json()["pid"] for _ in range(30)}
    assert len(pids) > 2


def test_graceful_restart(server):
    before = server.get("/interpreter").json()["pid"]
    server.graceful()
    assert server.get("/interpreter").json()["pid"] != before
