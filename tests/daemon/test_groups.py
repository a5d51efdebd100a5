"""Which group serves what: names, virtual hosts, restrictions, sockets and who may own a script."""

from __future__ import annotations

import grp
import os
import pwd
import re
import stat
import subprocess

import pytest

from harness.config import Group, Lines, Mount, Use
from harness.marks import START_FAILED
from harness.server import ServerStartError, server_account
from harness.wait import wait_until

ALIAS = 'WSGIScriptAlias /app "${apps}/environ.wsgi"\n'


def group_of(server, url="/app", **options):
    response = server.get(url, **options)
    assert response.status_code == 200, response.text
    return response.json()["mod_wsgi.process_group"][1]


NAMES = """
WSGIRestrictEmbedded Off
WSGIDaemonProcess one
WSGIDaemonProcess two
WSGIDaemonProcess localhost:${port}
WSGIDaemonProcess localhost:${port}|/resource
WSGIDaemonProcess other.example:${port}
WSGIScriptAlias /app "${apps}/environ.wsgi"
WSGIScriptAlias /embedded "${apps}/environ.wsgi"
WSGIScriptAlias /option "${apps}/environ.wsgi" process-group=two
WSGIScriptAlias /global "${apps}/environ.wsgi" process-group=%{GLOBAL}
WSGIScriptAlias /server "${apps}/environ.wsgi"
WSGIScriptAlias /host "${apps}/environ.wsgi"
WSGIScriptAlias /resource "${apps}/environ.wsgi"
WSGIScriptAlias /variable "${apps}/environ.wsgi"
WSGIScriptAlias /absent "${apps}/environ.wsgi"
WSGIProcessGroup one
<Location "/embedded">
    WSGIProcessGroup %{GLOBAL}
</Location>
<Location "/server">
    WSGIProcessGroup %{SERVER}
</Location>
<Location "/host">
    WSGIProcessGroup %{HOST}
</Location>
<Location "/resource">
    WSGIProcessGroup %{RESOURCE}
</Location>
SetEnvIf X-Group ^(.+)$ CHOSEN=$1
<Location "/variable">
    WSGIProcessGroup %{ENV:CHOSEN}
</Location>
<Location "/absent">
    WSGIProcessGroup missing
</Location>
"""

HOSTS = """
WSGIDaemonProcess main
WSGIScriptAlias /app "${apps}/environ.wsgi"
WSGIScriptAlias /errors "${apps}/errors.wsgi"
Listen 127.0.0.1:${port2}
<VirtualHost 127.0.0.1:${port2}>
    ServerName shop.example
    ErrorLog "${root}/logs/shop_error.log"
    WSGIDaemonProcess shop
    WSGIProcessGroup shop
</VirtualHost>
Listen 127.0.0.1:${port3}
<VirtualHost 127.0.0.1:${port3}>
    ServerName shop.example
    ErrorLog "${root}/logs/twin_error.log"
    WSGIProcessGroup shop
</VirtualHost>
<VirtualHost 127.0.0.1:${port3}>
    ServerName stranger.example
    WSGIProcessGroup shop
</VirtualHost>
<VirtualHost 127.0.0.1:${port3}>
    ServerName friend.example
    WSGIProcessGroup main
</VirtualHost>
"""


@pytest.fixture(scope="module")
def named(start_shared):
    return start_shared(NAMES)


@pytest.fixture(scope="module")
def hosts(start_shared):
    return start_shared(HOSTS)


