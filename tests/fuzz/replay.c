/* replay.c: main() for a fuzz target where there is no libFuzzer: runs it over the files given, or else over its corpora,
 * the files of tests/fuzz/seeds/NAME and simple mutations of both, always the same: -m of each, begun from -s; then over
 * what fuzzing once found, in tests/fuzz/cases/NAME. A fault aborts; surviving is a pass. */
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

static unsigned run_file(const char *path, unsigned mutations, uint32_t *state)
{
    static char text[1 << 20];
    FILE *f = fopen(path, "r");
    if (!f)
        err(1, "%s", path);
    size_t n = fread(text, 1, sizeof(text), f);
    fclose(f);
    return run_seed(text, n, mutations, state);
}

static int is_shown(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* Files of tests/fuzz/WHAT/NAME, where the program is fuzz_NAME; in the order of their names, if there are any. */
static unsigned run_folder(const char *what, unsigned mutations, uint32_t state)
{
    char folder[1024], path[2048];
    const char *name = strstr(program_invocation_short_name, "fuzz_");
    struct dirent **v;
    unsigned runs = 0;
    snprintf(folder, sizeof(folder), "%s/fuzz/%s/%s", TESTS_DIR, what, name ? name + 5 : "");
    int n = scandir(folder, &v, is_shown, alphasort);
    if (n < 0)
        return 0;
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, v[i]->d_name);
        runs += run_file(path, mutations, &state);
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
    return runs + run_folder("seeds", mutations, seed) + run_folder("cases", 0, seed);
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
        runs += run_file(argv[i], 0, &seed);
    if (optind == argc)
        runs = run_all(mutations, seed);
    printf("%u passed, 0 failed\n", runs);
    return 0;
}
