"""mark: draws a line between requests for the tools that watch its process (floor/mark.h), and names it."""

import ctypes
import os

LIBRARY = ctypes.CDLL(os.path.join(os.path.dirname(os.path.abspath(__file__)), "libmark.so"))


def application(environ, start_response):
    LIBRARY.bench_mark(environ["QUERY_STRING"] == "on")
    body = b"marked %d\n" % os.getpid()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
