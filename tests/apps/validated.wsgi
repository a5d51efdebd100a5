"""The contract applications behind wsgiref.validate, which raises when either side breaks PEP 3333.

/NAME/...   the script NAME.wsgi beside this one, validated
/body       reads the body by each method the validator allows; gives its length
/errors     uses each method of wsgi.errors
/close      a generator with a finally clause
"""

import importlib.util
from importlib.machinery import SourceFileLoader
from pathlib import Path
from wsgiref.util import shift_path_info
from wsgiref.validate import validator

PLAIN = [("Content-Type", "text/plain")]


def load(name):
    path = str(Path(__file__).with_name(f"{name}.wsgi"))
    spec = importlib.util.spec_from_loader(name, SourceFileLoader(name, path))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.application


def body(environ, start_response):
    stream = environ["wsgi.input"]
    length = len(stream.read(3)) + len(stream.readline()) + len(stream.readline(2))
    length += sum(map(len, stream.readlines(4))) + sum(map(len, stream)) + len(stream.read(10))
    start_response("200 OK", list(PLAIN))
    return [str(length).encode()]


def errors(environ, start_response):
    environ["wsgi.errors"].write("validated write\n")
    environ["wsgi.errors"].writelines(["validated writelines\n"])
    environ["wsgi.errors"].flush()
    start_response("200 OK", list(PLAIN))
    return [b"errors"]


def close(environ, start_response):
    start_response("200 OK", list(PLAIN))
    try:
        yield b"closing"
    finally:
        environ["wsgi.errors"].write("validated close\n")


OWN = {"body": body, "errors": errors, "close": close}
cache = {}


def application(environ, start_response):
    name = shift_path_info(environ)
    if name not in cache:
        cache[name] = validator(OWN.get(name) or load(name))
    return cache[name](environ, start_response)
