"""A Django site: the admin with its login and forms, static files by the server, uploads and downloads."""

from __future__ import annotations

import hashlib
import os
import random
import re
import shutil
import subprocess

import pytest

from harness.config import MAIN, Lines, Mount

SCRIPT = "${root}/site/site_under_test/wsgi.py"
STATIC = Lines(
    'Alias /static/ "${root}/site/data/static/"', "location /static/ { alias ${root}/site/data/static/; }"
)
MAIN_INTERPRETER = [Mount("/", SCRIPT, application_group=MAIN), STATIC]
SUBINTERPRETER = [Mount("/", SCRIPT), STATIC]
PASSWORD = "correct horse battery staple"


@pytest.fixture(
    scope="module", params=[MAIN_INTERPRETER, SUBINTERPRETER], ids=["main-interpreter", "sub-interpreter"]
)
def server(request, servers, lane, venv):
    """A migrated site with one administrator, its data writable by the server's user."""
    server = servers.new(lane, request.param, python_home=str(venv), python_path="${root}/site")
    site = server.root / "site"
    shutil.copytree(servers.folder / "apps" / "django_site", site)
    data = site / "data"
    data.mkdir()
    manage = [venv / "bin" / "python", site / "manage.py"]
    environment = {**os.environ, "DJANGO_SUPERUSER_PASSWORD": PASSWORD}
    for command in (
        ["migrate", "-v0"],
        ["collectstatic", "-v0", "--noinput"],
        ["createsuperuser", "-v0", "--noinput", "--username", "admin", "--email", "admin@example.org"],
    ):
        subprocess.run([*manage, *command], check=True, env=environment)
    (data / "download.bin").write_bytes(random.Random(3).randbytes(2_000_000))
    data.chmod(0o777)
    (data / "db.sqlite3").chmod(0o666)
    with servers.serving(server):
        yield server


@pytest.fixture
def browser(server):
    with server.client(follow_redirects=True, headers={"Referer": server.url}) as client:
        yield client


def submit(browser, url, **fields):
    """Fill the form at `url` as a browser does, with the token of the page."""
    page = browser.get(url).text
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert token, page
    return browser.post(url, data={"csrfmiddlewaretoken": token[1], **fields})


def log_in(browser, password=PASSWORD):
    return submit(browser, "/admin/login/?next=/admin/", username="admin", password=password)


def test_the_admin_asks_for_a_login(browser):
    response = browser.get("/admin/")
    assert response.url.path == "/admin/login/"


def test_an_administrator_logs_in_and_out(browser):
    response = log_in(browser)
    assert response.url.path == "/admin/"
    assert "Site administration" in response.text
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', response.text)
    response = browser.post("/admin/logout/", data={"csrfmiddlewaretoken": token[1]})
    assert "Logged out" in response.text
    assert browser.get("/admin/").url.path == "/admin/login/"


def test_a_wrong_password(browser):
    response = log_in(browser, "wrong")
    assert "Please enter the correct username and password" in response.text
    assert "sessionid" not in browser.cookies


@pytest.mark.provokes("Forbidden|CSRF")
def test_a_form_without_its_token(browser):
    response = browser.post("/admin/login/", data={"username": "admin", "password": PASSWORD})
    assert response.status_code == 403


def test_a_user_is_added_through_the_admin(browser):
    log_in(browser)
    new = {"username": "zoë", "password1": "long enough 17", "password2": "long enough 17"}
    response = submit(browser, "/admin/auth/user/add/", usable_password="true", **new)
    assert "was added successfully" in response.text
    listing = browser.get("/admin/auth/user/")
    assert "zoë" in listing.text
    assert "2 users" in listing.text


def test_static_files_come_from_the_server(server, venv):
    response = server.get("/static/admin/css/base.css")
    (original,) = venv.glob("lib/python3*/site-packages/django/contrib/admin/static/admin/css/base.css")
    assert response.content == original.read_bytes()
    assert response.headers["Content-Type"].startswith("text/css")
    assert "ETag" in response.headers


def test_an_upload(server):
    data = random.Random(20).randbytes(20_000_000)
    response = server.request("POST", "/upload", files={"file": ("data.bin", data)}, data={"note": "ünï"})
    assert response.json() == {"length": len(data), "digest": hashlib.sha256(data).hexdigest(), "note": "ünï"}


def test_a_download(server):
    response = server.get("/download")
    assert response.content == random.Random(3).randbytes(2_000_000)
    assert response.headers["Content-Length"] == "2000000"
    assert "download.bin" in response.headers["Content-Disposition"]


def test_a_stream(server):
    assert server.get("/stream").text.count("\n") == 100


@pytest.mark.provokes("ZeroDivisionError: in a view")
@pytest.mark.allows("Internal Server Error: /crash")
def test_an_error(server):
    assert server.get("/crash").status_code == 500


@pytest.mark.allows("Not Found: /nowhere")
def test_a_missing_page(server):
    assert server.get("/nowhere").status_code == 404
