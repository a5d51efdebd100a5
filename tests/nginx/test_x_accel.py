"""X-Accel headers: what an application tells nginx, and what is kept from the client."""

from __future__ import annotations

import time

import pytest

from harness.wait import wait_until

PAGES = "wsgi_pass ${apps}/nginx/pages.wsgi;"


@pytest.fixture(scope="module")
def server(start_shared):
    return start_shared(
        f"""
        location /app {{ {PAGES} }}
        location /off {{ {PAGES} wsgi_buffering off; }}
        location /protected {{ internal; root ${{docroot}}; }}
        location /ignoring {{
            {PAGES}
            wsgi_ignore_headers X-Accel-Redirect X-Accel-Buffering X-Accel-Limit-Rate X-Accel-Expires
                X-Accel-Charset;
        }}
        location /hiding {{ {PAGES} wsgi_hide_header X-Secret; wsgi_hide_header X-Also; }}
        location /passing {{ {PAGES} wsgi_pass_header X-Accel-Expires; }}
        location @named {{ {PAGES} wsgi_script_name /app/headers; wsgi_param NAMED yes; }}
        location /known {{ charset koi8-r; }}
        location /loop {{ {PAGES} wsgi_param QUERY_STRING X-Accel-Redirect=/loop/headers; }}
        """,
        http="wsgi_daemon_process g threads=4; wsgi_process_group g;",
        files={
            "htdocs/protected/page.txt": "for those whom the application lets",
            "htdocs/protected/large": "l" * 3_000_000,
        },
    )


class TestRedirect:
    def test_to_a_file(self, server):
        response = server.get(
            "/app/headers?X-Accel-Redirect=/protected/page.txt&body=not+this&X-Own=1&Set-Cookie=a%3D1"
        )
        assert (response.status_code, response.text) == (200, "for those whom the application lets")
        assert "X-Accel-Redirect" not in response.headers
        assert "X-Own" not in response.headers
        assert response.headers["Set-Cookie"] == "a=1"

    def test_the_applications_type_and_disposition(self, server):
        query = "Content-Type=image/png&Content-Disposition=attachment&X-Accel-Redirect=/protected/page.txt"
        response = server.get(f"/app/headers?{query}")
        assert response.headers["Content-Type"] == "image/png"
        assert response.headers["Content-Disposition"] == "attachment"

    def test_to_an_application(self, server):
        shown = server.get("/app/headers?X-Accel-Redirect=/app/environ%3Fq%3D1").json()
        assert (shown["PATH_INFO"], shown["QUERY_STRING"]) == ("/environ", "q=1")

    def test_to_a_named_location(self, server):
        assert server.get("/app/headers?X-Accel-Redirect=@named").json()["NAMED"] == "yes"

    def test_a_post_becomes_a_get(self, server):
        response = server.post("/app/headers?X-Accel-Redirect=/protected/page.txt", b"the body")
        assert response.text == "for those whom the application lets"

    def test_a_large_file_and_a_kept_connection(self, server):
        with server.raw() as connection:
            for _ in range(3):
                connection.request("GET /app/headers?X-Accel-Redirect=/protected/large&body=" + "b" * 5000)
                _head, body = connection.response()
                assert len(body.data) == 3_000_000

    def test_a_part_of_the_file(self, server):
        response = server.get(
            "/app/headers?X-Accel-Redirect=/protected/page.txt", headers={"Range": "bytes=0-2"}
        )
        assert (response.status_code, response.text) == (206, "for")

    @pytest.mark.provokes("nothing.txt. failed")
    def test_to_nothing(self, server):
        assert server.get("/app/headers?X-Accel-Redirect=/protected/nothing.txt").status_code == 404

    @pytest.mark.provokes("rewrite or internal redirection cycle")
    def test_to_itself(self, server):
        assert server.get("/loop/headers").status_code == 500

    def test_the_application_is_done_with(self, server):
        """Its thread is free while the file is on its way."""
        with server.raw() as connection:
            connection.request("GET /app/headers?X-Accel-Redirect=/protected/large")
            head = connection.read_head()
            assert server.get("/app/text?size=1").status_code == 200
            assert connection.read_body(head).is_complete


class TestBuffering:
    def test_no(self, server):
        """The reply waits for the client."""
        with server.raw() as connection:
            connection.request("GET /app/text?size=20000000&X-Accel-Buffering=no")
            head = connection.read_head()
            assert head.get("X-Accel-Buffering") is None
            assert len(connection.read_body(head).data) == 20_000_000

    def test_a_reply_that_waits(self, server):
        with server.raw() as connection:
            connection.request("GET /app/finite?size=20000000&block=50000&X-Accel-Buffering=no")
            head = connection.read_head()
            time.sleep(1)
            assert "all sent" not in server.get("/app/report").json()
            assert connection.read_body(head).is_complete

    def test_yes(self, server):
        """The application need not wait."""
        with server.raw() as connection:
            connection.request("GET /off/finite?size=20000000&block=50000&X-Accel-Buffering=yes")
            head = connection.read_head()
            wait_until(lambda: server.get("/off/report").json() == ["all sent", "closed"], "all to be sent")
            assert connection.read_body(head).is_complete

    def test_each_block_at_once(self, server):
        with server.raw() as connection:
            connection.request("GET /app/stepwise?X-Accel-Buffering=no")
            head = connection.read_head()
            assert connection.read_chunk() == b"first"
            server.get("/app/release")
            assert connection.read_body(head).data == b"second"


def test_a_limited_rate(server, letters):
    began = time.monotonic()
    assert server.get("/app/text?size=1500000&X-Accel-Limit-Rate=500000").content == letters(1_500_000)
    # nginx counts in whole seconds: two may be over at once.
    assert time.monotonic() - began > 0.8


def test_a_charset(server):
    """One that the configuration knows."""
    response = server.get("/app/headers?Content-Type=text/html&X-Accel-Charset=koi8-r")
    assert response.headers["Content-Type"] == "text/html; charset=koi8-r"


@pytest.mark.parametrize(
    "name", ["X-Accel-Redirect", "X-Accel-Expires", "X-Accel-Limit-Rate", "X-Accel-Buffering"]
)
def test_they_do_not_reach_the_client(server, name):
    value = {"X-Accel-Redirect": "/protected/page.txt"}.get(name, "0" if "Expires" in name else "no")
    if name == "X-Accel-Limit-Rate":
        value = "1000000"
    assert name not in server.get(f"/app/headers?{name}={value}&body=b").headers


def test_what_is_ignored_is_not_obeyed(server):
    response = server.get("/ignoring/headers?X-Accel-Redirect=/protected/page.txt&body=own")
    assert response.text == "own"


def test_hidden_headers(server):
    response = server.get("/hiding/headers?X-Secret=1&X-Also=2&X-Open=3")
    assert "X-Secret" not in response.headers
    assert "X-Also" not in response.headers
    assert response.headers["X-Open"] == "3"


def test_passed_headers(server):
    assert server.get("/passing/headers?X-Accel-Expires=0").headers["X-Accel-Expires"] == "0"
    assert "X-Accel-Expires" not in server.get("/app/headers?X-Accel-Expires=0").headers


def test_the_location_of_a_redirect_is_the_applications(server):
    """Nothing rewrites it."""
    for location in ("http://elsewhere.example/x", "/app/x", "relative"):
        with server.raw() as connection:
            connection.request(f"GET /app/headers?status=302+Found&Location={location}", "Connection: close")
            head, _body = connection.response()
        assert head.status == 302
        assert head.get("Location") in (location, f"http://localhost:{server.port}{location}")
