"""The contenders: what a server loads, how a workload is mounted, what runs beside it. All else is alike."""

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from .kit import Kit, server_group, server_user
from .workload import Workload

FLOOR = "floor"
STATIC = "static"
REFERENCE = "mod_wsgi"
OURS = "oxwsgi"
GUNICORN = "gunicorn"
UWSGI = "uwsgi"
#: Before the names of those that are behind nginx.
NGINX = "nginx-"

#: Name of the process group, and how its processes are called in `ps`.
GROUP, GROUP_TITLE = "bench", "(wsgi:bench)"


@dataclass(frozen=True)
class Site:
    """The server that a contender is mounted in: its folder, the workload, and how many workers it may have.

    `is_marked`: the worker process has to answer marks, too.
    """

    folder: Path
    workload: Workload
    processes: int
    threads: int
    is_marked: bool

    @property
    def socket(self) -> Path:
        return self.folder / "worker.sock"

    @property
    def worker_mark(self) -> str:
        """Where a mark of the worker process is drawn: below the workload, in the same application server."""
        return f"/{self.workload.name}/bench-mark"


@dataclass(frozen=True)
class Contender:
    name: str
    kit: Kit

    #: What it is mounted in: httpd, or nginx.
    server: ClassVar[str] = "httpd"
    #: Response headers that it adds for good reason.
    extra_headers: ClassVar[frozenset[str]] = frozenset()
    #: Whether applications run in processes of their own.
    has_workers: ClassVar[bool] = False

    #: The workload that it has an answer to, if not all.
    only_workload: ClassVar[str | None] = None

    def serves(self, workload: Workload) -> bool:
        return self.only_workload in (None, workload.name)

    def modules(self) -> list[str]:
        """Modules of the server that it needs."""
        return []

    def configuration(self, site: Site) -> list[str]:
        """The lines of the server's configuration that differ; of nginx's those in its `server`."""
        raise NotImplementedError

    def application_server(self, _site: Site) -> tuple[list[str], dict[str, str]] | None:
        """Command and environment of a server beside httpd."""
        return None

    def is_ready(self, _site: Site) -> bool:
        """Whether the server beside httpd takes connections."""
        return True

    def script(self, site: Site) -> Path:
        return self.kit.apps / f"{site.workload.name}.wsgi"


class Floor(Contender):
    """The C handler that sends the same bytes."""

    def configuration(self, site: Site) -> list[str]:
        return [
            f'LoadModule bench_floor_module "{self.kit.floor}"',
            f'BenchFloor /{site.workload.name} "{self.script(site)}" {site.workload.name}',
        ]


class Static(Contender):
    """httpd's own handler of files."""

    extra_headers = frozenset({"last-modified", "etag", "accept-ranges"})
    only_workload = "file"

    def modules(self) -> list[str]:
        return ["alias"]

    def configuration(self, site: Site) -> list[str]:
        return [
            f'Alias /{site.workload.name} "{self.kit.static_file}"',
            f"<Location /{site.workload.name}>",
            "    ForceType application/octet-stream",
            "</Location>",
        ]


class Embedded(Contender):
    """A module that runs the application in httpd's children; `-sub`: in a sub-interpreter, the default."""

    def configuration(self, site: Site) -> list[str]:
        lines = [
            f'LoadModule wsgi_module "{self.module()}"',
            f'WSGIPythonHome "{self.kit.python_home}"',
            f'WSGIScriptAlias /{site.workload.name} "{self.script(site)}"',
        ]
        if not self.name.endswith("-sub"):
            lines.append("WSGIApplicationGroup %{GLOBAL}")
        return lines

    def module(self) -> Path:
        return self.kit.reference if self.name.startswith(REFERENCE) else self.kit.ours()


