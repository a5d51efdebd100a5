"""Clients that ask without pause, and the account of what came of each request.

The application under load answers /count?id=ID with ID, and notes each ID it is called with.
"""

from __future__ import annotations

import collections
import contextlib
import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

from harness.raw_http import ConnectionEndedError, RawConnection
from harness.server import Server
from harness.wait import wait_until


class Load:
    """Use it as a context manager: the clients ask while its block runs.

    Every second client keeps its connection. A server may close one that is at rest: a request that met
    such an end, with no byte of an answer, is sent again (RFC 9112, 9.3.1) under the same id.
    """

    def __init__(self, server: Server, notes: Path, path: str = "/app/count", clients: int = 4) -> None:
        self.server, self.notes, self.path = server, notes, path
        self.failures: list[str] = []
        self.answered = 0
        self._sent: list[str] = []
        self._ids = itertools.count(1)
        self._turn = threading.Condition()
        self._is_paused, self._is_ending, self._asking = False, False, 0
        self._clients = [
            threading.Thread(target=self._ask_until_stopped, args=(number % 2 == 0,))
            for number in range(clients)
        ]

    def __enter__(self) -> Load:
        for client in self._clients:
            client.start()
        return self

    def __exit__(self, *_exc_info: object) -> None:
        with self._turn:
            self._is_ending = True
            self._turn.notify_all()
        for client in self._clients:
            client.join()

    def wait_for_answers(self, more: int, timeout: float = 30.0) -> None:
        target = self.answered + more
        wait_until(lambda: self.answered >= target, f"{more} more answers; failed: {self.failures}", timeout)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """During the block nobody asks, and all that was asked has been answered."""
        with self._turn:
            self._is_paused = True
            assert self._turn.wait_for(lambda: not self._asking, 30), "a request is not answered"
        self.server.settle()
        yield
        with self._turn:
            self._is_paused = False
            self._turn.notify_all()

    def problems(self) -> list[str]:
        """What went wrong: requests that failed, or that the application saw another time than once."""
        calls = collections.Counter(line.split()[0] for line in self.notes.read_text().splitlines())
        wrong = [f"{name} ran {calls[name]} times" for name in self._sent if calls[name] != 1]
        strangers = [f"{name} was never sent" for name in calls.keys() - set(self._sent)]
        return self.failures + wrong + strangers

    def _ask_until_stopped(self, keeps: bool) -> None:
        connection = None
        while self._takes_turn():
            name = f"r{next(self._ids)}"
            self._sent.append(name)
            try:
                connection = self._ask(connection, name, keeps)
            except (OSError, ConnectionEndedError) as error:
                self.failures.append(f"{name}: {error!r}")
                connection = None
            self._ends_turn()
        if connection:
            connection.socket.close()

    def _takes_turn(self) -> bool:
        with self._turn:
            self._turn.wait_for(lambda: self._is_ending or not self._is_paused)
            self._asking += not self._is_ending
            return not self._is_ending

    def _ends_turn(self) -> None:
        with self._turn:
            self._asking -= 1
            self.answered += 1
            self._turn.notify_all()

    def _ask(self, connection: RawConnection | None, name: str, keeps: bool) -> RawConnection | None:
        """Send one request and check its answer; the connection, if it can be used again."""
        line = f"GET {self.path}?id={name}"
        if connection is not None:
            try:
                connection.request(line)
                return self._check(connection, name)
            except (ConnectionEndedError, BrokenPipeError, ConnectionResetError) as error:
                connection.socket.close()
                if isinstance(error, ConnectionEndedError) and error.args[0]:
                    raise
        connection = self.server.raw()
        connection.request(line, *(() if keeps else ("Connection: close",)))
        return self._check(connection, name)

    def _check(self, connection: RawConnection, name: str) -> RawConnection | None:
        head, body = connection.response()
        if (head.status, body.is_complete, body.data) != (200, True, name.encode()):
            self.failures.append(f"{name}: {head.status_line} {body.data[:200]!r}")
        if (head.get("Connection") or "").lower() != "close":
            return connection
        connection.socket.close()
        return None
