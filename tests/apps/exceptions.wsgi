"""Raises in every place an application can raise.

/call            before start_response
/started         after start_response, before any data
/first           from the first step of the iteration
/later           after one block
/later-item      a generator whose second item is a str; /bad-list the same as a list
/later-sized     after one block, with a Content-Length of 100
/written         after write(b"written")
/iter            from __iter__ of the result
/system-exit     SystemExit from the call; /system-exit-later from the iteration
/keyboard        KeyboardInterrupt from the call
/base            a subclass of BaseException
/latin           an exception with non-ASCII text
/chained         an exception with a cause
/long            an exception with a text of 10,000 characters
/unprintable     an exception whose __str__ raises
/fine            raises nothing: the interpreter still serves
"""


class Base(BaseException):
    pass


class Unprintable(Exception):
    def __str__(self):
        raise ValueError("no text")


class FailingIter:
    def __iter__(self):
        raise ValueError("from iter")


def generator(error, *blocks):
    yield from blocks
    raise error


def chained():
    try:
        raise KeyError("the cause")
    except KeyError as error:
        raise ValueError("the effect") from error


BEFORE_START = {
    "/call": ValueError("from the call"),
    "/system-exit": SystemExit("exit by the application"),
    "/keyboard": KeyboardInterrupt("keyboard"),
    "/base": Base("base"),
    "/latin": ValueError("smørrebrød"),
    "/long": ValueError("long " + "x" * 10000),
    "/unprintable": Unprintable(),
}


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path in BEFORE_START:
        raise BEFORE_START[path]
    if path == "/chained":
        chained()
    headers = [("Content-Type", "text/plain"), ("X-Application", "yes")]
    if path == "/later-sized":
        headers.append(("Content-Length", "100"))
    write = start_response("200 OK", headers)
    if path == "/started":
        raise ValueError("after start_response")
    if path == "/written":
        write(b"written")
        raise ValueError("after write")
    if path == "/bad-list":
        return [b"first block", "text"]
    if path == "/later-item":
        return (item for item in (b"first block", "text"))
    if path == "/iter":
        return FailingIter()
    if path == "/fine":
        return [b"fine"]
    if path == "/system-exit-later":
        return generator(SystemExit("exit in the iteration"))
    return generator(ValueError("in the iteration"), *([] if path == "/first" else [b"first block"]))
