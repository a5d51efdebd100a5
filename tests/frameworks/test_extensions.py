"""Extension modules that serve one interpreter of a process only."""

from __future__ import annotations

import pytest

from harness.config import MAIN, Mount

SCRIPT = """
import rpds

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(len(rpds.List([1, 2, 3]))).encode()]
"""


@pytest.fixture
def server(start, venv):
    return start(
        [
            Mount("/main", "${root}/app.wsgi", application_group=MAIN),
            Mount("/other", "${root}/app.wsgi", application_group="other"),
        ],
        python_home=str(venv),
        files={"app.wsgi": SCRIPT},
    )


def test_in_one_interpreter_it_works(server):
    assert server.get("/main").text == "3"


@pytest.mark.provokes("ImportError")
@pytest.mark.provokes(r"WSGIApplicationGroup %\{GLOBAL\}", on="apache")
@pytest.mark.provokes(r"wsgi_application_group %\{GLOBAL\}", on="nginx")
@pytest.mark.allows("WSGI0105", "WSGI0106", "WSGI0110", "WSGI0174", r"WSGI1\d\d\d")
@pytest.mark.differs("an extension that refuses a sub-interpreter is logged with the cure", run=False)
def test_in_another_the_log_tells_the_cure(server):
    assert server.get("/main").text == "3"
    assert [server.get("/other").status_code for _ in range(2)] == [500, 500]
    assert server.get("/main").text == "3"
