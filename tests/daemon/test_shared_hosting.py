"""The example for shared hosting, as it is shipped: two sites of two users, each with its own Python."""

from __future__ import annotations

import pwd
import subprocess
from pathlib import Path

import pytest

from harness import pythons
from harness.places import REPOSITORY

pytestmark = pytest.mark.server("httpd")

EXAMPLE = REPOSITORY / "module-conf" / "apache" / "shared-hosting.conf"
# Accounts that every Debian has, in the place of the example's.
OWNERS = {"alice": "games", "bob": "news"}

SITE = """
import json, os, resource, sys
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    files = {}
    for name in json.loads(environ["HTTP_X_FILES"]):
        try:
            files[name] = open(name).read()
        except OSError as error:
            files[name] = type(error).__name__
    shown = {
        "user": os.getuid(), "group": os.getgid(), "groups": os.getgroups(), "folder": os.getcwd(),
        "prefix": sys.prefix, "version": list(sys.version_info[:2]), "files": files,
        "memory": resource.getrlimit(resource.RLIMIT_DATA)[0], "umask": os.umask(0o027),
        "process_group": environ["mod_wsgi.process_group"],
    }
    return [json.dumps(shown).encode()]
"""


def own(path: Path, user: str, mode: int) -> None:
    entry = pwd.getpwnam(user)
    subprocess.run(["chown", "-R", f"{entry.pw_uid}:{entry.pw_gid}", path], check=True)
    path.chmod(mode)


@pytest.fixture
def hosting(start, servers):
    """The server, and the home of each site."""
    found = [python.readable() for python in pythons.find() if python.home != pythons.DEBIAN][:2]
    assert len(found) == 2, "two Pythons are needed beside the distribution's"
    homes = {}
    text = EXAMPLE.read_text()
    for (name, user), python in zip(OWNERS.items(), found, strict=True):
        home = servers.folder / f"hosting-{name}"
        site = home / "site"
        (site / "static").mkdir(parents=True)
        subprocess.run([python.executable, "-m", "venv", "--without-pip", home / "venv"], check=True)
        (site / "wsgi.py").write_text(SITE)
        (site / "static" / "style.css").write_text(name)
        (site / "settings").write_text(f"{name}'s secret")
        own(home, user, 0o711)
        (site / "settings").chmod(0o600)
        homes[name] = home
        text = text.replace(f"/srv/{name}", str(home))
        text = text.replace(f"user={name} group={name}", f"user={user} group={user}")
        text = text.replace(f"script-user={name}", f"script-user={user}")
        text = text.replace(f"/var/log/apache2/{name}", f"${{root}}/{name}")
    assert "/srv/" not in text, "the example has grown"
    assert "/var/" not in text, "the example has grown"
    server = start(text.replace("*:80", "127.0.0.1:${port}"))
    return server, homes


@pytest.mark.root
@pytest.mark.differs("each group has a Python of its own", run=False)
def test_each_site_is_its_owners(hosting):
    server, homes = hosting
    secrets = [str(home / "site" / "settings") for home in homes.values()]
    headers = {"X-Files": str(secrets).replace("'", '"')}
    answers = {name: server.get("/", headers={"Host": f"{name}.example", **headers}).json() for name in homes}
    for name, answer in answers.items():
        entry = pwd.getpwnam(OWNERS[name])
        assert (answer["user"], answer["group"]) == (entry.pw_uid, entry.pw_gid)
        assert 0 not in answer["groups"]
        assert answer["prefix"] == str(homes[name] / "venv")
        assert answer["folder"] == str(homes[name] / "site")
        assert answer["process_group"] == name
        assert answer["umask"] == 0o027
        for other, home in homes.items():
            seen = answer["files"][str(home / "site" / "settings")]
            assert seen == (f"{name}'s secret" if other == name else "PermissionError")
    assert answers["alice"]["version"] != answers["bob"]["version"]
    assert answers["alice"]["memory"] == 1024**3
    assert answers["bob"]["memory"] == 512 * 1024**2
    assert server.get("/static/style.css", headers={"Host": "alice.example"}).text == "alice"
