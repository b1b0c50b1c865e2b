/* test_h1_conn.c: what a connection does around requests: order, back-pressure, files, time-outs, ends. The handler
 * answers by path, or leaves the request to the test ("/hold"). */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "tests/unit/rig.h"
#include "tests/unit/unit.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST(path, fields) "POST " path " HTTP/1.1\r\nHost: a\r\n" fields "\r\n"

static struct rig rig;

/* What the handler saw last. */
static struct {
    struct req *req; /* the one that "/hold" left, until on_end */
    unsigned requests, bodies, drained, eofs, ends;
    enum req_end end;
    enum resp_result result;
} seen;

static struct span text_of(const char *s)
{
    return span_of(s);
}

static void answer(struct req *r, const char *text)
{
    struct resp_head head = { .status = 200 };
    seen.result = resp_start(r, &head);
    if (seen.result == RESP_SENT)
        seen.result = resp_body(r, text_of(text), false);
}

static void on_request(struct handler *h, struct req *r)
{
    struct span path = req_span(r, r->path);
    seen.requests++;
    seen.req = r;
    if (!span_eq(path, SPAN("/hold")))
        answer(r, "ok");
}

static void on_body(struct req *r)
{
    seen.bodies++;
}

static void on_drained(struct req *r)
{
    seen.drained++;
}

static void on_peer_eof(struct req *r)
{
    seen.eofs++;
}

static void on_end(struct req *r, enum req_end why)
{
    seen.ends++;
    seen.end = why;
    if (seen.req == r)
        seen.req = NULL;
}

static const struct handler_ops ops = {
    .name = "test", .on_request = on_request, .on_body = on_body, .on_drained = on_drained, .on_peer_eof = on_peer_eof,
    .on_end = on_end,
};

static void fresh(struct peer *p)
{
    memset(&seen, 0, sizeof seen);
    peer_open(p, &rig);
}

static struct peer held(const char *request)
{
    struct peer p;
    fresh(&p);
    peer_say(&p, request);
    CHECK(seen.req != NULL);
    return p;
}

static void start(unsigned status, const char *length, bool trailers)
{
    struct resp_field f = { SPAN("Content-Length"), text_of(length) };
    struct resp_head head = { .status = status, .fields = &f, .n_fields = length != NULL, .trailers = trailers };
    CHECK(resp_start(seen.req, &head) == RESP_SENT);
}

static void test_pipelining(void)
{
    struct peer p;
    fresh(&p);
    peer_say(&p, GET("/1") GET("/2") GET("/3"));
    peer_read_all(&p);
    CHECK(seen.requests == 3 && seen.ends == 3 && peer_count(&p, "HTTP/1.1 200 OK") == 3);
    peer_say(&p, GET("/hold") GET("/2"));
    CHECK(seen.requests == 4);
    struct span host = req_known(seen.req, FIELD_HOST);
    CHECK(host.n == 1 && host.p[0] == 'a');
    unsigned before = seen.requests;
    answer(seen.req, "late");
    CHECK(seen.requests == before); /* never from inside resp_body() */
    peer_read_all(&p);
    CHECK(seen.requests == 5 && seen.ends == 5 && peer_has(&p, "late") && !p.eof);
    peer_close(&p);
}

static void test_pipelined_flood(void)
{
    struct peer p = held(GET("/hold"));
    static char many[200000];
    size_t n = 0;
    while (n + 64 < sizeof many)
        n += (size_t)sprintf(many + n, GET("/%zu"), n);
    size_t sent = 0;
    for (ssize_t k; sent < n && (k = send(p.fd, many + sent, n - sent, MSG_NOSIGNAL)) > 0; rig_pump(&rig))
        sent += (size_t)k;
    struct conn *c = TAILQ_FIRST(&rig.net.conns);
    CHECK(buf_len(&c->in) < 2 * CONN_HIGH_MARK + (64 << 10));
    answer(seen.req, "held");
    peer_send(&p, many + sent, n - sent);
    peer_read_all(&p);
    CHECK_MSG(peer_count(&p, "HTTP/1.1 200 OK") == seen.requests && seen.ends == seen.requests, "%u of %u, %u ended",
              peer_count(&p, "HTTP/1.1 200 OK"), seen.requests, seen.ends);
    CHECK(!buf_len(&c->in) && !c->in.p);
    peer_close(&p);
}

