/* SPDX-License-Identifier: BSD-3-Clause */
/* generation.c: from a loaded configuration to a generation, and its end. */
#include "master/fleet/generation.h"

#include <stdlib.h>

#include "conf/conf.h"
#include "conf/conf_load.h"

struct generation *generation_new(struct conf_loaded *loaded, unsigned number)
{
    struct generation *generation = calloc(1, sizeof(*generation));
    if (!generation) {
        conf_loaded_free(loaded);
        return NULL;
    }
    generation->number = number;
    generation->loaded = loaded;
    generation->conf = conf_loaded_get(loaded);
    generation->target = generation->conf->server.workers;
    return generation;
}

void generation_free(struct generation *generation)
{
    if (!generation)
        return;
    listeners_done(&generation->listeners);
    certs_close(&generation->certs);
    conf_loaded_free(generation->loaded);
    free(generation);
}
