"""The mixture again, fewer, in a single process under valgrind's memcheck."""

from __future__ import annotations

import shutil
from xml.etree import ElementTree

import pytest
from soak.clients import run_clients

from harness.contract import contract_config
from harness.httpd import Mpm
from harness.lane import MissingComponentError

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(1800),
    pytest.mark.server("httpd"),
    pytest.mark.allows("WSGI0174", r"OSError: .*request data read error", "AH00161"),
]

REQUESTS = 10_000
# Optimised code compares bits it then masks, CPython's own included, which memcheck takes for uses of unset
# values. What is left is what ends processes: accesses out of bounds or after the end, and bad frees.
OPTIONS = ["--undef-value-errors=no", "--leak-check=no", "--num-callers=25"]


def place(frame: ElementTree.Element) -> str:
    """Source file and line of a frame where known, else the shared object."""
    if frame.find("line") is None:
        return f"({frame.findtext('obj', '?')})"
    return f"({frame.findtext('file')}:{frame.findtext('line')})"


def described(error: ElementTree.Element) -> str:
    """An error as valgrind tells it, with the functions of its first stack."""
    what = error.findtext("what") or error.findtext("xwhat/text") or error.findtext("kind") or ""
    frames = error.find("stack").findall("frame")
    where = [f"{frame.findtext('fn', '?')} {place(frame)}" for frame in frames]
    return "\n    ".join([what, *where])


def test_no_invalid_access(new_server, servers):
    if shutil.which("valgrind") is None:
        raise MissingComponentError("valgrind is missing: apt-get install valgrind")
    # Every allocation of Python by malloc, so that memcheck sees its bounds.
    server = new_server(
        contract_config(servers.folder / "apps"),
        mpm=Mpm("prefork", processes=1),
        env={"PYTHONMALLOC": "malloc"},
    )
    report = server.root / "logs" / "memcheck.xml"
    command = ["valgrind", *OPTIONS, "--xml=yes", f"--xml-file={report}"]
    with servers.serving(server, "-X", prefix=command, timeout=180):
        run_clients(server.port, REQUESTS, 1, seed=3)
    memcheck = ElementTree.parse(report).getroot()
    assert memcheck.findall("status")[-1].findtext("state") == "FINISHED"
    found = memcheck.findall("error")
    errors = [error for error in found if not error.findtext("kind").startswith("Leak_")]
    assert not errors, "\n".join(map(described, errors))
