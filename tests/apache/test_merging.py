"""Mergeable directives: of server, virtual host, directory and .htaccess the innermost that sets it wins."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from harness.lane import REFERENCE

pytestmark = pytest.mark.allows("WSGI0139")

AUTHORIZATION = {"Authorization": "Basic " + base64.b64encode(b"u:p").decode()}
FORWARDED = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Host": "front.example"}


@dataclass(frozen=True)
class Directive:
    """`outer` and `inner` are two values; `effect` tells which one a URL is served with."""

    name: str
    outer: str
    inner: str
    effect: Callable
    in_htaccess: bool = True


def environ_key(key: str, **options):
    return lambda server, url: server.get(url, **options).json().get(key, [None, None])[1]


def chunked(server, url):
    return {200: "On", 411: "Off"}[server.post(url, content=iter([b"abc"])).status_code]


def authorization(server, url):
    return "On" if "HTTP_AUTHORIZATION" in server.get(url, headers=AUTHORIZATION).json() else "Off"


def head_shown_as(server, url):
    return {"GET": "On", "HEAD": "Off"}[server.request("HEAD", url).headers["X-Method"]]


def trusted_header(server, url):
    shown = server.get(url, headers=FORWARDED).json()
    by_address = shown["REMOTE_ADDR"][1] == "192.0.2.7"
    by_host = shown["HTTP_HOST"][1] == "front.example"
    return {(True, False): "X-Forwarded-For", (False, True): "X-Forwarded-Host"}.get((by_address, by_host))


DIRECTIVES = [
    Directive(
        "WSGIApplicationGroup", "outer", "inner", environ_key("mod_wsgi.application_group"), in_htaccess=False
    ),
    Directive("WSGICallableObject", "application", "other", environ_key("mod_wsgi.callable_object")),
    Directive("WSGIPassAuthorization", "On", "Off", authorization),
    Directive("WSGIPassAuthorization", "Off", "On", authorization),
    Directive("WSGIChunkedRequest", "On", "Off", chunked),
    Directive("WSGIChunkedRequest", "Off", "On", chunked),
    Directive("WSGIMapHEADToGET", "On", "Off", head_shown_as),
    Directive("WSGIMapHEADToGET", "Off", "On", head_shown_as),
    Directive("WSGITrustedProxyHeaders", "X-Forwarded-For", "X-Forwarded-Host", trusted_header),
]

CONFIG = """
{name} {outer}
WSGIScriptAlias /app "${{docroot}}/app.wsgi"
WSGIScriptAlias /unset "${{docroot}}/app.wsgi"
WSGIScriptAlias /inner "${{docroot}}/app.wsgi"
WSGIScriptAlias /inner/outermost "${{docroot}}/app.wsgi"
<Location "/unset">
    WSGIScriptReloading On
</Location>
<Location "/inner">
    {name} {inner}
</Location>
<Location "/inner/outermost">
    {name} {outer}
</Location>
WSGIScriptAlias /htaccess "${{docroot}}/override/app.wsgi"
<Directory "${{docroot}}/override">
    AllowOverride FileInfo
</Directory>
<Directory "${{docroot}}/override/ruled">
    {name} {outer}
</Directory>
WSGIScriptAlias /ruled "${{docroot}}/override/ruled/app.wsgi"
Listen 127.0.0.1:${{port2}}
<VirtualHost 127.0.0.1:${{port2}}>
    {name} {inner}
    <Location "/unset">
        {name} {outer}
    </Location>
</VirtualHost>
Listen 127.0.0.1:${{port3}}
<VirtualHost 127.0.0.1:${{port3}}>
    <Location "/app">
        {name} {inner}
    </Location>
