/*
 * A line between requests, for the tools that watch a process: callgrind's counters go to a new file and are set to
 * zero, and strace's log gets a call that it can be cut at. `on` turns counting on instead. Outside valgrind its
 * client requests are a few no-ops.
 */
#include <unistd.h>

#include <valgrind/callgrind.h>

#define MARK_PATH "/oxwsgi-bench-mark"

static inline void mark(int on)
{
    if (on) {
        CALLGRIND_START_INSTRUMENTATION;
    } else {
        CALLGRIND_DUMP_STATS;
        (void)!access(MARK_PATH, F_OK);
    }
}
