/*
 * Draws lines between the requests of an httpd child. Every contender loads it. A request for a location with
 * `SetHandler bench-mark` does what mark.h says, `?on` turns counting on; the answer names the process.
 */
#include <string.h>

#include "mark.h"

#include "httpd.h"
#include "http_config.h"
#include "http_protocol.h"

static int handler(request_rec *r)
{
    if (!r->handler || strcmp(r->handler, "bench-mark") != 0)
        return DECLINED;
    mark(r->args && strcmp(r->args, "on") == 0);
    ap_set_content_type(r, "text/plain");
    ap_rprintf(r, "marked %ld\n", (long)getpid());
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
