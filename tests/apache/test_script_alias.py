"""WSGIScriptAlias: which script a URL reaches, and what SCRIPT_NAME and PATH_INFO become."""

from __future__ import annotations

import pytest

HELLO = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [{text!r}]
"""

CONFIG = r"""
Alias /static "${docroot}"
WSGIScriptAlias /app/inner "${root}/scripts/inner.wsgi"
WSGIScriptAlias /app "${apps}/environ.wsgi"
WSGIScriptAlias /shadow "${apps}/environ.wsgi"
WSGIScriptAlias /shadow/late "${root}/scripts/inner.wsgi"
WSGIScriptAlias /folder/ "${root}/scripts/"
WSGIScriptAlias /bare "${root}/scripts"
WSGIScriptAlias /wrong/ "${apps}/environ.wsgi"
WSGIScriptAlias /grouped "${apps}/environ.wsgi" application-group=literal
WSGIScriptAlias /global "${apps}/environ.wsgi" application-group=%{GLOBAL}
WSGIScriptAlias /callable "${apps}/environ.wsgi" callable-object=other
WSGIScriptAlias /no-such-callable "${apps}/environ.wsgi" callable-object=%{ENV:NAME}
WSGIScriptAlias /authorized "${apps}/environ.wsgi" pass-authorization=On
WSGIScriptAlias /quoted "${apps}/environ.wsgi" application-group='two words'
WSGIScriptAlias "/with space" "${apps}/environ.wsgi"
WSGIScriptAlias /preloaded "${root}/scripts/preloaded.wsgi" \
    process-group=${process_group} application-group=early
WSGIScriptAlias /missing "${root}/scripts/missing.wsgi"
Listen 127.0.0.1:${port2}
<VirtualHost 127.0.0.1:${port2}>
    Alias /static "${docroot}"
    WSGIScriptAlias /app "${root}/scripts/vhost.wsgi"
    WSGIScriptAlias / "${apps}/environ.wsgi"
</VirtualHost>
Listen 127.0.0.1:${port3}
<VirtualHost 127.0.0.1:${port3}>
    WSGIScriptAlias /own "${root}/scripts/vhost.wsgi"
</VirtualHost>
"""


@pytest.fixture(scope="module")
def server(start_shared):
    return start_shared(
        CONFIG,
        files={
            "scripts/inner.wsgi": HELLO.format(text=b"inner"),
            "scripts/vhost.wsgi": HELLO.format(text=b"vhost"),
            "scripts/preloaded.wsgi": "import sys\nprint('preloaded at start', file=sys.stderr)\n"
            + HELLO.format(text=b"preloaded"),
            "htdocs/file.txt": "static",
        },
    )


def mount(shown):
    return shown["SCRIPT_NAME"], shown["PATH_INFO"]


@pytest.mark.provokes("preloaded at start")
def test_a_script_of_named_groups_is_loaded_at_start(server):
    server.error_log.wait_for("preloaded at start")
    assert server.get("/preloaded").text == "preloaded"


@pytest.mark.parametrize(
    ("url", "script_name", "path_info"),
    [
        ("/app", "/app", ""),
        ("/app/", "/app", "/"),
        ("/app/x/y", "/app", "/x/y"),
        ("/app/x%2Ey", "/app", "/x.y"),
        ("//app//x", "/app", "/x"),
        ("/folder/../app/x", "/app", "/x"),
        ("/with%20space/x", "/with space", "/x"),
    ],
)
def test_a_file(server, environ_of, url, script_name, path_info):
    assert mount(environ_of(server, url)) == (script_name, path_info)


@pytest.mark.parametrize("url", ["/apple", "/App", "/ap", "/application/x"])
def test_no_match(server, url):
    assert server.get(url).status_code == 404


def test_a_longer_alias_first(server):
    assert server.get("/app/inner/x").text == "inner"


def test_the_first_match_wins_not_the_longest(server, environ_of):
    assert mount(environ_of(server, "/shadow/late")) == ("/shadow", "/late")


def test_a_folder(server):
    assert server.get("/folder/inner.wsgi").text == "inner"
    assert server.get("/folder/inner.wsgi/below").text == "inner"


@pytest.mark.parametrize("url", ["/folder/", "/bare/"])
@pytest.mark.provokes("WSGI0136")
def test_a_folder_is_not_an_application(server, url):
    assert server.get(url).status_code == 403


@pytest.mark.parametrize("url", ["/missing", "/folder/none.wsgi", "/wrong/x"])
@pytest.mark.provokes("WSGI0135")
def test_a_missing_script(server, url):
    assert server.get(url).status_code == 404


def test_an_alias_wins_over_the_root_mount(server):
    assert server.get(f"http://localhost:{server.port2}/static/file.txt").text == "static"


@pytest.mark.parametrize("path", ["/", "/x/y", "/static-looking", "/file.txt"])
def test_the_root_mount(server, environ_of, path):
    assert mount(environ_of(server, f"http://localhost:{server.port2}{path}")) == ("", path)


def test_entries_of_the_virtual_host_come_first(server):
    assert server.get(f"http://localhost:{server.port2}/app").text == "vhost"


def test_entries_of_the_main_server_follow(server, environ_of):
    url = f"http://localhost:{server.port3}"
    assert server.get(f"{url}/own").text == "vhost"
    assert mount(environ_of(server, f"{url}/app/x")) == ("/app", "/x")


def test_entries_of_a_virtual_host_stay_there(server):
    assert server.get("/own").status_code == 404


def test_application_group(server, environ_of):
    assert environ_of(server, "/grouped")["mod_wsgi.application_group"] == "literal"
    assert environ_of(server, "/global")["mod_wsgi.application_group"] == ""
    assert environ_of(server, "/quoted")["mod_wsgi.application_group"] == "two words"


def test_callable_object(server, environ_of):
    shown = environ_of(server, "/callable")
    assert shown["mod_wsgi.callable_object"] == shown["test.callable"] == "other"


@pytest.mark.provokes("WSGI0089")
@pytest.mark.differs("a script without the callable is not found", reference="daemon")
def test_the_callable_of_an_alias_is_not_expanded(server):
    since = server.error_log.position()
    assert server.get("/no-such-callable").status_code == 404
    (entry,) = server.error_log.wait_for("%{ENV:NAME}", since)
    assert "environ.wsgi" in entry.text


def test_pass_authorization(server, environ_of):
    headers = {"Authorization": "Bearer token", "Proxy-Authorization": "Basic x"}
    shown = environ_of(server, "/authorized", headers=headers)
    assert shown["HTTP_AUTHORIZATION"] == "Bearer token"
    assert "HTTP_PROXY_AUTHORIZATION" not in shown
    assert "HTTP_AUTHORIZATION" not in environ_of(server, "/app", headers=headers)


def test_the_query_is_not_part_of_the_match(server, environ_of):
    shown = environ_of(server, "/app?/folder/x")
    assert mount(shown) == ("/app", "")
    assert shown["QUERY_STRING"] == "/folder/x"


@pytest.mark.provokes("AH01630")
def test_access_control_of_the_scripts_folder_holds(start):
    server = start(
        """
        WSGIScriptAlias /secret "${root}/secret/app.wsgi"
        <Directory "${root}/secret">
            Require all denied
        </Directory>
        """,
        files={"secret/app.wsgi": HELLO.format(text=b"secret")},
    )
    assert server.get("/secret").status_code == 403
