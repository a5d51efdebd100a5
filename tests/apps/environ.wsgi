"""Shows the environ it is called with.

/...    a JSON object: each key of the environ to [type name, value]; what JSON cannot carry becomes its repr
        (and the header X-Method: REQUEST_METHOD, for HEAD requests)
"""

import json


def application(environ, start_response):
    shown = {key: [type(value).__name__, value] for key, value in environ.items()}
    body = json.dumps(shown, default=repr).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response("200 OK", [*headers, ("X-Method", environ["REQUEST_METHOD"])])
    return [body]


def other(environ, start_response):
    """A second callable, for WSGICallableObject."""
    return application({**environ, "test.callable": "other"}, start_response)
