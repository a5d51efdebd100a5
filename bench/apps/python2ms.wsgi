"""python2ms: some 2 ms of plain Python, always the same work, so that a faster Python shows."""

TURNS = 20_000


def application(environ, start_response):
    counts = {}
    total = 0
    for number in range(TURNS):
        key = number % 97
        counts[key] = counts.get(key, 0) + number
        total += number * 3 ^ key
    body = b"Hello World!" if total == 599_969_063 and len(counts) == 97 else b"wrong"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
