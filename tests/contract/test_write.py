"""PEP 3333, "The write() Callable"."""

from __future__ import annotations

import pytest

from harness.wait import wait_until


def test_written_data_comes_before_the_result(gateway):
    assert gateway.get("/write/parts").text == "one two three"


def test_each_write_is_sent_at_once(gateway):
    with gateway.raw() as connection:
        connection.request("GET /write/flushed")
        head = connection.read_head()
        assert connection.read_chunk() == b"first"
        assert gateway.get("/write/release").text == "released"
        assert connection.read_body(head).data == b"second"


def test_writing_nothing_is_a_first_write(gateway):
    """The head counts as sent: it cannot be replaced any more."""
    response = gateway.get("/write/empty")
    assert response.headers["X-Early"] == "yes"
    assert response.text.startswith("RuntimeError")


@pytest.mark.parametrize("literal", ["'text'", "None", "1", "[b'x']"])
def test_only_bytes(gateway, literal):
    assert gateway.get(f"/write/literal?{literal}").text.startswith("TypeError")


@pytest.mark.parametrize("kind", ["bytearray", "memoryview"])
def test_other_buffers_are_not_bytes(gateway, kind):
    assert gateway.get(f"/write/{kind}").text.startswith("TypeError")


def test_one_argument(gateway):
    assert gateway.get("/write/no-arguments").text.startswith("TypeError")


def test_a_subclass_of_bytes_is_welcome(gateway):
    assert gateway.get("/write/subclass").text == "sub nothing raised"


def test_a_client_that_left_raises_oserror(gateway):
    with gateway.raw() as connection:
        connection.request("GET /write/keep-going")
        connection.read_head()
        connection.abort()
    report = wait_until(lambda: gateway.get("/write/report").json(), "the application to be stopped")
    ((_kind, is_oserror, text),) = report
    assert is_oserror
    assert "client connection closed" in text or "failed to write" in text
