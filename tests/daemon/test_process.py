"""What a process of a group is like: the options of WSGIDaemonProcess that say it, and what it inherits."""

from __future__ import annotations

import math
import pwd
import re
from pathlib import Path

import pytest

from harness.config import MAIN, Group, Lines, Mount
from harness.processes import Process
from harness.server import server_account
from harness.wait import wait_until

MIB = 2**20


def test_the_defaults(site):
    facts = site("").facts()
    assert facts["process group"] == "g"
    assert facts["multithread"] is True
    assert facts["multiprocess"] is False
    assert facts["run once"] is False
    assert facts["nice"] == 0
    assert facts["blocked signals"] == []


@pytest.mark.provokes(r"(?i)starting.* process 'g' with uid=\d+, gid=\d+ and threads=3")
def test_the_start_is_logged(site):
    """At info, with what the process runs as."""
    site = site("threads=3")
    entry, *_others = site.server.error_log.wait_for("with uid=")
    assert (entry.module, entry.level) == (site.server.lane.log_module, "info")
    assert f"uid={site.process().user}," in entry.text


@pytest.mark.parametrize(
    ("options", "multiprocess", "multithread"),
    [("", False, True), ("processes=1", True, True), ("processes=2 threads=1", True, False)],
)
def test_how_it_runs_is_told(site, options, multiprocess, multithread):
    facts = site(options).facts()
    assert (facts["multiprocess"], facts["multithread"]) == (multiprocess, multithread)


def test_a_process_for_one_request_says_so(site):
    assert site("threads=1 maximum-requests=1").facts()["run once"] is True


def test_it_serves_threads_requests_at_once(site):
    site = site("threads=3")
    connections = [site.waiting(name) for name in ("a", "b", "c")]
    for name in ("a", "b", "c"):
        site.release(name)
    assert len({connection.response()[1].data for connection in connections}) == 1


class TestUser:
    pytestmark = pytest.mark.root

    def test_the_servers_by_default(self, site):
        facts = site().facts()
        account = pwd.getpwnam(server_account())
        assert facts["users"] == [account.pw_uid] * 3
        assert facts["group ids"] == [account.pw_gid] * 3
        assert facts["groups"] == [server_account()]

    def test_by_name(self, site):
        facts = site("user=daemon group=games").facts()
        assert (facts["user"], facts["group"]) == ("daemon", "games")
        assert facts["users"] == [pwd.getpwnam("daemon").pw_uid] * 3

    def test_by_number(self, site):
        facts = site("user=#2 group=#60").facts()
        assert (facts["user"], facts["group"]) == ("bin", "games")

    def test_supplementary_groups(self, site):
        facts = site("user=daemon group=games supplementary-groups=audio,#44").facts()
        assert facts["groups"] == ["audio", "games", "video"]

    def test_the_servers_user_may_come_later(self, site):
        account = server_account()
        user = Lines(f"User {account}\nGroup {account}", nginx_main=f"user {account} {account};")
        facts = site(parts=[user], names_user=False).facts()
        assert (facts["user"], facts["group"]) == (account, account)

    def test_it_cannot_become_root_again(self, site):
        process = site("user=daemon").process()
        assert {int(number) for number in process.status("Uid").split()} == {pwd.getpwnam("daemon").pw_uid}
        for name in ("CapEff", "CapPrm", "CapInh"):
            assert int(process.status(name), 16) == 0

    def test_its_home_is_where_it_runs(self, site):
        """Where it is not the server's own user."""
        assert site("user=games").facts()["folder"] == pwd.getpwnam("games").pw_dir

    def test_its_name_is_in_the_environment(self, site):
        environment = site("user=games").facts()["environment"]
        assert environment["HOME"] == pwd.getpwnam("games").pw_dir
        assert environment.get("USER", "games") == "games"
        assert environment.get("LOGNAME", "games") == "games"


@pytest.mark.parametrize("mask", ["0007", "0027"])
def test_umask(site, mask):
    assert int(site(f"umask={mask}").facts()["umask"], 8) == int(mask, 8)


