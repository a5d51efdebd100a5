"""The processes of daemon groups under nginx: who starts them, who replaces whom, and how they end.

No request is served here: what becomes of requests meanwhile is tested in tests/daemon.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.config import Group, Lines
from harness.marks import START_FAILED
from harness.processes import Process, everyone
from harness.server import ServerStartError
from harness.wait import wait_until

GROUPS = [Group("one", "processes=2"), Group("two")]


def workers(supervisor: Process, count: int) -> list[Process]:
    """The supervisor's processes, once there are so many."""
    return wait_until(
        lambda: len(supervisor.children()) == count and supervisor.children(), f"{count} processes"
    )


def _messages(log: socket.socket) -> Iterator[str]:
    while True:
        yield log.recv(4096).decode()


def sockets(server) -> list[Path]:
    return sorted((server.root / "run").glob("*.sock"))


@pytest.fixture
def running(start):
    """A server with its keeper, supervisor and the three processes of its groups."""
    server = start(GROUPS)
    (keeper,), (supervisor,) = server.keepers(), server.supervisors()
    return server, keeper, supervisor, workers(supervisor, 3)


def test_a_keeper_starts_the_supervisor(running):
    server, keeper, supervisor, _workers = running
    assert supervisor.parent == keeper.pid
    # The master is told of each child that ends, and would call this one unknown.
    assert keeper.parent != server.process.pid
    assert keeper.session == keeper.pid
    assert server.error_log.find("unknown process") == []


@pytest.mark.root
def test_who_runs_what(running):
    server, keeper, supervisor, processes = running
    account = pwd.getpwnam("www-data").pw_uid
    assert (keeper.user, supervisor.user) == (0, 0)
    assert {process.user for process in processes} == {account}
    assert len(sockets(server)) == 2
    for path in sockets(server):
        assert (path.stat().st_mode & 0o777, path.stat().st_uid) == (0o600, account)


def test_processes_write_in_the_format_of_the_log(running):
    server, *_ = running
    entries = server.error_log.wait_for("Starting daemon process 'one' with uid=", count=2)
    assert len(entries) == 2
    assert {entry.level for entry in entries} == {"info"}
    assert all(entry.pid for entry in entries)


class TestConfigurationTest:
    def test_it_starts_nothing(self, new_server):
        server = new_server(GROUPS)
        outcome = server.configtest()
        assert outcome.returncode == 0, outcome.stderr
        mine = f"{server.root}/logs"
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            for process in everyone():
                assert not (process.is_keeper and process.descriptors().get(1, "").startswith(mine))
        assert sockets(server) == []
        assert server.error_log.find("Starting daemon process") == []

    def test_it_starts_nothing_beside_a_server_that_runs(self, running):
        server, *_ = running
        before = {process.pid for process in server.processes()}
        assert server.configtest().returncode == 0
        assert {process.pid for process in server.processes()} == before

    @pytest.mark.parametrize(
        ("config", "options", "words"),
        [
            (
                [Group("good"), Group("shop", "python-home=/no/such/home")],
                {},
                ["wsgi_daemon_process shop: python_home=/no/such/home: there is no such folder"],
            ),
            (
                [Group("shop")],
                {"python_home": "/no/such/home"},
                ["wsgi_daemon_process shop: wsgi_python_home /no/such/home: there is no such folder"],
            ),
            (
                [Lines(nginx="location / { wsgi_pass ${apps}/environ.wsgi; }")],
                {"python_home": "/etc/passwd"},
                ['"default", of "wsgi_pass" without a group: wsgi_python_home /etc/passwd: this is not'],
            ),
            (
                [Group("a", "python-home=/no/a"), Group("b", "python-home=/no/b")],
                {},
                ["wsgi_daemon_process a: python_home=/no/a", "wsgi_daemon_process b: python_home=/no/b"],
            ),
            (
                [Lines(nginx_http=f"wsgi_socket_prefix /{'x' * 100};"), Group("shop")],
                {},
                ["wsgi_socket_prefix /xx", "shorter than 108 bytes"],
            ),
        ],
    )
    @START_FAILED
    def test_it_finds_what_would_fail(self, new_server, config, options, words):
        server = new_server(config, **options)
        outcome = server.configtest()
        assert outcome.returncode == 1
        for word in words:
            assert word in outcome.stderr
        assert "[emerg]" in outcome.stderr
        with pytest.raises(ServerStartError):
            server.start()

    @START_FAILED
    @pytest.mark.root
    def test_a_home_is_tried_as_who_will_run_it(self, new_server, lane):
        server = new_server([Group("shop", "python-home=${root}/home")], folders=["home/bin"])
        python = server.root / "home" / "bin" / "python3"
        python.symlink_to(lane.readable_python.executable.resolve())
        python.parent.chmod(0o700)
        outcome = server.configtest()
        assert outcome.returncode == 1
        assert "user www-data may not run" in outcome.stderr
        assert "wsgi_daemon_process shop: python_home=" in outcome.stderr


