"""Configuration errors are found by `configtest`, with the directive, the value and what is accepted."""

from __future__ import annotations

import re

import pytest

from harness.server import ServerStartError

# The same lines are good and bad in both modes; tests/daemon has those of daemon groups.
pytestmark = pytest.mark.mode("embedded")

ON_OFF = [
    "WSGIPassAuthorization",
    "WSGIScriptReloading",
    "WSGIErrorOverride",
    "WSGIChunkedRequest",
    "WSGIEnableSendfile",
    "WSGIRestrictEmbedded",
    "WSGIRestrictStdin",
    "WSGIRestrictStdout",
    "WSGIRestrictSignal",
    "WSGICaseSensitivity",
    "WSGIDontWriteBytecode",
    "WSGIDestroyInterpreter",
    "WSGIVerboseDebugging",
]

GOOD = [
    'WSGIScriptAlias /app "/srv/app.wsgi"',
    'WSGIScriptAlias /app "/srv/app.wsgi" process-group=%{GLOBAL} application-group=g callable-object=c',
    'WSGIScriptAlias /app "/srv/app.wsgi" pass-authorization=off',
    'WSGIScriptAliasMatch ^/(.*)$ "/srv/$1.wsgi"',
    "WSGIApplicationGroup %{GLOBAL}",
    "WSGIApplicationGroup name",
    "WSGIProcessGroup %{GLOBAL}",
    "WSGICallableObject app",
    "WSGIImportScript /srv/app.wsgi process-group=%{GLOBAL} application-group=%{GLOBAL}",
    "WSGIMapHEADToGET Auto",
    "WSGIMapHEADToGET on",
    "WSGITrustedProxyHeaders X-Forwarded-For X-Forwarded-Host",
    "WSGITrustedProxies 127.0.0.1 10.0.0.0/8 2001:db8::/32 192.168.0.0/255.255.0.0",
    "WSGIRestrictProcess %{GLOBAL} other",
    "WSGIPythonPath /srv/a:/srv/b",
    "WSGIPythonEggs /srv/eggs",
    "WSGIPythonOptimize 2",
    "WSGIPythonWarnings error\nWSGIPythonWarnings ignore::DeprecationWarning",
    "WSGIPythonHashSeed random",
    "WSGIPythonHashSeed 0",
    "WSGIPythonHashSeed 4294967295",
    "WSGIHandlerScript name /srv/handler.py",
    "WSGIIgnoreActivity On",
    "WSGISocketPrefix run/wsgi",
    "WSGIAcceptMutex default",
    "WSGISocketRotation Off",
    '<Directory "/srv">\nWSGIGroupAuthoritative On\n</Directory>',
    *(f"{name} {value}" for name in ON_OFF for value in ("On", "oFF")),
]

# Line, then what the message has to hold beside the directive's name.
BAD = [
    ("WSGIScriptAlias", []),
    ("WSGIScriptAlias /only-one", []),
    ("WSGIScriptAlias /a /b unknown=x", ["unknown"]),
    ("WSGIScriptAlias /a /b bare-word", ["bare-word"]),
    ("WSGIScriptAlias /a /b application-group=", ["application group"]),
    ("WSGIScriptAlias /a /b process-group=", ["process group"]),
    ("WSGIScriptAlias /a /b callable-object=", ["callable object"]),
    ("WSGIScriptAlias /a /b pass-authorization=perhaps", ["perhaps"]),
    ("WSGIScriptAlias /a /b process-group=absent application-group=g", ["absent"]),
    ('WSGIScriptAliasMatch "^/(" /b', []),
    ("WSGIImportScript", []),
    ("WSGIImportScript /a", ["process"]),
    ("WSGIImportScript /a process-group=%{GLOBAL}", ["application"]),
    ("WSGIImportScript /a application-group=g", ["process"]),
    ("WSGIImportScript /a process-group=%{GLOBAL} application-group=g other=x", ["other"]),
    ("WSGIImportScript /a process-group=absent application-group=g", ["absent"]),
    ("WSGIMapHEADToGET maybe", ["maybe", "Auto"]),
    ("WSGIApplicationGroup", []),
    ("WSGIApplicationGroup a b", []),
    ("WSGICallableObject", []),
    ("WSGITrustedProxies not-an-address", ["not-an-address"]),
    ("WSGITrustedProxies 300.1.1.1", ["300.1.1.1"]),
    ("WSGITrustedProxies 10.0.0.0/99", ["10.0.0.0/99"]),
    ("WSGIPythonHashSeed", []),
    ("WSGIPythonHashSeed soon", ["soon", "random", "4294967295"]),
    ("WSGIPythonHashSeed -1", ["-1"]),
    ("WSGIPythonHashSeed 4294967296", ["4294967296"]),
    *((f"{name} perhaps", ["perhaps", "On", "Off"]) for name in ON_OFF),
]

STRICTER = [
    ("WSGIPythonOptimize 3", ["3"]),
    ("WSGIPythonOptimize much", ["much"]),
    ("WSGIPythonHashSeed 12x", ["12x"]),
    ("WSGITrustedProxyHeaders X_Forwarded_For", ["X_Forwarded_For"]),
]

# In mod_wsgi since 6.0.
NEWER_GOOD = ["WSGISwitchInterval 0.01", "WSGITelemetryOptions None"]
NEWER_BAD = [
    ("WSGISwitchInterval 0", ["positive"]),
    ("WSGISwitchInterval -1", ["positive"]),
    ("WSGISwitchInterval soon", ["soon"]),
]

