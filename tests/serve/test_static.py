"""Files that the server serves itself."""

import pytest

pytestmark = pytest.mark.every_server


def test_directory(serve, write, server):
    write("web files/style.css", "body {}\n")
    write("web files/deep/index.html", "<p>deep</p>\n")
    run = serve("hello.wsgi", "--static", "/static=web files")
    style = run.ask("/static/style.css")
    assert (style.status, style.headers["Content-Type"], style.text) == (200, "text/css", "body {}\n")
    assert run.ask("/static/deep/").text == "<p>deep</p>\n"
    assert run.ask("/static/absent.css").status == 404
    # Without an index nginx calls a directory forbidden.
    assert run.ask("/static/").status == {"apache": 404, "nginx": 403}[server]
    assert run.ask("/static/deep/index.html", headers={"Range": "bytes=3-6"}).text == "deep"
    moved = run.ask("/static")
    assert (moved.status, moved.headers["Location"].endswith("/static/")) == (301, True)
    assert run.ask("/static/../hello.wsgi").text == "|/hello.wsgi"
    assert run.ask("/other").text == "|/other"


def test_the_longest_path_wins_whatever_the_order(serve, write):
    write("one/name.txt", "one\n")
    write("two/name.txt", "two\n")
    run = serve("hello.wsgi", "--static", "/static=one", "--static", "/static/more=two")
    assert run.ask("/static/name.txt").text == "one\n"
    assert run.ask("/static/more/name.txt").text == "two\n"


def test_single_file(serve, write):
    write("robots.txt", "User-agent: *\n")
    write("secret.txt", "not this\n")
    run = serve("hello.wsgi", "--static", "/robots.txt=robots.txt")
    assert run.ask("/robots.txt").text == "User-agent: *\n"
    assert run.ask("/secret.txt").text == "|/secret.txt"


def test_wildcards_in_a_name_are_letters(serve, write):
    write("a[1]*?/name.txt", "literal\n")
    write("a1x/name.txt", "pattern\n")
    run = serve("hello.wsgi", "--static", "/static=a[1]*?")
    assert run.ask("/static/name.txt").text == "literal\n"


def test_beside_a_mounted_application(serve, write):
    write("web/name.txt", "file\n")
    run = serve("hello.wsgi", "--mount", "/app", "--static", "/app/static=web")
    assert run.ask("/app/static/name.txt").text == "file\n"
    assert run.ask("/app/x").text == "/app|/x"
