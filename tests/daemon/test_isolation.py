"""What a site that runs as its own user cannot reach: the server's memory, sockets, logs, other groups."""

from __future__ import annotations

import contextlib
import pwd
import re
import signal
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from harness.config import MAIN, Group, Lines, Mount
from harness.processes import Process
from harness.server import server_account
from harness.wait import wait_until

# Whether mod_ssl was built with the very OpenSSL that runs is the distribution's affair.
pytestmark = [pytest.mark.root, pytest.mark.allows("AH01882")]

TLS = Lines(
    """
    SSLSessionCache shmcb:${root}/run/tls(512000)
    Listen 127.0.0.1:${port2} https
    <VirtualHost 127.0.0.1:${port2}>
        SSLEngine On
        SSLCertificateFile "${root}/server.pem"
    </VirtualHost>
    """,
    nginx_http="""
    server {
        listen 127.0.0.1:${port2} ssl;
        ssl_certificate ${root}/server.pem;
        ssl_certificate_key ${root}/server.pem;
    }
    """,
)


@pytest.fixture(scope="module")
def key():
    """A certificate with an RSA key, as PEM, and the key's primes."""
    certificate = trustme.CA(key_type=trustme.KeyType.RSA).issue_cert(
        "localhost", key_type=trustme.KeyType.RSA
    )
    numbers = load_pem_private_key(certificate.private_key_pem.bytes(), None).private_numbers()
    return certificate.private_key_and_cert_chain_pem.bytes(), (numbers.p, numbers.q)


