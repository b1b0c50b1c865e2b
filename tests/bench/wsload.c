/* SPDX-License-Identifier: BSD-3-Clause */
/* wsload.c: a load generator for WebSocket servers, fast enough that the server is what is measured: one thread, all
 * connections on one loop. Checks only that the answers are whole frames, and as many as were asked for.
 *
 *   wsload [-c CONNECTIONS] [-s SIZE] [-d DEPTH] [-t SECONDS] [-z] MODE PORT PATH
 *
 * MODE echo: each connection keeps DEPTH messages of SIZE bytes on their way and waits for as many answers.
 * MODE fanout: the first connection sends, with DEPTH on their way, and every connection must get each.
 * MODE broadcast: every connection sends DEPTH messages, and again as soon as it has got as many from each.
 * MODE idle: exchanges one message on each connection, then holds them until standard input ends.
 *
 * Prints "open" when every connection is open (idle: and has had its message), then waits for a line on standard input;
 * then, but for idle, does its work and prints: messages that came, seconds, median and 99th percentile of an exchange in
 * µs. -z: permessage-deflate without context must be agreed on; our messages are compressed too. */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#define INPUT 65536
#define SAMPLES (1u << 20)
#define HEAD_MAX 14
#define CONTROL_MAX 125
#define OPEN_SECONDS 60 /* a server that has not opened all connections by then cannot */
#define OFFER "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"

static const unsigned char mask[4] = { 0x11, 0x22, 0x33, 0x44 };

enum mode { MODE_ECHO, MODE_FANOUT, MODE_BROADCAST, MODE_IDLE };

struct load;

struct client {
    struct load *load;
    struct event *event;
    int fd;
    bool open;
    uint64_t left;          /* bytes of the present frame's payload that are to come */
    unsigned n_head;        /* bytes of the next frame's head that are here */
    unsigned char head[HEAD_MAX];
    unsigned n_control;
    unsigned char control[CONTROL_MAX];
    unsigned to_come;       /* broadcast: messages of this round */
    uint64_t sent_at;
};

struct load {
    struct event_base *base;
    enum mode mode;
    unsigned n, depth, n_open;
    size_t size;
    bool deflate;
    double seconds;
    char *burst;            /* DEPTH frames, one behind the other */
    size_t frame_n;
    struct client *clients;
    unsigned to_come;       /* fanout: answers of this round; idle: first messages */
    uint64_t messages, started;
    uint32_t *samples, n_samples;
    const char *path;
    uint16_t port;
};

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* --- out --- */

/* A socket whose buffer is full is waited for: the server reads on, whatever we do. */
static void write_all(struct client *c, const char *p, size_t n)
{
    while (n) {
        ssize_t done = write(c->fd, p, n);
        if (done < 0 && errno != EAGAIN)
            err(1, "write");
        if (done > 0) {
            p += done;
            n -= (size_t)done;
        }
    }
}

/* A masked frame with FIN at `to`; its size. */
static size_t put_frame(char *to, unsigned first_byte, const char *payload, size_t n)
{
    unsigned length_bytes = n < 126 ? 0 : n < 65536 ? 2 : 8;
    size_t at = 0;
    to[at++] = (char)first_byte;
    to[at++] = (char)(0x80 | (length_bytes == 0 ? n : length_bytes == 2 ? 126u : 127u));
    for (unsigned k = length_bytes; k--;)
        to[at++] = (char)((uint64_t)n >> (8 * k));
    memcpy(to + at, mask, 4);
    at += 4;
    for (size_t i = 0; i < n; i++)
        to[at + i] = (char)(payload[i] ^ mask[i % 4]);
    return at + n;
}

/* Text that deflates like what people send: a third or so is left. */
static void make_text(char *text, size_t n)
{
    static const char *const words[] = { "\"name\": ",   "\"price\": ", "\"items\": [", "true, ",
                                         "\"Volume\", ", "}, {",        "null, " };
    uint32_t state = 2463534242u;
    for (size_t at = 0; at < n;) {
        state = state * 1664525u + 1013904223u;
        const char *word = words[state >> 24 & 7 ? (state >> 24 & 7) - 1 : 0];
        char number[16];
        if ((state >> 16 & 3) == 0) {
            snprintf(number, sizeof number, "%u, ", state >> 8 & 0xffff);
            word = number;
        }
        size_t k = strlen(word) < n - at ? strlen(word) : n - at;
        memcpy(text + at, word, k);
        at += k;
    }
}

/* As one message, without the last four bytes (RFC 7692 7.2.1). */
static size_t deflate_text(const char *text, size_t n, char *to, size_t room)
{
    z_stream z = { .next_in = (Bytef *)(uintptr_t)text, .avail_in = (uInt)n };
    z.next_out = (Bytef *)to;
    z.avail_out = (uInt)room;
    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -9, 8, Z_DEFAULT_STRATEGY) != Z_OK ||
        deflate(&z, Z_SYNC_FLUSH) != Z_OK)
        errx(1, "deflate");
    deflateEnd(&z);
    return room - z.avail_out - 4;
}

