"""No request waits while a thread of the group is free; those that have to wait form one bounded queue."""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.config import MAIN, Group, Mount
from harness.httpd import Mpm
from harness.wait import wait_until

# Enough threads of httpd that they are never what a request waits for; nginx needs none.
WIDE = Mpm(threads=32)


@contextlib.contextmanager
def held(site, count: int = 1, prefix: str = "held"):
    """So many threads of the group are busy during the block; what is given are their processes' ids."""
    names = [f"{prefix}-{number}" for number in range(count)]
    with contextlib.ExitStack() as connections:
        waiting = [connections.enter_context(site.waiting(name)) for name in names]
        yield [site.wait_for_entry(name) for name in names]
        for name in names:
            site.release(name)
        assert [connection.response()[0].status for connection in waiting] == [200] * count


def at_once(count: int, request, clients: int = 8) -> list:
    with ThreadPoolExecutor(clients) as pool:
        return list(pool.map(request, range(count)))


def warm_up(site) -> None:
    """Let the server know all the processes."""
    at_once(64, lambda _: site.pid())


@pytest.mark.every_mpm
@pytest.mark.allows("AH00161", "AH00286", "AH00484")
def test_fast_requests_do_not_wait_for_a_slow_one(site, mpm):
    site = site("processes=2 threads=1", mpm=Mpm(mpm.name, processes=4 if mpm.name == "prefork" else 1))
    warm_up(site)

    def times() -> list[float]:
        """Of a hundred fast requests, the longest last."""
        took = []
        for _ in range(100):
            began = time.monotonic()
            assert site.pid()
            took.append(time.monotonic() - began)
        return sorted(took)

    alone = times()
    # The slow one lasts until all of them are answered: who waited for it would do so in vain.
    with held(site):
        beside = times()
    # Nor is there another wait. A machine that stands still for a moment delays a few, not every tenth.
    assert beside[90] < 0.1 + 3 * alone[90], f"{beside[80:]} beside a slow one, {alone[80:]} alone"


@pytest.mark.parametrize(
    ("options", "busy"),
    [
        ("processes=3 threads=1", 2),
        ("processes=1 threads=4", 3),
        ("processes=2 threads=2", 3),
    ],
)
def test_the_only_free_thread_serves_everyone(site, options, busy):
    """On kept connections as well, whose last request another process may have served."""
    site = site(options, mpm=WIDE)
    warm_up(site)
    clients = [site.server.client() for _ in range(4)]
    for client in clients:
        assert client.get("/app/pid").status_code == 200
    with held(site, busy):
        assert at_once(40, lambda _: site.get("/pid").status_code) == [200] * 40
        for client in clients:
            assert client.get("/app/pid").status_code == 200


def test_whoever_is_free_first_takes_the_request(site):
    site = site("processes=2 threads=1", mpm=WIDE)
    warm_up(site)
    with held(site, prefix="long") as (other,), held(site, prefix="short") as (first,):
        assert first != other
        with site.server.raw() as third:
            third.request("GET /app/pid", "Connection: close")
            site.release("short-0")
            assert int(third.response()[1].data) == first


def test_requests_that_wait_are_all_served(site):
    site = site("processes=1 threads=2", mpm=WIDE)
    with ThreadPoolExecutor(24) as pool, held(site, 2):
        waiting = [pool.submit(site.get, "/pid") for _ in range(24)]
        wait_until(lambda: site.server.busy() >= 24, "the requests to have begun")
        for name in ("held-0", "held-1"):
            site.release(name)
        assert [request.result().status_code for request in waiting] == [200] * 24


def test_every_process_takes_part(site):
    """As many requests at once as there are threads are all served at once."""
    site = site("processes=3 threads=2", mpm=WIDE)
    with held(site, 6) as pids:
        assert len(set(pids)) == 3
        assert all(pids.count(pid) == 2 for pid in pids)


@pytest.mark.provokes(r"WSGI0116|WSGI11[2-4]\d")
@pytest.mark.differs("a full queue is told at once, with when to come back", run=False)
def test_a_full_queue(site):
    """The kernel lets one more wait than the backlog says (see listen(2) and unix(7))."""
    site = site("processes=1 threads=1 listen-backlog=4 connect-timeout=60", mpm=WIDE)
    with contextlib.ExitStack() as connections, ThreadPoolExecutor(16) as pool:
        with held(site):
            asked = [connections.enter_context(site.server.raw()) for _ in range(16)]
            for connection in asked:
                connection.socket.settimeout(60)
                connection.request("GET /app/pid", "Connection: close")
            answers = [pool.submit(lambda c=connection: c.response()[0]) for connection in asked]
            # Long before the time that a request may wait for a place in the queue.
            wait_until(lambda: sum(answer.done() for answer in answers) >= 16 - 6, "ten to be refused")
            told = [answer.result() for answer in answers if answer.done()]
            assert {head.status for head in told} == {503}
        heads = [answer.result() for answer in answers]
        refused = [head for head in heads if head.status == 503]
        assert 16 - 6 <= len(refused) <= 16 - 4
        assert all(int(head.get("Retry-After")) > 0 for head in refused)
        assert [head.status for head in heads if head not in refused] == [200] * (16 - len(refused))
    assert site.get("/pid").status_code == 200


@pytest.mark.provokes("WSGI0084")
def test_queue_timeout(site):
    """A request that waited too long is answered 504, and the application does not see it."""
    site = site("processes=1 threads=1 queue-timeout=2", mpm=WIDE)
    with site.server.raw() as late:
        with held(site):
            late.request("GET /app/count?id=late", "Connection: close")
            # Beside the one that is held and the question itself.
            wait_until(lambda: site.server.busy() >= 3, "the request to have begun")
            time.sleep(3)
        assert late.response()[0].status == 504
    assert site.get("/count", id="timely").text == "timely"
    assert [line.split()[0] for line in (site.shared / "notes").read_text().splitlines()] == ["timely"]


def test_a_request_that_did_not_wait_that_long(site):
    site = site("processes=1 threads=1 queue-timeout=20", mpm=WIDE)
    with site.server.raw() as waiting:
        with held(site):
            waiting.request("GET /app/pid", "Connection: close")
        assert waiting.response()[0].status == 200


def test_a_thread_keeps_its_thread_locals(start):
    """Thread states persist from request to request."""
    server = start(
        [Group("g", "threads=2"), Mount("/app", "${root}/app.wsgi", "g", MAIN)],
        files={
            "app.wsgi": "import threading\nlocal = threading.local()\n"
            "def application(environ, start_response):\n"
            "    local.count = getattr(local, 'count', 0) + 1\n"
            "    start_response('200 OK', [])\n"
            "    return [f'{threading.get_ident()} {local.count}'.encode()]\n"
        },
    )
    seen: dict[str, int] = {}
    for _ in range(30):
        thread, count = server.get("/app").text.split()
        assert int(count) == seen.get(thread, 0) + 1
        seen[thread] = int(count)
    assert len(seen) <= 2
