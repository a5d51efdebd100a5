"""HEAD, and statuses that have no body."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest


@pytest.mark.parametrize(
    "path",
    ["/iteration/one-block", "/iteration/generator", "/iteration/large", "/iteration/many", "/write/parts"],
)
def test_head_has_no_body(gateway, path):
    with gateway.raw() as connection:
        for _ in range(2):
            connection.request(f"HEAD {path}")
            assert connection.read_head().status == 200
        connection.request("GET /iteration/list")
        assert connection.response()[1].data == b"abc"


def test_head_has_the_headers_of_get(gateway):
    head, get = (
        gateway.request(method, "/head_status?status=200+OK&length=4&body=four") for method in ("HEAD", "GET")
    )
    assert head.headers["Content-Length"] == get.headers["Content-Length"] == "4"
    assert head.headers["X-Application"] == get.headers["X-Application"]
    assert (head.text, get.text) == ("", "four")


def test_the_application_sees_head(gateway):
    assert gateway.request("HEAD", "/head_status/method").headers["X-Method"] == "HEAD"


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
@pytest.mark.parametrize("body", [None, "a body nobody may see"])
def test_statuses_without_a_body(gateway, status, body):
    query = {"status": status} if body is None else {"status": status, "body": body}
    with gateway.raw() as connection:
        connection.request(f"GET /head_status?{urlencode(query)}")
        head = connection.read_head()
        assert head.status == int(status[:3])
        assert head.get("X-Application") == "yes"
        assert head.get("Transfer-Encoding") is None
        connection.request("GET /iteration/list")
        assert connection.response()[1].data == b"abc"


@pytest.mark.parametrize(
    "status",
    [
        "200 Fine",
        "201 Created",
        "206 Part",
        "299 Odd",
        "302 Found",
        "404 Gone Fishing",
        "418 Teapot",
        "503 x",
    ],
)
def test_every_status_goes_through_with_its_reason_and_body(gateway, status):
    with gateway.raw() as connection:
        connection.request(f"GET /head_status?{urlencode({'status': status, 'body': 'own words'})}")
        head, body = connection.response()
    assert head.status_line == f"HTTP/1.1 {status}"
    assert body.data == b"own words"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND"])
def test_every_method_goes_through(gateway, method):
    assert gateway.request(method, "/head_status/method").text == method


def test_an_error_status_keeps_the_applications_body(gateway):
    response = gateway.get("/head_status?status=500+Own+Trouble&body=mine")
    assert (response.status_code, response.text) == (500, "mine")
