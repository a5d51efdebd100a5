"""mib: one mebibyte in one block."""

BODY = b"0123456789abcdef" * 65536


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", "1048576")])
    return [BODY]
