"""Uses the write callable of start_response.

/parts          write(b"one "), write(b"two "), then the iterable adds b"three"
/literal?X      write(X), X a Python literal; body: what it raised, or "nothing"
/bytearray      write(bytearray), /memoryview write(memoryview); body: what it raised
/subclass       write(an instance of a bytes subclass)
/empty          write(b"") and then start_response again; body: what that raised
/flushed        write(b"first"), then waits for /release, then the iterable gives b"second"
/release        lets a waiting request go on
/no-arguments   write()
/keep-going     writes 64 KiB blocks until an exception, kept for /report
/report         what stopped the last /keep-going, as [type name, is OSError, text]
"""

import ast
import json
import threading
from urllib.parse import unquote

PLAIN = [("Content-Type", "text/plain")]
released = threading.Event()
report = []


class Blob(bytes):
    pass


def application(environ, start_response):
    return ROUTES[environ["PATH_INFO"]](environ, start_response)


def attempt(call, *arguments):
    try:
        call(*arguments)
    except Exception as error:
        return f"{type(error).__name__}: {error}".encode()
    return b" nothing raised"


def parts(environ, start_response):
    write = start_response("200 OK", PLAIN)
    write(b"one ")
    write(b"two ")
    return [b"three"]


def literal(environ, start_response):
    write = start_response("200 OK", PLAIN)
    return [attempt(write, ast.literal_eval(unquote(environ["QUERY_STRING"])))]


def trying(make):
    def handler(environ, start_response):
        return [attempt(start_response("200 OK", PLAIN), *make())]

    return handler


def empty(environ, start_response):
    start_response("200 OK", [("X-Early", "yes")])(b"")
    return [attempt(start_response, "404 Not Found", [("X-Late", "yes")])]


def flushed(environ, start_response):
    released.clear()
    start_response("200 OK", PLAIN)(b"first")
    assert released.wait(20)
    return [b"second"]


def release(environ, start_response):
    released.set()
    start_response("200 OK", PLAIN)
    return [b"released"]


def keep_going(environ, start_response):
    report.clear()
    write = start_response("200 OK", PLAIN)
    try:
        while True:
            write(b"x" * 65536)
    except Exception as error:
        report.append([type(error).__name__, isinstance(error, OSError), str(error)])
    return []


def show_report(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(report).encode()]


ROUTES = {
    "/parts": parts,
    "/literal": literal,
    "/bytearray": trying(lambda: [bytearray(b"x")]),
    "/memoryview": trying(lambda: [memoryview(b"x")]),
    "/subclass": trying(lambda: [Blob(b"sub")]),
    "/no-arguments": trying(list),
    "/empty": empty,
    "/flushed": flushed,
    "/release": release,
    "/keep-going": keep_going,
    "/report": show_report,
}