def test_home(site):
    site = site('home="${root}/shared"')
    facts = site.facts()
    assert facts["folder"] == str(site.shared)
    assert facts["path"][0] == str(site.shared)


def test_without_home_nothing_precedes_the_path(site):
    site = site()
    assert str(site.script.parent) not in site.facts()["path"]


def test_python_path(site):
    files = {"lib/one/links.pth": "linked\n", "lib/one/linked/module.py": "", "lib/two/module.py": ""}
    site = site('python-path="${root}/lib/one:${root}/lib/two"', files=files)
    root = site.server.root
    expected = [f"{root}/lib/one", f"{root}/lib/one/linked", f"{root}/lib/two"]
    assert site.facts()["path"][:3] == expected


def test_home_comes_before_the_python_path(site):
    site = site('home="${root}/shared" python-path="${root}/lib"', files={"lib/module.py": ""})
    assert site.facts()["path"][:2] == [str(site.shared), f"{site.server.root}/lib"]


def test_python_eggs(site):
    assert site('python-eggs="${root}/shared"').facts()["environment"]["PYTHON_EGG_CACHE"].endswith("/shared")


def test_language(site):
    facts = site("lang=C.UTF-8").facts()
    assert facts["environment"]["LANG"] == "C.UTF-8"


def test_locale(site):
    facts = site("locale=C.UTF-8", env={"LANG": "C"}).facts()
    assert facts["environment"]["LC_ALL"] == "C.UTF-8"
    assert facts["locale"] == "C.UTF-8"


@pytest.mark.provokes("WSGI0079")
def test_a_locale_that_is_not_installed(site):
    assert site("locale=xx_NOWHERE.UTF-8").get("/pid").status_code == 200


@pytest.mark.parametrize("priority", [5, 19])
def test_cpu_priority(site, priority):
    site = site(f"cpu-priority={priority}")
    assert site.facts()["nice"] == priority
    assert site.process().nice == priority


@pytest.mark.root
def test_a_higher_cpu_priority(site):
    assert site("cpu-priority=-3 user=daemon").facts()["nice"] == -3


@pytest.mark.parametrize("size", [256 * 1024, MIB])
def test_stack_size(site, size):
    assert site(f"stack-size={size}").get("/thread").json() == size


def test_display_name(site):
    process = site("display-name=%{GROUP}").process()
    assert " ".join(process.command).strip().startswith("(wsgi:g)")


def test_a_display_name_of_ones_own(site):
    process = site("display-name='a site'").process()
    assert " ".join(process.command).strip().startswith("a site")


def test_the_display_name_does_not_touch_the_interpreter(site):
    plain, shown = (site(options).facts() for options in ("", "display-name=%{GROUP}"))
    assert (plain["executable"], plain["prefix"]) == (shown["executable"], shown["prefix"])


def test_memory_limit(site):
    facts = site(f"memory-limit={512 * MIB}").facts()
    assert facts["limits"]["DATA"][0] == 512 * MIB


def test_virtual_memory_limit(site):
    facts = site(f"threads=2 virtual-memory-limit={1024 * MIB}").facts()
    assert facts["limits"]["AS"][0] == 1024 * MIB


@pytest.mark.parametrize("option", ["memory-limit", "virtual-memory-limit"])
def test_memory_beyond_the_limit(site, option):
    """Is a MemoryError in the application; the process serves on."""
    site = site(f"threads=2 {option}={1024 * MIB}")
    pid = site.pid()
    assert site.get("/allocate", size=MIB).json() == MIB
    assert site.get("/allocate", size=2048 * MIB).json() == "MemoryError"
    assert site.pid() == pid


def test_cpu_time_limit(site):
    soft, hard = site("cpu-time-limit=30 shutdown-timeout=7").facts()["limits"]["CPU"]
    assert (soft, hard) == (30, 38)


def test_switch_interval(site):
    assert math.isclose(site("switch-interval=0.025").facts()["switch interval"], 0.025)


@pytest.mark.provokes("said by sys.stderr", "said by descriptor")
def test_what_it_writes_is_logged(site):
    """sys.stderr on the request; the descriptor in the group's log, as a whole line of the usual form."""
    site = site()
    site.get("/log", text="said")
    entry, *_ = site.server.error_log.wait_for("said by sys.stderr")
    assert entry.client
    entry, *_ = site.server.error_log.wait_for("said by descriptor")


