/* SPDX-License-Identifier: BSD-3-Clause */
/* field_list.c: walks the elements of a list field from right to left over all its lines. Knows no quoted strings: no
 * field that is read this way has them. */
#include "worker/http/field_list.h"

#include <string.h>

#include "worker/http/head_rules.h"

struct field_list field_list_of(const struct req *r, enum known_field which)
{
    return (struct field_list){ .r = r, .which = which, .next = r->known[which] ? r->n_fields : 0 };
}

static bool previous_line(struct field_list *list)
{
    while (list->next > 0) {
        const struct field *f = &list->r->fields[--list->next];
        if (head_rules_known(req_span(list->r, f->name)) == (int)list->which) {
            list->rest = req_span(list->r, f->value);
            return list->in_line = true;
        }
    }
    return false;
}

bool field_list_previous(struct field_list *list, struct span *ret)
{
    if (!list->in_line && !previous_line(list))
        return false;
    const char *comma = memrchr(list->rest.p, ',', list->rest.n);
    const char *from = comma ? comma + 1 : list->rest.p;
    *ret = span_trim((struct span){ from, (size_t)(list->rest.p + list->rest.n - from) });
    list->in_line = comma != NULL;
    list->rest.n = comma ? (size_t)(comma - list->rest.p) : 0;
    return true;
}

size_t field_list_length(const struct req *r, enum known_field which)
{
    struct field_list list = field_list_of(r, which);
    struct span element;
    size_t n = 0;
    while (field_list_previous(&list, &element))
        n++;
    return n;
}

struct span field_list_at(const struct req *r, enum known_field which, size_t at)
{
    struct field_list list = field_list_of(r, which);
    struct span element;
    while (field_list_previous(&list, &element)) {
        if (at-- == 0)
            return element;
    }
    return (struct span){ NULL, 0 };
}
