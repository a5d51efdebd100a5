"""The application's own processes."""

import json
import os
import shutil
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

FACTS = """\
import json
import os
import sys
import time

print("imported")


def meet():
    \"\"\"How many processes are here at once: waits until they are three, but not for ever.\"\"\"
    open(f"met/{os.getpid()}", "w").close()
    deadline = time.monotonic() + 15
    while len(os.listdir("met")) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    return len(os.listdir("met"))


def application(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        time.sleep(0.5)
    met = meet() if environ["PATH_INFO"] == "/meet" else 0
    start_response("200 OK", [("Content-Type", "application/json")])
    facts = {
        "pid": os.getpid(),
        "met": met,
        "executable": sys.executable,
        "prefix": sys.prefix,
        "cwd": os.getcwd(),
        "path": sys.path[0],
        "multiprocess": environ["wsgi.multiprocess"],
        "multithread": environ["wsgi.multithread"],
    }
    return [json.dumps(facts).encode()]
"""


def facts(run, path="/"):
    answer = run.ask(path)
    assert answer.status == 200, run.told()
    return json.loads(answer.text)


def executable(pid):
    return str(Path(f"/proc/{pid}/exe").readlink())


def maps(pid):
    return Path(f"/proc/{pid}/maps").read_text()


@pytest.mark.every_server
def test_the_application_is_its_python(serve, write, python, folder):
    subprocess.run([python, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    write("web.py", FACTS)
    run = serve("web:application", python="venv")
    found = facts(run)
    assert found["executable"] in (f"{folder}/venv/bin/python", f"{folder}/venv/bin/python3")
    assert found["prefix"] == str(folder / "venv")
    assert executable(found["pid"]) == os.path.realpath(python)
    assert found["cwd"] == found["path"] == str(folder)
    assert not found["multiprocess"]
    assert found["multithread"]
    assert found["pid"] not in run.server()
    assert not any("python" in maps(pid) for pid in run.server()), "the server has loaded a Python"


@pytest.mark.parametrize("placement", ["embedded"], indirect=True)
def test_embedded_is_inside_httpd(serve, write):
    write("web.py", FACTS)
    run = serve("web:application", "--threads", "3")
    assert facts(run)["pid"] in run.server()
    assert ", 3 threads inside httpd" in run.output
    assert sorted(run.processes()) == sorted(run.server())


@pytest.mark.every_server
def test_several_processes(serve, write, folder):
    write("web.py", FACTS)
    (folder / "met").mkdir()
    (folder / "met").chmod(0o777)
    run = serve("web:application", "--processes", "3", "--threads", "1")
    assert ", 3 processes with 1 thread each" in run.output
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda _: facts(run, "/meet"), range(3)))
    assert all(one["met"] == 3 for one in found), "they waited for each other"
    assert len({one["pid"] for one in found}) == 3
    assert all(one["multiprocess"] and not one["multithread"] for one in found)
    run.stop()
    assert run.errors.splitlines() == ["imported"], "said once, not by each process"


@pytest.mark.every_server
def test_requests_beyond_the_threads_wait(serve, write):
    write("web.py", FACTS.replace("0.5", "0.02"))
    run = serve("web:application", "--threads", "1")
    with ThreadPoolExecutor(60) as pool:
        answers = list(pool.map(lambda _: run.ask("/slow").status, range(120)))
    assert answers == [200] * 120


@pytest.mark.every_server
@pytest.mark.parametrize("processes", ["1", "3"])
def test_a_failed_import_is_shown_once(refuse, write, processes):
    write("web.py", "import no_such_package\n")
    text = refuse("web:app", "--processes", processes)
    assert text.count("Traceback") == 1
    assert text.count("error:") == 1
    assert "web:app could not be imported: ModuleNotFoundError" in text


@pytest.mark.every_server
def test_a_killed_process_is_replaced_and_told_of(serve, write):
    write("web.py", FACTS)
    run = serve("web:application")
    killed = facts(run)["pid"]
    os.kill(killed, signal.SIGKILL)
    run.until(lambda: str(killed) in run.errors, "the message")
    assert facts(run)["pid"] != killed
    line = next(line for line in run.errors.splitlines() if str(killed) in line)
    assert "SIGKILL" in line


@pytest.mark.every_server
def test_a_killed_supervisor_is_no_interruption(serve, write):
    write("web.py", FACTS)
    run = serve("web:application")
    worker = facts(run)["pid"]
    supervisors = run.supervisors()
    assert len(supervisors) == 1
    os.kill(supervisors[0], signal.SIGKILL)

    def successor():
        assert facts(run)
        return set(run.supervisors()) - set(supervisors)

    run.until(successor, "another supervisor")
    run.until(lambda: facts(run)["pid"] != worker, "another process")
    assert run.stop() == 0
    assert not run.processes()


@pytest.mark.every_server
def test_the_supervisor_belongs_beside_the_module(refuse, modules, module, folder, server):
    shutil.copy(module, folder / "module.so")
    shutil.copy(modules["apache"].with_name("liboxwsgi_runtime.so"), folder / "oxwsgi_runtime.abi3.so")
    text = refuse("hello.wsgi", module=folder / "module.so")
    assert f"{folder}/oxwsgi is missing" in text
    assert "make install" in text
    assert ("--embedded" in text) == (server == "apache")


@pytest.fixture
def unshared(folder, python):
    """A copy of a Python that says it has no shared library, and has none where it could be looked for."""
    home = folder / "unshared"
    (home / "bin").mkdir(parents=True)
    code = "import os, sys; print(os.path.dirname(os.__file__)); print(os.path.realpath(sys.executable))"
    library, program = subprocess.check_output([python, "-I", "-c", code], text=True).splitlines()
    if "libpython" in subprocess.run(["ldd", program], capture_output=True, text=True).stdout:
        pytest.fail(f"{program} is no Python that does without a shared library", pytrace=False)
    shutil.copy(program, home / "bin/python3")
    (home / "lib").mkdir()
    ours = home / "lib" / Path(library).name
    ours.mkdir()
    for entry in Path(library).iterdir():
        if entry.name != "__pycache__" and not entry.name.startswith("_sysconfigdata"):
            (ours / entry.name).symlink_to(entry)
    for entry in Path(library).glob("_sysconfigdata*.py"):
        text = entry.read_text()
        for name in ("LIBDIR", "LIBPL"):
            text = text.replace(f"'{name}': '", f"'{name}': '{home}/none")
        (ours / entry.name).write_text(text)
    return home


@pytest.mark.every_server
def test_a_python_without_shared_library(serve, write, unshared):
    write("web.py", FACTS)
    assert facts(serve("web:application", python=unshared))["prefix"] == str(unshared)


@pytest.mark.parametrize("placement", ["embedded"], indirect=True)
def test_embedded_needs_a_shared_library(refuse, unshared):
    text = refuse("hello.wsgi", python=unshared)
    assert "no shared library" in text
    assert "leave --embedded away" in text
