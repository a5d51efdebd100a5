/* The headers of httpd and apr that the bindings are made from. */
#ifndef OXWSGI_APACHE_H
#define OXWSGI_APACHE_H

#include <httpd.h>
#include <ap_mpm.h>
#include <http_config.h>
#include <http_core.h>
#include <http_log.h>
#include <http_main.h>
#include <http_protocol.h>
#include <http_request.h>
#include <mpm_common.h>
#include <unixd.h>
#include <util_filter.h>

#include <apr_buckets.h>
#include <apr_hash.h>
#include <apr_portable.h>
#include <apr_strings.h>
#include <apr_thread_proc.h>

#include "apache_shim.h"

#endif
