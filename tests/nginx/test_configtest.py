"""Configurations: what is accepted, and what the refusal of a mistake names."""

from __future__ import annotations

import subprocess

import pytest

from harness.server import ServerStartError

# What is only found by starting to start is in the log as well.
pytestmark = pytest.mark.allows(r"WSGI11\d\d")

PAGES = "wsgi_pass ${apps}/nginx/pages.wsgi;"


GOOD = [
    "wsgi_pass /srv/site.wsgi;",
    "wsgi_pass /srv/site.wsgi:app;",
    "wsgi_pass package.module;",
    "wsgi_pass package.module:app.inner;",
    "wsgi_pass site.wsgi daemon=g group=apart;",
    "wsgi_pass m; wsgi_callable app.inner; wsgi_factory on;",
    "wsgi_pass m; wsgi_script_name /mount;",
    'wsgi_pass m; wsgi_script_name "";',
    "wsgi_pass m; wsgi_param A b; wsgi_param B $host if_not_empty;",
    "wsgi_pass m; wsgi_pass_authorization on;",
    "wsgi_pass m; wsgi_pass_request_headers off; wsgi_pass_request_body off;",
    "wsgi_pass m; wsgi_request_buffering off; wsgi_buffering off; wsgi_buffer_size 8k;",
    "wsgi_pass m; wsgi_buffers 8 8k; wsgi_busy_buffers_size 16k; wsgi_temp_file_write_size 16k;",
    "wsgi_pass m; wsgi_max_temp_file_size 0; wsgi_temp_path /tmp/wsgi 1 2;",
    "wsgi_pass m; wsgi_connect_timeout 5s; wsgi_send_timeout 1m; wsgi_read_timeout 5m;",
    "wsgi_pass m; wsgi_next_upstream http_500 http_503; wsgi_next_upstream_tries 2;",
    "wsgi_pass m; wsgi_ignore_client_abort on; wsgi_intercept_errors on;",
    "wsgi_pass m; wsgi_hide_header X-A; wsgi_pass_header X-B; wsgi_ignore_headers X-Accel-Redirect;",
    "wsgi_pass m; wsgi_force_ranges on; wsgi_limit_rate 10k; wsgi_file_wrapper off;",
    "wsgi_pass m; wsgi_error_log_level warn;",
    "wsgi_pass m; wsgi_script_reloading off;",
    "wsgi_pass m; wsgi_application_group '%{GLOBAL}'; wsgi_process_group g;",
    "wsgi_pass m; wsgi_process_group off;",
    "wsgi_pass m; wsgi_store on; wsgi_store_access user:rw;",
    "wsgi_pass m; wsgi_cache off;",
]
GOOD_HTTP = [
    "wsgi_daemon_process h;",
    "wsgi_daemon_process h processes=3 threads=25 'display_name=%{GROUP}';",
    'wsgi_daemon_process h "display_name=two words";',
    "wsgi_daemon_process h threads=0;",
    "wsgi_daemon_process h umask=0027 lang=C.UTF-8 locale=C.UTF-8;",
    "wsgi_daemon_process h home=/tmp python_path=/tmp:/var/tmp;",
    "wsgi_daemon_process h maximum_requests=1000 restart_interval=3600 inactivity_timeout=300;",
    "wsgi_daemon_process h startup_timeout=15 shutdown_timeout=0 deadlock_timeout=60 request_timeout=60;",
    "wsgi_daemon_process h graceful_timeout=0 eviction_timeout=10 queue_timeout=45 listen_backlog=500;",
    "wsgi_daemon_process h cpu_time_limit=60 cpu_priority=10 memory_limit=1073741824 stack_size=524288;",
    "wsgi_daemon_process h env=A=1 env=B=two;",
    "wsgi_python_path /tmp:/var/tmp; wsgi_python_path /srv;",
    "wsgi_python_optimize 2;",
    "wsgi_python_isolated on;",
    "wsgi_env A b; wsgi_env B '';",
    "wsgi_import /srv/script.py;",
    "wsgi_import package.module:app daemon=g group=apart;",
    "wsgi_restrict_signal off; wsgi_restrict_stdin off; wsgi_restrict_stdout on;",
    "wsgi_socket_prefix /var/run/wsgi;",
    "wsgi_cache_path /tmp/oxwsgi-cache keys_zone=z:1m;",
    "wsgi_process_group g; wsgi_application_group apart; wsgi_callable app; wsgi_read_timeout 1s;",
]


