"""Anonymous memory of the child that serves (prefork, one child), after some requests and as they grow in number."""

from .contender import Contender
from .server import Server
from .workload import Workload

#: The growth check compares the memory after the first and after the last of these.
GROWTH_REQUESTS = (100_000, 1_000_000)


def measure(contender: Contender, workload: Workload) -> dict[str, int]:
    with Server(contender, workload) as server:
        server.load(requests=workload.size.memory)
        return server.anonymous_bytes()


def growth(contender: Contender, workload: Workload, counts: tuple[int, ...]) -> list[int]:
    """Anonymous bytes after each of the given total numbers of requests to the same process."""
    done, found = 0, []
    with Server(contender, workload) as server:
        for count in counts:
            server.load(requests=count - done)
            done = count
            found.append(server.anonymous_bytes()["Anonymous"])
    return found
