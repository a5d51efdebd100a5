#include "nginx_shim.h"

void shim_add_timer(ngx_event_t *event, ngx_msec_t milliseconds)
{
    ngx_add_timer(event, milliseconds);
}

void shim_del_timer(ngx_event_t *event)
{
    ngx_del_timer(event);
}

void shim_post_event(ngx_event_t *event, ngx_queue_t *queue)
{
    ngx_post_event(event, queue);
}

void shim_delete_posted_event(ngx_event_t *event)
{
    ngx_delete_posted_event(event);
}
