"""Configuration of daemon groups: what is accepted, and what the refusal of a mistake names."""

from __future__ import annotations

import pytest

from harness.marks import START_FAILED
from harness.server import ServerStartError

# Apache's words; nginx's are in tests/nginx.
pytestmark = pytest.mark.server("httpd")

GOOD = [
    "WSGIDaemonProcess g",
    "WSGIDaemonProcess g processes=3 threads=25 display-name=%{GROUP}",
    "WSGIDaemonProcess g display-name='two words'",
    "WSGIDaemonProcess g threads=0",
    "WSGIDaemonProcess g umask=0027",
    "WSGIDaemonProcess g lang=C.UTF-8 locale=C.UTF-8",
    "WSGIDaemonProcess g home=/tmp python-path=/tmp:/var/tmp python-eggs=/tmp",
    "WSGIDaemonProcess g maximum-requests=1000 restart-interval=3600 inactivity-timeout=300",
    "WSGIDaemonProcess g startup-timeout=15 shutdown-timeout=0 deadlock-timeout=60 request-timeout=60",
    "WSGIDaemonProcess g graceful-timeout=0 eviction-timeout=10 connect-timeout=5 socket-timeout=60",
    "WSGIDaemonProcess g queue-timeout=45 response-socket-timeout=30 listen-backlog=500",
    "WSGIDaemonProcess g cpu-time-limit=60 cpu-priority=-5",
    "WSGIDaemonProcess g cpu-priority=10 memory-limit=1073741824 virtual-memory-limit=0 stack-size=524288",
    "WSGIDaemonProcess g send-buffer-size=512 receive-buffer-size=0",
    "WSGIDaemonProcess g header-buffer-size=8192 response-buffer-size=65536 response-socket-timeout=0",
    "WSGIDaemonProcess g server-metrics=On",
    "WSGIDaemonProcess g\nWSGIProcessGroup g",
    "WSGIProcessGroup unknown",
    "WSGIProcessGroup %{ENV:GROUP}",
    "WSGIDaemonProcess g\nWSGIScriptAlias /a /b process-group=g application-group=%{GLOBAL}",
    "WSGIDaemonProcess g\nWSGIImportScript /a process-group=g application-group=%{GLOBAL}",
    "WSGIDaemonProcess g\nWSGIHandlerScript h /a process-group=g",
    "WSGISocketPrefix run/wsgi",
    "WSGISocketPrefix /var/run/wsgi",
    "WSGISocketRotation Off",
    "WSGIRestrictProcess",
    "WSGIRestrictProcess a b %{GLOBAL}",
    "<VirtualHost *:80>\nServerName a.example\nWSGIDaemonProcess g\nWSGIProcessGroup g\n</VirtualHost>",
    # A pair for plain and encrypted connections shares its group.
    "<VirtualHost *:80>\nServerName a.example\nWSGIDaemonProcess g\n</VirtualHost>\n"
    "<VirtualHost *:443>\nServerName a.example\n"
    "WSGIScriptAlias /a /b process-group=g application-group=x\n</VirtualHost>",
]
GOOD_FOR_ROOT = [
    "WSGIDaemonProcess g user=games group=games",
    "WSGIDaemonProcess g user=#5 group=#60",
    "WSGIDaemonProcess g user=games supplementary-groups=audio,video,#60",
    "WSGIDaemonProcess g socket-user=www-data",
    "WSGIDaemonProcess g script-user=games",
    "WSGIDaemonProcess g script-group=games",
]

# In mod_wsgi since 6.0.
NEWER_GOOD = [
    "WSGIDaemonProcess g switch-interval=0.01",
    "WSGIDaemonProcess g interrupt-timeout=5 request-timeout=60",
    "WSGIDaemonProcess g response-flush-delay=0",
]

NUMBERS = [
    "processes",
    "threads",
    "maximum-requests",
    "startup-timeout",
    "shutdown-timeout",
    "deadlock-timeout",
    "inactivity-timeout",
    "request-timeout",
    "graceful-timeout",
    "eviction-timeout",
    "restart-interval",
    "connect-timeout",
    "socket-timeout",
    "queue-timeout",
    "listen-backlog",
    "response-socket-timeout",
    "cpu-time-limit",
    "memory-limit",
    "virtual-memory-limit",
    "stack-size",
    "send-buffer-size",
    "receive-buffer-size",
    "header-buffer-size",
    "response-buffer-size",
    "interrupt-timeout",
    "response-flush-delay",
]

