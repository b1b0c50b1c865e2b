/* SPDX-License-Identifier: BSD-3-Clause */
/* asgi_exchange.c: see asgi_exchange.h. What all messages of a response have in common. */
#include "worker/asgi/asgi_exchange.h"

#include "worker/asgi/asgi_state.h"

enum channel_result exchange_result(struct exchange *x, enum resp_result result)
{
    switch (result) {
    case RESP_SENT:
        return CHANNEL_DONE;
    case RESP_LATER:
        x->late = false;
        return CHANNEL_WAIT;
    case RESP_GONE:
        x->gone = true;
        PyErr_SetString(x->channel.asgi->gone_error, "the client has disconnected");
        return CHANNEL_ERROR;
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
