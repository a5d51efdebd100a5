"""WSGIApplicationGroup: which interpreter a request runs in, and what interpreters share."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

CONFIG = """
WSGIScriptAlias /resource "${apps}/interpreter.wsgi"
WSGIScriptAlias /Mixed "${apps}/interpreter.wsgi"
WSGIScriptAlias /global "${apps}/interpreter.wsgi"
WSGIScriptAlias /server "${apps}/interpreter.wsgi"
WSGIScriptAlias /host "${apps}/interpreter.wsgi"
WSGIScriptAlias /env "${apps}/interpreter.wsgi"
WSGIScriptAlias /env-expanded "${apps}/interpreter.wsgi"
WSGIScriptAlias /env-absent "${apps}/interpreter.wsgi"
WSGIScriptAlias /literal "${apps}/interpreter.wsgi"
WSGIScriptAlias /literal-too "${apps}/interpreter.wsgi"
WSGIScriptAlias /unknown "${apps}/interpreter.wsgi"
<Location "/global">
    WSGIApplicationGroup %{GLOBAL}
</Location>
<Location "/server">
    WSGIApplicationGroup %{SERVER}
</Location>
<Location "/host">
    WSGIApplicationGroup %{HOST}
</Location>
SetEnvIf Request_URI ^/env GROUP_NAME=chosen
<Location "/env">
    WSGIApplicationGroup %{ENV:GROUP_NAME}
</Location>
SetEnvIf Request_URI ^/env-expanded GROUP_REFERENCE=%{GLOBAL}
<Location "/env-expanded">
    WSGIApplicationGroup %{ENV:GROUP_REFERENCE}
</Location>
<Location "/env-absent">
    WSGIApplicationGroup %{ENV:NO_SUCH_VARIABLE}
</Location>
<LocationMatch "^/literal">
    WSGIApplicationGroup shared
</LocationMatch>
<Location "/unknown">
    WSGIApplicationGroup %{NOTHING}
</Location>
Listen 127.0.0.1:${port2}
<VirtualHost 127.0.0.1:${port2}>
    ServerName site.example:80
    WSGIScriptAlias / "${apps}/interpreter.wsgi"
    <Location "/server">
        WSGIApplicationGroup %{SERVER}
    </Location>
