/* SPDX-License-Identifier: BSD-3-Clause */
/* import_gunicorn.h: tine --import-gunicorn FILE. */
#ifndef TINE_MASTER_IMPORT_GUNICORN_H
#define TINE_MASTER_IMPORT_GUNICORN_H

/* Prints the tine.ini that the settings of a gunicorn.conf.py come to. An exit status. */
int import_gunicorn(const char *file);

#endif
