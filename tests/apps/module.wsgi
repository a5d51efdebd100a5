"""Tells about the modules the gateway provides.

/mod_wsgi   JSON: what `import mod_wsgi` gives
/own        JSON: name and version of the module `oxwsgi`
/system     JSON: sys.argv, sys.executable, sys.prefix, the script's __file__ and __name__
/log?level=NAME&text=T   a message of that level through mod_wsgi.LogHandler
"""

import hashlib
import json
import logging
import sys
from urllib.parse import parse_qs


def about_mod_wsgi(environ):
    import mod_wsgi

    return {
        "version": list(mod_wsgi.version),
        "process_group": mod_wsgi.process_group,
        "application_group": mod_wsgi.application_group,
        "environ application_group": environ["mod_wsgi.application_group"],
        "file wrapper is the environ's": mod_wsgi.FileWrapper is environ["wsgi.file_wrapper"],
        "in sys.modules": sys.modules["mod_wsgi"] is mod_wsgi,
        "maximum_processes": mod_wsgi.maximum_processes,
        "threads_per_process": mod_wsgi.threads_per_process,
    }


def about_own(environ):
    import oxwsgi

    return {"name": oxwsgi.__name__, "version": oxwsgi.version}


def about_system(environ):
    return {
        "argv": sys.argv,
        "executable": sys.executable,
        "prefix": sys.prefix,
        "version": list(sys.version_info[:3]),
        "file": __file__,
        "name": __name__,
        "expected name": "_mod_wsgi_" + hashlib.md5(__file__.encode()).hexdigest(),
        "module is this one": sys.modules[__name__].__dict__ is globals(),
        "mtime": repr(globals().get("__mtime__")),
    }


def log(environ):
    from mod_wsgi import LogHandler

    query = parse_qs(environ["QUERY_STRING"])
    logger = logging.getLogger("module-test")
    logger.setLevel(logging.DEBUG)
    handler = LogHandler()
    logger.addHandler(handler)
    logger.log(getattr(logging, query["level"][0]), query["text"][0])
    logger.removeHandler(handler)
    return "logged"


ROUTES = {"/mod_wsgi": about_mod_wsgi, "/own": about_own, "/system": about_system, "/log": log}


def application(environ, start_response):
    body = json.dumps(ROUTES[environ["PATH_INFO"]](environ)).encode()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [body]
