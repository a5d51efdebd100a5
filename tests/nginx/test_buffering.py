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
        location /rate {{ {PAGES} wsgi_limit_rate 2m; }}
        location /files {{ wsgi_pass ${{apps}}/file_wrapper.wsgi; }}
        location /files-off {{ wsgi_pass ${{apps}}/file_wrapper.wsgi; wsgi_buffering off; }}
        """,
        http="wsgi_daemon_process g threads=4; wsgi_process_group g;",
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


@pytest.mark.parametrize("mount", EVERY)
def test_a_slow_client_gets_all(server, mount):
    with server.raw() as connection:
        connection.request(f"GET /{mount}/finite?size={SIZE}&block=100000", "Connection: close")
        head = connection.read_head()
        time.sleep(0.5)
        body = connection.read_body(head)
        assert (len(body.data), body.is_complete) == (SIZE, True)


@pytest.mark.provokes("an upstream response is buffered to a temporary file")
def test_a_slow_client_does_not_hold_the_application(server):
    """nginx takes the whole reply, and the thread is free."""
    with server.raw() as connection:
        connection.request(f"GET /on/finite?size={SIZE}&block=100000", "Connection: close")
        head = connection.read_head()
        wait_until(lambda: server.get("/on/report").json() == ["all sent", "closed"], "the application's end")
        assert len(connection.read_body(head).data) == SIZE


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


def test_a_slow_client_of_a_file_does_not_hold_the_application(server):
    with server.raw() as connection:
        connection.request(f"GET /files/file?size={SIZE}", "Connection: close")
        head = connection.read_head()
        wait_until(lambda: server.get("/files/closed").json() == [True], "the file to be closed")
        assert len(connection.read_body(head).data) == SIZE
