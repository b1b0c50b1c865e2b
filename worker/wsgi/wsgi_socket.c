/* SPDX-License-Identifier: BSD-3-Clause */
/* wsgi_socket.c: see wsgi_socket.h. Carries bytes both ways and keeps none: what one side has no room for is not read
 * from the other. When the worker drains, it sends the application the Close frame that the client could have sent, and the
 * application answers the client with its own. It never looks into a frame. */
#include "worker/wsgi/wsgi_socket.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "common/forked.h"
#include "common/log.h"
#include "common/scoreboard.h"
#include "worker/http/resp.h"
#include "worker/net/conn.h"
#include "worker/wsgi/wsgi_call.h"
#include "worker/wsgi/wsgi_frames.h"
#include "worker/wsgi/wsgi_state.h"

#define HEAD_MAX 16384
#define FIELDS_MAX 32
#define PIECE (16u << 10)
/* After the application was told to close. */
#define CLOSE_MS 5000

enum socket_state {
    SOCKET_OFFERED, /* the application has written nothing, or a part of a head */
    SOCKET_CARRIES, /* its 101 has left: the connection is carried */
    SOCKET_CLOSING, /* the worker drains: what the client sends is dropped, what the application still writes is sent */
};

struct wsgi_socket {
    enum socket_state state;
    struct wsgi_call *call; /* NULL: its application has ended */
    struct conn *conn; /* from SOCKET_CARRIES on */
    int fd;
    struct event *readable, *writable;
    struct buf head;
    struct wsgi_frames frames; /* of the client's */
    bool drains; /* a Close frame follows the frame that is coming */
};

static const struct proto_ops proto_carried;

static void set_state(struct wsgi_socket *s, enum socket_state to)
{
    s->state = to;
}

static void socket_free(struct wsgi_socket *s)
{
    if (s->call)
        s->call->socket = NULL;
    if (s->readable)
        event_free(s->readable);
    if (s->writable)
        event_free(s->writable);
    if (s->fd >= 0)
        forked_close(s->fd);
    buf_release(&s->head);
    free(s);
}

/* --- from the application to the client --- */

/* False: stop reading: the client has no room, or the connection ends. */
static bool give(struct wsgi_socket *s, const char *p, size_t n)
{
    enum sent sent = conn_writev(s->conn, &(struct iovec){ (void *)(uintptr_t)p, n }, 1);
    if (sent == LATER)
        event_del(s->readable); /* until on_drained */
    return sent == SENT;
}

/* What the application has written; closes after its end, or when it has written all and has `ended`. */
static void carry_out(struct wsgi_socket *s, bool ended)
{
    char piece[PIECE];
    for (;;) {
        ssize_t n = recv(s->fd, piece, sizeof piece, MSG_DONTWAIT);
        if (n > 0 && give(s, piece, (size_t)n))
            continue;
        if (n > 0 && !ended)
            return;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN && !ended)
            return;
        if (n > 0 && s->conn->state == CONN_OPEN)
            continue; /* it is the last: the connection keeps it */
        event_del(s->readable);
        if (s->conn->state == CONN_OPEN)
            conn_close(s->conn);
        return;
    }
}

/* --- from the client to the application --- */

/* A client's Close frame, 1012 (service restart). */
static void send_close(struct wsgi_socket *s)
{
    static const char frame[] = { (char)0x88, (char)0x82, 0, 0, 0, 0, 0x03, (char)0xf4 };
    set_state(s, SOCKET_CLOSING);
    if (send(s->fd, frame, sizeof frame, MSG_DONTWAIT | MSG_NOSIGNAL) != sizeof frame)
        shutdown(s->fd, SHUT_WR);
    conn_set_deadline(s->conn, CLOSE_MS);
}

