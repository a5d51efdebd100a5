"""Calls start_response with what the request asks for and tells what came of it.

/?args=LITERAL   start_response(*LITERAL), a tuple literal of Python. When it raises, a good start_response
                 follows and the body is {"raised": type name, "message": text}; else it is {"raised": null}
/subclasses      status and headers are instances of subclasses of str, list, tuple
/write-callable  body: whether start_response returned a callable
/keywords        start_response(status=..., headers=...)
/no-arguments    start_response()
/replace         two calls before any data; the second one counts
/replace-exc     a second call with exc_info before any data
/again-sent      after data was sent, a second call without exc_info; the text of what it raised follows
/exc-sent        after data was sent, a second call with exc_info; the type and text of what it raised follow
/exc-sent-none?with=X  after data was sent, a call with a triple that is no exception: outside, text, value
/refused-second a second call that is refused
/exc-info?with=X a call with exc_info X: string, none, empty, short
/never           returns a body without calling start_response
/late            calls it when the iteration begins
/twice-headers   repeated header names in order
"""

import ast
import contextlib
import json
import sys
from urllib.parse import parse_qs

PLAIN = [("Content-Type", "text/plain")]


class Text(str):
    pass


class Headers(list):
    pass


class Pair(tuple):
    pass


def application(environ, start_response):
    return ROUTES.get(environ["PATH_INFO"], literal)(environ, start_response)


def report(start_response, *arguments, **keywords):
    try:
        start_response(*arguments, **keywords)
    except Exception as error:
        start_response("200 OK", list(PLAIN))
        return [json.dumps({"raised": type(error).__name__, "message": str(error)}).encode()]
    return [json.dumps({"raised": None}).encode()]


def literal(environ, start_response):
    arguments = ast.literal_eval(parse_qs(environ["QUERY_STRING"])["args"][0])
    return report(start_response, *arguments)


def subclasses(environ, start_response):
    return report(start_response, Text("200 OK"), Headers([Pair((Text("X-Sub"), Text("class")))]))


def write_callable(environ, start_response):
    return [str(callable(start_response("200 OK", PLAIN))).encode()]


def replace(environ, start_response):
    start_response("404 Not Found", [("X-First", "1")])
    start_response("200 OK", [("X-Second", "2")])
    return [b"replaced"]


def replace_with_exc_info(environ, start_response):
    start_response("200 OK", [("X-First", "1")])
    try:
        raise ValueError("replaced")
    except ValueError:
        start_response("503 Service Unavailable", [("X-Second", "2")], sys.exc_info())
    return [b"replaced"]


def again_after_sent(environ, start_response):
    start_response("200 OK", PLAIN)
    yield b"sent "
    try:
        start_response("500 Oops", PLAIN)
    except Exception as error:
        yield f"{type(error).__name__}: {error}".encode()


def exc_info_after_sent(environ, start_response):
    start_response("200 OK", PLAIN)
    yield b"sent "
    try:
        try:
            raise KeyError("the original")
        except KeyError:
            start_response("500 Oops", PLAIN, sys.exc_info())
    except Exception as error:
        yield f"{type(error).__name__}: {error}".encode()


def no_exception_after_sent(environ, start_response):
    values = {"outside": sys.exc_info(), "text": ("a", "b", None), "value": (KeyError, "b", None)}
    start_response("200 OK", PLAIN)
    yield b"sent "
    try:
        with contextlib.suppress(ZeroDivisionError):
            start_response("500 Oops", PLAIN, values[parse_qs(environ["QUERY_STRING"])["with"][0]])
    except TypeError as error:
        yield type(error).__name__.encode()


def refused_second(environ, start_response):
    start_response("202 Accepted", [("X-First", "1")])
    with contextlib.suppress(ValueError):
        start_response("what", [])
    return [b"first"]


def exc_info(environ, start_response):
    values = {"string": "not a tuple", "none": None, "empty": (), "short": (1, 2), "list": [1, 2, 3]}
    return report(start_response, "200 OK", PLAIN, values[parse_qs(environ["QUERY_STRING"])["with"][0]])


def never(environ, start_response):
    return [b"body without a head"]


def late(environ, start_response):
    start_response("201 Created", [("X-Late", "yes")])
    yield b"late"


def repeated(environ, start_response):
    headers = [
        ("Set-Cookie", "a=1"),
        ("X-Other", "x"),
        ("Set-Cookie", "b=2"),
        ("X-Multi", "1"),
        ("X-Multi", "2"),
    ]
    start_response("200 OK", headers)
    return [b"repeated"]


ROUTES = {
    "/subclasses": subclasses,
    "/write-callable": write_callable,
    "/keywords": lambda environ, start: report(start, status="200 OK", headers=PLAIN),
    "/no-arguments": lambda environ, start: report(start),
    "/replace": replace,
    "/replace-exc": replace_with_exc_info,
    "/again-sent": again_after_sent,
    "/exc-sent": exc_info_after_sent,
    "/exc-info": exc_info,
    "/exc-sent-none": no_exception_after_sent,
    "/refused-second": refused_second,
    "/never": never,
    "/late": late,
    "/twice-headers": repeated,
}