GLOBAL_ONLY = [
    "WSGIRestrictEmbedded On",
    "WSGICaseSensitivity Off",
    "WSGIPythonHome /usr",
    "WSGIPythonPath /srv",
    "WSGIPythonEggs /srv",
    "WSGIPythonOptimize 1",
    "WSGIPythonWarnings error",
    "WSGIPythonHashSeed 1",
    "WSGIDontWriteBytecode On",
    "WSGIDestroyInterpreter Off",
    "WSGIRestrictStdin On",
    "WSGIVerboseDebugging On",
]

SERVER_ONLY = [
    "WSGIScriptAlias /a /b",
    "WSGIScriptAliasMatch /a /b",
    "WSGIImportScript /a process-group=%{GLOBAL} application-group=g",
]

UNSUPPORTED = [
    "<Directory /srv>\nWSGIAccessScript /a\n</Directory>",
    "<Directory /srv>\nWSGIAuthUserScript /a\n</Directory>",
    "<Directory /srv>\nWSGIAuthGroupScript /a\n</Directory>",
    "WSGIDispatchScript /a",
    "WSGIPassApacheRequest On",
    "WSGIPerInterpreterGIL On",
    "WSGIFreeThreading On",
    "WSGIServerMetrics On",
    "WSGITelemetryService unix:/run/x",
    "WSGISlowRequests 1",
]


def missing_from_refusal(verdict, line, parts):
    """What the message that refuses the line fails to name, of the directive and `parts`."""
    is_accepted, said = verdict(line)
    assert not is_accepted, f"{line!r} was accepted"
    assert "Syntax error on line" in said
    return [part for part in (line.split()[0], *parts) if part not in said]


@pytest.mark.parametrize("line", GOOD)
def test_good_lines(verdict, line):
    is_accepted, said = verdict(line)
    assert is_accepted, said


@pytest.mark.differs("WSGISwitchInterval (mod_wsgi 6.0)", reference="reference")
@pytest.mark.parametrize("line", NEWER_GOOD)
def test_good_lines_of_6(verdict, line):
    is_accepted, said = verdict(line)
    assert is_accepted, said


@pytest.mark.parametrize(("line", "parts"), BAD, ids=[line for line, _parts in BAD])
def test_bad_lines_are_refused(verdict, line, parts):
    missing_from_refusal(verdict, line, parts)


@pytest.mark.parametrize(("line", "parts"), STRICTER, ids=[line for line, _parts in STRICTER])
@pytest.mark.differs("a value nothing can be made of is refused, not taken for something else")
def test_lines_the_reference_takes_for_something_else(verdict, line, parts):
    assert missing_from_refusal(verdict, line, parts) == []


@pytest.mark.parametrize(
    ("line", "parts"), [*BAD, *NEWER_BAD], ids=[line for line, _parts in [*BAD, *NEWER_BAD]]
)
@pytest.mark.differs("a message names the directive, the value and what is accepted", run=False)
def test_the_message_names_the_value_and_what_is_accepted(verdict, line, parts):
    assert missing_from_refusal(verdict, line, parts) == []


@pytest.mark.parametrize("line", GLOBAL_ONLY)
def test_main_server_only(verdict, line):
    is_accepted, said = verdict(f"<VirtualHost *:80>\n{line}\n</VirtualHost>")
    assert not is_accepted
    assert line.split()[0] in said


@pytest.mark.parametrize("line", [*SERVER_ONLY, *GLOBAL_ONLY])
def test_not_in_a_directory(verdict, line):
    is_accepted, said = verdict(f'<Directory "/srv">\n{line}\n</Directory>')
    assert not is_accepted
    assert line.split()[0] in said


@pytest.mark.parametrize("line", SERVER_ONLY)
def test_in_a_virtual_host(verdict, line):
    is_accepted, said = verdict(f"<VirtualHost *:80>\n{line}\n</VirtualHost>")
    assert is_accepted, said


@pytest.mark.parametrize("line", UNSUPPORTED)
@pytest.mark.differs("what comes later says so", run=False)
def test_what_is_not_supported_yet_says_so(verdict, line):
    is_accepted, said = verdict(line)
    assert not is_accepted
    assert re.search(r"WSGI\w+", line)[0] in said
    assert "not supported yet" in said


def test_unknown_directives(verdict):
    is_accepted, said = verdict("WSGINoSuchThing x")
    assert not is_accepted
    assert "WSGINoSuchThing" in said


@pytest.mark.parametrize("line", ["WSGILazyInitialization On", "WSGIReloadMechanism Process"])
@pytest.mark.differs("a directive of older versions is accepted with a warning", run=False)
def test_directives_of_the_past(verdict, line):
    is_accepted, said = verdict(line)
    assert is_accepted
    assert f"{line.split()[0]} has no effect" in said


@pytest.mark.differs("a Python home is checked at start", run=False)
class TestPythonHome:
    @pytest.mark.parametrize("home", ["/no/such/folder", "/etc/passwd", "/etc"])
    def test_a_home_without_python(self, verdict, home):
        is_accepted, said = verdict("", python_home=home)
        assert not is_accepted
        assert "WSGIPythonHome" in said
        assert home in said

    def test_a_python_that_fails(self, new_server):
        server = new_server("", python_home="${root}/home")
        failing = "#!/bin/sh\necho 'this Python is broken' >&2\nexit 3\n"
        server.write("home/bin/python3", failing).chmod(0o755)
        server.write("home/bin/python", failing).chmod(0o755)
        result = server.configtest()
        assert result.returncode != 0
        assert f"{server.root}/home" in result.stderr

    def test_the_server_does_not_start_either(self, new_server):
        server = new_server("", python_home="/no/such/folder")
        with pytest.raises(ServerStartError, match="/no/such/folder"):
            server.start()
