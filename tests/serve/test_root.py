"""As root: the application runs as an ordinary user; what that one cannot read is said before the start."""

import pwd
import shutil
import subprocess

import pytest

pytestmark = pytest.mark.parametrize("user", ["root"], indirect=True)

WHO = """\
import os

imported_by = os.getuid()


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{imported_by} {os.getuid()} {os.geteuid()} {len(os.getgroups())} {os.environ['HOME']}".encode()]
"""


@pytest.mark.every_server
def test_the_application_never_runs_as_root(serve, write):
    write("web.py", WHO)
    for target in ("web.py", "web:application"):
        usual = pwd.getpwnam("www-data")
        expected = [str(usual.pw_uid)] * 3
        text = serve(target).ask("/").text.split()
        assert text[:3] == expected
        assert text[4] == usual.pw_dir


@pytest.mark.every_server
def test_another_user(serve, write):
    write("web.py", WHO)
    run = serve("web.py", "--user", "nobody")
    assert run.ask("/").text.split()[1] == str(pwd.getpwnam("nobody").pw_uid)
    assert ", as nobody" in run.output


def test_root_and_unknown_users_are_refused(refuse):
    assert "never run as root" in refuse("hello.wsgi", "--user", "root")
    assert "There is no user nosuchuser" in refuse("hello.wsgi", "--user", "nosuchuser")


def closed(text, path, at):
    assert f"www-data cannot read {path}" in text or f"www-data cannot execute {path}" in text, text
    assert f"{at} is " in text, text
    for cure in ("move it", "chmod o+", "--user NAME", "ordinary user"):
        assert cure in text, text


def test_closed_directory(refuse, write, folder):
    script = write("closed/deep/web.py", WHO)
    (folder / "closed").chmod(0o700)
    text = refuse("closed/deep/web.py")
    closed(text, script, folder / "closed")
    assert "drwx------ root:root" in text
    assert f"chmod o+x {folder / 'closed'}" in text
    closed(refuse("web:application", cwd=folder / "closed/deep"), folder / "closed/deep", folder / "closed")


def test_closed_script(refuse, write):
    script = write("web.py", WHO)
    script.chmod(0o600)
    text = refuse("web.py")
    closed(text, script, script)
    assert f"chmod o+r {script}" in text


def test_closed_through_a_link(refuse, write, folder):
    script = write("closed/web.py", WHO)
    (folder / "closed").chmod(0o700)
    (folder / "link").symlink_to(folder / "closed")
    closed(refuse("link/web.py"), script, folder / "closed")


def test_closed_static_files(refuse, folder):
    (folder / "web").mkdir()
    (folder / "web").chmod(0o700)
    closed(refuse("hello.wsgi", "--static", "/static=web"), folder / "web", folder / "web")


def test_closed_python(refuse, python, folder):
    subprocess.run([python, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    (folder / "venv").chmod(0o700)
    closed(refuse("hello.wsgi", python="venv"), folder / "venv/bin/python3", folder / "venv")


@pytest.mark.every_server
def test_closed_runtime_library(refuse, module, folder):
    shutil.copy(module, folder / "mod_oxwsgi.so")
    library = folder / "oxwsgi_runtime.abi3.so"
    library.write_text("")
    library.chmod(0o600)
    text = refuse("hello.wsgi", module=folder / "mod_oxwsgi.so")
    closed(text, library, library)
    assert "the runtime library of oxwsgi" in text


@pytest.mark.every_server
def test_closed_temporary_directory(refuse, folder):
    (folder / "tmp").mkdir(mode=0o700)
    text = refuse("hello.wsgi", environment={"TMPDIR": str(folder / "tmp")})
    assert "www-data cannot read" in text
    assert "written by this command" in text


def test_the_python_of_a_site_is_not_executed_by_root(refuse, write, folder):
    program = write("site/bin/python3", f"#!/bin/sh\nid -u > {folder}/open/proof\nexit 1\n")
    program.chmod(0o755)
    (folder / "open").mkdir()
    (folder / "open").chmod(0o777)
    refuse("hello.wsgi", python="site")
    assert (folder / "open/proof").read_text().strip() == str(pwd.getpwnam("www-data").pw_uid)
