/* SPDX-License-Identifier: BSD-3-Clause */
/* conf_number.h: the types that are numbers: UINT, OCTAL, SIZE, DURATION, and the message that all types share. */
#ifndef TINE_CONF_CONF_NUMBER_H
#define TINE_CONF_CONF_NUMBER_H

#include <stddef.h>
#include <stdint.h>

#include "conf/conf_pool.h"
#include "conf/conf_table.h"

/* Each: NULL, or what is wrong, *ret untouched. `what` stands in the message: "a whole number". */
const char *conf_uint_parse(struct conf_pool *pool, const struct conf_key *key, const char *what, const char *text,
                            unsigned *ret);
const char *conf_octal_parse(struct conf_pool *pool, const struct conf_key *key, const char *text, unsigned *ret);
const char *conf_size_parse(struct conf_pool *pool, const struct conf_key *key, const char *text, uint64_t *ret);
const char *conf_duration_parse(struct conf_pool *pool, const struct conf_key *key, const char *text, uint64_t *ret);
const char *conf_rate_parse(struct conf_pool *pool, const struct conf_key *key, const char *text, uint64_t *ret);

/* A size, or "80%" of the memory that there is. */
const char *conf_memory_parse(struct conf_pool *pool, const struct conf_key *key, const char *text, uint64_t *ret);
const char *conf_memory_text(uint64_t value, char *to, size_t room);
/* Whether a value of this type is a percentage (1 to 100): which one; 0: it is bytes. */
unsigned conf_memory_percent(uint64_t value);

/* With the largest unit that leaves no rest; returns `to`. */
const char *conf_size_text(uint64_t n, char *to, size_t room);
const char *conf_duration_text(uint64_t ms, char *to, size_t room);
const char *conf_rate_text(uint64_t an_hour, char *to, size_t room);

/* The greatest value of a key of these types, also where its row has no bound. */
uint64_t conf_most(const struct conf_key *key);
/* " from A to B" in the unit of the key, or "" where any value will do; returns `to`. */
#define CONF_RANGE_ROOM 80
const char *conf_range_text(const struct conf_key *key, char to[CONF_RANGE_ROOM]);
/* "expected WHAT from A to B, got "X"", in the unit of the key. */
const char *conf_expected(struct conf_pool *pool, const struct conf_key *key, const char *what, const char *text);

#endif
