"""What the terminal shows."""

import os
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

pytestmark = pytest.mark.every_server

FAILING = """\
import sys

print("café\\timported", file=sys.stderr)


def application(environ, start_response):
    if environ["PATH_INFO"] == "/fail":
        raise ValueError("first line\\nsecond line")
    print("to stderr", file=sys.stderr)
    print("to wsgi.errors", file=environ["wsgi.errors"])
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "1234")])
    return [b"x" * 1234]
"""

ACCESS = r"^\d\d:\d\d:\d\d  {status}  {request}  {size}  (<1|[\d.]+) m?s$"


def shows(text, status, request, size):
    return re.search(
        ACCESS.format(status=status, request=re.escape(request), size=re.escape(size)), text, re.MULTILINE
    )


def test_requests_are_one_line_each(serve, write):
    write("web.wsgi", FAILING)
    run = serve("web.wsgi")
    run.ask("/a?b=1")
    run.ask("/fail")
    run.stop()
    assert shows(run.output, 200, "GET /a?b=1", "1.2 kB"), run.told()
    assert re.search(r"^\d\d:\d\d:\d\d  500  GET /fail  ", run.output, re.MULTILINE), run.told()
    # Neither the question whether the server is ready, nor httpd's talk with itself.
    assert "OPTIONS" not in run.output


def test_output_of_the_application_has_no_prefix(serve, write):
    write("web.wsgi", FAILING)
    run = serve("web.wsgi")
    run.ask("/")
    run.stop()
    lines = run.errors.splitlines()
    assert lines.count("café\timported") == 1
    assert "to stderr" in lines
    assert "to wsgi.errors" in lines


def test_tracebacks_are_whole(serve, write):
    write("web.wsgi", FAILING)
    run = serve("web.wsgi")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: run.ask("/fail"), range(40)))
    run.stop()
    whole = re.compile(
        r"^Traceback \(most recent call last\):\n"
        r'  File ".*/web.wsgi", line 8, in application\n'
        r'    raise ValueError\("first line\\nsecond line"\)\n'
        r"(?: +\^+\n)?"
        r"ValueError: first line\nsecond line\n",
        re.MULTILINE,
    )
    assert run.errors.count("Traceback") == 40
    assert len(whole.findall(run.errors)) == 40, run.told()
    assert re.search(r"^\d\d:\d\d:\d\d  error  .*web\.wsgi", run.errors, re.MULTILINE), run.told()


def test_nothing_of_the_server_itself_is_shown(serve):
    run = serve("hello.wsgi")
    run.stop()
    assert run.errors == ""
    assert len(run.output.splitlines()) == 3, run.told()
    assert run.output.endswith("Stopped.\n")


def test_no_colours_in_a_pipe(serve, write):
    write("web.wsgi", FAILING)
    run = serve("web.wsgi")
    run.ask("/fail")
    run.stop()
    assert "\x1b" not in run.output + run.errors


def on_terminal(launch, environment):
    ours, theirs = os.openpty()
    run = launch("web.wsgi", stdout=theirs, stderr=theirs, environment={"TERM": "xterm"} | environment)
    os.close(theirs)
    run.read(os.fdopen(ours, "rb"), "output")
    run.until(lambda: "Ctrl-C" in run.output, "readiness")
    url = re.search(r"http://127[^/]*/", run.output)[0]
    run.url = url
    run.ask("/")
    run.ask("/fail")
    run.stop()
    return run.output


def test_colours_on_a_terminal(launch, write):
    write("web.wsgi", FAILING)
    text = on_terminal(launch, {})
    assert "\x1b[32m200\x1b[0m" in text
    assert re.search(r"\x1b\[[\d;m\x1b\[]*500\x1b\[0m", text)
    assert "ValueError: first line\x1b[0m" in text


def test_no_color(launch, write):
    write("web.wsgi", FAILING)
    text = on_terminal(launch, {"NO_COLOR": "1"})
    assert "ValueError: first line" in text
    assert "\x1b" not in text


def test_terminals_are_safe_from_requests(serve):
    run = serve("hello.wsgi")
    run.ask("/%1b%5b2J", headers={"X": "\x1b]0;title\x07"})
    run.stop()
    assert "\x1b" not in run.output + run.errors


def test_ready_means_imported(serve, write):
    write(
        "web.py",
        """\
        import time

        time.sleep(4)
        imported = time.monotonic()


        def app(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [repr(imported).encode()]
        """,
    )
    run = serve("web:app")
    said = time.monotonic()
    imported = float(run.ask("/").text)
    assert imported < said
    assert time.monotonic() - said < 3.5, "the first request waited for the import"


def test_end_of_the_reader_is_the_end(launch):
    # What reads our output goes away, as `head` does.
    ours, theirs = os.pipe()
    run = launch("hello.wsgi", stdout=theirs)
    os.close(theirs)
    while "Ctrl-C" not in run.output:
        run.output += os.read(ours, 4096).decode()
    os.close(ours)
    run.url = re.search(r"http://127[^/]*/", run.output)[0]
    run.until(lambda: poke(run), "the end")
    assert run.ended() == 0, run.told()


def poke(run):
    """Asks for another line of output, until nobody answers."""
    try:
        run.ask("/")
    except OSError:
        return run.process.poll() is not None
    return False
