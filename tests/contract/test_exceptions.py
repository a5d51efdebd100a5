"""PEP 3333, "Error Handling": what the client and the log get when an application raises."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def serves_afterwards(gateway):
    yield
    assert gateway.get("/exceptions/fine").text == "fine"


def assert_error_page(response):
    assert response.status_code == 500
    assert response.reason_phrase == "Internal Server Error"
    assert response.headers["Content-Type"].startswith("text/html")
    assert "X-Application" not in response.headers
    assert "Traceback" not in response.text


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("call", marks=pytest.mark.provokes("^ValueError: from the call$")),
        pytest.param("started", marks=pytest.mark.provokes("^ValueError: after start_response$")),
        pytest.param("first", marks=pytest.mark.provokes("^ValueError: in the iteration$")),
        pytest.param("iter", marks=pytest.mark.provokes("^ValueError: from iter$")),
        pytest.param("keyboard", marks=pytest.mark.provokes("^KeyboardInterrupt: keyboard$")),
        pytest.param("base", marks=pytest.mark.provokes(r"Base: base$")),
        pytest.param("latin", marks=pytest.mark.provokes("^ValueError: sm.*rrebr.*d$")),
        pytest.param("chained", marks=pytest.mark.provokes("^ValueError: the effect$")),
        pytest.param(
            "long",
            marks=[
                pytest.mark.provokes("^ValueError: long xxxx"),
                # Its lines are shorter than this one.
                pytest.mark.allows("^x+$", on="nginx"),
            ],
        ),
        pytest.param(
            "unprintable",
            marks=pytest.mark.provokes("Unprintable: <(exception str.. failed|unprintable .*)>"),
        ),
    ],
)
@pytest.mark.provokes("WSGI0174")
def test_before_any_data_it_is_a_500(gateway, path):
    response = gateway.get(f"/exceptions/{path}")
    assert_error_page(response)


@pytest.mark.provokes("WSGI0174", "ValueError: from the call")
def test_the_log_names_the_script_and_the_interpreter(gateway, lane):
    since = gateway.error_log.position()
    gateway.get("/exceptions/call")
    gateway.settle()
    header, traceback = (entry for entry in gateway.error_log.entries(since) if entry.is_alarming)
    assert "/apps/exceptions.wsgi" in header.text
    assert header.level == traceback.level == "error"
    assert header.client == traceback.client
    # nginx's log names no port.
    assert header.client.startswith("127.0.0.1:" if lane.server == "httpd" else "127.0.0.1")
    if lane.mod_wsgi_version >= (6,):
        assert "ValueError" in header.text
        assert f"sub-interpreter 'localhost:{gateway.port}|/exceptions'" in header.text


@pytest.mark.provokes("WSGI0174", "ValueError: from the call")
@pytest.mark.differs("a traceback shows the line that raised", reference="reference-6")
def test_the_traceback_shows_the_line(gateway):
    since = gateway.error_log.position()
    gateway.get("/exceptions/call")
    gateway.settle()
    (traceback,) = gateway.error_log.find("ValueError: from the call", since)
    assert any("exceptions.wsgi" in line and ", in application" in line for line in traceback.lines)
    assert any("raise BEFORE_START[path]" in line for line in traceback.lines)


@pytest.mark.provokes("WSGI0174", "ValueError: the effect")
def test_the_cause_is_logged(gateway):
    since = gateway.error_log.position()
    gateway.get("/exceptions/chained")
    gateway.settle()
    assert "KeyError: 'the cause'" in gateway.error_log.text(since)
    assert "direct cause" in gateway.error_log.text(since)


@pytest.mark.provokes("WSGI0175", "SystemExit: exit by the application")
def test_system_exit_is_not_obeyed(gateway):
    before = gateway.children()
    assert_error_page(gateway.get("/exceptions/system-exit"))
    assert gateway.children() == before


@pytest.mark.provokes("WSGI0175", "SystemExit: exit in the iteration")
def test_system_exit_in_the_iteration_is_not_obeyed(gateway):
    before = gateway.children()
    with gateway.raw() as connection:
        connection.request("GET /exceptions/system-exit-later")
        connection.read_head()
    gateway.settle()
    assert gateway.children() == before


@pytest.mark.parametrize(
    ("path", "data"),
    [
        pytest.param("later", b"first block", marks=pytest.mark.provokes("ValueError: in the iteration")),
        pytest.param("later-item", b"first block", marks=pytest.mark.provokes("TypeError")),
        pytest.param("written", b"written", marks=pytest.mark.provokes("ValueError: after write")),
    ],
)
@pytest.mark.provokes("WSGI0174")
@pytest.mark.differs("a reply that breaks off in mid-stream breaks the connection", run=False)
def test_in_mid_stream_the_connection_breaks(gateway, path, data):
    with gateway.raw() as connection:
        connection.request(f"GET /exceptions/{path}")
        head, body = connection.response()
        assert head.status == 200
        assert (body.data, body.is_complete) == (data, False)


@pytest.mark.provokes("WSGI0174", "ValueError: in the iteration")
@pytest.mark.differs("a reply that breaks off in mid-stream breaks the connection", run=False)
def test_in_mid_stream_with_a_length_the_connection_breaks(gateway):
    with gateway.raw() as connection:
        connection.request("GET /exceptions/later-sized")
        head, body = connection.response()
        assert head.get("Content-Length") == "100"
        assert (body.data, body.is_complete) == (b"first block", False)


@pytest.mark.provokes("WSGI0174", "ValueError: in the iteration")
@pytest.mark.differs("a reply that breaks off in mid-stream breaks the connection")
@pytest.mark.parametrize(
    "text",
    [
        "GET /exceptions/later HTTP/1.0\r\n\r\n",
        "POST /exceptions/later HTTP/1.0\r\nContent-Length: 4\r\n\r\nbody",
    ],
    ids=["get", "post"],
)
def test_in_mid_stream_the_end_of_the_connection_is_no_end_of_the_body(gateway, text):
    """With neither a length nor chunks (clients and proxies of HTTP/1.0) an orderly end would be one."""
    with gateway.raw() as connection:
        connection.send(text)
        connection.read_to_end()
        assert connection.was_reset


@pytest.mark.allows("WSGI0174", "ValueError: in the iteration")
def test_in_mid_stream_of_a_reply_without_a_body(gateway):
    """The client has all of it."""
    with gateway.raw() as connection:
        connection.request("HEAD /exceptions/later", "Connection: close")
        assert connection.read_head().status == 200
        assert connection.is_closed_by_server()
        assert not connection.was_reset


@pytest.mark.provokes("WSGI0174", "ValueError: in the iteration")
def test_in_mid_stream_nothing_foreign_follows(gateway):
    """No error page in the middle of the application's data."""
    with gateway.raw() as connection:
        connection.request("GET /exceptions/later", "Connection: close")
        connection.read_head()
        assert b"<html" not in connection.read_to_end().lower()


@pytest.mark.provokes("WSGI0174", "TypeError")
@pytest.mark.differs("a reply that breaks off in mid-stream breaks the connection", reference="daemon")
def test_a_list_with_a_bad_item_is_never_taken_for_whole(gateway):
    """Its items may be looked at before any is sent: then it is an error page, else a broken connection."""
    with gateway.raw() as connection:
        connection.request("GET /exceptions/bad-list", "Connection: close")
        head, body = connection.response()
        assert head.status == 500 or not body.is_complete


def test_nothing_is_logged_when_nothing_is_wrong(gateway):
    gateway.get("/exceptions/fine")
    since = gateway.error_log.position()
    gateway.get("/exceptions/fine")
    gateway.settle()
    assert gateway.error_log.entries(since) == []
