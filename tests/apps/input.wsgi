"""Reads wsgi.input the way the request asks.

/?call=NAME:ARG&call=...    each call in turn: NAME one of read, readline, readlines, next, iterate, close,
                            with the Python literal ARG if there is one. A JSON array of what each returned
                            (bytes as Latin-1) or {"raised": type name, "message": text}
/digest                     reads 64 KiB pieces to the end; the length and the SHA-256
/all                        one read(); the length and the SHA-256
/echo                       yields each piece of at most 64 KiB as soon as it is read
/ignore                     answers without reading
/attributes                 type name, module and public attributes of wsgi.input
/failures?NAME              reads until an exception, then reads again; kept for /report
/report?NAME                what the last /failures of that name (or of none) met
"""

import ast
import collections
import hashlib
import json
from urllib.parse import parse_qsl

reports = collections.defaultdict(list)


def application(environ, start_response):
    handler = HANDLERS.get(environ["PATH_INFO"], calls)
    if handler is echo:
        start_response("200 OK", [("Content-Type", "application/octet-stream")])
        return echo(environ)
    body = json.dumps(handler(environ)).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def calls(environ):
    return [
        attempt(environ["wsgi.input"], *call.partition(":")[::2])
        for name, call in parse_qsl(environ["QUERY_STRING"])
        if name == "call"
    ]


def attempt(stream, name, literal):
    arguments = [ast.literal_eval(literal)] if literal else []
    try:
        if name == "iterate":
            return [line.decode("latin-1") for line in stream]
        result = next(stream) if name == "next" else getattr(stream, name)(*arguments)
    except Exception as error:
        return {"raised": type(error).__name__, "message": str(error)}
    if isinstance(result, list):
        return [line.decode("latin-1") for line in result]
    return result if result is None else result.decode("latin-1")


def digest(environ):
    seen, length = hashlib.sha256(), 0
    while piece := environ["wsgi.input"].read(65536):
        seen.update(piece)
        length += len(piece)
    return [length, seen.hexdigest()]


def whole(environ):
    data = environ["wsgi.input"].read()
    return [len(data), hashlib.sha256(data).hexdigest()]


def echo(environ):
    while piece := environ["wsgi.input"].read(65536):
        yield piece


def attributes(environ):
    stream = environ["wsgi.input"]
    public = [name for name in dir(stream) if not name.startswith("_")]
    return [type(stream).__name__, type(stream).__module__, public]


def failures(environ):
    report = reports[environ["QUERY_STRING"]]
    report.clear()
    for _ in range(2):
        try:
            while environ["wsgi.input"].read(4096):
                pass
            report.append(None)
        except Exception as error:
            report.append([type(error).__name__, isinstance(error, OSError), str(error)])
    return report


HANDLERS = {
    "/digest": digest,
    "/all": whole,
    "/echo": echo,
    "/ignore": lambda environ: [],
    "/attributes": attributes,
    "/failures": failures,
    "/report": lambda environ: reports[environ["QUERY_STRING"]],
}
