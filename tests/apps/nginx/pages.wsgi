"""Pages for what nginx does with them.

/environ              JSON: the environ's strings
/text?size=N          N bytes of letters, of one block, as text/html
/blocks?count=N&size=S   N blocks of S bytes each, one after the other
/stepwise             "first", then, after /release, "second"
/broken?size=N        N bytes, and then an exception
/release              lets one waiting /stepwise go on
/page?size=N&include=URL   a page of N bytes before and N after an SSI include of each URL, N at a time
/calls                the number of this call; the query is its headers
/tagged               100 letters with an ETag, or 304 for who has it
/headers?...          each pair of the query is a header; `status`, `body` and `after`=T seconds are not
/allow                204; 401 without the header X-Token, 403 with another than "good"; X-User to pass on
/sleep?seconds=S      "slept" after S seconds
/fragile?down=PATH    "up"; an exception once PATH is there
/echo                 the body, block by block as it comes
/body                 JSON: length, digest, CONTENT_LENGTH and what an error said
/second?read=N        503 after N bytes of the body, or none, and as /body the next time
/reluctant?count=N    reads one byte of the body, and sends N others, one each 0.4 s
/ignore               "ignored", the body unread
/begun                sends "begun", then reads the body and sends its length
/endless?size=S       blocks of S bytes until it is closed or an error is raised
/finite?size=N&block=S   N bytes in blocks of S, after=T seconds; notes its end; X-... are headers
/closing?seconds=S    "closing", and S seconds in close()
/mortal               "alive", and the next time the end of the process; the query is its headers
/report               JSON: how the last /endless, /finite, /body or /sleep ended
"""

import hashlib
import itertools
import json
import os
import pathlib
import signal
import string
import threading
import time
from urllib.parse import parse_qsl

calls = itertools.count(1)
seconds = itertools.count()
lives = itertools.count()
report = []
steps = threading.Semaphore(0)
LETTERS = string.ascii_letters.encode()


