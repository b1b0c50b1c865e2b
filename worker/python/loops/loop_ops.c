/* SPDX-License-Identifier: BSD-3-Clause */
/* loop_ops.c: the table of event loops. */
#include "worker/python/loops/loop_ops.h"

#include <stddef.h>

#include "worker/python/loops/host_asyncio_py.h"
#include "worker/python/loops/host_curio_py.h"
#include "worker/python/loops/host_gevent_py.h"
#include "worker/python/loops/host_trio_py.h"

static const struct loop_ops table[] = {
    { .conf = CONF_LOOP_TINE, .style = LOOP_ASYNCIO },
    { .conf = CONF_LOOP_ASYNCIO, .style = LOOP_ASYNCIO, .source = host_asyncio_py },
    { .conf = CONF_LOOP_UVLOOP,
      .style = LOOP_ASYNCIO,
      .source = host_asyncio_py,
      .package = "uvloop",
      .versions = ">=0.17,<0.24" },
    { .conf = CONF_LOOP_TRIO,
      .style = LOOP_TASKS,
      .source = host_trio_py,
      .package = "trio",
      .versions = ">=0.23,<0.36" },
    { .conf = CONF_LOOP_CURIO, .style = LOOP_TASKS, .source = host_curio_py, .package = "curio", .versions = "==1.6" },
    { .conf = CONF_LOOP_GEVENT,
      .style = LOOP_GREENLETS,
      .source = host_gevent_py,
      .package = "gevent",
      .versions = ">=22.10,<27" },
};

const struct loop_ops *loop_ops_of(enum conf_loop conf)
{
    for (size_t i = 1; i < sizeof table / sizeof table[0]; i++)
        if (table[i].conf == conf)
            return &table[i];
    return &table[0];
}
