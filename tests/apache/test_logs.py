"""Which error log a line goes to, and how it is marked."""

from __future__ import annotations

import pytest

CONFIG = """
WSGIScriptAlias /errors "${apps}/errors.wsgi"
WSGIScriptAlias /exceptions "${apps}/exceptions.wsgi"
WSGIScriptAlias /missing "${root}/missing.wsgi"
Listen 127.0.0.1:${port2}
<VirtualHost 127.0.0.1:${port2}>
    ServerName site.example
    ErrorLog "${root}/logs/site_error.log"
</VirtualHost>
Listen 127.0.0.1:${port3}
<VirtualHost 127.0.0.1:${port3}>
    ServerName quiet.example
    ErrorLog "${root}/logs/quiet_error.log"
    LogLevel crit
</VirtualHost>
"""


@pytest.fixture(scope="module")
def server(start_shared):
    return start_shared(CONFIG)


def logs_with(server, text):
    server.settle()
    return {log.path.stem for log in server.error_logs() if log.find(text)}


@pytest.mark.provokes("written here")
@pytest.mark.parametrize("stream", ["write", "print", "stdout", "stderr"])
def test_streams_write_to_the_virtual_hosts_log(server, stream):
    text = f"written here by {stream}"
    server.get(f"http://localhost:{server.port2}/errors/{stream}", params={"text": text})
    assert logs_with(server, text) == {"site_error"}


@pytest.mark.provokes("written to main")
def test_the_main_server_has_its_own(server):
    server.get("/errors/print?text=written+to+main")
    assert logs_with(server, "written to main") == {"error"}


@pytest.mark.provokes("WSGI0174", "ValueError: after start_response")
def test_tracebacks_go_to_the_virtual_hosts_log(server):
    server.get(f"http://localhost:{server.port2}/exceptions/started")
    assert logs_with(server, "ValueError: after start_response") == {"site_error"}


@pytest.mark.provokes("WSGI0135")
def test_our_own_messages_go_to_the_virtual_hosts_log(server):
    server.get(f"http://localhost:{server.port2}/missing")
    assert logs_with(server, "Target WSGI script not found") == {"site_error"}
    (entry,) = server.log("site_error").find("Target WSGI script not found")
    assert (entry.module, entry.level) == ("wsgi", "error")
    assert entry.client


def test_the_virtual_hosts_level_counts(server):
    server.get(f"http://localhost:{server.port3}/errors/print?text=too+quiet+to+be+logged")
    assert server.get(f"http://localhost:{server.port3}/exceptions/started").status_code == 500
    assert logs_with(server, "too quiet") == set()
    assert logs_with(server, "ValueError: after start_response") <= {"site_error"}


@pytest.mark.provokes("one entry", "another entry")
def test_lines_of_requests_at_once_do_not_mix(server):
    connections = [server.raw() for _ in range(6)]
    for number, connection in enumerate(connections):
        text = f"one+entry+{number}" + "%0A" + f"another+entry+{number}" + "%0A"
        connection.request(f"GET /errors/write?text={text}", "Connection: close")
    clients = {}
    for number, connection in enumerate(connections):
        connection.response()
        clients[number] = f"127.0.0.1:{connection.socket.getsockname()[1]}"
        connection.socket.close()
    server.settle()
    for number, client in clients.items():
        entries = server.error_log.find(f"^(one|another) entry {number}$")
        assert [entry.client for entry in entries] == [client, client]
