/* SPDX-License-Identifier: BSD-3-Clause */
/* import.h: tine --import-gunicorn, --import-uvicorn and their kind. */
#ifndef TINE_MASTER_IMPORT_H
#define TINE_MASTER_IMPORT_H

struct conf_cli;

/* Prints the tine.ini that another server's configuration file or command line comes to. An exit status. */
int import_settings(const struct conf_cli *cli);

#endif
