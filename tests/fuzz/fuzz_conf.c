/* SPDX-License-Identifier: BSD-3-Clause */
/* fuzz_conf.c: a configuration out of any bytes: a file, and behind a line "--" arguments of the command line, one a line;
 * a line such as "TINE_LOG_LOGLEVEL=info" is put into the environment instead.
 * What loads must print as a file that loads to the same; what does not must say why, a file in printable lines. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "conf/conf.h"
#include "conf/conf_cli.h"
#include "conf/conf_load.h"
#include "tests/fuzz/fuzz.h"

#define MOST_ARGUMENTS 20

const char *const fuzz_corpora[] = { NULL };

struct text {
    char *p;
    size_t n;
};

static void must_say_why(char *errors, bool printable)
{
    size_t n = errors ? strlen(errors) : 0;
    MUST(n && errors[n - 1] == '\n');
    for (const char *p = errors; printable && *p; p++)
        MUST((unsigned char)*p >= 0x20 || *p == '\n');
    free(errors);
}

/* NULL: refused. */
static struct conf_loaded *load(const void *p, size_t n, const struct conf_cli *given)
{
    char path[32], folder[] = "/";
    char *errors = NULL;
    struct conf_loaded *loaded = NULL;
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    MUST(fd >= 0 && write(fd, p, n) == (ssize_t)n);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct conf_cli cli = { .action = CONF_CLI_DUMP, .file = path, .start_dir = folder };
    if (given) {
        cli.v = given->v;
        cli.n = given->n;
    }
    if (conf_load(&cli, &loaded, &errors) != 0) {
        must_say_why(errors, true);
        loaded = NULL;
    }
    close(fd);
    return loaded;
}

static struct text dump(const struct conf_loaded *loaded)
{
    struct text t = { NULL, 0 };
    FILE *out = open_memstream(&t.p, &t.n);
    MUST(out);
    conf_dump(loaded, out);
    MUST(fclose(out) == 0);
    return t;
}

/* Without the origins behind the values, and the file's name at the top. */
static void strip(struct text *t)
{
    char *to = t->p;
    for (char *line = t->p, *next; line < t->p + t->n; line = next) {
        char *end = memchr(line, '\n', (size_t)(t->p + t->n - line));
        MUST(end);
        next = end + 1;
        *end = '\0';
        char *comment = NULL;
        for (char *p = line; (p = strstr(p, " ; ")); p++)
            comment = p;
        size_t n = comment ? (size_t)(comment - line) : strlen(line);
        while (n && line[n - 1] == ' ')
            n--;
        if (*line != ';') {
            memmove(to, line, n);
            to += n;
            *to++ = '\n';
        }
    }
    t->n = (size_t)(to - t->p);
}

static void must_come_back(const struct conf_loaded *loaded)
{
    struct text first = dump(loaded);
    if (!memmem(first.p, first.n, "(cannot be written in a file)", 29)) {
        struct conf_loaded *again = load(first.p, first.n, NULL);
        MUST(again);
        struct text second = dump(again);
        strip(&first);
        strip(&second);
        MUST(first.n == second.n && !memcmp(first.p, second.p, first.n));
        free(second.p);
        conf_loaded_free(again);
    }
    free(first.p);
}

/* What the last input has put into the environment. */
static char *variables[MOST_ARGUMENTS];
static size_t n_variables;

/* False: it is an argument. */
static bool put_variable(char *line)
{
    char *equals = strchr(line, '=');
    if (strncmp(line, "TINE_", 5) != 0 || !equals || n_variables == MOST_ARGUMENTS)
        return false;
    *equals = '\0';
    for (char *p = line; *p; p++) /* it stands in messages */
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '_';
    MUST((variables[n_variables++] = strdup(line)) && !setenv(line, equals + 1, 1));
    return true;
}

static void drop_variables(void)
{
    for (; n_variables; free(variables[n_variables]))
        unsetenv(variables[--n_variables]);
}

/* 0, or -1: refused. */
static int parse_arguments(const char *p, size_t n, struct conf_cli *ret)
{
    char *argv[MOST_ARGUMENTS + 2] = { (char *)(uintptr_t)"tine" }, *text = malloc(n + 1), *error = NULL;
    int argc = 1;
    memcpy(text, p, n);
    text[n] = '\0';
    n = strlen(text);
    for (char *line = text; line < text + n && argc <= MOST_ARGUMENTS;) {
        char *end = line + strcspn(line, "\n");
        *end = '\0';
        if (!put_variable(line))
            argv[argc++] = line;
        line = end + 1;
    }
    int result = conf_cli_parse(argc, argv, ret, &error);
    if (result != 0)
        must_say_why(error, false);
    free(text);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct conf_cli cli = { 0 };
    const char *p = fuzz_copy(data, size), *mark = size ? memmem(p, size, "\n--\n", 4) : NULL;
    size_t n = mark ? (size_t)(mark - p) + 1 : size;
    if (!mark || parse_arguments(mark + 4, size - n - 3, &cli) == 0) {
        struct conf_loaded *loaded = load(p, n, mark ? &cli : NULL);
        drop_variables();
        if (loaded)
            must_come_back(loaded);
        conf_loaded_free(loaded);
    }
    drop_variables();
    if (mark)
        conf_cli_done(&cli);
    free((char *)(uintptr_t)p);
    return 0;
}
