/* SPDX-License-Identifier: BSD-3-Clause */
/* verdicts.c: see verdicts.h. A record is a text, in memory as in its file: a line with the version of Tine, a line that
 * says why, and for each path a line "SECONDS.NANOSECONDS SIZE PATH", as stat(2) had it. */
#include "master/fleet/verdicts.h"

#include <config.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "conf/conf.h"
#include "master/system/state_folder.h"

#define HEAD "tine " PACKAGE_VERSION " main interpreter"
#define FILE_MOST ((size_t)64 << 10)
#define PATHS_MOST 100
#define RECORDS_MOST 16
#define FNV_BASIS UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME UINT64_C(0x100000001b3)

struct verdicts_record {
    LIST_ENTRY(verdicts_record) link;
    uint64_t key;
    char *text;
};

/* --- which application --- */

/* With its NUL, so that two texts are not one. */
static uint64_t mix(uint64_t key, const char *text)
{
    const char *p = text ? text : "\1";
    do
        key = (key ^ (unsigned char)*p) * FNV_PRIME;
    while (*p++);
    return key;
}

static uint64_t mix_app(uint64_t key, const struct conf_app *app)
{
    key = mix(key, app->module);
    key = mix(key, app->python);
    key = mix(key, app->venv);
    for (size_t i = 0; i < app->pythonpath.n; i++)
        key = mix(key, app->pythonpath.v[i]);
    return key;
}

static uint64_t key_of(const struct conf *conf)
{
    char *here = getcwd(NULL, 0);
    uint64_t key = mix(mix(FNV_BASIS, here), getenv("VIRTUAL_ENV"));
    free(here);
    key = mix_app(key, &conf->app);
    for (size_t i = 0; i < conf->n_mounts; i++)
        key = mix_app(mix(key, conf->mounts[i].prefix), &conf->mounts[i].app);
    return key;
}

#define NAME_ROOM sizeof("interpreter-0123456789abcdef")
static void name_of(uint64_t key, char name[NAME_ROOM])
{
    snprintf(name, NAME_ROOM, "interpreter-%016" PRIx64, key);
}

/* --- a record --- */

static void write_path(FILE *out, const char *path)
{
    struct stat st;
    if (path[0] == '/' && stat(path, &st) == 0)
        fprintf(out, "%jd.%09ld %jd %s\n", (intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, (intmax_t)st.st_size, path);
}

/* To be freed; NULL: out of memory. */
static char *compose(const char *why, const char *paths)
{
    char *text = NULL, *list = strdup(paths), *rest = list, *path;
    size_t n = 0;
    FILE *out = list ? open_memstream(&text, &n) : NULL;
    if (!out) {
        free(list);
        return NULL;
    }
    fprintf(out, HEAD "\n%s\n", why);
    for (unsigned i = 0; i < PATHS_MOST && (path = strsep(&rest, "\n")); i++)
        write_path(out, path);
    free(list);
    return fclose(out) == 0 ? text : NULL;
}

/* The file or folder of a line is as it was. */
static bool is_unchanged(const char *line)
{
    intmax_t seconds, size;
    long nanoseconds;
    int at = 0;
    struct stat st;
    // NOLINTNEXTLINE(cert-err34-c): a number out of range is another one
    return sscanf(line, "%jd.%ld %jd %n", &seconds, &nanoseconds, &size, &at) == 3 && line[at] == '/' &&
           stat(line + at, &st) == 0 && st.st_mtim.tv_sec == seconds && st.st_mtim.tv_nsec == nanoseconds &&
           st.st_size == size;
}

/* Why, if the record still holds: to be freed; else NULL. Changes the text. */
static char *judge(char *text)
{
    char *rest = text, *head = strsep(&rest, "\n"), *why = strsep(&rest, "\n"), *line;
    if (!why || !rest || strcmp(head, HEAD) != 0)
        return NULL;
    while ((line = strsep(&rest, "\n")))
        if (*line && !is_unchanged(line))
            return NULL;
    return strdup(why);
}

static struct verdicts_record *find(const struct verdicts *verdicts, uint64_t key)
{
    struct verdicts_record *record;
    LIST_FOREACH (record, &verdicts->all, link)
        if (record->key == key)
            return record;
    return NULL;
}

static void forget(struct verdicts_record *record)
{
    LIST_REMOVE(record, link);
    free(record->text);
    free(record);
}

/* The one that was added first goes if there are too many. Takes `text`. */
static void keep(struct verdicts *verdicts, uint64_t key, char *text)
{
    struct verdicts_record *record = find(verdicts, key), *last = NULL;
    unsigned n = 0;
    if (record)
        forget(record);
    LIST_FOREACH (record, &verdicts->all, link) {
        last = record;
        n++;
    }
    if (n >= RECORDS_MOST)
        forget(last);
    if (!(record = calloc(1, sizeof(*record)))) {
        free(text);
        return;
    }
    record->key = key;
    record->text = text;
    LIST_INSERT_HEAD(&verdicts->all, record, link);
}

/* --- */

char *verdicts_find(const struct verdicts *verdicts, const struct conf *conf)
{
    char name[NAME_ROOM];
    uint64_t key = key_of(conf);
    const struct verdicts_record *record = find(verdicts, key);
    name_of(key, name);
    char *text = record ? strdup(record->text) : state_file_read(name, FILE_MOST);
    char *why = text ? judge(text) : NULL;
    free(text);
    return why;
}

void verdicts_add(struct verdicts *verdicts, const struct conf *conf, const char *why, const char *paths)
{
    char name[NAME_ROOM];
    uint64_t key = key_of(conf);
    char *text = compose(why, paths);
    if (!text)
        return;
    name_of(key, name);
    if (state_file_write(name, text) < 0)
        log_debug("that the application needs the main interpreter is not kept over a restart: %s", strerror(errno));
    keep(verdicts, key, text);
}

void verdicts_done(struct verdicts *verdicts)
{
    for (struct verdicts_record *record = LIST_FIRST(&verdicts->all), *next; record; record = next) {
        next = LIST_NEXT(record, link);
        forget(record);
    }
}
