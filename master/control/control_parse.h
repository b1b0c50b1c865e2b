/* SPDX-License-Identifier: BSD-3-Clause */
/* control_parse.h: a line that a client of the control socket sends, taken apart. */
#ifndef TINE_MASTER_CONTROL_PARSE_H
#define TINE_MASTER_CONTROL_PARSE_H

#include <stdbool.h>
#include <stddef.h>

/* Longest line, without its end. */
#define CONTROL_LINE_MAX 256

enum control_command {
#define CONTROL_COMMAND(name, word, argument, optional) CONTROL_##name,
#include "master/control/control_commands.def"
    CONTROL_N_COMMANDS
};

struct control_request {
    enum control_command command;
    bool quick;      /* STOP */
    unsigned number; /* SCALE: workers; RESTART: which one; STACKS, TASKS: process id, 0: all; LOGLEVEL: the level */
};

/* `line` without its end. NULL: *ret is filled; else what is wrong, in words for people. */
const char *control_parse(const char *line, size_t n, struct control_request *ret) __attribute__((warn_unused_result));

#endif
