"""Writes to wsgi.errors and to the standard streams.

/write?text=T         wsgi.errors.write(T)
/writelines?text=A&text=B
/print?text=T         print(T, file=wsgi.errors)
/parts                "half " and, after a flush of nothing, "a line\\n": one log line
/unfinished           text without a newline
/flushed              text without a newline, then flush(), then more text
/stdout?text=T        print(T)
/stderr?text=T        print(T, file=sys.stderr)
/thread-stderr?text=T the same from another thread
/bytes                wsgi.errors.buffer.write(bytes that are not UTF-8)
/logging              logging.getLogger().error through a StreamHandler on wsgi.errors
/long                 one line of 20,000 characters
/facts                JSON about the stream objects
/mark                 JSON: the mark and the weak reference an earlier request left on its stream; leaves both
"""

import json
import logging
import sys
import threading
import weakref
from urllib.parse import parse_qsl


def raised(call):
    try:
        call()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def facts(errors):
    def describe(stream):
        return {
            "type": type(stream).__name__,
            "encoding": stream.encoding,
            "isatty": stream.isatty(),
            "fileno": raised(stream.fileno),
        }

    return {"errors": describe(errors), "stdout": describe(sys.stdout), "stderr": describe(sys.stderr)}


def parts(errors, texts):
    errors.write("half ")
    errors.write("a line\n")


def flushed(errors, texts):
    errors.write("flushed text")
    errors.flush()
    errors.write("after the flush\n")


def in_thread(errors, texts):
    thread = threading.Thread(target=lambda: print(texts[0], file=sys.stderr))
    thread.start()
    thread.join()


def through_logging(errors, texts):
    handler = logging.StreamHandler(errors)
    logger = logging.getLogger("contract")
    logger.addHandler(handler)
    logger.error("logged\non two lines")
    logger.removeHandler(handler)


earlier = []


def mark(errors):
    found = [getattr(errors, "mark", None), any(reference() is errors for reference in earlier)]
    errors.mark = "left by an earlier request"
    earlier.append(weakref.ref(errors))
    return found


ROUTES = {
    "/write": lambda errors, texts: errors.write(texts[0]),
    "/writelines": lambda errors, texts: errors.writelines(texts),
    "/print": lambda errors, texts: print(texts[0], file=errors),
    "/parts": parts,
    "/unfinished": lambda errors, texts: errors.write("no newline at the end"),
    "/flushed": flushed,
    "/stdout": lambda errors, texts: print(texts[0]),
    "/stderr": lambda errors, texts: print(texts[0], file=sys.stderr),
    "/thread-stderr": in_thread,
    "/bytes": lambda errors, texts: errors.buffer.write(b"bytes \xff here\n"),
    "/logging": through_logging,
    "/long": lambda errors, texts: errors.write("L" * 20000 + "\n"),
}


def application(environ, start_response):
    errors = environ["wsgi.errors"]
    body = b"done"
    if environ["PATH_INFO"] == "/facts":
        body = json.dumps(facts(errors)).encode()
    elif environ["PATH_INFO"] == "/mark":
        body = json.dumps(mark(errors)).encode()
    else:
        texts = [value for name, value in parse_qsl(environ["QUERY_STRING"]) if name == "text"]
        ROUTES[environ["PATH_INFO"]](errors, texts)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]