@pytest.mark.parametrize("lines", GOOD)
def test_good_in_a_location(verdict, lines):
    is_accepted, said = verdict(f"location / {{ {lines} }}", http="wsgi_daemon_process g;")
    assert is_accepted, said


@pytest.mark.parametrize("lines", GOOD_HTTP)
def test_good_in_http(verdict, lines):
    is_accepted, said = verdict(http=f"wsgi_daemon_process g; {lines}")
    assert is_accepted, said


BAD = [
    ("wsgi_pass;", ["wsgi_pass"]),
    ("wsgi_pass $script;", ["wsgi_pass", "$script", "variable"]),
    ("wsgi_pass m other=1;", ["wsgi_pass", "other=1"]),
    ("wsgi_pass m:;", ["wsgi_pass", "m:"]),
    ("wsgi_pass not-a-module;", ["wsgi_pass", "not-a-module"]),
    ("wsgi_pass m; wsgi_pass n;", ["wsgi_pass", "duplicate"]),
    ("wsgi_pass m daemon=missing;", ["missing"]),
    ("wsgi_pass m; wsgi_process_group missing;", ["missing"]),
    ("wsgi_pass m; wsgi_factory maybe;", ["wsgi_factory", "maybe"]),
    ("wsgi_pass m; wsgi_callable 1bad;", ["wsgi_callable", "1bad"]),
    ("wsgi_pass m; wsgi_script_name relative;", ["wsgi_script_name", "relative"]),
    ("wsgi_pass m; wsgi_param wsgi.input x;", ["wsgi_param", "wsgi.input"]),
    ("wsgi_pass m; wsgi_param A;", ["wsgi_param"]),
    ("wsgi_pass m; wsgi_param A b sometimes;", ["wsgi_param", "sometimes"]),
    ("wsgi_pass m; wsgi_read_timeout soon;", ["wsgi_read_timeout"]),
    ("wsgi_pass m; wsgi_buffering perhaps;", ["wsgi_buffering", "perhaps"]),
    ("wsgi_pass m; wsgi_error_log_level loud;", ["wsgi_error_log_level", "loud"]),
    ("wsgi_pass m; wsgi_application_group '%{RESOURCE}';", ["wsgi_application_group", "%{RESOURCE}"]),
    ("wsgi_pass m; wsgi_cache no-such-zone;", ["no-such-zone"]),
    ("wsgi_pass m; wsgi_buffers 1 4k;", ["wsgi_buffers"]),
    ("wsgi_daemon_process here;", ["wsgi_daemon_process", "not allowed here"]),
]


@pytest.mark.parametrize(("lines", "parts"), BAD)
def test_bad_in_a_location(verdict, lines, parts):
    is_accepted, said = verdict(f"location / {{ {lines} }}", http="wsgi_daemon_process g;")
    assert not is_accepted
    for part in parts:
        assert part in said


