/* SPDX-License-Identifier: BSD-3-Clause */
/* added_fields.h: what the configuration adds to every answer: http.response_headers, hsts and request_id. A field that the answer
 * has already is the answer's own business. */
#ifndef TINE_HTTP_ADDED_FIELDS_H
#define TINE_HTTP_ADDED_FIELDS_H

struct added_fields;
struct conf_http;
struct req;
struct resp_field;
struct resp_head;

/* 0 and *ret, NULL where nothing is to be added; or -1: out of memory. Fields point into the configuration. */
int added_fields_new(const struct conf_http *conf, struct added_fields **ret);
void added_fields_free(struct added_fields *added);
/* To the head of an upgrade (101) only the id is added. Makes `head` one with the additions, if there are any for it; what is returned holds its fields, and is to be freed by
 * free() when they have been sent. Without memory nothing is added. */
struct resp_field *added_fields_join(const struct added_fields *added, const struct req *r, struct resp_head *head);

#endif
