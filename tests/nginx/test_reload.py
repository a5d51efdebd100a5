"""The life of nginx with its groups: reload, failed reload, workers that die, binary upgrade, background."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess

import pytest

from harness.config import Lines
from harness.httpd import Mpm
from harness.load import Load
from harness.processes import Process, everyone
from harness.wait import wait_until


def test_ten_reloads_under_load(site):
    """No request is lost, none runs twice."""
    site = site("processes=2 threads=4", mpm=Mpm(processes=2))
    site.warm_up()
    load = Load(site.server, site.shared / "notes")
    with load:
        for _ in range(10):
            load.wait_for_answers(20)
            site.server.graceful()
        load.wait_for_answers(50)
    assert load.problems() == []
    notes = (site.shared / "notes").read_text().splitlines()
    assert len({line.split()[1] for line in notes}) >= 11
    wait_until(lambda: len(site.server.supervisors()) == 1, "the supervisors of past generations to end")


def test_long_requests_outlive_several_reloads(site):
    site = site("threads=4")
    held = [site.waiting("one")]
    site.server.graceful()
    held.append(site.waiting("two"))
    for _ in range(3):
        site.server.graceful()
    for name in ("two", "one"):
        site.release(name)
    assert [connection.response()[0].status for connection in held] == [200, 200]
    wait_until(lambda: len(site.server.supervisors()) == 1, "the supervisors of past generations to end")


@pytest.mark.provokes("unknown directive")
def test_a_mistake_in_the_new_configuration(site):
    """The old one stays, with its processes."""
    site = site()
    pid, before = site.pid(), {process.pid for process in site.server.processes()}
    site.configure([Lines(nginx="no_such_directive;")])
    with pytest.raises(AssertionError, match="was not taken"):
        site.server.graceful()
    assert site.pid() == pid
    assert {process.pid for process in site.server.processes()} == before


@pytest.mark.allows("emerg", r"WSGI\d{4}", "shop", "no/such")
def test_a_group_that_cannot_start(site):
    """Is found at the reload: the old configuration stays, and nothing of the new one is left."""
    site = site()
    pid, before = site.pid(), {process.pid for process in site.server.processes()}
    site.configure([Lines(nginx_http="wsgi_daemon_process shop home=/no/such/folder;")])
    with pytest.raises(AssertionError, match="was not taken"):
        site.server.graceful()
    assert site.pid() == pid
    wait_until(
        lambda: {process.pid for process in site.server.processes()} == before, "what was started to end"
    )
    site.configure([])
    site.server.graceful()
    assert site.pid() != pid


def test_the_groups_are_read_anew(site):
    site = site()
    site.configure([Lines(nginx_http="wsgi_daemon_process second processes=2;")])
    site.server.graceful()
    (supervisor,) = wait_until(
        lambda: len(site.server.supervisors()) == 1 and site.server.supervisors(), "one supervisor"
    )
    wait_until(lambda: len(supervisor.children()) == 3, "three processes")


def test_all_groups_go(site):
    site = site()
    site.pid()
    site.server.configure("location / { return 200 none; }")
    site.server.graceful()
    assert site.server.get("/").text == "none"
    wait_until(lambda: site.server.supervisors() == [], "the supervisor to end")
    wait_until(lambda: site.server.keepers() == [], "the keeper to end")


@pytest.mark.provokes("exited on signal 9")
def test_a_worker_of_nginx_that_dies(site):
    """The next one finds the groups as they are."""
    site = site("processes=2 threads=2")
    pids = {site.pid() for _ in range(10)}
    (worker,) = site.server.workers()
    worker.signal(signal.SIGKILL)
    wait_until(lambda: any(process != worker for process in site.server.workers()), "another worker of nginx")
    assert site.pid() in pids or site.get("/pid").status_code == 200
    supervisor = site.server.supervisors()
    assert len(supervisor) == 1


@pytest.mark.provokes("exited on signal 9")
def test_a_worker_that_dies_with_requests_under_way(site):
    """Its requests are given up by the processes that worked for them: their threads are free again."""
    site = site("threads=2")
    held = [site.waiting(name) for name in ("one", "two")]
    (worker,) = site.server.workers()
    worker.signal(signal.SIGKILL)
    assert [connection.read_to_end() for connection in held] == [b"", b""]
    for name in ("one", "two"):
        site.release(name)
    assert site.get("/pid").status_code == 200


def test_descriptors_of_the_master_do_not_pile_up(site):
    site = site("processes=2")
    master = Process.at(site.server.process.pid)
    site.server.graceful()
    wait_until(lambda: len(site.server.supervisors()) == 1, "one supervisor")
    before = len(master.descriptors())
    for _ in range(5):
        site.server.graceful()
    wait_until(lambda: len(site.server.supervisors()) == 1, "one supervisor")
    # Those of its channel to a worker go when it has seen its end.
    wait_until(lambda: len(master.descriptors()) <= before, "descriptors to be closed")


def test_reopening_logs(site):
    """USR1: nginx's affair; what processes log afterwards is in the new file too."""
    site = site()
    site.pid()
    log = site.server.root / "logs" / "error.log"
    log.rename(log.with_name("rotated.log"))
    site.server.process.send_signal(signal.SIGUSR1)
    wait_until(log.exists, "the new log")
    os.kill(site.pid(), signal.SIGTERM)
    site.server.error_log.wait_for("Shutdown requested for daemon process 'g'")