</VirtualHost>
"""


@pytest.fixture(
    scope="module", params=DIRECTIVES, ids=lambda directive: f"{directive.name}={directive.outer}"
)
def directive(request):
    return request.param


@pytest.fixture(scope="module")
def server(start_shared, servers, directive):
    app = (servers.folder / "apps" / "environ.wsgi").read_text()
    htaccess = f"{directive.name} {directive.inner}\n" if directive.in_htaccess else ""
    return start_shared(
        CONFIG.format(name=directive.name, outer=directive.outer, inner=directive.inner),
        files={
            "htdocs/app.wsgi": app,
            "htdocs/override/app.wsgi": app,
            "htdocs/override/.htaccess": htaccess,
            "htdocs/override/ruled/app.wsgi": app,
        },
    )


def effect(server, directive, path, port=None):
    return directive.effect(server, f"http://localhost:{port or server.port}{path}")


def test_the_main_server(server, directive):
    assert effect(server, directive, "/app") == directive.outer


def test_a_directory_that_sets_something_else(server, directive):
    assert effect(server, directive, "/unset") == directive.outer


def test_a_directory(server, directive):
    assert effect(server, directive, "/inner") == directive.inner


def test_a_directory_in_a_directory(server, directive):
    assert effect(server, directive, "/inner/outermost") == directive.outer


def test_a_virtual_host(server, directive):
    assert effect(server, directive, "/app", server.port2) == directive.inner


def test_a_directory_of_a_virtual_host(server, directive):
    assert effect(server, directive, "/unset", server.port2) == directive.outer


def test_a_virtual_host_that_sets_nothing(request, lane, server, directive):
    if lane.gateway == REFERENCE and (directive.name, directive.outer) == ("WSGIMapHEADToGET", "On"):
        reason = "mod_wsgi 4.9.4 does not merge WSGIMapHEADToGET into virtual hosts"
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
    assert effect(server, directive, "/unset", server.port3) == directive.outer
    assert effect(server, directive, "/inner", server.port3) == directive.inner
    assert effect(server, directive, "/app", server.port3) == directive.inner


def test_htaccess(server, directive):
    expected = directive.inner if directive.in_htaccess else directive.outer
    assert effect(server, directive, "/htaccess") == expected


def test_the_inner_of_htaccess_and_directory(server, directive):
    """The section for the inner folder is merged after the .htaccess of the outer one."""
    assert effect(server, directive, "/ruled") == directive.outer


@pytest.mark.parametrize(
    "line",
    [
        "WSGICallableObject other",
        "WSGIPassAuthorization On",
        "WSGIScriptReloading Off",
        "WSGIErrorOverride On",
        "WSGIChunkedRequest On",
        "WSGIMapHEADToGET Off",
        "WSGIEnableSendfile On",
        "WSGITrustedProxyHeaders X-Forwarded-For",
        "WSGITrustedProxies 192.0.2.0/24",
    ],
)
class TestOverride:
    CONFIG = """
        <Directory "${docroot}">
            Options +ExecCGI
            AddHandler wsgi-script .wsgi
            AllowOverride %s
        </Directory>
        """

    @pytest.fixture
    def status(self, start, servers, line):
        app = (servers.folder / "apps" / "environ.wsgi").read_text()
        files = {"htdocs/app.wsgi": app, "htdocs/.htaccess": line + "\n"}
        return lambda allowed: start(self.CONFIG % allowed, files=files).get("/app.wsgi").status_code

    def test_allowed_by_file_info(self, status, line):
        assert status("FileInfo") == 200, line

    @pytest.mark.provokes("not allowed here")
    def test_not_allowed_otherwise(self, status, line):
        assert status("AuthConfig Indexes Limit Options") == 500, line


@pytest.mark.provokes("not allowed here")
@pytest.mark.parametrize("line", ["WSGIApplicationGroup x", "WSGIScriptAlias /x /y"])
def test_some_are_never_allowed_in_htaccess(start, servers, line):
    app = (servers.folder / "apps" / "environ.wsgi").read_text()
    files = {"htdocs/app.wsgi": app, "htdocs/.htaccess": line + "\n"}
    assert start(TestOverride.CONFIG % "All", files=files).get("/app.wsgi").status_code == 500


def test_lists_are_replaced_not_joined(start, environ_of):
    server = start("""
        WSGITrustedProxyHeaders X-Forwarded-For
        WSGITrustedProxies 127.0.0.0/8
        WSGIScriptAlias /outer "${apps}/environ.wsgi"
        WSGIScriptAlias /inner "${apps}/environ.wsgi"
        <Location "/inner">
            WSGITrustedProxies 203.0.113.0/24
        </Location>
        """)
    assert environ_of(server, "/outer", headers=FORWARDED)["REMOTE_ADDR"] == "192.0.2.7"
    assert environ_of(server, "/inner", headers=FORWARDED)["REMOTE_ADDR"] == "127.0.0.1"


def test_lines_of_one_level_add_up(start, environ_of):
    server = start("""
        WSGITrustedProxyHeaders X-Forwarded-For
        WSGITrustedProxyHeaders X-Forwarded-Host X-Forwarded-Port
        WSGIScriptAlias /app "${apps}/environ.wsgi"
        """)
    shown = environ_of(server, "/app", headers={**FORWARDED, "X-Forwarded-Port": "8443"})
    assert (shown["REMOTE_ADDR"], shown["HTTP_HOST"], shown["SERVER_PORT"]) == (
        "192.0.2.7",
        "front.example",
        "8443",
    )
