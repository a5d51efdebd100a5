"""stream: a generator of 256 blocks of 4 KiB and no Content-Length, so the reply is chunked."""

BLOCK = b"0123456789abcdef" * 256


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    for _ in range(256):
        yield BLOCK
