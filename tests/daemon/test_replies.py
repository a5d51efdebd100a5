"""Replies of daemon processes: what about them differs from embedded mode, and what must not."""

from __future__ import annotations

import re
import time

import pytest

from harness.config import Group, Lines, Mount, Use, Variable
from harness.marks import REQUEST_LOST
from harness.wait import wait_until

OVERRIDE = Lines(
    """
    WSGIErrorOverride On
    ErrorDocument 404 "the server's own words"
    ErrorDocument 401 "who are you"
    ErrorDocument 503 /environ/error
    """,
    """
    wsgi_intercept_errors on;
    error_page 404 /words.html;
    error_page 401 /who.html;
    error_page 503 /environ/error;
    """,
)
NO_CALLABLE = Lines(
    'WSGIScriptAlias /no-callable "${root}/site/app.wsgi" callable-object=nothing',
    'location /no-callable { wsgi_pass "${root}/site/app.wsgi:nothing"; }',
)


@pytest.fixture(scope="module")
def server(start_shared, servers):
    app = (servers.folder / "apps" / "daemon" / "site.wsgi").read_text()
    return start_shared(
        [
            Group("g", "threads=4"),
            Use("g"),
            Variable("FOLDER", "${root}/shared"),
            Mount("/app", "${root}/site/app.wsgi"),
            Mount("/environ", "${apps}/environ.wsgi"),
            Mount("/input", "${apps}/input.wsgi"),
            Mount("/head_status", "${apps}/head_status.wsgi"),
            Mount("/unbuffered", "${root}/site/app.wsgi", inside=Lines("", "wsgi_buffering off;")),
            Mount("/overridden", "${root}/site/app.wsgi", inside=OVERRIDE),
            NO_CALLABLE,
        ],
        files={
            "site/app.wsgi": app,
            "htdocs/page.html": "a static page",
            "htdocs/words.html": "the server's own words",
            "htdocs/who.html": "who are you",
        },
        folders=("shared",),
    )


def headers_of(server, *pairs, path="/app/headers", method="GET", query=""):
    with server.raw() as connection:
        text = "&".join([f"{name}={value}" for name, value in pairs])
        connection.request(f"{method} {path}?{text}{query}", "Connection: close")
        head, _body = connection.response() if method != "HEAD" else (connection.read_head(), None)
        return head


class TestRepeatedHeaders:
    @pytest.mark.parametrize("name", ["X-Own", "Link", "Vary", "Cache-Control", "Allow"])
    def test_fold_into_one(self, server, lane, name):
        """In httpd; nginx sends them one by one."""
        head = headers_of(server, (name, "a"), ("X-Other", "o"), (name, "b"), (name.lower(), "c"))
        values = [value.replace(" ", "") for value in head.all(name)]
        assert values == (["a,b,c"] if lane.folds_headers else ["a", "b", "c"])
        assert head.all("X-Other") == ["o"]

    def test_cookies_stay_apart(self, server):
        head = headers_of(server, ("Set-Cookie", "a%3D1"), ("X-Own", "x"), ("Set-Cookie", "b%3D2"))
        assert head.all("Set-Cookie") == ["a=1", "b=2"]

    def test_challenges_stay_apart(self, server):
        head = headers_of(
            server,
            ("status", "401+Unauthorized"),
            ("WWW-Authenticate", "Basic"),
            ("WWW-Authenticate", "Digest"),
        )
        assert head.status == 401
        assert head.all("WWW-Authenticate") == ["Basic", "Digest"]

    def test_the_same_cookie_twice(self, server):
        """Is sent twice, as the application said."""
        assert (
            headers_of(server, ("Set-Cookie", "a%3D1"), ("Set-Cookie", "a%3D1")).all("Set-Cookie")
            == ["a=1"] * 2
        )

    @pytest.mark.differs("what the CGI way does to a header is not copied")
    def test_the_case_of_a_media_type_is_kept(self, server):
        assert (
            headers_of(server, ("Content-Type", "Text/PLAIN;+x%3DY")).get("Content-Type") == "Text/PLAIN; x=Y"
        )

    @pytest.mark.differs("what the CGI way does to a header is not copied")
    @pytest.mark.parametrize("value", ["Fri,+01+Jan+2100+00:00:00+GMT", "yesterday"])
    def test_a_date_is_the_applications_affair(self, server, value):
        assert headers_of(server, ("Last-Modified", value)).get("Last-Modified") == value.replace("+", " ")

    def test_a_date(self, server):
        value = "Thu, 01 Jan 2015 00:00:00 GMT"
        assert headers_of(server, ("Last-Modified", value.replace(" ", "+"))).get("Last-Modified") == value

    def test_long_headers(self, server):
        value = "v" * 6000
        assert headers_of(server, ("X-Long", value)).get("X-Long") == value

    def test_many_headers(self, server):
        head = headers_of(server, *((f"X-{number}", number) for number in range(300)))
        assert [head.get(f"X-{number}") for number in range(300)] == [str(number) for number in range(300)]

    def test_non_ascii_values(self, server):
        assert headers_of(server, ("X-Latin", "%C3%A9")).get("X-Latin") == "\xe9"


