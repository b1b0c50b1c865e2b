/* SPDX-License-Identifier: BSD-3-Clause */
/* conf_env_file.c: reads files of NAME=VALUE lines (server.env_file) as python-dotenv does: "export" before a name, quotes,
 * comments after a blank and #, ${NAME} and ${NAME:-DEFAULT} outside single quotes. Values of several lines are refused. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/span.h"
#include "conf/conf_loaded.h"

#define LARGEST (1u << 20)

struct env_file {
    struct conf_settings *list;
    struct conf_errors *errors;
    struct conf_setting at; /* file and line now */
    bool failed; /* out of memory */
};

/* What ${NAME} stands for: the environment goes first, as for the names that the file sets. */
static const char *look_up(const struct env_file *f, const char *name, const char *otherwise)
{
    const char *found = getenv(name);
    for (const struct conf_setting *s = f->list->first; s && !getenv(name); s = s->next)
        if (strcmp(s->key, name) == 0)
            found = s->value;
    return found ? found : otherwise;
}

static void put_reference(struct env_file *f, struct span inside, FILE *out)
{
    char *name = strndup(inside.p, inside.n);
    char *otherwise = name ? strstr(name, ":-") : NULL;
    f->failed |= !name;
    if (otherwise) {
        *otherwise = '\0';
        otherwise += 2;
    }
    if (name)
        fputs(look_up(f, name, otherwise ? otherwise : ""), out);
    free(name);
}

/* Writes [p, end) with ${NAME} replaced, and with escapes if it stood in double quotes. */
static void put_value(struct env_file *f, const char *p, const char *end, bool quoted, FILE *out)
{
    for (; p < end; p++) {
        const char *close = *p == '$' && p + 1 < end && p[1] == '{' ? memchr(p, '}', (size_t)(end - p)) : NULL;
        if (close) {
            put_reference(f, (struct span){ p + 2, (size_t)(close - p - 2) }, out);
            p = close;
        } else if (quoted && *p == '\\' && p + 1 < end) {
            p++;
            fputc(*p == 'n' ? '\n' : *p == 't' ? '\t' : *p == 'r' ? '\r' : *p, out);
        } else {
            fputc(*p, out);
        }
    }
}

/* The place of the quote that closes the one before p; NULL: none. */
static const char *closing(const char *p, const char *end, char quote)
{
    for (; p < end; p++) {
        if (*p == '\\' && quote == '"')
            p++;
        else if (*p == quote)
            return p;
    }
    return NULL;
}

/* The value as text to be freed; NULL: reported, or no memory. */
static char *read_value(struct env_file *f, struct span s)
{
    const char *end = s.p + s.n, *stop = end;
    char quote = s.n && strchr("\"'", s.p[0]) ? s.p[0] : '\0', *text = NULL;
    size_t n;
    if (quote) {
        stop = closing(s.p + 1, end, quote);
        struct span rest = stop ? span_trim((struct span){ stop + 1, (size_t)(end - stop - 1) }) : s;
        if (!stop || (rest.n && rest.p[0] != '#')) {
            conf_error(f->errors, &f->at,
                       stop ? "expected nothing after the closing quote" : "the quote is not closed");
            return NULL;
        }
    } else {
        for (const char *p = s.p; p < end && stop == end; p++)
            if (*p == '#' && (p == s.p || isspace((unsigned char)p[-1])))
                stop = p;
        s = span_trim((struct span){ s.p, (size_t)(stop - s.p) });
        stop = s.p + s.n;
    }
    FILE *out = open_memstream(&text, &n);
    if (out && quote == '\'')
        fwrite(s.p + 1, 1, (size_t)(stop - s.p - 1), out);
    else if (out)
        put_value(f, s.p + (quote != '\0'), stop, quote != '\0', out);
    if (!out || fclose(out) != 0)
        f->failed = true;
    return text;
}

static bool is_name(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!isalnum((unsigned char)s.p[i]) && !strchr("_.-", s.p[i]))
            return false;
    return s.n && !isdigit((unsigned char)s.p[0]);
}

static void take_line(struct env_file *f, struct span line)
{
    line = span_trim(line);
    if (!line.n || line.p[0] == '#')
        return;
    const char *equals = memchr(line.p, '=', line.n);
    struct span name = span_trim((struct span){ line.p, equals ? (size_t)(equals - line.p) : 0 });
    if (name.n > 7 && memcmp(name.p, "export", 6) == 0 && isspace((unsigned char)name.p[6]))
        name = span_trim((struct span){ name.p + 7, name.n - 7 });
    if (!equals || !is_name(name)) {
        conf_error(f->errors, &f->at, "expected NAME=VALUE");
        return;
    }
    char *value = read_value(f, span_trim((struct span){ equals + 1, (size_t)(line.p + line.n - equals - 1) }));
    struct conf_setting s = f->at;
    s.section = "env";
    s.key = conf_copy(f->list->pool, name.p, name.n);
    s.value = value;
    f->failed |= !s.key;
    if (s.key && value && !getenv(s.key) && conf_settings_add(f->list, &s) != 0)
        f->failed = true;
    free(value);
}

/* The whole file, with a NUL after it, to be freed; or NULL with errno. */
static char *read_whole(const char *path, size_t *ret_n)
{
    FILE *file = fopen(path, "re");
    char *text = file ? malloc(LARGEST + 1) : NULL;
    if (text) {
        *ret_n = fread(text, 1, LARGEST + 1, file);
        bool failed = ferror(file);
        if (failed || *ret_n > LARGEST) {
            errno = failed ? errno : EFBIG;
            free(text);
            text = NULL;
        } else {
            text[*ret_n] = '\0';
        }
    }
    int error = errno;
    if (file)
        fclose(file);
    errno = error;
    return text;
}

static void read_file(struct env_file *f, const char *path, const struct conf_setting *named)
{
    size_t n = 0;
    char *text = read_whole(path, &n);
    if (!text) {
        conf_error(f->errors, named, "%s cannot be read: %s", path, strerror(errno));
        return;
    }
    f->at = (struct conf_setting){ .source = CONF_FROM_ENV_FILE, .where = path };
    for (const char *p = text, *end = text + n; p < end;) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        struct span line = { p, (size_t)((newline ? newline : end) - p) };
        f->at.line++;
        if (memchr(line.p, '\0', line.n))
            conf_error(f->errors, &f->at, "a byte of value zero: this is no text file");
        else
            take_line(f, line);
        p = newline ? newline + 1 : end;
    }
    free(text);
}

static const char *in_folder(struct conf_pool *pool, const char *folder, const char *name)
{
    return name[0] == '/' ? name : conf_text(pool, "%s/%s", folder, name);
}

int conf_env_files(struct conf_loaded *l, const char *start_dir, struct conf_settings *list, struct conf_errors *errors)
{
    struct env_file f = { .list = list, .errors = errors };
    const struct conf_list *files = &l->conf.server.env_file;
    const char *chdir = l->conf.server.chdir;
    const char *folder = chdir ? in_folder(&l->pool, start_dir, chdir) : start_dir;
    const struct conf_setting *named = NULL;
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->v[i].name, "server") == 0)
            named = l->v[i].from[conf_key_find(l->v[i].section, "env_file") - l->v[i].section->keys];
    for (size_t i = 0; i < files->n; i++)
        read_file(&f, in_folder(&l->pool, folder, files->v[i]), named);
    return f.failed ? -1 : 0;
}
