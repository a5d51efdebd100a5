"""PEP 3333, "environ Variables": what the application is told about the request."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def environ(gateway):
    """Fetch a URL below /environ and return the environ as {key: value}."""

    def fetch(path="/environ", method="GET", **options):
        response = gateway.request(method, path, **options)
        assert response.status_code == 200
        return {key: value for key, (_type, value) in response.json().items()}

    return fetch


def raw_environ(gateway, line, *headers):
    with gateway.raw() as connection:
        connection.request(line, *headers)
        head, body = connection.response()
        assert head.status == 200
        return {key: value for key, (_type, value) in json.loads(body.data).items()}


def test_every_key_is_str_and_every_cgi_value_too(gateway):
    shown = gateway.get("/environ/path?query=1").json()
    for key, (kind, _value) in shown.items():
        if "." not in key:
            assert kind == "str", key


def test_the_request_line(environ):
    shown = environ("/environ/some/path?a=1&b=%20x", method="OPTIONS")
    assert shown["REQUEST_METHOD"] == "OPTIONS"
    assert shown["SCRIPT_NAME"] == "/environ"
    assert shown["PATH_INFO"] == "/some/path"
    assert shown["QUERY_STRING"] == "a=1&b=%20x"
    assert shown["REQUEST_URI"] == "/environ/some/path?a=1&b=%20x"
    assert shown["SERVER_PROTOCOL"] == "HTTP/1.1"


def test_an_unknown_method_reaches_the_application(environ):
    assert environ(method="BREW")["REQUEST_METHOD"] == "BREW"


def test_the_empty_parts_are_present(environ):
    shown = environ("/environ")
    assert shown["PATH_INFO"] == ""
    assert shown["QUERY_STRING"] == ""


def test_a_trailing_slash_is_path_info(environ):
    assert environ("/environ/")["PATH_INFO"] == "/"


def test_http_1_0(gateway):
    with gateway.raw() as connection:
        connection.send("GET /environ HTTP/1.0\r\n\r\n")
        head = connection.read_head()
        assert head.status == 200
        assert '"SERVER_PROTOCOL": ["str", "HTTP/1.0"]' in connection.read_body(head).data.decode()


def test_the_path_is_decoded_as_latin_1(environ):
    shown = environ("/environ/caf%C3%A9%20%2B/x")
    assert shown["PATH_INFO"] == "/café +/x".encode().decode("latin-1")
    assert shown["REQUEST_URI"] == "/environ/caf%C3%A9%20%2B/x"


def test_repeated_slashes_collapse_in_the_path_only(environ):
    shown = environ("//environ///a//b?u=//x")
    assert shown["SCRIPT_NAME"] == "/environ"
    assert shown["PATH_INFO"] == "/a/b"
    assert shown["REQUEST_URI"] == "//environ///a//b?u=//x"
    assert shown["QUERY_STRING"] == "u=//x"


def test_bytes_above_ascii_in_headers_are_latin_1(gateway):
    shown = raw_environ(gateway, "GET /environ", "X-Name: sm\xf8r", "Connection: close")
    assert shown["HTTP_X_NAME"] == "sm\xf8r"


def test_request_headers(environ):
    shown = environ(headers={"X-Two-Words": "value", "Accept": "a/b", "Cookie": "c=1"})
    assert shown["HTTP_X_TWO_WORDS"] == "value"
    assert shown["HTTP_ACCEPT"] == "a/b"
    assert shown["HTTP_COOKIE"] == "c=1"
    assert shown["HTTP_HOST"].startswith("localhost:")


def test_an_empty_header_value_is_present(gateway):
    assert raw_environ(gateway, "GET /environ", "X-Empty:")["HTTP_X_EMPTY"] == ""


def test_repeated_request_headers_are_joined(gateway):
    shown = raw_environ(gateway, "GET /environ", "X-Multi: a", "X-Multi: b", "x-multi: c")
    assert shown["HTTP_X_MULTI"] == "a, b, c"


def test_content_headers_have_no_http_variant(environ):
    shown = environ(method="POST", headers={"Content-Type": "text/x; y=1"}, content=b"12345")
    assert shown["CONTENT_TYPE"] == "text/x; y=1"
    assert shown["CONTENT_LENGTH"] == "5"
    assert "HTTP_CONTENT_TYPE" not in shown
    assert "HTTP_CONTENT_LENGTH" not in shown


def test_content_keys_are_absent_without_their_headers(environ):
    shown = environ()
    assert "CONTENT_TYPE" not in shown
    assert "CONTENT_LENGTH" not in shown


@pytest.mark.parametrize("name", ["X_Under", "X.Dot", "X~Tilde"])
def test_header_names_that_could_be_confused_are_dropped(gateway, name):
    shown = raw_environ(gateway, "GET /environ", f"{name}: forged", "X-Good: kept")
    assert "forged" not in shown.values()
    assert shown["HTTP_X_GOOD"] == "kept"


def test_the_proxy_header_is_dropped(environ):
    """httpoxy: HTTP_PROXY is a variable that client libraries obey."""
    assert "HTTP_PROXY" not in environ(headers={"Proxy": "http://evil.example"})


@pytest.mark.parametrize("name", ["Authorization", "Proxy-Authorization"])
def test_credentials_are_withheld(environ, name):
    shown = environ(headers={name: "Basic dTpw"})
    assert "HTTP_AUTHORIZATION" not in shown
    assert "HTTP_PROXY_AUTHORIZATION" not in shown


def test_addresses(environ, gateway):
    shown = environ()
    assert shown["REMOTE_ADDR"] == "127.0.0.1"
    assert 1024 <= int(shown["REMOTE_PORT"]) <= 65535
    assert shown["SERVER_ADDR"] == "127.0.0.1"
    assert shown["SERVER_PORT"] == str(gateway.port)
    assert shown["SERVER_NAME"] == "localhost"


def test_the_remote_port_is_the_clients(gateway):
    with gateway.raw() as connection:
        connection.request("GET /environ", "Connection: close")
        _head, body = connection.response()
        assert json.loads(body.data)["REMOTE_PORT"][1] == str(connection.socket.getsockname()[1])


def test_scheme(environ):
    shown = environ()
    assert shown["wsgi.url_scheme"] == "http"
    assert shown["REQUEST_SCHEME"] == "http"
    assert "HTTPS" not in shown


def test_wsgi_keys(gateway):
    shown = gateway.get("/environ").json()
    assert shown["wsgi.version"] == ["tuple", [1, 0]]
    assert shown["wsgi.run_once"] == ["bool", False]
    assert shown["wsgi.input_terminated"] == ["bool", True]
    assert shown["wsgi.multithread"] == ["bool", True]
    assert shown["wsgi.multiprocess"] == ["bool", False]
    for key in ("wsgi.input", "wsgi.errors", "wsgi.file_wrapper"):
        assert key in shown


def test_the_error_stream_is_a_text_stream(gateway):
    assert gateway.get("/environ").json()["wsgi.errors"][0] == "TextIOWrapper"


def test_script_and_document_paths(environ, gateway):
    shown = environ("/environ/x")
    assert shown["SCRIPT_FILENAME"].endswith("/apps/environ.wsgi")
    assert shown["DOCUMENT_ROOT"] == f"{gateway.root}/htdocs"


def test_mod_wsgi_keys(gateway, lane):
    shown = gateway.get("/environ/below").json()
    assert shown["mod_wsgi.version"] == ["tuple", list(lane.mod_wsgi_version)]
    assert shown["mod_wsgi.process_group"] == ["str", lane.process_group]
    assert shown["mod_wsgi.application_group"] == ["str", f"localhost:{gateway.port}|/environ"]
    assert shown["mod_wsgi.callable_object"] == ["str", "application"]
    assert shown["mod_wsgi.request_handler"] == ["str", "wsgi-script"]
    assert shown["mod_wsgi.handler_script"] == ["str", ""]
    assert shown["mod_wsgi.script_name"] == ["str", "/environ"]
    assert shown["mod_wsgi.path_info"] == ["str", "/below"]
    assert ("apache.version" in shown) == (lane.server == "httpd")


def test_no_request_record_by_default(environ):
    assert "apache.request_rec" not in environ()


@pytest.mark.differs(
    "start times are floats, not strings of microseconds (mod_wsgi 6.0)", reference="reference"
)
def test_start_times_are_seconds(gateway, lane):
    shown = gateway.get("/environ").json()
    kind, began = shown["mod_wsgi.request_start"]
    assert kind == "float"
    kind, called = shown["mod_wsgi.application_start"]
    assert kind == "float"
    assert 0 <= called - began < 60
    times = [shown[f"mod_wsgi.{phase}_start"] for phase in ("queue", "daemon")]
    if lane.is_daemon:
        assert [kind for kind, _time in times] == ["float", "float"]
        assert began <= times[0][1] <= times[1][1] <= called
    else:
        assert times == [["float", 0.0], ["float", 0.0]]


@pytest.mark.differs("process and request identity is in the environ (mod_wsgi 6.0)", reference="reference")
def test_identity(gateway):
    shown = gateway.get("/environ").json()
    assert shown["mod_wsgi.server_pid"][0] == "str"
    assert int(shown["mod_wsgi.server_pid"][1]) in gateway.children()
    assert shown["mod_wsgi.thread_id"][0] == "int"
    assert shown["mod_wsgi.request_id"][0] == "str"
    assert shown["mod_wsgi.request_id"][1]


@pytest.mark.differs("CGI leftovers are not in the environ (mod_wsgi 6.0)", reference="reference")
def test_cgi_leftovers_are_absent(environ):
    shown = environ("/environ/x")
    for key in (
        "PATH",
        "LD_LIBRARY_PATH",
        "GATEWAY_INTERFACE",
        "PATH_TRANSLATED",
        "REMOTE_HOST",
        "REMOTE_IDENT",
        "SERVER_SIGNATURE",
        "mod_wsgi.script_start",
        "mod_wsgi.enable_sendfile",
        "mod_wsgi.script_reloading",
    ):
        assert key not in shown


def test_each_request_has_its_own_environ(environ):
    assert "HTTP_X_ONCE" in environ(headers={"X-Once": "1"})
    assert "HTTP_X_ONCE" not in environ()


def test_keep_alive_requests_do_not_mix(gateway):
    with gateway.raw() as connection:
        for number in range(3):
            connection.request(f"GET /environ/{number}", f"X-Number: {number}")
            _head, body = connection.response()
            shown = json.loads(body.data)
            assert shown["PATH_INFO"][1] == f"/{number}"
            assert shown["HTTP_X_NUMBER"][1] == str(number)


def test_a_large_header_arrives_whole(environ):
    value = "v" * 8000
    assert environ(headers={"X-Large": value})["HTTP_X_LARGE"] == value


def test_many_headers_arrive(environ):
    shown = environ(headers={f"X-Many-{number}": str(number) for number in range(80)})
    assert all(shown[f"HTTP_X_MANY_{number}"] == str(number) for number in range(80))


def test_hop_by_hop_headers_are_visible(gateway):
    shown = raw_environ(gateway, "GET /environ", "Connection: close", "TE: trailers")
    assert shown["HTTP_CONNECTION"] == "close"
    assert shown["HTTP_TE"] == "trailers"


def test_the_host_header_decides_the_server_name_only_where_httpd_says_so(gateway):
    with gateway.raw() as connection:
        connection.send("GET /environ HTTP/1.1\r\nHost: other.example:81\r\nConnection: close\r\n\r\n")
        _head, body = connection.response()
        assert b'"HTTP_HOST": ["str", "other.example:81"]' in body.data
