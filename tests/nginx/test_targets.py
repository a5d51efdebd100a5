"""What `wsgi_pass` names, and which group and interpreter run it."""

from __future__ import annotations

import pytest

APPLICATION = """
import os, sys, threading
import mod_wsgi
calls = 0

def application(environ, start_response):
    start_response("200 OK", [])
    return [f"{NAME} {mod_wsgi.process_group!r} {mod_wsgi.application_group!r} {environ['SCRIPT_NAME']!r}"
            f" {environ['PATH_INFO']!r}".encode()]

def other(environ, start_response):
    start_response("200 OK", [])
    return [b"other"]

class Shop:
    app = staticmethod(other)

shop = Shop()

def create():
    global calls
    calls += 1
    def made(environ, start_response):
        start_response("200 OK", [])
        return [f"made {calls}".encode()]
    return made

class Factories:
    create = staticmethod(create)
"""
FILES = {
    "site/app.wsgi": APPLICATION.replace("{NAME}", "script"),
    "lib/shop/__init__.py": "",
    "lib/shop/web.py": APPLICATION.replace("{NAME}", "module"),
}


def test_three_lines_are_a_site(start):
    """`load_module`, which the harness writes, a location, and this."""
    server = start('location / { wsgi_pass "${root}/site/app.wsgi"; }', files=FILES)
    assert server.get("/").text == "script 'default' '' '' '/'"


@pytest.fixture(scope="module")
def server(start_shared):
    return start_shared(
        """
        location /script { wsgi_pass ${root}/site/app.wsgi; }
        location /script-callable { wsgi_pass ${root}/site/app.wsgi:other; }
        location /dotted { wsgi_pass ${root}/site/app.wsgi:shop.app; }
        location /module { wsgi_pass shop.web; }
        location /module-callable { wsgi_pass shop.web:other; }
        location /callable { wsgi_pass ${root}/site/app.wsgi; wsgi_callable other; }
        location /named-twice { wsgi_pass ${root}/site/app.wsgi:other; wsgi_callable nothing; }
        location /factory { wsgi_pass shop.web:create; wsgi_factory on; }
        location /script-factory { wsgi_pass ${root}/site/app.wsgi:Factories.create; wsgi_factory on; }
        location /group { wsgi_pass ${root}/site/app.wsgi; wsgi_process_group one; }
        location /option { wsgi_pass ${root}/site/app.wsgi daemon=two; wsgi_process_group one; }
        location /interpreter { wsgi_pass ${root}/site/app.wsgi; wsgi_application_group apart; }
        location /interpreter-option { wsgi_pass ${root}/site/app.wsgi group=apart; }
        location /main { wsgi_pass ${root}/site/app.wsgi "group=%{GLOBAL}"; wsgi_application_group apart; }
        location /absent { wsgi_pass no.such.module; }
        location /no-callable { wsgi_pass ${root}/site/app.wsgi:nothing; }
        location = /exact { wsgi_pass ${root}/site/app.wsgi; }
        location ~ ^/expression/(.*) { wsgi_pass ${root}/site/app.wsgi; }
        location ^~ /segment { wsgi_pass ${root}/site/app.wsgi; }
        location /explicit { wsgi_pass ${root}/site/app.wsgi; wsgi_script_name /explicit/deep; }
        location /limited { limit_except GET { wsgi_pass ${root}/site/app.wsgi:other; } return 405; }
        """,
        http="""
        wsgi_python_path "${root}/lib";
        wsgi_daemon_process one;
        wsgi_daemon_process two threads=1;
        """,
        files=FILES,
    )


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/script/x", "script 'default' '' '/script' '/x'"),
        ("/module", "module 'default' '' '/module' ''"),
        ("/script-callable", "other"),
        ("/dotted", "other"),
        ("/module-callable", "other"),
        ("/callable", "other"),
        ("/named-twice", "other"),
        ("/group", "script 'one' '' '/group' ''"),
        ("/option", "script 'two' '' '/option' ''"),
        ("/interpreter", "script 'default' 'apart' '/interpreter' ''"),
        ("/interpreter-option", "script 'default' 'apart' '/interpreter-option' ''"),
        ("/main", "script 'default' '' '/main' ''"),
    ],
)
def test_what_answers(server, path, answer):
    response = server.get(path)
    assert (response.status_code, response.text) == (200, answer)


@pytest.mark.parametrize("path", ["/factory", "/script-factory"])
def test_a_factory_is_called_once(server, path):
    assert [server.get(path).text for _ in range(5)] == ["made 1"] * 5


@pytest.mark.parametrize(
    ("path", "script_name", "path_info"),
    [
        ("/exact", "/exact", ""),
        ("/expression/some", "", "/expression/some"),
        ("/segment/some", "/segment", "/some"),
        ("/segmented", "", "/segmented"),
        ("/explicit/deep/er", "/explicit/deep", "/er"),
        ("/explicit/deeper", "", "/explicit/deeper"),
        ("/explicit/x", "", "/explicit/x"),
    ],
)
def test_the_mount_point(server, path, script_name, path_info):
    assert server.get(path).text == f"script 'default' '' {script_name!r} {path_info!r}"


@pytest.mark.provokes("ModuleNotFoundError: No module named 'no'")
@pytest.mark.allows(r"WSGI\d{4}")
def test_a_module_that_is_not_there(server):
    assert [server.get("/absent").status_code for _ in range(2)] == [500, 500]


@pytest.mark.provokes("WSGI0089")
def test_a_script_without_the_callable(server):
    assert server.get("/no-callable").status_code == 404


@pytest.mark.provokes("WSGI0105")
@pytest.mark.allows("late.wsgi")
def test_a_script_that_is_not_there(start):
    """Is a warning of the configuration, an error of a request, and found when it is put there."""
    server = start('location / { wsgi_pass "${root}/site/late.wsgi"; }')
    assert server.get("/").status_code == 500
    server.write("site/late.wsgi", APPLICATION.replace("{NAME}", "late"))
    assert server.get("/").text.startswith("late ")


def test_a_location_in_a_location(start):
    server = start(
        """
        location /outer {
            wsgi_pass ${root}/site/app.wsgi;
            location /outer/inner { wsgi_pass ${root}/site/app.wsgi:other; }
            location /outer/static { root ${docroot}; }
        }
        """,
        files={**FILES, "htdocs/outer/static/page": "static"},
    )
    assert server.get("/outer/x").text.startswith("script")
    assert server.get("/outer/inner/x").text == "other"
    assert server.get("/outer/static/page").text == "static"
