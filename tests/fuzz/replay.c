/* SPDX-License-Identifier: BSD-3-Clause */
/* replay.c: main() for a fuzz target where there is no libFuzzer: runs it over the files given, or else over its corpora,
 * the lines of tests/fuzz/seeds/NAME and simple mutations of both, always the same: -m of each, begun from -s; then over
 * what fuzzing once found, the files of tests/fuzz/cases/NAME. A fault aborts; surviving is a pass. */
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "tests/unit/corpus.h"

#define MUTATIONS 40
#define LARGEST 4096

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    return *state ^= *state << 5;
}

/* Exactly n bytes on the heap, so that the sanitizer sees any step beyond them. */
static void run(const void *p, size_t n)
{
    uint8_t *copy = malloc(n ? n : 1);
    if (!copy)
        err(1, NULL);
    memcpy(copy, p, n);
    LLVMFuzzerTestOneInput(copy, n);
    free(copy);
}

/* Bytes that mean something somewhere are tried more often than others. */
static void mutate(char *p, size_t n, uint32_t *state)
{
    static const char meaningful[] = "\r\n \t:;,=\"\\0fF[]/?#%*\0\x7f\xff";
    for (uint32_t k = next_random(state) % 4 + 1; k && n; k--) {
        size_t at = next_random(state) % n;
        uint32_t c = next_random(state);
        switch (c >> 8 & 3) {
        case 0:
            p[at] = (char)c;
            break;
        case 1:
            p[at] = meaningful[c % sizeof(meaningful)];
            break;
        default: /* a run copied over another */
            memmove(p + at, p + c % n, n - (at > c % n ? at : c % n) < 16 ? 1 : 16);
        }
    }
}

/* As it is and with some mutations. How many runs that was. */
static unsigned run_seed(const char *p, size_t n, unsigned mutations, uint32_t *state)
{
    run(p, n);
    if (n > LARGEST)
        return 1;
    char *copy = malloc(n + 1);
    if (!copy)
        err(1, NULL);
    for (unsigned k = 0; k < mutations; k++) {
        memcpy(copy, p, n);
        mutate(copy, n, state);
        run(copy, next_random(state) % 4 ? n : next_random(state) % (n + 1));
    }
    free(copy);
    return 1 + mutations;
}

static unsigned run_corpus(const char *name, unsigned mutations, uint32_t state)
{
    size_t n;
    unsigned runs = 0;
    struct corpus_case *v = corpus_load(name, &n);
    for (size_t i = 0; i < n; i++)
        runs += run_seed(v[i].raw, v[i].n, mutations, &state);
    corpus_free(v, n);
    return runs;
}

static size_t read_file(const char *path, char *to, size_t size)
{
    FILE *f = fopen(path, "r");
    if (!f)
        err(1, "%s", path);
    size_t n = fread(to, 1, size, f);
    fclose(f);
    return n;
}

static unsigned run_file(const char *path)
{
    static char text[1 << 20];
    run(text, read_file(path, text, sizeof(text)));
    return 1;
}

/* "\xNN", "\r", "\n" and "\\" become what they stand for, in place. The length. */
static size_t unescape(char *line)
{
    char *to = line, *start = line;
    unsigned c;
    while (*line) {
        c = (unsigned char)*line++;
        if (c == '\\' && *line) {
            c = (unsigned char)*line++;
            if (c == 'x' && sscanf(line, "%2x", &c) == 1)
                line += 2;
            else
                c = c == 'r' ? '\r' : c == 'n' ? '\n' : c;
        }
        *to++ = (char)c;
    }
    return (size_t)(to - start);
}

/* The program is fuzz_NAME. */
static void own_path(char *to, size_t size, const char *what)
{
    const char *name = strstr(program_invocation_short_name, "fuzz_");
    snprintf(to, size, "%s/fuzz/%s/%s", TESTS_DIR, what, name ? name + 5 : "");
}

static unsigned run_seeds(unsigned mutations, uint32_t state)
{
    char path[1024], *line = NULL;
    size_t size = 0;
    unsigned runs = 0;
    own_path(path, sizeof(path), "seeds");
    FILE *f = fopen(path, "r");
    for (ssize_t n; f && (n = getline(&line, &size, f)) > 0;) {
        if (line[n - 1] == '\n')
            line[n - 1] = '\0';
        if (line[0] != '#' || line[1] != ' ')
            runs += run_seed(line, unescape(line), mutations, &state);
    }
    free(line);
    if (f)
        fclose(f);
    return runs;
}

static int is_shown(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static unsigned run_cases(void)
{
    char folder[1024], path[2048];
    struct dirent **v;
    unsigned runs = 0;
    own_path(folder, sizeof(folder), "cases");
    int n = scandir(folder, &v, is_shown, alphasort);
    if (n < 0)
        return 0;
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, v[i]->d_name);
        runs += run_file(path);
        free(v[i]);
    }
    free(v);
    return runs;
}

static unsigned run_all(unsigned mutations, uint32_t seed)
{
    unsigned runs = 0;
    for (int i = 0; fuzz_corpora[i]; i++)
        runs += run_corpus(fuzz_corpora[i], mutations, seed);
    return runs + run_seeds(mutations, seed) + run_cases();
}

int main(int argc, char **argv)
{
    unsigned runs = 0, mutations = MUTATIONS;
    uint32_t seed = 2463534242u;
    for (int option; (option = getopt(argc, argv, "m:s:")) != -1;) {
        if (option == '?')
            return 2;
        *(option == 'm' ? &mutations : &seed) = (uint32_t)strtoul(optarg, NULL, 10);
    }
    if (!seed)
        seed = 1;
    for (int i = optind; i < argc; i++)
        runs += run_file(argv[i]);
    if (optind == argc)
        runs = run_all(mutations, seed);
    printf("%u passed, 0 failed\n", runs);
    return 0;
}
