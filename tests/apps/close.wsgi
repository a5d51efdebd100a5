"""Returns results that record their life.

/normal /empty            a result with close() that ends well
/error-first /error-later the iteration raises before, after its first block
/app-raises               the application itself raises; its result is never returned
/close-raises             close() raises RuntimeError("close failed")
/not-callable             close is not callable
/no-close                 a list: nothing to close
/generator-endless        a generator that never ends by itself
/endless                  a result with close() that never ends by itself
/short-length             declares more bytes than it gives
/bad-item                 yields a str
/never-started            a result with close(), start_response not called
/log                      the recorded events of the last one, a JSON array
"""

import json

events = []


class Result:
    def __init__(self, steps):
        self.steps = iter(steps)

    def __iter__(self):
        events.append("iter")
        return self

    def __next__(self):
        step = next(self.steps, None)
        if step is None:
            raise StopIteration
        if isinstance(step, Exception):
            events.append("raise")
            raise step
        return step

    def close(self):
        events.append("close")


class FailingClose(Result):
    def close(self):
        super().close()
        raise RuntimeError("close failed")


class AttributeClose(Result):
    close = "not callable"


def endless():
    while True:
        yield b"z" * 16384


def endless_generator():
    try:
        yield from endless()
    except GeneratorExit:
        events.append("generator exit")
        raise
    finally:
        events.append("finally")


def app_raises():
    events.append("raise")
    raise ValueError("application failed")


RESULTS = {
    "/normal": lambda: Result([b"a", b"b"]),
    "/empty": lambda: Result([]),
    "/error-first": lambda: Result([ValueError("no first block")]),
    "/error-later": lambda: Result([b"first", ValueError("no second block")]),
    "/app-raises": app_raises,
    "/close-raises": lambda: FailingClose([b"served"]),
    "/not-callable": lambda: AttributeClose([b"served"]),
    "/no-close": lambda: [b"served"],
    "/generator-endless": endless_generator,
    "/endless": lambda: Result(endless()),
    "/short-length": lambda: Result([b"abc"]),
    "/bad-item": lambda: Result(["text"]),
    "/never-started": lambda: Result([b"a"]),
}


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/log":
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(events).encode()]
    events.clear()
    events.append("call")
    if path != "/never-started":
        start_response("200 OK", [("Content-Length", "10")] if path == "/short-length" else [])
    return RESULTS[path]()
