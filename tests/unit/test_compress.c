/* SPDX-License-Identifier: BSD-3-Clause */
/* test_compress.c: the parts of compression that need no connection: codecs call by call with little room (zlib
 * wants more than six bytes for a flush), media types, and what fields become. */
#include <stdlib.h>
#include <zlib.h>

#include "tests/unit/unit.h"
#include "worker/coding/compress_codec.h"
#include "worker/coding/compress_head.h"
#include "worker/coding/compress_types.h"

/* --- media types --- */

static void test_types(void)
{
    static char *usual[] = { "default" }, *own[] = { "text/event-stream", "image/*", "+own", "application/x" };
    struct conf_list by_default = { usual, 1 }, chosen = { own, 4 }, nothing = { NULL, 0 };
    static const char *const yes[] = {
        "text/html", "Text/HTML; charset=utf-8", " application/json ;a=b", "image/svg+xml", "application/ld+json",
    };
    static const char *const no[] = {
        "", ";", "text", "text/event-stream", "text/event-stream; x", "image/png", "+json", "application/jsonx",
    };
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        CHECK_MSG(compress_type_fits(&by_default, span_of(yes[i])), "%s", yes[i]);
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        CHECK_MSG(!compress_type_fits(&by_default, span_of(no[i])), "%s", no[i]);
    CHECK(compress_type_fits(&chosen, SPAN("text/event-stream; charset=utf-8")));
    CHECK(compress_type_fits(&chosen, SPAN("image/png")) && compress_type_fits(&chosen, SPAN("a/b+OWN")));
    CHECK(compress_type_fits(&chosen, SPAN("Application/X")) && !compress_type_fits(&chosen, SPAN("application/xy")));
    CHECK(!compress_type_fits(&chosen, SPAN("text/html")) && !compress_type_fits(&nothing, SPAN("text/html")));
}

/* --- fields --- */

static char lines[8192];

/* Instead of a protocol: the fields as text. */
static enum resp_result print(struct req *r, const struct resp_head *head)
{
    int at = 0;
    for (size_t i = 0; i < head->n_fields; i++) {
        const struct resp_field *f = &head->fields[i];
        at += snprintf(lines + at, sizeof lines - (size_t)at, "%.*s: %.*s\n", (int)f->name.n, f->name.p,
                       (int)f->value.n, f->value.p);
    }
    return RESP_LATER;
}

static void edits(const struct resp_field *fields, size_t n, struct span coding, bool weak, const char *want)
{
    struct resp_head head = { .status = 200, .fields = fields, .n_fields = n };
    struct compress_facts facts = compress_read_head(&head);
    lines[0] = 0;
    CHECK(compress_edit_head(&head, &facts, coding, weak, NULL, print) == RESP_LATER);
    CHECK_MSG(!strcmp(lines, want), "got:\n%swant:\n%s", lines, want);
}

static void test_fields(void)
{
    const struct resp_field all[] = {
        { SPAN("Content-Length"), SPAN("7") },    { SPAN("ETag"), SPAN("\"e\"") },  { SPAN("A"), SPAN("b") },
        { SPAN("Accept-Ranges"), SPAN("bytes") }, { SPAN("Vary"), SPAN("Cookie") }, { SPAN("vary"), SPAN("Origin") },
    };
    edits(all, 6, SPAN("gzip"), true,
          "ETag: W/\"e\"\nA: b\nVary: Cookie, Accept-Encoding\nvary: Origin\ncontent-encoding: gzip\n");
    edits(all, 6, SPAN(""), false,
          "Content-Length: 7\nETag: \"e\"\nA: b\nAccept-Ranges: bytes\nVary: Cookie, Accept-Encoding\nvary: Origin\n");
    edits(all, 0, SPAN(""), false, "vary: Accept-Encoding\n");
    edits(all, 0, SPAN("br"), true, "content-encoding: br\nvary: Accept-Encoding\n");
    struct resp_field many[100];
    for (size_t i = 0; i < 100; i++)
        many[i] = (struct resp_field){ SPAN("x"), SPAN("y") };
    struct resp_head head = { .status = 200, .fields = many, .n_fields = 100 };
    struct compress_facts facts = compress_read_head(&head);
    CHECK(compress_edit_head(&head, &facts, SPAN("gzip"), true, NULL, print) == RESP_LATER);
    CHECK(strlen(lines) == 500 + strlen("content-encoding: gzip\nvary: Accept-Encoding\n"));
}

