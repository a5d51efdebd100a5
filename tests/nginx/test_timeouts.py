"""How long nginx waits: for the application, for its processes, for a place in the queue, for the client."""

from __future__ import annotations

import contextlib
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.wait import wait_until

PAGES = "wsgi_pass ${apps}/nginx/pages.wsgi;"


@pytest.fixture(scope="module")
def server(start_shared):
    return start_shared(
        f"""
        location /app {{ {PAGES} }}
        location /short {{ {PAGES} wsgi_read_timeout 1s; }}
        location /long {{ {PAGES} wsgi_read_timeout 5s; }}
        location /short-off {{ {PAGES} wsgi_read_timeout 1s; wsgi_buffering off; }}
        location /sending {{ {PAGES} wsgi_send_timeout 3s; wsgi_read_timeout 3s; }}
        location /sending-off {{
            {PAGES} wsgi_send_timeout 3s; wsgi_read_timeout 3s;
            wsgi_request_buffering off; wsgi_buffering off;
        }}
        location /short-file {{ wsgi_pass ${{apps}}/file_wrapper.wsgi; wsgi_read_timeout 1s; }}
        location /files {{ wsgi_pass ${{apps}}/file_wrapper.wsgi; }}
        location /impatient {{ {PAGES} send_timeout 1s; wsgi_buffering off; }}
        """,
        http="wsgi_daemon_process g threads=4; wsgi_process_group g;",
    )


def took(began: float) -> float:
    return time.monotonic() - began


TIMED_OUT = pytest.mark.provokes("upstream timed out|WSGI0145")


@TIMED_OUT
@pytest.mark.parametrize("mount", ["short", "short-off"])
def test_a_reply_that_does_not_begin(server, mount):
    began = time.monotonic()
    assert server.get(f"/{mount}/sleep?seconds=6").status_code == 504
    assert 1 <= took(began) < 6
    server.settle()


@TIMED_OUT
@pytest.mark.parametrize("mount", ["short", "short-off"])
def test_a_reply_that_does_not_go_on(server, mount):
    with server.raw() as connection:
        began = time.monotonic()
        connection.request(f"GET /{mount}/stepwise")
        head = connection.read_head()
        body = connection.read_body(head)
        assert (body.data, body.is_complete) == (b"first", False)
        assert 1 <= took(began) < 10
    server.get("/app/release")
    server.settle()


def test_each_block_begins_a_new_time(server):
    with server.raw() as connection:
        connection.request("GET /short/blocks?count=3&size=5")
        head, body = connection.response()
        assert (head.status, body.is_complete) == (200, True)


def test_a_reply_in_time(server):
    assert server.get("/long/sleep?seconds=1").text == "slept"


def test_a_slow_upload_is_not_a_slow_reply(start):
    """The application cannot answer before the body is there: its time begins then."""
    server = start(f"location / {{ {PAGES} wsgi_read_timeout 3s; wsgi_request_buffering off; }}")
    with server.raw() as connection:
        connection.request("POST /body", "Content-Length: 6", body=b"ab")
        for part in (b"cd", b"ef"):
            time.sleep(2)
            connection.send(part)
        head, body = connection.response()
        assert (head.status, body.data[:3]) == (200, b"[6,")


def test_a_complete_reply_is_the_clients_matter(server):
    """However long it takes for it: the application has done its part."""
    with server.raw() as connection:
        connection.request("GET /short-file/file?size=20000000")
        head = connection.read_head()
        time.sleep(2.5)
        body = connection.read_body(head)
        assert (len(body.data), body.is_complete) == (20_000_000, True)
        connection.request("GET /files/closed")
        assert connection.response()[1].data == b"[true]"


@pytest.mark.parametrize("mount", ["sending", "sending-off"])
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_an_application_that_answers_before_it_takes_the_body(server, mount, method):
    """Once it answers, that is what must go on."""
    client = server.client()
    response = client.request(method, f"/{mount}/reluctant?count=10", content=b"b" * 5_000_000)
    assert (response.status_code, response.text) == (200, "r" * 10)


