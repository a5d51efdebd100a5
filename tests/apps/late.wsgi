"""Keeps what belongs to a request beyond its end.

/keep     keeps environ, start_response and write, for use after the request
/use      uses each of them; JSON: what each raised
/thread   starts a thread that uses them when /result is asked for, and waits for nothing
/result   what that thread met
"""

import json
import threading

kept = {}
result = {}
asked = threading.Event()
done = threading.Event()


def keep(environ, start_response):
    kept.update(
        environ=environ,
        start_response=start_response,
        write=start_response("200 OK", [("Content-Type", "text/plain")]),
    )
    return [b"kept"]


def raised(call, *arguments):
    try:
        call(*arguments)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def use():
    stream, errors = kept["environ"]["wsgi.input"], kept["environ"]["wsgi.errors"]
    return {
        "read": raised(stream.read),
        "read 1": raised(stream.read, 1),
        "readline": raised(stream.readline),
        "readlines": raised(stream.readlines),
        "iteration": raised(next, stream),
        "errors.write": raised(errors.write, "late\n"),
        "errors.writelines": raised(errors.writelines, ["late\n"]),
        "errors.flush": raised(errors.flush),
        "start_response": raised(kept["start_response"], "200 OK", []),
        "write": raised(kept["write"], b"late"),
    }


def use_in_thread():
    assert asked.wait(20)
    result.update(use())
    done.set()


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/keep":
        return keep(environ, start_response)
    if path == "/thread":
        result.clear()
        asked.clear()
        done.clear()
        keep(environ, start_response)
        threading.Thread(target=use_in_thread).start()
        return [b"started"]
    if path == "/result":
        asked.set()
        assert done.wait(20)
    body = json.dumps(result if path == "/result" else use()).encode()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [body]
