"""Anonymous memory of the processes that serve, after some requests and as they grow in number."""

from .contender import Contender
from .nginx import server_of
from .workload import Workload

#: Clients, and children (prefork) or threads (event), so that one process serves.
SIZES = {"prefork": (1, 1), "event": (8, 16)}
#: The growth check compares the memory after the first and after the last of these.
GROWTH_REQUESTS = (100_000, 1_000_000)


def measure(contender: Contender, workload: Workload, mpm: str) -> dict[str, dict[str, int]]:
    clients, workers = SIZES[mpm]
    with server_of(contender, workload, mpm=mpm, workers=workers) as server:
        server.load(clients=clients, requests=workload.size.memory)
        return server.anonymous_bytes()


def growth(contender: Contender, workload: Workload, counts: tuple[int, ...]) -> list[int]:
    """Anonymous bytes of who runs Python after each of the total numbers of requests to that process."""
    done, found = 0, []
    with server_of(contender, workload) as server:
        for count in counts:
            server.load(requests=count - done)
            done = count
            found.append(list(server.anonymous_bytes().values())[-1]["Anonymous"])
    return found
