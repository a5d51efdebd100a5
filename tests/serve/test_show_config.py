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


def test_every_part_is_explained(launch):
    text = shown(launch, "hello.wsgi")
    paragraphs = [part for part in text.split("\n\n") if "WSGI" in part]
    assert len(paragraphs) >= 5
    assert all(part.lstrip().startswith("#") for part in paragraphs), text


@pytest.mark.parametrize("user", ["root"], indirect=True)
@pytest.mark.parametrize("target", ["hello.wsgi", "web:app"])
def test_it_runs_as_it_is(launch, httpd, hello, write, folder, target):
    write("web.py", hello.read_text().replace("application", "app"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    text = shown(launch, target, port=port)
    if target == "web:app":
        path = Path(re.search(r"^# Save this script as (\S+):$", text, re.MULTILINE)[1])
        script = text.split(f"{path}:\n")[1].split("### Part 1")[0]
        path.write_text(
            "".join(line.removeprefix("#").removeprefix("     ") + "\n" for line in script.splitlines())
        )
    text = text.replace(os.environ.get("TMPDIR", "/nonexistent"), str(folder))
    run_directory = re.search(r'^ServerRoot "(.*)"$', text, re.MULTILINE)[1]
    text = text.replace(f'"{run_directory}', f'"{folder}').replace(f"file:{run_directory}", f"file:{folder}")
    file = folder / "shown.conf"
    file.write_text(text)
    server = subprocess.Popen(
        [httpd, "-f", file, "-DFOREGROUND"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        for _ in range(200):
            with contextlib.suppress(OSError):
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
                connection.request("GET", "/x")
                answer = connection.getresponse()
                break
            assert server.poll() is None, server.stderr.read()
            time.sleep(0.05)
        assert (answer.status, answer.read()) == (200, b"|/x")
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=20)


def test_root_names_a_user(launch, user):
    text = shown(launch, "hello.wsgi")
    if user is None:
        name = re.search(r"^User (.*)$", text, re.MULTILINE)[1]
        assert pwd.getpwnam(name).pw_uid != 0
    else:
        assert not re.search(r"^User ", text, re.MULTILINE)
