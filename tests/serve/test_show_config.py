"""--show-config: a configuration that does without the command."""

import contextlib
import http.client
import os
import pwd
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest


def shown(launch, *arguments, **options):
    run = launch(*arguments, "--show-config", **options)
    assert run.ended() == 0, run.told()
    assert run.errors == ""
    assert not run.directories()
    return run.output


@pytest.mark.parametrize(
    ("placement", "lines"),
    [
        ("daemon", [" threads=3 ", "python-home=", "home=", "WSGIRestrictEmbedded On"]),
        ("embedded", ["ThreadsPerChild 3", "WSGIPythonHome "]),
    ],
    indirect=["placement"],
)
def test_httpd_accepts_it(launch, httpd, write, folder, identity, lines):
    write("web/x.txt", "x")
    text = shown(launch, "hello.wsgi", "--static", "/static=web", "--mount", "/shop", "--threads", "3")
    file = folder / "shown.conf"
    file.write_text(text)
    result = subprocess.run([httpd, "-t", "-f", file], capture_output=True, text=True, **identity)
    assert "Syntax OK" in result.stderr, result.stderr
    assert "AH" not in result.stderr, result.stderr
    for line in (*lines, 'WSGIScriptAlias "/shop" ', 'Alias "/static" '):
        assert line in text


@pytest.mark.parametrize("server", ["nginx"], indirect=True)
def test_nginx_accepts_it(launch, nginx, write, folder, identity):
    write("web/x.txt", "x")
    text = shown(launch, "hello.wsgi", "--static", "/static=web", "--mount", "/shop", "--threads", "3")
    text = moved(text, folder / "run", identity)
    file = folder / "shown.conf"
    file.write_text(text)
    # It opens the access log, and a pipe of ours is not for everybody to open.
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    result = subprocess.run([nginx, "-e", "stderr", "-t", "-c", file], **streams, **identity)
    assert "test is successful" in result.stderr, result.stderr
    assert "[warn]" not in result.stderr, result.stderr
    for line in (" threads=3\n", '"python_home=', '"home=', 'location "/shop/" {', 'location "/static/" {'):
        assert line in text


@pytest.mark.every_server
def test_every_part_is_explained(launch, server):
    text = shown(launch, "hello.wsgi")
    word = re.compile({"apache": "WSGI", "nginx": r"^ *wsgi_"}[server], re.MULTILINE)
    paragraphs = [part for part in text.split("\n\n") if word.search(part)]
    assert len(paragraphs) >= 5
    assert all(part.lstrip().startswith("#") for part in paragraphs), text


def moved(text, place, identity):
    """The configuration with another directory for what the server keeps, in which nothing is yet."""
    place.mkdir()
    if identity:
        os.chown(place, identity["user"], -1)
    (kept,) = set(re.findall(r'^(?:ServerRoot "(.*)"|pid "(.*)/oxwsgi-nginx.pid";)$', text, re.MULTILINE))
    kept = "".join(kept)
    return text.replace(f'"{kept}', f'"{place}').replace(f"file:{kept}", f"file:{place}")


@pytest.fixture
def command_of(server, httpd, nginx):
    """What runs a configuration in the foreground."""
    commands = {
        "apache": lambda file: [httpd, "-f", file, "-DFOREGROUND"],
        "nginx": lambda file: [nginx, "-e", "stderr", "-c", file, "-g", "daemon off;"],
    }
    return commands[server]


@pytest.mark.every_server
@pytest.mark.parametrize("user", ["root"], indirect=True)
@pytest.mark.parametrize("target", ["hello.wsgi", "web:app"])
def test_it_runs_as_it_is(launch, command_of, hello, write, folder, target):
    write("web.py", hello.read_text().replace("application", "app"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    text = shown(launch, target, port=port)
    if target == "web:app":
        path = Path(re.search(r"^# Save this script as (\S+):$", text, re.MULTILINE)[1])
        script = text.split(f"{path}:\n")[1].split("###")[0]
        path.write_text(
            "".join(line.removeprefix("#").removeprefix("     ") + "\n" for line in script.splitlines())
        )
    text = moved(text, folder / "run", {})
    file = folder / "shown.conf"
    file.write_text(text)
    server = subprocess.Popen(command_of(file), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        for _ in range(800):
            with contextlib.suppress(OSError):
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                connection.request("GET", "/x")
                answer = connection.getresponse()
                break
            assert server.poll() is None, server.stderr.read()
            time.sleep(0.05)
        assert (answer.status, answer.read()) == (200, b"|/x")
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=60)


@pytest.mark.every_server
def test_root_names_a_user(launch, user):
    text = shown(launch, "hello.wsgi")
    named = re.search(r"^(?:User (.*)|user (\S+) \S+;)$", text, re.MULTILINE)
    if user is None:
        assert pwd.getpwnam(named[1] or named[2]).pw_uid != 0
    else:
        assert not named
