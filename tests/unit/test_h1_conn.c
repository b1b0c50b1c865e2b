/* SPDX-License-Identifier: BSD-3-Clause */
/* test_h1_conn.c: what a connection does around requests: their order, back-pressure, time-outs, ends. */
#include <string.h>

#include "common/clock.h"
#include "tests/unit/scripted.h"
#include "tests/unit/unit.h"

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
    fresh_narrow(&p);
    peer_say(&p, GET("/hold"));
    CHECK(start(200, NULL, false) == RESP_SENT);
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
    fresh_narrow(&p);
    peer_say(&p, GET("/hold"));
    CHECK(start(200, NULL, false) == RESP_SENT);
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
    CHECK(req_body(seen.req).n >= 4 * CONN_HIGH_MARK && req_body(seen.req).n < 6 * CONN_HIGH_MARK);
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
    fresh_narrow(&p);
    peer_say(&p, GET("/hold"));
    static char big[300000];
    CHECK(start(200, NULL, false) == RESP_SENT);
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
    struct req *r = seen.req;
    net_shutdown(&rig.net);
    net_on_empty(&rig.net, on_empty, NULL);
    peer_say(&coming, GET("/late"));
    CHECK(peer_wait_eof(&idle) && !peer_has(&idle, "close"));
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
    scripted_init();
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
    test_abandon();
    test_timeouts();
    test_proxy();
    test_shutdown();
    CHECK(rig.score.inflight == 0 && rig.score.connections == 0);
    rig_done(&rig);
    return unit_done();
}
