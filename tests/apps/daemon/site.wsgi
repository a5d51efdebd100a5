"""An application of a daemon process: tells about it, and does to it what the request asks.

The variable FOLDER names a folder it can write to.

/                    JSON: the process, its user, groups, limits, descriptors, environment, interpreter
/pid                 the process id
/count?id=ID         notes "ID PID" in FOLDER/notes and answers ID; every 16th takes 5 ms
/sleep?seconds=S     answers "slept" after S seconds
/spin?seconds=S      answers "spun" after S seconds of computing
/wait?name=NAME      creates FOLDER/NAME.entered, answers its process id once FOLDER/NAME lies there
/stream?name=NAME    sends the process id, then does as /wait
/chatter?name=NAME   sends 80 MB, each 40 kB after a numbered line to wsgi.errors; FOLDER/NAME tells how many
/uninterruptible?name=NAME   the same, and no exception ends the waiting
/hold?seconds=S      keeps the interpreter lock for S seconds
/unread?size=N       answers N bytes without reading the body
/read                answers the length of the body
/log?text=T          writes T to sys.stderr, then to file descriptor 2
/exit?code=N         ends the process without a word
/kill?signal=NAME    sends the process that signal
/allocate?size=N     JSON: what became of an allocation of N bytes
/connect?path=P      JSON: what became of connecting to the unix socket P
/open?path=P         JSON: what became of opening P for appending
/thread              JSON: the stack size of this thread in bytes
/repeat?size=N       one response header of N bytes
/headers?...         each pair of the query is a response header; `status` and `body` are what they say
"""

import contextlib
import ctypes
import grp
import json
import locale
import os
import pathlib
import pwd
import resource
import signal
import socket
import sys
import threading
import time
from urllib.parse import parse_qsl

LIMITS = ("CPU", "DATA", "AS", "CORE", "NOFILE")


def facts(environ):
    return {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "user": pwd.getpwuid(os.geteuid()).pw_name,
        "group": grp.getgrgid(os.getegid()).gr_name,
        "users": os.getresuid(),
        "group ids": os.getresgid(),
        "groups": sorted(grp.getgrgid(number).gr_name for number in os.getgroups()),
        "umask": read_umask(),
        "folder": str(pathlib.Path.cwd()),
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "limits": {name: resource.getrlimit(getattr(resource, f"RLIMIT_{name}")) for name in LIMITS},
        "descriptors": descriptors(),
        "environment": dict(os.environ),
        "locale": locale.setlocale(locale.LC_ALL),
        "blocked signals": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "path": sys.path,
        "version": sys.version,
        "prefix": sys.prefix,
        "executable": sys.executable,
        "switch interval": sys.getswitchinterval(),
        "process group": __import__("mod_wsgi").process_group,
        "multiprocess": environ["wsgi.multiprocess"],
        "multithread": environ["wsgi.multithread"],
        "run once": environ["wsgi.run_once"],
        "root": pathlib.Path("/").stat().st_ino,
    }


def read_umask():
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith("Umask:"):
            return line.split()[1]
    return None


def descriptors():
    """What each open descriptor refers to."""
    found = {}
    for entry in pathlib.Path("/proc/self/fd").iterdir():
        # The one the folder is read by is gone by now.
        with contextlib.suppress(FileNotFoundError):
            found[entry.name] = str(entry.readlink())
    return found


