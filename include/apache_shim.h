/* What bindgen cannot carry over: macros, variable arguments and inline functions, one expression each. */
#ifndef OXWSGI_APACHE_SHIM_H
#define OXWSGI_APACHE_SHIM_H

#include <httpd.h>
#include <http_config.h>
#include <http_core.h>
#include <http_log.h>

#include <apr_buckets.h>

/* Configuration of this module in a vector of httpd's. */
void *shim_config(const ap_conf_vector_t *vector);
core_dir_config *shim_core_dir_config(const ap_conf_vector_t *vector);

/* `length` bytes of text as one entry in the log of a request, a server, or the process. */
void shim_log_request(const request_rec *r, int level, const char *text, int length);
void shim_log_server(const server_rec *s, int level, const char *text, int length);
void shim_log_process(apr_pool_t *p, int level, const char *text, int length);

/* The least severe level that is written for this module. */
int shim_log_level_request(const request_rec *r);
int shim_log_level_server(const server_rec *s);

/* Brigades are rings. */
int shim_brigade_is_empty(const apr_bucket_brigade *bb);
apr_bucket *shim_brigade_first(const apr_bucket_brigade *bb);
void shim_brigade_append(apr_bucket_brigade *bb, apr_bucket *b);
void shim_bucket_delete(apr_bucket *b);
void shim_bucket_init(apr_bucket *b);
void shim_bucket_insert_after(apr_bucket *b, apr_bucket *next);
apr_status_t shim_bucket_read(apr_bucket *b, const char **bytes, apr_size_t *length, apr_read_type_e block);
int shim_bucket_is_eos(const apr_bucket *b);
int shim_bucket_is_metadata(const apr_bucket *b);

/* Classes of status codes that may have several values. */
int shim_status_is_eagain(apr_status_t status);
int shim_status_is_disconnect(apr_status_t status);
int shim_status_is_incomplete(apr_status_t status);
apr_status_t shim_filter_error(void);

#endif
