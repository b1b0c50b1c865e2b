/* SPDX-License-Identifier: BSD-3-Clause */
/* tinectl_table.c: tables and words of tinectl_show.h. */
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "master/tinectl/tinectl_show.h"

struct cell {
    char *text;
    enum show_colour colour;
};

struct show_table {
    const struct show_column *columns;
    size_t n_columns, n_cells, room;
    struct cell *cells;
};

/* --- words --- */

const char *show_colour(const struct show *show, enum show_colour colour)
{
    static const char *const codes[] = {
        [SHOW_PLAIN] = "\033[0m", [SHOW_GOOD] = "\033[32m", [SHOW_BAD] = "\033[31m",
        [SHOW_CARE] = "\033[33m", [SHOW_TITLE] = "\033[1m",
    };
    return show->colours ? codes[colour] : "";
}

void show_duration(char to[SHOW_WORD], double seconds)
{
    unsigned long s = seconds > 0 && seconds < 1e15 ? (unsigned long)seconds : 0;
    if (s < 1)
        snprintf(to, SHOW_WORD, "%.0fms", seconds > 0 ? seconds * 1000 : 0);
    else if (s < 60)
        snprintf(to, SHOW_WORD, "%lus", s);
    else if (s < 3600)
        snprintf(to, SHOW_WORD, "%lum%02lus", s / 60, s % 60);
    else if (s < 86400)
        snprintf(to, SHOW_WORD, "%luh%02lum", s / 3600, s / 60 % 60);
    else
        snprintf(to, SHOW_WORD, "%lud%luh", s / 86400, s / 3600 % 24);
}

void show_bytes(char to[SHOW_WORD], double bytes)
{
    static const char units[] = " KMGTP";
    size_t i = 0;
    for (; bytes >= 1024 && i + 2 < sizeof(units); i++)
        bytes /= 1024;
    if (i == 0)
        snprintf(to, SHOW_WORD, "%.0f", bytes);
    else
        snprintf(to, SHOW_WORD, "%.1f%c", bytes, units[i]);
}

void show_latency(char to[SHOW_WORD], double ms)
{
    if (!(ms > 0))
        snprintf(to, SHOW_WORD, "-");
    else if (ms < 10)
        snprintf(to, SHOW_WORD, "%.2fms", ms);
    else if (ms < 1000)
        snprintf(to, SHOW_WORD, "%.0fms", ms);
    else
        snprintf(to, SHOW_WORD, "%.1fs", ms / 1000);
}

/* --- tables --- */

struct show_table *show_table_new(const struct show_column *columns, size_t n)
{
    struct show_table *table = calloc(1, sizeof(*table));
    if (!table)
        return NULL;
    table->columns = columns;
    table->n_columns = n;
    return table;
}

void show_table_free(struct show_table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->n_cells; i++)
        free(table->cells[i].text);
    free(table->cells);
    free(table);
}

static void make_harmless(char *text)
{
    size_t n = strlen(text);
    for (size_t i = 0, length; i < n; i += length ? length : 1)
        if (!(length = show_harmless(text + i, n - i)))
            text[i] = '?';
}

void show_table_cell(struct show_table *table, enum show_colour colour, const char *format, ...)
{
    if (!table)
        return;
    if (table->n_cells == table->room) {
        size_t room = table->room ? 2 * table->room : 64;
        struct cell *cells = realloc(table->cells, room * sizeof(*cells));
        if (!cells)
            return;
        table->cells = cells;
        table->room = room;
    }
    char *text = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    va_end(args);
    if (text)
        make_harmless(text);
    table->cells[table->n_cells++] = (struct cell){ text, colour };
}

/* Characters, not bytes. */
static size_t length_of(const char *text)
{
    size_t n = 0;
    for (; text && *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void print_row(const struct show *show, const struct show_table *table, const struct cell *row,
                      const size_t *widths)
{
    for (size_t i = 0; i < table->n_columns; i++) {
        size_t length = length_of(row[i].text);
        int pad = (int)(widths[i] - length);
        bool right = table->columns[i].right, last = i + 1 == table->n_columns;
        bool coloured = row[i].colour != SHOW_PLAIN;
        if (last && !length)
            break;
        fprintf(show->out, "%s%*s%s%s%s", i ? "  " : "", right ? pad : 0, "",
                coloured ? show_colour(show, row[i].colour) : "", row[i].text ? row[i].text : "",
                coloured ? show_colour(show, SHOW_PLAIN) : "");
        if (!right && !last)
            fprintf(show->out, "%*s", pad, "");
    }
    putc('\n', show->out);
}

void show_table_print(const struct show *show, const struct show_table *table, size_t most)
{
    size_t n = table ? table->n_columns : 0;
    size_t *widths = calloc(n + 1, sizeof(*widths));
    struct cell *titles = calloc(n + 1, sizeof(*titles));
    size_t rows = n ? table->n_cells / n : 0;
    if (!widths || !titles || !n) {
        free(widths);
        free(titles);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        titles[i] = (struct cell){ (char *)(uintptr_t)table->columns[i].title, SHOW_TITLE };
        widths[i] = length_of(titles[i].text);
    }
    for (size_t i = 0; i < rows * n; i++) {
        size_t length = length_of(table->cells[i].text);
        widths[i % n] = length > widths[i % n] ? length : widths[i % n];
    }
    print_row(show, table, titles, widths);
    size_t shown = most && rows > most ? most - 1 : rows;
    for (size_t i = 0; i < shown; i++)
        print_row(show, table, table->cells + i * n, widths);
    if (shown < rows)
        fprintf(show->out, "and %zu more\n", rows - shown);
    free(widths);
    free(titles);
}
