"""Directives one by one: what their values may be, what goes together, and that each is documented."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PASS = "wsgi_pass m;"


@pytest.mark.parametrize(
    "options",
    [
        "request_timeout=90 inactivity_timeout=5m restart_interval=12h queue_timeout=1m30s",
        "memory_limit=512m stack_size=1m virtual_memory_limit=2g header_buffer_size=16k",
        "shutdown_timeout=0 memory_limit=0",
        "python_path=relative:/absolute python_eggs=eggs",
        '"display_name=%{GROUP}"',
        "env=A=1 env=B= env=C=x=y",
    ],
)
def test_options_of_a_group(verdict, options):
    is_accepted, said = verdict(http=f"wsgi_daemon_process h {options};")
    assert is_accepted, said


@pytest.mark.parametrize(
    ("option", "accepted"),
    [
        ("request_timeout=soon", "a time such as"),
        ("request_timeout=5x", "a time such as"),
        ("memory_limit=much", "a size such as"),
        ("stack_size=1k", "a whole number of bytes from 65536"),
        ("header_buffer_size=1k", "from 8192"),
        ("threads=1000", "from 0 to 512"),
        ("cpu_priority=20", "from -20 to 19"),
        ("python_home=", "a directory"),
        ("home=relative", "an absolute path"),
        ("group=nobody-here", "a group of this system"),
        ("user=root", "A user other than root"),
        ("env=A=1 env=A=2", "each name once"),
        ("script_user=#1 script_group=#1", "Only one of script_user and script_group"),
        ("response_socket_timeout=5", "send_timeout"),
        ("server_metrics=on", "leave it out"),
        ("processes", "processes="),
        ("user=$name", "a text without variables"),
    ],
)
def test_a_message_says_what_an_option_accepts(verdict, option, accepted):
    is_accepted, said = verdict(http=f"wsgi_daemon_process h {option};")
    assert not is_accepted
    for part in ('"wsgi_daemon_process"', option.split()[-1], accepted):
        assert part in said
    assert not re.search(r"[a-z]-(timeout|size|limit|user|group|home|path)\b", said), "httpd's spelling"


def test_a_module_has_no_owner(verdict):
    lines = "location /app { wsgi_pass package.module:callable daemon=h; }"
    is_accepted, said = verdict(lines, http="wsgi_daemon_process h script_user=nobody;")
    assert not is_accepted
    for part in ("package.module", '"h"', "script_user", "name a file"):
        assert part in said


@pytest.mark.parametrize("name", ["off", '""', '"%{GLOBAL}"', "$host"])
def test_names_that_no_group_can_have(verdict, name):
    is_accepted, said = verdict(http=f"wsgi_daemon_process {name};")
    assert not is_accepted
    assert '"wsgi_daemon_process"' in said


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ("wsgi_threads 4;", "wsgi_daemon_process"),
        ("wsgi_queue 100;", "listen_backlog="),
        ("wsgi_queue_timeout 5s;", "queue_timeout="),
        ("server { location / { wsgi_pass m threads=2; } }", "threads="),
    ],
)
def test_what_is_for_nginx_own_processes_says_what_to_use(verdict, line, instead):
    is_accepted, said = verdict(http=line)
    assert not is_accepted
    assert instead in said


@pytest.mark.parametrize(
    ("lines", "parts"),
    [
        ("wsgi_busy_buffers_size 1k;", ["wsgi_busy_buffers_size", "at least 16384", "location /"]),
        ("wsgi_busy_buffers_size 10m;", ["wsgi_busy_buffers_size", "at most 114688"]),
        ("wsgi_temp_file_write_size 1k;", ["wsgi_temp_file_write_size", "at least 16384"]),
        ("wsgi_max_temp_file_size 1k;", ["wsgi_max_temp_file_size", "or 0 for no files"]),
        ("wsgi_cache z; wsgi_store on;", ["wsgi_store", "incompatible", "wsgi_cache"]),
        ("wsgi_store on; wsgi_cache z;", ["wsgi_cache", "incompatible", "wsgi_store"]),
        ("wsgi_next_upstream sometimes;", ["wsgi_next_upstream", "sometimes", "http_503"]),
        ("wsgi_ignore_headers X-Other;", ["wsgi_ignore_headers", "X-Other", "X-Accel-Redirect"]),
        ("wsgi_cache_methods PUT;", ["wsgi_cache_methods", "PUT", "GET, HEAD, POST"]),
        ("wsgi_cache_valid soon;", ["wsgi_cache_valid", "and a time"]),
        ("wsgi_store_access user:everything;", ["wsgi_store_access", "user:rights"]),
        ("wsgi_limit_rate fast;", ["wsgi_limit_rate", "fast", "a size such as"]),
        ("wsgi_script_name $uri;", ["wsgi_script_name", "$uri", "without variables"]),
        ('wsgi_application_group "%{SERVER}";', ["wsgi_application_group", "%{SERVER}", "%{GLOBAL}"]),
        ("wsgi_read_timeout 5s; wsgi_read_timeout 6s;", ["wsgi_read_timeout", "duplicate"]),
        ("wsgi_buffering on; wsgi_buffering off;", ["wsgi_buffering", "duplicate"]),
        ("wsgi_param A $no_such_variable;", ["no_such_variable"]),
        ("wsgi_hide_header;", ["wsgi_hide_header", "takes the name of a header field"]),
        ("wsgi_temp_path a b c d e;", ["wsgi_temp_path", "takes"]),
    ],
)
def test_values_that_do_not_fit(verdict, lines, parts):
    http = "wsgi_cache_path ${root}/cache keys_zone=z:1m;"
    is_accepted, said = verdict(f"location / {{ {PASS} {lines} }}", http=http)
    assert not is_accepted
    for part in parts:
        assert part in said


def test_a_zone_of_another_module_is_none_of_ours(verdict):
    http = "proxy_cache_path ${root}/cache keys_zone=z:1m;"
    is_accepted, said = verdict(f"location / {{ {PASS} wsgi_cache z; }}", http=http)
    assert not is_accepted
    assert '"z"' in said


def test_levels_inherit(verdict):
    """A directive may stand once at each of them."""
    lines = f"""
    wsgi_buffering on;
    wsgi_cache off;
    location / {{
        {PASS} wsgi_buffering off; wsgi_cache z;
        if ($arg_a) {{ wsgi_pass n; }}
        limit_except GET {{ wsgi_pass o; }}
        location /inner {{ wsgi_pass p; wsgi_buffering on; wsgi_cache off; wsgi_store on; }}
    }}
    """
    http = "wsgi_buffering off; wsgi_cache_path ${root}/cache keys_zone=z:1m;"
    is_accepted, said = verdict(lines, http=http)
    assert is_accepted, said


def test_a_group_named_default_is_the_implied_one(verdict):
    """So that its options can be said."""
    http = "wsgi_daemon_process default threads=2; wsgi_import m; wsgi_import n daemon=default;"
    is_accepted, said = verdict(f"location / {{ {PASS} }}", http=http)
    assert is_accepted, said


def test_each_directive_is_documented():
    sources = (REPOSITORY / "src" / "nginx" / "directives").glob("*.rs")
    known = {name for source in sources for name in re.findall(r'c"(wsgi_\w+)"', source.read_text())}
    documented = set(re.findall(r"`(wsgi_\w+)`", (REPOSITORY / "docs" / "nginx-directives.md").read_text()))
    assert len(known) > 60
    assert known == documented
