"""Tells which interpreter it runs in, and remembers something there.

/            JSON: the application group, the address of sys.modules, the process id, how often this script
             was asked in this interpreter, facts of sys and os that directives set
/restricted  JSON: what using sys.stdin, sys.stdout and signal.signal led to
"""

import _thread
import json
import os
import signal
import sys

COUNTS = sys.modules.setdefault("test_counts", type(sys)("test_counts"))


def facts(environ):
    COUNTS.value = getattr(COUNTS, "value", 0) + 1
    return {
        "group": environ["mod_wsgi.application_group"],
        "modules": id(sys.modules),
        "pid": os.getpid(),
        "thread": _thread.get_ident(),
        "count": COUNTS.value,
        "path": sys.path,
        "prefix": sys.prefix,
        "base_prefix": sys.base_prefix,
        "executable": sys.executable,
        "version": sys.version_info[:3],
        "optimize": sys.flags.optimize,
        "asserts": asserts_run(),
        "warnoptions": sys.warnoptions,
        "hash": hash("abc"),
        "dont_write_bytecode": sys.dont_write_bytecode,
        "switchinterval": sys.getswitchinterval(),
        "eggs": os.environ.get("PYTHON_EGG_CACHE"),
        "variable": os.environ.get("TEST_VARIABLE"),
        "uid": os.getuid(),
    }


def asserts_run():
    try:
        assert False  # noqa: B011, PT015
    except AssertionError:
        return True
    return False


def attempt(call):
    try:
        return repr(call())
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def restricted(environ):
    return {
        "stdin": attempt(lambda: sys.stdin.read()),
        "stdout": attempt(lambda: sys.stdout.write("written to stdout\n")),
        "signal": attempt(lambda: signal.signal(signal.SIGUSR2, signal.SIG_IGN)),
        "handler": repr(signal.getsignal(signal.SIGUSR2)),
    }


def application(environ, start_response):
    body = json.dumps((restricted if environ["PATH_INFO"] == "/restricted" else facts)(environ)).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
