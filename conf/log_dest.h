/* SPDX-License-Identifier: BSD-3-Clause */
/* log_dest.h: where a log goes, from the text of log.accesslog or log.errorlog. */
#ifndef TINE_CONF_LOG_DEST_H
#define TINE_CONF_LOG_DEST_H

enum log_dest_kind {
    LOG_DEST_STDOUT,  /* "-" */
    LOG_DEST_FILE,
    LOG_DEST_SYSLOG,  /* "syslog", or "syslog:/path" of its socket */
    LOG_DEST_JOURNALD /* "journald", or "journald:/path" */
};

struct log_dest {
    enum log_dest_kind kind;
    const char *path; /* of the file or socket, within the text or static; NULL for standard output */
};

struct log_dest log_dest_parse(const char *text);

#endif
