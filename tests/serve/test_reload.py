"""--reload: changed files count."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

pytestmark = pytest.mark.every_placement

PAGE = """\
from words import word


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [word().encode()]
"""


def test_changes_of_imported_modules_count(serve, write):
    write("web.wsgi", PAGE)
    write("words.py", "def word(): return 'one'\n")
    run = serve("web.wsgi", "--reload")
    assert run.ask("/").text == "one"
    write("words.py", "def word(): return 'two'\n")
    run.until(lambda: "Reloaded" in run.output, "the reload")
    assert run.ask("/").text == "two"
    assert re.search(r"^Reloaded in \d+ ms: words\.py changed\.$", run.output, re.MULTILINE), run.told()


def test_without_it_nothing_changes(serve, write):
    path = write("web.wsgi", PAGE.replace("word()", "'one'").replace("from words import word", ""))
    run = serve("web.wsgi")
    assert run.ask("/").text == "one"
    path.write_text(path.read_text().replace("one", "two"))
    assert run.ask("/").text == "one"


def test_a_broken_change_waits_for_the_repair(serve, write):
    write("web.py", PAGE)
    write("words.py", "def word(): return 'one'\n")
    run = serve("web:application", "--reload")
    write("words.py", "def word(): return 'two\n")
    run.until(lambda: "Waiting" in run.output, "the failed reload")
    # Another stream, which is read by another thread.
    run.until(lambda: "web:application could not be imported" in run.errors, "the message")
    assert "SyntaxError" in run.errors
    assert run.ask("/").status == 500
    write("words.py", "def word(): return 'three'\n")
    run.until(lambda: "Reloaded" in run.output, "the reload")
    assert run.ask("/").text == "three"


def test_a_broken_start_waits_for_the_repair(launch, write):
    write("web.py", PAGE)
    run = launch("web:application", "--reload")
    run.until(lambda: "Waiting" in run.output, "the failed start")
    run.until(lambda: "No module named 'words'" in run.errors, "the message")
    write("words.py", "def word(): return 'there'\n")
    run.until(lambda: "Reloaded" in run.output, "the reload")
    run.stop()
    assert run.process.returncode == 0


def test_new_directories_count(serve, write):
    write("web.wsgi", PAGE)
    write("words.py", "def word(): return 'one'\n")
    run = serve("web.wsgi", "--reload")
    write("deep/er/__init__.py", "")
    run.until(lambda: run.output.count("Reloaded") >= 1, "the first reload")
    before = run.output.count("Reloaded")
    write("deep/er/more.py", "x = 1\n")
    run.until(lambda: run.output.count("Reloaded") > before, "the second reload")


def test_a_request_in_progress_is_finished(serve, write):
    write(
        "web.py",
        """\
        import os
        import time


        def application(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain")])
            if environ["PATH_INFO"] == "/slow":
                yield b"begun "
                time.sleep(2)
            yield str(os.getpid()).encode()
        """,
    )
    run = serve("web:application", "--reload")
    first = run.ask("/").text
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(run.ask, "/slow")
        # The request has begun when the server has read it; the reload takes longer than that.
        write("other.py", "x = 1\n")
        run.until(lambda: "Reloaded" in run.output, "the reload")
        answer = slow.result(20)
    assert answer.status == 200
    assert answer.text.startswith("begun ")
    assert run.ask("/").text != first


def test_a_request_that_never_ends_is_ended(serve, write):
    write(
        "web.py",
        """\
        import os
        import time


        def application(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain")])
            yield str(os.getpid()).encode()
            while environ["PATH_INFO"] == "/endless":
                time.sleep(0.2)
        """,
    )
    run = serve("web:application", "--reload")
    old = int(run.ask("/").text)
    with ThreadPoolExecutor(1) as pool:
        endless = pool.submit(run.ask, "/endless")
        run.until(lambda: run.ask("/").status == 200, "an answer")
        write("other.py", "x = 1\n")
        run.until(lambda: "Reloaded" in run.output, "the reload")
        run.until(lambda: old not in run.processes(), "the end of the old process")
        assert endless.exception(20) is not None
    assert run.ask("/").status == 200
    assert "Killed" not in run.errors, run.told()
