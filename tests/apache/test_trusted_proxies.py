"""WSGITrustedProxyHeaders and WSGITrustedProxies: what a front-end may say about the client."""

from __future__ import annotations

import pytest

CONFIG = """
WSGIScriptAlias /none "${apps}/environ.wsgi"
WSGIScriptAlias /any "${apps}/environ.wsgi"
WSGIScriptAlias /trusted "${apps}/environ.wsgi"
WSGIScriptAlias /untrusted "${apps}/environ.wsgi"
WSGIScriptAlias /real-ip "${apps}/environ.wsgi"
WSGIScriptAlias /last "${apps}/environ.wsgi"
<Location "/any">
    WSGITrustedProxyHeaders X-Forwarded-For X-Forwarded-Host X-Forwarded-Server X-Forwarded-Port
    WSGITrustedProxyHeaders X-Script-Name X-Forwarded-Proto X-Forwarded-SSL
</Location>
<Location "/trusted">
    WSGITrustedProxyHeaders x-forwarded-for X-Forwarded-Proto X-Forwarded-Host
    WSGITrustedProxies 127.0.0.0/8 10.0.0.0/255.0.0.0
    WSGITrustedProxies 203.0.113.9 2001:db8::/32
</Location>
<Location "/untrusted">
    WSGITrustedProxyHeaders X-Forwarded-For X-Forwarded-Proto X-Forwarded-Host X-Script-Name
    WSGITrustedProxies 203.0.113.9
</Location>
<Location "/real-ip">
    WSGITrustedProxyHeaders X-Real-IP X-Client-IP
</Location>
<Location "/last">
    WSGITrustedProxyHeaders X-Forwarded-Host X-Host
</Location>
"""


@pytest.fixture(scope="module")
def server(start_shared):
    return start_shared(CONFIG)


@pytest.fixture
def shown(server, environ_of):
    return lambda path, **headers: environ_of(
        server, path, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


def test_nothing_is_trusted_unless_listed(shown):
    environ = shown("/none", X_Forwarded_For="192.0.2.1", X_Forwarded_Proto="https", X_Forwarded_Host="h")
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["HTTP_HOST"] != "h"
    assert environ["HTTP_X_FORWARDED_FOR"] == "192.0.2.1"


@pytest.mark.differs(
    "empty entries of X-Forwarded-For count for nothing (mod_wsgi 6.0)", reference="reference"
)
def test_the_first_address_when_any_peer_is_trusted(shown):
    environ = shown("/any", X_Forwarded_For=", 192.0.2.1, 10.0.0.1")
    assert environ["REMOTE_ADDR"] == "192.0.2.1"


@pytest.mark.parametrize(
    ("header", "client", "rest"),
    [
        ("192.0.2.1", "192.0.2.1", "192.0.2.1"),
        ("192.0.2.1, 10.1.2.3", "192.0.2.1", "192.0.2.1, 10.1.2.3"),
        ("198.51.100.5, 192.0.2.1, 10.1.2.3, 203.0.113.9", "192.0.2.1", "192.0.2.1, 10.1.2.3, 203.0.113.9"),
        ("10.0.0.1, 10.0.0.2", "10.0.0.1", "10.0.0.1, 10.0.0.2"),
        ("192.0.2.1, 2001:db8::7", "192.0.2.1", "192.0.2.1, 2001:db8::7"),
        ("192.0.2.1,10.1.2.3,203.0.113.9", "192.0.2.1", "192.0.2.1, 10.1.2.3, 203.0.113.9"),
    ],
)
def test_the_walk_from_the_right(shown, header, client, rest):
    environ = shown("/trusted", X_Forwarded_For=header)
    assert (environ["REMOTE_ADDR"], environ["HTTP_X_FORWARDED_FOR"]) == (client, rest)


def test_an_untrusted_peer_says_nothing(shown):
    environ = shown(
        "/untrusted",
        X_Forwarded_For="192.0.2.1",
        X_Forwarded_Proto="https",
        X_Forwarded_Host="forged.example",
        X_Script_Name="/forged",
    )
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["HTTP_HOST"].startswith("localhost")
    assert environ["SCRIPT_NAME"] == "/untrusted"
    for key in (
        "HTTP_X_FORWARDED_FOR",
        "HTTP_X_FORWARDED_PROTO",
        "HTTP_X_FORWARDED_HOST",
        "HTTP_X_SCRIPT_NAME",
    ):
        assert key not in environ


def test_an_untrusted_peer_loses_every_header_of_the_category(shown):
    environ = shown("/untrusted", X_Real_IP="192.0.2.1", X_Forwarded_SSL="on", X_Forwarded_Port="99")
    assert "HTTP_X_REAL_IP" not in environ
    assert "HTTP_X_FORWARDED_SSL" not in environ
    assert environ["HTTP_X_FORWARDED_PORT"] == "99", "the port category was not listed"


@pytest.mark.parametrize("name", ["X_Real_IP", "X_Client_IP"])
def test_a_single_address(shown, name):
    assert shown("/real-ip", **{name: "192.0.2.8"})["REMOTE_ADDR"] == "192.0.2.8"


def test_host_server_port_and_script_name(shown):
    environ = shown(
        "/any/x",
        X_Forwarded_Host="front.example",
        X_Forwarded_Server="inner.example",
        X_Forwarded_Port="8443",
        X_Script_Name="/mounted",
    )
    assert environ["HTTP_HOST"] == "front.example"
    assert environ["SERVER_NAME"] == "inner.example"
    assert environ["SERVER_PORT"] == "8443"
    assert environ["SCRIPT_NAME"] == environ["mod_wsgi.mount_point"] == "/mounted"
    assert environ["mod_wsgi.script_name"] == "/any"
    assert environ["PATH_INFO"] == "/x"


def test_without_the_headers_nothing_changes(shown, server):
    environ = shown("/any/x")
    assert environ["SERVER_PORT"] == str(server.port)
    assert environ["SCRIPT_NAME"] == "/any"
    assert "mod_wsgi.mount_point" not in environ


@pytest.mark.parametrize(
    ("header", "value", "scheme"),
    [
        ("X_Forwarded_Proto", "https", "https"),
        ("X_Forwarded_Proto", "HTTPS", "https"),
        ("X_Forwarded_Proto", "http", "http"),
        ("X_Forwarded_Proto", "gopher", "http"),
        ("X_Forwarded_SSL", "On", "https"),
        ("X_Forwarded_SSL", "1", "https"),
        ("X_Forwarded_SSL", "true", "https"),
        ("X_Forwarded_SSL", "off", "http"),
        ("X_Forwarded_SSL", "maybe", "http"),
    ],
)
def test_the_scheme(shown, header, value, scheme):
    environ = shown("/any", **{header: value})
    assert environ["wsgi.url_scheme"] == scheme
    assert "HTTPS" not in environ


def test_the_last_of_a_category_wins(shown):
    environ = shown("/last", X_Forwarded_Host="first.example", X_Host="second.example")
    assert environ["HTTP_HOST"] == "second.example"
    assert environ["HTTP_X_HOST"] == "second.example"
    assert "HTTP_X_FORWARDED_HOST" not in environ