class TestStartThatFails:
    @START_FAILED
    def test_it_tells_why_and_leaves_nothing(self, new_server):
        server = new_server([Group("good", "processes=2"), Group("shop", 'home="/no/such/folder"')])
        assert server.configtest().returncode == 0
        with pytest.raises(ServerStartError, match="wsgi_daemon_process shop cannot start") as raised:
            server.start()
        assert "/no/such/folder" in str(raised.value)
        wait_until(lambda: server.processes() == [], "every process to end")
        assert sockets(server) == []

    @pytest.mark.allows("bind|still could not")
    def test_groups_end_when_something_else_fails(self, new_server):
        """nginx listens when the groups have started."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = "{}:{}".format(*taken.getsockname())
            server = new_server([Group("g"), Lines(nginx_http=f"server {{ listen {address}; }}")])
            with pytest.raises(ServerStartError, match="still could not bind"):
                server.start()
        assert server.error_log.find("Starting daemon process 'g'")
        wait_until(lambda: server.processes() == [], "every process to end")
        assert sockets(server) == []


class TestReload:
    def test_a_new_generation_takes_the_place_of_the_old(self, running):
        server, keeper, supervisor, processes = running
        server.graceful()
        wait_until(lambda: not keeper.is_alive, "the old keeper to end")
        assert not supervisor.is_alive
        assert not any(process.is_alive for process in processes)
        (new_keeper,), (new_supervisor,) = server.keepers(), server.supervisors()
        assert new_supervisor.parent == new_keeper.pid
        assert len(workers(new_supervisor, 3)) == 3
        assert len(sockets(server)) == 2
        assert server.error_log.find("unknown process|WSGI1153") == []

    def test_the_old_one_stays_as_long_as_its_workers(self, running):
        server, keeper, supervisor, processes = running
        with server.raw() as client:
            # A request under way, though to nobody's application.
            client.send(b"GET / HTTP/1.1\r\n")
            wait_until(lambda: "Reading: 1 " in server._status(), "nginx to read the request")
            server.graceful()
            wait_until(lambda: len(server.supervisors()) == 2, "the new generation")
            time.sleep(0.5)
            assert keeper.is_alive
            assert supervisor.is_alive
            assert all(process.is_alive for process in processes)
        wait_until(lambda: not keeper.is_alive, "the old keeper to end")
        assert not any(process.is_alive for process in processes)
        assert len(server.supervisors()) == 1

    @pytest.mark.provokes("WSGI1150")
    def test_one_that_fails_changes_nothing(self, running):
        self._fails(running, [Group("one", "python-home=/no/such/home")], "there is no such folder")

    @START_FAILED
    def test_one_whose_groups_do_not_start_changes_nothing(self, running):
        self._fails(running, [Group("one", "home=/no/such/folder"), Group("three")], "cannot start")

    @pytest.mark.allows("bind|still could not")
    def test_one_that_fails_later_changes_nothing(self, running):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = "{}:{}".format(*taken.getsockname())
            lines = Lines(nginx_http=f"server {{ listen {address}; }}")
            self._fails(running, [Group("three"), lines], "still could not bind")

    def _fails(self, running, config, words):
        server, keeper, supervisor, processes = running
        own = server.own_processes()
        since = server.error_log.position()
        server.configure(config)
        server.process.send_signal(signal.SIGHUP)
        server.error_log.wait_for(words, since, timeout=30)
        wait_until(
            lambda: (server.keepers(), server.supervisors()) == ([keeper], [supervisor]),
            "what was started in vain to end",
        )
        assert all(process.is_alive for process in [*own, *processes])
        assert len(sockets(server)) == 2

    def test_what_the_master_does_not_pass_on(self, running):
        """It blocks signals, ignores some, and has no mask for files."""
        server, *_ = running
        server.graceful()
        wait_until(lambda: len(server.keepers()) == len(server.supervisors()) == 1, "one generation")
        (supervisor,) = server.supervisors()
        for process in [*server.keepers(), supervisor, *workers(supervisor, 3)]:
            assert int(process.status("Umask"), 8) == 0o022
            assert int(process.status("SigBlk"), 16) == 0
            # Python itself ignores two; 32 and 33 are the C library's, which lets nobody set them.
            ignored = {
                number
                for number in set(range(1, 65)) - {32, 33}
                if int(process.status("SigIgn"), 16) >> (number - 1) & 1
            }
            assert ignored <= {signal.SIGPIPE, signal.SIGXFSZ}, process.command

    def test_nothing_piles_up(self, running):
        server, *_ = running
        master = Process.at(server.process.pid)
        server.graceful()
        wait_until(lambda: len(server.supervisors()) == 1, "one supervisor")
        descriptors, processes = len(master.descriptors()), len(server.processes())
        for _ in range(4):
            server.graceful()
            wait_until(lambda: len(server.supervisors()) == 1, "one supervisor")
        # Those of its channel to a worker go when it has seen its end.
        wait_until(lambda: len(master.descriptors()) <= descriptors, "descriptors to be closed")
        wait_until(lambda: len(server.processes()) <= processes, "the processes of past generations to end")
        assert len(sockets(server)) == 2

    def test_groups_can_come_and_go(self, start):
        server = start([])
        assert server.keepers() == []
        server.configure(GROUPS)
        server.graceful()
        wait_until(lambda: len(server.supervisors()) == 1, "a supervisor")
        server.configure([])
        server.graceful()
        wait_until(lambda: server.keepers() + server.supervisors() == [], "no supervisor")
        assert sockets(server) == []


class TestEnd:
    @pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGQUIT])
    def test_the_master_ends_after_its_groups(self, running, how):
        server, keeper, supervisor, processes = running
        server.process.send_signal(how)
        server.process.wait(30)
        assert not any(process.is_alive for process in [supervisor, *processes])
        wait_until(lambda: not keeper.is_alive, "the keeper to end")
        assert sockets(server) == []
        assert server.error_log.find("WSGI1153|WSGI1205") == []

    def test_the_master_is_killed(self, running):
        server, *others = running
        keeper, supervisor, processes = others
        own = server.own_processes()
        server.process.kill()
        server.process.wait(10)
        wait_until(
            lambda: not any(process.is_alive for process in [keeper, supervisor, *processes]),
            "the groups to end",
        )
        assert sockets(server) == []
        for process in own:
            process.signal(signal.SIGKILL)  # nginx's workers live on: that is nginx's affair

    def test_master_keeper_and_supervisor_are_killed(self, running):
        """The groups' processes learn of the server's end themselves."""
        server, keeper, supervisor, processes = running
        own = server.own_processes()
        for process in (keeper, supervisor):
            process.signal(signal.SIGKILL)
        server.process.kill()
        server.process.wait(10)
        wait_until(lambda: not any(process.is_alive for process in processes), "the groups to end")
        for process in own:
            process.signal(signal.SIGKILL)


class TestReplacement:
    @pytest.mark.provokes("WSGI1153")
    def test_a_killed_supervisor(self, running):
        server, keeper, supervisor, processes = running
        supervisor.signal(signal.SIGKILL)
        (entry,) = server.error_log.wait_for("WSGI1153")
        assert (entry.level, entry.pid) == ("error", keeper.pid)
        assert f"(pid={supervisor.pid})" in entry.text
        assert "signal 9 (SIGKILL)" in entry.text
        wait_until(lambda: server.supervisors() not in ([], [supervisor]), "another supervisor")
        (later,) = server.supervisors()
        assert later.parent == keeper.pid
        workers(later, 3)
        wait_until(lambda: not any(process.is_alive for process in processes), "the orphans to end")

    @pytest.mark.provokes("WSGI1153")
    def test_a_reload_after_it(self, running):
        server, keeper, supervisor, _processes = running
        supervisor.signal(signal.SIGKILL)
        wait_until(lambda: server.supervisors() not in ([], [supervisor]), "another supervisor")
        server.graceful()
        wait_until(lambda: not keeper.is_alive, "the old keeper to end")
        assert len(server.supervisors()) == 1

    @pytest.mark.provokes("WSGI1202")
    def test_a_killed_keeper(self, running):
        """Nobody replaces it before the next reload. Its supervisor goes on, and ends when it should."""
        server, keeper, supervisor, processes = running
        keeper.signal(signal.SIGKILL)
        wait_until(lambda: not keeper.is_alive, "the keeper to end")
        processes[0].signal(signal.SIGKILL)
        server.error_log.wait_for(rf"Process '(one|two)' \(pid={processes[0].pid}\) has died")
        wait_until(
            lambda: processes[0].pid not in [one.pid for one in workers(supervisor, 3)], "another process"
        )
        server.graceful()
        wait_until(lambda: not supervisor.is_alive, "the old supervisor to end")
        assert len(server.keepers()) == 1
        assert len(sockets(server)) == 2

    @pytest.mark.allows("exited on signal")
    def test_a_killed_worker_of_nginx(self, running):
        server, keeper, supervisor, processes = running
        (worker,) = server.workers()
        worker.signal(signal.SIGKILL)
        wait_until(lambda: server.workers() not in ([], [worker]), "another worker")
        time.sleep(0.3)
        assert all(process.is_alive for process in [keeper, supervisor, *processes])
        # The one in its place has what it needs to keep them, and nothing that would keep nginx.
        server.process.kill()
        server.process.wait(10)
        wait_until(lambda: not any(process.is_alive for process in processes), "the groups to end")
        for process in server.own_processes():
            process.signal(signal.SIGKILL)


class TestLogs:
    def test_a_rotated_log(self, running):
        server, *_ = running
        old = server.error_log.path.rename(server.root / "logs" / "rotated")
        server.process.send_signal(signal.SIGUSR1)
        wait_until(server.error_log.path.exists, "a new log")
        _server, _keeper, supervisor, _processes = running
        time.sleep(0.6)
        supervisor.children()[0].signal(signal.SIGTERM)
        server.error_log.wait_for("Starting daemon process")
        assert "has died" not in old.read_text()

    def test_a_server_of_the_systems_log(self, start, servers):
        path = servers.folder / f"log-{time.monotonic_ns()}"
        address = f"server=unix:{path},tag=tested,facility=user,nohostname"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
            log.bind(str(path))
            path.chmod(0o777)
            log.settimeout(20)
            # Read meanwhile: what finds no room in the socket is lost.
            with ThreadPoolExecutor(1) as pool:
                texts = (text for text in _messages(log) if "Starting daemon process 'two'" in text)
                found = pool.submit(next, texts)
                server = start(GROUPS, main=f"error_log syslog:{address} info;")
                message = found.result()
            server.stop()
        assert message.startswith("<14>")
        head, _, rest = message.partition(" tested: ")
        assert len(head) == len("<14>Nov 21 15:00:00")
        assert " [info] " in rest

    def test_only_what_the_level_takes(self, start):
        server = start(GROUPS, main="error_log ${root}/logs/warnings.log warn;")
        assert server.log("warnings").find("Starting daemon process") == []
        assert len(server.error_log.wait_for("Starting daemon process", count=3)) == 3


class TestOneProcess:
    """`master_process off`, which is for development."""

    def test_start_and_end(self, start):
        server = start(GROUPS, main="master_process off;")
        (keeper,), (supervisor,) = server.keepers(), server.supervisors()
        processes = workers(supervisor, 3)
        assert server.workers() == []
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(30)
        assert not any(process.is_alive for process in [supervisor, *processes])
        wait_until(lambda: not keeper.is_alive, "the keeper to end")

    def test_a_reload_has_a_generation_of_its_own(self, start):
        server = start(GROUPS, main="master_process off;")
        (old,) = server.supervisors()
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(server.supervisors()) == 2, "another supervisor")
        # A signal that comes before nginx is done with its configuration waits for something else to happen.
        server.error_log.wait_for("using the .* event method", count=2)
        # nginx looks every 30 seconds whether an old configuration is still in use.
        assert old.is_alive


class TestDaemon:
    """In the background, where the master is another process than the one that has started the groups."""

    @pytest.fixture
    def daemon(self, new_server):
        server = new_server(GROUPS)
        server.config_file.write_text(server.config_file.read_text().replace("daemon off;", "daemon on;"))
        began = time.monotonic()
        # Whoever waits for the end of its output does not wait for the groups.
        outcome = subprocess.run(
            server.command(), env=server._env, cwd="/", capture_output=True, text=True, timeout=30
        )
        assert outcome.returncode == 0, outcome.stderr
        assert time.monotonic() - began < 20
        yield server
        for name in ("nginx.pid", "nginx.pid.oldbin"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                os.kill(int((server.root / "run" / name).read_text()), signal.SIGTERM)
        wait_until(lambda: not self._everyone(server), "everything to end", timeout=20)

    def _everyone(self, server) -> list[Process]:
        """Keepers and supervisors of the server."""
        found = []
        for process in everyone():
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                if server._has_started(process):
                    found.append(process)
        return found

    def _master(self, server, name="nginx.pid") -> Process:
        def found() -> Process | None:
            # Renamed when another program takes over, and written anew.
            with contextlib.suppress(FileNotFoundError, ValueError, ProcessLookupError):
                return Process.at(int((server.root / "run" / name).read_text()))
            return None

        return wait_until(found, name)

    def test_the_groups_survive_it_and_end_with_the_master(self, daemon):
        wait_until(lambda: len(self._everyone(daemon)) == 2, "keeper and supervisor")
        master = self._master(daemon)
        (supervisor,) = [process for process in self._everyone(daemon) if process.is_supervisor]
        processes = workers(supervisor, 3)
        own = [master, *master.descendants()]
        master.signal(signal.SIGKILL)
        wait_until(lambda: not any(process.is_alive for process in processes), "the groups to end")
        wait_until(lambda: self._everyone(daemon) == [], "keeper and supervisor to end")
        for process in own:
            process.signal(signal.SIGKILL)
        assert sockets(daemon) == []

    def test_another_program_takes_over(self, daemon):
        """SIGUSR2: two masters, each with its own groups, until one of them ends."""
        old = self._master(daemon)
        # A signal that comes before it waits for any is only noticed with the next.
        daemon.error_log.wait_for("start worker process ")
        old.signal(signal.SIGUSR2)
        wait_until(lambda: self._master(daemon).pid != old.pid, "another master", timeout=30)
        wait_until(lambda: len(self._everyone(daemon)) == 4, "two keepers and supervisors", timeout=30)
        new = self._master(daemon)
        daemon.error_log.wait_for("start worker process ", count=2)
        assert self._master(daemon, "nginx.pid.oldbin") == old
        old.signal(signal.SIGQUIT)
        wait_until(lambda: not old.is_alive, "the old master to end")
        wait_until(lambda: len(self._everyone(daemon)) == 2, "the old groups to end")
        assert new.is_alive
        assert len(sockets(daemon)) == 2
