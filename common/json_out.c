/* SPDX-License-Identifier: BSD-3-Clause */
/* json_out.c: writes JSON documents. Everything on one line, so that a document is a line of a protocol.
 */
#include "common/json_out.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "common/utf8.h"

static void put(struct json_out *j, const char *p, size_t n)
{
    if (!j->failed && buf_add(j->to, p, n) < 0)
        j->failed = true;
}

static void put_word(struct json_out *j, const char *word)
{
    put(j, word, strlen(word));
}

static void put_escaped(struct json_out *j, uint32_t c)
{
    char text[8];
    const char *short_form = c == '"'    ? "\\\""
                             : c == '\\' ? "\\\\"
                             : c == '\n' ? "\\n"
                             : c == '\r' ? "\\r"
                             : c == '\t' ? "\\t"
                                         : NULL;
    if (!short_form)
        snprintf(text, sizeof(text), "\\u%04x", c);
    put_word(j, short_form ? short_form : text);
}

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static void put_text(struct json_out *j, const char *text, size_t n)
{
    put(j, "\"", 1);
    for (size_t i = 0; i < n;) {
        size_t plain = i;
        while (plain < n && is_plain((unsigned char)text[plain]))
            plain++;
        put(j, text + i, plain - i);
        i = plain;
        if (i == n)
            break;
        size_t length = utf8_length(text + i, n - i);
        if (utf8_is_control(text + i, length))
            put_escaped(j, utf8_code(text + i, length));
        else if (length > 1)
            put(j, text + i, length);
        else if (length == 1)
            put_escaped(j, (unsigned char)text[i]);
        else
            put_word(j, "\\ufffd");
        i += length ? length : 1;
    }
    put(j, "\"", 1);
}

/* What stands before a value: a comma, a name. */
static void put_lead(struct json_out *j, const char *key)
{
    if (j->some[j->depth])
        put(j, ",", 1);
    j->some[j->depth] = true;
    if (key) {
        put_text(j, key, strlen(key));
        put(j, ":", 1);
    }
}

static void open_level(struct json_out *j, const char *key, const char *bracket)
{
    put_lead(j, key);
    put(j, bracket, 1);
    assert(j->depth + 1 < JSON_DEPTH_MAX);
    j->some[++j->depth] = false;
}

static void close_level(struct json_out *j, const char *bracket)
{
    assert(j->depth > 0);
    j->depth--;
    put(j, bracket, 1);
}

void json_begin_document(struct json_out *j, struct buf *to)
{
    *j = (struct json_out){ .to = to };
}

int json_end_document(struct json_out *j)
{
    assert(j->depth == 0);
    return j->failed ? -1 : 0;
}

void json_object(struct json_out *j, const char *key)
{
    open_level(j, key, "{");
}

void json_array(struct json_out *j, const char *key)
{
    open_level(j, key, "[");
}

void json_end_object(struct json_out *j)
{
    close_level(j, "}");
}

void json_end_array(struct json_out *j)
{
    close_level(j, "]");
}

void json_text(struct json_out *j, const char *key, const char *text, size_t n)
{
    put_lead(j, key);
    put_text(j, text, n);
}

void json_string(struct json_out *j, const char *key, const char *text)
{
    if (text)
        json_text(j, key, text, strlen(text));
    else
        json_null(j, key);
}

static void json_word(struct json_out *j, const char *key, const char *word)
{
    put_lead(j, key);
    put_word(j, word);
}

void json_uint(struct json_out *j, const char *key, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRIu64, value);
    json_word(j, key, text);
}

void json_int(struct json_out *j, const char *key, int64_t value)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRId64, value);
    json_word(j, key, text);
}

void json_number(struct json_out *j, const char *key, double value, unsigned digits)
{
    char text[352]; /* the largest double has 309 digits before the point */
    if (!isfinite(value)) {
        json_null(j, key);
        return;
    }
    snprintf(text, sizeof(text), "%.*f", digits < 20 ? (int)digits : 20, value);
    json_word(j, key, text);
}

void json_bool(struct json_out *j, const char *key, bool value)
{
    json_word(j, key, value ? "true" : "false");
}

void json_null(struct json_out *j, const char *key)
{
    json_word(j, key, "null");
}
