"""PEP 3333, "Input and Error Streams": wsgi.input."""

from __future__ import annotations

import hashlib
import random
from urllib.parse import urlencode

import pytest

from harness.wait import wait_until

LINES = b"first\nsecond line\n\nlast without end"


@pytest.fixture
def read(gateway):
    """POST `body` and return what each call on wsgi.input gave."""

    def fetch(body, *calls):
        response = gateway.post("/input?" + urlencode([("call", call) for call in calls]), body)
        assert response.status_code == 200
        return response.json()

    return fetch


def test_read_gives_everything(read):
    assert read(LINES, "read") == [LINES.decode()]


@pytest.mark.parametrize("size", ["-1", "-7"])
def test_a_negative_size_reads_everything(read, size):
    assert read(b"abc", f"read:{size}") == ["abc"]


def test_read_size_is_exact_until_the_end(read):
    assert read(b"abcdefg", "read:3", "read:3", "read:3", "read:3") == ["abc", "def", "g", ""]


def test_read_nothing_takes_nothing(read):
    assert read(b"abc", "read:0", "read:2", "read:0", "read") == ["", "ab", "", "c"]


def test_read_after_the_end_is_empty_forever(read):
    assert read(b"abc", "read", "read", "read:5", "readline", "readlines", "iterate") == [
        "abc",
        "",
        "",
        "",
        [],
        [],
    ]


def test_a_request_without_a_body_is_at_its_end(gateway):
    assert gateway.get("/input?call=read&call=readline&call=iterate&call=read:9").json() == ["", "", [], ""]


def test_readline(read):
    assert read(LINES, *["readline"] * 5) == ["first\n", "second line\n", "\n", "last without end", ""]


def test_readline_with_a_size(read):
    calls = ["readline:3", "readline:3", "readline:3", "readline:0", "readline:100", "readline:-1"]
    assert read(b"first\nsecond\nthird\n", *calls) == ["fir", "st\n", "sec", "", "ond\n", "third\n"]


def test_readline_stops_at_the_size_before_the_newline(read):
    assert read(b"abc\ndef", "readline:3", "readline:3", "readline") == ["abc", "\n", "def"]


def test_readlines(read):
    assert read(LINES, "readlines") == [["first\n", "second line\n", "\n", "last without end"]]


def test_readlines_stops_after_the_hint(read):
    assert read(b"ab\ncd\nef\ngh\n", "readlines:4", "readlines:0") == [["ab\n", "cd\n"], ["ef\n", "gh\n"]]


def test_iteration_gives_lines(read):
    assert read(LINES, "iterate", "next")[0] == ["first\n", "second line\n", "\n", "last without end"]


def test_next_ends_with_stop_iteration(read):
    assert read(b"one\n", "next", "next") == ["one\n", {"raised": "StopIteration", "message": ""}]


def test_ways_of_reading_mix(read):
    calls = ["read:2", "readline", "next", "readlines:1", "read:1", "iterate"]
    assert read(b"abcd\nnext\nlines\nrest\nend", *calls) == [
        "ab",
        "cd\n",
        "next\n",
        ["lines\n"],
        "r",
        ["est\n", "end"],
    ]


def test_bytes_are_untouched(gateway):
    data = bytes(range(256)) * 300
    assert gateway.post("/input/digest", data).json() == [len(data), hashlib.sha256(data).hexdigest()]


def test_a_long_line_across_many_buffers(read):
    line = "x" * 100_000
    assert read(f"{line}\n{line}".encode(), "readline", "readline", "readline") == [f"{line}\n", line, ""]


def test_crlf_is_kept(read):
    assert read(b"a\r\nb\rc\n", "iterate") == [["a\r\n", "b\rc\n"]]


@pytest.mark.parametrize("method", ["read", "readline", "readlines"])
@pytest.mark.parametrize("argument", ["'3'", "3.0", "b'3'", "[]"])
def test_sizes_are_integers(read, method, argument):
    (result,) = read(b"abc", f"{method}:{argument}")
    assert result["raised"] == "TypeError"


def test_close_does_nothing_during_the_request(read):
    assert read(b"abc", "read:1", "close", "read") == ["a", None, "bc"]


def test_it_has_the_methods_of_pep_3333_and_no_others(gateway):
    kind, module, names = gateway.get("/input/attributes").json()
    assert (module, kind) == ("mod_wsgi", "Input")
    assert sorted(names) == ["close", "read", "readline", "readlines"]


@pytest.mark.parametrize("size", [1, 8191, 8192, 8193, 65536, 1_000_000])
def test_sizes_around_buffers(gateway, size):
    data = random.Random(size).randbytes(size)
    expected = [size, hashlib.sha256(data).hexdigest()]
    assert gateway.post("/input/digest", data).json() == expected
    assert gateway.post("/input/all", data).json() == expected


def test_a_large_body(gateway):
    data = random.Random(20).randbytes(20_000_000)
    assert gateway.post("/input/digest", data).json() == [len(data), hashlib.sha256(data).hexdigest()]


