"""The workloads: the exact bytes of the request, and the answer that every contender has to give."""

from dataclasses import dataclass

KIB = 1024
MIB = KIB * KIB
PATTERN = b"0123456789abcdef"


@dataclass(frozen=True)
class Size:
    """How many requests each figure takes: enough to be steady, few enough to end.

    `few` and `many` are the two ends of a difference (instructions and system calls per request), `warm_up`
    comes before every figure, `memory` before the memory is read.
    """

    warm_up: int
    few: int
    many: int
    memory: int


@dataclass(frozen=True)
class Workload:
    name: str
    says: str
    request: bytes
    headers: tuple[tuple[str, str], ...]
    body: bytes
    size: Size
    #: How many times the usual number of rounds, for the row that is watched most.
    rounds: int = 1

    @property
    def path(self) -> str:
        return f"/{self.name}/" if self.name == "flask" else f"/{self.name}"


def _request(target: str, *headers: str, method: str = "GET", body: bytes = b"") -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: bench.example", *headers]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


_PLAIN = ("User-Agent: bench/1.0", "Accept: */*")

_BROWSER = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language: en-GB,en;q=0.7,de;q=0.3",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Referer: https://bench.example/catalogue/items?page=4&sort=price",
    "Connection: keep-alive",
    "Cookie: session=0f1e2d3c4b5a69788796a5b4c3d2e1f0; theme=dark; consent=necessary",
    "Upgrade-Insecure-Requests: 1",
    "Sec-Fetch-Dest: document",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-Site: same-origin",
    "Sec-Fetch-User: ?1",
    "Priority: u=0, i",
    "Cache-Control: max-age=0",
)

_POLICY = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'"
_BYTES = ("Content-Type", "application/octet-stream")
_TEXT = ("Content-Type", "text/plain")
_HTML = ("Content-Type", "text/html; charset=utf-8")


def _length(count: int) -> tuple[str, str]:
    return ("Content-Length", str(count))


#: Ten mebibytes that do not repeat early; the harness writes them beside the scripts.
FILE_NAME = "ten-mib.bin"
FILE_BYTES = b"".join(b"%015d\n" % line for line in range(10 * MIB // 16))

_ONCE = Size(warm_up=1, few=1, many=2, memory=1)

WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload(
            "hello",
            "12 bytes",
            _request("/hello", *_PLAIN),
            (_TEXT, _length(12)),
            b"Hello World!",
            Size(warm_up=50, few=50, many=1050, memory=5000),
            rounds=3,
        ),
        Workload(
            "real",
            "15 request headers, 10 response headers, 4 KiB",
            _request("/real", *_BROWSER),
            (
                _HTML,
                _length(4 * KIB),
                ("Content-Language", "en"),
                ("Cache-Control", "private, max-age=0, must-revalidate"),
                ("Vary", "Cookie"),
                ("Set-Cookie", "session=0f1e2d3c4b5a69788796a5b4c3d2e1f0; Path=/; HttpOnly; SameSite=Lax"),
                ("X-Frame-Options", "DENY"),
                ("X-Content-Type-Options", "nosniff"),
                ("Referrer-Policy", "same-origin"),
                (
                    "Content-Security-Policy",
                    "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'",
                ),
            ),
            PATTERN * 256,
            Size(warm_up=50, few=50, many=1050, memory=5000),
        ),
        Workload(
            "mib",
            "1 MiB in one block",
            _request("/mib", *_PLAIN),
            (_BYTES, _length(MIB)),
            PATTERN * (MIB // 16),
            Size(warm_up=20, few=20, many=1020, memory=1000),
        ),
        Workload(
            "stream",
            "a generator of 256 blocks of 4 KiB",
            _request("/stream", *_PLAIN),
            (_BYTES, ("Transfer-Encoding", "chunked")),
            PATTERN * (MIB // 16),
            Size(warm_up=10, few=10, many=260, memory=500),
        ),
        Workload(
            "post",
            "1 MiB read in 64 KiB pieces",
            _request("/post", *_PLAIN, f"Content-Length: {MIB}", method="POST", body=PATTERN * (MIB // 16)),
            (_TEXT, _length(7)),
            b"%d" % MIB,
            Size(warm_up=10, few=10, many=310, memory=500),
        ),
        Workload(
            "file",
            "10 MiB through wsgi.file_wrapper",
            _request("/file", *_PLAIN),
            (_BYTES, _length(10 * MIB)),
            FILE_BYTES,
            Size(warm_up=5, few=10, many=510, memory=200),
        ),
        Workload(
            "flask",
            "Flask's hello",
            _request("/flask/", *_PLAIN),
            (_HTML, _length(12)),
            b"Hello World!",
            Size(warm_up=50, few=50, many=1050, memory=2000),
        ),
        Workload(
            "python2ms",
            "some 2 ms of Python",
            _request("/python2ms", *_PLAIN),
            (_TEXT, _length(12)),
            b"Hello World!",
            Size(warm_up=5, few=5, many=55, memory=500),
        ),
        Workload(
            "sleep2s",
            "two seconds of sleep",
            _request("/sleep2s", *_PLAIN),
            (_TEXT, _length(12)),
            b"Hello World!",
            _ONCE,
        ),
        Workload(
            "python2s",
            "two seconds of plain Python",
            _request("/python2s", *_PLAIN),
            (_TEXT, _length(12)),
            b"Hello World!",
            _ONCE,
        ),
    )
}

#: Those of the figure `neighbour`, and of no other: too slow to be counted.
SLOW = ("sleep2s", "python2s")

#: The small file that nginx serves by itself beside an application.
NEIGHBOUR = Workload(
    "neighbour",
    "1 KiB, by sendfile",
    _request("/neighbour", *_PLAIN),
    (_BYTES, _length(KIB)),
    PATTERN * (KIB // 16),
    Size(warm_up=1000, few=50, many=1050, memory=5000),
)
