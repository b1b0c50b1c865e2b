/* SPDX-License-Identifier: BSD-3-Clause */
/* field_list.h: the elements of a list field over all its lines (RFC 9110 5.3, 5.6.1), read from the right: the last
 * one was written by the nearest hop. Pure. */
#ifndef TINE_HTTP_FIELD_LIST_H
#define TINE_HTTP_FIELD_LIST_H

#include "worker/http/req.h"

/* A place in a list. */
struct field_list {
    const struct req *r;
    enum known_field which;
    uint32_t next; /* fields below this one are still to come */
    struct span rest; /* of the present line */
    bool in_line;
};

/* At its right end. */
struct field_list field_list_of(const struct req *r, enum known_field which);
/* The next element to the left, without white space around it. False: there is none. Empty elements count as elements,
 * so that lists can be compared by their lengths. */
bool field_list_previous(struct field_list *list, struct span *ret);

/* 0: the field is not there. */
size_t field_list_length(const struct req *r, enum known_field which);
/* Element `at` from the right (0: the right-most); p = NULL if there is none. */
struct span field_list_at(const struct req *r, enum known_field which, size_t at);

#endif