@pytest.mark.provokes("said by descriptor")
@pytest.mark.allows("said by sys.stderr")
@pytest.mark.differs("what a process writes to descriptor 2 becomes entries of the log")
def test_what_it_writes_to_the_descriptor_is_an_entry(site):
    site = site()
    site.get("/log", text="said")
    entry, *_ = site.server.error_log.wait_for("said by descriptor")
    assert entry.pid == site.pid()
    assert entry.level


def kinds(descriptors: dict[str, str]) -> dict[str, str]:
    return {number: re.sub(r":?\[.*\]$", "", target) for number, target in descriptors.items()}


def is_listening(target: str) -> bool:
    """Whether a socket, named as /proc does, listens (see proc_net_unix(5))."""
    inode = target.removeprefix("socket:[").removesuffix("]")
    rows = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    return any(row[6] == inode and int(row[3], 16) & 0x10000 for row in rows)


@pytest.mark.differs("a process has no descriptor of the server")
def test_descriptors(site):
    """0 to 2, its listener, connections and board, what its threads wait with; nothing of the server's."""
    site = site("threads=2")
    facts = site.facts()
    process = Process.at(facts["pid"])
    found = kinds({str(number): target for number, target in process.descriptors().items()})
    assert found.pop("0") == "/dev/null"
    assert {found.pop("1"), found.pop("2")} == {"pipe"}
    allowed = re.compile(r"socket|pipe|anon_inode|/memfd:.*|/dev/u?random")
    assert [target for target in found.values() if not allowed.fullmatch(target)] == []
    parent = Process.at(site.server.process.pid)
    ours, servers = (set(who.descriptors().values()) for who in (process, parent))
    shared = {target for target in ours & servers if target.startswith(("socket:", "pipe:"))}
    # Those by which it learns of the server's end, and where its requests come from.
    for number, target in process.descriptors().items():
        if target in shared:
            assert process.can_only_read(number) if target.startswith("pipe:") else is_listening(target)


def test_descriptors_do_not_grow(site):
    site = site("threads=2")
    process = site.process()
    for _ in range(20):
        site.pid()
    before = len(process.descriptors())
    for _ in range(100):
        site.pid()
    wait_until(lambda: len(process.descriptors()) <= before, "descriptors to be closed")


def test_the_servers_environment_is_inherited(site):
    environment = site(env={"TEST_VARIABLE": "value"}).facts()["environment"]
    assert environment["TEST_VARIABLE"] == "value"
    assert environment["PATH"]


def test_nothing_of_ours_is_in_the_environment(site):
    """A process that the application starts must not be mistaken for one of the group."""
    given = {"PATH", "LANG", "TEST_VARIABLE"}
    usual = {"HOME", "USER", "USERNAME", "LOGNAME", "LC_CTYPE", "SHELL", "PWD"}
    environment = site(env={"TEST_VARIABLE": "value"}).facts()["environment"]
    assert set(environment) - given - usual == set()


@pytest.mark.root
@pytest.mark.differs("a process is started anew, not a copy of the server")
def test_a_process_is_not_a_copy_of_the_server(site):
    """It maps neither the server nor the module."""
    site = site("user=daemon")
    maps = Path(f"/proc/{site.pid()}/maps").read_text()
    assert "python" in maps
    assert not re.search(r"apache2$|httpd$|nginx$|mod_\w+\.so", maps, re.MULTILINE)


def test_a_process_may_start_processes(start):
    server = start(
        [Group("g"), Mount("/app", "${root}/app.wsgi", "g", MAIN)],
        files={
            "app.wsgi": "import subprocess, sys, os\n"
            "def application(environ, start_response):\n"
            "    start_response('200 OK', [])\n"
            "    code = 'import os; print(sorted(os.listdir(\"/proc/self/fd\")))'\n"
            "    return [subprocess.run([sys.executable, '-c', code], capture_output=True).stdout]\n"
        },
    )
    assert server.get("/app").text.startswith("['0', '1', '2'")
