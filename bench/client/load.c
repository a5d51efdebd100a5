/*
 * An HTTP/1.1 client that sends one fixed request again and again over keep-alive connections, a thread each,
 * and compares every answer: status 200, the length of the head, each byte of the body (also when it is chunked).
 * The harness runs it; it prints "requests seconds" and the median, 90th and 99th percentile and the longest of the
 * times from request to complete answer, in microseconds. It ends with 1 at the first answer that is not the expected one.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BUFFER_BYTES (256 * 1024)
#define SILENCE_SECONDS 60
#define MOST_CONNECTIONS 256

struct bytes {
    char *at;
    size_t length;
};

static struct bytes request, expected;
static int port;
static double seconds;              /* 0: until `limit` answers have come */
static long limit;                  /* 0: until `seconds` are over */
static long pause_microseconds;     /* before each request, so that the server always has to wait for it */
static double started;
static atomic_long asked;
static atomic_size_t head_length;   /* of the first answer; the others must have the same */

struct times {
    unsigned *at;                   /* microseconds of each answer */
    size_t count, room;
};

struct connection {
    int socket;
    struct times times;
    char *buffer;
    size_t begin, end;              /* what was received and not yet consumed */
};

static void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(1);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static struct bytes read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct bytes content = {0};

    if (!file || fseek(file, 0, SEEK_END) != 0)
        fail("%s: %s", path, strerror(errno));
    content.length = (size_t)ftell(file);
    content.at = malloc(content.length + 1);
    rewind(file);
    if (!content.at || fread(content.at, 1, content.length, file) != content.length)
        fail("%s: cannot be read", path);
    fclose(file);
    return content;
}

static void send_request(struct connection *peer)
{
    for (size_t sent = 0; sent < request.length;) {
        ssize_t count = send(peer->socket, request.at + sent, request.length - sent, MSG_NOSIGNAL);
        if (count < 0 && errno != EINTR)
            fail("send: %s", strerror(errno));
        if (count > 0)
            sent += (size_t)count;
    }
}

/* Receives more; whatever was not consumed moves to the front when the buffer is full. */
static void receive(struct connection *peer)
{
    ssize_t count;

    if (peer->begin == peer->end)
        peer->begin = peer->end = 0;
    if (peer->end == BUFFER_BYTES) {
        memmove(peer->buffer, peer->buffer + peer->begin, peer->end - peer->begin);
        peer->end -= peer->begin;
        peer->begin = 0;
    }
    if (peer->end == BUFFER_BYTES)
        fail("a head or chunk line of more than %d bytes", BUFFER_BYTES);
    do {
        count = recv(peer->socket, peer->buffer + peer->end, BUFFER_BYTES - peer->end, 0);
    } while (count < 0 && errno == EINTR);
    if (count == 0)
        fail("the server closed the connection before the answer was complete");
    if (count < 0)
        fail("recv: %s", strerror(errno));
    peer->end += (size_t)count;
}

/* The bytes up to and with `mark`, consumed; they are valid until the next receive. */
static struct bytes take_until(struct connection *peer, const char *mark)
{
    for (;;) {
        char *from = peer->buffer + peer->begin;
        char *found = memmem(from, peer->end - peer->begin, mark, strlen(mark));
        if (found) {
            struct bytes taken = {from, (size_t)(found - from) + strlen(mark)};
            peer->begin += taken.length;
            return taken;
        }
        receive(peer);
    }
}

/* Consumes `length` bytes of body that must be those at `offset` of the expected one. */
static void take_body(struct connection *peer, size_t offset, size_t length)
{
    if (length > expected.length - offset)
        fail("a body longer than the expected %zu bytes", expected.length);
    while (length > 0) {
        size_t have = peer->end - peer->begin;
        size_t part = have < length ? have : length;
        if (memcmp(peer->buffer + peer->begin, expected.at + offset, part) != 0)
            fail("a body that differs from the expected one after byte %zu", offset);
        peer->begin += part;
        offset += part;
        length -= part;
        if (length > 0)
            receive(peer);
    }
}

static size_t take_chunks(struct connection *peer)
{
    size_t total = 0;

    for (;;) {
        struct bytes line = take_until(peer, "\r\n");
        char *end;
        size_t size = strtoul(line.at, &end, 16);
        if (end == line.at || (*end != '\r' && *end != ';'))
            fail("a chunk without a size");
        if (size == 0)
            break;
        take_body(peer, total, size);
        total += size;
        if (take_until(peer, "\r\n").length != 2)
            fail("a chunk longer than its size");
    }
    if (take_until(peer, "\r\n").length != 2)
        fail("a trailer where none is expected");
    return total;
}

/* The value of a header in a head that ends in an empty line, or NULL. */
static const char *header(const char *head, const char *name)
{
    size_t length = strlen(name);

    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n"))
        if (strncasecmp(line + 2, name, length) == 0 && line[2 + length] == ':')
            return line + 2 + length + 1 + strspn(line + 2 + length + 1, " ");
    return NULL;
}

