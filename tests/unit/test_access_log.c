/* SPDX-License-Identifier: BSD-3-Clause */
/* test_access_log.c: what atoms and JSON say, that nothing from a request can forge a line, and that lines are neither
 * lost nor torn by full pipes and rotation. */
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/head.h"
#include "tests/unit/unit.h"
#include "worker/log/access_line.h"
#include "worker/log/access_log.h"
#include "worker/http/head_rules.h"

static const struct endpoint client = { "192.0.2.7", 4711 };

static void request(struct req *r, const char *head)
{
    head_make(r, head);
    if (head_rules_judge(r, 0))
        errx(1, "refused: %s", head);
    r->client = &client;
    r->status = 200;
    r->sent_body = 13;
}

/* The line of `format` for this request, without its "\n"; free() it. */
static char *line(const char *format, const struct req *r, size_t limit)
{
    struct log_format f;
    const char *why;
    size_t at;
    struct buf out = { 0 };
    struct access_time cache = { 0 };
    struct timespec now = { 784111777, 42000000 }; /* Sun, 06 Nov 1994 08:49:37 GMT */
    if (log_format_parse(format, &f, &why, &at) < 0)
        errx(1, "%s: %s", format, why);
    if (access_line_add(&out, &f, r, 1234567890, &now, &cache, limit) < 0)
        err(1, NULL);
    struct span s = buf_span(&out);
    CHECK(s.n && s.p[s.n - 1] == '\n');
    char *text = strndup(s.p, s.n - 1);
    buf_release(&out);
    log_format_done(&f);
    return text;
}

static void expect(const char *format, const struct req *r, const char *want)
{
    char *got = line(format, r, SIZE_MAX);
    CHECK_MSG(strcmp(got, want) == 0, "%s: %s, not %s", format, got, want);
    free(got);
}