# Line, then texts of which the reference has the first.
BAD = [
    ("WSGIDaemonProcess", ["Name of WSGI daemon process not supplied"]),
    ("WSGIDaemonProcess g\nWSGIDaemonProcess g", ["Name duplicates previous WSGI daemon definition", "g"]),
    (
        "WSGIDaemonProcess g\n<VirtualHost *:80>\nWSGIDaemonProcess g\n</VirtualHost>",
        ["Name duplicates previous WSGI daemon definition"],
    ),
    ("WSGIDaemonProcess g bare-word", ["Invalid option to WSGI daemon process definition", "bare-word"]),
    ("WSGIDaemonProcess g nonsense=1", ["Invalid option to WSGI daemon process definition", "nonsense"]),
    ("WSGIDaemonProcess g Threads=1", ["Invalid option to WSGI daemon process definition", "Threads"]),
    ("WSGIDaemonProcess g =1", ["Invalid option to WSGI daemon process definition"]),
    ("WSGIDaemonProcess g processes=0", ["Invalid process count for WSGI daemon process", "0"]),
    ("WSGIDaemonProcess g threads=70000", ["Invalid thread count for WSGI daemon process", "70000"]),
    ("WSGIDaemonProcess g threads=-1", ["Invalid thread count for WSGI daemon process", "-1"]),
    ("WSGIDaemonProcess g umask=999", ["Invalid umask for WSGI daemon process", "999"]),
    (
        "WSGIDaemonProcess g home=relative/folder",
        ["Invalid home directory for WSGI daemon process", "relative"],
    ),
    ("WSGIDaemonProcess g stack-size=0", ["Invalid stack size for WSGI daemon process"]),
    ("WSGIDaemonProcess g send-buffer-size=100", ["Send buffer size must be >= 512 bytes", "100"]),
    ("WSGIDaemonProcess g receive-buffer-size=100", ["Receive buffer size must be >= 512 bytes", "100"]),
    ("WSGIDaemonProcess g header-buffer-size=100", ["Header buffer size must be >= 8192 bytes", "100"]),
    ("WSGIDaemonProcess g response-buffer-size=100", ["Response buffer size must be >= 65536 bytes", "100"]),
    (
        "WSGIDaemonProcess g server-metrics=maybe",
        ["Invalid server metrics flag for WSGI daemon process", "maybe"],
    ),
    (
        "WSGIDaemonProcess g script-user=games script-group=games",
        ["Only one of script-user and script-group allowed"],
    ),
    ("WSGIScriptAlias /a /b process-group=g application-group=x", ["WSGI process group not yet configured"]),
    ("WSGIImportScript /a process-group=g application-group=x", ["WSGI process group not yet configured"]),
    (
        "WSGIScriptAlias /a /b process-group=g application-group=x\nWSGIDaemonProcess g",
        ["WSGI process group not yet configured"],
    ),
    (
        "<VirtualHost *:80>\nServerName a.example\nWSGIDaemonProcess g\n</VirtualHost>\n"
        "<VirtualHost *:80>\nServerName b.example\n"
        "WSGIScriptAlias /a /b process-group=g application-group=x\n</VirtualHost>",
        ["WSGI process group not accessible"],
    ),
    ("WSGISocketRotation perhaps", ["WSGISocketRotation", "perhaps"]),
    ("WSGIAcceptMutex roulette", ["roulette"]),
    ("WSGIProcessGroup", []),
    ("WSGIProcessGroup a b", []),
]
BAD_FOR_ROOT = [
    ("WSGIDaemonProcess g user=", ["Invalid user for WSGI daemon process"]),
    ("WSGIDaemonProcess g group=", ["Invalid group for WSGI daemon process"]),
    ("WSGIDaemonProcess g user=root", ["WSGI process blocked from running as root"]),
    ("WSGIDaemonProcess g user=#0", ["WSGI process blocked from running as root"]),
    ("WSGIDaemonProcess g user=#54321", ["Couldn't determine user name from uid"]),
    ("WSGIDaemonProcess g chroot=relative", ["Invalid chroot directory for WSGI daemon process"]),
]
UNKNOWN_ACCOUNTS = [
    ("WSGIDaemonProcess g user=no-such-user", "no-such-user"),
    ("WSGIDaemonProcess g group=no-such-group", "no-such-group"),
    ("WSGIDaemonProcess g supplementary-groups=audio,no-such-group", "no-such-group"),
    ("WSGIDaemonProcess g socket-user=no-such-user", "no-such-user"),
    ("WSGIDaemonProcess g script-user=no-such-user", "no-such-user"),
    ("WSGIDaemonProcess g script-group=no-such-group", "no-such-group"),
]
SERVER_ONLY = ["WSGIDaemonProcess g"]
GLOBAL_ONLY = [
    "WSGISocketPrefix run/x",
    "WSGISocketRotation On",
    "WSGIAcceptMutex default",
    "WSGIRestrictEmbedded On",
]