def test_a_chunked_body(gateway):
    with gateway.raw() as connection:
        connection.request("POST /input?call=read:2&call=readline&call=read", "Transfer-Encoding: chunked")
        for chunk in ("3\r\nabc\r\n", "2\r\nd\n\r\n", "5;x=y\r\nefghi\r\n", "0\r\nTrailer: yes\r\n\r\n"):
            connection.send(chunk)
        head, body = connection.response()
        assert head.status == 200
        assert body.data == b'["ab", "cd\\n", "efghi"]'


def test_a_chunked_body_has_no_content_length(gateway, lane):
    """Where it was read before the application is called, as by nginx, its length is known."""
    response = gateway.post("/environ", content=iter([b"some ", b"chunks"]))
    shown = response.json()
    if lane.server == "nginx":
        assert shown["CONTENT_LENGTH"] == ["str", "11"]
        assert "HTTP_TRANSFER_ENCODING" not in shown
    else:
        assert "CONTENT_LENGTH" not in shown
        assert shown["HTTP_TRANSFER_ENCODING"] == ["str", "chunked"]


def test_read_waits_for_what_was_asked(gateway):
    """PEP 3333 allows short reads; applications written for files do not expect them."""
    with gateway.raw() as connection:
        connection.request("POST /input?call=read:6&call=read:6", "Content-Length: 8", body=b"abc")
        connection.send(b"de")
        connection.send(b"fgh")
        _head, body = connection.response()
        assert body.data == b'["abcdef", "gh"]'


def test_an_unread_body_does_not_spoil_the_connection(gateway):
    with gateway.raw() as connection:
        for _ in range(2):
            connection.request("POST /input/ignore", "Content-Length: 100000", body=b"x" * 100_000)
            head, body = connection.response()
            assert head.status == 200
            assert body.data == b"[]"
        connection.request("GET /input?call=read")
        assert connection.response()[1].data == b'[""]'


def test_a_half_read_body_does_not_spoil_the_connection(gateway):
    with gateway.raw() as connection:
        connection.request("POST /input?call=read:3", "Content-Length: 50000", body=b"y" * 50_000)
        assert connection.response()[1].data == b'["yyy"]'
        connection.request("POST /input?call=read", "Content-Length: 2", body=b"ok")
        assert connection.response()[1].data == b'["ok"]'


def test_expect_continue_is_answered_when_the_body_is_read(gateway):
    with gateway.raw() as connection:
        connection.request("POST /input?call=read", "Content-Length: 3", "Expect: 100-continue")
        assert connection.read_head().status == 100
        connection.send(b"abc")
        assert connection.response()[1].data == b'["abc"]'


def test_expect_continue_is_answered_when_nothing_is_read_first(gateway):
    with gateway.raw() as connection:
        connection.request("POST /input?call=read:0&call=read", "Content-Length: 3", "Expect: 100-continue")
        assert connection.read_head().status == 100
        connection.send(b"abc")
        assert connection.response()[1].data == b'["", "abc"]'


# nginx reads a body before it calls the application: what its lane does when told not to is in tests/nginx.
reads_bodies_late = pytest.mark.server("httpd")


@reads_bodies_late
@pytest.mark.differs("a body is read from the client when the application reads it", reference="daemon")
def test_no_continue_when_the_body_is_not_read(gateway):
    with gateway.raw() as connection:
        connection.request("POST /input/ignore", "Content-Length: 3", "Expect: 100-continue")
        assert connection.read_head().status == 200


@reads_bodies_late
@pytest.mark.differs("a reply may begin while the body still comes", reference="daemon", run=False)
def test_the_answer_begins_while_the_body_still_comes(gateway):
    with gateway.raw() as connection:
        connection.request("POST /input/echo", "Content-Length: 200000", body=b"a" * 65536)
        head = connection.read_head()
        begun = b""
        while len(begun) < 65536:
            begun += connection.read_chunk()
        assert begun == b"a" * 65536
        connection.send(b"b" * (200_000 - 65536))
        assert connection.read_body(head).data == b"b" * (200_000 - 65536)


def failures_of(gateway, name):
    """What /input/failures?name met. A daemon may still be at it when its client has been answered."""

    def whole():
        report = gateway.get(f"/input/report?{name}").json()
        return report if len(report) == 2 else None

    return wait_until(whole, f"the application to meet the failures of {name!r}")


@reads_bodies_late
@pytest.mark.allows("WSGI0126", on="references")
def test_a_client_that_leaves_raises_oserror(gateway):
    with gateway.raw() as connection:
        connection.request("POST /input/failures?leaving", "Content-Length: 100000", body=b"only this")
        connection.end_sending()
        connection.read_to_end()
    report = failures_of(gateway, "leaving")
    assert [is_oserror for _kind, is_oserror, _text in report] == [True, True]
    assert "request data read error" in report[0][2]


@reads_bodies_late
@pytest.mark.allows("WSGI0126", on="references")
def test_bad_chunking_raises_oserror(gateway):
    with gateway.raw() as connection:
        connection.request(
            "POST /input/failures?chunking",
            "Transfer-Encoding: chunked",
            body=b"3\r\nabc\r\nnonsense\r\n",
        )
        connection.response()
        assert connection.is_closed_by_server()
    report = failures_of(gateway, "chunking")
    assert [is_oserror for _kind, is_oserror, _text in report] == [True, True]
