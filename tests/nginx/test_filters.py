"""What nginx's filters do to replies: compression, ranges, conditions, substitution."""

from __future__ import annotations

import gzip

import pytest

PAGES = "wsgi_pass ${apps}/nginx/pages.wsgi;"
MODIFIED = "Last-Modified=Thu,+01+Jan+2015+00:00:00+GMT"


@pytest.fixture(scope="module")
def server(start_shared):
    return start_shared(
        f"""
        location /app {{ {PAGES} }}
        location /gzip {{ {PAGES} gzip on; gzip_min_length 0; }}
        location /gzip-unbuffered {{ {PAGES} gzip on; gzip_min_length 0; wsgi_buffering off; }}
        location /gunzip {{ {PAGES} gunzip on; }}
        location /ranges {{ {PAGES} wsgi_force_ranges on; }}
        location /files {{ wsgi_pass ${{apps}}/file_wrapper.wsgi; wsgi_force_ranges on; }}
        location /sub {{ {PAGES} sub_filter abc <b>; sub_filter_once off; }}
        location /added {{ {PAGES} add_header X-Added yes; expires 1h; add_after_body /tail; }}
        location /charset {{ {PAGES} charset utf-8; }}
        """,
        files={"htdocs/tail": "-tail-"},
    )


class TestGzip:
    @pytest.mark.parametrize("mount", ["gzip", "gzip-unbuffered"])
    @pytest.mark.parametrize("path", ["text?size=100", "text?size=3000000", "blocks?count=100&size=5000"])
    def test_a_reply(self, server, mount, path):
        plain = server.get(f"/app/{path}", headers={"Accept-Encoding": "identity"}).content
        with server.raw() as connection:
            connection.request(f"GET /{mount}/{path}", "Accept-Encoding: gzip")
            head, body = connection.response()
        assert head.get("Content-Encoding") == "gzip"
        assert head.get("Content-Length") is None
        assert body.is_complete
        assert gzip.decompress(body.data) == plain

    def test_blocks_are_sent_at_once(self, server):
        with server.raw() as connection:
            connection.request("GET /gzip/stepwise?Content-Type=text/html", "Accept-Encoding: gzip")
            head = connection.read_head()
            assert head.get("Content-Encoding") == "gzip"
            server.get("/app/release")
            assert gzip.decompress(connection.read_body(head).data) == b"firstsecond"

    def test_what_is_compressed_already(self, server):
        response = server.get("/gzip/headers?Content-Type=text/html&Content-Encoding=br&body=opaque")
        assert response.headers["Content-Encoding"] == "br"

    def test_for_a_client_that_does_not_know_it(self, server):
        response = server.get("/gzip/text?size=1000", headers={"Accept-Encoding": "identity"})
        assert "Content-Encoding" not in response.headers


class TestRanges:
    @pytest.mark.parametrize(
        ("asked", "start", "end"),
        [("0-9", 0, 10), ("100-", 100, 5000), ("-5", 4995, 5000), ("4999-9000", 4999, 5000)],
    )
    def test_a_part(self, server, letters, asked, start, end):
        response = server.get("/ranges/text?size=5000", headers={"Range": f"bytes={asked}"})
        assert response.status_code == 206
        assert response.content == letters(5000)[start:end]
        assert response.headers["Content-Range"] == f"bytes {start}-{end - 1}/5000"

    def test_several_parts(self, server, letters):
        """Of what comes from an upstream nginx gives one range only, or all."""
        response = server.get("/ranges/text?size=5000", headers={"Range": "bytes=0-4,100-104"})
        assert (response.status_code, response.content) == (200, letters(5000))

    def test_a_large_reply(self, server, letters):
        response = server.get("/ranges/text?size=3000000", headers={"Range": "bytes=2000000-2000999"})
        assert response.content == letters(3_000_000)[2_000_000:2_001_000]

    def test_beyond_the_end(self, server):
        assert server.get("/ranges/text?size=10", headers={"Range": "bytes=10-20"}).status_code == 416

    @pytest.mark.parametrize("query", ["", "&Accept-Ranges=bytes"])
    def test_only_where_it_is_asked_for(self, server, query):
        """Else ranges are the application's affair, as are its headers about them."""
        response = server.get(f"/app/text?size=5000{query}", headers={"Range": "bytes=0-9"})
        assert (response.status_code, len(response.content)) == (200, 5000)
        assert ("Accept-Ranges" in response.headers) == bool(query)

    def test_not_of_a_reply_of_unknown_length(self, server):
        response = server.get("/ranges/blocks?count=2&size=10", headers={"Range": "bytes=0-9"})
        assert (response.status_code, len(response.content)) == (200, 20)

    @pytest.mark.parametrize("asked", ["0-99", "50000-", "1000-1999"])
    def test_of_a_file(self, server, asked):
        whole = server.get("/files/file?size=100000").content
        response = server.get("/files/file?size=100000", headers={"Range": f"bytes={asked}"})
        start, _dash, end = asked.partition("-")
        assert response.status_code == 206
        assert response.content == whole[int(start) : int(end) + 1 if end else None]


def test_a_condition_is_the_applications_affair(server):
    """nginx does not make a 304 of what it did not look up."""
    response = server.get(
        f"/app/text?size=10&{MODIFIED}", headers={"If-Modified-Since": "Fri, 02 Jan 2015 00:00:00 GMT"}
    )
    assert response.status_code == 200
    assert response.headers["Last-Modified"] == "Thu, 01 Jan 2015 00:00:00 GMT"


def test_substitution(server):
    response = server.get("/sub/text?size=1000")
    assert response.text.startswith("<b>defg")
    assert "abc" not in response.text


def test_what_is_added(server):
    response = server.get("/added/text?size=5")
    assert (response.headers["X-Added"], response.text) == ("yes", "abcde-tail-")
    assert "Expires" in response.headers


def test_a_charset(server):
    assert server.get("/charset/text?size=5").headers["Content-Type"] == "text/html; charset=utf-8"
