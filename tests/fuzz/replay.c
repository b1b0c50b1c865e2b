/* replay.c: main() for a fuzz target where there is no libFuzzer: runs it over the files given, or else over the corpora
 * and simple mutations of them, always the same: -m of each case, begun from -s. A fault aborts; surviving is a pass.
 *
 * With clang: -fsanitize=fuzzer instead of this file. */
#include <err.h>
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

static unsigned run_corpus(const char *name, unsigned mutations, uint32_t state)
{
    size_t n;
    unsigned runs = 0;
    struct corpus_case *v = corpus_load(name, &n);
    for (size_t i = 0; i < n; i++) {
        run(v[i].raw, v[i].n);
        runs++;
        if (v[i].n > LARGEST)
            continue;
        char *copy = malloc(v[i].n + 1);
        for (unsigned k = 0; k < mutations; k++, runs++) {
            memcpy(copy, v[i].raw, v[i].n);
            mutate(copy, v[i].n, &state);
            run(copy, next_random(&state) % 4 ? v[i].n : next_random(&state) % (v[i].n + 1));
        }
        free(copy);
    }
    corpus_free(v, n);
    return runs;
}

static void run_file(const char *path)
{
    static char text[1 << 20];
    FILE *f = fopen(path, "r");
    if (!f)
        err(1, "%s", path);
    run(text, fread(text, 1, sizeof(text), f));
    fclose(f);
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
    for (int i = optind; i < argc; i++, runs++)
        run_file(argv[i]);
    for (int i = 0; optind == argc && fuzz_corpora[i]; i++)
        runs += run_corpus(fuzz_corpora[i], mutations, seed ? seed : 1);
    printf("%u passed, 0 failed\n", runs);
    return 0;
}
