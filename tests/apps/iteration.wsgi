"""Returns each kind of result an application may return, and some it may not.

/list /tuple /empty-list /generator /iterator /sequence /blanks /subclass    good results; see RESULTS
/one-block /two-blocks                                                       lists without a Content-Length
/text /text-item /bytearray-item /memoryview-item /number /none              results PEP 3333 does not allow
/stepwise     a generator that waits for /release after each of its two blocks
/release      lets /stepwise go on
/some         20 blocks of 1 KiB
/many         256 blocks of 4 KiB
/large        one block of 1 MiB
"""

import threading

released = threading.Semaphore(0)


class Blob(bytes):
    pass


class Iterator:
    """An iterator that is not a generator and has no close()."""

    def __init__(self):
        self.left = [b"c", b"b", b"a"]

    def __iter__(self):
        return self

    def __next__(self):
        if not self.left:
            raise StopIteration
        return self.left.pop()


class Sequence:
    """Iterable by the old protocol only."""

    def __getitem__(self, index):
        if index > 2:
            raise IndexError(index)
        return b"abc"[index : index + 1]


def generator(*blocks):
    yield from blocks


def stepwise():
    for block in (b"first", b"second"):
        yield block
        assert released.acquire(timeout=20)


def release():
    released.release()
    return [b"released"]


RESULTS = {
    "/list": lambda: [b"a", b"b", b"c"],
    "/tuple": lambda: (b"a", b"b", b"c"),
    "/empty-list": list,
    "/empty-generator": generator,
    "/generator": lambda: generator(b"a", b"b", b"c"),
    "/iterator": Iterator,
    "/sequence": Sequence,
    "/blanks": lambda: generator(b"", b"a", b"", b"", b"b", b"c", b""),
    "/blank-list": lambda: [b"", b"abc", b""],
    "/subclass": lambda: [Blob(b"ab"), Blob(b"c")],
    "/one-block": lambda: [b"one block"],
    "/two-blocks": lambda: [b"two ", b"blocks"],
    "/text": lambda: "abc",
    "/text-item": lambda: ["abc"],
    "/bytearray-item": lambda: [bytearray(b"abc")],
    "/memoryview-item": lambda: [memoryview(b"abc")],
    "/number": lambda: 42,
    "/none": lambda: None,
    "/stepwise": stepwise,
    "/release": release,
    "/some": lambda: (b"s" * 1024 for _ in range(20)),
    "/many": lambda: (b"x" * 4096 for _ in range(256)),
    "/large": lambda: [b"y" * 2**20],
}


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return RESULTS[environ["PATH_INFO"]]()
