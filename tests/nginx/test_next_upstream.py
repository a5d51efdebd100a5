"""`wsgi_next_upstream`: answers that are asked for once more, and how often."""

from __future__ import annotations

import pytest

PAGES = "wsgi_pass ${apps}/nginx/pages.wsgi;"


@pytest.fixture(scope="module")
def server(start_shared):
    return start_shared(
        f"""
        add_header X-Attempts $upstream_status always;
        location /once {{ {PAGES} }}
        location /off {{ {PAGES} wsgi_next_upstream off; }}
        location / {{
            wsgi_next_upstream http_503;
            location /any {{ {PAGES} }}
            location /twice {{ {PAGES} wsgi_next_upstream_tries 2; }}
            location /single {{ {PAGES} wsgi_next_upstream_tries 1; }}
            location /short {{ {PAGES} wsgi_next_upstream_timeout 5s; }}
        }}
        """,
        http="wsgi_daemon_process g processes=4 threads=1; wsgi_process_group g;",
    )


@pytest.mark.parametrize(
    ("mount", "attempts", "after"),
    [
        ("once", 1, 0.2),
        ("off", 1, 0.2),
        ("any", 4, 0.2),
        ("twice", 2, 0.2),
        ("single", 1, 0.2),
        ("short", 2, 3),
    ],
)
def test_how_often(server, mount, attempts, after):
    """Where nothing says less: as often as the group has processes."""
    response = server.get(f"/{mount}/headers?status=503+Later&after={after}&body=later")
    assert (response.status_code, response.text) == (503, "later")
    assert response.headers["X-Attempts"] == ", ".join(["503"] * attempts)


def test_another_status_is_an_answer(server):
    assert server.get("/any/headers?status=500+Broken").headers["X-Attempts"] == "500"


@pytest.mark.parametrize(("method", "attempts"), [("POST", 1), ("PUT", 4)])
def test_what_may_be_done_once_only(server, method, attempts):
    """Is not, without `non_idempotent` (RFC 9110 section 9.2.2)."""
    response = server.request(method, "/any/headers?status=503+Later", content=b"body")
    assert response.headers["X-Attempts"] == ", ".join(["503"] * attempts)
