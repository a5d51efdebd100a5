"""post: the request body (one mebibyte) is read in pieces of 64 KiB; the reply is how many bytes came."""


def application(environ, start_response):
    read = environ["wsgi.input"].read
    total = 0
    while piece := read(65536):
        total += len(piece)
    body = b"%d" % total
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
