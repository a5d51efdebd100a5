"""Under load no request is lost, none runs twice, none is answered with something false."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.httpd import Mpm
from harness.load import Load
from harness.marks import PROCESS_DIED, REQUEST_LOST
from harness.processes import Process
from harness.wait import wait_until

# A busy machine may take all of httpd's threads for a moment.
pytestmark = pytest.mark.allows("AH00484", "AH03490", "AH10159")


@pytest.fixture
def loaded(site):
    """A site of two processes, its script loaded in both, and the load that will be on it."""

    def make(options="processes=2 threads=4", **server_options):
        made = site(options, mpm=Mpm(processes=2, threads=8), **server_options)
        made.warm_up()
        return made, Load(made.server, made.shared / "notes")

    return make


def pids_seen(site) -> set[int]:
    return {int(line.split()[1]) for line in (site.shared / "notes").read_text().splitlines()}


@pytest.mark.differs("a graceful restart loses no request", run=False)
def test_ten_graceful_restarts(loaded):
    site, load = loaded()
    with load:
        for generation in range(1, 11):
            load.wait_for_answers(20)
            wait_until(lambda: len(pids_seen(site)) >= 2 * generation, "both processes to answer")  # noqa: B023
            site.server.graceful()
        load.wait_for_answers(50)
    assert load.problems() == []
    assert len(pids_seen(site)) >= 20


@pytest.mark.differs("a graceful restart loses no request", run=False)
def test_a_graceful_restart_lets_requests_finish(site):
    site = site("processes=2 threads=2")
    with site.waiting("held") as held:
        process = Process.at(site.wait_for_entry("held"))
        site.server.graceful()
        assert site.pid() != process.pid
        site.release("held")
        head, body = held.response()
        assert (head.status, body.data) == (200, str(process.pid).encode())
    wait_until(lambda: not process.is_alive, "the process of the past generation to end")


@pytest.mark.differs("a graceful restart loses no request", run=False)
def test_a_graceful_stop_lets_requests_finish(site):
    site = site("processes=2 threads=2")
    with site.waiting("held") as held:
        pid = site.wait_for_entry("held")
        everyone = site.server.processes()
        site.server.begin_graceful_stop()
        site.release("held")
        head, body = held.response()
        assert (head.status, body.data) == (200, str(pid).encode())
    site.server.process.wait(30)
    site.server.wait_until_gone(everyone)


@pytest.mark.differs("a changed script loses no request", run=False)
def test_ten_changes_of_the_script(loaded):
    site, load = loaded("processes=2 threads=4 shutdown-timeout=20")
    with load:
        for _ in range(10):
            load.wait_for_answers(20)
            site.touch()
        load.wait_for_answers(50)
    assert load.problems() == []
    assert len(pids_seen(site)) >= 4
    site.wait_for_shutdown("script_reload", count=2)


@pytest.mark.differs("a process that has had its requests loses none", run=False)
def test_processes_of_few_requests(loaded):
    site, load = loaded("processes=2 threads=4 maximum-requests=50")
    with load:
        load.wait_for_answers(600)
    assert load.problems() == []
    assert len(pids_seen(site)) >= 8
    site.wait_for_shutdown("maximum_requests", count=8)


@pytest.mark.differs("requests go to the processes that live", run=False)
def test_processes_that_are_told_to_end(loaded):
    """SIGTERM lets the requests under way finish, and new ones go elsewhere."""
    site, load = loaded("processes=2 threads=4 shutdown-timeout=20")
    with load:
        for _ in range(6):
            load.wait_for_answers(30)
            Process.at(site.pid()).signal(signal.SIGTERM)
        load.wait_for_answers(50)
    assert load.problems() == []


@PROCESS_DIED
@pytest.mark.differs("a process that dies at rest loses no request", run=False)
def test_processes_that_are_killed_at_rest(loaded):
    """The connections that the server keeps to them are found dead before a request is called lost."""
    site, load = loaded("processes=3 threads=2")
    with load:
        for _ in range(6):
            load.wait_for_answers(40)
            with load.paused():
                site.process().signal(signal.SIGKILL)
        load.wait_for_answers(50)
    assert load.problems() == []


@PROCESS_DIED
@pytest.mark.differs("a process that dies before it begins loses no request", run=False)
def test_a_process_that_is_killed_before_it_begins(site):
    """What it was sent, but has not read, is answered by another."""
    site = site("processes=2 threads=1")
    with site.waiting("one") as one, site.waiting("other") as other:
        processes = [Process.at(site.wait_for_entry(name)) for name in ("one", "other")]
        for name in ("one", "other"):
            site.release(name)
        assert [connection.response()[0].status for connection in (one, other)] == [200, 200]
    site.server.settle()
    deaf, working = processes
    deaf.signal(signal.SIGSTOP)
    wait_until(lambda: deaf.is_stopped, "the process to be deaf")
    connections = [site.server.raw() for _ in range(4)]
    for number, connection in enumerate(connections):
        connection.request(f"GET /app/count?id=r{number}", "Connection: close")
    wait_until(lambda: site.server.busy() >= 2, "requests to wait")
    deaf.signal(signal.SIGKILL)
    assert [connection.response()[0].status for connection in connections] == [200] * 4
    for connection in connections:
        connection.socket.close()
    notes = (site.shared / "notes").read_text().split()[::2]
    assert sorted(notes) == ["r0", "r1", "r2", "r3"]
    assert working.is_alive


@pytest.mark.differs("there is a supervisor, and it may die", run=False)
@pytest.mark.provokes(r"WSGI11[56]\d|WSGI12\d\d")
def test_the_supervisor_is_killed(loaded):
    site, load = loaded()
    with load:
        for _ in range(2):
            load.wait_for_answers(50)
            (supervisor,) = site.server.supervisors()
            supervisor.signal(signal.SIGKILL)
            wait_until(
                lambda old=supervisor: any(
                    process.is_supervisor and process != old for process in site.server.processes()
                ),
                "another supervisor",
            )
            load.wait_for_answers(100)
    assert load.problems() == []


@REQUEST_LOST
@PROCESS_DIED
def test_a_busy_process_is_killed(site):
    """Its requests are lost, and each is told so; no other is touched."""
    site = site("processes=2 threads=2")
    names = ("a", "b", "c", "d")
    connections = {name: site.waiting(name) for name in names}
    owners = {name: site.wait_for_entry(name) for name in names}
    victim = Process.at(owners["a"])
    victim.signal(signal.SIGKILL)
    for name in names:
        if owners[name] != victim.pid:
            site.release(name)
    statuses = {name: connections[name].response()[0].status for name in names}
    assert statuses == {name: 502 if owners[name] == victim.pid else 200 for name in names}
    entered = {name: (site.shared / f"{name}.entered").read_text() for name in names}
    assert entered == {name: str(pid) for name, pid in owners.items()}, "a lost request ran again"
    assert site.get("/pid").status_code == 200


@PROCESS_DIED
@pytest.mark.allows("WSGI0119", r"WSGI11[2-4]\d")
@pytest.mark.differs("a reply that breaks off in mid-stream breaks the connection", run=False)
def test_a_busy_process_is_killed_after_the_head(site):
    """Then the connection breaks, and the client sees that the reply is not whole."""
    site = site("processes=1 threads=2")
    with site.server.raw() as connection:
        connection.request("GET /app/stream?name=never")
        head = connection.read_head()
        process = Process.at(int(connection.read_chunk()))
        process.signal(signal.SIGKILL)
        body = connection.read_body(head)
        assert (head.status, body.is_complete) == (200, False)
        assert connection.is_closed_by_server()
    assert site.get("/pid").status_code == 200


@pytest.mark.differs("a large body that is not read does not cut a large reply", run=False)
def test_a_large_unread_body_and_a_large_reply(site):
    """Of a client that reads while it sends; one that does not may fill all buffers, whatever the handler."""
    site = site("processes=1 threads=1 socket-timeout=10")
    with site.server.raw() as connection, ThreadPoolExecutor(1) as pool:
        headers = ("Content-Length: 8000000", "Connection: close")
        sending = pool.submit(
            connection.request, "POST /app/unread?size=5000000", *headers, body=b"b" * 8_000_000
        )
        head, body = connection.response()
        assert (head.status, body.is_complete) == (200, True)
        assert body.data == b"r" * 5_000_000
        sending.result()
    assert site.get("/pid").status_code == 200


def test_a_large_body_and_a_large_reply(site):
    site = site("processes=1 threads=1")
    assert site.server.post("/app/read", b"b" * 8_000_000).text == "8000000"
    assert len(site.get("/unread", size=20_000_000).content) == 20_000_000


def test_a_process_that_ends_while_it_is_not_asked(site):
    """Its successor serves, and the kept connections of the server's children are no obstacle."""
    site = site("processes=1 threads=1")
    for _ in range(5):
        process = site.process()
        process.signal(signal.SIGTERM)
        wait_until(lambda p=process: not p.is_alive, "the process to end")
        assert site.get("/pid").status_code == 200
