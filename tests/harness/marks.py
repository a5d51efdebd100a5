"""What several tests of daemon processes provoke in the error log."""

from __future__ import annotations

from collections.abc import Callable

import pytest

_REQUEST_BROKE_OFF = pytest.mark.provokes(r"WSGI014[67]|WSGI11[2-4]\d")

# The reference may still be at the end of the request's body, if only one without bytes.
_NOT_ALL_SENT = pytest.mark.allows("WSGI0127", on="references")


def REQUEST_LOST(test: Callable) -> Callable:  # noqa: N802 - applied like the marks
    """A request, or its reply, broke off because its process ended."""
    return _NOT_ALL_SENT(_REQUEST_BROKE_OFF(test))


# A process ended that was not told to; the reference says so at info.
PROCESS_DIED = pytest.mark.provokes("WSGI1202", on="oxwsgi")

# A process did not end in time after it was told to: it ended itself then, or was killed.
PROCESS_ABORTED = pytest.mark.allows("WSGI1202", "WSGI1205", on="oxwsgi")

# The server did not start because a group cannot; httpd adds its own last words.
START_FAILED = pytest.mark.allows(r"WSGI115[0-2]", r"WSGI12\d\d", "AH00020", "AH00016", on="oxwsgi")
