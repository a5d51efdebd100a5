"""PEP 3333, "Specification Details" and "Buffering and Streaming": the result of the application."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    "kind", ["list", "tuple", "generator", "iterator", "sequence", "blanks", "blank-list", "subclass"]
)
def test_every_iterable_of_bytes_is_served(gateway, kind):
    response = gateway.get(f"/iteration/{kind}")
    assert (response.status_code, response.content) == (200, b"abc")


@pytest.mark.parametrize("kind", ["empty-list", "empty-generator"])
def test_an_empty_result_is_an_empty_body(gateway, kind):
    response = gateway.get(f"/iteration/{kind}")
    assert (response.status_code, response.content) == (200, b"")


@pytest.mark.parametrize("kind", ["text", "text-item", "bytearray-item", "memoryview-item"])
@pytest.mark.provokes("WSGI0174", "TypeError")
def test_items_are_bytes(gateway, kind):
    response = gateway.get(f"/iteration/{kind}")
    assert response.status_code == 500
    assert "abc" not in response.text


@pytest.mark.parametrize("kind", ["number", "none"])
@pytest.mark.provokes("WSGI0174", "TypeError: .*not iterable")
def test_the_result_is_iterable(gateway, kind):
    assert gateway.get(f"/iteration/{kind}").status_code == 500


def test_a_block_is_on_its_way_before_the_next_is_asked_for(gateway):
    with gateway.raw() as connection:
        connection.request("GET /iteration/stepwise")
        head = connection.read_head()
        assert connection.read_chunk() == b"first"
        gateway.get("/iteration/release")
        assert connection.read_chunk() == b"second"
        gateway.get("/iteration/release")
        body = connection.read_body(head)
        assert (body.data, body.is_complete) == (b"", True)


def test_many_blocks(gateway):
    assert gateway.get("/iteration/many").content == b"x" * 4096 * 256


def test_a_large_block(gateway):
    assert gateway.get("/iteration/large").content == b"y" * 2**20


@pytest.mark.differs("a result of one block gets a Content-Length")
@pytest.mark.parametrize(("kind", "length"), [("one-block", 9), ("large", 2**20)])
def test_one_block_gets_a_content_length(gateway, kind, length):
    response = gateway.get(f"/iteration/{kind}")
    assert response.headers["Content-Length"] == str(length)
    assert "Transfer-Encoding" not in response.headers


def test_several_blocks_come_whole(gateway):
    assert gateway.get("/iteration/two-blocks").content == b"two blocks"


@pytest.mark.parametrize("kind", ["one-block", "generator", "empty-list", "large", "many"])
def test_the_connection_stays_open(gateway, kind):
    with gateway.raw() as connection:
        for _ in range(3):
            connection.request(f"GET /iteration/{kind}")
            head, body = connection.response()
            assert head.status == 200
            assert body.is_complete


def test_http_1_0_ends_with_the_connection(gateway):
    with gateway.raw() as connection:
        connection.send("GET /iteration/generator HTTP/1.0\r\n\r\n")
        head = connection.read_head()
        assert head.get("Transfer-Encoding") is None
        assert connection.read_body(head).data == b"abc"
        assert connection.is_closed_by_server()


def test_pipelined_requests_are_answered_in_order(gateway):
    with gateway.raw() as connection:
        for kind in ("list", "many", "one-block"):
            connection.request(f"GET /iteration/{kind}")
        assert [len(connection.response()[1].data) for _ in range(3)] == [3, 4096 * 256, 9]
