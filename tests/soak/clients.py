"""Clients for the soak: each a process of its own that asks for a seeded mixture and checks every answer."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

from harness.raw_http import ConnectionEndedError, RawConnection

Ask = Callable[["Client"], None]


class Client:
    """One client with one connection at a time, reused until it is aborted."""

    def __init__(self, port: int, seed: int) -> None:
        self.random = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self._port = port
        self._connection: RawConnection | None = None

    def run(self, requests: int) -> Counter[str]:
        """Ask that often; AssertionError at the first wrong answer."""
        kinds, weights = zip(*MIXTURE, strict=True)
        for ask in self.random.choices(kinds, weights, k=requests):
            ask(self)
            self.counts[ask.__name__] += 1
        self.leave()
        return self.counts

    def get(self, path: str, expected: bytes) -> None:
        self._exchange(f"GET {path}", b"", expected)

    def post(self, path: str, body: bytes, expected: bytes) -> None:
        self._exchange(f"POST {path}", body, expected)

    def connection(self) -> RawConnection:
        if self._connection is None:
            self._connection = RawConnection(self._port, timeout=120)
        return self._connection

    def leave(self) -> None:
        """Close the connection as a polite client does."""
        if self._connection is not None:
            self._connection.socket.close()
            self._connection = None

    def abort(self) -> None:
        """Reset the connection."""
        self.connection().abort()
        self._connection = None

    def _exchange(self, line: str, body: bytes, expected: bytes) -> None:
        fresh = self._connection is None
        try:
            head, answer = self._answer(line, body)
        except (ConnectionEndedError, ConnectionError):
            # The server may close a kept-alive connection at any time between requests.
            if fresh:
                raise
            self.leave()
            head, answer = self._answer(line, body)
        assert head.status == 200, (line, head)
        assert answer.is_complete, (line, head)
        assert answer.data == expected, (line, answer.data[:100])
        if head.get("Connection") == "close":
            self.leave()

    def _answer(self, line: str, body: bytes):
        connection = self.connection()
        connection.request(line, f"Content-Length: {len(body)}", body=body)
        return connection.response()


def small(client: Client) -> None:
    client.get("/iteration/list", b"abc")


def streamed(client: Client) -> None:
    client.get("/iteration/some", b"s" * 20_480)


def large(client: Client) -> None:
    client.get("/iteration/large", b"y" * 2**20)


def file(client: Client) -> None:
    size = client.random.randrange(1, 100_000)
    client.get(f"/file_wrapper/file?size={size}", (bytes(range(251)) * (size // 251 + 1))[:size])


def written(client: Client) -> None:
    client.get("/write/parts", b"one two three")


def posted(client: Client) -> None:
    body = client.random.randbytes(client.random.randrange(0, 8_000))
    client.post("/echo", body, body)


def posted_large(client: Client) -> None:
    body = client.random.randbytes(client.random.randrange(8_000, 300_000))
    client.post("/echo", body, body)


def aborted_at_once(client: Client) -> None:
    client.connection().request("GET /iteration/large")
    client.abort()


def aborted_reading(client: Client) -> None:
    connection = client.connection()
    connection.request("GET /iteration/many")
    try:
        connection.read_head()
    except (ConnectionEndedError, ConnectionError):
        client.leave()
        return
    client.abort()


def aborted_posting(client: Client) -> None:
    connection = client.connection()
    body = client.random.randbytes(client.random.randrange(0, 30_000))
    connection.request("POST /echo", "Content-Length: 40000", body=body)
    client.abort()


MIXTURE: list[tuple[Ask, int]] = [
    (small, 500),
    (posted, 200),
    (streamed, 100),
    (file, 60),
    (written, 60),
    (posted_large, 15),
    (large, 15),
    (aborted_at_once, 15),
    (aborted_reading, 15),
    (aborted_posting, 20),
]


def _run(port: int, seed: int, requests: int) -> Counter[str]:
    return Client(port, seed).run(requests)


def run_clients(port: int, requests: int, clients: int, seed: int) -> Counter[str]:
    """Share the requests among client processes; how often each kind was asked."""
    with ProcessPoolExecutor(clients) as pool:
        shares = [pool.submit(_run, port, seed + number, requests // clients) for number in range(clients)]
        return sum((share.result() for share in shares), Counter())
