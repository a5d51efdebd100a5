#include "apache_shim.h"

#include <util_filter.h>

APLOG_USE_MODULE(wsgi);

void *shim_config(const ap_conf_vector_t *vector)
{
    return ap_get_module_config(vector, &wsgi_module);
}

core_dir_config *shim_core_dir_config(const ap_conf_vector_t *vector)
{
    return ap_get_core_module_config(vector);
}

void shim_log_request(const request_rec *r, int level, const char *text, int length)
{
    ap_log_rerror(NULL, 0, APLOG_MODULE_INDEX, level, 0, r, "%.*s", length, text);
}

void shim_log_server(const server_rec *s, int level, const char *text, int length)
{
    ap_log_error(NULL, 0, APLOG_MODULE_INDEX, level, 0, s, "%.*s", length, text);
}

void shim_log_process(apr_pool_t *p, int level, const char *text, int length)
{
    ap_log_perror(NULL, 0, APLOG_MODULE_INDEX, level, 0, p, "%.*s", length, text);
}

int shim_log_level_request(const request_rec *r)
{
    return ap_get_request_module_loglevel(r, APLOG_MODULE_INDEX);
}

int shim_log_level_server(const server_rec *s)
{
    return ap_get_server_module_loglevel(s, APLOG_MODULE_INDEX);
}

int shim_brigade_is_empty(const apr_bucket_brigade *bb)
{
    return APR_BRIGADE_EMPTY(bb);
}

apr_bucket *shim_brigade_first(const apr_bucket_brigade *bb)
{
    return APR_BRIGADE_FIRST(bb);
}

void shim_brigade_append(apr_bucket_brigade *bb, apr_bucket *b)
{
    APR_BRIGADE_INSERT_TAIL(bb, b);
}

void shim_bucket_delete(apr_bucket *b)
{
    apr_bucket_delete(b);
}

void shim_bucket_init(apr_bucket *b)
{
    APR_BUCKET_INIT(b);
}

void shim_bucket_insert_after(apr_bucket *b, apr_bucket *next)
{
    APR_BUCKET_INSERT_AFTER(b, next);
}

apr_status_t shim_bucket_read(apr_bucket *b, const char **bytes, apr_size_t *length, apr_read_type_e block)
{
    return apr_bucket_read(b, bytes, length, block);
}

int shim_bucket_is_eos(const apr_bucket *b)
{
    return APR_BUCKET_IS_EOS(b);
}

int shim_bucket_is_metadata(const apr_bucket *b)
{
    return APR_BUCKET_IS_METADATA(b);
}

int shim_status_is_eagain(apr_status_t status)
{
    return APR_STATUS_IS_EAGAIN(status);
}

int shim_status_is_disconnect(apr_status_t status)
{
    return APR_STATUS_IS_ECONNABORTED(status) || APR_STATUS_IS_ECONNRESET(status) || APR_STATUS_IS_EPIPE(status)
        || APR_STATUS_IS_EOF(status);
}

int shim_status_is_incomplete(apr_status_t status)
{
    return APR_STATUS_IS_INCOMPLETE(status);
}

apr_status_t shim_filter_error(void)
{
    return AP_FILTER_ERROR;
}
