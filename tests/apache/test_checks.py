"""What is checked before a script runs, and the status when it does not hold."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def server(start_shared):
    return start_shared("""
        WSGIScriptAlias /input "${apps}/input.wsgi"
        WSGIScriptAlias /environ "${apps}/environ.wsgi"
        WSGIScriptAlias /chunked "${apps}/input.wsgi"
        <Location "/chunked">
            WSGIChunkedRequest On
            LimitRequestBody 1000
        </Location>
        <Location "/input/limited">
            LimitRequestBody 1000
        </Location>
        <Location "/input/unlimited">
            LimitRequestBody 0
        </Location>
        WSGIScriptAlias /no-path-info "${apps}/environ.wsgi"
        <Location "/no-path-info">
            AcceptPathInfo Off
        </Location>
    """)


def status_of(server, line, *headers, body=b""):
    with server.raw() as connection:
        connection.request(line, *headers, "Connection: close", body=body)
        return connection.read_head().status


@pytest.mark.provokes("WSGI0137")
def test_path_info_that_is_not_accepted(server):
    assert server.get("/no-path-info/x").status_code == 404


def test_no_path_info_where_none_is_accepted(server):
    assert server.get("/no-path-info").status_code == 200


@pytest.mark.provokes("WSGI0139")
def test_a_chunked_request_needs_permission(server):
    assert server.post("/input/digest", content=iter([b"abc"])).status_code == 411


def test_a_chunked_request_with_permission(server):
    assert server.post("/chunked/digest", content=iter([b"abc"])).json()[0] == 3


@pytest.mark.allows("WSGI0138", "AH01593", "AH10122", "AH02430")
@pytest.mark.parametrize("coding", ["gzip", "identity", "gzip, chunked"])
def test_an_unknown_transfer_coding(server, coding):
    assert status_of(server, "POST /input/digest", f"Transfer-Encoding: {coding}") in (400, 501)


@pytest.mark.parametrize("length", ["ten", "-5", "1 2", "99999999999999999999"])
@pytest.mark.allows("WSGI0141", "AH01587", "AH10243", "AH00566", "AH02422")
def test_a_bad_content_length(server, length):
    assert status_of(server, "POST /input/digest", f"Content-Length: {length}") in (400, 413)


@pytest.mark.allows("AH01588", "Requested content-length", "WSGI1101")
def test_too_large_a_body(server):
    response = server.post("/input/limited", b"x" * 5000)
    assert response.status_code == 413


def test_a_body_within_the_limit(server):
    assert server.post("/input/digest", b"x" * 1000).status_code == 200


@pytest.mark.allows("AH01588", "Requested content-length", "WSGI1101")
def test_expect_with_too_large_a_body_asks_for_nothing(server):
    with server.raw() as connection:
        connection.request("POST /input/limited", "Content-Length: 5000", "Expect: 100-continue")
        assert connection.read_head().status == 413


@pytest.mark.allows("WSGI0126", on="references")
@pytest.mark.allows("AH01591", "AH01588", "larger than the configured limit", "WSGI0174", "OSError")
def test_too_large_a_chunked_body_is_an_error_while_reading(server):
    response = server.post("/chunked/failures", content=iter([b"x" * 800] * 3))
    if response.status_code == 200:
        assert all(is_oserror for _kind, is_oserror, _text in response.json())
    else:
        assert response.status_code in (413, 500)
