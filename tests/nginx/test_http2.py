"""HTTP/2 by nginx: the application hardly notices."""

from __future__ import annotations

import asyncio
import hashlib
from urllib.parse import quote

import httpx
import pytest

PAGES = "wsgi_pass ${apps}/nginx/pages.wsgi;"
LOCATIONS = f"""
location /app {{ {PAGES} }}
location /stream {{ {PAGES} wsgi_request_buffering off; }}
location /off {{ {PAGES} wsgi_buffering off; }}
location /ssi {{ {PAGES} ssi on; }}
location /files {{ wsgi_pass ${{apps}}/file_wrapper.wsgi; }}
location /exceptions {{ wsgi_pass ${{apps}}/exceptions.wsgi; }}
location /iteration {{ wsgi_pass ${{apps}}/iteration.wsgi; }}
"""


@pytest.fixture(scope="module")
def server(start_shared):
    return start_shared(
        LOCATIONS,
        http=f"""
        wsgi_daemon_process g threads=8;
        wsgi_process_group g;
        server {{
            listen 127.0.0.1:${{port2}} http2;
            server_name localhost;
            {LOCATIONS}
        }}
        """,
    )


@pytest.fixture
def client(server):
    with server.client(base_url=f"http://localhost:{server.port2}", http1=False, http2=True) as client:
        yield client


def test_environ(client, server):
    response = client.get("/app/environ?query=1", headers={"X-Header": "value", "Cookie": "a=1"})
    assert response.http_version == "HTTP/2"
    shown = response.json()
    assert shown["SERVER_PROTOCOL"] == "HTTP/2.0"
    assert shown["HTTP_HOST"] == f"localhost:{server.port2}"
    assert (shown["PATH_INFO"], shown["QUERY_STRING"]) == ("/environ", "query=1")
    assert (shown["HTTP_X_HEADER"], shown["HTTP_COOKIE"]) == ("value", "a=1")


def test_cookies_of_several_fields_are_one(client):
    """A client may split them (RFC 9113, 8.2.3)."""
    headers = [("Cookie", "a=1"), ("Cookie", "b=2")]
    assert client.get("/app/environ", headers=headers).json()["HTTP_COOKIE"] == "a=1; b=2"


@pytest.mark.parametrize("mount", ["app", "off"])
@pytest.mark.parametrize("size", [0, 1, 70_000, 5_000_000])
def test_replies(client, letters, mount, size):
    response = client.get(f"/{mount}/text?size={size}")
    assert "Transfer-Encoding" not in response.headers
    assert response.content == letters(size)


@pytest.mark.parametrize("mount", ["app", "off"])
def test_blocks(client, letters, mount):
    assert client.get(f"/{mount}/blocks?count=300&size=9000").content == letters(9000) * 300


@pytest.mark.parametrize("mount", ["app", "stream"])
@pytest.mark.parametrize("size", [0, 10, 100_000, 5_000_000])
def test_a_body(client, mount, size):
    data = b"0123456789" * (size // 10)
    answer = client.post(f"/{mount}/body", content=data).json()
    assert answer[:2] == [len(data), hashlib.sha256(data).hexdigest()]


@pytest.mark.parametrize("mount", ["app", "stream"])
def test_a_body_of_unknown_length(client, mount):
    answer = client.post(f"/{mount}/body", content=iter([b"abc", b"def" * 30_000])).json()
    assert answer[:2] == [90_003, hashlib.sha256(b"abc" + b"def" * 30_000).hexdigest()]
    assert answer[3] is None


@pytest.mark.parametrize("size", [1, 300_000, 20_000_000])
def test_a_file(client, size):
    response = client.get(f"/files/file?size={size}")
    assert response.headers["Content-Length"] == str(size)
    assert len(response.content) == size


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified", "404 Own Reason"])
def test_statuses(client, status):
    response = client.get("/app/headers", params={"status": status})
    assert (response.status_code, response.content) == (int(status[:3]), b"")


@pytest.mark.parametrize("path", ["text?size=1000000", "blocks?count=300&size=5000"])
def test_head(client, path):
    response = client.head(f"/app/{path}")
    assert (response.status_code, response.content) == (200, b"")


def at_once(server, count, request):
    """What `request(client, number)` gives for each number, all of them streams of one connection."""
    url = f"http://localhost:{server.port2}"

    async def gather():
        async with httpx.AsyncClient(base_url=url, http1=False, http2=True, timeout=30) as client:
            return await asyncio.gather(*(request(client, number) for number in range(count)))

    return asyncio.run(gather())


def test_many_streams_at_once(server, letters):
    async def ask(client, number):
        response = await client.get(f"/app/text?size={number * 1000}")
        return response.content == letters(number * 1000)

    assert all(at_once(server, 64, ask))


async def pieces(piece, count):
    for _ in range(count):
        yield piece


@pytest.mark.parametrize("mount", ["app", "stream"])
def test_streams_with_bodies_at_once(server, mount):
    async def post(client, number):
        piece = bytes([number]) * 10_000
        response = await client.post(f"/{mount}/body", content=pieces(piece, 5))
        return response.json()[:2] == [50_000, hashlib.sha256(piece * 5).hexdigest()]

    assert all(at_once(server, 32, post))


@pytest.mark.parametrize("mount", ["app", "off"])
def test_a_block_is_on_its_way_before_the_next_is_asked_for(client, server, mount):
    with client.stream("GET", f"/{mount}/stepwise") as response:
        blocks = response.iter_raw()
        assert next(blocks) == b"first"
        server.get("/app/release")
        assert b"".join(blocks) == b"second"


@pytest.mark.provokes("WSGI0174", "ValueError: from the call")
def test_an_error(client):
    assert client.get("/exceptions/call").status_code == 500


@pytest.mark.provokes("WSGI0174", "ValueError: in the iteration")
def test_in_mid_stream_the_stream_breaks(client):
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/exceptions/later")
    assert client.get("/app/text?size=3").text == "abc"


@pytest.mark.parametrize("mount", ["app", "off"])
def test_a_stream_the_client_resets(client, mount):
    for _ in range(5):
        with client.stream("GET", f"/{mount}/endless?size=5000") as response:
            next(response.iter_raw())
        assert client.get("/app/text?size=3").text == "abc"


def test_pages_with_parts(client, letters):
    parts = "&".join(f"include={quote(f'/app/text?size={size}')}" for size in (3, 500_000))
    response = client.get(f"/ssi/page?size=100000&{parts}")
    assert response.content == (
        letters(100_000) + b"[abc]" + letters(100_000) + b"[" + letters(500_000) + b"]" + letters(100_000)
    )


@pytest.mark.provokes("WSGI0174", "ValueError: in the middle")
def test_a_page_with_a_broken_part_is_a_broken_stream(client, letters):
    """The others of its connection go on."""
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/ssi/page?size=5&include=" + quote("/app/broken?size=5"))
    assert client.get("/app/text?size=5").content == letters(5)
