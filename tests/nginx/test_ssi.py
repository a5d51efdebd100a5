"""Subrequests: pages that nginx puts together, of which applications are the frame, the parts, or both."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest

PAGES = "wsgi_pass ${apps}/nginx/pages.wsgi;"
# More than all buffers between an application and a client hold.
LARGE = 3_000_000

LOCATIONS = f"""
ssi_min_file_chunk 1k;
location /app {{ {PAGES} ssi on; }}
location /part {{ {PAGES} }}
location /nested {{ {PAGES} ssi on; }}
location /unbuffered {{ {PAGES} ssi on; wsgi_buffering off; wsgi_process_group frames; }}
location /unbuffered-part {{ {PAGES} wsgi_buffering off; }}
location /static {{ ssi on; default_type text/html; root ${{docroot}}; }}
"""


@pytest.fixture(scope="module", params=["threads=1", "processes=2 threads=4"])
def server(start_shared, request):
    """With one thread a page and its parts cannot be worked on at once: none may wait for another.

    A page that is not buffered, and larger than what is on its way to the client, has its thread to the end:
    its parts need another.
    """
    return start_shared(
        LOCATIONS,
        http=f"""
        wsgi_daemon_process g {request.param};
        wsgi_daemon_process frames {request.param};
        wsgi_process_group g;
        """,
        files={
            "htdocs/static/small.html": "<b>static</b>",
            "htdocs/static/large.html": "s" * LARGE,
            "htdocs/static/frame.html": "[<!--#include virtual='/part/text?size=7' -->]",
            "htdocs/static/frame-of-large.html": (
                f"1<!--#include virtual='/part/text?size={LARGE}' -->2"
                f"<!--#include virtual='/part/blocks?count=300&size=8000' -->3"
                f"<!--#include virtual='/unbuffered-part/blocks?count=300&size=8000' -->4"
            ),
            "htdocs/static/broken.html": "1<!--#include virtual='/part/broken?size=5' -->2",
            "htdocs/static/broken-off.html": "1<!--#include virtual='/unbuffered-part/broken?size=5' -->2",
            "htdocs/static/waiting.html": (
                "<!--#include virtual='/part/sleep?seconds=0.3' wait='yes' -->"
                "<!--#include virtual='/part/text?size=3' -->"
            ),
            "htdocs/static/variable.html": (
                "<!--#include virtual='/part/text?size=3' set='kept' -->(<!--#echo var='kept' -->)"
            ),
        },
    )


def page(mount: str, *includes: str, size: int = 0) -> str:
    query = "&".join(f"include={quote(url)}" for url in includes)
    return f"/{mount}/page?size={size}&{query}"


def test_a_static_page_with_a_part(server):
    assert server.get("/static/frame.html").text == "[abcdefg]"


def test_a_static_page_with_large_parts(server, letters):
    blocks = letters(8000) * 300
    expected = b"1" + letters(LARGE) + b"2" + blocks + b"3" + blocks + b"4"
    assert server.get("/static/frame-of-large.html").content == expected


def test_a_part_that_is_waited_for(server):
    assert server.get("/static/waiting.html").text == "sleptabc"


def test_a_part_that_is_kept(server):
    assert server.get("/static/variable.html").text == "(abc)"


@pytest.mark.parametrize("frame", ["app", "unbuffered"])
@pytest.mark.parametrize("part", ["part", "unbuffered-part"])
class TestAnApplicationAsFrame:
    def test_a_small_part(self, server, frame, part):
        response = server.get(page(frame, f"/{part}/text?size=3"))
        assert response.text == "[abc]"

    @pytest.mark.parametrize("size", [100_000, LARGE])
    def test_a_large_part_in_a_small_frame(self, server, letters, frame, part, size):
        response = server.get(page(frame, f"/{part}/text?size={size}"))
        assert response.content == b"[" + letters(size) + b"]"

    def test_a_small_part_in_a_large_frame(self, server, letters, frame, part):
        """The frame's own bytes are held back while its part is on its way."""
        response = server.get(page(frame, f"/{part}/text?size=3", size=LARGE))
        assert response.content == letters(LARGE) + b"[abc]" + letters(LARGE)

    def test_large_parts_in_a_large_frame(self, server, letters, frame, part):
        url = f"/{part}/blocks?count=200&size=8000"
        response = server.get(page(frame, url, url, size=LARGE))
        piece = letters(LARGE) + b"[" + letters(8000) * 200 + b"]"
        assert response.content == piece * 2 + letters(LARGE)

    def test_many_parts(self, server, letters, frame, part):
        urls = [f"/{part}/text?size={size}" for size in range(1, 60)]
        response = server.get(page(frame, *urls, size=10))
        expected = b"".join(letters(10) + b"[" + letters(size) + b"]" for size in range(1, 60))
        assert response.content == expected + letters(10)

    def test_a_client_that_reads_slowly(self, server, letters, frame, part):
        with server.raw() as connection:
            connection.request(f"GET {page(frame, f'/{part}/text?size={LARGE}', size=LARGE)}")
            head = connection.read_head()
            assert server.get("/static/small.html").text == "<b>static</b>"
            body = connection.read_body(head)
            assert body.is_complete
            assert body.data == letters(LARGE) + b"[" + letters(LARGE) + b"]" + letters(LARGE)

    def test_a_client_that_leaves(self, server, frame, part):
        for _ in range(5):
            with server.raw() as connection:
                connection.request(f"GET {page(frame, f'/{part}/text?size={LARGE}', size=LARGE)}")
                connection.read_head()
                connection.abort()
        server.settle()
        assert server.get(page(frame, f"/{part}/text?size=3")).text == "[abc]"


