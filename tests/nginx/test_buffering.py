"""How replies pass through nginx: its buffers and temporary files, or block by block."""

from __future__ import annotations

import time

import pytest

from harness.wait import wait_until

PAGES = "wsgi_pass ${apps}/nginx/pages.wsgi;"
SIZE = 20_000_000


@pytest.fixture(scope="module")
def server(start_shared):
    return start_shared(
        f"""
        location /on {{ {PAGES} }}
        location /off {{ {PAGES} wsgi_buffering off; }}
        location /memory {{ {PAGES} wsgi_max_temp_file_size 0; }}
        location /small {{ {PAGES} wsgi_buffer_size 4k; wsgi_buffers 4 4k; wsgi_busy_buffers_size 8k; }}
        location /tiny {{ {PAGES} wsgi_buffer_size 4k; wsgi_buffers 8 4k; wsgi_read_timeout 10s; }}
        location /rate {{ {PAGES} wsgi_limit_rate 2m; }}
        location /files {{ wsgi_pass ${{apps}}/file_wrapper.wsgi; }}
        location /files-off {{ wsgi_pass ${{apps}}/file_wrapper.wsgi; wsgi_buffering off; }}
        location /files-memory {{ wsgi_pass ${{apps}}/file_wrapper.wsgi; wsgi_max_temp_file_size 0; }}
        location /files-data {{
            wsgi_pass ${{apps}}/file_wrapper.wsgi; wsgi_max_temp_file_size 0; wsgi_file_wrapper off;
        }}
        location /apart {{ {PAGES} wsgi_temp_path ${{root}}/apart 1 2; }}
        """,
        http="wsgi_daemon_process g threads=4; wsgi_process_group g; large_client_header_buffers 4 32k;",
    )


EVERY = ["on", "off", "memory", "small"]


@pytest.mark.parametrize("mount", EVERY)
@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 8192, 65_537, SIZE])
def test_a_reply_of_any_size(server, letters, mount, size):
    assert server.get(f"/{mount}/text?size={size}").content == letters(size)


@pytest.mark.parametrize("mount", EVERY)
@pytest.mark.parametrize(("count", "size"), [(1000, 1), (1000, 4096), (300, 70_000)])
def test_many_blocks(server, letters, mount, count, size):
    assert server.get(f"/{mount}/blocks?count={count}&size={size}").content == letters(size) * count


@pytest.mark.parametrize("mount", EVERY)
def test_a_block_is_sent_before_the_next_is_made(server, mount):
    """PEP 3333 asks for it; buffers are for clients that are slow."""
    with server.raw() as connection:
        connection.request(f"GET /{mount}/stepwise")
        head = connection.read_head()
        assert connection.read_chunk() == b"first"
        server.get("/on/release")
        body = connection.read_body(head)
        assert (body.data, body.is_complete) == (b"second", True)


LONG = "X-Long=" + "l" * 12_000


@pytest.mark.parametrize("mount", [*EVERY, "tiny"])
class TestBehindALongHead:
    """One that is longer than the buffers are."""

    @pytest.mark.parametrize("size", [0, 5, 40_000, 300_000, SIZE])
    def test_any_size(self, server, letters, mount, size):
        response = server.get(f"/{mount}/text?size={size}&{LONG}")
        assert (response.content, len(response.headers["X-Long"])) == (letters(size), 12_000)

    def test_a_client_that_waits(self, server, letters, mount):
        with server.raw() as connection:
            connection.request(f"GET /{mount}/text?size=5000000&{LONG}", "Connection: close")
            time.sleep(0.5)
            _head, body = connection.response()
            assert body.data == letters(5_000_000)

    def test_a_block_is_sent_before_the_next_is_made(self, server, mount):
        with server.raw() as connection:
            connection.request(f"GET /{mount}/stepwise?{LONG}")
            head = connection.read_head()
            assert connection.read_chunk() == b"first"
            server.get("/on/release")
            assert connection.read_body(head).data == b"second"


@pytest.mark.parametrize("mount", EVERY)
def test_a_slow_client_gets_all(server, mount):
    with server.raw() as connection:
        connection.request(f"GET /{mount}/finite?size={SIZE}&block=100000", "Connection: close")
        head = connection.read_head()
        time.sleep(0.5)
        body = connection.read_body(head)
        assert (len(body.data), body.is_complete) == (SIZE, True)


@pytest.mark.parametrize(("mount", "folder"), [("on", r"temporary/client_body"), ("apart", r"apart/\d/\d\d")])
def test_a_slow_client_does_not_hold_the_application(server, mount, folder):
    """nginx takes the whole reply, and the thread is free."""
    since = server.error_log.position()
    with server.raw() as connection:
        connection.request(f"GET /{mount}/finite?size={SIZE}&block=100000", "Connection: close")
        head = connection.read_head()
        wait_until(lambda: server.get("/on/report").json() == ["all sent", "closed"], "the application's end")
        assert len(connection.read_body(head).data) == SIZE
    path = rf"{server.root}/{folder}/\d{{10}}$"
    server.error_log.wait_for(f"an upstream response is buffered to a temporary file {path}", since)


@pytest.mark.parametrize("mount", ["off", "memory"])
def test_without_a_file_it_does(server, mount):
    """What the kernel does not take either stays with the application."""
    with server.raw() as connection:
        connection.request(f"GET /{mount}/finite?size={SIZE}&block=100000", "Connection: close")
        head = connection.read_head()
        time.sleep(0.5)
        assert server.get("/on/report").json() == []
        assert len(connection.read_body(head).data) == SIZE
    server.settle()
    assert server.get("/on/report").json() == ["all sent", "closed"]


def test_a_header_larger_than_a_buffer(server):
    """The head does not pass through the buffers that replies do."""
    value = "v" * 10_000
    assert server.get(f"/small/text?size=3&X-Long={'v' * 3000}").headers["X-Long"] == "v" * 3000
    query = "&".join(f"X-{number}={value[:1000]}" for number in range(7))
    assert len(server.get(f"/small/text?size=3&{query}").headers["X-6"]) == 1000


def test_a_limited_rate(server, letters):
    began = time.monotonic()
    assert server.get("/rate/text?size=8000000").content == letters(8_000_000)
    assert time.monotonic() - began > 0.8


@pytest.mark.parametrize("mount", ["files", "files-off"])
@pytest.mark.parametrize("size", [1, 100_000, SIZE])
def test_a_file_needs_neither(server, mount, size):
    response = server.get(f"/{mount}/file?size={size}")
    assert (len(response.content), response.headers["Content-Length"]) == (size, str(size))


@pytest.mark.parametrize("mount", ["files", "files-memory"])
def test_a_slow_client_of_a_file_does_not_hold_the_application(server, mount):
    with server.raw() as connection:
        connection.request(f"GET /{mount}/file?size={SIZE}", "Connection: close")
        head = connection.read_head()
        wait_until(lambda: server.get("/files/closed").json() == [True], "the file to be closed")
        assert len(connection.read_body(head).data) == SIZE


def test_a_file_that_is_not_sent_as_one(server):
    """Passes through the buffers as all else does."""
    with server.raw() as connection:
        connection.request(f"GET /files-data/file?size={SIZE}", "Connection: close")
        head = connection.read_head()
        time.sleep(0.5)
        assert server.get("/files/closed").json() == [False]
        assert (head.get("Content-Length"), len(connection.read_body(head).data)) == (str(SIZE), SIZE)
    wait_until(lambda: server.get("/files/closed").json() == [True], "the file to be closed")