@pytest.fixture
def background(new_server):
    """nginx in the background, as distributions run it; stopped afterwards."""
    started = []

    def make(parts, **options):
        server = new_server(parts, **options)
        text = server.config_file.read_text().replace("daemon off;", "")
        server.config_file.write_text(text)
        subprocess.run(server.command(), check=True, timeout=60, cwd="/")
        started.append(server)
        wait_until(lambda: _pid_of(server), "nginx to have begun")
        return server

    yield make
    for server in started:
        for name in ("nginx.pid", "nginx.pid.oldbin"):
            # It goes with its master, and is renamed by another.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                os.kill(int((server.root / "run" / name).read_text()), signal.SIGTERM)
        wait_until(lambda folder=str(server.root): _below(folder) == [], "everything to end")


def _pid_of(server, name="nginx.pid") -> int:
    path = server.root / "run" / name
    text = path.read_text() if path.exists() else ""
    return int(text) if text.strip() else 0


def _below(folder: str) -> list[Process]:
    """Masters, keepers and supervisors of servers in a folder."""
    found = []
    for process in everyone():
        try:
            is_theirs = any(
                folder in target for target in process.descriptors().values()
            ) or folder in " ".join(process.command)
        except (ProcessLookupError, PermissionError, FileNotFoundError):
            continue
        if is_theirs:
            found.append(process)
    return found


PAGES = "location / { wsgi_pass ${apps}/nginx/pages.wsgi; }"


def test_in_the_background(background, letters):
    """Who started the supervisor is gone when the master serves."""
    server = background(PAGES)
    assert server.get("/text?size=100").content == letters(100)
    master = Process.at(_pid_of(server))
    os.kill(master.pid, signal.SIGHUP)
    server.error_log.wait_for("gracefully shutting down")
    assert server.get("/text?size=100").content == letters(100)


def test_the_master_in_the_background_is_killed(background):
    """Everything of ours ends; nginx's own workers live on, as they do."""
    server = background(PAGES)
    assert server.get("/text?size=3").text == "abc"
    ours = [
        process
        for process in _below(str(server.root))
        if process.is_supervisor or process.is_keeper or "python" in process.command[0]
    ]
    assert ours
    workers = Process.at(_pid_of(server)).children()
    os.kill(_pid_of(server), signal.SIGKILL)
    for worker in workers:
        if not worker.is_keeper:
            worker.signal(signal.SIGKILL)
    (server.root / "run" / "nginx.pid").unlink()
    wait_until(lambda: not any(process.is_alive for process in ours), "everything to end")


def test_a_binary_upgrade(background):
    """USR2 starts a second master with its own groups; the first goes when it is told to."""
    server = background(PAGES)
    old = _pid_of(server)
    assert server.get("/text?size=3").text == "abc"
    os.kill(old, signal.SIGUSR2)
    wait_until(
        lambda: _pid_of(server, "nginx.pid.oldbin") == old and _pid_of(server) not in (0, old),
        "a second master",
    )
    new = _pid_of(server)
    wait_until(lambda: len(Process.at(new).children()) >= 1, "the second master's workers")
    for _ in range(20):
        assert server.get("/text?size=3").text == "abc"
    os.kill(old, signal.SIGQUIT)
    wait_until(lambda: not _lives(old), "the first master to end")
    for _ in range(20):
        assert server.get("/text?size=3").text == "abc"

    def supervisors() -> list[Process]:
        return [process for process in _below(str(server.root)) if process.is_supervisor]

    wait_until(lambda: len(supervisors()) == 1, "the first master's supervisor to end")


def test_a_binary_upgrade_that_is_taken_back(background):
    server = background(PAGES)
    old = _pid_of(server)
    os.kill(old, signal.SIGUSR2)
    wait_until(lambda: _pid_of(server) not in (0, old), "a second master")
    new = _pid_of(server)
    # A signal that comes before it waits for any is only noticed with the next.
    server.error_log.wait_for("start worker process ", count=2)
    os.kill(new, signal.SIGTERM)
    wait_until(lambda: not _lives(new), "the second master to end")
    wait_until(lambda: _pid_of(server) == old, "the first master to have its file again")
    for _ in range(20):
        assert server.get("/text?size=3").text == "abc"


def _lives(pid: int) -> bool:
    try:
        return Process.at(pid).is_alive
    except ProcessLookupError:
        return False


def test_a_log_for_debugging(start):
    """nginx names the connection of each event there."""
    server = start(
        "location / { wsgi_pass ${apps}/nginx/pages.wsgi; }",
        main="error_log ${root}/debug.log debug;",
    )
    assert server.get("/sleep?seconds=1.5").text == "slept"
    assert server.get("/text?size=3").text == "abc"
    log = (server.root / "debug.log").read_text(errors="replace")
    assert "[debug]" not in log or "event timer add: -1: " in log


def test_an_application_that_does_not_come_to_an_end(start):
    """A worker does not wait longer than it may, either for one whose client has all of its reply."""
    server = start(
        "location / { wsgi_pass ${apps}/nginx/pages.wsgi; }",
        main="worker_shutdown_timeout 1s;",
        http="wsgi_daemon_process g threads=2 shutdown_timeout=20; wsgi_process_group g;",
    )
    assert server.get("/closing?seconds=8").text == "closing"
    old = server.workers()
    server.graceful()
    wait_until(lambda: not any(worker.is_alive for worker in old), "the old worker to end", timeout=5.5)
