"""WSGIImportScript: loaded when a process starts, before it serves."""

from __future__ import annotations

import pytest

SCRIPT = """
import sys
print("imported {name} into", repr(__import__("mod_wsgi").application_group), file=sys.stderr)
served = 0

def application(environ, start_response):
    global served
    served += 1
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{name} {{served}}".encode()]
"""


@pytest.mark.provokes("imported app into ''")
def test_before_the_first_request(start):
    server = start(
        'WSGIImportScript "${root}/site/app.wsgi" process-group=${process_group} application-group=%{GLOBAL}',
        files={"site/app.wsgi": SCRIPT.format(name="app")},
    )
    server.error_log.wait_for("imported app")


@pytest.mark.provokes("imported app into 'early'")
def test_a_request_finds_it_loaded(start):
    server = start(
        """
        WSGIImportScript "${root}/site/app.wsgi" process-group=${process_group} application-group=early
        WSGIScriptAlias /app "${root}/site/app.wsgi"
        WSGIApplicationGroup early
        """,
        files={"site/app.wsgi": SCRIPT.format(name="app")},
    )
    assert server.get("/app").text == "app 1"
    assert len(server.error_log.wait_for("imported app")) == 1


@pytest.mark.provokes("imported a into 'g'", "imported b into ''", "imported c into 'g'")
def test_in_the_order_of_the_configuration(start):
    server = start(
        """
        WSGIImportScript "${root}/a.wsgi" process-group=${process_group} application-group=g
        WSGIImportScript "${root}/b.wsgi" application-group=%{GLOBAL} process-group=${process_group}
        WSGIImportScript "${root}/c.wsgi" process-group=${process_group} application-group=g
        """,
        files={f"{name}.wsgi": SCRIPT.format(name=name) for name in "abc"},
    )
    texts = [entry.text for entry in server.error_log.wait_for("imported", count=3)]
    # Scripts of the main interpreter are loaded when it starts: before or between the others.
    assert [text for text in texts if "'g'" in text] == ["imported a into 'g'", "imported c into 'g'"]


@pytest.mark.provokes("imported app")
def test_in_a_virtual_host(start):
    server = start(
        """
        Listen 127.0.0.1:${port2}
        <VirtualHost 127.0.0.1:${port2}>
            WSGIImportScript "${root}/app.wsgi" process-group=${process_group} application-group=%{GLOBAL}
        </VirtualHost>
        """,
        files={"app.wsgi": SCRIPT.format(name="app")},
    )
    server.error_log.wait_for("imported app")


@pytest.mark.provokes("ImportError: cannot start")
@pytest.mark.allows("WSGI0105", "WSGI0106", "WSGI0110", "WSGI0174")
def test_a_failure_is_logged_and_the_server_serves(start):
    server = start(
        """
        WSGIImportScript "${root}/broken.wsgi" process-group=${process_group} application-group=%{GLOBAL}
        WSGIScriptAlias /interpreter "${apps}/interpreter.wsgi"
        """,
        files={"broken.wsgi": "raise ImportError('cannot start')\n"},
    )
    server.error_log.wait_for("cannot start")
    assert server.get("/interpreter").status_code == 200
