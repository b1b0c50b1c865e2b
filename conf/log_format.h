/* SPDX-License-Identifier: BSD-3-Clause */
/* log_format.h: an access-log format taken apart: literal text and atoms. Checked by conf_check, executed by
 * worker/log/access_line.c. Atoms of gunicorn: h l u t r m U q H s B b f a T M D L p {x}i {x}o {x}e; of hypercorn:
 * R S st Uq. "json" stands for one JSON object per line, "json NAME=%(atom)s ..." for one with these members. iso: the time as
 * ISO 8601 has it, UTC; request_id, trace_id: of http.request_id and of traceparent. */
#ifndef TINE_CONF_LOG_FORMAT_H
#define TINE_CONF_LOG_FORMAT_H

#include <stdbool.h>
#include <stddef.h>

enum log_atom_kind {
    LOG_ATOM_LITERAL,
    LOG_ATOM_H_REMOTE,
    LOG_ATOM_L,
    LOG_ATOM_U_USER,
    LOG_ATOM_T_TIME,
    LOG_ATOM_R_LINE,
    LOG_ATOM_M_METHOD,
    LOG_ATOM_U_PATH,
    LOG_ATOM_Q_QUERY,
    LOG_ATOM_H_PROTOCOL,
    LOG_ATOM_S_STATUS,
    LOG_ATOM_B_LENGTH,
    LOG_ATOM_B_LENGTH_OR_DASH,
    LOG_ATOM_F_REFERER,
    LOG_ATOM_A_AGENT,
    LOG_ATOM_T_SECONDS,
    LOG_ATOM_M_MS,
    LOG_ATOM_D_US,
    LOG_ATOM_L_DECIMAL,
    LOG_ATOM_P_PID,
    LOG_ATOM_IN_FIELD,
    LOG_ATOM_OUT_FIELD,
    LOG_ATOM_ENVIRON,
    LOG_ATOM_R_LINE_QUERY,
    LOG_ATOM_S_SCHEME,
    LOG_ATOM_ST_PHRASE,
    LOG_ATOM_UQ_PATH_QUERY,
    LOG_ATOM_ISO_TIME,
    LOG_ATOM_REQUEST_ID,
    LOG_ATOM_TRACE_ID,
};

struct log_atom {
    enum log_atom_kind kind;
    char *text; /* the literal, or the lower-case field name (environ: as written) of {x}i, {x}o, {x}e; else NULL */
    size_t n;
    char *key; /* its name in an object; NULL: it is no member */
};

struct log_format {
    struct log_atom *v;
    size_t n;
    bool json; /* with the usual members, if there are no atoms */
    bool wants_out_fields; /* has {x}o */
};

/* 0; or -1 with *ret_why (static text) and *ret_at, the offset of the atom that is wrong. */
int log_format_parse(const char *text, struct log_format *ret, const char **ret_why, size_t *ret_at);
void log_format_done(struct log_format *f);

#endif
