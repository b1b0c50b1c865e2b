/* SPDX-License-Identifier: BSD-3-Clause */
/* test_h1_answer.c: answers on the wire: framing, lengths, files, trailers, versions, and answers that go wrong. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/scripted.h"
#include "tests/unit/unit.h"

static void test_lengths(void)
{
    struct peer p = held(GET("/hold"));
    CHECK(start(200, "3", false) == RESP_SENT);
    CHECK(resp_body(seen.req, SPAN("abcdef"), false) == RESP_TOO_LONG);
    CHECK(seen.ends == 1);
    peer_read_all(&p);
    CHECK(peer_has(&p, "\r\n\r\nabc") && !peer_has(&p, "abcd") && p.eof);
    peer_close(&p);
    p = held(GET("/hold"));
    CHECK(start(200, "9", false) == RESP_SENT);
    CHECK(resp_body(seen.req, SPAN("abc"), false) == RESP_TOO_SHORT);
    CHECK(seen.ends == 1 && seen.end == REQ_END_ABORTED);
    peer_read_all(&p);
    CHECK(peer_has(&p, "\r\n\r\nabc") && p.eof);
    peer_close(&p);
    p = held("HEAD /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(start(200, "9", false) == RESP_SENT);
    CHECK(resp_body(seen.req, SPAN(""), false) == RESP_SENT);
    peer_read_all(&p);
    CHECK(peer_has(&p, "Content-Length: 9\r\n") && !p.eof);
    peer_close(&p);
}

static void test_bad_answers(void)
{
    struct peer p = held(GET("/hold"));
    struct resp_field f[] = { { SPAN("x"), SPAN("a\r\nb: c") }, { SPAN("x y"), SPAN("") } };
    for (int i = 0; i < 2; i++) {
        struct resp_head head = { .status = 200, .fields = &f[i], .n_fields = 1 };
        CHECK(resp_start(seen.req, &head) == RESP_BAD_FIELD);
    }
    static const char *const lengths[] = { "-1", "", "x", "1 1", "1,1", "0x1", "1234567890123456789" };
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct resp_field length = { SPAN("Content-Length"), span_of(lengths[i]) };
        struct resp_head head = { .status = 200, .fields = &length, .n_fields = 1 };
        CHECK_MSG(resp_start(seen.req, &head) == RESP_BAD_LENGTH, "%s", lengths[i]);
    }
    struct resp_field two[] = { { SPAN("content-length"), SPAN("1") }, { SPAN("Content-Length"), SPAN("2") } };
    struct resp_head both = { .status = 200, .fields = two, .n_fields = 2 };
    CHECK(resp_start(seen.req, &both) == RESP_TWO_LENGTHS);
    struct resp_head head = { .status = 100 };
    CHECK(resp_start(seen.req, &head) == RESP_BAD_STATUS);
    resp_error(seen.req, 500);
    CHECK(seen.ends == 1 && seen.end == REQ_END_COMPLETE);
    peer_read_all(&p);
    CHECK(peer_has(&p, "HTTP/1.1 500 Internal Server Error\r\n") && peer_has(&p, "500 Internal Server Error\n") &&
          p.eof);
    peer_close(&p);
}

static void test_abort(void)
{
    struct peer p = held(GET("/hold"));
    CHECK(start(200, NULL, false) == RESP_SENT);
    CHECK(resp_body(seen.req, SPAN("part"), true) == RESP_SENT);
    resp_abort(seen.req);
    CHECK(seen.ends == 1 && seen.end == REQ_END_ABORTED);
    peer_read_all(&p);
    CHECK(peer_has(&p, "4\r\npart\r\n") && !peer_has(&p, "\r\n0\r\n") && p.eof);
    peer_close(&p);
}

static void test_heads_of_two(void)
{
    struct peer a = held(GET("/hold"));
    struct req *first = seen.req;
    CHECK(start(200, NULL, false) == RESP_SENT);
    struct peer b;
    peer_open(&b, &rig);
    peer_say(&b, GET("/other"));
    seen.req = first;
    CHECK(resp_body(first, SPAN("mine"), false) == RESP_SENT);
    peer_read_all(&a);
    peer_read_all(&b);
    CHECK(peer_has(&a, "content-length: 4\r\n\r\nmine") && peer_count(&a, "HTTP/1.1") == 1);
    CHECK(peer_has(&b, "content-length: 2\r\n\r\nok") && peer_count(&b, "HTTP/1.1") == 1);
    peer_close(&a);
    peer_close(&b);
}

static void test_large_head(void)
{
    static char value[60000];
    memset(value, 'v', sizeof value);
    struct peer p = held(GET("/hold"));
    struct resp_field f = { SPAN("x-large"), { value, sizeof value } };
    struct resp_head head = { .status = 299, .fields = &f, .n_fields = 1 };
    CHECK(resp_start(seen.req, &head) == RESP_SENT);
    CHECK(resp_body(seen.req, SPAN("body"), false) == RESP_SENT);
    peer_read_all(&p);
    CHECK(peer_has(&p, "HTTP/1.1 299 \r\n") && peer_has(&p, "\r\n\r\nbody") && buf_len(&p.got) > sizeof value);
    peer_close(&p);
}

static void test_interim_and_trailers(void)
{
    struct peer p = held("GET /hold HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n");
    struct resp_field link = { SPAN("link"), SPAN("</a>") }, sum = { SPAN("x-sum"), SPAN("1") };
    CHECK(resp_interim(seen.req, 103, &link, 1) == RESP_SENT);
    CHECK(start(200, NULL, true) == RESP_SENT);
    CHECK(resp_body(seen.req, SPAN("data"), false) == RESP_SENT);
    CHECK(seen.ends == 0);
    CHECK(resp_trailers(seen.req, &sum, 1, true) == RESP_SENT);
    CHECK(resp_trailers(seen.req, &sum, 1, false) == RESP_SENT);
    CHECK(seen.ends == 1);
    peer_read_all(&p);
    CHECK(peer_has(&p, "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK"));
    CHECK(peer_has(&p, "4\r\ndata\r\n0\r\nx-sum: 1\r\nx-sum: 1\r\n\r\n") && !p.eof);
    peer_close(&p);
}

static int make_file(size_t n)
{
    FILE *f = tmpfile();
    for (size_t i = 0; i < n; i++)
        putc('a' + (int)(i % 26), f);
    fflush(f);
    int fd = dup(fileno(f));
    fclose(f);
    return fd;
}

static void test_file(void)
{
    int fd = make_file(1 << 20);
    struct peer p = held(GET("/hold"));
    CHECK(start(200, NULL, false) == RESP_SENT);
    CHECK(resp_file(seen.req, fd, 26, 100, false) == RESP_SENT);
    CHECK(seen.ends == 1);
    peer_read_all(&p);
    CHECK(peer_has(&p, "content-length: 100\r\n") && peer_has(&p, "\r\n\r\nabcdefgh"));
    peer_close(&p);
    fresh_narrow(&p);
    peer_say(&p, GET("/hold"));
    CHECK(start(200, NULL, false) == RESP_SENT);
    CHECK(resp_file(seen.req, fd, 0, 1 << 20, true) == RESP_LATER);
    CHECK(resp_body(seen.req, SPAN("behind"), true) == RESP_LATER);
    peer_read_all(&p);
    CHECK(seen.drained == 1);
    CHECK(resp_file(seen.req, fd, 0, 1 << 20, false) == RESP_LATER);
    CHECK(seen.ends == 0);
    peer_read_all(&p);
    CHECK(seen.ends == 1 && seen.end == REQ_END_COMPLETE);
    CHECK(peer_count(&p, "100000\r\nabc") == 2 && peer_has(&p, "\r\n6\r\nbehind\r\n100000\r\n") &&
          peer_has(&p, "\r\n0\r\n\r\n"));
    peer_say(&p, GET("/next"));
    peer_read_all(&p);
    CHECK(seen.requests == 2 && !p.eof);
    peer_close(&p);
    close(fd);
}

static void test_short_file(void)
{
    int fd = make_file(1000);
    struct peer p = held(GET("/hold"));
    CHECK(start(200, NULL, false) == RESP_SENT);
    CHECK(resp_file(seen.req, fd, 0, 5000, false) == RESP_TOO_SHORT);
    CHECK(seen.ends == 1 && seen.end == REQ_END_ABORTED);
    peer_read_all(&p);
    CHECK(p.eof);
    peer_close(&p);
    close(fd);
}

static void test_versions(void)
{
    struct peer p;
    fresh(&p);
    peer_say(&p, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    peer_read_all(&p);
    CHECK(peer_count(&p, "connection: keep-alive\r\n") == 1 && !p.eof);
    peer_say(&p, "GET / HTTP/1.0\r\n\r\n" GET("/never"));
    peer_read_all(&p);
    CHECK(peer_count(&p, "connection: close\r\n") == 1 && p.eof && seen.requests == 2);
    peer_close(&p);
    p = held("GET /hold HTTP/1.0\r\n\r\n");
    CHECK(start(200, NULL, false) == RESP_SENT);
    CHECK(resp_body(seen.req, SPAN("a"), true) == RESP_SENT);
    CHECK(resp_body(seen.req, SPAN("b"), false) == RESP_SENT);
    peer_read_all(&p);
    CHECK(peer_has(&p, "\r\n\r\nab") && !peer_has(&p, "chunked") && p.eof);
    peer_close(&p);
    fresh(&p);
    peer_say(&p, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    peer_read_all(&p);
    CHECK(peer_has(&p, "HTTP/1.1 505 ") && p.eof);
    peer_close(&p);
}

int main(void)
{
    scripted_init();
    test_lengths();
    test_bad_answers();
    test_abort();
    test_heads_of_two();
    test_large_head();
    test_interim_and_trailers();
    test_file();
    test_short_file();
    test_versions();
    CHECK(rig.score.inflight == 0 && rig.score.connections == 0);
    rig_done(&rig);
    return unit_done();
}
