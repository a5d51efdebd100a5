/* The headers of nginx that the bindings are made from, and what of its macros bindgen needs to be told. */
#ifndef OXWSGI_NGINX_H
#define OXWSGI_NGINX_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>
#include <ngx_channel.h>

#include "nginx_shim.h"

/* The text by which nginx tells whether a module was built for it. */
static const char *const SHIM_MODULE_SIGNATURE = NGX_MODULE_SIGNATURE;

/* Constants of the system's own poller. */
static const ngx_int_t SHIM_READ_EVENT = NGX_READ_EVENT;
static const ngx_int_t SHIM_WRITE_EVENT = NGX_WRITE_EVENT;

/* Macros with a cast or a condition, whose value bindgen cannot tell. */
static const ngx_msec_t SHIM_CONF_UNSET_MSEC = NGX_CONF_UNSET_MSEC;
static const size_t SHIM_CONF_UNSET_SIZE = NGX_CONF_UNSET_SIZE;
static const ngx_uint_t SHIM_CONF_UNSET_UINT = NGX_CONF_UNSET_UINT;

#endif
