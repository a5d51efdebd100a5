"""Returns files through wsgi.file_wrapper.

/file?size=N[&seek=N][&length=N][&blksize=N]   a temporary file of N bytes counting up modulo 251, from
                                               position seek, with a Content-Length of `length` if given
/bytesio        a wrapped io.BytesIO
/no-close       a wrapped object with nothing but read()
/pipe           a wrapped pipe: it has a fileno() that names no regular file
/subclass       an instance of a subclass of the file wrapper
/written        write(b"before ") and then a wrapped file
/wrapped-only   a result that iterates a file wrapper instead of being one
/text           a wrapped file opened in text mode
/bad-read       a wrapped object whose read() returns str
/read-raises    a wrapped object whose read() raises OSError
/facts          a JSON object about the class: its names and what an instance yields
/limits         a JSON object about its attributes and errors
/closed         whether the file of the last reply has been closed
"""

import io
import json
import os
import tempfile
from urllib.parse import parse_qsl

files = []


class NothingButRead:
    def __init__(self, *results):
        self.results = list(results)

    def read(self, size):
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result


class Readable(NothingButRead):
    def close(self):
        pass


def pattern(size):
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def temporary(size, mode="w+b"):
    file = tempfile.TemporaryFile(mode)
    file.write(pattern(size) if "b" in mode else "text")
    file.seek(0)
    return file


def pipe():
    reading, writing = os.pipe()
    os.write(writing, b"through a pipe")
    os.close(writing)
    return os.fdopen(reading, "rb")


def raised(call, *arguments):
    try:
        call(*arguments)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def facts(wrapper):
    return {
        "name": f"{wrapper.__module__}.{wrapper.__name__}",
        "is a class": isinstance(wrapper, type),
        "default blksize": wrapper(io.BytesIO()).blksize,
        "blocks": [block.decode() for block in wrapper(io.BytesIO(b"0123456789"), 4)],
        "keyword blocks": [block.decode() for block in wrapper(filelike=io.BytesIO(b"xy"), blksize=1)],
    }


def limits(wrapper):
    file = io.BytesIO(b"")
    wrapped = wrapper(file, 4)
    closed = wrapper(io.BytesIO(b""))
    closed.close()
    return {
        "attributes": [wrapped.filelike is file, wrapped.blksize],
        "negative": raised(wrapper, io.BytesIO(), -1),
        "read-only": raised(setattr, wrapped, "blksize", 1),
        "after close": raised(lambda: closed.filelike),
        "iterated after close": raised(lambda: list(closed)),
    }


REPORTS = {"/facts": facts, "/limits": limits, "/closed": lambda wrapper: [file.closed for file in files]}


def application(environ, start_response):
    wrapper = environ["wsgi.file_wrapper"]
    path = environ["PATH_INFO"]
    query = {name: int(value) for name, value in parse_qsl(environ["QUERY_STRING"])}
    if path in REPORTS:
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(REPORTS[path](wrapper)).encode()]
    headers = [("Content-Type", "application/octet-stream")]
    if "length" in query:
        headers.append(("Content-Length", str(query["length"])))
    write = start_response("200 OK", headers)
    files.clear()
    file = {
        "/bytesio": lambda: io.BytesIO(b"from memory"),
        "/no-close": lambda: NothingButRead(b"read", b"", b""),
        "/pipe": pipe,
        "/text": lambda: temporary(0, "w+"),
        "/bad-read": lambda: Readable("text", ""),
        "/read-raises": lambda: Readable(OSError("the disk is on fire")),
    }.get(path, lambda: temporary(query.get("size", 100)))()
    if hasattr(file, "closed"):
        files.append(file)
    if "seek" in query:
        file.seek(query["seek"])
    if path == "/subclass":
        return type("Sub", (wrapper,), {})(file)
    if path == "/written":
        write(b"before ")
    if path == "/wrapped-only":
        return (block for block in wrapper(file))
    return wrapper(file, query.get("blksize", 8192))
