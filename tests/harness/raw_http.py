"""A client that shows the bytes: exact framing, pieces as they arrive, broken requests and hard aborts.

Ordinary requests go through httpx; this is for what a well-behaved client hides.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass, field


class ConnectionEndedError(Exception):
    """The server closed the connection where more was due."""


@dataclass
class Head:
    """Status line and header lines, in order and with their case."""

    status_line: str
    headers: list[tuple[str, str]] = field(default_factory=list)

    @property
    def status(self) -> int:
        return int(self.status_line.split(" ", 2)[1])

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def get(self, name: str) -> str | None:
        values = self.all(name)
        return values[0] if values else None


@dataclass
class Body:
    """What followed the head. `is_complete` is false when the framing says that bytes are missing."""

    data: bytes
    is_complete: bool
    chunks: list[bytes] = field(default_factory=list)


class RawConnection:
    """One TCP connection to a server on this machine; a context manager."""

    def __init__(self, port: int, timeout: float = 15.0) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.port = port
        # Whether it ended with a reset, and not in order.
        self.was_reset = False
        self._buffer = b""

    def __enter__(self) -> RawConnection:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self.socket.close()

    def send(self, data: bytes | str) -> None:
        self.socket.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))

    def request(self, line: str, *headers: str, body: bytes = b"") -> None:
        """Send a request head with the server's own Host and the given header lines, then `body` as it is."""
        host = f"Host: localhost:{self.port}"
        head = "".join(f"{text}\r\n" for text in (f"{line} HTTP/1.1", host, *headers))
        self.send(head.encode("latin-1") + b"\r\n" + body)

    def read_head(self) -> Head:
        """The next head, final or interim (100)."""
        lines = self._read_until(b"\r\n\r\n").decode("latin-1").split("\r\n")[:-2]
        headers = [
            tuple(line.split(": ", 1)) if ": " in line else (line.rstrip(":"), "") for line in lines[1:]
        ]
        return Head(lines[0], headers)

    def read_body(self, head: Head) -> Body:
        """The body of the response to anything but HEAD, as the head frames it."""
        if head.status in (204, 304):
            return Body(b"", True)
        codings = ", ".join(head.all("Transfer-Encoding"))
        if codings:
            return self._read_chunked() if codings.endswith("chunked") else self._read_rest()
        length = head.get("Content-Length")
        if length is None:
            return self._read_rest()
        try:
            return Body(self._read_exactly(int(length)), True)
        except ConnectionEndedError as error:
            return Body(error.args[0], False)

    def _read_rest(self) -> Body:
        data = self.read_to_end()
        return Body(data, not self.was_reset)

    def response(self) -> tuple[Head, Body]:
        head = self.read_head()
        return head, self.read_body(head)

    def read_chunk(self) -> bytes:
        """One chunk of a chunked body; b"" is the last one."""
        size = int(self._read_until(b"\r\n").split(b";")[0], 16)
        data = self._read_exactly(size)
        self._read_until(b"\r\n")
        return data

    def read_to_end(self) -> bytes:
        """Everything until the server closes."""
        while self._fill():
            pass
        data, self._buffer = self._buffer, b""
        return data

    def is_closed_by_server(self, within: float = 10.0) -> bool:
        """Whether the server ends the connection, with nothing more to read, within `within` seconds."""
        self.socket.settimeout(within)
        try:
            return not self._buffer and not self._fill()
        except TimeoutError:
            return False

    def abort(self) -> None:
        """Reset the connection, as a client that vanishes does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def end_sending(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def _fill(self) -> bool:
        try:
            # In large pieces: each is appended to all that came before.
            data = self.socket.recv(1 << 20)
        except ConnectionResetError:
            data = b""
            self.was_reset = True
        self._buffer += data
        return bool(data)

    def _read_until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            if not self._fill():
                raise ConnectionEndedError(self._buffer)
        end = self._buffer.index(mark) + len(mark)
        data, self._buffer = self._buffer[:end], self._buffer[end:]
        return data

    def _read_exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            if not self._fill():
                raise ConnectionEndedError(self._buffer)
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def _read_chunked(self) -> Body:
        chunks: list[bytes] = []
        try:
            while chunk := self.read_chunk():
                chunks.append(chunk)
        except (ConnectionEndedError, ValueError) as error:
            rest = error.args[0] if isinstance(error, ConnectionEndedError) else b""
            return Body(b"".join(chunks) + rest, False, chunks)
        return Body(b"".join(chunks), True, chunks)