def note(environ, name, line):
    descriptor = os.open(pathlib.Path(environ["FOLDER"], name), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(descriptor, line.encode())
    os.close(descriptor)


def count(environ, query):
    note(environ, "notes", f"{query['id']} {os.getpid()}\n")
    if int("".join(filter(str.isdigit, query["id"])) or 0) % 16 == 0:
        time.sleep(0.005)
    return query["id"]


def sleep(environ, query):
    time.sleep(float(query["seconds"]))
    return "slept"


def spin(environ, query):
    deadline = time.thread_time() + float(query["seconds"])
    while time.thread_time() < deadline:
        pass
    return "spun"


def wait(environ, query):
    note(environ, query["name"] + ".entered", str(os.getpid()))
    deadline = time.monotonic() + 30
    while not pathlib.Path(environ["FOLDER"], query["name"]).exists():
        if time.monotonic() > deadline:
            raise TimeoutError(query["name"])
        time.sleep(0.01)
    return str(os.getpid())


def uninterruptible(environ, query):
    while True:
        try:
            return wait(environ, query)
        except BaseException as error:
            note(environ, query["name"] + ".refused", type(error).__name__ + "\n")


def hold(environ, query):
    ctypes.PyDLL(None).usleep(int(float(query["seconds"]) * 1_000_000))
    return "held"


def log(environ, query):
    print(query["text"], "by sys.stderr", file=sys.stderr)
    os.write(2, f"{query['text']} by descriptor\n".encode())
    return "logged"


def allocate(environ, query):
    try:
        return len(bytearray(int(query["size"])))
    except MemoryError as error:
        return type(error).__name__


def connect(environ, query):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(5)
    try:
        client.connect(query["path"])
    except OSError as error:
        return type(error).__name__
    return repr(client.recv(100)) if "read" in query else "connected"


def open_(environ, query):
    try:
        with pathlib.Path(query["path"]).open("a") as file:
            file.write("written by the site\n")
    except OSError as error:
        return type(error).__name__
    return "written"


def stack_size(environ, query):
    """What the C library says about this thread, see pthread_getattr_np(3)."""
    library = ctypes.CDLL(None)
    attributes, size = ctypes.create_string_buffer(64), ctypes.c_size_t()
    library.pthread_self.restype = ctypes.c_void_p
    library.pthread_getattr_np(ctypes.c_void_p(library.pthread_self()), attributes)
    library.pthread_attr_getstacksize(attributes, ctypes.byref(size))
    return size.value


def unread(environ, query):
    return b"r" * int(query["size"])


def end(environ, query):
    os._exit(int(query["code"]))


def kill(environ, query):
    os.kill(os.getpid(), getattr(signal, query["signal"]))
    return "sent"


def read(environ, query):
    return str(len(environ["wsgi.input"].read()))


TEXTS = {
    "/pid": lambda environ, query: str(os.getpid()),
    "/count": count,
    "/sleep": sleep,
    "/spin": spin,
    "/wait": wait,
    "/uninterruptible": uninterruptible,
    "/hold": hold,
    "/unread": unread,
    "/read": read,
    "/log": log,
    "/exit": end,
    "/kill": kill,
}
JSONS = {
    "": lambda environ, query: facts(environ),
    "/": lambda environ, query: facts(environ),
    "/allocate": allocate,
    "/connect": connect,
    "/open": open_,
    "/thread": stack_size,
    "/threads": lambda environ, query: threading.active_count(),
}


def stream(environ, query):
    yield str(os.getpid()).encode()
    wait(environ, query)
    yield b"."


def chatter(environ, query):
    said = 0
    try:
        for said in range(1, 2001):
            print("chatter", said, file=environ["wsgi.errors"])
            yield b"c" * 40_000
    finally:
        note(environ, query["name"], str(said))


STREAMS = {"/stream": stream, "/chatter": chatter}


def application(environ, start_response):
    path, pairs = environ["PATH_INFO"], parse_qsl(environ["QUERY_STRING"], keep_blank_values=True)
    query = dict(pairs)
    if path == "/headers":
        headers = [pair for pair in pairs if pair[0] not in ("status", "body")]
        start_response(query.get("status", "200 OK"), headers)
        return [query.get("body", "").encode()]
    if path == "/repeat":
        start_response("200 OK", [("X-Repeat", "r" * (int(query["size"]) - len("X-Repeat: ")))])
        return [b"repeated"]
    if path in STREAMS:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return STREAMS[path](environ, query)
    if path in TEXTS:
        kind, answer = "text/plain", TEXTS[path](environ, query)
    else:
        kind, answer = "application/json", json.dumps(JSONS[path](environ, query))
    body = answer if isinstance(answer, bytes) else answer.encode()
    start_response("200 OK", [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]