@pytest.mark.server("httpd")
class TestInternalRedirect:
    """200 with a Location that begins with / is a redirect inside the server, as CGI has it.

    nginx has X-Accel-Redirect for that.
    """

    def test_to_a_file(self, server):
        response = server.get("/app/headers?Location=/page.html&body=not+this")
        assert (response.status_code, response.text) == (200, "a static page")
        assert "Location" not in response.headers

    def test_to_an_application(self, server):
        shown = server.get("/app/headers?Location=/environ/below%3Fq%3D1").json()
        assert shown["PATH_INFO"][1] == "/below"
        assert shown["QUERY_STRING"][1] == "q=1"
        assert shown["REDIRECT_URL"][1] == "/app/headers"
        assert shown["REDIRECT_STATUS"][1] == "200"

    def test_as_a_get_without_a_body(self, server):
        shown = server.post("/app/headers?Location=/environ/below", b"the body").json()
        assert shown["REQUEST_METHOD"][1] == "GET"
        assert "CONTENT_LENGTH" not in shown

    def test_of_a_head_request(self, server):
        response = server.request("HEAD", "/app/headers?Location=/page.html")
        assert response.status_code == 200
        assert response.content == b""

    @pytest.mark.parametrize(
        "status", ["201+Created", "302+Found", "307+Temporary+Redirect", "404+Not+Found"]
    )
    def test_not_of_another_status(self, server, status):
        response = server.get(f"/app/headers?status={status}&Location=/page.html&body=own")
        assert (response.status_code, response.text) == (int(status[:3]), "own")
        assert response.headers["Location"].endswith("/page.html")

    def test_not_to_another_server(self, server):
        response = server.get("/app/headers?Location=http://other.example/page.html&body=own")
        assert (response.status_code, response.text) == (200, "own")
        assert response.headers["Location"] == "http://other.example/page.html"

    def test_not_to_a_relative_place(self, server):
        response = server.get("/app/headers?Location=page.html&body=own")
        assert response.text == "own"

    def test_the_connection_goes_on(self, server):
        with server.raw() as connection:
            for _ in range(3):
                connection.request(
                    "POST /app/headers?Location=/page.html", "Content-Length: 5", body=b"12345"
                )
                _head, body = connection.response()
                assert body.data == b"a static page"

    @pytest.mark.allows("AH00124", "AH00125")
    def test_to_itself_for_ever(self, server):
        response = server.get("/app/headers?Location=/app/headers%3FLocation%3D/app/headers")
        assert response.status_code in (200, 500)


class TestErrorOverride:
    def test_the_servers_document_replaces_the_body(self, server):
        response = server.get("/overridden/headers?status=404+Own&body=the+application's")
        assert (response.status_code, response.text) == (404, "the server's own words")

    def test_without_it_the_body_is_the_applications(self, server):
        response = server.get("/app/headers?status=404+Own&body=the+application's")
        assert (response.status_code, response.text) == (404, "the application's")

    def test_an_application_as_document(self, server, lane):
        response = server.get("/overridden/headers?status=503+Later&body=own")
        if lane.server == "httpd":
            assert response.json()["REDIRECT_STATUS"][1] == "503"
        else:
            assert (response.status_code, response.json()["PATH_INFO"][1]) == (503, "/error")

    @pytest.mark.parametrize("status", ["200+OK", "301+Moved", "399+Odd"])
    def test_only_errors(self, server, status):
        """nginx only replaces those it was given a page for."""
        response = server.get(f"/overridden/headers?status={status}&body=own")
        assert response.text == "own"

    def test_the_challenge_survives(self, server):
        head = headers_of(
            server, ("status", "401+No"), ("WWW-Authenticate", "Basic"), path="/overridden/headers"
        )
        assert head.status == 401
        assert head.all("WWW-Authenticate") == ["Basic"]

    def test_other_headers_do_not(self, server):
        head = headers_of(server, ("status", "404+No"), ("X-Own", "own"), path="/overridden/headers")
        assert head.get("X-Own") is None

    @pytest.mark.server("httpd")
    def test_a_status_without_a_document(self, server):
        response = server.get("/overridden/headers?status=410+Gone&body=own")
        assert response.status_code == 410
        assert "own" not in response.text.replace("unknown", "")

    def test_the_connection_goes_on(self, server):
        with server.raw() as connection:
            for _ in range(3):
                connection.request("GET /overridden/headers?status=404+Own&body=own")
                head, body = connection.response()
                assert (head.status, body.data) == (404, b"the server's own words")


@pytest.mark.provokes("WSGI0089")
@pytest.mark.differs("a script without the callable is not found")
def test_a_script_without_the_callable(server):
    assert server.get("/no-callable").status_code == 404


