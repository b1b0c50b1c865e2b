/* SPDX-License-Identifier: BSD-3-Clause */
/* json_out.h: writes JSON into a buffer, a value at a time. Commas and nesting are its own
 * business; that each object and array is ended is the caller's. Memory that cannot be had is
 * remembered and reported once, by json_end_document(). */
#ifndef TINE_COMMON_JSON_OUT_H
#define TINE_COMMON_JSON_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

#define JSON_DEPTH_MAX 16

struct json_out {
    struct buf *to;
    unsigned depth;
    bool some[JSON_DEPTH_MAX]; /* something stands in the object or array of this depth */
    bool failed;
};

void json_begin_document(struct json_out *j, struct buf *to);
/* 0, or -1: out of memory; what is in the buffer is of no use then. */
int json_end_document(struct json_out *j) __attribute__((warn_unused_result));

/* `key` is NULL in an array and for the outermost value; it is written as it is. */
void json_object(struct json_out *j, const char *key);
void json_array(struct json_out *j, const char *key);
void json_end_object(struct json_out *j);
void json_end_array(struct json_out *j);

/* Bytes that are not UTF-8 become U+FFFD. NULL: null. */
void json_string(struct json_out *j, const char *key, const char *text);
void json_text(struct json_out *j, const char *key, const char *text, size_t n);
void json_uint(struct json_out *j, const char *key, uint64_t value);
void json_int(struct json_out *j, const char *key, int64_t value);
/* With `digits` after the point. Not a number: null. */
void json_number(struct json_out *j, const char *key, double value, unsigned digits);
void json_bool(struct json_out *j, const char *key, bool value);
void json_null(struct json_out *j, const char *key);

#endif
