"""What belongs to a request raises when it is used after its end; it never reaches another request."""

from __future__ import annotations

import pytest

REFUSED = (
    "read",
    "read 1",
    "readline",
    "readlines",
    "iteration",
    "start_response",
    "write",
    "errors.write",
    "errors.writelines",
)


def assert_all_refused(raised):
    for name in REFUSED:
        assert raised[name], f"{name} did not raise"
        assert raised[name].startswith("RuntimeError"), (name, raised[name])


def test_use_by_a_later_request(gateway):
    assert gateway.get("/late/keep").text == "kept"
    gateway.settle()
    assert_all_refused(gateway.get("/late/use").json())


def test_use_by_a_thread_that_outlives_the_request(gateway):
    assert gateway.get("/late/thread").text == "started"
    gateway.settle()
    assert_all_refused(gateway.get("/late/result").json())


@pytest.mark.differs("late use is told apart by the method's name (mod_wsgi 6.0)", reference="reference")
def test_the_exception_names_what_was_used(gateway):
    gateway.get("/late/keep")
    gateway.settle()
    raised = gateway.get("/late/use").json()
    assert raised["errors.flush"] is None
    assert raised["read"] == "RuntimeError: read() called on wsgi.input after request completed"
    assert raised["readline"] == "RuntimeError: readline() called on wsgi.input after request completed"
    assert raised["readlines"] == "RuntimeError: readlines() called on wsgi.input after request completed"
    assert raised["iteration"] == "RuntimeError: iteration of wsgi.input attempted after request completed"
    assert raised["errors.write"] == "RuntimeError: write() called on wsgi.errors after request completed"
    assert raised["start_response"] == "RuntimeError: start_response() called after request completed"
    assert raised["write"] == "RuntimeError: write() called after request completed"
