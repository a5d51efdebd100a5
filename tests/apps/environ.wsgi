"""Shows the environ it is called with.

/...    a JSON object: each key of the environ to [type name, value]; what JSON cannot carry becomes its repr
"""

import json


def application(environ, start_response):
    shown = {key: [type(value).__name__, value] for key, value in environ.items()}
    body = json.dumps(shown, default=repr).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
