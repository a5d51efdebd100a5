"""SetHandler, AddHandler, AddType and RewriteRule choose the module; Options ExecCGI allows it."""

from __future__ import annotations

import pytest

NAMED = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    handler = environ["mod_wsgi.request_handler"]
    return [f"{handler}|{environ['SCRIPT_NAME']}|{environ['PATH_INFO']}".encode()]
"""


@pytest.fixture(scope="module")
def server(start_shared):
    return start_shared(
        r"""
        <Directory "${docroot}">
            Options +ExecCGI
            AddHandler wsgi-script .wsgi
        </Directory>
        <Directory "${docroot}/every">
            SetHandler wsgi-script
        </Directory>
        <Directory "${docroot}/type">
            RemoveHandler .wsgi
            AddType application/x-httpd-wsgi .app
        </Directory>
        <Directory "${docroot}/forbidden">
            Options -ExecCGI
        </Directory>
        <Directory "${docroot}/rewritten">
            RewriteEngine On
            RewriteRule ^each\.py - [H=wsgi-script]
        </Directory>
        RewriteEngine On
        RewriteRule ^/rewritten/page$ "${docroot}/rewritten/target.py" [H=wsgi-script]
        <Directory "${docroot}/override">
            AllowOverride FileInfo Options=ExecCGI
        </Directory>
        <Location "/aliased">
            Options -ExecCGI
        </Location>
        WSGIScriptAlias /aliased "${docroot}/forbidden/app.wsgi"
        """,
        modules=["rewrite"],
        files={
            "htdocs/plain.txt": "plain text",
            "htdocs/app.wsgi": NAMED,
            "htdocs/every/app.py": NAMED,
            "htdocs/type/app.app": NAMED,
            "htdocs/forbidden/app.wsgi": NAMED,
            "htdocs/rewritten/target.py": NAMED,
            "htdocs/rewritten/each.py": NAMED,
            "htdocs/override/app.xyz": NAMED,
            "htdocs/override/.htaccess": "AddHandler wsgi-script .xyz\n",
        },
    )


def test_other_files_are_not_ours(server):
    assert server.get("/plain.txt").text == "plain text"


@pytest.mark.parametrize(
    ("url", "reached"),
    [
        ("/app.wsgi", "wsgi-script|/app.wsgi|"),
        ("/app.wsgi/path/info", "wsgi-script|/app.wsgi|/path/info"),
        ("/every/app.py/x", "wsgi-script|/every/app.py|/x"),
        ("/type/app.app/x", "application/x-httpd-wsgi|/type/app.app|/x"),
        ("/rewritten/page", "wsgi-script|/rewritten/page|"),
        ("/rewritten/each.py/x", "wsgi-script|/rewritten/each.py|/x"),
        ("/override/app.xyz/x", "wsgi-script|/override/app.xyz|/x"),
        ("/aliased/x", "wsgi-script|/aliased|/x"),
    ],
)
def test_the_handler_reaches_the_script(server, url, reached):
    assert server.get(url).text == reached


@pytest.mark.provokes("WSGI0134")
def test_without_exec_cgi(server):
    since = server.error_log.position()
    assert server.get("/forbidden/app.wsgi").status_code == 403
    (entry,) = server.error_log.wait_for("ExecCGI", since)
    assert "/forbidden/app.wsgi" in str(entry)


@pytest.mark.provokes("WSGI0135")
def test_a_handled_file_that_is_missing(server):
    assert server.get("/absent.wsgi").status_code == 404
