/* SPDX-License-Identifier: BSD-3-Clause */
/* ws_handshake.c: judges an opening handshake (RFC 6455 4.2.1) by its head alone. Pure: answers nothing and keeps nothing.
 * What holds for every head (one Host, no smuggled framing) was judged by head_rules before. */
#include <stdint.h>

#include "worker/http/req.h"
#include "worker/ws/ws.h"
#include "worker/ws/ws_key.h"
#include "worker/ws/ws_sha1.h"

#define KEY_LENGTH 24 /* base64 of 16 bytes */

static bool name_is(const struct req *r, uint32_t i, struct span name)
{
    return span_eq(req_span(r, r->fields[i].name), name);
}

/* Whether any field of this name lists the option. */
static bool lists(const struct req *r, struct span name, struct span option)
{
    for (uint32_t i = 0; i < r->n_fields; i++)
        if (name_is(r, i, name) && span_list_has(req_span(r, r->fields[i].value), option))
            return true;
    return false;
}

/* How many fields of this name there are; the value of the last one. */
static unsigned count(const struct req *r, struct span name, struct span *ret_value)
{
    unsigned n = 0;
    for (uint32_t i = 0; i < r->n_fields; i++) {
        if (!name_is(r, i, name))
            continue;
        *ret_value = req_span(r, r->fields[i].value);
        n++;
    }
    return n;
}

static bool is_base64(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
}

static bool key_is_good(struct span key)
{
    if (key.n != KEY_LENGTH || key.p[KEY_LENGTH - 1] != '=' || key.p[KEY_LENGTH - 2] != '=')
        return false;
    for (size_t i = 0; i < KEY_LENGTH - 2; i++) {
        if (!is_base64(key.p[i]))
            return false;
    }
    return true;
}

static bool is_token(struct span s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= ' ' || c >= 0x7f || strchr("()<>@,;:\\\"/[]?={}", c))
            return false;
    }
    return s.n > 0;
}

static bool subprotocols_are_good(const struct req *r)
{
    struct ws_offer cursor = { 0 };
    struct span name;
    while (ws_next_subprotocol(r, &cursor, &name)) {
        if (!is_token(name))
            return false;
    }
    return true;
}

bool ws_next_subprotocol(const struct req *r, struct ws_offer *cursor, struct span *ret_name)
{
    while (!span_next_element(&cursor->rest, ret_name)) {
        if (cursor->field >= r->n_fields)
            return false;
        uint32_t i = cursor->field++;
        if (name_is(r, i, SPAN("sec-websocket-protocol")))
            cursor->rest = req_span(r, r->fields[i].value);
    }
    return true;
}

static struct ws_verdict refused(unsigned status, const char *why)
{
    return (struct ws_verdict){ WS_REFUSE, status, why };
}

/* An extended CONNECT (RFC 8441 5): the protocol is named, and nothing has to be proven. */
static struct ws_verdict judge_connect(const struct req *r)
{
    struct span value;
    if (!span_eq(req_span(r, r->protocol), SPAN("websocket")))
        return (struct ws_verdict){ WS_NOT_ASKED, 0, NULL };
    if (count(r, SPAN("sec-websocket-version"), &value) != 1 || !span_eq(value, SPAN("13")))
        return refused(400, "the WebSocket version must be 13");
    if (!subprotocols_are_good(r))
        return refused(400, "a name in Sec-WebSocket-Protocol is no token");
    return (struct ws_verdict){ WS_ASKED, 0, NULL };
}

struct ws_verdict ws_judge(const struct req *r)
{
    struct span value;
    if (r->protocol.n)
        return judge_connect(r);
    /* Upgrade counts only hop by hop (RFC 9110 7.8): without the connection option, or from HTTP/1.0, it is ignored. Other
     * methods than GET are no handshake, and a server may answer them as they are. */
    if (!r->known[FIELD_UPGRADE] || r->version != HTTP_1_1 || !span_eq(req_span(r, r->method), SPAN("GET")) ||
        !lists(r, SPAN("upgrade"), SPAN("websocket")) || !lists(r, SPAN("connection"), SPAN("upgrade")))
        return (struct ws_verdict){ WS_NOT_ASKED, 0, NULL };
    if (r->chunked || r->content_length > 0)
        return refused(400, "a WebSocket handshake has no body");
    unsigned versions = count(r, SPAN("sec-websocket-version"), &value);
    if (versions != 1)
        return refused(400, "there must be one Sec-WebSocket-Version");
    if (!span_eq(value, SPAN("13")))
        return refused(426, "the WebSocket version must be 13");
    if (count(r, SPAN("sec-websocket-key"), &value) != 1 || !key_is_good(value))
        return refused(400, "there must be one Sec-WebSocket-Key of 16 bytes in base64");
    if (!subprotocols_are_good(r))
        return refused(400, "a name in Sec-WebSocket-Protocol is no token");
    return (struct ws_verdict){ WS_ASKED, 0, NULL };
}

void ws_accept_key(struct span key, char ret[WS_ACCEPT_LENGTH])
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char text[KEY_LENGTH + sizeof guid - 1];
    uint8_t digest[WS_SHA1_SIZE + 1];
    memcpy(text, key.p, KEY_LENGTH);
    memcpy(text + KEY_LENGTH, guid, sizeof guid - 1);
    ws_sha1((struct span){ text, sizeof text }, digest);
    digest[WS_SHA1_SIZE] = 0;
    for (size_t i = 0; i < 7; i++) {
        const uint8_t *d = digest + 3 * i;
        uint32_t bits = (uint32_t)d[0] << 16 | (uint32_t)d[1] << 8 | d[2];
        for (int k = 0; k < 4; k++)
            ret[4 * i + k] = alphabet[bits >> (18 - 6 * k) & 63];
    }
    ret[WS_ACCEPT_LENGTH - 1] = '=';
}
