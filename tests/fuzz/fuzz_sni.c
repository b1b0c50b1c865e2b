/* SPDX-License-Identifier: BSD-3-Clause */
/* fuzz_sni.c: which certificate a name in a ClientHello gets: the one of that very name, else of a wildcard one level above
 * it, else none; in any case of letters and with a dot at its end. The name is the input's first line, those of the
 * certificates are the others. */
#include <ctype.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "worker/tls/tls_sni.c"

#define MOST 20

const char *const fuzz_corpora[] = { NULL };

/* A dot at the end of a name is gone here. */
static bool is_name(const char *name, const char *host)
{
    return *name && strcasecmp(name, host) == 0;
}

/* "*.b.c" for "a.b.c" */
static bool is_above(const char *name, const char *host)
{
    const char *dot = strchr(name, '.');
    return dot && dot > name && dot[1] && host[0] == '*' && strcasecmp(dot, host + 1) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), *rest = text;
    struct tls_cert certs[MOST], *hosts[MOST];
    struct tls_set set = { .hosts = hosts };
    memcpy(text, size ? (const char *)data : "", size);
    text[size] = '\0';
    char *name = strsep(&rest, "\n");
    for (; rest && set.n_hosts < MOST; set.n_hosts++) {
        certs[set.n_hosts] = (struct tls_cert){ .host = strsep(&rest, "\n") };
        for (char *p = certs[set.n_hosts].host; *p; p++) /* the files' names were lowered when they were loaded */
            *p = (char)tolower((unsigned char)*p);
        hosts[set.n_hosts] = &certs[set.n_hosts];
    }
    tls_sni_sort(&set);
    struct tls_cert *got = choose(&set, name);
    bool exact = false, above = false;
    size_t n = strlen(name);
    if (n && name[n - 1] == '.')
        name[n - 1] = '\0';
    for (size_t i = 0; i < set.n_hosts && strlen(name) <= NAME_MAX_LENGTH && *name != '*'; i++) {
        exact |= is_name(name, certs[i].host);
        above |= is_above(name, certs[i].host);
    }
    MUST(!got || (exact ? is_name(name, got->host) : is_above(name, got->host)));
    MUST(got || !(exact || above));
    MUST(!choose(&set, NULL));
    free(text);
    return 0;
}
