"""WSGIHandlerScript: a script that handles resources of some kind, which need not be scripts themselves."""

from __future__ import annotations

import pytest

HANDLER = """
import json

def handle_request(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({key: value for key, value in environ.items() if isinstance(value, str)}).encode()]

def application(environ, start_response):
    raise RuntimeError("the callable of a handler script is handle_request")
"""

OTHER = HANDLER.replace('"application/json"', '"application/x-other"')


@pytest.fixture(scope="module")
def server(start_shared):
    return start_shared(
        r"""
        WSGIHandlerScript by-suffix "${root}/handlers/one.py"
        WSGIHandlerScript grouped "${root}/handlers/one.py" \
            process-group=${process_group} application-group=handlers
        WSGIHandlerScript authorized "${root}/handlers/one.py" pass-authorization=On
        WSGIHandlerScript overlaid "${root}/handlers/one.py"
        WSGIHandlerScript broken "${root}/handlers/none.py"
        WSGICallableObject application
        AddHandler by-suffix .special
        <Location "/grouped">
            SetHandler grouped
        </Location>
        <Location "/authorized">
            SetHandler authorized
        </Location>
        <Location "/overlaid">
            SetHandler overlaid
        </Location>
        <Location "/overlaid/inner">
            WSGIHandlerScript overlaid "${root}/handlers/two.py"
        </Location>
        <Location "/broken">
            SetHandler broken
        </Location>
        """,
        files={
            "handlers/one.py": HANDLER,
            "handlers/two.py": OTHER,
            "htdocs/page.special": "not a script",
            "htdocs/page.txt": "plain text",
        },
    )


def test_a_resource_of_that_kind(server):
    shown = server.get("/page.special/below?q=1").json()
    assert shown["SCRIPT_FILENAME"] == f"{server.root}/htdocs/page.special"
    assert shown["SCRIPT_NAME"] == "/page.special"
    assert shown["PATH_INFO"] == "/below"
    assert shown["mod_wsgi.request_handler"] == "by-suffix"
    assert shown["mod_wsgi.handler_script"] == f"{server.root}/handlers/one.py"
    assert shown["mod_wsgi.callable_object"] == "handle_request"


def test_other_resources(server):
    assert server.get("/page.txt").text == "plain text"


def test_the_resource_need_not_exist(server):
    assert server.get("/grouped/nothing/here").status_code == 200


def test_options(server):
    assert server.get("/grouped").json()["mod_wsgi.application_group"] == "handlers"
    headers = {"Authorization": "Bearer x"}
    assert server.get("/authorized", headers=headers).json()["HTTP_AUTHORIZATION"] == "Bearer x"
    assert "HTTP_AUTHORIZATION" not in server.get("/grouped", headers=headers).json()


def test_an_inner_directory_may_name_another_script(server):
    assert server.get("/overlaid").headers["Content-Type"] == "application/json"
    assert server.get("/overlaid/inner").headers["Content-Type"] == "application/x-other"


@pytest.mark.allows(r"WSGI01\d\d", "WSGI0105", "WSGI0106", "WSGI0174", "FileNotFoundError", "(?i)none.py")
def test_a_missing_handler_script(server):
    assert server.get("/broken").status_code in (404, 500)