def holds(process: Process, primes) -> bool:
    """Whether a prime is in the writable memory of a process, in the order of either end."""
    wanted = [
        prime.to_bytes((prime.bit_length() + 7) // 8, order)
        for prime in primes
        for order in ("little", "big")
    ]
    return any(text in piece for piece in process.memory() for text in wanted)


@pytest.fixture
def secret(site, key):
    pem, primes = key
    made = site("user=games", [TLS], modules=["ssl", "socache_shmcb"], files={"server.pem": pem})
    return made, primes


def test_the_servers_own_processes_hold_its_key(secret):
    """Or the search of the other tests would be none."""
    site, primes = secret
    assert holds(Process.at(site.server.process.pid), primes)


@pytest.mark.differs("a daemon process does not hold the server's private key")
def test_a_process_of_a_site_does_not(secret):
    site, primes = secret
    process = site.process()
    assert process.user == pwd.getpwnam("games").pw_uid
    assert not holds(process, primes)


@pytest.mark.differs("a daemon process does not hold the server's private key", run=False)
def test_neither_does_the_supervisor(secret):
    site, primes = secret
    (supervisor,) = site.server.supervisors()
    assert not holds(supervisor, primes)


@pytest.mark.differs("a daemon process does not hold the server's private key")
def test_nor_after_a_graceful_restart(secret):
    site, primes = secret
    site.server.graceful()
    assert not holds(site.process(), primes)


TWO = [
    Group("other", "user=backup"),
    Mount("/other", "${root}/site/app.wsgi", "other", MAIN),
    Lines("WSGISocketPrefix run/wsgi", nginx_http="wsgi_socket_prefix run/wsgi;"),
]


@pytest.fixture
def two(site):
    """A site of user games, with another of user backup under the same server."""
    return site("user=games", TWO)


def sockets(site) -> list[Path]:
    return sorted((site.server.root / "run").glob("wsgi.*.sock"))


def test_it_cannot_connect_to_a_socket(two):
    """Neither another group's nor its own: only the server does."""
    assert len(sockets(two)) == 2
    for path in sockets(two):
        assert two.get("/connect", path=str(path)).json() == "PermissionError"


@pytest.mark.differs("who connects is asked for, whatever the socket's mode", run=False)
@pytest.mark.allows(r"WSGI10[2-4]\d|WSGI12\d\d|WSGI1\d\d\d")
def test_a_socket_whose_mode_was_opened_does_not_help(two):
    """The kernel says who connects."""
    for path in sockets(two):
        path.chmod(0o777)
        answer = two.get("/connect", path=str(path), read="1").json()
        assert answer in ("b''", "ConnectionResetError", "BrokenPipeError")
    assert two.get("/pid").status_code == 200
    assert two.server.get("/other/pid").status_code == 200


def test_it_cannot_write_to_the_servers_logs(two):
    for name in ("error.log", "access.log"):
        path = two.server.root / "logs" / name
        assert path.exists()
        assert two.get("/open", path=str(path)).json() == "PermissionError"


@pytest.mark.allows("written by the site")
@pytest.mark.differs("a process has no descriptor of the server's log", run=False)
def test_no_descriptor_of_it_is_a_file_of_the_server(two):
    targets = two.facts()["descriptors"].values()
    assert [target for target in targets if target.startswith(str(two.server.root))] == []
    for number, target in two.facts()["descriptors"].items():
        if target.startswith("pipe:"):
            assert two.get("/open", path=f"/proc/self/fd/{number}").json() in ("written", "PermissionError")
    two.server.settle()


@pytest.mark.differs("a process has no descriptor of the server", run=False)
def test_groups_share_no_descriptor(two):
    one, other = (two.process(), Process.at(int(two.server.get("/other/pid").text)))
    targets = [
        {target for target in process.descriptors().values() if re.match(r"(socket|pipe):|/memfd", target)}
        for process in (one, other)
    ]
    shared = {target for target in targets[0] & targets[1] if not target.startswith("/memfd")}
    # The lifeline and the drain pipe, from which both can only read.
    assert len(shared) <= 2
    for process in (one, other):
        numbers = [number for number, target in process.descriptors().items() if target in shared]
        assert all(process.can_only_read(number) for number in numbers)


def test_users_have_their_own_processes(two):
    users = {two.facts()["user"], two.server.get("/other/").json()["user"]}
    assert users == {"games", "backup"}
    assert server_account() not in users


MISCHIEF = """
import ctypes, os, random, re
from urllib.parse import parse_qsl

def application(environ, start_response):
    query = dict(parse_qsl(environ["QUERY_STRING"]))
    start_response("200 OK", [("Content-Length", "4")])
    if environ["PATH_INFO"] == "/board":
        for line in open("/proc/self/maps"):
            start, end, mode = re.match(r"([0-9a-f]+)-([0-9a-f]+) (....)", line).groups()
            if "memfd" in line and mode.startswith("rw"):
                start, size = int(start, 16), int(end, 16) - int(start, 16)
                noise = random.Random(1).randbytes(size)
                value = {"zero": bytes(size), "ones": bytes([255]) * size, "noise": noise}[query["with"]]
                ctypes.memmove(start, value, size)
    elif environ["PATH_INFO"] == "/descriptors":
        os.closerange(3, 200)
    elif environ["PATH_INFO"] == "/write":
        for name in os.listdir("/proc/self/fd"):
            if int(name) > 2 and "socket" in os.readlink("/proc/self/fd/" + name):
                os.set_blocking(int(name), False)
                try:
                    os.write(int(name), random.Random(2).randbytes(5000))
                except OSError:
                    pass
    return [b"done"]
"""


MISCHIEF_PARTS = [*TWO, Mount("/mischief", "${root}/mischief.wsgi")]


@pytest.fixture
def harmed(site):
    """A site that has done this to its own process, and the process of its neighbour."""

    def make(path):
        options = "user=games threads=2 shutdown-timeout=1"
        made = site(options, MISCHIEF_PARTS, files={"mischief.wsgi": MISCHIEF})
        other = int(made.server.get("/other/pid").text)
        made.pid()
        with made.server.raw() as connection:
            connection.request(f"GET /mischief/{path}", "Connection: close")
            connection.read_to_end()
        return made, other

    return make


@pytest.mark.differs("what a site does to its own process harms that site only", run=False)
@pytest.mark.allows(
    r"WSGI1[012]\d\d", r"WSGI01[0-9]\d", "WSGI0174", "OSError", "Error", "Traceback", "(?i)bad file"
)
@pytest.mark.parametrize(
    "path", ["board?with=zero", "board?with=ones", "board?with=noise", "descriptors", "write"]
)
class TestMischief:
    """A site overwrites the board that it shares with httpd, closes all descriptors or writes to them."""

    def test_the_server_and_the_other_sites_go_on(self, harmed, path):
        site, other = harmed(path)
        children = site.server.children()
        for _ in range(20):
            assert int(site.server.get("/other/pid").text) == other
        assert site.server.children() == children

    def test_the_site_is_well_again_with_new_processes(self, harmed, path):
        site, other = harmed(path)
        for process in site.server.processes():
            # One may end meanwhile.
            with contextlib.suppress(ProcessLookupError):
                if process.user == pwd.getpwnam("games").pw_uid:
                    process.signal(signal.SIGKILL)
        wait_until(lambda: site.get("/pid").status_code == 200, "the site to be well again", timeout=20)
        assert int(site.server.get("/other/pid").text) == other
