"""PEP 3333, "Optional Platform-Specific File Handling"."""

from __future__ import annotations

import pytest

from harness.wait import wait_until


def pattern(size, start=0):
    return (bytes(range(251)) * (size // 251 + 2))[start:size]


@pytest.mark.parametrize("size", [1, 100, 8192, 100_000, 3_000_000])
def test_a_file_is_served_whole_with_its_length(gateway, size):
    response = gateway.get(f"/file_wrapper/file?size={size}")
    assert response.content == pattern(size)
    assert response.headers["Content-Length"] == str(size)


def test_a_file_is_served_from_its_position(gateway):
    response = gateway.get("/file_wrapper/file?size=10000&seek=300")
    assert response.content == pattern(10000, 300)
    assert response.headers["Content-Length"] == "9700"


def test_an_empty_file(gateway):
    response = gateway.get("/file_wrapper/file?size=0")
    assert (response.status_code, response.content) == (200, b"")


def test_a_file_at_its_end(gateway):
    response = gateway.get("/file_wrapper/file?size=50&seek=50")
    assert (response.status_code, response.content) == (200, b"")


def test_the_application_may_serve_a_part(gateway):
    response = gateway.get("/file_wrapper/file?size=10000&seek=10&length=25")
    assert response.content == pattern(35, 10)
    assert response.headers["Content-Length"] == "25"


def test_nothing_of_a_part_of_no_length(gateway):
    response = gateway.get("/file_wrapper/file?size=100&length=0")
    assert response.content == b""


def wait_until_closed(gateway):
    """The file of the last reply; the server may be done with that before the application is."""
    wait_until(lambda: gateway.get("/file_wrapper/closed").json() == [True], "the file to be closed")


def test_the_file_is_closed_afterwards(gateway):
    gateway.get("/file_wrapper/file?size=100")
    wait_until_closed(gateway)


@pytest.mark.allows("WSGI0174", "OSError: .*failed to write response data", on="references")
def test_the_file_is_closed_after_the_client_left(gateway):
    with gateway.raw() as connection:
        connection.request("GET /file_wrapper/file?size=30000000")
        connection.read_head()
        connection.abort()
    wait_until_closed(gateway)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("bytesio", b"from memory"),
        ("pipe", b"through a pipe"),
        ("subclass", pattern(100)),
        ("written", b"before " + pattern(100)),
        ("wrapped-only", pattern(100)),
    ],
)
def test_everything_with_read_is_served(gateway, path, content):
    response = gateway.get(f"/file_wrapper/{path}")
    assert (response.status_code, response.content) == (200, content)


@pytest.mark.allows("WSGI0174", "AttributeError: .*no attribute 'close'", on="references")
def test_an_object_with_nothing_but_read(gateway):
    assert gateway.get("/file_wrapper/no-close").content == b"read"


def test_a_head_request_has_the_length_and_no_body(gateway):
    response = gateway.request("HEAD", "/file_wrapper/file?size=5000")
    assert response.content == b""
    assert response.headers["Content-Length"] == "5000"


def test_keep_alive_after_a_file(gateway):
    with gateway.raw() as connection:
        for size in (10, 70_000, 10):
            connection.request(f"GET /file_wrapper/file?size={size}")
            assert connection.response()[1].data == pattern(size)


@pytest.mark.provokes("WSGI0174", "TypeError")
def test_read_returns_bytes(gateway):
    assert gateway.get("/file_wrapper/bad-read").status_code == 500


@pytest.mark.provokes("WSGI0174", "OSError: the disk is on fire")
def test_an_error_from_read_is_an_error_of_the_application(gateway):
    assert gateway.get("/file_wrapper/read-raises").status_code == 500


def test_the_class(gateway):
    facts = gateway.get("/file_wrapper/facts").json()
    assert facts["is a class"]
    assert facts["name"] == "mod_wsgi.FileWrapper"
    assert facts["default blksize"] == 8192
    assert facts["blocks"] == ["0123", "4567", "89"]
    assert facts["keyword blocks"] == ["x", "y"]


@pytest.mark.differs(
    "the file wrapper has attributes, limits and an end (mod_wsgi 6.0)", reference="reference", run=False
)
def test_the_attributes_of_the_class(gateway):
    facts = gateway.get("/file_wrapper/limits").json()
    assert facts["attributes"] == [True, 4]
    assert facts["negative"].startswith("ValueError")
    assert facts["read-only"].startswith("AttributeError")
    assert facts["after close"] == "ValueError: I/O operation on closed file"
    assert facts["iterated after close"].startswith("ValueError")
