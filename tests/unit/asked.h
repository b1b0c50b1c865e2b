/* SPDX-License-Identifier: BSD-3-Clause */
/* asked.h: an application that answers each request with what it was asked, and whole conversations with it, however their
 * bytes are cut. Two ways to cut the same bytes must have the same outcome. */
#ifndef TINE_TESTS_ASKED_H
#define TINE_TESTS_ASKED_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"
#include "tests/unit/rig.h"

/* Answers when the whole body is there: method, target, number of fields, length and bytes of the body, the fields. */
extern const struct handler_ops asked_ops;

struct outcome {
    struct buf got; /* all answers, without 100 (Continue), which depends on whether the body was there already */
    bool closed; /* before the client ended its side */
};

/* A connection that is sent n bytes: `first` of them, then `step` at a time; neither may be 0.
 * The caller releases the outcome. */
struct outcome asked_talk(struct rig *rig, const void *bytes, size_t n, size_t first, size_t step);
bool outcome_same(const struct outcome *a, const struct outcome *b);
void outcome_release(struct outcome *o);

#endif
