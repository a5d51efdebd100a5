/*
 * Draws lines between requests, for the tools that watch the server process. Every contender loads it.
 * A request for a location with `SetHandler bench-mark` writes callgrind's counters to a new file and sets
 * them to zero, and makes one system call with a path that strace's log can be cut at. `?on` turns counting on.
 * Outside valgrind its client requests are a few no-ops.
 */
#include <unistd.h>

#include <valgrind/callgrind.h>

#include "httpd.h"
#include "http_config.h"
#include "http_protocol.h"

#define MARK_PATH "/oxwsgi-bench-mark"

static int handler(request_rec *r)
{
    if (!r->handler || strcmp(r->handler, "bench-mark") != 0)
        return DECLINED;
    if (r->args && strcmp(r->args, "on") == 0) {
        CALLGRIND_START_INSTRUMENTATION;
    } else {
        CALLGRIND_DUMP_STATS;
        (void)!access(MARK_PATH, F_OK);
    }
    ap_set_content_type(r, "text/plain");
    ap_rputs("marked\n", r);
    return OK;
}

static void register_hooks(apr_pool_t *pool)
{
    (void)pool;
    ap_hook_handler(handler, NULL, NULL, APR_HOOK_LAST);
}

AP_DECLARE_MODULE(bench_mark) = {
    STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL, register_hooks, AP_MODULE_FLAG_NONE,
};
