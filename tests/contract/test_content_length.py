"""PEP 3333, "Handling the Content-Length Header"."""

from __future__ import annotations

import pytest

from harness.wait import wait_until


def test_a_true_length_frames_the_body(gateway):
    with gateway.raw() as connection:
        for query in ("declare=10&give=10", "declare=10&give=10&blocks=5", "declare=0&give=0"):
            connection.request(f"GET /content_length?{query}")
            head, body = connection.response()
            length = query.split("&")[0].removeprefix("declare=")
            assert head.get("Content-Length") == length
            assert head.get("Transfer-Encoding") is None
            assert body.data == b"b" * int(length)


@pytest.mark.parametrize("route", ["", "/generator", "/write"])
def test_bytes_beyond_the_length_are_not_sent(gateway, route):
    with gateway.raw() as connection:
        connection.request(f"GET /content_length{route}?declare=5&give=20")
        head, body = connection.response()
        assert head.get("Content-Length") == "5"
        assert len(body.data) == 5
        connection.request("GET /iteration/list")
        assert connection.response()[1].data == b"abc"


@pytest.mark.allows("Content-Length|Content length")
def test_the_iteration_goes_on_to_its_end(gateway):
    gateway.get("/content_length/generator?declare=5&give=20")
    wait_until(lambda: gateway.get("/content_length/steps").text == "20", "all blocks to be asked for")


@pytest.mark.parametrize("route", ["", "/generator", "/write"])
@pytest.mark.provokes(r"Content-Length|shorter|fewer")
@pytest.mark.differs("too short a body breaks the connection instead of letting the client wait", run=False)
def test_too_short_a_body_breaks_the_connection(gateway, route):
    with gateway.raw() as connection:
        connection.request(f"GET /content_length{route}?declare=20&give=5")
        _head, body = connection.response()
        assert (len(body.data), body.is_complete) == (5, False)


@pytest.mark.provokes(r"Content-Length|shorter|fewer")
@pytest.mark.differs("too short a body breaks the connection instead of letting the client wait", run=False)
def test_an_empty_body_is_too_short_as_well(gateway):
    with gateway.raw() as connection:
        connection.request("GET /content_length?declare=20&give=0")
        _head, body = connection.response()
        assert (body.data, body.is_complete) == (b"", False)


@pytest.mark.parametrize("value", ["ten", "-1", "1.5", "0x10", "1,2", "99999999999999999999"])
@pytest.mark.provokes("WSGI0174", "ValueError: .*(Content-Length|content length)")
def test_a_length_that_is_none_is_an_error(gateway, value):
    response = gateway.get("/content_length", params={"declare": value, "give": "5"})
    assert response.status_code == 500


@pytest.mark.provokes("WSGI0174", "ValueError: .*Content-Length")
@pytest.mark.differs("an empty Content-Length is no length", run=False)
def test_an_empty_length_is_an_error(gateway):
    assert gateway.get("/content_length?declare=&give=5").status_code == 500


def test_a_head_request_may_declare_a_length_without_a_body(gateway):
    response = gateway.request("HEAD", "/content_length?declare=20&give=0")
    assert response.headers["Content-Length"] == "20"
