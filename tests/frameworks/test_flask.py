"""A Flask site, mounted below a path."""

from __future__ import annotations

import hashlib
import random

import pytest

from harness.config import Mount


@pytest.fixture(scope="module")
def server(start_shared, venv):
    return start_shared(
        [Mount("/site", "${apps}/flask_site/flask.wsgi")],
        python_home=str(venv),
    )


@pytest.fixture
def client(server):
    with server.client(follow_redirects=True) as client:
        yield client


def test_a_page_with_links(client, server):
    response = client.get("/site/")
    assert "<title>Flask &lt;runs&gt;</title>" in response.text
    assert 'href="/site/form"' in response.text
    assert f'href="{server.url}/site/form"' in response.text


def test_json(client):
    data = {"text": "ünï", "list": [1, 2, 3], "nested": {"a": None}}
    assert client.post("/site/json", json=data).json() == {"data": data, "count": 3}


def test_a_session(client):
    assert client.get("/site/name").text == "nobody"
    response = client.post("/site/form", data={"name": "Ada Lovelace"})
    assert (response.url.path, response.text) == ("/site/name", "Ada Lovelace")
    assert client.get("/site/name").text == "Ada Lovelace"


def test_an_upload(client):
    data = random.Random(7).randbytes(20_000_000)
    response = client.post("/site/upload", files={"file": ("data.bin", data)})
    assert response.json() == {"length": len(data), "digest": hashlib.sha256(data).hexdigest()}


def test_a_download(client):
    response = client.get("/site/download?size=3000000")
    assert response.content == b"f" * 3_000_000
    assert response.headers["Content-Disposition"].startswith("inline; filename=data.bin")


def test_a_stream(client):
    assert client.get("/site/stream?word=tick").text.splitlines() == [f"tick {number}" for number in range(5)]


@pytest.mark.provokes("Exception on /crash", "ZeroDivisionError: in a view")
def test_an_error(client):
    response = client.get("/site/crash")
    assert response.status_code == 500
    assert "Internal Server Error" in response.text


def test_statuses(client):
    assert client.get("/site/abort").status_code == 418
    assert client.get("/site/nowhere").status_code == 404
    assert client.get("/site/json").status_code == 405


@pytest.mark.provokes("a warning from Flask")
def test_the_log(client):
    assert client.get("/site/log").text == "logged"
