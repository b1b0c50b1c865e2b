/* SPDX-License-Identifier: BSD-3-Clause */
/* log_dest.c: reads the text of log.accesslog: standard output, a file, or the socket of a log daemon. */
#include "conf/log_dest.h"

#include <stddef.h>
#include <string.h>

/* The socket's path if text names the daemon, else NULL. */
static const char *socket_of(const char *text, const char *daemon, const char *usual)
{
    size_t n = strlen(daemon);
    if (strncmp(text, daemon, n) != 0)
        return NULL;
    return !text[n] ? usual : text[n] == ':' && text[n + 1] == '/' ? text + n + 1 : NULL;
}

struct log_dest log_dest_parse(const char *text)
{
    const char *path;
    if (strcmp(text, "-") == 0)
        return (struct log_dest){ LOG_DEST_STDOUT, NULL };
    if ((path = socket_of(text, "syslog", "/dev/log")))
        return (struct log_dest){ LOG_DEST_SYSLOG, path };
    if ((path = socket_of(text, "journald", "/run/systemd/journal/socket")))
        return (struct log_dest){ LOG_DEST_JOURNALD, path };
    return (struct log_dest){ LOG_DEST_FILE, text };
}
