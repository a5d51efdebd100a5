"""How long nginx takes for a file of its own, beside an application that is asked for more than it can do.

nginx has one process with one event loop: where that waits for the application, the file waits with it. The
load client asks again only when it was answered, so that one long wait is one time among thousands and moves
no percentile: the longest shows it, and the rate, which falls by the share of the time that is lost.
"""

import os
import time
from concurrent.futures import ThreadPoolExecutor

from . import processes
from .contender import Contender
from .nginx import server_of
from .rounds import Setup
from .server import Server, Wrong
from .workload import NEIGHBOUR, Workload

#: Until nginx has taken the first request of every client.
SETTLE_SECONDS = 1
#: How much longer than other loads it is measured: more than once the threads end requests and take the next.
WINDOWS = 4
#: A request takes two seconds, so that one which had to wait for another's end takes four.
QUEUED_MICROSECONDS = 3e6


def beside(contender: Contender, workload: Workload, setup: Setup, seconds: float) -> dict[str, float]:
    """Microseconds of the neighbour with the application idle, then busy; the ratio of the 99th percentiles.

    `rate`: its answers a second, busy to idle; `application`: those of the application, until the last client
    has its answer.
    """
    window = WINDOWS * seconds
    cpu = max(os.sched_getaffinity(0)) if setup.one_cpu else None
    server = server_of(contender, workload, mpm=setup.mpm, processes=setup.processes, cpu=cpu)
    # The server stops before the pool waits for its clients: when something fails they end at once.
    with ThreadPoolExecutor(1) as pool, server:
        release(server)
        server.load(requests=NEIGHBOUR.size.warm_up, workload=NEIGHBOUR)
        idle = server.load(seconds=window, workload=NEIGHBOUR)
        clients = pool.submit(server.load, clients=setup.clients, seconds=SETTLE_SECONDS + window)
        time.sleep(SETTLE_SECONDS)
        busy = server.load(seconds=window, workload=NEIGHBOUR)
        application = clients.result()
    if application.median < QUEUED_MICROSECONDS:
        raise Wrong(f"{server.title}: not saturated: a median of {application.median / 1e6:.1f} s")
    return {
        "idle_median": idle.median,
        "busy_median": busy.median,
        "idle_p99": idle.last_percentile,
        "busy_p99": busy.last_percentile,
        "ratio": busy.last_percentile / idle.last_percentile,
        "idle_longest": idle.longest,
        "busy_longest": busy.longest,
        "rate": (busy.answered / busy.seconds) / (idle.answered / idle.seconds),
        "application": application.answered / application.seconds,
    }


def release(server: Server) -> None:
    """Lets the application use every CPU, where nginx and its client are bound to one.

    If those could use every CPU, too, an idle one would have to wake for each answer while the application
    is idle, and none when it computes: the neighbour would look faster beside it.
    """
    for worker in server.worker_pids():
        for thread in processes.threads(worker):
            os.sched_setaffinity(thread, os.sched_getaffinity(0))
