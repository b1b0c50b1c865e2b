/* SPDX-License-Identifier: BSD-3-Clause */
/* conf_addr.h: the list types of addresses: where to listen (BINDS) and whom to trust (NETS). */
#ifndef TINE_CONF_CONF_ADDR_H
#define TINE_CONF_CONF_ADDR_H

#include <stdio.h>

#include "conf/conf.h"
#include "conf/conf_pool.h"

/* One element of the list, trimmed and not empty, is added to the value. NULL, or what is wrong. */
const char *conf_bind_add(struct conf_pool *pool, const char *text, struct conf_binds *binds)
    __attribute__((warn_unused_result));
const char *conf_net_add(struct conf_pool *pool, const char *text, struct conf_nets *nets)
    __attribute__((warn_unused_result));

void conf_binds_print(const struct conf_binds *binds, FILE *out);
void conf_nets_print(const struct conf_nets *nets, FILE *out);

#endif