@pytest.mark.server("httpd")
class TestNames:
    @pytest.fixture
    def server(self, named):
        return named

    def test_of_the_server(self, server):
        assert group_of(server) == "one"

    def test_embedded_beside_groups(self, server):
        assert group_of(server, "/embedded") == ""

    def test_an_option_of_the_alias(self, server):
        assert group_of(server, "/option") == "two"
        assert group_of(server, "/global") == ""

    def test_the_server_name(self, server):
        assert group_of(server, "/server") == f"localhost:{server.port}"

    def test_the_host(self, server):
        assert group_of(server, "/host", headers={"Host": f"other.example:{server.port}"}) == (
            f"other.example:{server.port}"
        )

    def test_the_resource(self, server):
        assert group_of(server, "/resource") == f"localhost:{server.port}|/resource"

    def test_a_variable(self, server):
        assert group_of(server, "/variable", headers={"X-Group": "two"}) == "two"

    @pytest.mark.provokes("WSGI0150|WSGI0151")
    @pytest.mark.parametrize(
        ("url", "headers", "name"),
        [("/absent", {}, "missing"), ("/variable", {"X-Group": "nobody"}, "nobody"), ("/host", {}, None)],
    )
    def test_an_unknown_name(self, server, url, headers, name):
        if url == "/host":
            headers, name = {"Host": "stranger.example"}, "stranger.example"
        since = server.error_log.position()
        assert server.get(url, headers=headers).status_code == 500
        (entry,) = server.error_log.wait_for("WSGI015[01]", since)
        assert f"'{name}" in entry.text

    def test_each_group_has_its_process(self, server):
        assert group_of(server) != group_of(server, "/option")


@pytest.mark.server("httpd")
class TestVirtualHosts:
    @pytest.fixture
    def server(self, hosts):
        return hosts

    def test_its_own(self, server):
        assert group_of(server, f"http://localhost:{server.port2}/app") == "shop"

    def test_its_twin(self, server):
        """Another virtual host of the same name, as that for TLS is."""
        url = f"http://localhost:{server.port3}/app"
        assert group_of(server, url, headers={"Host": "shop.example"}) == "shop"

    @pytest.mark.provokes("WSGI0152")
    def test_a_stranger(self, server):
        url = f"http://localhost:{server.port3}/app"
        assert server.get(url, headers={"Host": "stranger.example"}).status_code == 500

    def test_a_group_of_the_main_server_is_for_all(self, server):
        url = f"http://localhost:{server.port3}/app"
        assert group_of(server, url, headers={"Host": "friend.example"}) == "main"

    @pytest.mark.provokes("written by twin", "written by shop")
    @pytest.mark.differs("a request is logged in the log of the virtual host it came to")
    def test_a_request_logs_where_it_came_to(self, server):
        """And not where its group was defined."""
        for name, port in (("twin", server.port3), ("shop", server.port2)):
            url = f"http://localhost:{port}/errors/print"
            server.get(url, params={"text": f"written by {name}"}, headers={"Host": "shop.example"})
        server.settle()
        for name in ("twin", "shop"):
            where = {log.path.stem for log in server.error_logs() if log.find(f"written by {name}")}
            assert where == {f"{name}_error"}

    def test_the_group_logs_where_it_was_defined(self, server):
        assert server.log("shop_error").wait_for("daemon process 'shop'")


@pytest.mark.server("httpd")
class TestRestrictions:
    @pytest.mark.provokes("WSGI0149")
    def test_groups_that_are_not_on_the_list(self, start):
        server = start(f"""
            WSGIDaemonProcess one
            WSGIDaemonProcess two
            WSGIScriptAlias /one "${{apps}}/environ.wsgi" process-group=one
            WSGIScriptAlias /two "${{apps}}/environ.wsgi" process-group=two
            {ALIAS}
            WSGIRestrictProcess two
            """)
        assert server.get("/one").status_code == 500
        assert server.get("/app").status_code == 500
        assert group_of(server, "/two") == "two"

    def test_the_list_of_a_directory_replaces_the_servers(self, start):
        server = start("""
            WSGIDaemonProcess one
            WSGIDaemonProcess two
            WSGIScriptAlias /one "${apps}/environ.wsgi" process-group=one
            WSGIRestrictProcess two
            <Location "/one">
                WSGIRestrictProcess one
            </Location>
            """)
        assert group_of(server, "/one") == "one"

    @pytest.mark.provokes("WSGI0143")
    def test_embedded_mode_off(self, start):
        server = start(f"""
            WSGIDaemonProcess one
            WSGIScriptAlias /one "${{apps}}/environ.wsgi" process-group=one
            {ALIAS}
            WSGIRestrictEmbedded On
            """)
        assert group_of(server, "/one") == "one"
        assert server.get("/app").status_code == 500


