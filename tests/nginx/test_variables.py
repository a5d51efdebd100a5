"""Variables for `log_format`: which group served, how long it took, what it answered."""

from __future__ import annotations

import json

import pytest

from harness.wait import wait_until

PAGES = "wsgi_pass ${apps}/nginx/pages.wsgi;"
NAMES = [
    "wsgi_process_group",
    "wsgi_application_group",
    "wsgi_script_name",
    "wsgi_path_info",
    "wsgi_queue_time",
    "wsgi_application_time",
    "wsgi_status",
    "upstream_status",
    "upstream_response_time",
    "upstream_header_time",
    "upstream_bytes_received",
    "upstream_addr",
]
FORMAT = ", ".join(f'"{name}": "${name}"' for name in NAMES)


@pytest.fixture
def server(start):
    return start(
        f"""
        access_log ${{root}}/logs/wsgi_access.log wsgi;
        location /app {{ {PAGES} }}
        location /other {{ {PAGES} wsgi_application_group apart; wsgi_process_group other; }}
        location /intercepted {{ {PAGES} wsgi_intercept_errors on; error_page 404 /words; }}
        location /words {{ return 200 words; }}
        location /static {{ root ${{docroot}}; }}
        """,
        http=f"""
        wsgi_daemon_process main;
        wsgi_daemon_process other threads=1;
        wsgi_process_group main;
        log_format wsgi escape=json '{{{FORMAT}}}';
        """,
        files={"htdocs/static/page": "static"},
    )


@pytest.fixture
def logged(server):
    def fetch(path, **options):
        server.get(path, **options)
        server.settle()
        return json.loads((server.root / "logs" / "wsgi_access.log").read_text().splitlines()[-1])

    return fetch


def test_names(logged):
    shown = logged("/app/text?size=3")
    assert shown["wsgi_process_group"] == "main"
    assert shown["wsgi_application_group"] == ""
    assert (shown["wsgi_script_name"], shown["wsgi_path_info"]) == ("/app", "/text")
    shown = logged("/other/text?size=3")
    assert (shown["wsgi_process_group"], shown["wsgi_application_group"]) == ("other", "apart")


def test_times(logged):
    shown = logged("/app/sleep?seconds=3")
    assert float(shown["wsgi_application_time"]) >= 3
    assert 0 <= float(shown["wsgi_queue_time"]) < 3
    assert float(shown["upstream_response_time"]) >= 3


def test_the_time_in_the_queue(server, logged):
    with server.raw() as busy:
        busy.request("GET /other/sleep?seconds=3", "Connection: close")
        wait_until(lambda: server.busy() >= 2, "the only thread to be taken")
        shown = logged("/other/text?size=3")
        busy.response()
    assert shown["wsgi_path_info"] in ("/text", "/sleep")
    lines = [json.loads(line) for line in (server.root / "logs" / "wsgi_access.log").read_text().splitlines()]
    (waited,) = [line for line in lines if line["wsgi_path_info"] == "/text"]
    assert 0.2 < float(waited["wsgi_queue_time"]) < 8


def test_the_status(logged):
    assert logged("/app/headers?status=404+Own")["wsgi_status"] == "404"
    shown = logged("/intercepted/headers?status=404+Own")
    assert shown["upstream_status"] == "404"


def test_what_is_not_ours(logged):
    """Is empty or a dash, not somebody else's."""
    shown = logged("/static/page")
    for name in ("wsgi_process_group", "wsgi_queue_time", "wsgi_application_time", "wsgi_status"):
        assert shown[name] in ("", "-")


def test_upstream_variables(logged):
    shown = logged("/app/text?size=5000")
    assert shown["upstream_status"] == "200"
    assert int(shown["upstream_bytes_received"]) >= 5000
    assert shown["upstream_addr"]
