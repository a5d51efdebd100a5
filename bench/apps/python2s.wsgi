"""python2s: plain Python until two seconds are over; with several threads at it, one CPU is never idle."""

import time


def application(environ, start_response):
    until = time.monotonic() + 2
    total = 0
    while time.monotonic() < until:
        for number in range(1000):
            total += number * 3 ^ total & 97
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "12")])
    return [b"Hello World!"]