static void is_fixed(struct span name, struct span value, bool want)
{
    struct resp_field field = { name, value };
    struct compress_facts facts = compress_read_head(&(struct resp_head){ .fields = &field, .n_fields = 1 });
    CHECK_MSG((facts.fixed || facts.ranged) == want, "%s: %s", name.p, value.p);
}

static void test_fixed(void)
{
    is_fixed(SPAN("cache-control"), SPAN("private , no-transform"), true);
    is_fixed(SPAN("Cache-Control"), SPAN("no-transformer, xno-transform"), false);
    is_fixed(SPAN("Content-Encoding"), SPAN("identity"), true);
    is_fixed(SPAN("Content-Range"), SPAN("bytes */5"), true);
    is_fixed(SPAN("Repr-Digest"), SPAN(""), true);
    is_fixed(SPAN("Want-Repr-Digest"), SPAN(""), false);
}

/* --- codecs --- */

#define SIZE 200000
#define ROOM (SIZE + 20000)

static char plain[SIZE], coded[ROOM], back[ROOM];

static size_t run_all(const struct codec *codec, void *c, struct span from, enum codec_op op, char *to, size_t step)
{
    size_t at = 0, n;
    enum codec_result result;
    bool fits = true;
    do {
        n = 0;
        result = codec->run(c, &from, op, to + at, step, &n);
        at += n;
        fits &= n <= step;
    } while (result == CODEC_MORE && at + step <= ROOM);
    CHECK_MSG(result == CODEC_DONE && !from.n && fits, "%s: op %d, step %zu, %zu bytes left",
              coding_name(codec->coding), (int)op, step, from.n);
    return at;
}

static size_t gunzip(const char *from, size_t n, bool *ret_end)
{
    z_stream z = { .next_in = (Bytef *)(uintptr_t)from, .avail_in = (uInt)n };
    z.next_out = (Bytef *)back;
    z.avail_out = sizeof back;
    CHECK(inflateInit2(&z, 15 + 16) == Z_OK);
    int result = inflate(&z, Z_SYNC_FLUSH);
    size_t got = z.total_out;
    inflateEnd(&z);
    *ret_end = result == Z_STREAM_END;
    return got;
}

/* Whatever the size of the room, the bytes are the same; after a flush all that went in can come out. */
static void test_steps(const struct codec *codec, int level)
{
    static const size_t steps[] = { 8, 61, 4096, ROOM / 4 };
    size_t first = 0;
    bool end;
    void *c = NULL;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        if (c && !(codec->again && codec->again(c))) {
            codec->close(c);
            c = NULL;
        }
        if (!c && !(c = codec->open(level))) {
            CHECK(c != NULL);
            return;
        }
        if (codec->expect)
            codec->expect(c, SIZE);
        size_t n = run_all(codec, c, (struct span){ plain, 5000 }, CODEC_FLUSH, coded, steps[i]);
        if (codec->coding == CODING_GZIP)
            CHECK(gunzip(coded, n, &end) == 5000 && !end && !memcmp(back, plain, 5000));
        n += run_all(codec, c, (struct span){ plain + 5000, SIZE - 15000 }, CODEC_TAKE, coded + n, steps[i]);
        n += run_all(codec, c, (struct span){ plain + SIZE - 10000, 10000 }, CODEC_FINISH, coded + n, steps[i]);
        if (codec->coding == CODING_GZIP)
            CHECK(gunzip(coded, n, &end) == SIZE && end && !memcmp(back, plain, SIZE));
        CHECK_MSG(!i || codec->coding != CODING_GZIP || n <= first + 64, "%zu, %zu", n, first);
        first = i ? first : n;
    }
    codec->close(c);
}

static void test_codecs(void)
{
    unsigned seed = 1;
    for (size_t i = 0; i < SIZE; i++) {
        seed = seed * 1103515245 + 12345;
        plain[i] = i % 100 < 60 ? (char)('a' + i % 7) : (char)(seed >> 16);
    }
    for (int coding = CODING_GZIP; coding < N_CODINGS; coding++) {
        const struct codec *codec = codec_of((enum coding)coding);
        char version[32] = "";
        if (!codec)
            continue;
        CHECK(codec->coding == (enum coding)coding);
        codec->version(version, sizeof version);
        CHECK(version[0] >= '0' && version[0] <= '9' && strchr(version, '.'));
        test_steps(codec, codec->usual_level);
        test_steps(codec, 1);
        test_steps(codec, 9);
    }
}

int main(void)
{
    test_types();
    test_fields();
    test_fixed();
    test_codecs();
    return unit_done();
}
