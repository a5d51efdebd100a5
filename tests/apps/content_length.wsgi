"""Declares lengths that are true, and some that are not.

/?declare=TEXT&give=N[&blocks=N]   Content-Length: TEXT, then N bytes in `blocks` equal blocks (default 1)
/generator?declare=TEXT&give=N     the same from a generator, a byte a block
/write?declare=TEXT&give=N         the same through write()
/steps                             how many blocks of the last /generator were asked for
"""

from urllib.parse import parse_qs

steps = 0


def single_bytes(count):
    global steps
    steps = 0
    for number in range(count):
        steps += 1
        yield b"%d" % (number % 10)


def application(environ, start_response):
    query = {
        name: values[0] for name, values in parse_qs(environ["QUERY_STRING"], keep_blank_values=True).items()
    }
    path = environ["PATH_INFO"]
    if path == "/steps":
        start_response("200 OK", [])
        return [str(steps).encode()]
    write = start_response("200 OK", [("Content-Length", query["declare"])])
    give, blocks = int(query["give"]), int(query.get("blocks", "1"))
    if path == "/generator":
        return single_bytes(give)
    if path == "/write":
        write(b"w" * give)
        return []
    return [b"b" * (give // blocks)] * blocks