static void make_burst(struct load *load)
{
    size_t room = load->size * 2 + 128, n = load->size;
    char *text = malloc(room), *small = malloc(room);
    load->burst = malloc((room + HEAD_MAX) * load->depth);
    if (!text || !small || !load->burst)
        err(1, NULL);
    make_text(text, n);
    if (load->deflate)
        n = deflate_text(text, n, small, room);
    load->frame_n = put_frame(load->burst, load->deflate ? 0xc1 : 0x81, load->deflate ? small : text, n);
    for (unsigned i = 1; i < load->depth; i++)
        memcpy(load->burst + i * load->frame_n, load->burst, load->frame_n);
    free(small);
    free(text);
}

static void send_messages(struct client *c, unsigned n)
{
    c->sent_at = now_ns();
    write_all(c, c->load->burst, c->load->frame_n * n);
}

/* --- in --- */

static void count_sample(struct load *load, const struct client *c)
{
    if (load->n_samples < SAMPLES)
        load->samples[load->n_samples++] = (uint32_t)((now_ns() - c->sent_at) / 1000);
}

/* One has its round of all: the others may be ahead of it. */
static void on_broadcast(struct client *c, unsigned n)
{
    struct load *load = c->load;
    for (; n >= c->to_come; c->to_come = load->n * load->depth) {
        n -= c->to_come;
        count_sample(load, c);
        send_messages(c, load->depth);
    }
    c->to_come -= n;
}

/* All have had all. */
static void on_round(struct load *load)
{
    if (load->mode == MODE_IDLE) {
        event_base_loopbreak(load->base);
        return;
    }
    count_sample(load, &load->clients[0]);
    load->to_come = load->n * load->depth;
    send_messages(&load->clients[0], load->depth);
}

/* `n` messages came in one read. */
static void on_messages(struct client *c, unsigned n)
{
    struct load *load = c->load;
    load->messages += n;
    switch (load->mode) {
    case MODE_ECHO: /* as many go out in one write, which is what a pipelining client does */
        count_sample(load, c);
        send_messages(c, n);
        break;
    case MODE_BROADCAST:
        on_broadcast(c, n);
        break;
    case MODE_FANOUT:
    case MODE_IDLE:
        if (n > load->to_come)
            errx(1, "more messages came than were sent");
        if (!(load->to_come -= n))
            on_round(load);
    }
}

static unsigned head_size(const unsigned char *head)
{
    return head[1] < 126 ? 2 : head[1] == 126 ? 4 : 10;
}

static uint64_t payload_size(const unsigned char *head)
{
    uint64_t n = 0;
    if (head[1] < 126)
        return head[1];
    for (unsigned i = 2; i < head_size(head); i++)
        n = n << 8 | head[i];
    return n;
}

/* The head of a frame is whole. */
static void on_head(struct client *c)
{
    unsigned opcode = c->head[0] & 15;
    c->n_head = 0;
    c->n_control = 0;
    c->left = payload_size(c->head);
    if (opcode == 8)
        errx(1, "the server closed a connection");
    if (!opcode || !(c->head[0] & 0x80) || (c->head[1] & 0x80) || (opcode > 8 && c->left > CONTROL_MAX))
        errx(1, "a frame that is not expected here: %02x %02x", c->head[0], c->head[1]);
}

/* The payload of a frame is whole; true: it was a message. */
static bool on_frame(struct client *c)
{
    char pong[CONTROL_MAX + HEAD_MAX];
    unsigned opcode = c->head[0] & 15;
    if (opcode == 9)
        write_all(c, pong, put_frame(pong, 0x8a, (char *)c->control, c->n_control));
    return opcode < 8;
}

/* Some bytes of the payload; how many. */
static size_t take_payload(struct client *c, const unsigned char *p, size_t n)
{
    size_t k = c->left < n ? (size_t)c->left : n;
    if ((c->head[0] & 15) > 8) {
        memcpy(c->control + c->n_control, p, k);
        c->n_control += (unsigned)k;
    }
    c->left -= k;
    return k;
}

/* How many messages end in these bytes. */
static unsigned walk(struct client *c, const unsigned char *p, size_t n)
{
    unsigned messages = 0;
    while (n) {
        if (c->left) {
            size_t k = take_payload(c, p, n);
            p += k;
            n -= k;
        } else {
            c->head[c->n_head++] = *p++;
            n--;
            if (c->n_head < 2 || c->n_head < head_size(c->head))
                continue;
            on_head(c);
        }
        if (!c->left)
            messages += on_frame(c);
    }
    return messages;
}

/* Returns where frames begin. */
static const unsigned char *on_handshake(struct client *c, const unsigned char *p, size_t n)
{
    struct load *load = c->load;
    const unsigned char *end = memmem(p, n, "\r\n\r\n", 4);
    if (!end || memcmp(p, "HTTP/1.1 101", 12) != 0)
        errx(1, "no upgrade: %.*s", (int)n, (const char *)p);
    if (load->deflate && !memmem(p, (size_t)(end - p), "permessage-deflate", 18))
        errx(1, "no permessage-deflate");
    c->open = true;
    load->n_open++;
    if (load->mode == MODE_IDLE)
        send_messages(c, 1);
    else if (load->n_open == load->n)
        event_base_loopbreak(load->base);
    return end + 4;
}