</VirtualHost>
"""


@pytest.fixture(scope="module")
def server(start_shared):
    return start_shared(CONFIG)


def facts(server, path, **options):
    return server.get(path, **options).json()


def test_a_resource_has_its_own_by_default(server):
    assert facts(server, "/resource")["group"] == f"localhost:{server.port}|/resource"
    assert facts(server, "/resource/below")["group"] == f"localhost:{server.port}|/resource"


@pytest.mark.differs("resources are case-sensitive (mod_wsgi 6.0)", reference="reference")
def test_the_resource_keeps_its_case(server):
    assert facts(server, "/Mixed")["group"] == f"localhost:{server.port}|/Mixed"


def test_global_is_the_main_interpreter(server):
    assert facts(server, "/global")["group"] == ""


def test_server_and_host(server):
    assert facts(server, "/server")["group"] == f"localhost:{server.port}"
    assert facts(server, "/host")["group"] == f"localhost:{server.port}"
    other = facts(server, "/host", headers={"Host": f"other.example:{server.port}"})
    assert other["group"] == f"other.example:{server.port}"


def test_an_environment_variable(server):
    assert facts(server, "/env")["group"] == "chosen"


def test_an_environment_variable_that_names_another_expansion(server):
    assert facts(server, "/env-expanded")["group"] == ""


def test_an_environment_variable_that_is_not_there(server):
    assert facts(server, "/env-absent")["group"] == "%{ENV:NO_SUCH_VARIABLE}"


def test_an_unknown_expansion_is_a_name(server):
    assert facts(server, "/unknown")["group"] == "%{NOTHING}"


@pytest.mark.parametrize(("host", "suffix"), [("site.example", ""), ("site.example:8080", ":8080")])
def test_the_port_is_part_of_the_name_unless_it_is_the_usual_one(server, host, suffix):
    url = f"http://localhost:{server.port2}"
    root = facts(server, f"{url}/", headers={"Host": host})
    assert root["group"] == f"site.example{suffix}|"
    assert facts(server, f"{url}/server", headers={"Host": host})["group"] == f"site.example{suffix}"


def test_scripts_of_one_group_share_their_modules(server):
    first = facts(server, "/literal")
    second = facts(server, "/literal-too")
    assert (first["group"], second["group"]) == ("shared", "shared")
    assert second["count"] == first["count"] + 1


def test_groups_do_not_share_their_modules(server):
    counts = [facts(server, "/literal")["count"] for _ in range(2)]
    assert counts[1] == counts[0] + 1
    facts(server, "/global")
    assert facts(server, "/literal")["count"] == counts[1] + 1


def test_all_groups_live_in_one_process(server):
    assert len({facts(server, path)["pid"] for path in ("/literal", "/global", "/resource", "/env")}) == 1


@pytest.mark.mode("embedded")
def test_a_group_serves_on_every_thread(server):
    """One after the other, as httpd takes turns; a daemon prefers the thread that served last."""
    seen = {facts(server, "/literal")["thread"] for _ in range(40)}
    assert len(seen) > 1


@pytest.mark.every_python
@pytest.mark.parametrize("order", [("sub", "main"), ("main", "sub"), ("sub", "other", "main")], ids="-".join)
@pytest.mark.differs(
    "a thread that served another group before serves each in its own interpreter", run=False
)
def test_a_thread_goes_from_one_interpreter_to_another(start, order):
    """Whichever thread serves, and whatever it served before, each group runs in its own interpreter."""
    server = start("""
        WSGIScriptAlias /sub "${apps}/interpreter.wsgi" application-group=sub
        WSGIScriptAlias /other "${apps}/interpreter.wsgi" application-group=other
        WSGIScriptAlias /main "${apps}/interpreter.wsgi" application-group=%{GLOBAL}
        """)
    seen = {name: [] for name in order}
    for name in [name for name in order for _ in range(30)] + [*order] * 30:
        seen[name].append(facts(server, f"/{name}"))
    modules = {name: {fact["modules"] for fact in answers} for name, answers in seen.items()}
    assert [len(addresses) for addresses in modules.values()] == [1] * len(order)
    assert len(set().union(*modules.values())) == len(order)
    for answers in seen.values():
        assert [fact["count"] for fact in answers] == list(range(1, 61))


@pytest.mark.every_python
@pytest.mark.allows("AH00484")  # a busy machine may take all threads for a moment
def test_interpreters_that_begin_at_once(start):
    """Each first request makes its interpreter while the others make theirs."""
    server = start("""
        SetEnvIf Request_URI ^/app/(.+)$ GROUP=$1
        WSGIScriptAlias /app "${apps}/interpreter.wsgi"
        WSGIApplicationGroup %{ENV:GROUP}
        """)
    names = [f"group-{number}" for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda name: server.get(f"/app/{name}"), names))
    assert [answer.status_code for answer in answers] == [200] * len(names)
    assert [answer.json()["group"] for answer in answers] == names
    assert {answer.json()["count"] for answer in answers} == {1}


# sqlite3 calls back into Python through the PyGILState functions, while it holds the GIL.
SQLITE = """
import sqlite3

def application(environ, start_response):
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.create_function("twice", 1, lambda value: 2 * value, deterministic=True)
    (answer,), = connection.execute("select twice(21)").fetchall()
    connection.close()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(answer).encode()]
"""


@pytest.mark.every_python
@pytest.mark.parametrize("group", ["%{GLOBAL}", "sub"])
def test_extensions_that_call_back_into_python(start, group):
    server = start(
        f'WSGIScriptAlias /app "${{root}}/app.wsgi" application-group={group}', files={"app.wsgi": SQLITE}
    )
    assert [server.get("/app").text for _ in range(20)] == ["42"] * 20


def test_case_insensitive_resources(start):
    server = start("""
        WSGICaseSensitivity Off
        WSGIScriptAlias /Mixed "${apps}/interpreter.wsgi"
        """)
    assert facts(server, "/Mixed")["group"] == f"localhost:{server.port}|/mixed"