static size_t on_data(struct conn *c, char *p, size_t n)
{
    struct wsgi_socket *s = c->proto_data;
    if (s->state == SOCKET_CLOSING)
        return n;
    struct wsgi_frames ahead = s->frames;
    size_t most = s->drains ? wsgi_frames_pass(&ahead, p, n, true) : n;
    ssize_t k = send(s->fd, p, most, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (k < 0 && errno != EAGAIN && errno != EINTR)
        return n; /* the application has closed it, which is seen when reading */
    size_t used = k > 0 ? (size_t)k : 0;
    if (used)
        wsgi_frames_pass(&s->frames, p, used, false);
    if (s->drains && wsgi_frames_between(&s->frames)) {
        send_close(s);
        return n;
    }
    if (used < n) {
        conn_pause(c);
        event_add(s->writable, NULL);
    } else if (c->peer_eof) {
        shutdown(s->fd, SHUT_WR);
    }
    return used;
}

static void on_eof(struct conn *c)
{
    struct wsgi_socket *s = c->proto_data;
    if (!buf_len(&c->in))
        shutdown(s->fd, SHUT_WR);
}

static void on_drained(struct conn *c)
{
    event_add(((struct wsgi_socket *)c->proto_data)->readable, NULL);
}

/* The application was asked to close, and has not. */
static void on_deadline(struct conn *c)
{
    conn_close(c);
}

static void on_shutdown(struct conn *c)
{
    struct wsgi_socket *s = c->proto_data;
    s->drains = true;
    if (s->state == SOCKET_CARRIES && wsgi_frames_between(&s->frames) && !buf_len(&c->in))
        send_close(s);
}

static void on_close(struct conn *c, enum conn_end why)
{
    score_add32(&c->net->score->websockets, -1);
    struct wsgi_socket *s = c->proto_data;
    c->proto_data = NULL;
    socket_free(s);
}

static const struct proto_ops proto_carried = {
    .name = "websocket of wsgi",
    .on_data = on_data,
    .on_eof = on_eof,
    .on_drained = on_drained,
    .on_deadline = on_deadline,
    .on_shutdown = on_shutdown,
    .on_close = on_close,
};

/* --- the head that the application writes --- */

/* The line at *at, without its end; false: there is none. */
static bool next_line(struct span head, size_t *at, struct span *ret)
{
    const char *p = head.p + *at, *end = memmem(p, head.n - *at, "\r\n", 2);
    if (!end)
        return false;
    *ret = (struct span){ p, (size_t)(end - p) };
    *at += ret->n + 2;
    return true;
}

/* How many fields; -1: it is no 101 that can be passed on. */
static int read_head(struct span head, struct resp_field fields[FIELDS_MAX])
{
    struct span line;
    size_t at = 0;
    int n = 0;
    if (!next_line(head, &at, &line) || line.n < 12 || memcmp(line.p, "HTTP/1.1 101", 12) != 0)
        return -1;
    while (next_line(head, &at, &line) && line.n) {
        const char *colon = memchr(line.p, ':', line.n);
        if (!colon || n == FIELDS_MAX)
            return -1;
        size_t name = (size_t)(colon - line.p);
        fields[n++] = (struct resp_field){ { line.p, name }, span_trim((struct span){ colon + 1, line.n - name - 1 }) };
    }
    return n;
}

static void refuse_head(struct wsgi_socket *s)
{
    char line[700];
    wsgi_call_describe(s->call, line, sizeof line);
    log_error("the WSGI application wrote something else than a 101 to gunicorn.socket: %s", line);
    resp_error(s->call->req, 500);
}

/* The head is complete: the request ends. */
static void take_over(struct wsgi_socket *s, size_t n)
{
    struct wsgi_call *c = s->call;
    struct resp_field fields[FIELDS_MAX];
    struct span head = { s->head.p + s->head.start, n };
    int n_fields = read_head(head, fields);
    if (n_fields < 0) {
        refuse_head(s);
        return;
    }
    struct resp_head answer = { .status = 101, .fields = fields, .n_fields = (size_t)n_fields };
    struct net *net = c->req->conn->net;
    set_state(s, SOCKET_CARRIES);
    enum resp_result result = resp_upgrade(c->req, &answer, SPAN("websocket"), &proto_carried, s, &s->conn);
    if (result != RESP_SENT && result != RESP_LATER) {
        set_state(s, SOCKET_OFFERED);
        if (result > RESP_GONE && c->req)
            refuse_head(s);
        else if (c->socket)
            shutdown(s->fd, SHUT_RDWR); /* the client has gone: the application reads its end */
        return;
    }
    score_add64(&net->score->ws_opened, 1);
    score_add32(&net->score->websockets, 1);
    conn_no_deadline(s->conn);
    s->drains = net->draining;
    if (buf_len(&s->head) > n)
        give(s, s->head.p + s->head.start + n, buf_len(&s->head) - n);
    buf_release(&s->head);
    if (s->drains)
        on_shutdown(s->conn);
}

static void read_offer(struct wsgi_socket *s)
{
    while (s->state == SOCKET_OFFERED && s->call->req && s->call->req->state <= REQ_RUNNING) {
        char *to = buf_room(&s->head, PIECE);
        ssize_t k = to ? recv(s->fd, to, PIECE, MSG_DONTWAIT) : 0;
        if (k < 0 && errno == EINTR)
            continue;
        if (k == 0)
            event_del(s->readable); /* closed without a word: the usual answer follows */
        if (k <= 0)
            return;
        buf_grew(&s->head, (size_t)k);
        struct span all = buf_span(&s->head);
        const char *end = memmem(all.p, all.n, "\r\n\r\n", 4);
        if (end || all.n > HEAD_MAX) {
            end ? take_over(s, (size_t)(end - all.p) + 4) : refuse_head(s);
            return; /* s may be freed with the request */
        }
    }
}

/* --- events --- */

static void on_readable(int fd, short what, void *arg)
{
    struct wsgi_socket *s = arg;
    if (s->state == SOCKET_OFFERED && s->call) {
        struct wsgi_call *c = wsgi_call_ref(s->call);
        if (c->req && c->req->state <= REQ_RUNNING)
            read_offer(s); /* s may be freed with the request */
        else
            event_del(s->readable);
        wsgi_call_unref(c);
    } else if (s->conn->state == CONN_OPEN) {
        carry_out(s, !s->call);
    } else {
        event_del(s->readable);
    }
}

static void on_writable(int fd, short what, void *arg)
{
    conn_resume(((struct wsgi_socket *)arg)->conn);
}

/* --- the call --- */

static bool has_option(const struct req *r, enum known_field which, struct span option)
{
    uint16_t at = r->known[which];
    return at && span_list_has(req_span(r, r->fields[at - 1].value), option);
}

static bool is_upgrade(const struct req *r)
{
    return r->version == HTTP_1_1 && r->body_complete && !r->conn->shared &&
           span_eq(req_span(r, r->method), SPAN("GET")) && has_option(r, FIELD_UPGRADE, SPAN("websocket")) &&
           has_option(r, FIELD_CONNECTION, SPAN("upgrade"));
}

void wsgi_socket_offer(struct wsgi_call *c)
{
    int fds[2];
    if (!is_upgrade(c->req))
        return;
    struct wsgi_socket *s = calloc(1, sizeof *s);
    if (!s || forked_socketpair(fds) < 0) {
        log_warning("no socket can be made for a WebSocket of a WSGI application: %m");
        free(s);
        return;
    }
    s->fd = fds[0];
    c->socket_fd = fds[1];
    s->call = c;
    s->readable = event_new(c->req->conn->net->base, s->fd, EV_READ | EV_PERSIST, on_readable, s);
    s->writable = event_new(c->req->conn->net->base, s->fd, EV_WRITE, on_writable, s);
    c->socket = s;
    if (!s->readable || !s->writable || event_add(s->readable, NULL) < 0)
        socket_free(s);
    c->socket_offered = c->socket != NULL;
}

bool wsgi_socket_is_taken(struct wsgi_call *c)
{
    if (!c->socket_offered)
        return false;
    if (c->socket && c->socket->state == SOCKET_OFFERED && c->req && c->req->state <= REQ_RUNNING) {
        wsgi_call_ref(c);
        read_offer(c->socket);
        wsgi_call_unref(c);
    }
    return !c->req;
}

void wsgi_socket_request_ended(struct wsgi_call *c)
{
    if (c->socket && c->socket->state == SOCKET_OFFERED)
        socket_free(c->socket);
}

void wsgi_socket_call_ended(struct wsgi_call *c)
{
    struct wsgi_socket *s = c->socket;
    if (!s)
        return;
    if (s->state == SOCKET_OFFERED) { /* its usual answer is still on its way */
        socket_free(s);
        return;
    }
    s->call = NULL;
    c->socket = NULL;
    if (s->conn->state == CONN_OPEN)
        carry_out(s, true);
}

/* socket.socket(fileno=fd), which owns the descriptor; in greenlets one that waits in the hub. */
static PyObject *socket_object(struct wsgi_call *c)
{
    PyObject *module = PyImport_ImportModule(c->wsgi->greenlets ? "gevent.socket" : "socket"),
             *type = module ? PyObject_GetAttrString(module, "socket") : NULL;
    PyObject *none = type ? PyTuple_New(0) : NULL, *named = none ? Py_BuildValue("{si}", "fileno", c->socket_fd) : NULL;
    PyObject *object = named ? PyObject_Call(type, none, named) : NULL;
    if (object)
        c->socket_fd = -1;
    Py_XDECREF(named);
    Py_XDECREF(none);
    Py_XDECREF(type);
    Py_XDECREF(module);
    return object;
}

int wsgi_socket_put(struct wsgi_call *c, PyObject *environ)
{
    if (!c->socket_offered)
        return 0;
    PyObject *object = socket_object(c);
    int r = object ? PyDict_SetItemString(environ, "gunicorn.socket", object) : -1;
    Py_XDECREF(object);
    return r;
}
