/* SPDX-License-Identifier: BSD-3-Clause */
/* error_resp.c: answers by the server itself: a line of text and the end of the connection. */
#include <assert.h>
#include <stdio.h>

#include "common/likely.h"
#include "common/scoreboard.h"
#include "worker/http/req.h"
#include "worker/http/resp.h"
#include "worker/net/conn.h"

static void send_text(struct req *r, unsigned status, unsigned retry_after, const char *because)
{
    char text[160], length[24], seconds[24];
    int n = snprintf(text, sizeof(text), "%u %s%s%s\n", status, resp_reason(status), because ? ": " : "",
                     because ? because : "");
    int m = snprintf(length, sizeof(length), "%d", n);
    int k = snprintf(seconds, sizeof(seconds), "%u", retry_after);
    struct resp_field fields[] = {
        { SPAN("content-type"), SPAN("text/plain; charset=utf-8") },
        { SPAN("content-length"), { length, (size_t)m } },
        { SPAN("connection"), SPAN("close") },
        { SPAN("retry-after"), { seconds, (size_t)k } },
    };
    struct resp_head head = { .status = status, .fields = fields, .n_fields = retry_after ? 4 : 3 };
    if (r->answer_unbound) /* it has answered before: the client has gone */
        return;
    assert(r->state <= REQ_HELD);
    if (r->state == REQ_HELD)
        resp_withdraw(r);
    if (status == 413)
        score_add64(&r->conn->net->score->too_large, 1);
    /* The fields are good, and the text is as long as they say. A client that has gone is reported by on_end. */
    enum resp_result result = resp_start(r, &head);
    if (unlikely(result == RESP_NO_MEMORY))
        return;
    r->answer_unbound = true;
    if (likely(result == RESP_SENT))
        (void)!r->ops->body(r, (struct span){ text, (size_t)n }, false);
}

void resp_error(struct req *r, unsigned status)
{
    send_text(r, status, 0, NULL);
}

void resp_error_because(struct req *r, unsigned status, const char *because)
{
    send_text(r, status, 0, because);
}

void resp_error_retry(struct req *r, unsigned status, unsigned seconds)
{
    send_text(r, status, seconds, NULL);
}