static void test_eof_after_pipelined(void)
{
    struct peer p = held(GET("/hold") GET("/2"));
    peer_shut(&p);
    CHECK(seen.eofs == 1);
    answer(seen.req, "late");
    peer_read_all(&p);
    CHECK(seen.requests == 2 && peer_count(&p, "HTTP/1.1 200") == 2 && p.eof);
    peer_close(&p);
}

static void test_slow_reader(void)
{
    struct peer p;
    static char big[300000];
    memset(big, 'x', sizeof big);
    memset(&seen, 0, sizeof seen);
    peer_open_narrow(&p, &rig);
    peer_say(&p, GET("/hold"));
    start(200, NULL, false);
    CHECK(resp_body(seen.req, (struct span){ big, sizeof big }, true) == RESP_LATER);
    CHECK(seen.drained == 0);
    peer_read_all(&p);
    CHECK(seen.drained == 1);
    CHECK(resp_body(seen.req, (struct span){ big, sizeof big }, false) == RESP_LATER);
    CHECK(seen.ends == 0);
    peer_read_all(&p);
    CHECK(seen.ends == 1 && seen.end == REQ_END_COMPLETE && buf_len(&p.got) > 2 * sizeof big);
    peer_say(&p, GET("/next"));
    peer_read_all(&p);
    CHECK(seen.requests == 2 && peer_count(&p, "HTTP/1.1 200 OK") == 2);
    peer_close(&p);
}

static void test_peer_gone_while_writing(void)
{
    struct peer p;
    static char big[300000];
    memset(&seen, 0, sizeof seen);
    peer_open_narrow(&p, &rig);
    peer_say(&p, GET("/hold"));
    start(200, NULL, false);
    CHECK(resp_body(seen.req, (struct span){ big, sizeof big }, true) == RESP_LATER);
    peer_close(&p);
    CHECK(seen.ends == 1 && seen.end == REQ_END_CLIENT_GONE);
}

static void test_upload(void)
{
    struct peer p = held(POST("/hold", "Content-Length: 400000\r\n") "abc");
    CHECK(req_body(seen.req).n == 3);
    static char bytes[400000];
    size_t sent = 3, taken = 0;
    for (int i = 0; i < 50; i++) {
        ssize_t k = send(p.fd, bytes, sizeof bytes - sent, MSG_NOSIGNAL);
        sent += k > 0 ? (size_t)k : 0;
        rig_pump(&rig);
    }
    struct conn *c = TAILQ_FIRST(&rig.net.conns);
    CHECK(req_body(seen.req).n >= CONN_HIGH_MARK && req_body(seen.req).n < 3 * CONN_HIGH_MARK);
    CHECK(c->paused && buf_len(&c->in) <= CONN_HIGH_MARK);
    while (!(req_body_ended(seen.req) && !req_body(seen.req).n)) {
        size_t n = req_body(seen.req).n;
        taken += n;
        req_body_take(seen.req, n);
        if (sent < sizeof bytes) {
            ssize_t k = send(p.fd, bytes, sizeof bytes - sent, MSG_NOSIGNAL);
            sent += k > 0 ? (size_t)k : 0;
        }
        rig_pump(&rig);
        if (!req_body(seen.req).n && !req_body_ended(seen.req))
            req_body_want(seen.req);
    }
    CHECK(taken == sizeof bytes);
    answer(seen.req, "thanks");
    peer_say(&p, GET("/next"));
    peer_read_all(&p);
    CHECK(seen.requests == 2 && seen.ends == 2 && peer_count(&p, "HTTP/1.1 200 OK") == 2);
    peer_close(&p);
}

