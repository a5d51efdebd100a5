"""Options, lanes, shared fixtures, and the rule that every test answers for the error log."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from harness import lane as lanes
from harness.config import Config, Part
from harness.contract import contract_config
from harness.httpd import Mpm
from harness.lane import Lane, MissingComponentError
from harness.places import FRAMEWORKS, REPOSITORY
from harness.server import Server
from harness.servers import Servers
from harness.site import Site

MPMS = ("event", "worker", "prefork")
# Folders whose tests are about one server.
_SERVER_OF_FOLDER = {"apache": lanes.HTTPD, "nginx": lanes.NGINX}
_LANES = pytest.StashKey[list[Lane]]()
_OUTCOME = pytest.StashKey[pytest.TestReport]()
_DIFFERENCES = pytest.StashKey[dict[str, set[str]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("oxwsgi")
    group.addoption(
        "--lane",
        action="append",
        choices=lanes.NAMES,
        help=f"gateway and mode to test; repeatable (default: {', '.join(lanes.DEFAULT)})",
    )
    group.addoption(
        "--python",
        action="append",
        default=[],
        metavar="HOME",
        help="Python of our own lanes; repeatable",
    )
    group.addoption("--mpm", choices=MPMS, default="event", help="httpd's multi-processing module")
    group.addoption(
        "--module",
        type=Path,
        default=REPOSITORY / "target" / "release" / "libmod_oxwsgi.so",
        help="the built module for Apache, with liboxwsgi_runtime.so and oxwsgi beside it",
    )
    group.addoption(
        "--nginx-module",
        type=Path,
        default=REPOSITORY / "target" / "nginx" / "release" / "libmod_oxwsgi.so",
        help="the built module for nginx",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_DIFFERENCES] = {}
    names = config.getoption("--lane") or lanes.DEFAULT
    try:
        modules = {
            lanes.APACHE: config.getoption("--module").resolve(),
            lanes.NGINX: config.getoption("--nginx-module").resolve(),
        }
        config.stash[_LANES] = lanes.choose(names, config.getoption("--python"), modules)
    except MissingComponentError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "lane" in metafunc.fixturenames:
        chosen = metafunc.config.stash[_LANES]
        wants_every_python = metafunc.definition.get_closest_marker("every_python") is not None
        if not wants_every_python:
            chosen = _worth_trying(chosen, _folder(metafunc.definition))
        metafunc.parametrize("lane", chosen, ids=lambda lane: lane.id, indirect=True, scope="session")
    if "mpm" in metafunc.fixturenames and metafunc.definition.get_closest_marker("every_mpm"):
        metafunc.parametrize("mpm", MPMS, indirect=True, scope="session")


def _worth_trying(chosen: Sequence[Lane], folder: str) -> list[Lane]:
    """Those of the newest Python; what applications may rely on is tried with more of them."""
    by_name: dict[str, list[Lane]] = {}
    for lane in sorted(chosen, key=lambda lane: lane.python.version):
        by_name.setdefault(lane.name, []).append(lane)
    worth = []
    for found in by_name.values():
        if folder not in ("contract", "frameworks"):
            worth += found[-1:]
        elif found[0].server == lanes.NGINX and len(found) > 2:
            # What a worker does with each does not depend on who sends it requests: httpd's lane tries all.
            worth += [found[0], found[-1]]
        else:
            worth += found
    return worth


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what cannot be; a test of a deliberate difference must fail on the reference."""
    foreign = [
        item
        for item in items
        if _is_of_another_mode(item) or _is_of_another_server(item) or _needs_another_user(item)
    ]
    items[:] = [item for item in items if item not in set(foreign)]
    config.hook.pytest_deselected(items=foreign)
    for item in items:
        lane = _lane_of(item)
        if lane is None or not lane.is_reference:
            continue
        for mark in item.iter_markers("differs"):
            (reason,) = mark.args
            if lane.answers_to(mark.kwargs.get("reference")):
                item.add_marker(
                    pytest.mark.xfail(reason=reason, strict=True, run=mark.kwargs.get("run", True))
                )
                config.stash[_DIFFERENCES].setdefault(lane.name, set()).add(reason)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Make what takes long the first time, and is kept, before the time of any test runs."""
    if session.config.option.collectonly:
        return
    wanted = {(_lane_of(item), _folder(item) == "frameworks") for item in session.items}
    for lane, has_frameworks in wanted:
        if lane is not None:
            lane.prepare()
            if has_frameworks:
                lane.readable_python.venv(FRAMEWORKS)


def _folder(item: pytest.Item | pytest.Function) -> str:
    """The folder of tests/ a test lies in."""
    return item.path.relative_to(Path(__file__).parent).parts[0]


def _lane_of(item: pytest.Item) -> Lane | None:
    callspec = getattr(item, "callspec", None)
    return callspec.params.get("lane") if callspec else None


def _is_of_another_mode(item: pytest.Item) -> bool:
    """Whether a test is about what its lane's mode does not have."""
    lane = _lane_of(item)
    modes = {mark.args[0] for mark in item.iter_markers("mode")}
    if _folder(item) == lanes.DAEMON:
        modes.add(lanes.DAEMON)
    return lane is not None and bool(modes) and lane.mode not in modes


def _is_of_another_server(item: pytest.Item) -> bool:
    """Whether a test is about what its lane's server does not have."""
    lane = _lane_of(item)
    servers = {mark.args[0] for mark in item.iter_markers("server")}
    servers |= {server for folder, server in _SERVER_OF_FOLDER.items() if folder == _folder(item)}
    if lane is None:
        return False
    # Only httpd has more than one way to use its processes and threads.
    mpm = item.callspec.params.get("mpm", MPMS[0]) if lane.server != lanes.HTTPD else MPMS[0]
    return (bool(servers) and lane.server not in servers) or mpm != MPMS[0]