def socket_prefix(path: str) -> Lines:
    return Lines(f'WSGISocketPrefix "{path}"', nginx_http=f'wsgi_socket_prefix "{path}";')


class TestSocket:
    @pytest.fixture
    def sockets(self, start):
        def make(*groups, prefix="run/wsgi", folders=()):
            parts = [socket_prefix(prefix), *groups, Use("one"), Mount("/app", "${apps}/environ.wsgi")]
            server = start(parts, folders=folders)
            assert group_of(server) == "one"
            return server, sorted(server.root.rglob("*.sock"))

        return make

    def test_its_place_and_name(self, sockets):
        """<prefix>.<parent pid>.<generation>.<number of the group>.sock"""
        server, (path,) = sockets(Group("one"))
        assert path.parent == server.root / "run"
        # nginx counts no generations: there it is the time.
        generation = "0" if server.lane.server == "httpd" else "[0-9a-f]+"
        assert re.fullmatch(rf"wsgi\.{server.process.pid}\.{generation}\.1\.sock", path.name)

    @pytest.mark.differs("sockets lie in DefaultRuntimeDir where there is no prefix")
    def test_its_default_place(self, start):
        server = start([Group("one")])
        (path,) = server.root.rglob("*.sock")
        assert path.parent == server.root / "run"
        assert path.name.startswith("wsgi.")

    def test_one_for_each_group(self, sockets):
        _server, paths = sockets(Group("one"), Group("two"))
        assert [path.name.split(".")[3] for path in paths] == ["1", "2"]

    def test_a_prefix(self, sockets):
        _server, (path,) = sockets(Group("one"), prefix="${root}/sockets/site", folders=["sockets"])
        assert path.parent.name == "sockets"
        assert path.name.startswith("site.")

    def test_a_relative_prefix(self, sockets):
        """Is below ServerRoot, or nginx's prefix."""
        server, (path,) = sockets(Group("one"), prefix="run/site")
        assert path.parent == server.root / "run"
        assert path.name.startswith("site.")

    @pytest.mark.root
    def test_only_the_server_may_connect(self, sockets):
        _server, (path,) = sockets(Group("one", "user=games"))
        found = path.stat()
        assert found.st_uid == pwd.getpwnam(server_account()).pw_uid
        assert stat.S_IMODE(found.st_mode) & 0o077 == 0

    @pytest.mark.root
    def test_socket_user(self, sockets):
        """For a server whose children switch users; here they do not, and so cannot connect."""
        _server, (path,) = sockets(Group("one", f"socket-user={server_account()}"))
        assert path.stat().st_uid == pwd.getpwnam(server_account()).pw_uid

    @pytest.mark.root
    @pytest.mark.provokes("WSGI0117|WSGI0116")
    def test_another_socket_user(self, start):
        server = start(
            [
                socket_prefix("run/wsgi"),
                Group("one", "socket-user=games"),
                Use("one"),
                Mount("/app", "${apps}/environ.wsgi"),
            ]
        )
        assert server.get("/app").status_code == 503
        (path,) = server.root.rglob("*.sock")
        assert path.stat().st_uid == pwd.getpwnam("games").pw_uid

    def test_each_generation_has_its_own(self, sockets):
        server, (first,) = sockets(Group("one"))
        server.graceful()
        assert group_of(server) == "one"
        paths = sorted(server.root.rglob("*.sock"))
        assert paths != [first]

    @pytest.mark.server("httpd")
    @pytest.mark.differs("WSGISocketRotation Off has no effect, and says so")
    def test_without_rotation(self, sockets):
        """There is nothing to keep a name for: who has the old one is served until its end."""
        server, (first,) = sockets(Lines("WSGISocketRotation Off"), Group("one"))
        server.error_log.wait_for("WSGISocketRotation has no effect")
        server.graceful()
        assert group_of(server) == "one"
        wait_until(lambda: first not in server.root.rglob("*.sock"), "the first generation's socket to go")

    @START_FAILED
    @pytest.mark.differs("a group whose socket cannot be made fails the server's start", run=False)
    def test_a_prefix_that_cannot_be(self, new_server):
        server = new_server([socket_prefix("/no/such/folder/wsgi"), Group("one")])
        with pytest.raises(ServerStartError, match="/no/such/folder/wsgi"):
            server.start()

    @START_FAILED
    @pytest.mark.differs("a group whose socket cannot be made fails the server's start", run=False)
    def test_a_path_that_is_too_long(self, new_server):
        """The system allows 107 bytes."""
        server = new_server([socket_prefix(f"${{root}}/run/{'x' * 120}"), Group("one")])
        with pytest.raises(ServerStartError, match="xxxx"):
            server.start()