static void test_gone_while_paused(void)
{
    struct peer p = held(POST("/hold", "Content-Length: 900000\r\n"));
    static char bytes[65536];
    for (int i = 0; i < 20; i++) {
        (void)!send(p.fd, bytes, sizeof bytes, MSG_NOSIGNAL);
        rig_pump(&rig);
    }
    CHECK(seen.ends == 0 && TAILQ_FIRST(&rig.net.conns)->paused);
    peer_close(&p);
    CHECK(seen.ends == 1 && seen.end == REQ_END_CLIENT_GONE);
}

static void test_body_lost(void)
{
    struct peer p = held(POST("/hold", "Content-Length: 9\r\n") "abc");
    peer_shut(&p);
    CHECK(seen.ends == 1 && seen.end == REQ_END_CLIENT_GONE);
    peer_close(&p);
}

static void test_unread_body(void)
{
    struct peer p;
    fresh(&p);
    peer_say(&p, POST("/x", "Content-Length: 5\r\n") "ab");
    peer_say(&p, "cde" GET("/y"));
    peer_read_all(&p);
    CHECK(seen.requests == 2 && !p.eof && !peer_has(&p, "close"));
    peer_say(&p, POST("/x", "Content-Length: 5000000\r\n") "ab");
    peer_read_all(&p);
    CHECK(seen.requests == 3 && p.eof && peer_has(&p, "connection: close"));
    peer_close(&p);
    fresh(&p);
    peer_say(&p, POST("/x", "Transfer-Encoding: chunked\r\n") "5\r\nabcde\r\n");
    peer_say(&p, "0\r\n\r\n" GET("/y"));
    peer_read_all(&p);
    CHECK(seen.requests == 2 && !p.eof);
    peer_close(&p);
}

static void test_continue(void)
{
    struct peer p = held(POST("/hold", "Content-Length: 5\r\nExpect: 100-continue\r\n"));
    peer_read_all(&p);
    CHECK(!buf_len(&p.got));
    req_body_want(seen.req);
    peer_read_all(&p);
    CHECK(strcmp(peer_text(&p), "HTTP/1.1 100 Continue\r\n\r\n") == 0);
    peer_say(&p, "hello");
    CHECK(seen.bodies == 1 && req_body_ended(seen.req) && req_body(seen.req).n == 5);
    answer(seen.req, "ok");
    peer_say(&p, POST("/x", "Content-Length: 5\r\nExpect: 100-continue\r\n"));
    peer_read_all(&p);
    CHECK(peer_count(&p, "100 Continue") == 1 && peer_has(&p, "connection: close") && p.eof);
    peer_close(&p);
}

static void test_bad_chunk(void)
{
    struct peer p = held(POST("/hold", "Transfer-Encoding: chunked\r\n") "3\r\nabc\r\n");
    req_body_take(seen.req, 3);
    req_body_want(seen.req);
    peer_say(&p, "xyz\r\n");
    peer_read_all(&p);
    CHECK(seen.ends == 1 && seen.end == REQ_END_BODY_BAD && peer_has(&p, "HTTP/1.1 400 Bad Request") && p.eof);
    peer_close(&p);
}

static void test_body_limit(void)
{
    rig.conf.http.limit_request_body = 8;
    struct peer p = held(POST("/hold", "Transfer-Encoding: chunked\r\n") "3\r\nabc\r\n");
    peer_say(&p, "6\r\nabcdef\r\n0\r\n\r\n");
    peer_read_all(&p);
    CHECK(seen.ends == 1 && seen.end == REQ_END_BODY_BAD && peer_has(&p, "HTTP/1.1 413 ") && p.eof);
    peer_close(&p);
    rig.conf.http.limit_request_body = 0;
}

