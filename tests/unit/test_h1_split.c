/* SPDX-License-Identifier: BSD-3-Clause */
/* test_h1_split.c: a connection answers the same however the bytes of its requests are cut: every case of both corpora
 * whole, byte by byte, and in two pieces at every position. */
#include <string.h>

#include "tests/unit/asked.h"
#include "tests/unit/corpus.h"
#include "tests/unit/unit.h"

/* Longer cases are cut at some positions only: around the start and the end, and here and there between. */
#define EVERY_CUT 600

static bool try_cut(struct rig *rig, const struct corpus_case *c, const struct outcome *whole, size_t first,
                    size_t step)
{
    struct outcome cut = asked_talk(rig, c->raw, c->n, first, step);
    bool ok = outcome_same(whole, &cut);
    if (!ok)
        printf("%s cut at %zu, step %zu: %s [%.*s] instead of %s [%.*s]\n", c->id, first, step,
               cut.closed ? "closed" : "open", (int)buf_len(&cut.got), cut.got.p ? cut.got.p + cut.got.start : "",
               whole->closed ? "closed" : "open", (int)buf_len(&whole->got),
               whole->got.p ? whole->got.p + whole->got.start : "");
    outcome_release(&cut);
    return ok;
}

static void try_case(struct rig *rig, const struct corpus_case *c)
{
    struct outcome whole = asked_talk(rig, c->raw, c->n, c->n, c->n);
    bool ok = try_cut(rig, c, &whole, c->n > 4096 ? c->n - 4096 : 1, 1);
    for (size_t at = 1; ok && at<c->n; at += c->n> EVERY_CUT && at > 64 && at + 64 < c->n ? 61 : 1)
        ok = try_cut(rig, c, &whole, at, c->n);
    CHECK_MSG(ok, "%s", c->id);
    if (strcmp(c->verdict, "reject") == 0 && !c->needs_setting)
        CHECK_MSG(!buf_len(&whole.got) || !memmem(whole.got.p, 13, "HTTP/1.1 200", 12), "%s was accepted", c->id);
    outcome_release(&whole);
}

int main(void)
{
    static const char *const corpora[] = { "http1_tricky.json", "gunicorn_requests.json" };
    static struct rig rig;
    struct handler handler = { &asked_ops };
    rig_init(&rig, &handler);
    for (size_t i = 0; i < 2; i++) {
        size_t n;
        struct corpus_case *cases = corpus_load(corpora[i], &n);
        for (size_t k = 0; k < n; k++)
            try_case(&rig, &cases[k]);
        corpus_free(cases, n);
    }
    rig_pump(&rig);
    CHECK(rig.score.inflight == 0);
    CHECK(rig.score.connections == 0);
    rig_done(&rig);
    return unit_done();
}
