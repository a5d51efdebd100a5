"""What nginx does around an application: error pages, auth_request, limits, internal redirects."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

PAGES = "wsgi_pass ${apps}/nginx/pages.wsgi;"


@pytest.fixture(scope="module")
def with_pages(start_shared):
    return start_shared(
        f"""
        error_page 404 /words.html;
        error_page 503 =200 /app/environ?for=503;
        error_page 500 @fallback;
        location /app {{ {PAGES} wsgi_intercept_errors on; }}
        location /plain {{ {PAGES} }}
        location /static {{ root ${{docroot}}; error_page 404 = /app/text?size=5; }}
        location @fallback {{ {PAGES} wsgi_script_name /app; }}
        location /gone {{
            return 410;
            error_page 410 /app/headers?status=410+Gone&body=by+the+application;
        }}
        """,
        files={"htdocs/words.html": "nginx's own words"},
    )


class TestErrorPage:
    @pytest.fixture
    def server(self, with_pages):
        return with_pages

    def test_a_page_replaces_the_body(self, server):
        response = server.get("/app/headers?status=404+Own&X-Own=1&body=own")
        assert (response.status_code, response.text) == (404, "nginx's own words")
        assert "X-Own" not in response.headers

    def test_without_intercepting_the_body_is_the_applications(self, server):
        response = server.get("/plain/headers?status=404+Own&body=own")
        assert (response.status_code, response.text) == (404, "own")

    def test_an_application_as_page(self, server):
        response = server.get("/app/headers?status=503+Later&body=own")
        assert response.status_code == 200
        assert response.json()["QUERY_STRING"] == "for=503"

    def test_a_status_that_has_no_page(self, server):
        response = server.get("/app/headers?status=418+Teapot&body=own")
        assert (response.status_code, response.text) == (418, "own")

    def test_the_challenge_survives(self, start):
        server = start(
            f"""
            error_page 401 /words.html;
            location /app {{ {PAGES} wsgi_intercept_errors on; }}
            """,
            files={"htdocs/words.html": "who are you"},
        )
        response = server.get("/app/allow")
        assert (response.status_code, response.text) == (401, "who are you")
        assert response.headers["WWW-Authenticate"] == 'Token realm="x"'

    @pytest.mark.provokes("WSGI0174")
    @pytest.mark.allows("KeyError: 'size'")
    def test_an_error_of_the_application(self, server):
        """Is one of nginx's: its page is used whether errors are intercepted or not."""
        for mount in ("app", "plain"):
            response = server.get(f"/{mount}/text")
            assert response.status_code == 500
            assert "Traceback" not in response.text

    @pytest.mark.provokes("No such file or directory")
    def test_an_application_for_a_file_that_is_not_there(self, server):
        response = server.get("/static/nothing")
        assert (response.status_code, response.text) == (200, "abcde")

    def test_the_application_may_write_the_page(self, server):
        response = server.get("/gone")
        assert (response.status_code, response.text) == (410, "by the application")

    def test_a_body_that_came_before(self, server):
        """Of the request whose error it was: the page does not see it."""
        with server.raw() as connection:
            for _ in range(3):
                connection.request("POST /app/headers?status=503+Later", "Content-Length: 5", body=b"12345")
                head, _body = connection.response()
                assert head.status == 200


@pytest.fixture(scope="module")
def guarded(start_shared):
    return start_shared(
        f"""
        location /allow {{ internal; {PAGES} wsgi_script_name ""; wsgi_pass_request_body off; }}
        location /guarded {{
            auth_request /allow;
            auth_request_set $who $upstream_http_x_user;
            {PAGES}
            wsgi_param WHO $who;
        }}
        location /static {{ auth_request /allow; root ${{docroot}}; }}
        """,
        files={"htdocs/static/page": "a static page"},
    )


