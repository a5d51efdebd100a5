"""The Python modules the gateway provides, and the interpreter it starts."""

from __future__ import annotations

import pytest


@pytest.fixture
def about(gateway):
    return lambda what: gateway.get(f"/module/{what}").json()


def test_mod_wsgi(about, gateway, lane):
    shown = about("mod_wsgi")
    assert shown["version"] == list(lane.mod_wsgi_version)
    assert shown["process_group"] == lane.process_group
    assert shown["application_group"] == f"localhost:{gateway.port}|/module"
    assert shown["application_group"] == shown["environ application_group"]
    assert shown["in sys.modules"]
    assert (shown["maximum_processes"], shown["threads_per_process"]) == (1, 8)


def test_mod_wsgi_has_the_file_wrapper(about):
    assert about("mod_wsgi")["file wrapper is the environ's"]


@pytest.mark.differs("a module `oxwsgi` tells our own version", run=False)
def test_own_module(about):
    shown = about("own")
    assert shown["name"] == "oxwsgi"
    assert shown["version"]


def test_the_interpreter_is_the_lanes(about, lane):
    shown = about("system")
    assert shown["version"][:2] == list(lane.python.minor)
    if not lane.is_reference:
        assert shown["version"] == list(lane.python.version)
        assert shown["prefix"] == str(lane.readable_python.home)
        assert shown["executable"].startswith(str(lane.readable_python.home))


def test_arguments(about):
    assert about("system")["argv"] == ["mod_wsgi"]


def test_the_script_is_a_module(about):
    shown = about("system")
    assert shown["file"].endswith("/apps/module.wsgi")
    assert shown["name"] == shown["expected name"]
    assert shown["module is this one"]


@pytest.mark.differs("mod_wsgi.LogHandler logs at httpd's levels (mod_wsgi 6.0)", reference="reference")
@pytest.mark.parametrize(
    ("level", "logged_at"), [("CRITICAL", "crit"), ("ERROR", "error"), ("WARNING", "warn"), ("INFO", "info")]
)
@pytest.mark.provokes("told by the handler")
def test_the_log_handler(gateway, level, logged_at):
    since = gateway.error_log.position()
    gateway.get(f"/module/log?level={level}&text=told+by+the+handler")
    gateway.settle()
    (entry,) = gateway.error_log.find("told by the handler", since)
    assert entry.level == logged_at
    assert entry.client


@pytest.mark.differs("mod_wsgi.LogHandler logs at httpd's levels (mod_wsgi 6.0)", reference="reference")
def test_the_log_handler_obeys_log_level(gateway):
    since = gateway.error_log.position()
    assert gateway.get("/module/log?level=DEBUG&text=too+much+detail").status_code == 200
    gateway.settle()
    assert "too much detail" not in gateway.error_log.text(since)
