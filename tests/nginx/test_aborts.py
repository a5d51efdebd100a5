"""Clients that leave, and what becomes of the application that works for them."""

from __future__ import annotations

import time

import pytest

from harness.wait import wait_until

PAGES = "wsgi_pass ${apps}/nginx/pages.wsgi;"


@pytest.fixture(scope="module")
def server(start_shared):
    return start_shared(
        f"""
        location /app {{ {PAGES} }}
        location /off {{ {PAGES} wsgi_buffering off; }}
        location /regardless {{ {PAGES} wsgi_ignore_client_abort on; }}
        """,
        http="wsgi_daemon_process g threads=2; wsgi_process_group g;",
    )


@pytest.fixture
def report(server):
    return lambda: server.get("/app/report").json()


@pytest.mark.parametrize("mount", ["app", "off"])
@pytest.mark.parametrize("size", [10, 4096, 300_000])
def test_a_reply_is_closed(server, report, mount, size):
    with server.raw() as connection:
        connection.request(f"GET /{mount}/endless?size={size}")
        connection.read_head()
        connection.abort()
    wait_until(lambda: report() == ["closed"], "the reply to be closed")


@pytest.mark.parametrize("mount", ["app", "off"])
def test_the_end_of_the_clients_sending_is_its_leaving(server, report, mount):
    """nginx takes a closed half of a connection for a closed one."""
    with server.raw() as connection:
        connection.request(f"GET /{mount}/endless?size=1000")
        connection.read_head()
        connection.end_sending()
        wait_until(lambda: report() == ["closed"], "the reply to be closed")


def test_the_access_log_says_499(server):
    with server.raw() as connection:
        connection.request("GET /app/sleep?seconds=3&who=left")
        wait_until(lambda: server.busy() >= 2, "the request to have begun")
        connection.abort()
    server.settle()
    lines = (server.root / "logs" / "access.log").read_text().splitlines()
    assert [line.split('"')[2].split()[0] for line in lines if "who=left" in line] == ["499"]


def test_an_application_that_may_finish(server, report):
    """One that has not begun to answer; what nobody reads ends a reply either way."""
    for mount, end in (("regardless", ["all sent", "closed"]), ("app", ["closed"])):
        with server.raw() as connection:
            connection.request(f"GET /{mount}/finite?size=100&block=100&after=3")
            wait_until(lambda: server.busy() >= 2, "the request to have begun")
            time.sleep(0.2)
            connection.abort()
        wait_until(lambda end=end: report() == end, f"the application to end with {end}")


def test_the_thread_is_free_again(server):
    for _ in range(6):
        with server.raw() as connection:
            connection.request("GET /app/endless?size=100000")
            connection.read_head()
            connection.abort()
    assert server.get("/app/text?size=3").text == "abc"


def test_one_that_waits_in_the_queue(server):
    """Is not run for nobody."""
    calls = int(server.get("/app/calls").text)
    with server.raw() as one, server.raw() as other, server.raw() as waiting:
        for connection in (one, other):
            connection.request("GET /app/sleep?seconds=4", "Connection: close")
        wait_until(lambda: server.busy() >= 3, "both threads to be taken")
        time.sleep(0.2)
        waiting.request("GET /app/calls?who=waits")
        wait_until(lambda: server.busy() >= 4, "the request to wait")
        waiting.abort()
        assert [connection.response()[1].data for connection in (one, other)] == [b"slept"] * 2
    server.settle()
    assert int(server.get("/app/calls").text) == calls + 1


@pytest.mark.allows(r"WSGI\d{4}", "OSError")
@pytest.mark.parametrize("buffering", ["on", "off"])
def test_many_that_leave_at_every_moment(start, buffering):
    server = start(
        f"location / {{ {PAGES} wsgi_request_buffering {buffering}; wsgi_buffering {buffering}; }}",
        http="wsgi_daemon_process g threads=4; wsgi_process_group g;",
    )
    workers = [worker.pid for worker in server.workers()]
    for number in range(120):
        with server.raw() as connection:
            match number % 4:
                case 0:
                    connection.send("GET /text?size=100000 HT")
                case 1:
                    connection.request("POST /body", "Content-Length: 100000", body=b"b" * (number * 100))
                case 2:
                    connection.request("GET /text?size=3000000")
                case 3:
                    connection.request("GET /endless?size=50000")
                    connection.read_head()
            connection.abort()
    server.settle()
    assert server.get("/text?size=3").text == "abc"
    assert [worker.pid for worker in server.workers()] == workers
