"""wsgiref.validate between the gateway and the contract applications: both sides keep to PEP 3333."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("iteration/list", "abc"),
        ("iteration/generator", "abc"),
        ("iteration/iterator", "abc"),
        ("iteration/one-block", "one block"),
        ("write/parts", "one two three"),
        ("file_wrapper/bytesio", "from memory"),
        ("exceptions/fine", "fine"),
        ("head_status/method", "GET"),
        ("close", "closing"),
    ],
)
@pytest.mark.allows("validated close")
def test_applications(gateway, path, text):
    response = gateway.get(f"/validated/{path}")
    assert (response.status_code, response.text) == (200, text)


def test_the_environ(gateway):
    shown = gateway.get("/validated/environ/a/b?c=d").json()
    assert shown["SCRIPT_NAME"] == ["str", "/validated/environ"]
    assert shown["PATH_INFO"] == ["str", "/a/b"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "OPTIONS"])
def test_methods(gateway, method):
    assert gateway.request(method, "/validated/head_status/method").status_code == 200


def test_the_input(gateway):
    data = b"one\ntwo\nthree\nfour\nfive"
    assert gateway.post("/validated/body", data).text == str(len(data))


@pytest.mark.provokes("validated write$", "validated writelines")
def test_the_error_stream(gateway):
    assert gateway.get("/validated/errors").text == "errors"


@pytest.mark.provokes("validated close")
def test_close_is_called(gateway):
    """The validator complains on stderr about a result that was not closed."""
    assert gateway.get("/validated/close").text == "closing"


@pytest.mark.provokes("WSGI0174", "ValueError: in the iteration")
def test_errors_pass_through(gateway):
    assert gateway.get("/validated/exceptions/first").status_code == 500