static void test_lengths(void)
{
    struct peer p = held(GET("/hold"));
    start(200, "3", false);
    CHECK(resp_body(seen.req, SPAN("abcdef"), false) == RESP_TOO_LONG);
    CHECK(seen.ends == 1);
    peer_read_all(&p);
    CHECK(peer_has(&p, "\r\n\r\nabc") && !peer_has(&p, "abcd") && p.eof);
    peer_close(&p);
    p = held(GET("/hold"));
    start(200, "9", false);
    CHECK(resp_body(seen.req, SPAN("abc"), false) == RESP_TOO_SHORT);
    CHECK(seen.ends == 1 && seen.end == REQ_END_ABORTED);
    peer_read_all(&p);
    CHECK(peer_has(&p, "\r\n\r\nabc") && p.eof);
    peer_close(&p);
    p = held("HEAD /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    start(200, "9", false);
    CHECK(resp_body(seen.req, SPAN(""), false) == RESP_SENT);
    peer_read_all(&p);
    CHECK(peer_has(&p, "Content-Length: 9\r\n") && !p.eof);
    peer_close(&p);
}

static void test_bad_answers(void)
{
    struct peer p = held(GET("/hold"));
    struct resp_field f[] = { { SPAN("x"), SPAN("a\r\nb: c") }, { SPAN("x y"), SPAN("") },
                              { SPAN("content-length"), SPAN("-1") } };
    for (int i = 0; i < 3; i++) {
        struct resp_head head = { .status = 200, .fields = &f[i], .n_fields = 1 };
        CHECK(resp_start(seen.req, &head) == RESP_BAD_FIELD);
    }
    struct resp_head head = { .status = 100 };
    CHECK(resp_start(seen.req, &head) == RESP_BAD_STATUS);
    resp_error(seen.req, 500);
    CHECK(seen.ends == 1 && seen.end == REQ_END_COMPLETE);
    peer_read_all(&p);
    CHECK(peer_has(&p, "HTTP/1.1 500 Internal Server Error\r\n") && peer_has(&p, "500 Internal Server Error\n") && p.eof);
    peer_close(&p);
}

static void test_abort(void)
{
    struct peer p = held(GET("/hold"));
    start(200, NULL, false);
    CHECK(resp_body(seen.req, SPAN("part"), true) == RESP_SENT);
    resp_abort(seen.req);
    CHECK(seen.ends == 1 && seen.end == REQ_END_ABORTED);
    peer_read_all(&p);
    CHECK(peer_has(&p, "4\r\npart\r\n") && !peer_has(&p, "\r\n0\r\n") && p.eof);
    peer_close(&p);
}

static void test_abandon(void)
{
    struct peer p = held(GET("/hold"));
    peer_shut(&p);
    CHECK(seen.eofs == 1);
    req_abandon(seen.req);
    CHECK(seen.ends == 1 && seen.end == REQ_END_CLIENT_GONE);
    peer_read_all(&p);
    CHECK(p.eof && !buf_len(&p.got));
    peer_close(&p);
}

/* Many small pieces leave as few; the pieces themselves are kept apart. */
static void test_heads_of_two(void)
{
    struct peer a = held(GET("/hold"));
    struct req *first = seen.req;
    start(200, NULL, false);
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
    start(200, NULL, true);
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
    start(200, NULL, false);
    CHECK(resp_file(seen.req, fd, 26, 100, false) == RESP_SENT);
    CHECK(seen.ends == 1);
    peer_read_all(&p);
    CHECK(peer_has(&p, "content-length: 100\r\n") && peer_has(&p, "\r\n\r\nabcdefgh"));
    peer_close(&p);
    memset(&seen, 0, sizeof seen);
    peer_open_narrow(&p, &rig);
    peer_say(&p, GET("/hold"));
    start(200, NULL, false);
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
    start(200, NULL, false);
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
    start(200, NULL, false);
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

static void test_timeouts(void)
{
    struct conf_http usual = rig.conf.http;
    struct peer p;
    rig.conf.http.header_timeout = rig.conf.http.keepalive = rig.conf.http.body_timeout = 50;
    fresh(&p);
    CHECK(peer_wait_eof(&p) && !buf_len(&p.got));
    peer_close(&p);
    fresh(&p);
    peer_say(&p, "GET / HT");
    CHECK(peer_wait_eof(&p) && peer_has(&p, "HTTP/1.1 408 Request Timeout"));
    peer_close(&p);
    fresh(&p);
    peer_say(&p, GET("/"));
    CHECK(peer_wait_eof(&p) && peer_has(&p, "200 OK") && !peer_has(&p, "408"));
    peer_close(&p);
    p = held(POST("/hold", "Content-Length: 5\r\n") "ab");
    req_body_want(seen.req);
    CHECK(peer_wait_eof(&p) && peer_has(&p, "HTTP/1.1 408 ") && seen.end == REQ_END_BODY_TIMEOUT);
    peer_close(&p);
    rig.conf.http = usual;
    rig.conf.http.write_timeout = 50;
    memset(&seen, 0, sizeof seen);
    peer_open_narrow(&p, &rig);
    peer_say(&p, GET("/hold"));
    static char big[300000];
    start(200, NULL, false);
    CHECK(resp_body(seen.req, (struct span){ big, sizeof big }, true) == RESP_LATER);
    for (uint64_t end = clock_ms() + 20000; !seen.ends && clock_ms() < end; net_turn(&rig.net))
        event_base_loop(rig.base, EVLOOP_ONCE);
    CHECK(seen.ends == 1 && seen.end == REQ_END_CLIENT_GONE);
    peer_close(&p);
    rig.conf.http = usual;
}

static void test_proxy(void)
{
    struct peer p;
    rig.listener.proxy = true;
    fresh(&p);
    peer_say(&p, "PROXY TCP4 192.0.2.7 192.0.2.8 5");
    peer_say(&p, "6324 443\r\n" GET("/hold"));
    CHECK(seen.req && seen.req->client && strcmp(seen.req->client->host, "192.0.2.7") == 0 &&
          seen.req->client->port == 56324 && strcmp(seen.req->server->host, "192.0.2.8") == 0);
    answer(seen.req, "ok");
    peer_close(&p);
    fresh(&p);
    peer_say(&p, GET("/"));
    peer_read_all(&p);
    CHECK(seen.requests == 0 && p.eof && !buf_len(&p.got));
    peer_close(&p);
    rig.listener.proxy = false;
}

static unsigned emptied;

static void on_empty(void *arg)
{
    emptied++;
}

/* The last one: the net does not serve on afterwards. */
static void test_shutdown(void)
{
    struct peer idle, busy, coming;
    fresh(&idle);
    peer_say(&idle, GET("/"));
    peer_open(&coming, &rig);
    peer_open(&busy, &rig);
    peer_say(&busy, GET("/hold"));
    peer_read_all(&idle);
    static const char late[] = GET("/late");
    CHECK(send(coming.fd, late, sizeof late - 1, 0) > 0);
    struct req *r = seen.req;
    net_shutdown(&rig.net);
    net_on_empty(&rig.net, on_empty, NULL);
    peer_read_all(&idle);
    CHECK(idle.eof && !peer_has(&idle, "close"));
    peer_read_all(&coming);
    CHECK(coming.eof && peer_has(&coming, "connection: close"));
    CHECK(!emptied);
    answer(r, "last");
    peer_read_all(&busy);
    CHECK(busy.eof && peer_has(&busy, "connection: close") && peer_has(&busy, "last"));
    CHECK(emptied == 1);
    peer_close(&idle);
    peer_close(&busy);
    peer_close(&coming);
}

int main(void)
{
    struct handler handler = { &ops };
    rig_init(&rig, &handler);
    test_pipelining();
    test_pipelined_flood();
    test_eof_after_pipelined();
    test_slow_reader();
    test_peer_gone_while_writing();
    test_upload();
    test_gone_while_paused();
    test_body_lost();
    test_unread_body();
    test_continue();
    test_bad_chunk();
    test_body_limit();
    test_lengths();
    test_bad_answers();
    test_abort();
    test_abandon();
    test_heads_of_two();
    test_large_head();
    test_interim_and_trailers();
    test_file();
    test_short_file();
    test_versions();
    test_timeouts();
    test_proxy();
    test_shutdown();
    CHECK(rig.score.inflight == 0 && rig.score.connections == 0);
    rig_done(&rig);
    return unit_done();
}