@pytest.mark.allows("chatter", "OSError")
def test_lines_beside_a_reply_whose_client_leaves_are_logged(server):
    """Those that lie between processes at that moment are, too."""
    path = server.root / "shared" / "left"
    with server.raw() as connection:
        connection.request("GET /unbuffered/chatter?name=left")
        connection.read_head()
        # Meanwhile all buffers are filled.
        time.sleep(0.5)
        connection.abort()
    said = int(wait_until(lambda: path.exists() and path.read_text(), "the application to be told"))
    server.settle()

    def logged() -> list[int]:
        lines = [re.search(r"chatter (\d+)", entry.text) for entry in server.error_log.entries()]
        return [int(line[1]) for line in lines if line]

    wait_until(lambda: len(logged()) >= said, f"{said} lines to be logged")
    assert logged() == list(range(1, said + 1))
    assert 0 < said < 2000


class TestBounds:
    @pytest.mark.provokes(r"WSGI0144|WSGI11[2-4]\d")
    def test_a_header_longer_than_the_buffer(self, site):
        site = site("header-buffer-size=8192")
        assert site.server.get("/app/repeat?size=8000").status_code == 200
        assert site.server.get("/app/repeat?size=20000").status_code == 500

    @pytest.mark.provokes(r"WSGI0144|WSGI11[2-4]\d")
    def test_a_header_longer_than_the_usual_buffer(self, site):
        site = site()
        assert site.server.get("/app/repeat?size=20000").status_code == 200
        assert site.server.get("/app/repeat?size=40000").status_code == 500

    @pytest.mark.parametrize(
        "options",
        [
            "send-buffer-size=4096 receive-buffer-size=4096",
            pytest.param("response-buffer-size=65536", marks=pytest.mark.server("httpd")),
            "header-buffer-size=16384",
        ],
    )
    def test_sizes_of_buffers_change_no_reply(self, site, options):
        site = site(options)
        assert len(site.get("/unread", size=3_000_000).content) == 3_000_000
        assert site.server.post("/app/read", b"b" * 3_000_000).text == "3000000"

    @pytest.mark.server("httpd")
    @pytest.mark.parametrize("delay", [0, 50])
    def test_the_delay_of_flushes_changes_no_reply(self, start, delay):
        server = start(
            [
                Group("g", f"response-flush-delay={delay}"),
                Mount("/iteration", "${apps}/iteration.wsgi", "g"),
            ]
        )
        assert server.get("/iteration/many").content == b"x" * 4096 * 256
        with server.raw() as connection:
            connection.request("GET /iteration/stepwise")
            head = connection.read_head()
            assert connection.read_chunk() == b"first"
            server.get("/iteration/release")
            assert connection.read_chunk() == b"second"
            server.get("/iteration/release")
            assert connection.read_body(head).is_complete


class TestClients:
    @pytest.mark.allows("WSGI0126", "WSGI0120", r"WSGI11[2-4]\d")
    def test_one_that_leaves_in_mid_reply(self, site):
        """Frees the thread, and the next request has it."""
        site = site("processes=1 threads=1")
        for _ in range(3):
            with site.server.raw() as connection:
                connection.request("GET /app/unread?size=50000000")
                connection.read_head()
                connection.abort()
        assert site.get("/pid").status_code == 200

    @pytest.mark.allows(
        "WSGI0126", "WSGI0127", "WSGI0128", "WSGI0129", "WSGI0174", "OSError", r"WSGI11[2-4]\d"
    )
    def test_one_that_leaves_in_mid_request(self, site):
        site = site("processes=1 threads=1")
        for _ in range(3):
            with site.server.raw() as connection:
                connection.request("POST /app/read", "Content-Length: 1000000", body=b"b" * 1000)
                connection.abort()
        assert site.get("/pid").status_code == 200

    @pytest.mark.allows("WSGI0126", r"WSGI11[2-4]\d", "AH01383", "WSGI0174", "OSError")
    def test_one_that_does_not_send_its_body(self, site, lane):
        """The server's timeout ends it, nginx's without a word."""
        # That of the group is not what this is about: loading the script may take longer.
        options = "processes=1 threads=1 socket-timeout=20"
        site = site(options, [Lines("Timeout 1", "client_body_timeout 1s;")])
        with site.server.raw() as connection:
            connection.request("POST /app/read", "Content-Length: 1000", body=b"b")
            if lane.server == "nginx":
                assert connection.is_closed_by_server()
            else:
                assert connection.read_head().status in (408, 500)
        assert site.get("/pid").status_code == 200

    def test_a_slow_sender_does_not_hold_a_thread_it_does_not_need(self, site):
        site = site("processes=1 threads=2")
        with site.server.raw() as connection:
            connection.request("POST /app/read", "Content-Length: 6", body=b"abc")
            assert site.get("/pid").status_code == 200
            connection.send(b"def")
            assert connection.response()[1].data == b"6"


@REQUEST_LOST
@pytest.mark.allows("WSGI1202")
def test_a_process_that_ends_before_the_head_is_a_bad_gateway(site):
    site = site()
    response = site.get("/exit", code=0)
    assert response.status_code == 502
    assert "Bad Gateway" in response.text
