/* SPDX-License-Identifier: BSD-3-Clause */
/* listen_handed.c: sockets that go from one master to the next by an exec: descriptors that stay
 * open, and a text that says which bind each belongs to. Must believe nothing: the text comes from
 * the environment. */
#include "master/listen/listen_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "conf/conf.h"

char *listeners_hand_over(const struct listeners *listeners)
{
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    if (!out)
        return NULL;
    for (size_t i = 0; i < listeners->n; i++)
        fprintf(out, "%s%d=%s", i ? "," : "", listeners->v[i].fd, listeners->v[i].bind);
    bool failed = ferror(out);
    if (fclose(out) != 0 || failed) {
        free(text);
        return NULL;
    }
    return text;
}

int listeners_keep_open(const struct listeners *listeners)
{
    for (size_t i = 0; i < listeners->n; i++)
        if (fcntl(listeners->v[i].fd, F_SETFD, 0) < 0)
            return -1;
    return 0;
}

static bool has_fd(const struct listeners *listeners, long fd)
{
    for (size_t i = 0; i < listeners->n; i++)
        if (listeners->v[i].fd == fd)
            return true;
    return false;
}

/* "3=unix:/path", terminated. */
static void take_one(struct listeners *listeners, char *text)
{
    char *end;
    errno = 0;
    long fd = strtol(text, &end, 10);
    bool number = !errno && end != text && *end == '=' && fd > STDERR_FILENO && fd <= INT_MAX;
    const char *fault = !number ? "is no number" : has_fd(listeners, fd) ? "is there twice" : listen_fd_fault((int)fd);
    if (fault) {
        log_warning("a socket handed over as \"%s\" is not used: its descriptor %s", text, fault);
        return;
    }
    struct conf_bind bind = { .text = end + 1 };
    if (listeners_add(listeners, &bind, (int)fd) < 0)
        return;
    bool file = strncmp(bind.text, "unix:", 5) == 0 && bind.text[5] != '@';
    if (file && listeners_own_file(listeners, bind.text + 5) < 0)
        log_warning("%s: %s", bind.text, strerror(errno));
}

void listeners_take_over(struct listeners *listeners, const char *text)
{
    char *copy = strdup(text), *rest = copy;
    listeners->shared = true;
    if (!copy)
        log_critical("out of memory");
    /* No bind has a comma: lists of the configuration are separated by them. */
    for (char *one; rest && (one = strsep(&rest, ",")) != NULL;)
        if (*one)
            take_one(listeners, one);
    free(copy);
}
