"""`wsgi_error_log_level`: what an application has to say, in nginx's log."""

from __future__ import annotations

import pytest

ERRORS = "wsgi_pass ${apps}/errors.wsgi;"


@pytest.fixture(scope="module")
def server(start_shared):
    return start_shared(
        f"""
        location /error {{ {ERRORS} }}
        location / {{
            wsgi_error_log_level warn;
            location /warn {{ {ERRORS} }}
            location /crit {{ {ERRORS} wsgi_error_log_level crit; }}
            location /notice {{ {ERRORS} wsgi_error_log_level notice; }}
            location /debug {{ {ERRORS} wsgi_error_log_level debug; }}
            location /raised {{ wsgi_pass ${{apps}}/exceptions.wsgi; }}
        }}
        """
    )


@pytest.mark.allows("said aloud")
@pytest.mark.parametrize("level", ["error", "warn", "crit", "notice"])
@pytest.mark.parametrize("stream", ["write", "stderr"])
def test_a_line(server, level, stream):
    since = server.error_log.position()
    server.get(f"/{level}/{stream}?text=said+aloud")
    (entry,) = server.error_log.wait_for("said aloud", since)
    assert (entry.level, entry.text) == (level, "said aloud")


def test_a_line_below_the_level_of_the_log(server):
    """Which is `info` here."""
    since = server.error_log.position()
    server.get("/debug/write?text=said+aloud")
    server.get("/notice/write?text=the+end")
    server.error_log.wait_for("the end", since)
    assert server.error_log.find("said aloud", since) == []


@pytest.mark.provokes("WSGI0174", "ValueError")
def test_an_exception(server):
    since = server.error_log.position()
    assert server.get("/raised/call").status_code == 500
    server.error_log.wait_for("ValueError: from the call", since)
    assert {entry.level for entry in server.error_log.find("ValueError", since)} == {"warn"}
