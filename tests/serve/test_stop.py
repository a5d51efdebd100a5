"""Nothing of a run outlives it."""

import os
import signal
import socket
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.every_placement

SLEEPY = """\
import subprocess
import time


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"begun"
    if environ["PATH_INFO"] == "/spawn":
        subprocess.Popen(["sleep", "987"])
    if environ["PATH_INFO"] == "/sleep":
        time.sleep(120)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_stop_everything(serve, number):
    run = serve("hello.wsgi")
    assert run.processes()
    assert run.stop(number) == 0
    assert run.output.endswith("Stopped.\n")
    assert not run.processes()
    assert not run.directories()


def begin(run, path):
    """A request that the application is working on."""
    client = socket.create_connection(run.address)
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    data = b""
    while b"begun" not in data:
        data += client.recv(4096)
    return client


def test_a_request_that_sleeps_does_not_keep_it(serve, write):
    write("web.wsgi", SLEEPY)
    run = serve("web.wsgi")
    with begin(run, "/sleep"):
        start = time.monotonic()
        assert run.stop() == 0
        assert time.monotonic() - start < 15
    assert not run.processes()


def test_the_second_signal_stops_at_once(serve, write):
    write("web.wsgi", SLEEPY)
    run = serve("web.wsgi")
    with begin(run, "/sleep"):
        run.process.send_signal(signal.SIGINT)
        run.until(lambda: "Ctrl-C again" in run.output, "the explanation of the wait")
        assert run.process.poll() is None
        start = time.monotonic()
        assert run.stop() == 0
        # Alone it would come four seconds after it was explained.
        assert time.monotonic() - start < 3
    assert not run.processes()


def listening(run):
    try:
        socket.create_connection(run.address, timeout=1).close()
    except OSError:
        return False
    return True


def test_processes_of_the_application_end_too(serve, write):
    write("web.wsgi", SLEEPY)
    run = serve("web.wsgi")
    before = sleepers()
    run.ask("/spawn")
    run.until(lambda: sleepers() - before, "the application's process")
    run.stop()
    run.until(lambda: not sleepers() - before, "the end of the application's process")


def sleepers():
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cmdline").read_bytes() == b"sleep\x00987\x00":
                found.add(entry.name)
        except OSError:
            pass
    return found


def test_killed_command_leaves_no_server(serve):
    run = serve("hello.wsgi")
    assert run.processes()
    run.stop(signal.SIGKILL)
    run.until(lambda: not run.processes(), "the end of the server")
    assert not listening(run)


def test_killed_command_leaves_no_sleeping_request(serve, write):
    write("web.wsgi", SLEEPY)
    run = serve("web.wsgi")
    with begin(run, "/sleep"):
        run.stop(signal.SIGKILL)
        run.until(lambda: not run.processes(), "the end of the server")


def test_the_next_run_removes_what_a_killed_one_left(serve):
    killed = serve("hello.wsgi")
    killed.stop(signal.SIGKILL)
    killed.until(lambda: not killed.processes(), "the end of the server")
    left = killed.directories()
    assert len(left) == 1
    other = serve("hello.wsgi", environment={"TMPDIR": str(killed.temporary)})
    assert left[0] not in killed.directories()
    assert other.ask("/").status == 200
    assert len(killed.directories()) == 1
    other.stop()


def test_a_killed_server_is_reported(serve, server_name):
    run = serve("hello.wsgi")
    parent = run.server()[0]
    os.kill(parent, signal.SIGKILL)
    assert run.ended() == 1
    assert f"{server_name} ended by itself (signal: 9" in run.errors
    assert not run.processes()
    assert not run.directories()


def test_stop_while_it_starts(launch, write):
    write("web.wsgi", "import time\ntime.sleep(60)\n")
    run = launch("web.wsgi")
    run.until(run.server, "the server's start")
    assert run.stop() == 0
    assert "serves" not in run.output
