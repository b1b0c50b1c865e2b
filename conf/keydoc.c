/* SPDX-License-Identifier: BSD-3-Clause */
/* keydoc.c: a tool of the build: writes what people read about the keys from the same rows that the loader uses.
 *
 *   keydoc man TEMPLATE   copies a manual page and puts the list of keys (mdoc) where a line says @KEYS@
 *   keydoc ini            the sample configuration: every key at its default, as comments
 */
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "conf/conf_number.h"
#include "conf/conf_table.h"
#include "conf/conf_types.h"

/* Text for mdoc: neither a request nor an escape, and fit to stand between double quotes. */
static void put_man(const char *text)
{
    if (*text == '.' || *text == '\'')
        fputs("\\&", stdout);
    for (; *text; text++) {
        switch (*text) {
        case '\\':
            fputs("\\e", stdout);
            break;
        case '"':
            fputs("\\(dq", stdout);
            break;
        case '-':
            fputs("\\-", stdout);
            break;
        case '~':
            fputs("\\(ti", stdout);
            break;
        case '^':
            fputs("\\(ha", stdout);
            break;
        default:
            putchar(*text);
        }
    }
}

/* Help as running text: each sentence on its own line, hyphens as they are. */
static void put_help(const char *text)
{
    if (*text == '.' || *text == '\'')
        fputs("\\&", stdout);
    for (const char *p = text; *p; p++) {
        bool ends = (*p == '.' || *p == ')') && p[1] == ' ' && isupper((unsigned char)p[2]);
        if (*p == '\\')
            fputs("\\e", stdout);
        else
            putchar(*p);
        if (ends && *p == '.') {
            putchar('\n');
            p++;
        }
    }
    putchar('\n');
}

static void put_key(const struct conf_key *key)
{
    char range[CONF_RANGE_ROOM];
    printf(".It Sy %s\n", key->name);
    put_help(key->help);
    fputs(".br\n", stdout);
    fputs("Type: ", stdout);
    put_man(conf_type_doc(key->type));
    fputs(conf_range_text(key, range), stdout);
    if (!key->def) {
        fputs(".\nDefault: not set", stdout);
    } else if (!*key->def) {
        fputs(".\nDefault: empty", stdout);
    } else {
        fputs(".\nDefault:\n.Ql \"", stdout);
        put_man(key->def);
        fputs("\"", stdout);
    }
    fputs(key->def && *key->def ? " .\n" : ".\n", stdout);
    fputs(key->reload ? "A reload takes it up.\n" : "A change needs a restart.\n", stdout);
    if (key->later)
        fputs(".Em Not supported yet .\n", stdout);
}

static void put_keys(void)
{
    for (size_t i = 0; i < conf_n_sections; i++) {
        const struct conf_section *section = &conf_sections[i];
        bool shares = section->many && !strcmp(section->name, "mount");
        printf(".Ss \"[%s%s]\"\n", section->name, section->many ? ":/prefix" : "");
        put_help(section->help);
        if (section->later)
            fputs(".Em Not supported yet .\n", stdout);
        if (shares)
            continue;
        fputs(".Bl -tag -width 4n\n", stdout);
        for (size_t k = 0; k < section->n_keys; k++)
            put_key(&section->keys[k]);
        fputs(".El\n", stdout);
    }
}

static int write_man(const char *template)
{
    char line[1024];
    bool found = false;
    FILE *in = fopen(template, "r");
    if (!in) {
        perror(template);
        return 1;
    }
    while (fgets(line, sizeof(line), in)) {
        if (strcmp(line, "@KEYS@\n") == 0) {
            put_keys();
            found = true;
        } else {
            fputs(line, stdout);
        }
    }
    fclose(in);
    if (!found)
        fprintf(stderr, "%s: no line @KEYS@\n", template);
    return !found;
}

/* A comment folded at 100 columns. */
static void put_comment(const char *text)
{
    while (*text) {
        size_t n = strlen(text);
        if (n > 96) {
            n = 96;
            while (n > 1 && text[n] != ' ')
                n--;
        }
        printf("# %.*s\n", (int)n, text);
        text += n;
        text += strspn(text, " ");
    }
}

static void put_sample_key(const struct conf_key *key)
{
    putchar('\n');
    put_comment(key->help);
    if (key->later)
        puts("# Not supported yet.");
    printf(";%s =%s%s\n", key->name, key->def && *key->def ? " " : "", key->def ? key->def : "");
}

static void write_sample(void)
{
    puts("# tine.ini: every setting of Tine at its default. See tine.ini(5).\n"
         "#\n"
         "# Lines that start with ; are settings left at their defaults: remove the ; to change one. After a\n"
         "# value, a comment starts with a ; that follows a blank.");
    for (size_t i = 0; i < conf_n_sections; i++) {
        const struct conf_section *section = &conf_sections[i];
        putchar('\n');
        put_comment(section->help);
        if (section->later)
            puts("# Not supported yet.");
        printf("%s[%s%s]\n", section->many ? ";" : "", section->name, section->many ? ":/prefix" : "");
        if (section->many && !strcmp(section->name, "mount"))
            continue;
        for (size_t k = 0; k < section->n_keys; k++)
            put_sample_key(&section->keys[k]);
    }
    puts("\n"
         "# The application's environment: NAME = value. $NAME and ${NAME} stand for variables of the\n"
         "# environment that Tine was started in; $$ is a plain $.\n"
         "[env]\n"
         ";DJANGO_SETTINGS_MODULE = project.settings");
}

int main(int argc, char **argv)
{
    int rc = 0;
    if (argc == 3 && strcmp(argv[1], "man") == 0) {
        rc = write_man(argv[2]);
    } else if (argc == 2 && strcmp(argv[1], "ini") == 0) {
        write_sample();
    } else {
        fputs("usage: keydoc man TEMPLATE | keydoc ini\n", stderr);
        return 1;
    }
    return fflush(stdout) == 0 && !ferror(stdout) ? rc : 1;
}
