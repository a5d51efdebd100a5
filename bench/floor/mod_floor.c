/*
 * The floor of the benchmarks: a plain httpd handler that sends, for each workload, the bytes which the WSGI
 * application of that workload sends. What it costs is what httpd costs; what a gateway costs is counted above it.
 * `BenchFloor URL-PATH FILE NAME` mounts a workload at a file, as WSGIScriptAlias does with a script. It runs on
 * httpd's request thread and never sees Python.
 */
#include "httpd.h"
#include "http_config.h"
#include "http_protocol.h"
#include "http_request.h"
#include "apr_buckets.h"
#include "apr_file_io.h"
#include "apr_strings.h"

#define KIB 1024
#define BLOCK_BYTES (4 * KIB)
#define BLOCKS 256
#define PIECE_BYTES (64 * KIB)
#define FILE_BYTES (10 * KIB * KIB)

/* "0123456789abcdef" repeated: 4 KiB and 1 MiB of it are the bodies of real, stream and mib. */
static char pattern[BLOCKS * BLOCK_BYTES];

static int pass(request_rec *r, apr_bucket_brigade *brigade)
{
    apr_status_t status = ap_pass_brigade(r->output_filters, brigade);
    return status == APR_SUCCESS ? OK : AP_FILTER_ERROR;
}

static apr_bucket_brigade *new_brigade(request_rec *r)
{
    return apr_brigade_create(r->pool, r->connection->bucket_alloc);
}

/* One block that lives as long as the process, not copied, and the end of the reply. */
static int send_block(request_rec *r, const char *bytes, apr_size_t length)
{
    apr_bucket_brigade *brigade = new_brigade(r);
    apr_bucket_alloc_t *alloc = r->connection->bucket_alloc;

    ap_set_content_length(r, (apr_off_t)length);
    APR_BRIGADE_INSERT_TAIL(brigade, apr_bucket_immortal_create(bytes, length, alloc));
    APR_BRIGADE_INSERT_TAIL(brigade, apr_bucket_eos_create(alloc));
    return pass(r, brigade);
}

static int hello(request_rec *r)
{
    ap_set_content_type(r, "text/plain");
    return send_block(r, "Hello World!", 12);
}

static int flask(request_rec *r)
{
    ap_set_content_type(r, "text/html; charset=utf-8");
    return send_block(r, "Hello World!", 12);
}

static int real(request_rec *r)
{
    apr_table_t *out = r->headers_out;

    ap_set_content_type(r, "text/html; charset=utf-8");
    apr_table_setn(out, "Content-Language", "en");
    apr_table_setn(out, "Cache-Control", "private, max-age=0, must-revalidate");
    apr_table_setn(out, "Vary", "Cookie");
    apr_table_addn(out, "Set-Cookie",
                   "session=0f1e2d3c4b5a69788796a5b4c3d2e1f0; Path=/; HttpOnly; SameSite=Lax");
    apr_table_setn(out, "X-Frame-Options", "DENY");
    apr_table_setn(out, "X-Content-Type-Options", "nosniff");
    apr_table_setn(out, "Referrer-Policy", "same-origin");
    apr_table_setn(out, "Content-Security-Policy",
                   "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'");
    return send_block(r, pattern, BLOCK_BYTES);
}

static int mib(request_rec *r)
{
    ap_set_content_type(r, "application/octet-stream");
    return send_block(r, pattern, sizeof pattern);
}

/* A flush after each block: PEP 3333 has each block on its way before the next one is asked for. */
static int stream(request_rec *r)
{
    apr_bucket_brigade *brigade = new_brigade(r);
    apr_bucket_alloc_t *alloc = r->connection->bucket_alloc;

    ap_set_content_type(r, "application/octet-stream");
    for (int i = 0; i < BLOCKS; i++) {
        APR_BRIGADE_INSERT_TAIL(brigade, apr_bucket_immortal_create(pattern, BLOCK_BYTES, alloc));
        APR_BRIGADE_INSERT_TAIL(brigade, apr_bucket_flush_create(alloc));
        if (pass(r, brigade) != OK)
            return AP_FILTER_ERROR;
        apr_brigade_cleanup(brigade);
    }
    APR_BRIGADE_INSERT_TAIL(brigade, apr_bucket_eos_create(alloc));
    return pass(r, brigade);
}

