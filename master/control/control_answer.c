/* SPDX-License-Identifier: BSD-3-Clause */
/* control_answer.c: a line of JSON on its way to a client. */
#include <event2/buffer.h>
#include <event2/bufferevent.h>

#include "common/log.h"
#include "master/control/control_priv.h"

/* Without its end of line; takes the contents. */
static void send_line(struct control_client *client, struct buf *line)
{
    struct evbuffer *output = bufferevent_get_output(client->io);
    client->waits = CONTROL_WAIT_NOTHING;
    if (evbuffer_add(output, line->p + line->start, buf_len(line)) < 0 || evbuffer_add(output, "\n", 1) < 0) {
        log_error("control: out of memory for an answer");
        client->last = true;
    }
    buf_release(line);
}

struct json_out *control_answer_begin(struct control_answer *answer, bool ok)
{
    *answer = (struct control_answer){ 0 };
    json_begin_document(&answer->j, &answer->line);
    json_object(&answer->j, NULL);
    json_bool(&answer->j, "ok", ok);
    return &answer->j;
}

void control_answer_end(struct control_answer *answer, struct control_client *client)
{
    json_end_object(&answer->j);
    if (json_end_document(&answer->j) == 0) {
        send_line(client, &answer->line);
        return;
    }
    buf_release(&answer->line);
    control_answer_error(client, "out of memory");
}

void control_answer_error(struct control_client *client, const char *why)
{
    static const char poor[] = "{\"ok\":false,\"error\":\"out of memory\"}";
    struct control_answer answer;
    struct json_out *j = control_answer_begin(&answer, false);
    json_string(j, "error", why);
    json_end_object(j);
    if (json_end_document(j) < 0) {
        buf_release(&answer.line);
        if (buf_add(&answer.line, poor, sizeof(poor) - 1) < 0)
            log_error("control: out of memory for an answer");
    }
    send_line(client, &answer.line);
}
