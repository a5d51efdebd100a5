"""A changed script is loaded anew before the next request; embedded, in the same process."""

from __future__ import annotations

import os

import pytest

# A script that does not load is logged under one number for each way to fail.
FAILED_TO_LOAD = (
    "WSGI0105",
    "WSGI0106",
    "WSGI0107",
    "WSGI0108",
    "WSGI0109",
    "WSGI0110",
    "WSGI0174",
    "WSGI0175",
)

SCRIPT = """
import os, sys

sys.modules.setdefault("kept", type(sys)("kept"))
loads = sys.modules["kept"].__dict__.setdefault("loads", [])
loads.append("VERSION")

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"VERSION|{os.getpid()}|{len(loads)}".encode()]
"""

REQUIRED = """
def reload_required(resource):
    with open(resource + ".wanted") as answer:
        return {"yes": True, "no": False}[answer.read()]
"""


def version(name):
    """A script that answers with its name, the process and how often any version of it was loaded there."""
    return SCRIPT.replace("VERSION", name)


class Script:
    """A script of a server that changes; each version gets another modification time."""

    def __init__(self, server, name="site/app.wsgi"):
        self.server, self.name, self.time = server, name, 1_700_000_000

    def write(self, content, later=10):
        path = self.server.write(self.name, content)
        self.time += later
        os.utime(path, (self.time, self.time))
        return path

    def ask(self):
        name, pid, loads = self.server.get("/app").text.split("|")
        return name, int(pid), int(loads)


@pytest.fixture
def script(start):
    def make(extra="", content=""):
        content = content or version("one")
        server = start(
            f'WSGIScriptAlias /app "${{root}}/site/app.wsgi"\n{extra}', files={"site/app.wsgi": content}
        )
        return Script(server)

    return make


@pytest.mark.mode("embedded")
def test_a_changed_script_is_reloaded_in_the_same_process(script):
    script = script()
    _version, pid, loads = script.ask()
    script.write(version("two"))
    assert script.ask() == ("two", pid, loads + 1)


def test_an_unchanged_script_is_loaded_once(script):
    script = script()
    assert [script.ask()[2] for _ in range(5)] == [1] * 5


def test_a_script_that_became_older_is_reloaded_too(script):
    script = script()
    script.write(version("two"))
    script.ask()
    script.write(version("three"), later=-1000)
    assert script.ask()[0] == "three"


@pytest.mark.mode("embedded")
@pytest.mark.provokes("Loading")
def test_the_log_tells(script):
    script = script()
    script.ask()
    since = script.server.error_log.position()
    script.write(version("two"))
    script.ask()
    script.server.error_log.wait_for(r"(?i)reloading", since)


def test_reloading_off(script):
    script = script("WSGIScriptReloading Off")
    script.ask()
    script.write(version("two"))
    assert script.ask()[0] == "one"


@pytest.mark.provokes("SyntaxError")
@pytest.mark.allows(*FAILED_TO_LOAD)
def test_a_broken_change_is_an_error_until_it_is_mended(script):
    script = script()
    script.ask()
    script.write("def application(:\n")
    assert [script.server.get("/app").status_code for _ in range(2)] == [500, 500]
    script.write(version("mended"))
    assert script.ask()[0] == "mended"


@pytest.mark.provokes("ZeroDivisionError")
@pytest.mark.allows(*FAILED_TO_LOAD)
def test_a_script_that_raises_while_loading_is_tried_again(script):
    script = script(content="1 / 0\n")
    assert script.server.get("/app").status_code == 500
    assert script.server.get("/app").status_code == 500
    assert len(script.server.error_log.wait_for("^ZeroDivisionError", count=2)) == 2


@pytest.mark.provokes("SystemExit: enough")
@pytest.mark.allows(*FAILED_TO_LOAD)
def test_system_exit_while_loading_is_not_obeyed(script):
    script = script(content="raise SystemExit('enough')\n")
    children = script.server.children()
    assert script.server.get("/app").status_code == 500
    assert script.server.children() == children


@pytest.mark.provokes("WSGI0089")
@pytest.mark.differs("a script without the callable is not found", reference="daemon")
def test_a_script_without_the_callable(script):
    script = script(content="x = 1\n")
    assert script.server.get("/app").status_code == 404
    script.write(version("now with it"))
    assert script.ask()[0] == "now with it"


class TestReloadRequired:
    @pytest.fixture
    def asking(self, script):
        script = script(content=version("asked") + REQUIRED)
        script.server.write("site/app.wsgi.wanted", "no")
        return script

    @pytest.mark.mode("embedded")
    def test_it_decides(self, asking):
        assert asking.ask()[2] == 1
        assert asking.ask()[2] == 1
        asking.server.write("site/app.wsgi.wanted", "yes")
        assert asking.ask()[2] == 2
        asking.server.write("site/app.wsgi.wanted", "no")
        assert asking.ask()[2] == 2

    @pytest.mark.provokes("KeyError: 'neither'")
    @pytest.mark.allows(r"WSGI\d{4}", "reload_required", "Exception occurred")
    def test_when_it_raises_nothing_is_reloaded(self, asking):
        asking.ask()
        asking.server.write("site/app.wsgi.wanted", "neither")
        assert asking.ask()[2] == 1


def test_concurrent_first_requests_load_once(start):
    slow = "import time\ntime.sleep(0.3)\n" + version("slow")
    server = start('WSGIScriptAlias /app "${root}/site/app.wsgi"', files={"site/app.wsgi": slow})
    connections = [server.raw() for _ in range(6)]
    for connection in connections:
        connection.request("GET /app")
    bodies = {connection.response()[1].data for connection in connections}
    for connection in connections:
        connection.socket.close()
    assert len(bodies) == 1
    assert bodies.pop().endswith(b"|1")
