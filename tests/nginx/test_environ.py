"""The environ by nginx's own means: parameters, variables, authentication, rewriting, TLS."""

from __future__ import annotations

import socket
import ssl

import httpx
import pytest
import trustme

PAGES = "wsgi_pass ${apps}/nginx/pages.wsgi;"


@pytest.fixture(scope="module")
def certificate():
    return trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.bytes()


@pytest.fixture(scope="module")
def server(start_shared, certificate):
    return start_shared(
        f"""
        wsgi_param INHERITED "from the server";
        location /plain {{ {PAGES} }}
        location /own {{
            {PAGES}
            wsgi_param OWN value;
            wsgi_param QUERY "$arg_q";
            wsgi_param NAMED "$arg_name" if_not_empty;
            wsgi_param SERVER_NAME other.example;
            wsgi_param HTTP_X_REPLACED replaced;
        }}
        location /authorization {{ {PAGES} wsgi_pass_authorization on; }}
        location /basic {{
            {PAGES}
            auth_basic "a realm";
            auth_basic_user_file ${{root}}/users;
        }}
        location /no-headers {{ {PAGES} wsgi_pass_request_headers off; }}
        location /no-body {{ {PAGES} wsgi_pass_request_body off; }}
        location /real {{
            {PAGES}
            set_real_ip_from 127.0.0.1;
            real_ip_header X-Forwarded-For;
        }}
        location /rewritten {{ rewrite ^/rewritten/(.*)$ /plain/new/$1?added=1 last; }}
        location /if {{
            if ($arg_serve) {{ {PAGES} break; }}
            return 404;
        }}
        location /named {{ try_files /nothing @application; }}
        location @application {{ {PAGES} wsgi_script_name /named; }}
        location /docroot {{ {PAGES} root /srv/elsewhere; }}
        """,
        http=f"""
        server {{
            listen 127.0.0.1:${{port2}} ssl;
            server_name secure.example;
            ssl_certificate ${{root}}/server.pem;
            ssl_certificate_key ${{root}}/server.pem;
            location / {{ {PAGES} }}
        }}
        server {{
            listen 127.0.0.1:${{port3}};
            underscores_in_headers on;
            location / {{ {PAGES} }}
        }}
        """,
        files={"users": "somebody:{PLAIN}secret\n", "server.pem": certificate},
    )


@pytest.fixture
def environ(server):
    def fetch(path, **options):
        response = server.request(options.pop("method", "GET"), path, **options)
        assert response.status_code == 200, response.text
        return response.json()

    return fetch


class TestParameters:
    def test_of_the_server(self, environ):
        assert environ("/plain")["INHERITED"] == "from the server"

    def test_those_of_a_location_replace_all(self, environ):
        shown = environ("/own?q=asked&name=n")
        assert "INHERITED" not in shown
        assert (shown["OWN"], shown["QUERY"], shown["NAMED"]) == ("value", "asked", "n")

    def test_empty_ones(self, environ):
        shown = environ("/own")
        assert shown["QUERY"] == ""
        assert "NAMED" not in shown

    def test_they_replace_what_is_there(self, environ):
        shown = environ("/own", headers={"X-Replaced": "by the client"})
        assert shown["SERVER_NAME"] == "other.example"
        assert shown["HTTP_X_REPLACED"] == "replaced"


class TestAuthentication:
    def test_credentials_are_withheld(self, environ):
        assert "HTTP_AUTHORIZATION" not in environ("/plain", headers={"Authorization": "Bearer t"})

    def test_they_can_be_passed_on(self, environ):
        shown = environ("/authorization", headers={"Authorization": "Bearer t"})
        assert shown["HTTP_AUTHORIZATION"] == "Bearer t"

    def test_who_nginx_let_in(self, environ, server):
        assert server.get("/basic").status_code == 401
        assert environ("/basic", auth=("somebody", "secret"))["REMOTE_USER"] == "somebody"

    def test_who_is_not_checked_is_nobody(self, environ):
        assert "REMOTE_USER" not in environ("/plain", auth=("somebody", "secret"))


def test_no_headers(environ):
    shown = environ("/no-headers", headers={"X-Own": "1"})
    assert [name for name in shown if name.startswith("HTTP_")] == []


def test_no_body(environ):
    shown = environ("/no-body", method="POST", content=b"12345")
    assert shown.get("CONTENT_LENGTH", "0") == "0"


def test_the_real_address(environ):
    assert environ("/real", headers={"X-Forwarded-For": "192.0.2.7"})["REMOTE_ADDR"] == "192.0.2.7"


def test_rewriting(environ):
    shown = environ("/rewritten/x?asked=1")
    assert shown["PATH_INFO"] == "/new/x"
    assert shown["QUERY_STRING"] == "added=1&asked=1"
    assert shown["REQUEST_URI"] == "/rewritten/x?asked=1"


def test_in_an_if(environ, server):
    assert server.get("/if").status_code == 404
    assert environ("/if?serve=1")["QUERY_STRING"] == "serve=1"


def test_a_named_location(environ):
    shown = environ("/named/x")
    assert (shown["SCRIPT_NAME"], shown["PATH_INFO"]) == ("/named", "/x")


def test_the_document_root(environ):
    assert environ("/docroot")["DOCUMENT_ROOT"] == "/srv/elsewhere"


def test_tls(server):
    url = f"https://localhost:{server.port2}/environ"
    shown = httpx.get(url, verify=False, trust_env=False, timeout=30).json()
    assert shown["HTTPS"] in ("on", "1")
    assert shown["wsgi.url_scheme"] == shown["REQUEST_SCHEME"] == "https"
    assert shown["SERVER_NAME"] == "secure.example"
    assert shown["SERVER_PORT"] == str(server.port2)


@pytest.mark.provokes("WSGI0174", "ValueError: in the middle")
def test_a_broken_reply_over_tls(server):
    """Nothing says that this was all: no alert, and no end of the connection in order."""
    context = ssl._create_unverified_context()
    with (
        socket.create_connection(("127.0.0.1", server.port2), timeout=15) as plain,
        context.wrap_socket(plain, suppress_ragged_eofs=False) as connection,
    ):
        connection.sendall(b"GET /broken?size=5 HTTP/1.0\r\n\r\n")
        with pytest.raises((ssl.SSLEOFError, ConnectionResetError)):
            list(iter(lambda: connection.recv(4096), b""))


def test_underscores_where_nginx_lets_them_in(server):
    with server.raw(server.port3) as connection:
        connection.request("GET /environ", "X_Under: score", "Connection: close")
        _head, body = connection.response()
    assert b'"HTTP_X_UNDER": "score"' in body.data


def test_a_server_without_a_name(server):
    shown = server.get(f"http://127.0.0.1:{server.port3}/environ").json()
    assert shown["SERVER_NAME"]
