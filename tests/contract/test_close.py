"""PEP 3333: "the server must call close() upon completion of the current request"."""

from __future__ import annotations

import pytest

from harness.wait import wait_until


@pytest.fixture
def events(gateway):
    """What the result of the last request below /close went through up to `last`, its close unless said
    otherwise: the server may be done with the reply before the application is."""

    def fetch(last="close"):
        gateway.settle()

        def whole():
            seen = gateway.get("/close/log").json()
            return seen if last in seen else None

        return wait_until(whole, f"{last!r} among the events")

    return fetch


def test_after_a_normal_end(gateway, events):
    assert gateway.get("/close/normal").text == "ab"
    assert events() == ["call", "iter", "close"]


def test_after_an_empty_result(gateway, events):
    assert gateway.get("/close/empty").text == ""
    assert events() == ["call", "iter", "close"]


def test_after_a_head_request(gateway, events):
    assert gateway.request("HEAD", "/close/normal").text == ""
    assert events()[-1] == "close"


@pytest.mark.provokes("WSGI0174", "ValueError: no first block")
def test_after_an_error_before_the_first_block(gateway, events):
    assert gateway.get("/close/error-first").status_code == 500
    assert events() == ["call", "iter", "raise", "close"]


@pytest.mark.provokes("WSGI0174", "ValueError: no second block")
def test_after_an_error_in_mid_stream(gateway, events):
    with gateway.raw() as connection:
        connection.request("GET /close/error-later")
        connection.read_head()
        # To the end: when the client leaves before, nginx hears no more of the application.
        connection.read_to_end()
    assert events() == ["call", "iter", "raise", "close"]


@pytest.mark.provokes("WSGI0174", "TypeError")
def test_after_a_bad_item(gateway, events):
    assert gateway.get("/close/bad-item").status_code == 500
    assert events() == ["call", "iter", "close"]


@pytest.mark.provokes("WSGI0174", "RuntimeError|TypeError|ValueError")
def test_when_start_response_was_not_called(gateway, events):
    assert gateway.get("/close/never-started").status_code == 500
    assert events()[-1] == "close"
    assert events().count("close") == 1


@pytest.mark.provokes("WSGI0174", "ValueError: application failed")
def test_there_is_nothing_to_close_when_the_application_raises(gateway, events):
    assert gateway.get("/close/app-raises").status_code == 500
    assert events("raise") == ["call", "raise"]


@pytest.mark.provokes("RuntimeError: close failed")
@pytest.mark.allows("WSGI0174", "WSGI0194", r"WSGI\d{4}: .*close")
def test_an_error_in_close_does_not_touch_the_response(gateway, events):
    response = gateway.get("/close/close-raises")
    assert (response.status_code, response.text) == (200, "served")
    assert events() == ["call", "iter", "close"]


@pytest.mark.provokes("TypeError: .*not callable")
@pytest.mark.allows("WSGI0174", "WSGI0194", r"WSGI\d{4}: .*close")
def test_a_close_that_is_not_callable(gateway):
    assert gateway.get("/close/not-callable").text == "served"


def test_a_result_without_close(gateway, events):
    assert gateway.get("/close/no-close").text == "served"
    assert events("call") == ["call"]


def leave(gateway, path):
    with gateway.raw() as connection:
        connection.request(f"GET {path}")
        connection.read_head()
        connection.abort()


def test_after_the_client_left(gateway, events):
    leave(gateway, "/close/endless")
    assert events() == ["call", "iter", "close"]


def test_a_generator_is_closed_after_the_client_left(gateway, events):
    leave(gateway, "/close/generator-endless")
    assert events("finally") == ["call", "generator exit", "finally"]


@pytest.mark.allows("shorter|fewer|Content-Length|Content length")
def test_after_too_short_a_body(gateway, events):
    with gateway.raw() as connection:
        connection.request("GET /close/short-length", "Connection: close")
        head = connection.read_head()
        assert connection.read_body(head).data == b"abc"
    assert events() == ["call", "iter", "close"]
