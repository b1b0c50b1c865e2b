/* SPDX-License-Identifier: BSD-3-Clause */
/* status_page.h: /status for people: one page, nothing from elsewhere, readable without JavaScript. */
#ifndef TINE_MASTER_STATUS_PAGE_H
#define TINE_MASTER_STATUS_PAGE_H

#include <stdio.h>

struct history;
struct snapshot;

#define STATUS_PAGE_NONCE 33

/* A new random word for the page's script and style: the policy in the head of the answer allows no others. 0, or -1. */
int status_page_nonce(char to[STATUS_PAGE_NONCE]);
/* The page; or, with nonce = NULL, only the part that changes, which the page's script puts in the place of the old. */
void status_page_write(FILE *out, const struct snapshot *snapshot, const struct history *history, const char *nonce);

#endif
