"""real: what a page of a site looks like: ten response headers, 4 KiB, a few keys of the environ read."""

BODY = b"0123456789abcdef" * 256

HEADERS = [
    ("Content-Type", "text/html; charset=utf-8"),
    ("Content-Length", "4096"),
    ("Content-Language", "en"),
    ("Cache-Control", "private, max-age=0, must-revalidate"),
    ("Vary", "Cookie"),
    ("Set-Cookie", "session=0f1e2d3c4b5a69788796a5b4c3d2e1f0; Path=/; HttpOnly; SameSite=Lax"),
    ("X-Frame-Options", "DENY"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
    ("Content-Security-Policy", "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'"),
]


def application(environ, start_response):
    known = (
        environ["REQUEST_METHOD"] == "GET"
        and environ["PATH_INFO"] == ""
        and environ["HTTP_COOKIE"].startswith("session=")
        and environ["HTTP_ACCEPT_LANGUAGE"] == "en-GB,en;q=0.7,de;q=0.3"
    )
    start_response("200 OK" if known else "400 Bad Request", list(HEADERS))
    return [BODY]
