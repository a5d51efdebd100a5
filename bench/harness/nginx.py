"""One private nginx, in the place of the httpd of `server`."""

from typing import ClassVar

from . import processes
from .contender import Contender, Nginx
from .kit import server_group, server_user
from .server import Server
from .workload import NEIGHBOUR, Workload

#: One process, as httpd's event MPM has one.
CONFIGURATION = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log error;
{user}
{modules}
events {{ worker_connections 512; }}
http {{
    access_log off;
    server_tokens off;
    sendfile on;
    keepalive_requests 1000000000;
    keepalive_timeout 60s;
    client_max_body_size 16m;
    client_body_buffer_size 1m;
    client_body_temp_path {folder}/client_body;
    proxy_temp_path {folder}/proxy;
    uwsgi_temp_path {folder}/uwsgi;
    fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi;
    {http}
    server {{
        listen 127.0.0.1:{port};
        server_name bench.example;
        # Asks the system for this name, which strace sees, and answers with who did.
        location = /bench-mark {{
            if (-f /oxwsgi-bench-mark) {{ return 404; }}
            return 200 "marked $pid\\n";
        }}
        # What nginx serves by itself beside the application.
        location = /{neighbour} {{
            alias {neighbour_file};
            default_type application/octet-stream;
        }}
        {contender}
    }}
}}
"""


class NginxServer(Server):
    """`workers` and `mpm` mean nothing here."""

    side: ClassVar[str] = "nginx"
    complaint: ClassVar[str] = r"^\S+ \S+ \[(warn|error|crit|alert|emerg)\]"

    def configure(self) -> None:
        contender = self.contender
        assert isinstance(contender, Nginx)
        self.write(NEIGHBOUR)
        text = CONFIGURATION.format(
            folder=self.folder,
            port=self.port,
            user=f"user {server_user()} {server_group()};" if contender.kit.is_root else "",
            modules="\n".join(f"load_module {module};" for module in contender.modules()),
            http="\n    ".join(contender.http_configuration(self.site)),
            neighbour=NEIGHBOUR.name,
            neighbour_file=self.files(NEIGHBOUR)[1],
            contender="\n        ".join(contender.configuration(self.site)),
        )
        (self.folder / "nginx.conf").write_text(text)

    def pids(self) -> list[int]:
        """Also those of our supervisor's, which is no child of nginx; it has nginx's log open."""
        return list(dict.fromkeys([*super().pids(), *processes.below(*processes.holders(self.folder))]))

    def command(self) -> list[str]:
        return [str(self.contender.kit.nginx), "-p", str(self.folder), "-c", str(self.folder / "nginx.conf")]


def server_of(contender: Contender, workload: Workload, **options) -> Server:
    """The server that the contender is mounted in, not started yet."""
    kind = NginxServer if contender.server == "nginx" else Server
    return kind(contender, workload, **options)
