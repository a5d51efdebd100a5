"""WSGIScriptAliasMatch: a regular expression chooses the script."""

from __future__ import annotations

import pytest

NAMED = """
import os

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    names = (os.path.basename(__file__), environ["SCRIPT_NAME"], environ["PATH_INFO"])
    return ["|".join(names).encode()]
"""


@pytest.fixture(scope="module")
def server(start_shared):
    return start_shared(
        """
        WSGIScriptAliasMatch ^/sites/([^/]+) "${root}/sites/$1.wsgi"
        WSGIScriptAliasMatch ^/two/([a-z]+)/([0-9]+) "${root}/sites/$1-$2.wsgi"
        WSGIScriptAliasMatch ^/grouped(?=/|$) "${root}/sites/one.wsgi" application-group=matched
        WSGIScriptAliasMatch /anywhere$ "${root}/sites/one.wsgi"
        WSGIScriptAlias /sites/never "${root}/sites/two.wsgi"
        """,
        files={f"sites/{name}.wsgi": NAMED for name in ("one", "two", "blog-7", "never")},
    )


@pytest.mark.parametrize(
    ("url", "reached"),
    [
        ("/sites/one", "one.wsgi|/sites/one|"),
        ("/sites/two/a/b", "two.wsgi|/sites/two|/a/b"),
        ("/two/blog/7/page", "blog-7.wsgi|/two/blog/7|/page"),
        ("/grouped/x", "one.wsgi|/grouped|/x"),
        ("/some/where/anywhere", "one.wsgi|/some/where/anywhere|"),
    ],
)
def test_matches(server, url, reached):
    assert server.get(url).text == reached


def test_configuration_order_decides(server):
    assert server.get("/sites/never").text.startswith("never.wsgi|")


def test_no_match(server):
    assert server.get("/two/blog/x").status_code == 404


@pytest.mark.provokes("WSGI0135")
def test_a_match_without_a_script(server):
    assert server.get("/sites/absent").status_code == 404
