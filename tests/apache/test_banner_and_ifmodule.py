"""The module is known to httpd by mod_wsgi's names, and to clients by its banner."""

from __future__ import annotations

import subprocess

import pytest

ALIAS = 'WSGIScriptAlias /environ "${apps}/environ.wsgi"\n'


@pytest.mark.mode("embedded")
def test_the_banner_names_python(start, lane):
    banner = start(ALIAS).get("/environ").headers["Server"]
    major, minor = lane.python.minor
    assert f"Python/{major}.{minor}" in banner


@pytest.mark.differs("the banner names our own version", run=False)
def test_the_banner_names_us(start, environ_of):
    server = start(ALIAS)
    assert "oxwsgi/" in server.get("/environ").headers["Server"]
    assert "oxwsgi/" in environ_of(server, "/environ")["SERVER_SOFTWARE"]


def test_the_banner_obeys_server_tokens(start):
    assert start(ALIAS + "ServerTokens Prod\n").get("/environ").headers["Server"] == "Apache"


@pytest.mark.parametrize("name", ["mod_wsgi.c", "wsgi_module"])
def test_if_module(start, name):
    server = start(f"<IfModule {name}>\n{ALIAS}</IfModule>\n<IfModule !{name}>\nNonsense\n</IfModule>")
    assert server.get("/environ").status_code == 200


def test_if_directive(start):
    assert start(f"<IfDirective WSGIScriptAlias>\n{ALIAS}</IfDirective>").get("/environ").status_code == 200


def test_it_is_listed_as_wsgi_module(new_server):
    server = new_server("")
    listed = subprocess.run(server.command("-M"), capture_output=True, text=True, check=True, timeout=60)
    assert "wsgi_module (shared)" in listed.stdout


def test_directives_are_listed_with_their_help(new_server):
    server = new_server("")
    listed = subprocess.run(server.command("-L"), capture_output=True, text=True, check=True, timeout=60)
    assert "WSGIScriptAlias (mod_wsgi.c)" in listed.stdout


def test_log_level_by_module_name(start):
    server = start(ALIAS + "LogLevel warn wsgi:info\n")
    server.get("/environ")
    server.error_log.wait_for("Loading .*environ.wsgi")


def test_nothing_of_ours_is_logged_below_the_level(start):
    server = start(ALIAS + "LogLevel notice wsgi:warn\n")
    assert server.get("/environ").status_code == 200
    assert [entry.text for entry in server.error_log.entries() if entry.module == "wsgi"] == []