class Daemon(Embedded):
    """The same modules with one group of daemon processes."""

    has_workers = True

    def configuration(self, site: Site) -> list[str]:
        lines = [
            f'LoadModule wsgi_module "{self.module()}"',
            f'WSGISocketPrefix "{site.folder}/wsgi"',
            f"WSGIDaemonProcess {GROUP} processes={site.processes} threads={site.threads}"
            f' python-home="{self.kit.python_home}" display-name=%{{GROUP}}',
            f"WSGIProcessGroup {GROUP}",
            "WSGIApplicationGroup %{GLOBAL}",
        ]
        if site.is_marked:
            lines.append(f'WSGIScriptAlias {site.worker_mark} "{self.kit.apps}/mark.wsgi"')
        return [*lines, f'WSGIScriptAlias /{site.workload.name} "{self.script(site)}"']


class Proxied(Contender):
    """An application server of its own behind one of httpd's proxy modules, on a unix socket."""

    has_workers = True

    def is_ready(self, site: Site) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(site.socket)) == 0

    def environment(self, site: Site) -> dict[str, str]:
        variables = {"BENCH_SCRIPT": str(self.script(site))}
        if site.is_marked:
            variables["BENCH_MARK"] = str(self.kit.apps / "mark.wsgi")
        return variables


class Gunicorn(Proxied):
    """Gunicorn's threaded workers behind mod_proxy_http, over connections that persist at both ends."""

    def modules(self) -> list[str]:
        return ["proxy", "proxy_http"]

    def configuration(self, site: Site) -> list[str]:
        mount = f"/{site.workload.name}"
        # The proxy lets go of an idle connection before the application server does.
        options = f"enablereuse=on ttl={KEEP_ALIVE_SECONDS - 5} retry=0"
        return [f'ProxyPass "{mount}" "unix:{site.socket}|http://localhost{mount}" {options}']

    def application_server(self, site: Site) -> tuple[list[str], dict[str, str]]:
        python = str(self.kit.python_home / "bin/python")
        command = [python, "-m", "gunicorn", "--worker-class", "gthread", "--bind", f"unix:{site.socket}"]
        command += ["--workers", str(site.processes), "--threads", str(site.threads)]
        command += ["--keep-alive", str(KEEP_ALIVE_SECONDS), "--chdir", str(self.kit.apps)]
        if self.kit.is_root:
            command += ["--user", server_user(), "--group", server_group()]
        # This is how it is told of the prefix, which the applications do not want in PATH_INFO.
        environment = {**self.environment(site), "SCRIPT_NAME": f"/{site.workload.name}"}
        return [*command, "peer:application"], environment


class Uwsgi(Proxied):
    """uWSGI's threads behind mod_proxy_uwsgi."""

    def modules(self) -> list[str]:
        return ["proxy", "proxy_uwsgi"]

    def configuration(self, site: Site) -> list[str]:
        mount = f"/{site.workload.name}"
        return [f'ProxyPass "{mount}" "unix:{site.socket}|uwsgi://localhost{mount}" retry=0']

    def application_server(self, site: Site) -> tuple[list[str], dict[str, str]]:
        command = [str(self.kit.python_home / "bin/uwsgi"), "--master", "--die-on-term", "--need-app"]
        command += ["--processes", str(site.processes), "--threads", str(site.threads)]
        command += ["--socket", str(site.socket), "--disable-logging"]
        command += ["--virtualenv", str(self.kit.python_home), "--single-interpreter"]
        command += ["--manage-script-name", "--mount", f"/{site.workload.name}={self.kit.apps}/peer.py"]
        if self.kit.is_root:
            command += ["--uid", server_user(), "--gid", server_group()]
        return command, self.environment(site)


KEEP_ALIVE_SECONDS = 65


class Nginx(Contender):
    """What is mounted in nginx instead of httpd, in one `location` for the workload."""

    server = "nginx"

    def locations(self, site: Site) -> dict[str, list[str]]:
        """The directives of each prefix."""
        raise NotImplementedError

    def configuration(self, site: Site) -> list[str]:
        lines = []
        for prefix, directives in self.locations(site).items():
            lines += [f"location {prefix} {{", *(f"    {directive};" for directive in directives), "}"]
        return lines

    def http_configuration(self, _site: Site) -> list[str]:
        """Lines in `http`."""
        return []