def _needs_another_user(item: pytest.Item) -> bool:
    return item.get_closest_marker("root") is not None and os.getuid() != 0


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    for name, reasons in config.stash[_DIFFERENCES].items():
        terminalreporter.section(f"where we differ from {name}, as asserted")
        for reason in sorted(reasons):
            terminalreporter.line(f"* {reason}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    report = yield
    if report.when == "call":
        item.stash[_OUTCOME] = report
    servers = item.funcargs.get("servers") if hasattr(item, "funcargs") else None
    if report.failed and servers is not None:
        report.sections.append(("error logs", servers.unread_text()))
    return report


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    servers = Servers()
    yield servers
    servers.close()


@pytest.fixture(scope="session")
def lane(request: pytest.FixtureRequest) -> Lane:
    """The gateway and Python this test runs against."""
    return request.param


@pytest.fixture(scope="session")
def mpm(request: pytest.FixtureRequest) -> Mpm:
    """The multi-processing module: each one for a test marked `every_mpm`, else the one chosen by `--mpm`."""
    return Mpm(getattr(request, "param", request.config.getoption("--mpm")))


@pytest.fixture(autouse=True)
def error_log_is_an_assertion(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test whose servers logged a warning it did not declare, or lack a line it did."""
    if "lane" not in request.fixturenames:
        yield
        return
    servers: Servers = request.getfixturevalue("servers")
    yield
    servers.settle()
    outcome = request.node.stash.get(_OUTCOME, None)
    if outcome is None or not outcome.passed:
        servers.skip_past()
        return
    lane: Lane = request.getfixturevalue("lane")
    problems = servers.check(lane, _declared(request, lane, "provokes"), _declared(request, lane, "allows"))
    assert not problems, "\n".join(["the error log is not as declared", *problems])


def _declared(request: pytest.FixtureRequest, lane: Lane, marker: str) -> list[str]:
    """What the test's markers of that name declare for the lane; `on` limits one to some lanes."""
    return [
        what
        for mark in request.node.iter_markers(marker)
        if lane.answers_to(mark.kwargs.get("on"))
        for what in mark.args
    ]


@pytest.fixture(scope="session")
def gateway(servers: Servers, lane: Lane, request: pytest.FixtureRequest) -> Iterator[Server]:
    """The shared server of the contract suite: each application of tests/apps at `/<its name>`."""
    mpm = Mpm(request.config.getoption("--mpm"))
    with servers.running(lane, contract_config(servers.folder / "apps"), mpm=mpm) as server:
        yield server
    _require_quiet_stop(servers, lane)


StartServer = Callable[..., Server]


@pytest.fixture(scope="session")
def own_groups() -> bool:
    """Whether the configurations of a folder's tests say themselves which processes run what."""
    return False


@pytest.fixture
def start(servers: Servers, lane: Lane, mpm: Mpm, own_groups: bool) -> Iterator[StartServer]:
    """Start a server of this test's own: `start(config, **options)` as the lane's server takes them."""
    yield from _starter(servers, lane, mpm=mpm, own_groups=own_groups)


@pytest.fixture(scope="module")
def start_shared(
    servers: Servers, lane: Lane, own_groups: bool, request: pytest.FixtureRequest
) -> Iterator[StartServer]:
    """Start a server that the tests of a module share."""
    yield from _starter(servers, lane, mpm=Mpm(request.config.getoption("--mpm")), own_groups=own_groups)
    _require_quiet_stop(servers, lane)


@pytest.fixture
def new_server(servers: Servers, lane: Lane, mpm: Mpm, own_groups: bool) -> StartServer:
    """A server that is configured but not started, for configuration tests."""
    return lambda config, **options: servers.new(
        lane, config, **{"mpm": mpm, "own_groups": own_groups, **options}
    )


@pytest.fixture
def verdict(new_server: StartServer) -> Callable[..., tuple[bool, str]]:
    """`verdict(config, **options)`: whether the server's own check accepts it, and what it says."""

    def check(config: Config = "", **options) -> tuple[bool, str]:
        said = new_server(config, **options).configtest()
        return said.returncode == 0, said.stderr

    return check


@pytest.fixture
def site(start, servers) -> Callable[..., Site]:
    """`site(options, parts)`: a site whose group has these options, in a server with these parts besides."""

    def make(options: str = "", parts: Sequence[Part] = (), **server_options) -> Site:
        files = {"site/app.wsgi": (servers.folder / "apps" / "daemon" / "site.wsgi").read_text()}
        files |= server_options.pop("files", {})
        folders = server_options.pop("folders", ())
        server = start(
            Site.parts(options, parts),
            files=files,
            folders=("shared", *folders),
            **server_options,
        )
        return Site(server, options)

    return make


def _starter(servers: Servers, lane: Lane, **defaults) -> Iterator[StartServer]:
    started: list[Server] = []

    def start(config: Config, **options) -> Server:
        started.append(servers.start(lane, config, **{**defaults, **options}))
        return started[-1]

    yield start
    for server in reversed(started):
        servers.stop(server)


def _require_quiet_stop(servers: Servers, lane: Lane) -> None:
    problems = servers.check(lane, [], [])
    assert not problems, "\n".join(["stopping the shared server was logged as trouble", *problems])
