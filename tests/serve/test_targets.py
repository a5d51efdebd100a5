"""What can be served, and where it is mounted."""

import json
import pwd
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytestmark = pytest.mark.every_server

ROOT = Path(__file__).resolve().parents[2]

SOFTWARE = {"apache": "Apache httpd", "nginx": "nginx"}

MODULE = """\
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"from " + __name__.encode()]


class Holder:
    application = staticmethod(app)


holder = Holder()


def create_app(name="nobody", *, loud=False):
    def application(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [(name.upper() if loud else name).encode()]

    return application
"""


@pytest.mark.parametrize("target", ["hello.wsgi", "./hello.wsgi", "hello.wsgi:application"])
def test_script_file(serve, target):
    assert serve(target).ask("/a/b").text == "|/a/b"


def test_script_by_absolute_path(serve, hello):
    assert serve(hello, cwd="/").ask("/").text == "|/"


@pytest.mark.parametrize("target", ["web.py", "web.py:app", "web:app", "web:holder.application"])
def test_callable_named_app(serve, write, target):
    write("web.py", MODULE)
    name = serve(target).ask("/").text
    assert name.startswith("from _mod_wsgi_" if target.startswith("web.py") else "from web"), name


def test_module_in_a_package(serve, write):
    write("shop/__init__.py", "")
    write("shop/web.py", MODULE)
    assert serve("shop.web:app").ask("/").text == "from shop.web"


@pytest.mark.parametrize(
    ("target", "answer"),
    [
        ("web:create_app()", "nobody"),
        ("web:create_app('ada')", "ada"),
        ('web:create_app("ada", loud=True)', "ADA"),
    ],
)
def test_factory(serve, write, target, answer):
    write("web.py", MODULE)
    assert serve(target).ask("/").text == answer


@pytest.mark.parametrize("name", ["wsgi.py", "app.py", "hello.wsgi"])
def test_directory_with_one_application(serve, write, folder, name):
    write(f"site/{name}", MODULE + "\n\nfrom neighbour import text\napplication = create_app(text)\n")
    write("site/neighbour.py", "text = 'from next door'\n")
    assert serve("site", cwd=folder).ask("/").text == "from next door"


def test_script_in_a_package_imports_its_package(serve, write):
    write("shop/__init__.py", "text = 'the package'\n")
    script = "import shop\n\n" + MODULE + "\n\napplication = create_app(shop.text)\n"
    write("shop/wsgi.py", script)
    assert serve("shop/wsgi.py").ask("/").text == "the package"


def test_awkward_path(serve, write, folder):
    write('a "b" [c] é\\d/he*llo.wsgi', "from names import application\n")
    write('a "b" [c] é\\d/names.py', MODULE + "\n\napplication = create_app('found')\n")
    assert serve('a "b" [c] é\\d/he*llo.wsgi').ask("/").text == "found"
    assert serve("names:application", cwd=folder / 'a "b" [c] é\\d').ask("/").text == "found"


def test_mount(serve):
    run = serve("hello.wsgi", "--mount", "/shop/")
    assert run.url.endswith("/shop/")
    assert run.ask("/shop/a").text == "/shop|/a"
    assert run.ask("/shop").text == "/shop|"
    assert run.ask("/").status == 404
    assert run.ask("/hello.wsgi").status == 404
    assert run.ask("/shopping").status == 404


def test_hosts(serve):
    run = serve("hello.wsgi", "--host", "0.0.0.0")
    assert run.address[0] == "127.0.0.1"
    assert run.ask("/").status == 200
    run = serve("hello.wsgi", "--host", "localhost")
    assert run.url.startswith("http://localhost:")
    assert run.ask("/").status == 200


def test_environment_and_directory_reach_the_application(serve, write, folder):
    write(
        "web.py",
        """\
        import json
        import os
        import sys


        def app(environ, start_response):
            start_response("200 OK", [("Content-Type", "application/json")])
            facts = {
                "cwd": os.getcwd(),
                "setting": os.environ.get("SHOP_SETTING"),
                "authorization": environ.get("HTTP_AUTHORIZATION"),
                "input": environ["wsgi.input"].read().decode(),
                "prefix": sys.prefix,
            }
            return [json.dumps(facts).encode()]
        """,
    )
    run = serve("web:app", environment={"SHOP_SETTING": "blue"})
    # Of unknown length, so that it is sent in chunks.
    body = iter([b"one", b"two"])
    facts = json.loads(run.ask("/", "POST", body, {"Authorization": "Bearer x"}).text)
    assert facts["cwd"] == str(folder)
    assert facts["setting"] == "blue"
    assert facts["authorization"] == "Bearer x"
    assert facts["input"] == "onetwo"


def test_threads(serve, write):
    write(
        "web.py",
        """\
        import threading

        both = threading.Barrier(2, timeout=25)


        def app(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain")])
            if environ["PATH_INFO"] == "/meet":
                both.wait()
            return [str(environ["wsgi.multithread"]).encode()]
        """,
    )
    run = serve("web:app", "--threads", "2")
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: run.ask("/meet"), range(2)))
    assert [answer.text for answer in answers] == ["True", "True"]
    assert serve("web:app", "--threads", "1").ask("/").text == "False"


def test_flask_example(serve, frameworks, server):
    run = serve("examples/hello_flask", cwd=ROOT, python=frameworks)
    page = run.ask("/")
    assert page.status == 200
    assert f"Flask behind {SOFTWARE[server]}" in page.text
    boundary = "x" * 20
    form = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="name"\r\n\r\nAda\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nabc\r\n'
        f"--{boundary}--\r\n"
    )
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    answer = run.ask("/greet", "POST", form.encode(), headers).text
    assert "Hello, Ada!" in answer
    assert "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" in answer
    assert run.ask("/stream").text.count("of 10 at") == 10
    assert run.ask("/fail").status == 500


def test_django_example(serve, frameworks, folder, user):
    data = folder / "data"
    data.mkdir()
    environment = {"DJANGO_SITE_DATA": str(data)}
    manage = [frameworks / "bin/python", "-B", ROOT / "examples/django_site/manage.py"]
    for arguments in (["migrate", "--verbosity=0"], ["collectstatic", "--no-input", "--verbosity=0"]):
        subprocess.run([*manage, *arguments], check=True, env=environment)
    owner = pwd.getpwnam(user or "www-data").pw_uid
    for path in [data, *data.iterdir()]:
        shutil.chown(path, owner)
    static = f"/static={data}/static"
    run = serve(
        "examples/django_site", "--static", static, cwd=ROOT, python=frameworks, environment=environment
    )
    assert "no notes yet" in run.ask("/").text
    assert run.ask("/admin/", headers={}).status == 302
    sheet = run.ask("/static/notes/notes.css")
    assert (sheet.status, sheet.headers["Content-Type"]) == (200, "text/css")
