"""Each thing that can be wrong is one clear message with what to do, and an exit status."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest


def test_busy_port(refuse, busy_port):
    text = refuse("hello.wsgi", port=busy_port)
    assert f"error: Port {busy_port} of 127.0.0.1 is in use" in text
    assert "--port" in text


@pytest.mark.parametrize("user", ["ordinary"], indirect=True)
def test_port_for_root_only(refuse):
    first = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    assert first > 1, "every port is open to ordinary users here"
    text = refuse("hello.wsgi", port=first - 1)
    assert "reserved for root" in text
    assert "--port 8000" in text


def test_foreign_host(refuse):
    assert "not an address of this machine" in refuse("hello.wsgi", "--host", "192.0.2.1")
    assert "is not known" in refuse("hello.wsgi", "--host", "no.such.host.invalid")


def test_missing_target(refuse, write):
    write("shop.py", "")
    text = refuse("shop")
    assert "There is no file or directory shop" in text
    assert "oxwsgi serve shop.py" in text
    assert "There is no file or directory absent.wsgi" in refuse("absent.wsgi")
    assert "There is no file or directory absent.py" in refuse("absent.py:app")


def test_directory_without_an_application(refuse, write):
    write("site/models.py", "")
    text = refuse("site")
    assert "holds no application" in text
    assert "wsgi.py, app.py" in text


def test_directory_with_several(refuse, write):
    write("site/app.py", "")
    write("site/wsgi.py", "")
    text = refuse("site")
    assert "holds 2 applications" in text
    assert "oxwsgi serve site/app.py" in text
    assert "oxwsgi serve site/wsgi.py" in text


def test_directory_of_django_without_wsgi(refuse, write):
    write("site/manage.py", "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n")
    text = refuse("site")
    assert "no WSGI module" in text
    assert "shop.settings" in text


def test_no_code_of_a_site_runs_to_find_it(refuse, write, folder):
    write("site/manage.py", f"open({str(folder / 'proof')!r}, 'w')\n")
    refuse("site")
    assert not (folder / "proof").exists()


@pytest.mark.parametrize(
    "target", ["web:1app", "we b:app", "web:app)", "web:app(", "web:app.", ":app", "web:"]
)
def test_target_that_is_none(refuse, target):
    text = refuse(target)
    assert "module:callable" in text
    assert "shop:app" in text


@pytest.mark.every_server
def test_import_error(refuse, write):
    write("web.wsgi", "import sys\n\nimport no_such_package.part\n")
    text = refuse("web.wsgi")
    assert "Traceback (most recent call last):" in text
    assert (
        "error: web.wsgi could not be imported: ModuleNotFoundError: No module named 'no_such_package'"
        in text
    )
    assert ".venv/bin/pip install no_such_package" in text
    assert text.count("Traceback") == 1


def test_import_error_in_a_virtual_environment(refuse, write, frameworks, folder):
    write("web.py", "import no_such_package\n")
    text = refuse("web:app", python=frameworks)
    assert f"{frameworks}/bin/python3 -m pip install no_such_package" in text
    write("requirements.txt", "no_such_package\n")
    text = refuse("web:app", python=frameworks)
    assert f"-m pip install -r {folder}/requirements.txt" in text


def test_syntax_error(refuse, write):
    write("web.py", "def app(:\n")
    text = refuse("web.py")
    assert "SyntaxError" in text
    assert "web.py could not be imported" in text
    assert "SyntaxError" in refuse("web:app")


@pytest.mark.every_server
def test_exit_while_importing(refuse, write):
    write("web.py", "raise SystemExit(3)\n")
    assert "web:app could not be imported" in refuse("web:app")


@pytest.mark.every_server
def test_missing_module(refuse):
    text = refuse("shop.web:app")
    assert "There is no Python module shop.web" in text
    assert "run this command in the directory that holds the module" in text


def test_missing_callable(refuse, write):
    write("web.py", "def main(environ, start_response): ...\ndef create_app(): ...\n")
    text = refuse("web:app")
    assert 'The module web has no "app"' in text
    assert "oxwsgi serve web:main" in text
    assert "oxwsgi serve 'web:create_app()'" in text
    text = refuse("web.py")
    assert 'has no "application"' in text
    assert "oxwsgi serve web.py:main" in text
    assert 'has no "ap"' in refuse("web.py:ap")


def test_uncallable(refuse, write):
    write("web.py", "app = 'text'\n")
    for target in ("web:app", "web.py"):
        text = refuse(target)
        assert "cannot be called: it is of type str" in text
        assert "def application(environ, start_response)" in text


@pytest.mark.every_placement
def test_crash_while_importing(refuse, write, placement):
    write("web.py", "import os\nos.abort()\n")
    text = refuse("web:app")
    assert "web:app crashes the process that imports it" in text
    assert {"daemon": "SIGABRT", "embedded": "Abort"}[placement] in text


MODULES = {
    "apache": ("The Apache module mod_oxwsgi.so", "cargo build --release"),
    "nginx": ("The nginx module ngx_http_oxwsgi_module.so", "make nginx"),
}


@pytest.mark.every_server
def test_missing_module_of_the_server(refuse, command, folder, server):
    alone = folder / "oxwsgi"
    shutil.copy(command, alone)
    line = list(map(str, [alone, "serve", "hello.wsgi", "--server", server, "--port", "0"]))
    modules = subprocess.run(["apxs", "-q", "LIBEXECDIR"], capture_output=True, text=True).stdout.strip()
    assert not Path(modules, "mod_oxwsgi.so").exists(), "the module is installed here"
    result = subprocess.run(line, cwd=folder, capture_output=True, text=True)
    assert result.returncode == 1
    name, cure = MODULES[server]
    assert f"error: {name} is not installed" in result.stderr
    assert "make install" in result.stderr
    assert cure in result.stderr
    text = refuse("hello.wsgi", module=folder / "absent.so")
    assert "absent.so cannot be used" in text


@pytest.mark.every_server
def test_module_that_is_none(refuse, command, folder, server_name):
    wrong = folder / "wrong.so"
    wrong.write_text("not a shared object")
    shutil.copy(command, folder / "oxwsgi")
    text = refuse("hello.wsgi", module=wrong)
    assert f"{server_name} did not start" in text
    assert "wrong.so" in text


@pytest.fixture
def foreign(modules, command, folder):
    """Changes bytes of the nginx module, as if it was built for another nginx, and gives its place."""
    shutil.copy(command, folder / "oxwsgi")

    def change(old, new):
        data = modules["nginx"].read_bytes()
        assert old in data
        path = folder / "ngx_http_oxwsgi_module.so"
        path.write_bytes(data.replace(old, new))
        return path

    return change


@pytest.mark.parametrize("server", ["nginx"], indirect=True)
def test_module_for_another_nginx(refuse, foreign, nginx):
    says = subprocess.run([nginx, "-v"], capture_output=True, text=True).stderr
    version = re.search(r"nginx/([\d.]+)", says)[1]
    major, minor, patch = map(int, version.split("."))
    number = major * 1_000_000 + minor * 1000 + patch
    module = foreign(number.to_bytes(8, "little"), (1_018_003).to_bytes(8, "little"))
    text = refuse("hello.wsgi", module=module)
    assert "The nginx module was built for nginx 1.18.3, and " in text
    assert f"{nginx} is nginx {version}" in text
    assert "make nginx" in text


@pytest.mark.parametrize("server", ["nginx"], indirect=True)
def test_module_for_another_build_of_nginx(refuse, foreign):
    text = refuse("hello.wsgi", module=foreign(b"8,4,8,", b"4,4,8,"))
    assert "configured in another way" in text
    assert "make nginx" in text


def test_missing_httpd(refuse):
    text = refuse("hello.wsgi", "--httpd", "/bin/true")
    assert "/bin/true is not an Apache httpd 2.4" in text


@pytest.mark.parametrize("server", ["nginx"], indirect=True)
def test_missing_nginx(refuse):
    text = refuse("hello.wsgi", "--nginx", "/bin/true")
    assert "/bin/true is not an nginx" in text
    assert "--nginx names it" in text
    text = refuse("hello.wsgi", environment={"OXWSGI_NGINX": "/nonexistent"})
    assert "/nonexistent is not an nginx" in text
    assert "OXWSGI_NGINX names it" in text


@pytest.mark.parametrize(
    ("server", "words"),
    [("apache", "Apache httpd 2.4 is not installed"), ("nginx", "nginx is not installed")],
    ids=["apache", "nginx"],
)
def test_server_is_not_installed(command, folder, server, words):
    if os.geteuid() != 0:
        pytest.skip("only root can hide the installed server")
    hide = "for name in apache2 httpd nginx; do f=/usr/sbin/$name; "
    hide += '[ ! -e $f ] || mount --bind /dev/null $f; done; exec "$@"'
    line = ["unshare", "-m", "sh", "-c", hide, "sh", command, "serve", "hello.wsgi", "--port", "0"]
    line += ["--server", server]
    result = subprocess.run(line, cwd=folder, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"})
    assert result.returncode == 1, result
    assert f"error: {words}" in result.stderr
    assert "install it: " in result.stderr


def test_options_of_the_other_server(refuse):
    text = refuse("hello.wsgi", "--server", "nginx", "--embedded")
    assert "nginx's own processes run no Python" in text
    assert "--server apache" in text
    assert "is not run" in refuse("hello.wsgi", "--server", "nginx", "--httpd", "/usr/sbin/apache2")
    assert "--server nginx" in refuse("hello.wsgi", "--nginx", "/usr/sbin/nginx")


def test_missing_python(refuse, folder):
    (folder / "empty").mkdir()
    text = refuse("hello.wsgi", python="empty")
    assert "There is no Python in" in text
    assert "python3 -m venv" in text
    assert "no such file or directory" in refuse("hello.wsgi", python="absent")
    text = refuse("hello.wsgi", python=None, environment={"VIRTUAL_ENV": str(folder / "gone")})
    assert "$VIRTUAL_ENV names it" in text
    assert "unset VIRTUAL_ENV" in text
    text = refuse("hello.wsgi", python=None, environment={"PATH": str(folder)})
    assert "There is no python3 on PATH" in text
    assert "install it: " in text


def test_python_that_is_none(refuse, write):
    fake = write("fake/bin/python3", "#!/bin/sh\necho something else\n")
    fake.chmod(0o755)
    assert "is not a Python" in refuse("hello.wsgi", python="fake")
    fake.write_text("#!/bin/sh\necho broken >&2\nexit 3\n")
    text = refuse("hello.wsgi", python="fake")
    assert "does not run: exit status: 3" in text
    assert "broken" in text


def test_missing_static_directory(refuse, folder):
    text = refuse("hello.wsgi", "--static", "/static=absent")
    assert "--static /static=absent are not there" in text
    assert str(folder / "absent") in text


def test_static_that_hides_the_application(refuse):
    assert "would hide the application" in refuse("hello.wsgi", "--static", "/=.")
    assert "would hide the application" in refuse("hello.wsgi", "--mount", "/shop", "--static", "/shop/=.")
    assert "is given twice" in refuse("hello.wsgi", "--static", "/s=.", "--static", "/s/=.")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--static", "static"], "write URL=DIR"),
        (["--static", "static=x"], "begins with a slash"),
        (["--mount", "shop"], "begins with a slash"),
        (["--mount", "/a b"], "cannot stand in a URL path"),
        (["--threads", "0"], "1..=512"),
        (["--processes", "0"], "1..=64"),
        (["--processes", "2", "--embedded"], "cannot be used with"),
        (["--server", "lighttpd"], "possible values: apache, nginx"),
        (["--port", "70000"], "70000"),
        (["--no-such-option"], "--no-such-option"),
    ],
)
def test_wrong_usage(refuse, arguments, words):
    assert words in refuse("hello.wsgi", *arguments, status=2, port=None)


def test_temporary_directory_that_cannot_be_written(refuse, folder):
    text = refuse("hello.wsgi", environment={"TMPDIR": str(folder / "absent")})
    assert "No private directory can be made" in text
    assert "TMPDIR=/tmp" in text


@pytest.mark.every_server
def test_temporary_directory_with_a_long_path(refuse, folder):
    long = folder / ("x" * 80)
    long.mkdir()
    long.chmod(0o1777)
    text = refuse("hello.wsgi", environment={"TMPDIR": str(long)})
    assert "has too long a path" in text
    assert "TMPDIR=/tmp" in text


@pytest.mark.every_server
def test_path_a_configuration_cannot_have(refuse, write, server):
    write("a\nb/hello.wsgi", "")
    assert "control characters" in refuse("a\nb/hello.wsgi")
    write("${HOME}/hello.wsgi", "")
    words = {"apache": "httpd replaces ${...}", "nginx": "nginx takes what follows $ for a variable"}
    assert words[server] in refuse("${HOME}/hello.wsgi")


def test_version(command):
    result = subprocess.run([command, "--version"], capture_output=True, text=True)
    assert result.returncode == 0
    assert result.stdout.startswith("oxwsgi 0.")


@pytest.mark.parametrize("user", ["ordinary"], indirect=True)
def test_user_of_an_ordinary_user(refuse):
    assert "Only root can serve as another user" in refuse("hello.wsgi", "--user", "root")
    assert "There is no user nosuchuser" in refuse("hello.wsgi", "--user", "nosuchuser")