BAD_HTTP = [
    ("wsgi_daemon_process;", ["wsgi_daemon_process"]),
    ("wsgi_daemon_process g;", ["wsgi_daemon_process", "g"]),
    ("wsgi_daemon_process h unknown=1;", ["wsgi_daemon_process", "unknown"]),
    ("wsgi_daemon_process h python-home=/usr;", ["wsgi_daemon_process", "python-home", "python_home"]),
    ("wsgi_daemon_process h threads=many;", ["wsgi_daemon_process", "threads", "many"]),
    ("wsgi_daemon_process h processes=0;", ["wsgi_daemon_process", "processes", "0"]),
    ("wsgi_daemon_process h umask=999;", ["wsgi_daemon_process", "umask", "999"]),
    ("wsgi_daemon_process h user=nobody-here;", ["wsgi_daemon_process", "user", "nobody-here"]),
    ("wsgi_daemon_process h env=A;", ["wsgi_daemon_process", "env"]),
    ("wsgi_daemon_process h env==b;", ["wsgi_daemon_process", "env"]),
    ("wsgi_daemon_process h python_home=/no/such/folder;", ["python_home", "h", "/no/such/folder"]),
    ("wsgi_python_home /a; wsgi_python_home /b;", ["wsgi_python_home", "duplicate"]),
    ("wsgi_python_optimize 3;", ["wsgi_python_optimize", "3"]),
    ("wsgi_python_isolated maybe;", ["wsgi_python_isolated", "maybe"]),
    ("wsgi_python_isolated on; wsgi_python_hash_seed 7;", ["wsgi_python_isolated", "wsgi_python_hash_seed"]),
    ("wsgi_env A;", ["wsgi_env"]),
    ("wsgi_env A=B c;", ["wsgi_env", "A=B"]),
    ("wsgi_import;", ["wsgi_import"]),
    ("wsgi_import m daemon=missing;", ["missing"]),
    ("wsgi_restrict_stdin maybe;", ["wsgi_restrict_stdin", "maybe"]),
    ("wsgi_pass m;", ["wsgi_pass", "not allowed here"]),
    ("wsgi_process_group missing;", ["missing"]),
]


@pytest.mark.parametrize(("lines", "parts"), BAD_HTTP)
def test_bad_in_http(verdict, lines, parts):
    is_accepted, said = verdict(
        "location / { wsgi_pass m; }", http=f"wsgi_daemon_process g; {lines}", python_home=""
    )
    assert not is_accepted
    for part in parts:
        assert part in said


def test_a_script_that_is_missing_is_a_warning(verdict):
    is_accepted, said = verdict("location / { wsgi_pass /no/such/script.wsgi; }")
    assert is_accepted
    assert "/no/such/script.wsgi" in said
    assert "warn" in said


def test_a_mistake_is_placed(new_server):
    """File and line, as nginx has it."""
    server = new_server("location / { wsgi_pass m; wsgi_factory maybe; }")
    said = server.configtest().stderr
    assert f"{server.config_file}:" in said


def test_python_is_checked(new_server):
    server = new_server(f"location / {{ {PAGES} }}", python_home="/no/such/folder")
    said = server.configtest()
    assert said.returncode != 0
    for part in ("wsgi_python_home", "/no/such/folder"):
        assert part in said.stderr


def test_nothing_is_started(new_server):
    server = new_server(f"location / {{ {PAGES} }}")
    assert server.configtest().returncode == 0
    assert list((server.root / "run").glob("*.sock")) == []


@pytest.mark.allows("emerg", "wsgi_factory")
def test_a_server_with_a_mistake_does_not_start(new_server):
    server = new_server("location / { wsgi_pass m; wsgi_factory maybe; }")
    with pytest.raises(ServerStartError, match="wsgi_factory"):
        server.start()
    assert server.processes() == []


@pytest.mark.root
def test_a_group_for_another_user_needs_root(new_server):
    server = new_server(
        f"location / {{ {PAGES} }}", http="wsgi_daemon_process g user=games; wsgi_process_group g;"
    )
    assert server.configtest().returncode == 0
    for name in ("logs", "run", "temporary"):
        (server.root / name).chmod(0o777)
    said = subprocess.run(
        [*server.command("-t"), "-e", "stderr"], user="daemon", capture_output=True, text=True, timeout=60
    )
    assert said.returncode != 0
    for part in ("wsgi_daemon_process", "user", "games", "root"):
        assert part in said.stderr
