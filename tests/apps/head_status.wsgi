"""Answers with the status and the body asked for.

/?status=TEXT[&body=TEXT][&length=TEXT]   that status line and body; a Content-Length if given
/method                                   REQUEST_METHOD in the body and in X-Method
"""

from urllib.parse import parse_qs


def application(environ, start_response):
    if environ["PATH_INFO"] == "/method":
        method = environ["REQUEST_METHOD"]
        start_response("200 OK", [("Content-Type", "text/plain"), ("X-Method", method)])
        return [method.encode()]
    query = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
    headers = [("X-Application", "yes")]
    if "length" in query:
        headers.append(("Content-Length", query["length"]))
    start_response(query["status"], headers)
    return [query["body"].encode()] if "body" in query else []
