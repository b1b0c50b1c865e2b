/* SPDX-License-Identifier: BSD-3-Clause */
/* conf_load.c: reads all sources of the configuration. The only file that includes inih, which splits lines into names
 * and values; it is given one checked line at a time, because by itself it cuts long names and lines short silently and
 * reports only the first mistake. */
#include "conf/conf_load.h"

#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/span.h"
#include "conf/conf_cli.h"
#include "conf/conf_loaded.h"

#define LARGEST_FILE (1u << 20)
#define LONGEST_LINE 16384
#define LONGEST_SECTION 49 /* inih cuts after it */

/* A file on its way through inih. */
struct reading {
    struct conf_settings *list;
    struct conf_errors *errors;
    struct conf_setting at; /* file, line and section now */
    const char *p, *end; /* text not yet read */
    bool pending; /* inih was given a line and has not answered it */
    bool skip; /* the section's heading is wrong */
    bool failed; /* out of memory */
};

/* ini_handler. Some builds of inih pass their own line number, which starts elsewhere. */
static int on_pair(void *user, const char *section, const char *name, const char *value
#if INI_HANDLER_LINENO
                   ,
                   int line
#endif
)
{
    struct reading *r = user;
    struct conf_setting s = r->at;
    r->pending = false;
    if (r->skip)
        return 1;
    s.key = name;
    s.value = value ? value : "";
    if (!s.section)
        conf_error(r->errors, &s, "a section such as [server] must come before the first key");
    else if (!*name)
        conf_error(r->errors, &s, "expected a name before the =");
    else if (conf_settings_add(r->list, &s) != 0)
        r->failed = true;
    return 1;
}

/* "[name]" with nothing after it but a comment. */
static void on_heading(struct reading *r, struct span line)
{
    const char *close = memchr(line.p, ']', line.n);
    struct span name = { line.p + 1, close ? (size_t)(close - line.p) - 1 : 0 };
    struct span rest = { close ? close + 1 : line.p, close ? line.n - name.n - 2 : 0 };
    name = span_trim(name);
    rest = span_trim(rest);
    r->at.section = NULL;
    r->skip = true;
    if (!close || (rest.n && rest.p[0] != ';' && rest.p[0] != '#'))
        conf_error(r->errors, &r->at, "expected [section] and nothing after it");
    else if (name.n == 0 || name.n > LONGEST_SECTION || memchr(name.p, ';', name.n))
        conf_error(r->errors, &r->at, "expected the name of a section, of 1 to %d bytes without ;", LONGEST_SECTION);
    else if (!(r->at.section = conf_copy(r->list->pool, name.p, name.n)) || conf_settings_add(r->list, &r->at) != 0)
        r->failed = true;
    else
        r->skip = false;
}

static struct span take_line(struct reading *r)
{
    const char *newline = memchr(r->p, '\n', (size_t)(r->end - r->p));
    const char *stop = newline ? newline : r->end;
    struct span line = { r->p, (size_t)(stop - r->p) };
    r->p = newline ? newline + 1 : r->end;
    r->at.line++;
    /* Without its indent, so that inih does not take it for more of the line before. */
    while (line.n && isspace((unsigned char)line.p[0]))
        line.p++, line.n--;
    while (line.n && isspace((unsigned char)line.p[line.n - 1]))
        line.n--;
    return line;
}

static void finish_line(struct reading *r)
{
    if (r->pending && !r->skip)
        conf_error(r->errors, &r->at, "expected key = value, [section] or a comment");
    r->pending = false;
}

/* ini_reader: the next line, as fgets() would. Headings are ours: inih gets an empty line for them. */
static char *on_read(char *to, int room, void *stream)
{
    struct reading *r = stream;
    finish_line(r);
    if (r->p == r->end)
        return NULL;
    struct span line = take_line(r);
    if (line.n && line.p[0] == '[') {
        on_heading(r, line);
        line.n = 0;
    } else if (line.n && strchr(";#", line.p[0])) {
        line.n = 0;
    } else if (line.n + 2 > (size_t)room) {
        conf_error(r->errors, &r->at, "a line has at most %d bytes, this one has %zu", room - 2, line.n);
        line.n = 0;
    }
    r->pending = line.n > 0;
    memcpy(to, line.p, line.n);
    memcpy(to + line.n, "\n", 2);
    return to;
}

