"""Request bodies: read before the application is called, or, with request buffering off, meanwhile."""

from __future__ import annotations

import hashlib
import random
import time

import pytest

from harness.wait import wait_until

PAGES = "wsgi_pass ${apps}/nginx/pages.wsgi;"


@pytest.fixture(scope="module")
def server(start_shared):
    return start_shared(
        f"""
        client_body_buffer_size 16k;
        location /read {{ {PAGES} }}
        location /file {{ {PAGES} client_body_in_file_only clean; }}
        location /single {{ {PAGES} client_body_in_single_buffer on; }}
        location /stream {{ {PAGES} wsgi_request_buffering off; }}
        location /stream-out {{ {PAGES} wsgi_request_buffering off; wsgi_buffering off; }}
        location /again {{ {PAGES} wsgi_next_upstream http_503 non_idempotent; }}
        location /input {{ wsgi_pass ${{apps}}/input.wsgi; wsgi_request_buffering off; }}
        location /short {{ {PAGES} wsgi_request_buffering off; client_body_timeout 1s; }}
        location /elsewhere {{
            {PAGES} wsgi_request_buffering off; wsgi_intercept_errors on; error_page 503 = @other;
        }}
        location /elsewhere/kept {{
            {PAGES} wsgi_script_name /elsewhere/kept; wsgi_intercept_errors on; error_page 503 = @other;
        }}
        location /elsewhere/unneeded {{
            {PAGES}
            wsgi_script_name /elsewhere/unneeded;
            wsgi_request_buffering off;
            wsgi_intercept_errors on;
            error_page 503 = @without;
        }}
        location @other {{ {PAGES} wsgi_script_name /elsewhere; }}
        location @without {{ {PAGES} wsgi_script_name /elsewhere; wsgi_pass_request_body off; }}
        location /small {{ {PAGES} wsgi_request_buffering off; client_max_body_size 1k; }}
        """,
        http="wsgi_daemon_process g threads=4; wsgi_process_group g;",
    )


def facts_of(data: bytes) -> list:
    return [len(data), hashlib.sha256(data).hexdigest()]


EVERY = ["read", "file", "single", "stream", "stream-out"]


@pytest.mark.parametrize("mount", EVERY)
@pytest.mark.parametrize("size", [0, 1, 16_383, 16_384, 16_385, 65_536, 1_000_000, 20_000_000])
def test_a_body_of_any_size(server, mount, size):
    data = random.Random(size).randbytes(size)
    assert server.post(f"/{mount}/body", data).json()[:2] == facts_of(data)


@pytest.mark.parametrize("mount", EVERY)
@pytest.mark.parametrize("sizes", [[1, 1], [10, 20_000, 5], [70_000] * 20, []])
def test_a_chunked_body(server, mount, sizes):
    chunks = [random.Random(size).randbytes(size) for size in sizes]
    answer = server.post(f"/{mount}/body", iter(chunks)).json()
    assert answer[:2] == facts_of(b"".join(chunks))


@pytest.mark.parametrize("mount", EVERY)
def test_how_a_chunked_body_is_announced(server, mount):
    """Its length is known once it was read. That is so at once where all of it comes with the head."""
    answer = server.post(f"/{mount}/body", iter([b"some ", b"chunks" * 10_000])).json()
    if mount.startswith("stream"):
        assert answer[2:] == [None, "chunked"]
    else:
        assert answer[2:] == ["60005", None]


@pytest.mark.parametrize("mount", ["read", "file", "single"])
def test_an_unread_body_does_not_spoil_the_connection(server, mount):
    with server.raw() as connection:
        for size in (10, 100_000, 10, 3_000_000, 0):
            connection.request(f"POST /{mount}/ignore", f"Content-Length: {size}", body=b"x" * size)
            head, body = connection.response()
            assert (head.status, body.data) == (200, b"ignored")
        connection.request(f"POST /{mount}/body", "Content-Length: 2", body=b"ok")
        assert connection.response()[0].status == 200


@pytest.mark.parametrize("mount", ["stream", "stream-out"])
@pytest.mark.parametrize("size", [10, 100_000, 3_000_000])
def test_an_unread_body_that_was_not_read_by_nginx_either(server, mount, size):
    """Then nginx closes the connection, and says so."""
    with server.raw() as connection:
        connection.request(f"POST /{mount}/ignore", f"Content-Length: {size}", body=b"x" * size)
        head, body = connection.response()
        assert (head.status, body.data, body.is_complete) == (200, b"ignored", True)
        if (head.get("Connection") or "").lower() == "close":
            assert connection.is_closed_by_server()
        else:
            connection.request(f"POST /{mount}/body", "Content-Length: 2", body=b"ok")
            assert connection.response()[0].status == 200


@pytest.mark.parametrize("mount", EVERY)
def test_pipelined_bodies(server, mount):
    with server.raw() as connection:
        for size in (5, 40_000, 7):
            connection.request(f"POST /{mount}/body", f"Content-Length: {size}", body=b"p" * size)
        for size in (5, 40_000, 7):
            _head, body = connection.response()
            assert f"[{size}, ".encode() in body.data


def test_an_application_is_called_when_the_body_is_there(server):
    with server.raw() as connection:
        connection.request("POST /read/begun", "Content-Length: 6", body=b"abc")
        connection.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.read_head()
        connection.socket.settimeout(15)
        connection.send(b"def")
        _head, body = connection.response()
        assert body.data == b"begun6"


@pytest.mark.parametrize("size", [0, 100, 16_385, 3_000_000])
@pytest.mark.parametrize("read", [0, 1, 50_000, -1])
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_another_worker_gets_the_whole_body(server, method, read, size):
    """However much the first one has taken of it."""
    data = random.Random(size).randbytes(size)
    response = server.client().request(method, f"/again/second?read={read}", content=data)
    assert response.json()[:2] == facts_of(data)