class NginxFloor(Nginx):
    """`return 200`: what nginx itself costs."""

    only_workload = "hello"

    def locations(self, _site: Site) -> dict[str, list[str]]:
        return {"/hello": ["default_type text/plain", 'return 200 "Hello World!"']}


class NginxStatic(Nginx):
    """nginx's own handler of files, with sendfile."""

    extra_headers = Static.extra_headers
    only_workload = Static.only_workload

    def locations(self, site: Site) -> dict[str, list[str]]:
        mount = f"/{site.workload.name}"
        return {f"= {mount}": [f"alias {self.kit.static_file}", "default_type application/octet-stream"]}


class NginxOurs(Nginx):
    """Our module, with one group of daemon processes."""

    has_workers = True

    def modules(self) -> list[str]:
        return [str(self.kit.ours_for_nginx())]

    def http_configuration(self, site: Site) -> list[str]:
        return [
            f"wsgi_socket_prefix {site.folder}/wsgi;",
            f"wsgi_daemon_process {GROUP} processes={site.processes} threads={site.threads}"
            f' python_home={self.kit.python_home} "display_name=%{{GROUP}}";',
            f"wsgi_process_group {GROUP};",
        ]

    def locations(self, site: Site) -> dict[str, list[str]]:
        mounts = {f"/{site.workload.name}": [f"wsgi_pass {self.script(site)}"]}
        if site.is_marked:
            mounts[site.worker_mark] = [f"wsgi_pass {self.kit.apps}/mark.wsgi"]
        return mounts


class NginxGunicorn(Gunicorn, Nginx):
    """Gunicorn's threaded workers behind proxy_pass, over connections that persist at both ends."""

    server = "nginx"

    def modules(self) -> list[str]:
        return []

    def configuration(self, site: Site) -> list[str]:
        return Nginx.configuration(self, site)

    def http_configuration(self, site: Site) -> list[str]:
        # nginx lets go of an idle connection before the application server does.
        timeout = f"keepalive_timeout {KEEP_ALIVE_SECONDS - 5}s;"
        return [
            "upstream gunicorn {",
            f"    server unix:{site.socket};",
            "    keepalive 32;",
            f"    {timeout}",
            "}",
        ]

    def locations(self, site: Site) -> dict[str, list[str]]:
        header = 'proxy_set_header Connection ""'
        return {f"/{site.workload.name}": ["proxy_pass http://gunicorn", "proxy_http_version 1.1", header]}


class NginxUwsgi(Uwsgi, Nginx):
    """uWSGI's threads behind uwsgi_pass."""

    server = "nginx"

    def modules(self) -> list[str]:
        return []

    def configuration(self, site: Site) -> list[str]:
        return Nginx.configuration(self, site)

    def locations(self, site: Site) -> dict[str, list[str]]:
        return {
            f"/{site.workload.name}": [f"uwsgi_pass unix:{site.socket}", "include /etc/nginx/uwsgi_params"]
        }


_KINDS: dict[str, type[Contender]] = {
    FLOOR: Floor,
    REFERENCE: Embedded,
    REFERENCE + "-sub": Embedded,
    OURS: Embedded,
    OURS + "-sub": Embedded,
    REFERENCE + "-daemon": Daemon,
    OURS + "-daemon": Daemon,
    GUNICORN: Gunicorn,
    UWSGI: Uwsgi,
    STATIC: Static,
    NGINX + FLOOR: NginxFloor,
    NGINX + OURS: NginxOurs,
    NGINX + GUNICORN: NginxGunicorn,
    NGINX + UWSGI: NginxUwsgi,
    NGINX + STATIC: NginxStatic,
}

CONTENDERS = tuple(_KINDS)


def contender(name: str, kit: Kit) -> Contender:
    return _KINDS[name](name, kit)
