"""PEP 3333, "The start_response() Callable": what it accepts, refuses and returns."""

from __future__ import annotations

from urllib.parse import quote

import pytest


@pytest.fixture
def attempt(gateway):
    """Call start_response with a tuple of arguments; (type name, message) of what it raised, or None."""

    def call(*arguments, path="/start_response"):
        answer = gateway.get(f"{path}?args={quote(repr(arguments))}").json()
        return answer["raised"] and (answer["raised"], answer["message"])

    return call


def test_status_and_headers_reach_the_client(gateway):
    arguments = ("207 Many Things", [("X-One", "1"), ("X-Two", "zwei"), ("Content-Type", "text/x")])
    with gateway.raw() as connection:
        connection.request(f"GET /start_response?args={quote(repr(arguments))}")
        head, _body = connection.response()
    assert head.status_line == "HTTP/1.1 207 Many Things"
    assert head.get("X-One") == "1"
    assert head.get("X-Two") == "zwei"
    assert head.get("Content-Type") == "text/x"


def test_latin_1_reaches_the_client(gateway):
    arguments = ("200 Ünter", [("X-Latin", "sm\xf8r")])
    with gateway.raw() as connection:
        connection.request(f"GET /start_response?args={quote(repr(arguments))}")
        head, _body = connection.response()
    assert head.status_line == "HTTP/1.1 200 Ünter"
    assert head.get("X-Latin") == "sm\xf8r"


def test_it_returns_a_callable(gateway):
    assert gateway.get("/start_response/write-callable").text == "True"


def test_subclasses_are_welcome(gateway):
    response = gateway.get("/start_response/subclasses")
    assert response.json() == {"raised": None}
    assert response.headers["X-Sub"] == "class"


@pytest.mark.differs("a status needs no reason phrase (mod_wsgi 6.0)", reference="reference")
def test_a_status_without_a_reason(attempt):
    assert attempt("200", []) is None


def test_repeated_headers_are_in_order(gateway, lane):
    with gateway.raw() as connection:
        connection.request("GET /start_response/twice-headers")
        head, _body = connection.response()
    assert head.all("Set-Cookie") == ["a=1", "b=2"]
    assert head.all("X-Multi") == (["1, 2"] if lane.folds_headers else ["1", "2"])


@pytest.mark.parametrize(
    ("status", "kind", "text"),
    [
        (200, "TypeError", ""),
        (b"200 OK", "TypeError", ""),
        (None, "TypeError", ""),
        ("", "ValueError", "3 digit"),
        ("OK", "ValueError", "3 digit"),
        ("20 OK", "ValueError", "3 digit"),
        ("2O0 OK", "ValueError", "3 digit"),
        (" 200 OK", "ValueError", "3 digit"),
        ("2000 OK", "ValueError", "status code"),
        ("200-OK", "ValueError", "space following status code"),
        ("200 O\nK", "ValueError", "control character"),
        ("200 O\rK", "ValueError", "control character"),
        ("200 O\x1bK", "ValueError", "control character"),
    ],
)
def test_a_bad_status_is_refused(attempt, status, kind, text):
    raised = attempt(status, [])
    assert raised is not None
    assert raised[0] == kind
    assert text in raised[1]


@pytest.mark.parametrize(
    ("headers", "kind", "text"),
    [
        ((), "TypeError", ""),
        ({}, "TypeError", ""),
        (None, "TypeError", ""),
        ([["X-A", "1"]], "TypeError", ""),
        (["XA"], "TypeError", ""),
        ([("X-A",)], "ValueError", ""),
        ([("X-A", "1", "2")], "ValueError", ""),
        ([()], "ValueError", ""),
        ([(b"X-A", "1")], "TypeError", ""),
        ([("X-A", b"1")], "TypeError", ""),
        ([("X-A", 1)], "TypeError", ""),
        ([("X-A", None)], "TypeError", ""),
        ([("", "1")], "ValueError", ""),
        ([("X\nA", "1")], "ValueError", "control character"),
        ([("X A", "1")], "ValueError", "space"),
        ([("X-A", "1\r\nX-B: 2")], "ValueError", "carriage return/line feed"),
        ([("X-A", "1\n2")], "ValueError", "carriage return/line feed"),
        ([("X-A", "1\r2")], "ValueError", "carriage return/line feed"),
        ([("X-Good", "1"), ("X-A", "\n")], "ValueError", "carriage return/line feed"),
    ],
)
def test_bad_headers_are_refused(attempt, headers, kind, text):
    raised = attempt("200 OK", headers)
    assert raised is not None
    assert raised[0] == kind
    assert text in raised[1]


@pytest.mark.differs("a NUL in the status or a header is refused, not taken for the end")
@pytest.mark.parametrize(
    ("status", "header"),
    [("200 O\x00K", ("X-A", "1")), ("200 OK", ("X\x00A", "1")), ("200 OK", ("X-A", "before\x00after"))],
)
def test_a_nul_is_refused(attempt, status, header):
    raised = attempt(status, [header])
    assert raised is not None
    assert raised[0] == "ValueError"