static void test_atoms(void)
{
    struct req r;
    request(&r, "GET /a%20b?x=y HTTP/1.1\r\nHost: h\r\nReferer: http://r/\r\nUser-Agent: test/1\r\n"
                "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\nX-Two: a\r\nX-Two: b\r\n\r\n");
    static const char *const cases[][2] = {
        { "%(h)s", "192.0.2.7" },
        { "%(l)s", "-" },
        { "%(u)s", "Aladdin" },
        { "%(t)s", "[06/Nov/1994:08:49:37 +0000]" },
        { "%(r)s", "GET /a%20b?x=y HTTP/1.1" },
        { "%(R)s", "GET /a%20b?x=y HTTP/1.1" },
        { "%(m)s", "GET" },
        { "%(U)s", "/a%20b" },
        { "%(q)s", "x=y" },
        { "%(Uq)s", "/a%20b?x=y" },
        { "%(H)s", "HTTP/1.1" },
        { "%(s)s", "200" },
        { "%(st)s", "OK" },
        { "%(B)s", "13" },
        { "%(b)s", "13" },
        { "%(f)s", "http://r/" },
        { "%(a)s", "test/1" },
        { "%(T)s", "1" },
        { "%(M)s", "1234" },
        { "%(D)s", "1234567" },
        { "%(L)s", "1.234567" },
        { "%(S)s", "http" },
        { "%({x-two}i)s", "a, b" },
        { "%({X-None}i)s", "-" },
        { "%({X-None}o)s", "-" },
        { "%({TINE_TEST_VARIABLE}e)s", "value" },
        { "%({TINE_TEST_NONE}e)s", "-" },
        { "a%%b", "a%b" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        expect(cases[i][0], &r, cases[i][1]);
    char pid[32];
    snprintf(pid, sizeof(pid), "<%d>", (int)getpid());
    expect("%(p)s", &r, pid);
    expect(
        "%(h)s %(l)s %(u)s %(t)s \"%(r)s\" %(s)s %(b)s \"%(f)s\" \"%(a)s\"", &r,
        "192.0.2.7 - Aladdin [06/Nov/1994:08:49:37 +0000] \"GET /a%20b?x=y HTTP/1.1\" 200 13 \"http://r/\" \"test/1\"");

    CHECK(buf_add(&r.logged_fields, "content-type\0text/plain\0set-cookie\0a\0set-cookie\0b\0empty\0\0", 58) == 0);
    expect("%({Content-Type}o)s|%({set-cookie}o)s|%({empty}o)s|%({none}o)s", &r, "text/plain|a, b||-");
    head_free(&r);

    request(&r, "GET / HTTP/1.0\r\n\r\n");
    r.client = NULL;
    r.https = true;
    r.sent_body = 0;
    expect("%(h)s %(u)s %(q)s %(b)s %(B)s %(f)s %(a)s %(H)s %(S)s", &r, "- -  - 0 - - HTTP/1.0 https");
    head_free(&r);
}

static void test_user(void)
{
    static const char *const cases[][2] = {
        { "Basic dXNlcjpwYXNz", "user" },           /* user:pass */
        { "bASIC  dXNlcjo=", "user" },              /* user: */
        { "Basic OnBhc3M=", "-" },                  /* :pass */
        { "Basic dXNlcg==", "-" },                  /* no colon: could be anything, even a password */
        { "Basic !!!!", "-" },
        { "Bearer dXNlcjpwYXNz", "-" },
        { "Basic", "-" },
        { "Basic YSIKYjpj", "a\\x22\\x0Ab" },       /* a"\nb:c */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct req r;
        char head[200];
        snprintf(head, sizeof(head), "GET / HTTP/1.1\r\nHost: h\r\nAuthorization: %s\r\n\r\n", cases[i][0]);
        request(&r, head);
        expect("%(u)s", &r, cases[i][1]);
        head_free(&r);
    }
}

static void test_escapes(void)
{
    struct req r;
    request(&r, "GET /\"\\x HTTP/1.1\r\nHost: h\r\nUser-Agent: a\" 200 \"\\\t\xc3\xa9\r\n\r\n");
    expect("\"%(r)s\" \"%(a)s\"", &r, "\"GET /\\x22\\x5Cx HTTP/1.1\" \"a\\x22 200 \\x22\\x5C\\x09\\xC3\\xA9\"");
    char *cut = line("%(a)s", &r, 3);
    CHECK_MSG(strcmp(cut, "a\\x22...") == 0, "%s", cut);
    free(cut);
    head_free(&r);
}

static void test_json(void)
{
    struct req r;
    char want[1000];
    request(&r, "POST /p\"?q HTTP/1.1\r\nHost: h\r\n"
                "User-Agent: \xc3\xa9 \xe9 \xed\xa0\x80 \xf0\x9f\x90\x8d \xc0\x80\t\\\r\n\r\n");
    snprintf(want, sizeof(want),
             "{\"time\":\"1994-11-06T08:49:37.042Z\",\"remote_addr\":\"192.0.2.7\",\"method\":\"POST\","
             "\"path\":\"/p\\u0022\",\"query\":\"q\",\"protocol\":\"HTTP/1.1\",\"status\":200,\"length\":13,"
             "\"duration_us\":1234567,\"referer\":null,"
             "\"user_agent\":\"\xc3\xa9 \\u00E9 \\u00ED\\u00A0\\u0080 \xf0\x9f\x90\x8d \\u00C0\\u0080\\u0009\\u005C\","
             "\"host\":\"h\",\"scheme\":\"http\",\"pid\":%d}",
             (int)getpid());
    expect("json", &r, want);
    r.client = NULL;
    char *text = line("json", &r, 4);
    CHECK(strstr(text, "\"remote_addr\":null") && strstr(text, "\"user_agent\":\"\xc3\xa9 \\u00E9...\""));
    free(text);
    head_free(&r);
}

/* --- files and pipes --- */

static char folder[] = "/tmp/tine-test-access-XXXXXX";

static char *path_of(const char *name)
{
    char *path;
    if (asprintf(&path, "%s/%s", folder, name) < 0)
        err(1, NULL);
    return path;
}

static size_t content(const char *path, char *ret, size_t size)
{
    int fd = open(path, O_RDONLY);
    ssize_t n = fd >= 0 ? read(fd, ret, size - 1) : -1;
    close(fd);
    ret[n > 0 ? n : 0] = '\0';
    return n > 0 ? (size_t)n : 0;
}

static void test_file(void)
{
    char text[256], *path = path_of("log"), *old = path_of("log.1");
    struct req r;
    request(&r, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n");
    struct access_log *log = access_log_open(path, AT_FDCWD, "%(U)s %({x}o)s", "tine");
    CHECK(log && access_log_wants_fields(log));
    if (!log)
        return;
    access_log_add(log, &r, 1);
    CHECK(content(path, text, sizeof(text)) == 0);
    access_log_add(log, &r, 1);
    access_log_flush(log);
    content(path, text, sizeof(text));
    CHECK_MSG(strcmp(text, "/1 -\n/1 -\n") == 0, "%s", text);

    /* rotation: what was added before it goes to the old file */
    access_log_add(log, &r, 1);
    CHECK(rename(path, old) == 0 && access_log_reopen(log) == 0);
    access_log_add(log, &r, 1);
    access_log_free(log); /* flushes */
    content(old, text, sizeof(text));
    CHECK_MSG(strcmp(text, "/1 -\n/1 -\n/1 -\n") == 0, "%s", text);
    content(path, text, sizeof(text));
    CHECK_MSG(strcmp(text, "/1 -\n") == 0, "%s", text);
    CHECK(!access_log_open("/nonexistent/x", AT_FDCWD, "%(h)s", "tine"));
    CHECK(!access_log_open(path, AT_FDCWD, "%(nonsense)s", "tine"));
    unlink(old);
    unlink(path);
    free(old);
    free(path);
    head_free(&r);
}

/* Whole lines in what was read: each is "/<79 letters>". */
static bool whole(const char *p, size_t n, size_t *lines)
{
    for (*lines = 0; n; ++*lines, p += 81, n -= 81) {
        if (n < 81 || p[0] != '/' || p[80] != '\n' || memchr(p, '\n', 80))
            return false;
    }
    return true;
}

static void test_full_pipe(void)
{
    char head[200], *path = path_of("pipe"), *seen = malloc(4 << 20);
    size_t n = 0, lines, added = 0;
    struct req r;
    snprintf(head, sizeof(head), "GET /%079d HTTP/1.1\r\nHost: h\r\n\r\n", 0);
    request(&r, head);
    CHECK(mkfifo(path, 0600) == 0);
    int reader = open(path, O_RDONLY | O_NONBLOCK);
    struct access_log *log = access_log_open(path, AT_FDCWD, "%(U)s", "tine");
    CHECK(log && reader >= 0 && seen);
    if (!log || reader < 0 || !seen)
        abort();
    /* Nobody reads: the pipe fills, then the buffer, then lines are dropped; never does it block. */
    while (access_log_dropped(log) < 100) {
        access_log_add(log, &r, 1);
        if (++added % 100 == 0)
            access_log_flush(log);
    }
    CHECK(added > (1 << 20) / 81);
    for (size_t before = SIZE_MAX; before != n;) {
        before = n;
        for (ssize_t got; (got = read(reader, seen + n, (4 << 20) - n)) > 0;)
            n += (size_t)got;
        access_log_flush(log);
    }
    CHECK(whole(seen, n, &lines));
    CHECK_MSG(lines == added - access_log_dropped(log), "%zu lines of %zu", lines, added);
    access_log_free(log);
    close(reader);
    unlink(path);
    free(path);
    free(seen);
    head_free(&r);
}

/* A line that a pipe could tear is made shorter; one that cannot be is dropped whole. */
static void test_long_line(void)
{
    char *path = path_of("pipe"), *head = NULL, *text = malloc(1 << 16);
    struct req r;
    if (asprintf(&head, "GET /%06000d HTTP/1.1\r\nHost: h\r\n\r\n", 0) < 0)
        err(1, NULL);
    request(&r, head);
    CHECK(mkfifo(path, 0600) == 0);
    int reader = open(path, O_RDONLY | O_NONBLOCK);
    struct access_log *log = access_log_open(path, AT_FDCWD, "%(U)s", "tine");
    if (!log)
        err(1, "%s", path);
    access_log_add(log, &r, 1);
    access_log_flush(log);
    ssize_t n = read(reader, text, 1 << 16);
    CHECK(n > 100 && n <= PIPE_BUF && memcmp(text + n - 4, "...\n", 4) == 0 && access_log_dropped(log) == 0);
    access_log_free(log);

    memset(text, 'x', PIPE_BUF);
    text[PIPE_BUF] = '\0';
    log = access_log_open(path, AT_FDCWD, text, "tine");
    if (!log)
        err(1, "%s", path);
    access_log_add(log, &r, 1);
    access_log_flush(log);
    CHECK(access_log_dropped(log) == 1 && read(reader, text, 1 << 16) <= 0);
    access_log_free(log);
    close(reader);
    unlink(path);
    free(path);
    free(head);
    free(text);
    head_free(&r);
}

int main(void)
{
    setenv("TZ", "UTC0", 1);
    setenv("TINE_TEST_VARIABLE", "value", 1);
    if (!mkdtemp(folder))
        err(1, "%s", folder);
    test_atoms();
    test_user();
    test_escapes();
    test_json();
    test_file();
    test_full_pipe();
    test_long_line();
    rmdir(folder);
    return unit_done();
}