@pytest.mark.parametrize("lines", GOOD)
def test_good(verdict, lines):
    is_accepted, said = verdict(lines)
    assert is_accepted, said


@pytest.mark.root
@pytest.mark.parametrize("lines", GOOD_FOR_ROOT)
def test_good_for_root(verdict, lines):
    is_accepted, said = verdict(lines)
    assert is_accepted, said


@pytest.mark.differs("options of mod_wsgi 6.0", reference="reference")
@pytest.mark.parametrize("lines", NEWER_GOOD)
def test_good_in_6(verdict, lines):
    is_accepted, said = verdict(lines)
    assert is_accepted, said


@pytest.mark.parametrize(("lines", "texts"), BAD, ids=[lines for lines, _texts in BAD])
def test_bad(verdict, lines, texts):
    is_accepted, said = verdict(lines)
    assert not is_accepted
    assert all(text in said for text in texts[:1])


@pytest.mark.root
@pytest.mark.parametrize(("lines", "texts"), BAD_FOR_ROOT, ids=[lines for lines, _texts in BAD_FOR_ROOT])
def test_bad_for_root(verdict, lines, texts):
    is_accepted, said = verdict(lines)
    assert not is_accepted
    assert texts[0] in said


@pytest.mark.differs("a message names the directive, the option, the value and what is accepted", run=False)
@pytest.mark.parametrize(("lines", "texts"), BAD, ids=[lines for lines, _texts in BAD])
def test_a_message_names_the_value(verdict, lines, texts):
    _is_accepted, said = verdict(lines)
    assert all(text in said for text in texts)
    directive = next(word for word in reversed(lines.split()) if word.startswith("WSGI"))
    assert directive in said or any(text in said for text in texts)


@pytest.mark.differs("garbage is no number")
@pytest.mark.parametrize("value", ["abc", "1x", "1.5", "99999999999999999999"])
@pytest.mark.parametrize("option", ["threads", "shutdown-timeout", "maximum-requests", "memory-limit"])
def test_garbage_is_no_number(verdict, option, value):
    is_accepted, said = verdict(f"WSGIDaemonProcess g {option}={value}")
    assert not is_accepted
    assert value in said
    assert option in said


@pytest.mark.differs("garbage is no number", run=False)
@pytest.mark.parametrize("option", NUMBERS)
def test_every_number_is_one(verdict, option):
    is_accepted, said = verdict(f"WSGIDaemonProcess g {option}=soon")
    assert not is_accepted
    assert "soon" in said
    assert option in said


@pytest.mark.parametrize(
    "option", [name for name in NUMBERS if name not in ("cpu-priority", "processes", "threads")]
)
def test_no_number_is_negative(verdict, option):
    is_accepted, _said = verdict(f"WSGIDaemonProcess g {option}=-1")
    assert not is_accepted


@pytest.mark.root
@pytest.mark.parametrize(
    ("lines", "name"), UNKNOWN_ACCOUNTS, ids=[lines for lines, _name in UNKNOWN_ACCOUNTS]
)
def test_unknown_accounts(verdict, lines, name):
    is_accepted, said = verdict(lines)
    assert not is_accepted
    assert name in said


@pytest.mark.parametrize("line", [*SERVER_ONLY, *GLOBAL_ONLY])
def test_not_in_a_directory(verdict, line):
    is_accepted, said = verdict(f'<Directory "/srv">\n{line}\n</Directory>')
    assert not is_accepted
    assert line.split()[0] in said


@pytest.mark.parametrize("line", GLOBAL_ONLY)
def test_main_server_only(verdict, line):
    is_accepted, said = verdict(f"<VirtualHost *:80>\n{line}\n</VirtualHost>")
    assert not is_accepted
    assert line.split()[0] in said


@START_FAILED
@pytest.mark.differs("a folder that is not there is found at start", run=False)
class TestMissingFolder:
    def test_home(self, new_server):
        server = new_server("WSGIDaemonProcess shop home=/no/such/folder\n")
        with pytest.raises(ServerStartError, match="shop") as raised:
            server.start()
        assert "/no/such/folder" in str(raised.value)

    @pytest.mark.root
    def test_chroot(self, new_server):
        """In which there is no Python either."""
        server = new_server("WSGIDaemonProcess shop chroot=/no/such/folder\n")
        with pytest.raises(ServerStartError, match="shop"):
            server.start()
