/* SPDX-License-Identifier: BSD-3-Clause */
/* test_wsgi_frames.c: ends of frames (RFC 6455 5.2), however the bytes are cut. */
#include <string.h>

#include "tests/unit/unit.h"
#include "worker/wsgi/wsgi_frames.h"

/* A masked frame of n bytes, its length in the shortest form; returns its size. */
static size_t make(char *to, size_t n)
{
    size_t at = 0;
    to[at++] = (char)0x82;
    to[at++] = (char)(0x80 | (n < 126 ? n : n < 65536 ? 126 : 127));
    for (int shift = n < 126 ? -8 : n < 65536 ? 8 : 56; shift >= 0; shift -= 8)
        to[at++] = (char)((unsigned long long)n >> shift);
    memset(to + at, 0x55, 4 + n);
    return at + 4 + n;
}

static void passes_whole(size_t n)
{
    static char bytes[140000];
    size_t size = make(bytes, n), more = make(bytes + size, 3);
    struct wsgi_frames f = { { 0 }, 0, 0 };
    CHECK_MSG(wsgi_frames_pass(&f, bytes, size + more, true) == size, "%zu bytes", n);
    CHECK(wsgi_frames_between(&f));
    CHECK(wsgi_frames_pass(&f, bytes + size, more, false) == more && wsgi_frames_between(&f));
    CHECK(wsgi_frames_pass(&f, bytes, size + more, false) == size + more && wsgi_frames_between(&f));
}

static void passes_cut(size_t n)
{
    static char bytes[140000];
    size_t size = make(bytes, n);
    for (size_t cut = 1; cut < size; cut += cut < 20 ? 1 : size / 7) {
        struct wsgi_frames f = { { 0 }, 0, 0 };
        CHECK(wsgi_frames_pass(&f, bytes, cut, true) == cut && !wsgi_frames_between(&f));
        CHECK_MSG(wsgi_frames_pass(&f, bytes + cut, size - cut, true) == size - cut && wsgi_frames_between(&f),
                  "%zu at %zu", n, cut);
    }
}

int main(void)
{
    static const size_t sizes[] = { 0, 1, 125, 126, 65535, 65536 };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        passes_whole(sizes[i]);
        passes_cut(sizes[i]);
    }
    const char unmasked[] = { (char)0x81, 2, 'h', 'i' };
    struct wsgi_frames f = { { 0 }, 0, 0 };
    CHECK(wsgi_frames_pass(&f, unmasked, 4, true) == 4 && wsgi_frames_between(&f));
    return unit_done();
}