@pytest.mark.allows("client timed out", r"WSGI\d{4}")
def test_a_client_that_does_not_read(server):
    """Is cut off, and the application's reply closed."""
    with server.raw() as connection:
        connection.request("GET /impatient/finite?size=60000000&block=100000")
        head = connection.read_head()
        time.sleep(2.5)
        assert not connection.read_body(head).is_complete
    server.settle()
    assert server.get("/app/report").json() == ["closed"]


@pytest.fixture(scope="module")
def deserted(start_shared):
    """A server that finds the socket of its group, and nobody who listens there."""
    server = start_shared(
        f"""
        wsgi_process_group g;
        location /group {{ {PAGES} }}
        location /less {{ {PAGES} wsgi_connect_timeout 300ms; }}
        location /more {{ {PAGES} wsgi_connect_timeout 2s; }}
        """,
        http="wsgi_daemon_process g connect_timeout=1;",
    )
    (path,) = (server.root / "run").glob("*.sock")
    path.unlink()
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        path.chmod(0o777)
        yield server


@pytest.mark.provokes("WSGI0116")
@pytest.mark.parametrize(("mount", "seconds"), [("less", 0.3), ("group", 1), ("more", 2)])
def test_nobody_listens(deserted, mount, seconds):
    """A location may be more patient than its group, or less."""
    began = time.monotonic()
    response = deserted.get(f"/{mount}/text?size=1")
    assert seconds <= took(began) < seconds + 5
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    # Whose patience it was.
    deserted.error_log.wait_for(f"within {seconds} seconds")


@pytest.mark.provokes(r"WSGI0116|WSGI11[2-4]\d")
def test_a_full_queue(start):
    """Is told at once, with when to come back; an event loop waits for nobody."""
    server = start(
        "location / { wsgi_pass ${apps}/daemon/site.wsgi; wsgi_param FOLDER ${root}/shared; }",
        http="wsgi_daemon_process g threads=1 listen_backlog=2 connect_timeout=60; wsgi_process_group g;",
        folders=["shared"],
    )
    with contextlib.ExitStack() as connections, ThreadPoolExecutor(12) as pool:
        held = connections.enter_context(server.raw())
        held.request("GET /wait?name=held", "Connection: close")
        wait_until((server.root / "shared" / "held.entered").exists, "the only thread to be taken")
        asked = [connections.enter_context(server.raw()) for _ in range(12)]
        for connection in asked:
            connection.request("GET /pid", "Connection: close")
        answers = [pool.submit(lambda c=connection: c.response()[0]) for connection in asked]
        wait_until(lambda: sum(answer.done() for answer in answers) >= 12 - 5, "seven to be refused")
        assert {answer.result().status for answer in answers if answer.done()} == {503}
        (server.root / "shared" / "held").touch()
        heads = [answer.result() for answer in answers]
        refused = [head for head in heads if head.status == 503]
        assert 12 - 5 <= len(refused) <= 12 - 2
        assert all(int(head.get("Retry-After")) > 0 for head in refused)
        assert {head.status for head in heads} == {200, 503}
        assert held.response()[0].status == 200
    server.error_log.wait_for(r"WSGI0116: .* its queue is full \(listen_backlog=2\)")


def test_static_pages_do_not_wait(start):
    """A worker of nginx goes on while all threads of a group are busy and its queue is long."""
    server = start(
        f"location /app {{ {PAGES} }} location /static {{ root ${{docroot}}; }}",
        http="wsgi_daemon_process g threads=2; wsgi_process_group g;",
        files={"htdocs/static/page": "a static page"},
    )
    with contextlib.ExitStack() as connections:
        for _ in range(40):
            connection = connections.enter_context(server.raw())
            connection.request("GET /app/sleep?seconds=2", "Connection: close")
        times = []
        client = server.client()
        for _ in range(200):
            began = time.monotonic()
            assert client.get("/static/page").text == "a static page"
            times.append(took(began))
        times.sort()
        assert times[int(len(times) * 0.95)] < 0.5