class TestAuthRequest:
    @pytest.fixture
    def server(self, guarded):
        return guarded

    def test_who_may(self, server):
        response = server.get("/guarded/environ", headers={"X-Token": "good"})
        assert response.status_code == 200
        assert response.json()["WHO"] == "somebody"

    def test_who_may_not(self, server):
        assert server.get("/guarded/environ", headers={"X-Token": "bad"}).status_code == 403
        response = server.get("/guarded/environ")
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == 'Token realm="x"'

    def test_a_static_page(self, server):
        assert server.get("/static/page", headers={"X-Token": "good"}).text == "a static page"
        assert server.get("/static/page").status_code == 401

    @pytest.mark.parametrize("size", [10, 100_000, 3_000_000])
    def test_the_body_goes_to_the_guarded_application(self, server, size):
        response = server.post("/guarded/body", b"b" * size, headers={"X-Token": "good"})
        assert response.json()[0] == size

    def test_a_kept_connection(self, server):
        with server.raw() as connection:
            for token, status in (("good", 200), ("bad", 403), ("good", 200)):
                connection.request(
                    "POST /guarded/body", f"X-Token: {token}", "Content-Length: 5", body=b"12345"
                )
                head, body = connection.response()
                assert head.status == status
                assert body.is_complete

    def test_many_at_once(self, server):
        def ask(number):
            token = ("good", "bad")[number % 2]
            return server.get("/guarded/environ", headers={"X-Token": token}).status_code

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(ask, range(64))) == [200, 403] * 32


@pytest.fixture(scope="module")
def limited(start_shared):
    return start_shared(
        f"""
        location /one {{ limit_req zone=one; {PAGES} }}
        location /delayed {{ limit_req zone=delayed burst=10; {PAGES} }}
        location /connections {{ limit_conn connections 1; {PAGES} }}
        location /small {{ client_max_body_size 1k; {PAGES} }}
        location /slow {{ limit_rate 100k; {PAGES} }}
        location /only {{ allow 192.0.2.0/24; deny all; {PAGES} }}
        """,
        http="""
        limit_req_zone $server_name zone=one:1m rate=1r/m;
        limit_req_zone $server_name zone=delayed:1m rate=20r/s;
        limit_conn_zone $server_name zone=connections:1m;
        """,
    )


class TestLimits:
    @pytest.fixture
    def server(self, limited):
        return limited

    @pytest.mark.provokes("limiting requests")
    def test_requests(self, server):
        assert [server.get("/one/text?size=1").status_code for _ in range(3)] == [200, 503, 503]

    @pytest.mark.allows("delaying request")
    def test_delayed_requests(self, server):
        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(server.post, "/delayed/body", b"b" * 50_000) for _ in range(8)]
            assert [answer.result().json()[0] for answer in asked] == [50_000] * 8

    @pytest.mark.provokes("limiting connections")
    def test_connections(self, server):
        with server.raw() as held:
            held.request("GET /connections/stepwise")
            held.read_head()
            assert server.get("/connections/text?size=1").status_code == 503
            server.get("/small/release")
            assert held.read_chunk() == b"first"

    @pytest.mark.provokes("client intended to send too large body")
    def test_the_size_of_a_body(self, server):
        assert server.post("/small/body", b"b" * 2000).status_code == 413
        assert server.post("/small/body", b"b" * 1000).json()[0] == 1000

    def test_the_rate_of_a_reply(self, server, letters):
        assert server.get("/slow/text?size=150000").content == letters(150_000)

    @pytest.mark.provokes("access forbidden by rule")
    def test_addresses(self, server):
        assert server.get("/only/text?size=1").status_code == 403


class TestMirror:
    def test_a_mirrored_request(self, start):
        """Its reply is thrown away; neither request waits for the other's."""
        server = start(
            f"""
            location /app {{ mirror /mirror; {PAGES} }}
            location /mirror {{ internal; {PAGES} wsgi_script_name /mirror; }}
            """
        )
        for size in (0, 10, 200_000):
            assert server.post("/app/body", b"b" * size).json()[0] == size
        server.settle()
        assert server.get("/app/calls").text.isdigit()
