"""httpd's filters see our requests and responses as any other."""

from __future__ import annotations

import gzip
import hashlib
import random

import pytest

CONFIG = """
WSGIScriptAlias /iteration "${apps}/iteration.wsgi"
WSGIScriptAlias /file_wrapper "${apps}/file_wrapper.wsgi"
WSGIScriptAlias /head_status "${apps}/head_status.wsgi"
WSGIScriptAlias /input "${apps}/input.wsgi"
WSGIScriptAlias /exceptions "${apps}/exceptions.wsgi"
WSGIScriptAlias /mapped "${apps}/head_status.wsgi"
<Location "/mapped">
    WSGIMapHEADToGET On
</Location>
WSGIScriptAlias /deflated "${apps}/iteration.wsgi"
WSGIScriptAlias /deflated-file "${apps}/file_wrapper.wsgi"
WSGIScriptAlias /deflated-status "${apps}/head_status.wsgi"
<LocationMatch "^/deflated">
    SetOutputFilter DEFLATE
</LocationMatch>
WSGIScriptAlias /inflated "${apps}/input.wsgi"
<Location "/inflated">
    SetInputFilter DEFLATE
</Location>
WSGIScriptAlias /by-type "${apps}/iteration.wsgi"
<Location "/by-type">
    AddOutputFilterByType DEFLATE text/plain
</Location>
WSGIScriptAlias /substituted "${apps}/iteration.wsgi"
<Location "/substituted">
    SetOutputFilter SUBSTITUTE
    Substitute "s/one/another/"
</Location>
WSGIScriptAlias /headers "${apps}/head_status.wsgi"
<Location "/headers">
    Header set X-Added yes
    Header unset X-Application
    Header always set X-Always yes
    RequestHeader set X-Requested-By httpd
</Location>
WSGIScriptAlias /expires "${apps}/head_status.wsgi"
<Location "/expires">
    ExpiresActive On
    ExpiresDefault "access plus 1 hour"
</Location>
WSGIScriptAlias /environ "${apps}/environ.wsgi"
<Location "/environ">
    RequestHeader set X-Requested-By httpd
</Location>
"""


@pytest.fixture(scope="module")
def server(start_shared):
    return start_shared(CONFIG, modules=["filter", "deflate", "substitute", "expires"])


def pattern(size):
    return (bytes(range(251)) * (size // 251 + 1))[:size]


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/deflated/large", b"y" * 2**20),
        ("/deflated/many", b"x" * 2**20),
        ("/deflated-file/file?size=100000", pattern(100_000)),
        ("/by-type/large", b"y" * 2**20),
    ],
)
def test_deflate(server, path, content):
    response = server.get(path, headers={"Accept-Encoding": "gzip"})
    assert response.headers["Content-Encoding"] == "gzip"
    assert response.content == content


@pytest.mark.mode("embedded")
def test_deflate_and_a_small_reply_of_several_blocks(server):
    """Each block is given to httpd for itself; a daemon's blocks may come together."""
    response = server.get("/deflated/generator", headers={"Accept-Encoding": "gzip"})
    assert (response.headers["Content-Encoding"], response.content) == ("gzip", b"abc")


def test_deflate_and_a_very_small_reply(server):
    """mod_deflate leaves one alone when it sees it whole."""
    assert server.get("/deflated/one-block", headers={"Accept-Encoding": "gzip"}).text == "one block"


def test_no_deflate_for_a_client_that_cannot(server):
    response = server.get("/deflated/large", headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in response.headers
    assert response.content == b"y" * 2**20


def test_a_block_is_not_held_back_by_deflate(server):
    with server.raw() as connection:
        connection.request("GET /deflated/stepwise", "Accept-Encoding: gzip")
        head = connection.read_head()
        assert connection.read_chunk()
        server.get("/deflated/release")
        server.get("/deflated/release")
        assert connection.read_body(head).is_complete


def test_an_inflated_request_body(server):
    data = random.Random(1).randbytes(20_000) * 3
    response = server.post("/inflated/all", gzip.compress(data), headers={"Content-Encoding": "gzip"})
    assert response.json() == [len(data), hashlib.sha256(data).hexdigest()]


def test_substitute(server):
    assert server.get("/substituted/one-block").text == "another block"


def test_headers(server):
    response = server.get("/headers?status=200+OK&body=x")
    assert response.headers["X-Added"] == "yes"
    assert response.headers["X-Always"] == "yes"
    assert "X-Application" not in response.headers


def test_request_headers(server):
    assert server.get("/environ").json()["HTTP_X_REQUESTED_BY"] == ["str", "httpd"]


def test_expires(server):
    assert server.get("/expires?status=200+OK&body=x").headers["Cache-Control"] == "max-age=3600"


RANGES = pytest.mark.differs("a daemon's file is served in ranges", reference="daemon")


@RANGES
@pytest.mark.parametrize(
    ("asked", "start", "end"), [("0-99", 0, 100), ("500-", 500, 10_000), ("-100", 9_900, 10_000)]
)
def test_a_range_of_a_file(server, asked, start, end):
    response = server.get("/file_wrapper/file?size=10000", headers={"Range": f"bytes={asked}"})
    assert response.status_code == 206
    assert response.headers["Content-Range"] == f"bytes {start}-{end - 1}/10000"
    assert response.content == pattern(10_000)[start:end]


@RANGES
def test_ranges_of_a_file(server):
    response = server.get("/file_wrapper/file?size=10000", headers={"Range": "bytes=0-9,100-109"})
    assert response.status_code == 206
    assert pattern(10)[:10] in response.content
    assert pattern(110)[100:110] in response.content


@pytest.mark.allows("WSGI0174", "OSError: .*failed to write response data", on="references")
@RANGES
def test_a_range_beyond_the_end(server):
    response = server.get("/file_wrapper/file?size=100", headers={"Range": "bytes=200-300"})
    assert response.status_code == 416


@pytest.mark.differs("WSGIMapHEADToGET is Auto by default (mod_wsgi 6.0)", reference="reference")
def test_head_is_shown_as_get_when_a_filter_needs_the_body(server):
    response = server.request("HEAD", "/deflated-status/method", headers={"Accept-Encoding": "gzip"})
    assert response.headers["X-Method"] == "GET"
    assert response.content == b""


def test_head_is_shown_as_get_when_configured(server):
    assert server.request("HEAD", "/mapped/method").headers["X-Method"] == "GET"


@pytest.mark.provokes("WSGI0174", "ValueError: from the call")
def test_an_error_document(start):
    server = start(
        """
        ErrorDocument 500 "our own words"
        ErrorDocument 404 /static/missing.html
        Alias /static "${docroot}"
        WSGIScriptAlias /exceptions "${apps}/exceptions.wsgi"
        WSGIScriptAlias /head_status "${apps}/head_status.wsgi"
        """,
        files={"htdocs/missing.html": "a page for what is missing"},
    )
    assert server.get("/exceptions/call").text == "our own words"
    assert server.get("/nowhere").text == "a page for what is missing"
    assert server.get("/head_status?status=404+x&body=own").text == "own"


def test_an_application_as_error_document(start, environ_of):
    server = start("""
        ErrorDocument 404 /environ/not-found
        WSGIScriptAlias /environ "${apps}/environ.wsgi"
        """)
    shown = environ_of(server, "/missing/page?a=1")
    assert shown["REDIRECT_URL"] == "/missing/page"
    assert shown["REDIRECT_STATUS"] == "404"
    assert shown["REDIRECT_QUERY_STRING"] == "a=1"
    assert shown["PATH_INFO"] == "/not-found"