/* Reads into a buffer of 64 KiB until it is full, as often as there is something, and answers the sum. */
static int post(request_rec *r)
{
    char *piece = apr_palloc(r->pool, PIECE_BYTES);
    apr_size_t filled = 0, total = 0;
    long got = 0;
    int status = ap_setup_client_block(r, REQUEST_CHUNKED_DECHUNK);

    if (status != OK)
        return status;
    if (ap_should_client_block(r)) {
        while ((got = ap_get_client_block(r, piece + filled, PIECE_BYTES - filled)) > 0) {
            total += (apr_size_t)got;
            filled = (filled + (apr_size_t)got) % PIECE_BYTES;
        }
        if (got < 0)
            return HTTP_BAD_REQUEST;
    }
    const char *answer = apr_psprintf(r->pool, "%" APR_SIZE_T_FMT, total);
    ap_set_content_type(r, "text/plain");
    return send_block(r, answer, strlen(answer));
}

/* One file bucket; httpd decides whether it is mapped, read or given to sendfile. */
static int file(request_rec *r)
{
    const char *folder = ap_make_dirstr_parent(r->pool, r->filename);
    const char *path = apr_pstrcat(r->pool, folder, "ten-mib.bin", NULL);
    apr_bucket_brigade *brigade = new_brigade(r);
    apr_bucket_alloc_t *alloc = r->connection->bucket_alloc;
    apr_file_t *handle;

    if (apr_file_open(&handle, path, APR_FOPEN_READ | APR_FOPEN_BINARY, APR_OS_DEFAULT, r->pool) != APR_SUCCESS)
        return HTTP_NOT_FOUND;
    ap_set_content_type(r, "application/octet-stream");
    ap_set_content_length(r, FILE_BYTES);
    apr_brigade_insert_file(brigade, handle, 0, FILE_BYTES, r->pool);
    APR_BRIGADE_INSERT_TAIL(brigade, apr_bucket_eos_create(alloc));
    return pass(r, brigade);
}

static const struct workload {
    const char *name;
    int (*answer)(request_rec *);
} workloads[] = {
    {"hello", hello}, {"real", real}, {"mib", mib},     {"stream", stream},
    {"post", post},   {"file", file}, {"flask", flask}, {"python2ms", hello},
};

/* What is mounted: one workload in the one server of a benchmark. */
static struct {
    const char *url_path;
    apr_size_t length;
    const char *file;
    const struct workload *workload;
} mount;

static const char *set_mount(cmd_parms *command, void *unused, const char *url_path, const char *file,
                             const char *name)
{
    (void)unused;
    mount.url_path = apr_pstrdup(command->pool, url_path);
    mount.length = strlen(url_path);
    mount.file = apr_pstrdup(command->pool, file);
    for (apr_size_t i = 0; i < sizeof workloads / sizeof *workloads; i++) {
        if (strcmp(name, workloads[i].name) == 0) {
            mount.workload = &workloads[i];
            return NULL;
        }
    }
    return apr_psprintf(command->pool, "BenchFloor: there is no workload \"%s\"", name);
}

/* The rest of the path goes behind the file, where httpd's directory walk finds it as PATH_INFO. */
static int translate(request_rec *r)
{
    if (!mount.workload || strncmp(r->uri, mount.url_path, mount.length) != 0)
        return DECLINED;
    r->filename = apr_pstrcat(r->pool, mount.file, r->uri + mount.length, NULL);
    r->handler = "bench-floor";
    return OK;
}

static int handler(request_rec *r)
{
    if (!r->handler || strcmp(r->handler, "bench-floor") != 0)
        return DECLINED;
    return mount.workload->answer(r);
}

static void register_hooks(apr_pool_t *pool)
{
    (void)pool;
    for (apr_size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = "0123456789abcdef"[i % 16];
    ap_hook_translate_name(translate, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_handler(handler, NULL, NULL, APR_HOOK_MIDDLE);
}

static const command_rec directives[] = {
    AP_INIT_TAKE3("BenchFloor", set_mount, NULL, RSRC_CONF, "URL path, file, name of the workload"),
    {.name = NULL},
};

AP_DECLARE_MODULE(bench_floor) = {
    STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, directives, register_hooks, AP_MODULE_FLAG_NONE,
};
