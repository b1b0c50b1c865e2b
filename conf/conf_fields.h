/* SPDX-License-Identifier: BSD-3-Clause */
/* conf_fields.h: header fields as a value, "Name: value, Name: value". A comma begins the next one only where a name, a
 * colon and a blank follow: values have commas of their own. */
#ifndef TINE_CONF_CONF_FIELDS_H
#define TINE_CONF_CONF_FIELDS_H

#include "conf/conf.h"
#include "conf/conf_pool.h"

/* Adds the fields of `text`, each as "Name: value". NULL, or what is wrong (in the pool): no field, or one that is the
 * server's own. */
const char *conf_fields_add(struct conf_pool *pool, const char *text, struct conf_list *list)
    __attribute__((warn_unused_result));
/* How many bytes of a field are its name, which a colon follows. */
size_t conf_field_name(const char *field);

#endif
