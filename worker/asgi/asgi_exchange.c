/* SPDX-License-Identifier: BSD-3-Clause */
/* asgi_exchange.c: see asgi_exchange.h. What all messages of a response have in common. */
#include "worker/asgi/asgi_exchange.h"

#include "common/clock.h"
#include "conf/conf.h"
#include "worker/asgi/asgi_state.h"

/* How much a stream whose application does not listen for the disconnect may still send into nothing. */
#define IGNORED_MOST 1000
#define IGNORED_MS 10000

enum channel_result exchange_gone(struct exchange *x)
{
    struct asgi *asgi = x->channel.asgi;
    x->gone = true;
    if (asgi->env.app->asgi_spec_version == CONF_ASGI_SPEC_2_5) {
        PyErr_SetString(asgi->gone_error, "the client has disconnected");
        return CHANNEL_ERROR;
    }
    uint64_t now = clock_ms();
    if (!x->ignored++)
        x->ignored_ms = now;
    if (x->ignored <= IGNORED_MOST && now - x->ignored_ms < IGNORED_MS)
        return CHANNEL_TURN;
    PyErr_SetString(asgi->cancelled_error, "the client has disconnected");
    return CHANNEL_ERROR;
}

enum channel_result exchange_result(struct exchange *x, enum resp_result result)
{
    switch (result) {
    case RESP_SENT:
        return CHANNEL_DONE;
    case RESP_LATER:
        x->late = false;
        return CHANNEL_WAIT;
    case RESP_GONE:
        return exchange_gone(x);
    case RESP_BAD_FIELD:
    case RESP_BAD_LENGTH:
    case RESP_TWO_LENGTHS:
    case RESP_BAD_TRAILER:
    case RESP_BAD_STATUS:
        PyErr_SetString(PyExc_ValueError, resp_fault(result));
        return CHANNEL_ERROR;
    case RESP_TOO_LONG:
        PyErr_SetString(PyExc_RuntimeError, "response body is longer than its Content-Length");
        return CHANNEL_ERROR;
    case RESP_TOO_SHORT:
        PyErr_SetString(PyExc_RuntimeError, "response body is shorter than its Content-Length");
        return CHANNEL_ERROR;
    case RESP_NO_MEMORY:
        break;
    }
    PyErr_NoMemory();
    return CHANNEL_ERROR;
}

bool exchange_refuses(struct exchange *x, enum channel_result *ret)
{
    if (x->gone) {
        *ret = exchange_result(x, RESP_GONE);
    } else if (x->stage == EXCHANGE_COMPLETE || !x->req) {
        *ret = CHANNEL_DONE; /* "any further messages will be ignored" */
    } else if (x->file || x->file_fd >= 0) {
        PyErr_SetString(PyExc_RuntimeError, "the send() of a file must be awaited before the next message");
        *ret = CHANNEL_ERROR;
    } else {
        return false;
    }
    return true;
}