@pytest.mark.provokes(r"WSGI\d{4}", "OSError")
def test_nobody_sends_the_body_once_the_reply_is_over(start):
    """The application asks for it when the client has all it gets, and is told at once that there is none."""
    server = start(
        f"location / {{ {PAGES} }}",
        http="wsgi_daemon_process g threads=1; wsgi_process_group g;",
    )
    assert server.request("HEAD", "/begun", content=b"b" * 100_000).status_code == 200
    began = time.monotonic()
    assert server.get("/text?size=3").text == "abc"
    assert time.monotonic() - began < 15


class TestStreaming:
    @pytest.mark.parametrize("mount", ["stream", "stream-out"])
    def test_the_reply_begins_while_the_body_comes(self, server, mount):
        with server.raw() as connection:
            connection.request(f"POST /{mount}/begun", "Content-Length: 6", body=b"abc")
            head = connection.read_head()
            assert connection.read_chunk() == b"begun"
            connection.send(b"def")
            assert connection.read_body(head).data == b"6"

    @pytest.mark.parametrize("mount", ["stream", "stream-out"])
    def test_an_echo(self, server, mount):
        """Both directions at once, for longer than buffers last."""
        data = random.Random(3).randbytes(50_000)
        with server.raw() as connection:
            connection.request(f"POST /{mount}/echo?size=50000", f"Content-Length: {50 * len(data)}")
            connection.send(data)
            head = connection.read_head()
            for number in range(50):
                echoed = b""
                while len(echoed) < len(data):
                    echoed += connection.read_chunk()
                assert echoed == data
                if number < 49:
                    connection.send(data)
            assert connection.read_body(head).is_complete

    @staticmethod
    def begin_to_fail(server, connection, header, body):
        """Send a part of a body, and wait until the application is at it: it forgets its last report then."""
        assert len(server.post("/input/failures", b"whole").json()) == 2
        connection.request("POST /input/failures", header, body=body)
        wait_until(lambda: server.get("/input/report").json() == [], "the application to be called")

    def test_expect_continue(self, server):
        with server.raw() as connection:
            connection.request("POST /stream/body", "Content-Length: 3", "Expect: 100-continue")
            assert connection.read_head().status == 100
            connection.send(b"abc")
            assert connection.response()[1].data.startswith(b"[3, ")

    @pytest.mark.allows(r"WSGI\d{4}", "OSError")
    def test_a_client_that_leaves_raises_oserror(self, server):
        with server.raw() as connection:
            self.begin_to_fail(server, connection, "Content-Length: 100000", body=b"only this")
            connection.end_sending()
            connection.read_to_end()
        server.settle()
        report = wait_until(lambda: server.get("/input/report").json(), "what the application met")
        assert [is_oserror for _kind, is_oserror, _text in report] == [True, True]
        assert "request data read error" in report[0][2]

    @pytest.mark.allows(r"WSGI\d{4}", "OSError", "client sent invalid chunked body")
    def test_bad_chunking_raises_oserror(self, server):
        with server.raw() as connection:
            self.begin_to_fail(server, connection, "Transfer-Encoding: chunked", body=b"3\r\nabc\r\n")
            connection.send(b"nonsense\r\n")
            connection.read_to_end()
        server.settle()
        report = wait_until(lambda: server.get("/input/report").json(), "what the application met")
        assert [is_oserror for _kind, is_oserror, _text in report] == [True, True]

    @pytest.mark.allows(r"WSGI\d{4}", "OSError", "client timed out")
    def test_a_client_that_stops_sending(self, server):
        with server.raw() as connection:
            connection.request("POST /short/body", "Content-Length: 100", body=b"only this")
            assert connection.is_closed_by_server() or connection.read_head().status in (408, 500)
        server.settle()
        report = wait_until(lambda: server.get("/short/report").json(), "what the application met")
        assert report[0][0] is True

    @pytest.mark.provokes("client intended to send too large body")
    def test_one_that_is_too_large(self, server):
        assert server.post("/small/body", b"b" * 2000).status_code == 413

    @pytest.mark.provokes("WSGI1127")
    def test_a_body_that_is_gone_is_not_an_empty_one(self, server):
        """An error page leads to another application, but the first one has taken the body."""
        assert server.post("/elsewhere/headers?status=503+No", b"b" * 100_000).status_code == 500

    @pytest.mark.provokes("WSGI1127")
    def test_nor_is_one_that_is_still_coming(self, server):
        with server.raw() as connection:
            connection.request("POST /elsewhere/headers?status=503+No", "Content-Length: 9", body=b"some")
            assert connection.read_head().status == 500

    @pytest.mark.parametrize("size", [0, 10, 100_000])
    def test_where_another_application_gets_it(self, server, size):
        environ = server.post("/elsewhere/kept/headers?status=503+No", b"b" * size).json()
        assert environ["CONTENT_LENGTH"] == str(size)
        assert server.post("/elsewhere/unneeded/headers?status=503+No", b"b" * size).status_code == 200

    def test_a_slow_body_waits_in_one_thread_only(self, server):
        with server.raw() as slow:
            slow.request("POST /stream/body", "Content-Length: 4", body=b"ab")
            assert server.post("/stream/body", b"1234").json()[0] == 4
            slow.send(b"cd")
            assert slow.response()[1].data.startswith(b"[4, ")


@pytest.mark.allows("client sent invalid chunked body")
def test_bad_chunking_is_a_bad_request(server):
    """Where the body is read first, the application is not called."""
    with server.raw() as connection:
        connection.request("POST /read/body", "Transfer-Encoding: chunked", body=b"3\r\nabc\r\nnonsense\r\n")
        assert connection.read_head().status == 400
