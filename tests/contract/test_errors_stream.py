"""PEP 3333, "Input and Error Streams": wsgi.errors and standard streams, as lines of the log."""

from __future__ import annotations

import pytest


@pytest.fixture
def logged(gateway):
    """Request a URL below /errors and return the texts of the entries it logged."""

    def fetch(path):
        since = gateway.error_log.position()
        assert gateway.get(f"/errors{path}").text == "done"
        gateway.settle()
        return [entry.text for entry in gateway.error_log.entries(since) if entry.is_alarming]

    return fetch


@pytest.mark.provokes("a line")
def test_a_line_is_an_entry(logged):
    assert logged("/write?text=a+line%0A") == ["a line"]


@pytest.mark.provokes("three", "separate", "lines")
def test_lines_are_entries_of_their_own(logged):
    assert logged("/write?text=three%0Aseparate%0Alines%0A") == ["three", "separate", "lines"]


@pytest.mark.provokes("printed")
def test_print(logged):
    assert logged("/print?text=printed") == ["printed"]


@pytest.mark.provokes("first", "second")
def test_writelines(logged):
    assert logged("/writelines?text=first%0A&text=second%0A") == ["first", "second"]


@pytest.mark.provokes("half a line")
def test_parts_of_a_line_are_joined(logged):
    assert logged("/parts") == ["half a line"]


@pytest.mark.provokes("no newline at the end")
def test_an_unfinished_line_is_logged_when_the_request_ends(logged):
    assert logged("/unfinished") == ["no newline at the end"]


@pytest.mark.provokes("flushed text", "after the flush")
def test_flush_ends_a_line(logged):
    assert logged("/flushed") == ["flushed text", "after the flush"]


@pytest.mark.provokes("from stdout")
def test_standard_output_is_logged(logged):
    assert logged("/stdout?text=from+stdout") == ["from stdout"]


@pytest.mark.provokes("from stderr")
def test_standard_error_is_logged(logged):
    assert logged("/stderr?text=from+stderr") == ["from stderr"]


@pytest.mark.provokes("from a thread")
def test_other_threads_log_too(logged):
    assert logged("/thread-stderr?text=from+a+thread") == ["from a thread"]


@pytest.mark.provokes("logged", "on two lines")
def test_the_logging_module_writes_there(logged):
    assert logged("/logging") == ["logged", "on two lines"]


@pytest.mark.provokes("with a client")
@pytest.mark.parametrize("path", ["print", "stdout", "stderr"])
def test_entries_belong_to_the_request(gateway, path):
    since = gateway.error_log.position()
    with gateway.raw() as connection:
        port = connection.socket.getsockname()[1]
        connection.request(f"GET /errors/{path}?text=with+a+client")
        connection.response()
    (entry,) = gateway.error_log.wait_for("with a client", since)
    assert entry.level == "error"
    assert entry.client == gateway.client_in_log(port)


@pytest.mark.provokes("gr")
def test_text_beyond_ascii(logged):
    (text,) = logged("/write?text=gr%C3%BC%C3%9Fe%0A")
    assert text in ("grüße", r"gr\xc3\xbc\xc3\x9fe")


@pytest.mark.provokes("bytes .* here")
def test_the_buffer_takes_bytes(logged):
    (text,) = logged("/bytes")
    assert text.startswith("bytes ")
    assert text.endswith(" here")


@pytest.mark.provokes("LLLL")
def test_a_long_line_is_cut_not_lost(logged, lane):
    """A line of httpd's log has some 8000 bytes at most, one of nginx's 2048 with what stands around it."""
    texts = logged("/long")
    assert len(texts[0]) > (7000 if lane.server == "httpd" else 1500)
    assert set("".join(texts)) == {"L"}


@pytest.mark.provokes("still fine")
def test_control_characters_do_not_forge_entries(logged):
    (text,) = logged("/write?text=still+fine%0D[Sat]%1B[31m%0A")
    assert "\r" not in text
    assert "\x1b" not in text


@pytest.mark.parametrize("stream", ["errors", "stdout", "stderr"])
def test_the_streams_are_text_files(gateway, stream):
    facts = gateway.get("/errors/facts").json()[stream]
    assert facts["encoding"] == "utf-8"
    assert facts["type"] == "TextIOWrapper"
    assert facts["isatty"] is False
    assert facts["fileno"].startswith("OSError")


def test_each_request_has_a_stream_of_its_own(gateway):
    for _ in range(5):
        assert gateway.get("/errors/mark").json() == [None, False]