@pytest.mark.root
class TestScriptOwner:
    """script-user and script-group: whose the script and its folder must be."""

    @pytest.fixture
    def owned(self, start, servers):
        def make(options, owner=None, group=None, mode=0o644, folder_mode=0o755):
            server = start(
                [Group("g", options), Use("g"), Mount("/app", "${root}/site/app.wsgi")],
                files={"site/app.wsgi": (servers.folder / "apps" / "environ.wsgi").read_text()},
            )
            for path, bits in ((server.root / "site", folder_mode), (server.root / "site/app.wsgi", mode)):
                os.chown(
                    path,
                    pwd.getpwnam(owner).pw_uid if owner else -1,
                    grp.getgrnam(group).gr_gid if group else -1,
                )
                path.chmod(bits)
            return server

        return make

    def test_its_user(self, owned):
        server = owned("script-user=games", owner="games")
        assert server.get("/app").status_code == 200

    def test_its_group(self, owned):
        server = owned("script-group=games", group="games")
        assert server.get("/app").status_code == 200

    @pytest.mark.provokes(r"WSGI01(5[3-9]|6\d|7[0-3])")
    @pytest.mark.parametrize(
        ("options", "how"),
        [
            ("script-user=games", {"owner": "daemon"}),
            ("script-user=games", {"owner": "games", "mode": 0o664}),
            ("script-user=games", {"owner": "games", "mode": 0o646}),
            ("script-user=games", {"owner": "games", "folder_mode": 0o775}),
            ("script-group=games", {"group": "daemon"}),
            ("script-group=games", {"group": "games", "mode": 0o646}),
            ("script-group=games", {"group": "games", "folder_mode": 0o757}),
        ],
    )
    def test_what_is_refused(self, owned, options, how):
        since_none = owned(options, **how)
        assert since_none.get("/app").status_code == 403

    def test_a_group_may_write_where_the_group_counts(self, owned):
        server = owned("script-group=games", group="games", mode=0o664, folder_mode=0o775)
        assert server.get("/app").status_code == 200


@pytest.mark.server("httpd")
class TestAcceptMutex:
    @pytest.mark.allows("WSGI0017", on="references")
    @pytest.mark.parametrize("mechanism", ["default", "flock", "fcntl", "sysvsem", "posixsem", "pthread"])
    def test_every_mechanism_is_accepted(self, start, mechanism):
        server = start(
            f"WSGIAcceptMutex {mechanism}\nWSGIDaemonProcess g processes=2\nWSGIProcessGroup g\n{ALIAS}"
        )
        assert group_of(server) == "g"

    def test_another_word_is_refused(self, new_server):
        said = new_server("WSGIAcceptMutex roulette\n").configtest()
        assert said.returncode != 0
        assert "WSGIAcceptMutex" in said.stderr or "Accept mutex" in said.stderr


@pytest.mark.server("httpd")
def test_modules_see_one_server(start):
    """Groups do not change what httpd lists."""
    server = start("WSGIDaemonProcess g\n")
    listed = subprocess.run(server.command("-S"), capture_output=True, text=True, check=True, timeout=60)
    assert "ServerRoot" in listed.stdout