static void parse_text(struct reading *r, struct span text)
{
    const char *zero = memchr(text.p, '\0', text.n);
    if (zero) {
        for (const char *p = text.p; p < zero; p++)
            r->at.line += *p == '\n';
        r->at.line++;
        conf_error(r->errors, &r->at, "a byte of value zero: this is no text file");
        return;
    }
    if (text.n >= 3 && memcmp(text.p, "\xef\xbb\xbf", 3) == 0) {
        text.p += 3;
        text.n -= 3;
    }
    r->p = text.p;
    r->end = text.p + text.n;
#if HAVE_DECL_INI_MAX_LINE
    ini_max_line = LONGEST_LINE; /* Debian's can be set at run time; elsewhere it is what it was built with */
#endif
    size_t errors = r->errors->n;
    if (ini_parse_stream(on_read, r, on_pair, r) != 0 && r->errors->n == errors)
        conf_error(r->errors, &r->at, "the file cannot be parsed");
}

/* 0 with *ret, which ends with a zero byte, to be freed; or -1 with errno. */
static int read_whole(int fd, char **ret, size_t *ret_n)
{
    char *text = malloc(LARGEST_FILE + 2);
    size_t n = 0;
    ssize_t got = 1;
    while (text && got > 0 && n <= LARGEST_FILE) {
        got = read(fd, text + n, LARGEST_FILE + 1 - n);
        if (got < 0 && errno == EINTR)
            got = 1;
        else if (got > 0)
            n += (size_t)got;
    }
    if (!text || got < 0 || n > LARGEST_FILE) {
        int error = !text ? ENOMEM : got < 0 ? errno : EFBIG;
        free(text);
        errno = error;
        return -1;
    }
    text[n] = '\0';
    *ret = text;
    *ret_n = n;
    return 0;
}

/* 0, or -1: out of memory. A mistake or a file that cannot be read is an error in the list. */
static int load_file(struct conf_loaded *l, const char *path, bool must_exist, struct conf_settings *list,
                     struct conf_errors *errors)
{
    char *text;
    size_t n;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 && errno == ENOENT && !must_exist)
        return 0;
    if (fd < 0 || read_whole(fd, &text, &n) != 0) {
        conf_error(errors, NULL, "%s: cannot read: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return 0;
    }
    close(fd);
    struct reading r = { .list = list, .errors = errors, .at = { .source = CONF_FROM_FILE, .where = path } };
    parse_text(&r, (struct span){ text, n });
    free(text);
    l->conf.file = conf_copy(&l->pool, path, strlen(path));
    return r.failed || !l->conf.file ? -1 : 0;
}

static int add_overrides(struct conf_settings *list, const struct conf_cli *cli)
{
    for (size_t i = 0; i < cli->n; i++) {
        const struct conf_override *o = &cli->v[i];
        struct conf_setting s = { CONF_FROM_OPTION, o->option, 0, o->section, o->key, o->value, NULL, NULL };
        if (conf_settings_add(list, &s) != 0)
            return -1;
    }
    return 0;
}

/* All sources by rising precedence, then types and rules. 0, or -1: out of memory. */
static int load(struct conf_loaded *l, const struct conf_cli *cli, struct conf_errors *errors)
{
    struct conf_settings list;
    conf_settings_init(&list, &l->pool);
    const char *file = cli->file, *folder = cli->start_dir ? cli->start_dir : ".";
    if (cli->action == CONF_CLI_IMPORT) /* what is imported may be for another machine */
        folder = NULL;
    if (!file)
        file = conf_text(&l->pool, "%s/tine.ini", cli->start_dir ? cli->start_dir : ".");
    if (conf_env_fallbacks(&list) != 0 || load_file(l, file, cli->file != NULL, &list, errors) != 0 ||
        conf_env_settings(&list, errors) != 0 || add_overrides(&list, cli) != 0 ||
        conf_apply(l, folder, &list, errors) != 0)
        return -1;
    conf_check(l, cli->action != CONF_CLI_DUMP && cli->action != CONF_CLI_IMPORT, errors);
    return 0;
}

int conf_load(const struct conf_cli *cli, struct conf_loaded **ret, char **ret_errors)
{
    struct conf_errors errors = { 0 };
    struct conf_loaded *l = calloc(1, sizeof(*l));
    if (!l || load(l, cli, &errors) != 0)
        errors.failed = true;
    if (errors.n || errors.failed) {
        *ret_errors = conf_errors_take(&errors);
        conf_loaded_free(l);
        return -1;
    }
    *ret = l;
    return 0;
}

const struct conf *conf_loaded_get(const struct conf_loaded *l)
{
    return &l->conf;
}

char *conf_origin(const struct conf_loaded *l, const char *section, const char *key)
{
    for (size_t i = 0; i < l->n; i++) {
        const struct conf_key *found = strcmp(l->v[i].name, section) == 0 ? conf_key_find(l->v[i].section, key) : NULL;
        const struct conf_setting *s = found ? l->v[i].from[found - l->v[i].section->keys] : NULL;
        if (found)
            return strdup(s ? conf_place(s).s : "default");
    }
    return NULL;
}

void conf_loaded_free(struct conf_loaded *l)
{
    if (!l)
        return;
    conf_pool_done(&l->pool);
    free(l);
}
