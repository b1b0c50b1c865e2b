/* SPDX-License-Identifier: BSD-3-Clause */
/* proctitle.c: sets the name that ps(1) and top(1) show. */
#include "common/proctitle.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* End of the strings of v that follow each other in memory from `end` on. */
static char *end_of_run(char *end, char *const *v)
{
    for (; *v; v++)
        if (*v == end)
            end += strlen(*v) + 1;
    return end;
}

/* Copies of the n strings of `from`, NULL-terminated, all in one piece of memory: unsetenv() may
 * drop any of them without losing memory. NULL: out of memory. */
static char **copy_strings(char *const *from, size_t n)
{
    size_t size = (n + 1) * sizeof(*from);
    for (size_t i = 0; i < n; i++)
        size += strlen(from[i]) + 1;
    char **to = malloc(size);
    if (!to)
        return NULL;
    char *text = (char *)(to + n + 1);
    for (size_t i = 0; i < n; i++) {
        to[i] = text;
        text = stpcpy(text, from[i]) + 1;
    }
    to[n] = NULL;
    return to;
}

void proctitle_init(struct proctitle *title, int argc, char **argv)
{
    *title = (struct proctitle){ 0 };
    if (argc < 1)
        return;
    char *end = end_of_run(argv[0], argv);
    end = end_of_run(end, environ);
    size_t n_env = 0;
    while (environ[n_env])
        n_env++;
    char **args = copy_strings(argv, (size_t)argc);
    char **env = copy_strings(environ, n_env);
    if (!args || !env) { /* a nicety only: without memory the old name stays */
        free(args);
        free(env);
        return;
    }
    title->area = argv[0];
    title->size = (size_t)(end - argv[0]);
    program_invocation_name = args[0];
    char *slash = strrchr(args[0], '/');
    program_invocation_short_name = slash ? slash + 1 : args[0];
    memcpy(argv, args, (size_t)argc * sizeof(*argv));
    environ = env;
}

void proctitle_find(struct proctitle *title)
{
    char text[2048];
    *title = (struct proctitle){ 0 };
    FILE *in = fopen("/proc/self/stat", "re");
    size_t n = in ? fread(text, 1, sizeof(text) - 1, in) : 0;
    if (in)
        fclose(in);
    text[n] = '\0';
    char *at = strrchr(text, ')'); /* field 2, the name, may hold anything */
    for (int field = 2; at && field < 48; field++)
        at = strchr(at + 1, ' ');
    unsigned long start = at ? strtoul(at, &at, 10) : 0, end = at ? strtoul(at, NULL, 10) : 0;
    if (start && end > start)
        *title = (struct proctitle){ (char *)start, end - start };
}

void proctitle_set(const struct proctitle *title, const char *format, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    char comm[16]; /* what the kernel keeps; a name in brackets would be cut anyway */
    snprintf(comm, sizeof(comm), "%.*s", (int)strcspn(text, "["), text);
    prctl(PR_SET_NAME, comm);
    if (!title->area || title->size < 2)
        return;
    size_t n = strnlen(text, title->size - 1);
    memcpy(title->area, text, n);
    memset(title->area + n, 0, title->size - n);
}
