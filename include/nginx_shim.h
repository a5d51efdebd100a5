/* What bindgen cannot carry over: inline functions and macros, one expression each. */
#ifndef OXWSGI_NGINX_SHIM_H
#define OXWSGI_NGINX_SHIM_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

/* Timers, which live in a tree that inline functions change. */
void shim_add_timer(ngx_event_t *event, ngx_msec_t milliseconds);
void shim_del_timer(ngx_event_t *event);

/* Events that are to be handled before the loop waits again. */
void shim_post_event(ngx_event_t *event, ngx_queue_t *queue);
void shim_delete_posted_event(ngx_event_t *event);

#endif
