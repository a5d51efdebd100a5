"""WSGIRestrict*: what applications and embedded mode are kept from."""

from __future__ import annotations

import pytest

# mod_wsgi 4.9.4 warns about a refused signal handler, with a stack; it is worth an info line.
pytestmark = pytest.mark.allows(
    "Callback registration for signal", r"^  File .*interpreter\.wsgi", on="reference"
)

ALIAS = 'WSGIScriptAlias /interpreter "${apps}/interpreter.wsgi"\n'


@pytest.fixture
def attempts(start):
    return lambda lines="": start(ALIAS + lines).get("/interpreter/restricted").json()


@pytest.mark.mode("embedded")
@pytest.mark.provokes("WSGI0143")
def test_embedded(start):
    server = start(ALIAS + "WSGIRestrictEmbedded On\n")
    assert server.get("/interpreter").status_code == 500


@pytest.mark.mode("embedded")
def test_embedded_off(start):
    assert start(ALIAS + "WSGIRestrictEmbedded Off\n").get("/interpreter").status_code == 200


@pytest.mark.provokes("written to stdout")
def test_the_defaults(attempts):
    shown = attempts()
    assert "restricted" not in shown["stdout"]


@pytest.mark.provokes("written to stdout")
def test_stdin(attempts):
    shown = attempts("WSGIRestrictStdin On\n")
    assert shown["stdin"] == "OSError: sys.stdin access restricted by mod_wsgi"


# Python flushes the stream at its end, and mod_wsgi's raises then too.
@pytest.mark.allows("Exception ignored", "OSError: sys.stdout access restricted by mod_wsgi", on="references")
def test_stdout(attempts):
    shown = attempts("WSGIRestrictStdout On\n")
    assert shown["stdout"] == "OSError: sys.stdout access restricted by mod_wsgi"


@pytest.mark.provokes("written to stdout")
def test_signals_are_left_to_the_server(attempts):
    shown = attempts()
    assert "Error" not in shown["signal"]
    assert "SIG_IGN" not in shown["handler"]


@pytest.mark.provokes(r"(?i)signal handler registration|Callback registration for signal")
@pytest.mark.allows("written to stdout")
def test_a_refused_signal_handler_is_logged(attempts):
    attempts()


@pytest.mark.provokes("registered SIG_IGN")
def test_signals_off(start):
    """signal.signal works in the main thread only, which loads import scripts."""
    start(
        """
        WSGIRestrictSignal Off
        WSGIImportScript "${root}/signals.py" process-group=${process_group} application-group=%{GLOBAL}
        """,
        files={
            "signals.py": "import signal, sys\nsignal.signal(signal.SIGUSR2, signal.SIG_IGN)\n"
            "print('registered', signal.getsignal(signal.SIGUSR2).name, file=sys.stderr)\n"
        },
    ).error_log.wait_for("registered")


@pytest.mark.mode("embedded")
@pytest.mark.provokes("WSGI0149")
def test_process_groups_without_embedded_mode(start):
    server = start(ALIAS + "WSGIRestrictProcess somewhere\n")
    assert server.get("/interpreter").status_code == 500


@pytest.mark.mode("embedded")
def test_process_groups_with_embedded_mode(start):
    server = start(ALIAS + "WSGIRestrictProcess %{GLOBAL} somewhere\n")
    assert server.get("/interpreter").status_code == 200
