"""Runs the real command with the real servers. What the tests of `oxwsgi serve` share.

OXWSGI_TEST_COMMAND       the command (default: target/release/oxwsgi)
OXWSGI_TEST_MODULE        the Apache module (default: target/release/libmod_oxwsgi.so)
OXWSGI_TEST_NGINX_MODULE  the nginx module (default: target/nginx/release/libmod_oxwsgi.so)
OXWSGI_TEST_PYTHON        the Python of the applications (default: /usr/bin/python3)

Run as root, each run is made both as root and as an ordinary user; run as an ordinary user, only as that.

What a server takes part in is tried with httpd and nginx: tests marked `every_server`, and `every_placement`
where the application may also be inside httpd. The rest is decided before any server starts, in code that
asks for none, and is tried with httpd, the command's default.
"""

import contextlib
import http.client
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ORDINARY_USER = "nobody"
URL_LINE = re.compile(r"^(http://\S+) serves ", re.MULTILINE)


def setting(name, default):
    path = Path(os.environ.get(name, default)).resolve()
    if not path.exists():
        pytest.fail(f"{path} is not there; build it or set {name}", pytrace=False)
    return path


@pytest.fixture(scope="session")
def command():
    return setting("OXWSGI_TEST_COMMAND", ROOT / "target/release/oxwsgi")


def pytest_generate_tests(metafunc):
    marked = {mark.name for mark in metafunc.definition.iter_markers()}
    both = [("apache", "daemon"), ("nginx", "daemon")]
    if "every_server" in marked:
        metafunc.parametrize(("server", "placement"), both, ids=["apache", "nginx"], indirect=True)
    if "every_placement" in marked:
        ids = ["apache", "nginx", "apache-embedded"]
        metafunc.parametrize(("server", "placement"), [*both, ("apache", "embedded")], ids=ids, indirect=True)


@pytest.fixture
def server(request):
    """Which server the command runs: "apache", as without an option, or "nginx"."""
    return getattr(request, "param", "apache")


@pytest.fixture
def server_name(server):
    """What messages call it."""
    return {"apache": "httpd", "nginx": "nginx"}[server]


@pytest.fixture(scope="session")
def modules(request):
    """The module of each server, as built; nginx's stands beside what belongs to it by links."""
    given = request.config.getoption
    apache = setting(
        "OXWSGI_TEST_MODULE", given("--module", default=None) or ROOT / "target/release/libmod_oxwsgi.so"
    )
    built = setting(
        "OXWSGI_TEST_NGINX_MODULE",
        given("--nginx-module", default=None) or ROOT / "target/nginx/release/libmod_oxwsgi.so",
    )
    place = Path(tempfile.mkdtemp(prefix="serve-modules-"))
    place.chmod(0o755)
    nginx = place / "ngx_http_oxwsgi_module.so"
    nginx.symlink_to(built)
    for name in ("oxwsgi", "liboxwsgi_runtime.so"):
        (place / name).symlink_to(apache.with_name(name))
    yield {"apache": apache, "nginx": nginx}
    shutil.rmtree(place)


@pytest.fixture
def module(modules, server):
    return modules[server]


@pytest.fixture(scope="session")
def python():
    # Not resolved: a virtual environment's python is a link.
    return Path(os.environ.get("OXWSGI_TEST_PYTHON", "/usr/bin/python3"))


@pytest.fixture(scope="session")
def httpd():
    path = shutil.which("apache2") or shutil.which("httpd") or "/usr/sbin/apache2"
    assert Path(path).exists(), "httpd is not installed"
    return path


@pytest.fixture(scope="session")
def nginx():
    path = shutil.which("nginx") or "/usr/sbin/nginx"
    assert Path(path).exists(), "nginx is not installed"
    return path


@pytest.fixture(scope="session")
def frameworks(python):
    """A virtual environment with Flask and Django that every user can read."""
    place = ROOT / "target/serve-venv"
    wanted = [ROOT / f"examples/{name}/requirements.txt" for name in ("hello_flask", "django_site")]
    stamp = place / "complete"
    text = "".join(path.read_text() for path in wanted) + str(python)
    if not (stamp.exists() and stamp.read_text() == text):
        shutil.rmtree(place, ignore_errors=True)
        subprocess.run([python, "-m", "venv", place], check=True)
        arguments = [f"--requirement={path}" for path in wanted]
        subprocess.run([ROOT / "tools/pip-install", place, *arguments], check=True)
        stamp.write_text(text)
    return place


@pytest.fixture(params=["root", "ordinary"])
def user(request):
    """Who runs the command: None is root, else a user's name."""
    if os.geteuid() != 0:
        if request.param == "root":
            pytest.skip("only root can run the command as root")
        return pwd.getpwuid(os.geteuid()).pw_name
    return None if request.param == "root" else ORDINARY_USER


@pytest.fixture
def identity(user):
    """For subprocess: what makes a process run as `user`."""
    if user is None or os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


