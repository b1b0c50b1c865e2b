/* SPDX-License-Identifier: BSD-3-Clause */
/* conf_cli.h: the command line of tine, taken apart. Settings stay text here; conf_load() types them.
 *
 * Must be called before any chdir(): the folder that the program was started in is remembered, so that a reload finds
 * the same file again.
 */
#ifndef TINE_CONF_CONF_CLI_H
#define TINE_CONF_CONF_CLI_H

#include <stdbool.h>
#include <stddef.h>

enum conf_cli_action {
    CONF_CLI_SERVE,
    CONF_CLI_CHECK,   /* -t */
    CONF_CLI_DUMP,    /* -T */
    CONF_CLI_HELP,    /* --help: print conf_cli_help on standard output, exit 0 */
    CONF_CLI_VERSION, /* --version */
    CONF_CLI_IMPORT,  /* --import-gunicorn, --import-uvicorn, ... */
};

/* One setting, in the order of the command line. */
struct conf_override {
    const char *option; /* "-b", "-o", "MODULE:ATTR", ...; static text for messages */
    char *section;      /* "server"; "mount:/prefix" */
    char *key;
    char *value;
};

struct conf_cli {
    enum conf_cli_action action;
    bool check_app;  /* --import, with -t */
    char *file;      /* -c, absolute; NULL when not given */
    const char *import_server; /* "gunicorn", static text; NULL when nothing is imported */
    char *import_words;        /* all words after --import-SERVER, each with its NUL */
    size_t import_n;           /* bytes */
    char *start_dir; /* the working directory at the start, absolute */
    struct conf_override *v;
    size_t n;
};

extern const char conf_cli_help[];

/* 0; or -1 with *ret_error, text for standard error whose lines each end with a newline, to be freed
 * (NULL: out of memory).
 * --help and --version win over everything that follows them. */
int conf_cli_parse(int argc, char **argv, struct conf_cli *ret, char **ret_error) __attribute__((warn_unused_result));
void conf_cli_done(struct conf_cli *cli);

#endif
