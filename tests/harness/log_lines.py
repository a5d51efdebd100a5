"""What the gateways log, by number: the one place that knows how each lane words it.

A test declares the numbers (or texts) it provokes. Where a module writes numbers the number is the match;
mod_wsgi 4.9.4 has none, so its texts stand here.
"""

from __future__ import annotations

import re

from harness.lane import HTTPD, NGINX, REFERENCE, REFERENCE_6, Lane

NUMBER = re.compile(r"WSGI\d{4}")

_TEXTS_WITHOUT_NUMBERS = {
    "WSGI0089": r"does not contain WSGI application",
    "WSGI0105": r"Failed to (exec|parse) Python script file|could not be loaded as Python module",
    "WSGI0106": r"Could not read/compile source file",
    "WSGI0107": r"SystemExit exception raised when doing exec of Python script file",
    "WSGI0126": r"Request data read error when proxying data to daemon process",
    "WSGI0134": r"Options ExecCGI is off in this directory",
    "WSGI0135": r"Target WSGI script not found or unable to stat",
    "WSGI0136": r"Attempt to invoke directory as WSGI application",
    "WSGI0137": r"AcceptPathInfo off disallows user's path",
    "WSGI0138": r"Unexpected value for Transfer-Encoding",
    "WSGI0139": r"support for chunked transfer encoding has not been enabled",
    "WSGI0141": r"Invalid Content-Length header value",
    "WSGI0143": r"Embedded mode of mod_wsgi disabled",
    "WSGI0149": r"not a member of allowed groups",
    "WSGI0174": r"Exception occurred processing WSGI script",
    "WSGI0175": r"SystemExit exception raised by WSGI script",
    "WSGI0194": r"Exception occurred processing WSGI script",
}
_NEVER = r"(?!)"

# What a lane's log may hold at any time, with the reason.
_NOISE = {
    # A child of 6.1.1 now and then crashes when it ends, or does not end when told while it starts.
    REFERENCE_6: [r"AH00052: .*Segmentation fault", r"AH0004[56]: child process \d+ still did not exit"],
}

_NOISE_OF_SERVER = {
    # Its event MPM says so when a connection ends in the moment its child stops.
    HTTPD: [r"AH0309[23]: .*apr_pollset_add failure"],
    # It warns of its usual business in words of its own, and newer ones of what 1.22 can say in one way only.
    NGINX: [
        r"(a client request body|an upstream response) is buffered to a temporary file",
        r'the "listen \.\.\. http2" directive is deprecated',
    ],
}


def noise(lane: Lane) -> list[str]:
    """Regular expressions for what is no fault of any test."""
    return [*_NOISE_OF_SERVER[lane.server], *_NOISE.get(lane.gateway, [])]


def pattern(lane: Lane, what: str) -> str:
    """The regular expression by which the lane's log is searched for a number or a text."""
    if NUMBER.fullmatch(what) and lane.gateway == REFERENCE:
        return _TEXTS_WITHOUT_NUMBERS.get(what, _NEVER)
    return what


def died(group: str, pid: int) -> str:
    """A process of the group ended without having been told to."""
    return rf"Process '{group}' \(pid={pid}\) has died"


# How mod_wsgi 6.1.1 says why a process shuts down; the reasons are those it gives to `process_stopping`.
_REASONS = {
    "maximum_requests": "Maximum requests reached; .* daemon process '{group}'",
    "restart_interval": "Application restart timer expired.* process '{group}'",
    "inactivity_timeout": "Daemon process idle inactivity timer expired, stopping process '{group}'",
    "request_timeout": "Daemon process request time limit exceeded, stopping daemon process '{group}'",
    "startup_timeout": "Application startup timer expired, stopping daemon process '{group}'",
    "deadlock_timeout": "Daemon process deadlock timer expired, stopping daemon process '{group}'",
    "script_reload": "Forcing restart of daemon process '{group}' due to modification of script",
    "eviction_signal": "Process eviction requested; .* daemon process '{group}'",
    "graceful_signal": "Graceful restart requested; .* daemon process '{group}'",
}


def shutdown(lane: Lane, reason: str, group: str = "g") -> str:
    """A process of the group shuts down for that reason."""
    if lane.is_reference:
        return _REASONS.get(reason, "Shutdown requested for daemon process '{group}'").format(group=group)
    return rf"Shutdown requested for daemon process '{group}' \(pid=\d+\): {reason}"
