"""File wrappers: the file itself goes to httpd, and what a site does to it harms that reply only."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest

from harness.config import MAIN, Group, Lines, Mount, Use, Variable
from harness.wait import wait_until

SIZE = 30_000_000
SENDFILE = Lines("WSGIEnableSendfile On\nEnableSendfile On", nginx="sendfile on;")

APP = """
import os, pathlib, socket, sys
from urllib.parse import parse_qsl

def application(environ, start_response):
    query = dict(parse_qsl(environ["QUERY_STRING"]))
    path = pathlib.Path(environ["FOLDER"], query.get("file", "data"))
    headers = [("Content-Type", "application/octet-stream")]
    if "length" in query:
        headers.append(("Content-Length", query["length"]))
    kind = environ["PATH_INFO"]
    if kind == "/truncate":
        os.truncate(path, int(query["to"]))
        start_response("200 OK", [])
        return [b"truncated"]
    start_response("200 OK", headers)
    if kind == "/file":
        file = path.open("rb")
        file.seek(int(query.get("offset", 0)))
    elif kind == "/pipe":
        reader, writer = os.pipe()
        os.write(writer, b"through a pipe")
        os.close(writer)
        file = os.fdopen(reader, "rb")
    elif kind == "/socket":
        ours, theirs = socket.socketpair()
        theirs.sendall(b"through a socket")
        theirs.close()
        file = ours.makefile("rb")
    elif kind == "/writable":
        file = path.open("r+b")
    elif kind == "/text":
        file = path.open("r")
    elif kind == "/deleted":
        gone = path.with_name("gone")
        gone.write_bytes(b"no longer there")
        file = gone.open("rb")
        gone.unlink()
    elif kind == "/empty":
        file = open("/dev/null", "rb")
    return environ["wsgi.file_wrapper"](file, 65536)
"""


@pytest.fixture(scope="module")
def content():
    return random.Random(8).randbytes(SIZE)


@pytest.fixture
def server(start, content):
    server = start(
        [
            Group("g", "threads=4"),
            Use("g"),
            Variable("FOLDER", "${root}/shared"),
            Mount("/app", "${root}/app.wsgi", application_group=MAIN, inside=Lines(nginx="sendfile off;")),
            Mount("/sendfile", "${root}/app.wsgi", application_group=MAIN, inside=SENDFILE),
        ],
        files={"app.wsgi": APP},
        folders=("shared",),
    )
    data = server.root / "shared" / "data"
    data.write_bytes(content)
    data.chmod(0o666)
    return server


def digest(data):
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("mount", ["app", "sendfile"])
def test_a_file(server, content, mount):
    response = server.get(f"/{mount}/file")
    assert response.headers["Content-Length"] == str(SIZE)
    assert digest(response.content) == digest(content)


@pytest.mark.parametrize(("offset", "length"), [(0, 10), (1000, 5_000_000), (SIZE - 1, 1), (SIZE - 100, 100)])
def test_a_part_of_a_file(server, content, offset, length):
    response = server.get(f"/app/file?offset={offset}&length={length}")
    assert response.content == content[offset : offset + length]


def test_an_offset_without_a_length(server, content):
    assert server.get(f"/app/file?offset={SIZE - 5}").content == content[-5:]


def test_a_file_that_is_empty(server):
    (server.root / "shared" / "nothing").touch()
    response = server.get("/app/file?file=nothing")
    assert (response.status_code, response.content) == (200, b"")


@pytest.mark.differs("a file of a daemon reaches the client from httpd", run=False)
def test_its_bytes_do_not_pass_through_the_process(server, content):
    """What is read by the process, as the kernel counts it, is not the file."""
    pid = next(process.pid for process in server.processes() if process.command[0].find("python") >= 0)

    def read():
        lines = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
        return int(lines["rchar"])

    server.get("/app/file?length=10")
    before = read()
    assert digest(server.get("/app/file").content) == digest(content)
    assert read() - before < SIZE / 100


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("pipe", b"through a pipe"),
        ("socket", b"through a socket"),
        ("writable", None),
        ("deleted", b"no longer there"),
        ("empty", b""),
    ],
)
def test_other_things_behind_a_wrapper(server, content, kind, expected):
    response = server.get(f"/app/{kind}")
    assert response.status_code == 200
    assert digest(response.content) == digest(content if expected is None else expected)


@pytest.mark.allows("Content-Length|Content length|shorter|fewer", r"WSGI1[01]\d\d", "WSGI0174", "OSError")
@pytest.mark.differs("a length beyond the file's end breaks the reply", run=False)
def test_a_length_beyond_the_end(server):
    with server.raw() as connection:
        connection.request(f"GET /app/file?length={SIZE + 1000}")
        head, body = connection.response()
        assert head.status == 500 or not body.is_complete
    assert server.get("/app/file?length=10").status_code == 200


@pytest.mark.allows(
    r"WSGI1[01]\d\d",
    "WSGI0174",
    "AH0",
    "(?i)truncat|short|end of file|error reading|bucket",
)
@pytest.mark.allows(r"pread\(\) read only|sendfile", on="nginx")
@pytest.mark.differs("a file that is truncated during the reply breaks that reply only", run=False)
@pytest.mark.parametrize("mount", ["app", "sendfile"])
def test_a_file_that_is_truncated_during_the_reply(server, mount):
    """A memory-mapped file would end the server's child with SIGBUS."""
    children = server.children()
    with server.raw() as connection:
        connection.request(f"GET /{mount}/file")
        head = connection.read_head()
        assert head.get("Content-Length") == str(SIZE)
        assert server.get("/app/truncate?to=100000").text == "truncated"
        body = connection.read_body(head)
        assert not body.is_complete
    assert server.children() == children
    assert server.get("/app/file?length=10").status_code == 200


def test_many_files_leave_no_descriptor_open(server):
    server.get("/app/file?length=10")
    for _ in range(60):
        assert len(server.get("/app/file?length=1000").content) == 1000
    server.settle()

    def kept() -> list[str]:
        return [
            target
            for process in server.processes()
            for target in process.descriptors().values()
            if target.endswith("/shared/data")
        ]

    # The server closes that of a reply after its client has all of it.
    wait_until(lambda: len(kept()) <= 1, "files to be closed")


@pytest.mark.allows("WSGI1202", "WSGI0119", r"WSGI014[67]|WSGI11[2-4]\d")
@pytest.mark.differs("a file is on its way when its process ends", run=False)
def test_a_process_that_ends_during_a_reply_of_a_file(server, content):
    """httpd has the file: either the reply is whole, or the client sees that it is not."""
    with server.raw() as connection:
        connection.request("GET /app/file")
        head = connection.read_head()
        for process in server.processes():
            if "python" in process.command[0]:
                process.signal(9)
        body = connection.read_body(head)
        assert not body.is_complete or body.data == content