static void on_input(evutil_socket_t fd, short what, void *arg)
{
    static unsigned char input[INPUT];
    struct client *c = arg;
    ssize_t n = read(fd, input, sizeof input);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        errx(1, "a connection was lost");
    const unsigned char *p = c->open ? input : on_handshake(c, input, (size_t)n);
    unsigned messages = walk(c, p, (size_t)(input + n - p));
    if (messages)
        on_messages(c, messages);
}

/* --- life --- */

static void connect_one(struct load *load, struct client *c)
{
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons(load->port),
                              .sin_addr = { htonl(INADDR_LOOPBACK) } };
    char request[1024];
    int one = 1;
    c->load = load;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0)
        err(1, "connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    int n = snprintf(request, sizeof request,
                     "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s\r\n",
                     load->path, load->port, load->deflate ? OFFER : "");
    write_all(c, request, (size_t)n);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    c->event = event_new(load->base, c->fd, EV_READ | EV_PERSIST, on_input, c);
    if (!c->event || event_add(c->event, NULL) < 0)
        errx(1, "out of memory");
}

static void open_all(struct load *load)
{
    load->to_come = load->mode == MODE_IDLE ? load->n : load->n * load->depth;
    alarm(OPEN_SECONDS);
    for (unsigned i = 0; i < load->n; i++) {
        connect_one(load, &load->clients[i]);
        event_base_loop(load->base, EVLOOP_NONBLOCK);
    }
    while (load->mode == MODE_IDLE ? load->to_come : load->n_open < load->n)
        event_base_loop(load->base, EVLOOP_ONCE);
    alarm(0);
}

static void on_standard_input(evutil_socket_t fd, short what, void *arg)
{
    struct load *load = arg;
    event_base_loopbreak(load->base);
}

/* Idle ones are looked after until the caller speaks. */
static void wait_for_caller(struct load *load)
{
    char line[16];
    puts("open");
    fflush(stdout);
    struct event *said = event_new(load->base, STDIN_FILENO, EV_READ, on_standard_input, load);
    event_add(said, NULL);
    event_base_dispatch(load->base);
    event_free(said);
    (void)!read(STDIN_FILENO, line, sizeof line);
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void work(struct load *load)
{
    struct timeval time = { .tv_sec = (time_t)load->seconds };
    time.tv_usec = (suseconds_t)(1e6 * (load->seconds - (double)time.tv_sec));
    load->started = now_ns();
    for (unsigned i = 0; i < load->n; i++)
        load->clients[i].to_come = load->n * load->depth;
    for (unsigned i = 0; i < (load->mode == MODE_FANOUT ? 1 : load->n); i++)
        send_messages(&load->clients[i], load->depth);
    event_base_loopexit(load->base, &time);
    event_base_dispatch(load->base);

    double seconds = (double)(now_ns() - load->started) / 1e9;
    uint32_t n = load->n_samples;
    qsort(load->samples, n, sizeof *load->samples, by_size);
    printf("%llu %.3f %u %u\n", (unsigned long long)load->messages, seconds, n ? load->samples[n / 2] : 0,
           n ? load->samples[n - 1 - n / 100] : 0);
}

static void allow_many_files(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return;
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

static enum mode mode_of(const char *name)
{
    static const char *const names[] = { "echo", "fanout", "broadcast", "idle" };
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0)
            return (enum mode)i;
    }
    errx(1, "no mode %s", name);
}

static void read_arguments(struct load *load, int argc, char **argv)
{
    *load = (struct load){ .n = 64, .depth = 1, .size = 64, .seconds = 2 };
    for (int option; (option = getopt(argc, argv, "c:s:d:t:z")) != -1;) {
        switch (option) {
        case 'c':
            load->n = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 's':
            load->size = strtoul(optarg, NULL, 10);
            break;
        case 'd':
            load->depth = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 't':
            load->seconds = strtod(optarg, NULL);
            break;
        case 'z':
            load->deflate = true;
            break;
        default:
            exit(2);
        }
    }
    if (argc - optind != 3 || !load->n || !load->depth || !load->size)
        errx(2, "usage: wsload [-c CONNECTIONS] [-s SIZE] [-d DEPTH] [-t SECONDS] [-z] MODE PORT PATH");
    load->mode = mode_of(argv[optind]);
    load->port = (uint16_t)strtoul(argv[optind + 1], NULL, 10);
    load->path = argv[optind + 2];
}

int main(int argc, char **argv)
{
    struct load load;
    read_arguments(&load, argc, argv);
    allow_many_files();
    load.base = event_base_new();
    load.clients = calloc(load.n, sizeof *load.clients);
    load.samples = malloc(SAMPLES * sizeof *load.samples);
    if (!load.base || !load.clients || !load.samples)
        err(1, NULL);
    make_burst(&load);
    open_all(&load);
    wait_for_caller(&load);
    if (load.mode != MODE_IDLE)
        work(&load);
    return 0;
}
