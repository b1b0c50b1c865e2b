/* SPDX-License-Identifier: BSD-3-Clause */
/* control_parse.c: a line is a word and perhaps an argument, with one blank
 * between them: nothing is guessed about anything else. */
#include "master/control/control_parse.h"

#include <limits.h>

#include "common/log.h"
#include "common/span.h"

enum argument { ARGUMENT_NONE, ARGUMENT_NUMBER, ARGUMENT_QUICK, ARGUMENT_LEVEL };

static const struct {
    struct span word;
    enum argument argument;
    bool optional;
} table[CONTROL_N_COMMANDS] = {
#define CONTROL_COMMAND(name, word, argument, optional) \
    [CONTROL_##name] = { { word, sizeof(word) - 1 }, ARGUMENT_##argument, optional },
#include "master/control/control_commands.def"
};

/* 1 to INT_MAX in decimal digits without a leading zero; 0: it is none. */
static unsigned number_of(struct span text)
{
    unsigned long value = 0;
    if (!text.n || text.n > 10 || text.p[0] == '0')
        return 0;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return 0;
        value = value * 10 + (unsigned long)(text.p[i] - '0');
    }
    return value <= INT_MAX ? (unsigned)value : 0;
}

/* The words of log.loglevel. */
static const char *parse_level(struct span text, struct control_request *ret)
{
    for (enum log_level level = LOG_LEVEL_DEBUG; level <= LOG_LEVEL_CRITICAL; level++)
        if (span_ieq(text, span_of(log_level_name(level)))) {
            ret->number = level;
            return NULL;
        }
    return "the argument must be debug, info, warning, error or critical";
}

static const char *parse_argument(enum argument kind, struct span text, struct control_request *ret)
{
    switch (kind) {
    case ARGUMENT_NONE:
        return "this command takes no argument";
    case ARGUMENT_NUMBER:
        ret->number = number_of(text);
        return ret->number ? NULL : "the argument must be a number";
    case ARGUMENT_QUICK:
        ret->quick = true;
        return span_eq(text, SPAN("quick")) ? NULL : "the argument must be \"quick\"";
    case ARGUMENT_LEVEL:
        return parse_level(text, ret);
    }
    return "unknown kind of argument";
}

const char *control_parse(const char *line, size_t n, struct control_request *ret)
{
    struct control_request request = { 0 };
    if (n > CONTROL_LINE_MAX)
        return "the line is too long";
    const char *blank = n ? memchr(line, ' ', n) : NULL;
    struct span word = { line, blank ? (size_t)(blank - line) : n };
    for (size_t i = 0; i < CONTROL_N_COMMANDS; i++) {
        if (!n || !span_eq(word, table[i].word))
            continue;
        request.command = (enum control_command)i;
        const char *why = NULL;
        if (blank)
            why = parse_argument(table[i].argument, (struct span){ blank + 1, n - word.n - 1 }, &request);
        else if (table[i].argument != ARGUMENT_NONE && !table[i].optional)
            why = "this command needs an argument";
        if (!why)
            *ret = request;
        return why;
    }
    return "unknown command";
}
