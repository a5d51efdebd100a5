"""sleep2s: waits for two seconds, as for a database; every thread of the process can wait at once."""

import time


def application(environ, start_response):
    time.sleep(2)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "12")])
    return [b"Hello World!"]
