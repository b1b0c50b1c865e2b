/* SPDX-License-Identifier: BSD-3-Clause */
/* check.h: tine -t beyond the configuration itself. */
#ifndef TINE_MASTER_CHECK_H
#define TINE_MASTER_CHECK_H

struct conf_loaded;

/* Tries what the service will open: folders, users, files of certificates, logs, the Python of the application, static
 * folders and addresses; creates and changes nothing, and imports nothing. Every fault is a line on standard error with
 * its place and key. An address that is in use is only a warning: the service itself may hold it. An exit status. */
int check_system(const struct conf_loaded *loaded);

#endif
