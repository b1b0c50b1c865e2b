/* SPDX-License-Identifier: BSD-3-Clause */
/* generation.c: from a loaded configuration to a generation, and its end. */
#include "master/fleet/generation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/fdutil.h"
#include "common/log.h"
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
    generation->module.fd = -1;
    generation->loaded = loaded;
    generation->conf = conf_loaded_get(loaded);
    generation->target = generation->conf->server.workers;
    verdict_init(&generation->verdict, &generation->conf->app);
    return generation;
}

bool generation_lives_in_main(const struct generation *generation)
{
    return verdict_is_main(&generation->verdict);
}

void generation_set_environment(struct generation *generation, const char *paths)
{
    free(generation->environment);
    generation->environment = strdup(paths);
}

void generation_becomes(struct generation *generation, const char *python)
{
    if (generation->python && strcmp(generation->python, python) == 0)
        return;
    free(generation->python);
    generation->python = strdup(python);
    log_info("Python: %s", python);
}

char *generation_doubt(const struct generation *generation)
{
    char *text = NULL;
    if (asprintf(&text, "%s did not get as far as Tine's module: is it a Python, and does it start?",
                 generation->python ? generation->python : "its Python") < 0)
        return NULL;
    return text;
}

void generation_free(struct generation *generation)
{
    if (!generation)
        return;
    listeners_done(&generation->listeners);
    certs_close(&generation->certs);
    conf_loaded_free(generation->loaded);
    verdict_done(&generation->verdict);
    free(generation->environment);
    free(generation->python);
    fd_close(&generation->module.fd);
    free(generation->module.path);
    free(generation);
}