@pytest.fixture
def folder():
    """A directory below the temporary directory that every user can read; pytest's own is closed."""
    path = Path(tempfile.mkdtemp(prefix="serve-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def write(folder):
    """Writes a file of the application under test."""

    def write(name, text):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # At no moment is a file empty that was there and is changed: who looks at it meanwhile finds a text.
        with path.open("r+b" if path.exists() else "wb") as file:
            file.write(textwrap.dedent(text).encode())
            file.truncate()
        return path

    return write


def command_line(pid):
    """Empty when the process has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


@dataclass
class Answer:
    status: int
    headers: dict
    body: bytes

    @property
    def text(self):
        return self.body.decode()


@dataclass
class Run:
    """One run of the command."""

    process: subprocess.Popen
    temporary: Path
    output: str = ""
    errors: str = ""
    url: str = ""
    readers: list = field(default_factory=list)
    groups: set = field(default_factory=set)

    def read(self, stream, name):
        def run():
            with contextlib.suppress(OSError):
                for line in iter(stream.readline, b""):
                    setattr(self, name, getattr(self, name) + line.decode(errors="replace"))

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self.readers.append(thread)

    def until(self, condition, what, seconds=30):
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"{what} did not happen in {seconds} s\n{self.told()}")
            time.sleep(0.02)

    def told(self):
        return f"--- standard output\n{self.output}--- standard error\n{self.errors}---"

    def ready(self):
        self.until(lambda: URL_LINE.search(self.output) or self.process.poll() is not None, "readiness")
        found = URL_LINE.search(self.output)
        assert found, f"ended with status {self.process.returncode}\n{self.told()}"
        self.url = found[1]
        self.processes()
        return self

    @property
    def address(self):
        host, port = self.url.removeprefix("http://").split("/")[0].rsplit(":", 1)
        return host.strip("[]"), int(port)

    def ask(self, path="/", method="GET", body=None, headers=None):
        connection = http.client.HTTPConnection(*self.address, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, body=body, headers=headers or {})
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())

    def ended(self, seconds=30):
        """Waits for the end and gives the exit status."""
        status = self.process.wait(seconds)
        for thread in self.readers:
            thread.join(30)
        return status

    def stop(self, number=signal.SIGINT, seconds=30):
        self.process.send_signal(number)
        return self.ended(seconds)

    def processes(self):
        """Processes of this run but the command: their environment has its temporary directory.

        nginx writes titles over its environment: that of its first process names the directory, too, and all
        are of its process group, which is remembered for when that process is gone.
        """
        mark = f"\0TMPDIR={self.temporary}\0".encode()
        pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        found = set()
        for pid in pids:
            with contextlib.suppress(OSError):
                # A process that has ended and was not waited for yet has none.
                if mark in b"\0" + Path(f"/proc/{pid}/environ").read_bytes():
                    found.add(pid)
                title = command_line(pid)
                if title.startswith("nginx: master process ") and f"{self.temporary}/" in title:
                    self.groups.add(os.getpgid(pid))
        for pid in pids:
            with contextlib.suppress(OSError):
                if os.getpgid(pid) in self.groups and command_line(pid):
                    found.add(pid)
        return sorted(found - {self.process.pid})

    def server(self):
        """Those of the server itself, the oldest first.

        httpd's command lines name the private directory; nginx's say what each process is.
        """
        own = [pid for pid in self.processes() if f"{self.temporary}/" in command_line(pid)]
        nginx = [pid for pid in self.processes() if command_line(pid).startswith("nginx: ")]
        return sorted({*own, *nginx})

    def supervisors(self):
        """Those that look after the application's processes."""
        return [pid for pid in self.processes() if "/oxwsgi supervise " in command_line(pid)]

    def directories(self):
        return sorted(self.temporary.glob("oxwsgi-serve-*"))


@pytest.fixture
def placement(request):
    """Where the application runs: in "daemon" processes, as without an option, or "embedded" in httpd."""
    return getattr(request, "param", "daemon")


@pytest.fixture
def launch(command, module, python, identity, folder, server, placement):
    """Starts `oxwsgi serve` as the user of the test; after the test nothing of it may be left."""
    runs = []

    def launch(*arguments, cwd=folder, environment=None, module=module, python=python, port=0, **options):
        line = [command, "serve", *arguments]
        line += ["--server", server] if server != "apache" else []
        line += ["--embedded"] if placement == "embedded" else []
        line += ["--port", str(port)] if port is not None else []
        line += ["--module", module] if module else []
        line += ["--python", python] if python else []
        temporary = Path(tempfile.mkdtemp(prefix="serve-run-"))
        temporary.chmod(0o1777)
        variables = {
            key: value for key, value in os.environ.items() if key not in ("VIRTUAL_ENV", "NO_COLOR")
        }
        variables |= {"TMPDIR": str(temporary)} | (environment or {})
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        process = subprocess.Popen(
            list(map(str, line)), cwd=cwd, env=variables, stdin=subprocess.DEVNULL, **identity, **streams
        )
        run = Run(process, temporary)
        if streams["stdout"] == subprocess.PIPE:
            run.read(process.stdout, "output")
        if streams["stderr"] == subprocess.PIPE:
            run.read(process.stderr, "errors")
        runs.append(run)
        return run

    yield launch
    for run in runs:
        if run.process.poll() is None:
            run.stop()
        left = run.processes()
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(run.temporary)
        assert not left, f"processes of the server are left: {left}\n{run.told()}"


@pytest.fixture
def serve(launch):
    """Starts the command and waits until it says that it is ready."""
    return lambda *arguments, **options: launch(*arguments, **options).ready()


@pytest.fixture
def refuse(launch):
    """Runs the command to the end that it must come to by itself; gives what it says."""

    def refuse(*arguments, status=1, **options):
        run = launch(*arguments, **options)
        assert run.ended() == status, run.told()
        assert not run.directories(), "the private directory is left"
        return run.errors

    return refuse


@pytest.fixture(autouse=True)
def hello(write):
    """The smallest application, in the directory of every test."""
    return write(
        "hello.wsgi",
        """\
        def application(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [environ["SCRIPT_NAME"].encode() + b"|" + environ["PATH_INFO"].encode()]
        """,
    )


@pytest.fixture
def busy_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def pytest_report_header():
    return f"oxwsgi serve: {sys.version.split()[0]} runs the tests as {pwd.getpwuid(os.geteuid()).pw_name}"