def test_a_frame_with_static_parts(server):
    text = server.get(page("app", "/static/small.html", "/static/large.html")).text
    assert text == "[<b>static</b>][" + "s" * LARGE + "]"


def test_pages_within_pages(server, letters):
    inner = page("nested", "/part/text?size=4", size=100_000)
    response = server.get(page("app", inner, inner, size=1000))
    nested = letters(100_000) + b"[abcd]" + letters(100_000)
    assert response.content == (letters(1000) + b"[" + nested + b"]") * 2 + letters(1000)


def test_many_clients_at_once(server, letters):
    url = page("app", "/part/text?size=300000", "/unbuffered-part/text?size=100000", size=200_000)
    expected = (
        letters(200_000) + b"[" + letters(300_000) + b"]" + letters(200_000) + b"[" + letters(100_000) + b"]"
    ) + letters(200_000)
    with ThreadPoolExecutor(6) as pool:
        for response in pool.map(lambda _: server.get(url), range(18)):
            assert response.content == expected


def test_the_connection_goes_on(server):
    with server.raw() as connection:
        for _ in range(4):
            connection.request(f"GET {page('app', '/part/text?size=30000')}")
            head, body = connection.response()
            assert (head.status, body.is_complete, len(body.data)) == (200, True, 30_002)


@pytest.mark.provokes("WSGI0174")
@pytest.mark.allows("KeyError: 'size'")
def test_a_part_that_fails(server):
    """nginx says so in its place; the page goes on."""
    text = server.get(page("app", "/part/text", "/part/text?size=3")).text
    assert text.endswith("[abc]")
    assert "Traceback" not in text


@pytest.mark.parametrize("size", [10, 50_000])
def test_a_post_with_parts(server, size):
    """Parts are asked for with GET, and as nginx has it with the body of the main request."""
    response = server.post(page("app", "/part/environ", "/part/body", "/part/body"), b"b" * size)
    shown, *bodies = [json.loads(part) for part in re.findall(r"\[({.*?}|\[.*?\])\]", response.text)]
    assert shown["REQUEST_METHOD"] == "GET"
    for length, _digest, announced, _coding in bodies:
        assert (length, announced) == (size, str(size))


def test_a_head_request(server):
    assert server.request("HEAD", page("app", "/part/text?size=3")).content == b""


@pytest.mark.provokes("WSGI0174", "ValueError: in the middle")
@pytest.mark.parametrize("page", ["/static/broken", "/static/broken-off"])
def test_a_page_with_a_broken_part_is_broken(server, page):
    """A client must not keep it."""
    with server.raw() as connection:
        connection.request(f"GET {page}.html")
        body = connection.read_body(connection.read_head())
        assert not body.is_complete
        assert b"2" not in body.data
    assert server.get("/static/frame.html").text == "[abcdefg]"
