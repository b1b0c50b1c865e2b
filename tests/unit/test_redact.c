/* SPDX-License-Identifier: BSD-3-Clause */
/* test_redact.c: which bytes of a target are hidden. */
#include <string.h>

#include "common/redact.h"
#include "tests/unit/unit.h"

static char *const names[] = { (char *)"token", (char *)"api_key" };
static char *const all[] = { (char *)"*" };

static void expect(char *const *list, size_t n, const char *text, const char *wanted)
{
    char got[200];
    size_t length = redact(got, sizeof(got), span_of(text), list, n);
    CHECK_MSG(length == strlen(wanted) && memcmp(got, wanted, length) == 0, "%s: %.*s", text, (int)length, got);
}

int main(void)
{
    expect(names, 2, "/", "/");
    expect(names, 2, "", "");
    expect(names, 2, "/x?", "/x?");
    expect(names, 2, "/token=1", "/token=1");
    expect(names, 2, "/x?token=secret", "/x?token=***");
    expect(names, 2, "/x?token=", "/x?token=***");
    expect(names, 2, "/x?token", "/x?token");
    expect(names, 2, "/x?a=1&token=s=e&b=2", "/x?a=1&token=***&b=2");
    expect(names, 2, "/x?a=1;TOKEN=s;b=2", "/x?a=1;TOKEN=***;b=2");
    expect(names, 2, "/x?to%6ben=s&api%5fkey=t&%", "/x?to%6ben=***&api%5fkey=***&%");
    expect(names, 2, "/x?mytoken=s&tokens=t&toke=u", "/x?mytoken=s&tokens=t&toke=u");
    expect(names, 2, "GET /x?token=s HTTP/1.1", "GET /x?token=*** HTTP/1.1");
    expect(names, 2, "GET /x?a&&token=s?token=t HTTP/1.1", "GET /x?a&&token=*** HTTP/1.1");
    expect(all, 1, "/x?a=1&b", "/x?a=***&b");
    expect(names, 0, "/x?token=s", "/x?token=s");
    char small[8];
    CHECK(redact(small, sizeof(small), span_of("/x?token=secret"), names, 2) == 8 && memcmp(small, "/x?token", 8) == 0);
    CHECK(redact(small, 0, span_of("/x?token=secret"), names, 2) == 0);
    return unit_done();
}
