/* SPDX-License-Identifier: BSD-3-Clause */
/* tinectl_json.h: reads a JSON document (RFC 8259) into a tree. Believes nothing of what it is
 * given: depth and every length are bounded by the text. */
#ifndef TINE_MASTER_TINECTL_JSON_H
#define TINE_MASTER_TINECTL_JSON_H

#include <stdbool.h>
#include <stddef.h>

enum json_kind { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json {
    enum json_kind kind;
    bool truth;
    double number;
    char *text;                /* of a string: UTF-8, terminated; a NUL inside is U+FFFD */
    char *key;                 /* in an object; else NULL */
    struct json *first, *next; /* values inside; the next one beside it */
};

/* NULL: no JSON, deeper than 32, or out of memory. */
struct json *json_parse(const char *text, size_t n);
void json_free(struct json *value);

/* A member of an object. NULL: there is none, or it is no object, or NULL. */
const struct json *json_get(const struct json *object, const char *key);
/* The same, with the value for what is not there or of another kind. */
const char *json_get_text(const struct json *object, const char *key, const char *otherwise);
double json_get_number(const struct json *object, const char *key);
bool json_get_bool(const struct json *object, const char *key);
size_t json_count(const struct json *array);

#endif
