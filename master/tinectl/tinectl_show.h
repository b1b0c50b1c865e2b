/* SPDX-License-Identifier: BSD-3-Clause */
/* tinectl_show.h: answers of the master for people: lines, tables, colours. Whatever comes from
 * requests or from applications is shown without control characters. */
#ifndef TINE_MASTER_TINECTL_SHOW_H
#define TINE_MASTER_TINECTL_SHOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "master/tinectl/tinectl_json.h"
#include "master/tinectl/tinectl_text.h"

void show_status(const struct show *show, const struct json *answer);
void show_workers(const struct show *show, const struct json *answer);
/* Of each worker; `none`: what is said of one that gave none. */
void show_stacks(const struct show *show, const struct json *stacks, const char *none);
/* Many lines, with a newline at the end. */
void show_text(const struct show *show, const char *text);

/* --- for tinectl_top.c --- */

enum show_colour { SHOW_PLAIN, SHOW_GOOD, SHOW_BAD, SHOW_CARE, SHOW_TITLE };
const char *show_colour(const struct show *show, enum show_colour colour);
enum show_colour show_state_colour(const char *state);

/* "45s", "3m12s", "5h03m", "12d4h"; "850ms" below a second. */
#define SHOW_WORD 24
void show_duration(char to[SHOW_WORD], double seconds);
/* "512", "31.5M" */
void show_bytes(char to[SHOW_WORD], double bytes);
/* "0.85", "12", "1.2s" of milliseconds; "-" for none. */
void show_latency(char to[SHOW_WORD], double ms);

/* A table: cells are added row by row, and printed in columns as wide as they need. */
struct show_column {
    const char *title;
    bool right;
};
struct show_table;
struct show_table *show_table_new(const struct show_column *columns, size_t n);
/* Takes no ownership; control characters are replaced. */
void show_table_cell(struct show_table *table, enum show_colour colour, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* At most so many rows (0: all), then how many more there are. */
void show_table_print(const struct show *show, const struct show_table *table, size_t most);
void show_table_free(struct show_table *table);

#endif
