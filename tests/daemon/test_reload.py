"""A changed script: its process is replaced, and the new one answers the request that met the change."""

from __future__ import annotations

import pytest

from harness.config import Lines, Mount
from harness.marks import PROCESS_ABORTED, REQUEST_LOST
from harness.processes import Process
from harness.wait import wait_until

FAILED_TO_LOAD = ("WSGI0105", "WSGI0106", "WSGI0107", "WSGI0108", "WSGI0109", "WSGI0110", "WSGI0174")

VERSION = """
import os
def application(environ, start_response):
    body = environ["wsgi.input"].read()
    with open(os.path.join(environ["FOLDER"], "notes"), "a") as file:
        file.write(f"{environ['QUERY_STRING']}\\n")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"VERSION {os.getpid()} {len(body)}".encode()]
"""


@pytest.fixture
def changing(site):
    """A site whose script says which version of it answers: `write(version)`, then `ask()`."""

    def make(options="", parts=()):
        made = site(options, parts, files={"site/app.wsgi": VERSION.replace("VERSION", "one")})

        def write(version):
            made.script.write_text(VERSION.replace("VERSION", version))
            made.touch(10)

        def ask(**options):
            response = made.server.request("POST", "/app", **options)
            assert response.status_code == 200, response.text
            version, pid, length = response.text.split()
            return version, int(pid), int(length)

        made.write, made.ask = write, ask
        return made

    return make


def test_the_next_request_is_answered_by_the_new_script(changing):
    site = changing()
    _version, pid, _length = site.ask()
    site.write("two")
    version, later, _length = site.ask()
    assert version == "two"
    assert later != pid
    wait_until(lambda: not _lives(pid), "the process of the old script to end")
    site.wait_for_shutdown("script_reload")


def test_the_log_names_the_script(changing):
    site = changing()
    site.ask()
    site.write("two")
    site.ask()
    assert (
        str(site.script) in site.server.error_log.wait_for(r"(?i)script.*app\.wsgi|app\.wsgi.*modif")[0].text
    )


@pytest.mark.parametrize("size", [0, 10, 100_000, 3_000_000])
def test_the_body_of_the_request_that_met_the_change(changing, size):
    site = changing("threads=2")
    site.ask()
    site.write("two")
    version, _pid, length = site.ask(content=b"b" * size)
    assert (version, length) == ("two", size)


def test_the_request_that_met_the_change_runs_once(changing):
    site = changing("processes=2 threads=2")
    for number in range(6):
        site.ask(params={"id": number})
    site.write("two")
    assert {site.ask(params={"id": 10 + number})[0] for number in range(6)} == {"two"}
    notes = (site.shared / "notes").read_text().split()
    assert sorted(notes) == sorted(f"id={number}" for number in (*range(6), *range(10, 16)))


def test_with_expect_the_client_is_asked_for_the_body_once(changing):
    site = changing()
    site.ask()
    site.write("two")
    with site.server.raw() as connection:
        connection.request("POST /app", "Content-Length: 3", "Expect: 100-continue", "Connection: close")
        assert connection.read_head().status == 100
        connection.send(b"abc")
        head, body = connection.response()
        assert (head.status, body.data.split()[0]) == (200, b"two")


def test_a_script_that_became_older(changing):
    site = changing()
    site.write("two")
    assert site.ask()[0] == "two"
    site.script.write_text(VERSION.replace("VERSION", "three"))
    site.touch(-5000)
    assert site.ask()[0] == "three"


def test_reloading_off(changing):
    site = changing(parts=[Lines("WSGIScriptReloading Off", "wsgi_script_reloading off;")])
    version, pid, _length = site.ask()
    site.write("two")
    assert site.ask()[:2] == (version, pid)


def test_an_unchanged_script_keeps_its_process(changing):
    site = changing()
    assert len({site.ask()[1] for _ in range(10)}) == 1


def test_every_process_reloads(changing):
    site = changing("processes=3 threads=1")
    for _ in range(12):
        site.ask()
    site.write("two")
    assert {site.ask()[0] for _ in range(12)} == {"two"}


def test_other_scripts_of_the_process_are_loaded_anew(changing):
    """What is replaced is the process."""
    site = changing(parts=[Mount("/other", "${apps}/interpreter.wsgi")])
    first = site.server.get("/other").json()
    site.ask()
    site.write("two")
    site.ask()
    second = site.server.get("/other").json()
    assert second["pid"] != first["pid"]
    assert second["count"] == 1


@pytest.mark.provokes("SyntaxError")
@pytest.mark.allows(*FAILED_TO_LOAD)
def test_a_broken_change_is_an_error_until_it_is_mended(changing):
    site = changing()
    site.ask()
    site.script.write_text("def application(:\n")
    site.touch(10)
    assert [site.server.get("/app").status_code for _ in range(2)] == [500, 500]
    site.write("mended")
    assert site.ask()[0] == "mended"


@pytest.mark.differs("a new process serves while the old one ends", run=False)
def test_requests_under_way_finish(site):
    """In the process of the old script, while the new one serves."""
    site = site("threads=2 shutdown-timeout=20")
    with site.waiting("held") as held:
        pid = site.wait_for_entry("held")
        site.touch()
        assert site.pid() != pid
        site.release("held")
        assert int(held.response()[1].data) == pid
    wait_until(lambda: not _lives(pid), "the process of the old script to end")


@REQUEST_LOST
@PROCESS_ABORTED
def test_requests_under_way_have_no_more_than_their_time(site):
    site = site("threads=2 shutdown-timeout=1 graceful-timeout=1")
    with site.waiting("never", "/uninterruptible") as stuck:
        site.touch()
        assert site.pid() != site.wait_for_entry("never")
        assert stuck.response()[0].status == 502


REQUIRED = """
import os, pathlib
def reload_required(resource):
    answer = pathlib.Path(resource + ".wanted").read_text()
    return {"yes": True, "no": False}[answer]
def application(environ, start_response):
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
"""


class TestReloadRequired:
    @pytest.fixture
    def asking(self, site):
        made = site("threads=2", files={"site/app.wsgi": REQUIRED})
        made.say = lambda answer: made.server.write("site/app.wsgi.wanted", answer)
        made.say("no")
        made.ask = lambda: int(made.server.get("/app").text)
        return made

    def test_no(self, asking):
        assert len({asking.ask() for _ in range(5)}) == 1

    def test_yes_for_once(self, asking):
        pid = asking.ask()
        asking.say("yes")
        later = asking.ask()
        asking.say("no")
        assert later != pid
        assert asking.ask() == asking.ask()

    @pytest.mark.provokes("KeyError: 'neither'")
    @pytest.mark.allows(r"WSGI\d{4}", "reload_required", "Exception occurred")
    def test_when_it_raises_nothing_is_reloaded(self, asking):
        pid = asking.ask()
        asking.say("neither")
        assert asking.ask() == pid


def _lives(pid: int) -> bool:
    try:
        return Process.at(pid).is_alive
    except ProcessLookupError:
        return False
