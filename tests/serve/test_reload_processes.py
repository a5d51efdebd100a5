"""--reload with processes of the application's own: they are replaced, and the server keeps running."""

import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

pytestmark = pytest.mark.every_server

PAGE = """\
from words import word


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [word().encode()]
"""

PID = """\
import os


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "10")])
    return [str(os.getpid()).rjust(10).encode()]
"""


def exchange(client):
    client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    data = b""
    while b"\r\n\r\n" not in data or len(data.split(b"\r\n\r\n", 1)[1]) < 10:
        more = client.recv(4096)
        assert more, "the connection was closed"
        data += more
    return int(data[-10:])


def test_connections_outlive_a_reload(serve, write):
    write("web.py", PID)
    run = serve("web:application", "--reload")
    with socket.create_connection(run.address, timeout=30) as client:
        first = exchange(client)
        write("other.py", "x = 1\n")
        run.until(lambda: "Reloaded" in run.output, "the reload")
        assert exchange(client) != first


def test_all_processes_are_replaced_at_once(serve, write):
    write("web.py", PID)
    write("words.py", "x = 1\n")
    run = serve("web:application", "--reload", "--processes", "3")
    before = set(run.processes())
    write("words.py", "x = 2\n")
    run.until(lambda: "Reloaded" in run.output, "the reload")
    # Three of them are new, and their three predecessors go.
    run.until(lambda: len(set(run.processes()) - before) == 3, "the new processes")
    run.until(lambda: len(before - set(run.processes())) == 3, "the end of the old ones")
    assert run.output.count("Reloaded") == 1
    assert int(run.ask("/").text) not in before
    assert run.errors == ""


def test_requests_wait_for_a_reload(serve, write):
    """Under steady load no request fails, and none meets code of before the reload after one of it."""
    write("web.wsgi", PAGE)
    write("words.py", "def word(): return '0'\n")
    run = serve("web.wsgi", "--reload", "--processes", "2", "--threads", "4")
    seen, failed, done = [], [], []

    def load():
        while not done:
            try:
                answer = run.ask("/")
                seen.append(int(answer.text)) if answer.status == 200 else failed.append(answer)
            except OSError as error:
                failed.append(error)

    with ThreadPoolExecutor(3) as pool:
        loads = [pool.submit(load) for _ in range(3)]
        try:
            for number in range(1, 4):
                before = run.output.count("Reloaded")
                write("words.py", f"def word(): return '{number}'\n")
                run.until(lambda before=before: run.output.count("Reloaded") > before, "the reload")
                assert run.ask("/").text == str(number)
        finally:
            done.append(True)
        for one in loads:
            one.result(30)
    assert not failed
    assert set(seen) >= {0, 3}
