"""Answers with the body it was sent, read in pieces of 16 KiB.

/...    a POST: its body; the Content-Length is that of the request
"""


def application(environ, start_response):
    stream, pieces = environ["wsgi.input"], []
    while piece := stream.read(16384):
        pieces.append(piece)
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return pieces