def letters(size):
    return (LETTERS * (size // len(LETTERS) + 1))[:size]


def sized(start_response, body, kind="text/html", status="200 OK", headers=()):
    pairs = [("Content-Type", kind), ("Content-Length", str(len(body))), *headers]
    start_response(status, pairs)
    return [body]


def environ_(environ, start_response, query):
    shown = {key: value for key, value in environ.items() if isinstance(value, str)}
    return sized(start_response, json.dumps(shown).encode(), "application/json")


def text(environ, start_response, query):
    headers = [(name, value) for name, value in query if name not in ("size",)]
    return sized(start_response, letters(int(dict(query)["size"])), headers=headers)


def blocks(environ, start_response, query):
    asked = dict(query)
    start_response("200 OK", [("Content-Type", "text/html")])
    return (letters(int(asked["size"])) for _ in range(int(asked["count"])))


def stepwise(environ, start_response, query):
    headers = {"Content-Type": "text/plain", **dict(query)}
    start_response("200 OK", list(headers.items()))
    yield b"first"
    assert steps.acquire(timeout=20)
    yield b"second"


def broken(environ, start_response, query):
    start_response("200 OK", [("Content-Type", "text/html")])
    yield letters(int(dict(query)["size"]))
    raise ValueError("in the middle")


def release(environ, start_response, query):
    steps.release()
    return sized(start_response, b"released")


def page(environ, start_response, query):
    size = int(dict(query).get("size", 0))
    start_response("200 OK", [("Content-Type", "text/html")])
    for url in [value for name, value in query if name == "include"]:
        yield letters(size)
        yield f'[<!--#include virtual="{url}" -->]'.encode()
    yield letters(size)


def numbered(environ, start_response, query):
    return sized(start_response, str(next(calls)).encode(), headers=query)


def tagged(environ, start_response, query):
    if environ.get("HTTP_IF_NONE_MATCH") == '"tag"':
        start_response("304 Not Modified", [("ETag", '"tag"')])
        return []
    return sized(start_response, letters(100), headers=[("ETag", '"tag"')])


def headers_(environ, start_response, query):
    asked = dict(query)
    pairs = [pair for pair in query if pair[0] not in ("status", "body", "after")]
    time.sleep(float(asked.get("after", 0)))
    start_response(asked.get("status", "200 OK"), pairs)
    return [asked.get("body", "").encode()]


def allow(environ, start_response, query):
    token = environ.get("HTTP_X_TOKEN")
    if token == "good":
        start_response("204 No Content", [("X-User", "somebody")])
    elif token is None:
        start_response("401 Unauthorized", [("WWW-Authenticate", 'Token realm="x"')])
    else:
        start_response("403 Forbidden", [])
    return []


def sleep(environ, start_response, query):
    report.clear()
    time.sleep(float(dict(query)["seconds"]))
    report.append("slept")
    return sized(start_response, b"slept")


def fragile(environ, start_response, query):
    if pathlib.Path(dict(query)["down"]).exists():
        raise RuntimeError("the site is down")
    return sized(start_response, b"up")


def echo(environ, start_response, query):
    stream = environ["wsgi.input"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    while block := stream.read(int(dict(query).get("size", 65536))):
        yield block


def body(environ, start_response, query):
    report.clear()
    digest, length = hashlib.sha256(), 0
    try:
        while block := environ["wsgi.input"].read(65536):
            digest.update(block)
            length += len(block)
    except Exception as error:
        report.append([isinstance(error, OSError), str(error)])
        raise
    facts = [length, digest.hexdigest(), environ.get("CONTENT_LENGTH"), environ.get("HTTP_TRANSFER_ENCODING")]
    return sized(start_response, json.dumps(facts).encode(), "application/json")


def second(environ, start_response, query):
    if next(seconds) % 2:
        return body(environ, start_response, query)
    environ["wsgi.input"].read(int(dict(query)["read"]))
    return sized(start_response, b"later", status="503 Service Unavailable")


def reluctant(environ, start_response, query):
    environ["wsgi.input"].read(1)
    start_response("200 OK", [("Content-Type", "text/plain")])
    for _ in range(int(dict(query)["count"])):
        yield b"r"
        time.sleep(0.4)


def ignore(environ, start_response, query):
    return sized(start_response, b"ignored")


def begun(environ, start_response, query):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"begun"
    yield str(len(environ["wsgi.input"].read())).encode()


def endless(environ, start_response, query):
    report.clear()
    size = int(dict(query)["size"])
    start_response("200 OK", [("Content-Type", "text/plain")])
    try:
        while True:
            yield letters(size)
            time.sleep(0.001)
    finally:
        report.append("closed")


def finite(environ, start_response, query):
    report.clear()
    asked = dict(query)
    size, block = int(asked["size"]), int(asked["block"])
    headers = [pair for pair in query if pair[0].startswith("X-")]
    time.sleep(float(asked.get("after", 0)))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(size)), *headers])
    sent = 0
    try:
        while sent < size:
            yield b"f" * min(block, size - sent)
            sent += block
        report.append("all sent")
    finally:
        report.append("closed")


class Closing:
    def __init__(self, seconds):
        self.seconds = seconds

    def __iter__(self):
        return iter([b"closing"])

    def close(self):
        time.sleep(self.seconds)


def closing(environ, start_response, query):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "7")])
    return Closing(float(dict(query)["seconds"]))


def mortal(environ, start_response, query):
    if next(lives):
        os.kill(os.getpid(), signal.SIGKILL)
    return sized(start_response, b"alive", headers=query)


def show_report(environ, start_response, query):
    return sized(start_response, json.dumps(report).encode(), "application/json")


ROUTES = {
    "/environ": environ_,
    "/text": text,
    "/blocks": blocks,
    "/stepwise": stepwise,
    "/broken": broken,
    "/release": release,
    "/page": page,
    "/calls": numbered,
    "/tagged": tagged,
    "/headers": headers_,
    "/allow": allow,
    "/sleep": sleep,
    "/fragile": fragile,
    "/echo": echo,
    "/body": body,
    "/second": second,
    "/reluctant": reluctant,
    "/ignore": ignore,
    "/begun": begun,
    "/endless": endless,
    "/finite": finite,
    "/closing": closing,
    "/mortal": mortal,
    "/report": show_report,
}


def application(environ, start_response):
    handler = ROUTES.get(environ["PATH_INFO"], environ_)
    return handler(environ, start_response, parse_qsl(environ["QUERY_STRING"], keep_blank_values=True))
