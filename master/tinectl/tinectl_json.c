/* SPDX-License-Identifier: BSD-3-Clause */
/* tinectl_json.c: a recursive descent, one function for each kind of value. */
#include "master/tinectl/tinectl_json.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MOST 32

struct reader {
    const char *p, *end;
    unsigned depth;
};

static struct json *read_value(struct reader *r);

static void skip_blanks(struct reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r'))
        r->p++;
}

static bool take_char(struct reader *r, char c)
{
    skip_blanks(r);
    if (r->p == r->end || *r->p != c)
        return false;
    r->p++;
    return true;
}

static bool take_word(struct reader *r, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(r->end - r->p) < n || memcmp(r->p, word, n) != 0)
        return false;
    r->p += n;
    return true;
}

/* --- strings --- */

/* Four hexadecimal digits; -1: they are none. */
static int32_t read_unit(struct reader *r)
{
    int32_t value = 0;
    if (r->end - r->p < 4)
        return -1;
    for (int i = 0; i < 4; i++, r->p++) {
        char c = *r->p;
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

/* Behind "\u". At most three bytes for six of the text. */
static char *put_escaped(struct reader *r, char *to)
{
    int32_t c = read_unit(r);
    if (c < 0)
        return NULL;
    if (c >= 0xd800 && c < 0xdc00 && take_word(r, "\\u")) {
        int32_t low = read_unit(r);
        if (low < 0)
            return NULL;
        c = low >= 0xdc00 && low < 0xe000 ? 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00) : 0xfffd;
    }
    if (c == 0 || (c >= 0xd800 && c < 0xe000))
        c = 0xfffd;
    if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xc0 | c >> 6);
        *to++ = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *to++ = (char)(0xe0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
        *to++ = (char)(0x80 | (c & 0x3f));
    } else {
        *to++ = (char)(0xf0 | c >> 18);
        *to++ = (char)(0x80 | (c >> 12 & 0x3f));
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
        *to++ = (char)(0x80 | (c & 0x3f));
    }
    return to;
}

/* Where the string that begins at p ends; NULL: nowhere. */
static const char *end_of_string(const char *p, const char *end)
{
    for (; p < end && *p != '"'; p++) {
        if ((unsigned char)*p < 0x20)
            return NULL;
        if (*p == '\\' && ++p == end)
            return NULL;
    }
    return p < end ? p : NULL;
}

/* Behind the first quote. malloc'ed; NULL: wrong, or out of memory. */
static char *read_string(struct reader *r)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    const char *end = end_of_string(r->p, r->end);
    char *text = end ? malloc((size_t)(end - r->p) + 1) : NULL;
    char *to = text;
    while (to && r->p < end) {
        char c = *r->p++;
        if (c != '\\') {
            *to++ = c;
            continue;
        }
        c = *r->p++;
        const char *name = c ? strchr(names, c) : NULL;
        if (c == 'u')
            to = put_escaped(r, to);
        else if (name)
            *to++ = values[name - names];
        else
            to = NULL;
    }
    if (!to) {
        free(text);
        return NULL;
    }
    *to = '\0';
    r->p = end + 1;
    return text;
}

/* --- values --- */

static struct json *new_value(enum json_kind kind)
{
    struct json *value = calloc(1, sizeof(*value));
    if (value)
        value->kind = kind;
    return value;
}

void json_free(struct json *value)
{
    while (value) {
        struct json *next = value->next;
        json_free(value->first);
        free(value->text);
        free(value->key);
        free(value);
        value = next;
    }
}

static struct json *read_text(struct reader *r)
{
    struct json *value = new_value(JSON_STRING);
    if (value && !(value->text = read_string(r))) {
        json_free(value);
        return NULL;
    }
    return value;
}

static struct json *read_number(struct reader *r)
{
    char text[64];
    size_t n = 0;
    while (r->p + n < r->end && n < sizeof(text) && r->p[n] && strchr("+-.0123456789eE", r->p[n]))
        n++;
    if (!n || n == sizeof(text))
        return NULL;
    memcpy(text, r->p, n);
    text[n] = '\0';
    char *end;
    double number = strtod(text, &end);
    if (*end)
        return NULL;
    struct json *value = new_value(JSON_NUMBER);
    if (value)
        value->number = number;
    r->p += n;
    return value;
}

static struct json *read_member(struct reader *r)
{
    char *key = take_char(r, '"') ? read_string(r) : NULL;
    struct json *value = key && take_char(r, ':') ? read_value(r) : NULL;
    if (!value)
        free(key);
    else
        value->key = key;
    return value;
}

/* Behind the first bracket. */
static struct json *read_many(struct reader *r, enum json_kind kind, char closing)
{
    struct json *all = new_value(kind);
    struct json **last = all ? &all->first : NULL;
    if (!all || take_char(r, closing))
        return all;
    do {
        *last = kind == JSON_OBJECT ? read_member(r) : read_value(r);
        if (!*last)
            break;
        last = &(*last)->next;
        if (take_char(r, closing))
            return all;
    } while (take_char(r, ','));
    json_free(all);
    return NULL;
}

static struct json *read_word(struct reader *r)
{
    struct json *value;
    bool truth = take_word(r, "true");
    if (!truth && !take_word(r, "false"))
        return take_word(r, "null") ? new_value(JSON_NULL) : NULL;
    if ((value = new_value(JSON_BOOL)))
        value->truth = truth;
    return value;
}

static struct json *read_value(struct reader *r)
{
    struct json *value;
    if (r->depth == DEPTH_MOST)
        return NULL;
    r->depth++;
    if (take_char(r, '{'))
        value = read_many(r, JSON_OBJECT, '}');
    else if (take_char(r, '['))
        value = read_many(r, JSON_ARRAY, ']');
    else if (take_char(r, '"'))
        value = read_text(r);
    else if (r->p < r->end && (*r->p == '-' || (*r->p >= '0' && *r->p <= '9')))
        value = read_number(r);
    else
        value = read_word(r);
    r->depth--;
    return value;
}

struct json *json_parse(const char *text, size_t n)
{
    struct reader r = { .p = text, .end = text + n };
    struct json *value = read_value(&r);
    skip_blanks(&r);
    if (r.p == r.end)
        return value;
    json_free(value);
    return NULL;
}

/* --- use --- */

const struct json *json_get(const struct json *object, const char *key)
{
    if (!object || object->kind != JSON_OBJECT)
        return NULL;
    const struct json *value = object->first;
    while (value && strcmp(value->key, key) != 0)
        value = value->next;
    return value;
}

const char *json_get_text(const struct json *object, const char *key, const char *otherwise)
{
    const struct json *value = json_get(object, key);
    return value && value->kind == JSON_STRING ? value->text : otherwise;
}

double json_get_number(const struct json *object, const char *key)
{
    const struct json *value = json_get(object, key);
    return value && value->kind == JSON_NUMBER ? value->number : 0;
}

bool json_get_bool(const struct json *object, const char *key)
{
    const struct json *value = json_get(object, key);
    return value && value->kind == JSON_BOOL && value->truth;
}

size_t json_count(const struct json *array)
{
    size_t n = 0;
    if (array && array->kind == JSON_ARRAY)
        for (const struct json *value = array->first; value; value = value->next)
            n++;
    return n;
}