static void take_answer(struct connection *peer)
{
    struct bytes head = take_until(peer, "\r\n\r\n");
    size_t first = 0, total;
    const char *value;

    head.at[head.length - 1] = '\0';
    if (strncmp(head.at, "HTTP/1.1 200 ", 13) != 0)
        fail("%.*s where 200 is expected", (int)strcspn(head.at, "\r\n"), head.at);
    if (!atomic_compare_exchange_strong(&head_length, &first, head.length) && first != head.length)
        fail("a head of %zu bytes, the first had %zu", head.length, first);
    if ((value = header(head.at, "Content-Length"))) {
        total = strtoul(value, NULL, 10);
        take_body(peer, 0, total);
    } else if ((value = header(head.at, "Transfer-Encoding")) && strncasecmp(value, "chunked", 7) == 0) {
        total = take_chunks(peer);
    } else {
        fail("an answer without length");
        return;
    }
    if (total != expected.length)
        fail("a body of %zu bytes where %zu are expected", total, expected.length);
    if (peer->begin != peer->end)
        fail("bytes after the end of the answer");
}

static void note(struct times *times, double seconds_taken)
{
    if (times->count == times->room) {
        times->room = times->room ? 2 * times->room : 1024;
        times->at = realloc(times->at, times->room * sizeof *times->at);
        if (!times->at)
            fail("no memory");
    }
    times->at[times->count++] = (unsigned)(seconds_taken * 1e6);
}

static int compare(const void *left, const void *right)
{
    unsigned one = *(const unsigned *)left, other = *(const unsigned *)right;
    return (one > other) - (one < other);
}

static unsigned percentile(const struct times *sorted, unsigned percent)
{
    return sorted->at[(sorted->count - 1) * percent / 100];
}

static void open_connection(struct connection *peer)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct timeval silence = {.tv_sec = SILENCE_SECONDS};
    int on = 1;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    peer->socket = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(peer->socket, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof silence);
    setsockopt(peer->socket, SOL_SOCKET, SO_SNDTIMEO, &silence, sizeof silence);
    setsockopt(peer->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(peer->socket, (struct sockaddr *)&address, sizeof address) != 0)
        fail("connect to port %d: %s", port, strerror(errno));
    peer->buffer = malloc(BUFFER_BYTES + 1);
    if (!peer->buffer)
        fail("no memory");
}

static bool may_ask(void)
{
    if (limit > 0)
        return atomic_fetch_add(&asked, 1) < limit;
    return now() - started < seconds;
}

/* The thread of one connection; `argument` is where its times go. */
static void *converse(void *argument)
{
    struct connection peer = {0};

    open_connection(&peer);
    while (may_ask()) {
        if (pause_microseconds > 0)
            usleep((useconds_t)pause_microseconds);
        double asked_at = now();
        send_request(&peer);
        take_answer(&peer);
        note(&peer.times, now() - asked_at);
    }
    close(peer.socket);
    free(peer.buffer);
    *(struct times *)argument = peer.times;
    return NULL;
}

/* The times of all connections as one, in order. */
static struct times merge(struct times *parts, long count)
{
    struct times all = {0};

    for (long i = 0; i < count; i++)
        all.room += parts[i].count;
    all.at = malloc(all.room * sizeof *all.at + 1);
    if (!all.at)
        fail("no memory");
    for (long i = 0; i < count; i++) {
        if (parts[i].count > 0)
            memcpy(all.at + all.count, parts[i].at, parts[i].count * sizeof *all.at);
        all.count += parts[i].count;
        free(parts[i].at);
    }
    qsort(all.at, all.count, sizeof *all.at, compare);
    return all;
}

static void read_options(int count, char **arguments, long *connections)
{
    int option;

    while ((option = getopt(count, arguments, "p:c:n:t:w:")) != -1) {
        switch (option) {
        case 'p': port = (int)strtol(optarg, NULL, 10); break;
        case 'c': *connections = strtol(optarg, NULL, 10); break;
        case 'n': limit = strtol(optarg, NULL, 10); break;
        case 't': seconds = strtod(optarg, NULL); break;
        case 'w': pause_microseconds = strtol(optarg, NULL, 10); break;
        default: optind = count;
        }
    }
    if (count - optind != 2)
        fail("usage: load -p PORT [-c CONNECTIONS] (-n REQUESTS | -t SECONDS) [-w PAUSE-MICROSECONDS] "
             "REQUEST-FILE BODY-FILE");
    if (*connections < 1 || *connections > MOST_CONNECTIONS)
        fail("-c: 1 to %d connections", MOST_CONNECTIONS);
    if ((limit > 0) == (seconds > 0))
        fail("either -n or -t, more than 0");
    request = read_file(arguments[optind]);
    expected = read_file(arguments[optind + 1]);
}

int main(int count, char **arguments)
{
    pthread_t threads[MOST_CONNECTIONS];
    struct times parts[MOST_CONNECTIONS] = {0}, all;
    long connections = 1;

    read_options(count, arguments, &connections);
    started = now();
    for (long i = 0; i < connections; i++)
        if (pthread_create(&threads[i], NULL, converse, &parts[i]) != 0)
            fail("no thread");
    for (long i = 0; i < connections; i++)
        pthread_join(threads[i], NULL);
    double taken = now() - started;
    all = merge(parts, connections);
    if (all.count == 0)
        fail("no answers");
    printf("%zu %.6f %u %u %u %u\n", all.count, taken, percentile(&all, 50), percentile(&all, 90),
           percentile(&all, 99), percentile(&all, 100));
    return 0;
}