@pytest.mark.differs("text beyond Latin-1 raises UnicodeEncodeError (mod_wsgi 6.0)", reference="reference")
@pytest.mark.parametrize(
    ("status", "header"), [("200 €", ("X-A", "1")), ("200 OK", ("X-€", "1")), ("200 OK", ("X-A", "€"))]
)
def test_text_is_latin_1(attempt, status, header):
    raised = attempt(status, [header])
    assert raised is not None
    assert raised[0] == "UnicodeEncodeError"


@pytest.mark.differs("a 1xx status is refused: it would corrupt the exchange", run=False)
@pytest.mark.parametrize("status", ["100 Continue", "101 Switching Protocols", "103 Early Hints", "199 x"])
def test_an_informational_status_is_refused(attempt, status):
    raised = attempt(status, [])
    assert raised is not None
    assert raised[0] == "ValueError"


@pytest.mark.parametrize("arguments", [(), ("200 OK",), ("200 OK", [], None, None)])
def test_two_or_three_arguments(attempt, arguments):
    raised = attempt(*arguments) if arguments else attempt(path="/start_response/no-arguments")
    assert raised is not None
    assert raised[0] == "TypeError"


def test_arguments_are_positional(gateway):
    assert gateway.get("/start_response/keywords").json()["raised"] == "TypeError"


def test_a_second_call_before_data_replaces_the_first(gateway):
    response = gateway.get("/start_response/replace")
    assert response.status_code == 200
    assert "X-First" not in response.headers
    assert response.headers["X-Second"] == "2"


def test_exc_info_before_data_replaces_the_head(gateway):
    response = gateway.get("/start_response/replace-exc")
    assert (response.status_code, response.text) == (503, "replaced")
    assert "X-First" not in response.headers
    assert response.headers["X-Second"] == "2"


def test_a_second_call_after_data_raises(gateway):
    assert gateway.get("/start_response/again-sent").text.startswith("sent RuntimeError: ")


def test_exc_info_after_data_raises_that_exception(gateway):
    assert gateway.get("/start_response/exc-sent").text == "sent KeyError: 'the original'"


@pytest.mark.parametrize("value", ["outside", "text", "value"])
@pytest.mark.differs("a triple that is no exception is a TypeError (it may crash the process)", run=False)
def test_exc_info_after_data_must_be_an_exception(gateway, value):
    before = gateway.children()
    assert gateway.get(f"/start_response/exc-sent-none?with={value}").text == "sent TypeError"
    assert gateway.children() == before


@pytest.mark.differs("a refused second head leaves the first", run=False)
def test_a_refused_head_leaves_the_first(gateway):
    response = gateway.get("/start_response/refused-second")
    assert (response.status_code, response.headers["X-First"], response.text) == (202, "1", "first")


@pytest.mark.parametrize("value", ["string", "list"])
def test_exc_info_is_a_tuple(gateway, value):
    answer = gateway.get(f"/start_response/exc-info?with={value}").json()
    assert answer["raised"] == "RuntimeError"


@pytest.mark.differs("the texts of start_response's errors (mod_wsgi 6.0)", reference="reference")
def test_what_the_errors_say(gateway):
    wrong = gateway.get("/start_response/exc-info?with=string").json()
    assert wrong["message"] == "start_response() argument 'exc_info' must be a 3-tuple or None"
    again = gateway.get("/start_response/again-sent").text
    assert again == "sent RuntimeError: start_response() called more than once without exc_info"


def test_exc_info_may_be_none(gateway):
    assert gateway.get("/start_response/exc-info?with=none").json() == {"raised": None}


def test_it_may_be_called_when_the_iteration_begins(gateway):
    response = gateway.get("/start_response/late")
    assert (response.status_code, response.text) == (201, "late")
    assert response.headers["X-Late"] == "yes"


@pytest.mark.provokes("WSGI0174", r"start_response\(\) must be called|response has not been started")
def test_a_result_without_start_response_is_an_error(gateway):
    assert gateway.get("/start_response/never").status_code == 500


@pytest.mark.server("httpd")
def test_date_and_server_are_the_servers(gateway):
    arguments = ("200 OK", [("Server", "forged"), ("Date", "yesterday")])
    response = gateway.get(f"/start_response?args={quote(repr(arguments))}")
    assert response.headers["Server"].startswith("Apache")
    assert response.headers["Date"] != "yesterday"


@pytest.mark.server("nginx")
def test_date_and_server_are_the_applications_if_it_names_them(gateway):
    """nginx adds its own to what comes without; neither is ever there twice."""
    for headers in ([], [("Server", "own"), ("Date", "Thu, 01 Jan 2015 00:00:00 GMT")]):
        with gateway.raw() as connection:
            connection.request(f"GET /start_response?args={quote(repr(('200 OK', headers)))}")
            head, _body = connection.response()
        for name in ("Server", "Date"):
            (value,) = head.all(name)
            assert value == dict(headers).get(name, value)


@pytest.mark.parametrize(
    "header", [("Transfer-Encoding", "gzip"), ("Connection", "close"), ("Keep-Alive", "x")]
)
def test_hop_by_hop_headers_do_not_break_the_framing(gateway, header):
    arguments = ("200 OK", [header])
    with gateway.raw() as connection:
        connection.request(f"GET /start_response?args={quote(repr(arguments))}")
        head, body = connection.response()
    assert head.status == 200
    assert body.is_complete
    assert body.data == b'{"raised": null}'
