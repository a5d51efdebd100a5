"""HTTP/2 by mod_http2: the application hardly notices."""

from __future__ import annotations

import asyncio
import hashlib

import httpx
import pytest

# A thread of mod_http2 may say so of a file when its client has gone with all of it, in the next test even.
pytestmark = pytest.mark.allows("WSGI0174", "OSError: .*client connection closed", on="references")


@pytest.fixture(scope="module")
def server(start_shared):
    return start_shared(
        """
        Protocols h2c http/1.1
        WSGIChunkedRequest On
        H2MinWorkers 4
        H2MaxWorkers 8
        WSGIScriptAlias /environ "${apps}/environ.wsgi"
        WSGIScriptAlias /input "${apps}/input.wsgi"
        WSGIScriptAlias /iteration "${apps}/iteration.wsgi"
        WSGIScriptAlias /file_wrapper "${apps}/file_wrapper.wsgi"
        WSGIScriptAlias /head_status "${apps}/head_status.wsgi"
        WSGIScriptAlias /exceptions "${apps}/exceptions.wsgi"
        """,
        modules=["http2"],
    )


@pytest.fixture
def client(server):
    with server.client(http1=False, http2=True) as client:
        yield client


def test_environ(client, server):
    response = client.get("/environ/path?query=1", headers={"X-Header": "value"})
    assert response.http_version == "HTTP/2"
    shown = {key: value for key, (_type, value) in response.json().items()}
    assert shown["SERVER_PROTOCOL"] == "HTTP/2.0"
    assert shown["HTTP_HOST"] == f"localhost:{server.port}"
    assert shown["PATH_INFO"] == "/path"
    assert shown["QUERY_STRING"] == "query=1"
    assert shown["HTTP_X_HEADER"] == "value"


@pytest.mark.parametrize("path", ["one-block", "generator", "empty-list", "many", "large"])
def test_results(client, path):
    response = client.get(f"/iteration/{path}")
    assert response.status_code == 200
    assert "Transfer-Encoding" not in response.headers
    assert len(response.content) == {"one-block": 9, "generator": 3, "empty-list": 0}.get(path, 2**20)


def test_a_body(client):
    data = b"0123456789" * 100_000
    response = client.post("/input/digest", content=data)
    assert response.json() == [len(data), hashlib.sha256(data).hexdigest()]


@pytest.mark.differs("a daemon gets a body of unknown length (HTTP/2)", reference="daemon")
def test_a_body_of_unknown_length(client):
    response = client.post("/input/digest", content=iter([b"abc", b"def"]))
    assert response.json() == [6, hashlib.sha256(b"abcdef").hexdigest()]


def test_a_file(client):
    response = client.get("/file_wrapper/file?size=300000")
    assert response.headers["Content-Length"] == "300000"
    assert len(response.content) == 300_000


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified", "404 Own Reason"])
def test_statuses(client, status):
    response = client.get("/head_status", params={"status": status})
    assert response.status_code == int(status[:3])
    assert response.content == b""


NO_BODY = "the reply to a HEAD request over HTTP/2 has no body"


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("large", marks=pytest.mark.differs(NO_BODY, reference="daemon")),
        pytest.param("generator", marks=pytest.mark.differs(NO_BODY, reference="embedded")),
        pytest.param("many", marks=pytest.mark.differs(NO_BODY)),
    ],
)
def test_head(client, path):
    response = client.head(f"/iteration/{path}")
    assert (response.status_code, response.content) == (200, b"")


@pytest.mark.provokes("WSGI0174", "ValueError: from the call")
def test_an_error(client):
    assert client.get("/exceptions/call").status_code == 500


def at_once(server, count, request):
    """What `request(client, number)` gives for each number, all of them streams of one connection."""

    async def gather():
        async with httpx.AsyncClient(base_url=server.url, http1=False, http2=True, timeout=30) as client:
            return await asyncio.gather(*(request(client, number) for number in range(count)))

    return asyncio.run(gather())


def test_many_streams_at_once(server):
    async def ask(client, number):
        response = await client.get(f"/environ/{number}")
        return response.json()["PATH_INFO"][1]

    assert at_once(server, 64, ask) == [f"/{number}" for number in range(64)]


async def pieces(piece, count):
    for _ in range(count):
        yield piece


@pytest.mark.differs("a daemon gets a body of unknown length (HTTP/2)", reference="daemon")
def test_streams_with_bodies_at_once(server):
    async def post(client, number):
        piece = bytes([number]) * 10_000
        response = await client.post("/input/digest", content=pieces(piece, 5))
        return response.json() == [50_000, hashlib.sha256(piece * 5).hexdigest()]

    assert all(at_once(server, 32, post))


def test_a_block_is_on_its_way_before_the_next_is_asked_for(client, server):
    with client.stream("GET", "/iteration/stepwise") as response:
        blocks = response.iter_raw()
        assert next(blocks) == b"first"
        server.get("/iteration/release")
        server.get("/iteration/release")
        assert b"".join(blocks) == b"second"


@pytest.mark.provokes("WSGI0174", "ValueError: in the iteration")
@pytest.mark.differs("a reply that breaks off in mid-stream breaks the stream", run=False)
def test_in_mid_stream_the_stream_breaks(client):
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/exceptions/later")


def test_a_stream_the_client_resets(client):
    with client.stream("GET", "/iteration/many") as response:
        next(response.iter_raw())
    assert client.get("/iteration/list").text == "abc"
