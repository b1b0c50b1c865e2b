/* SPDX-License-Identifier: BSD-3-Clause */
/* test_static.c: the pure parts of static files: paths, ranges, dates, media types, and the walk that stands in for
 * openat2(2) where there is none. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "worker/http/route.h"
#include "worker/static/static_cond.h"
#include "worker/static/static_mime.h"
#include "worker/static/static_open.h"
#include "worker/static/static_range.h"

/* want: NULL = refused. */
static void decodes(const char *raw, size_t n, const char *want, bool slash)
{
    struct static_path path;
    bool ok = static_path_decode(&path, (struct span){ raw, n });
    CHECK_MSG(ok == (want != NULL), "%s", raw);
    if (ok && want)
        CHECK_MSG(!strcmp(path.s, want) && path.slash == slash && path.n == strlen(want), "%s: %s", raw, path.s);
}

#define DECODES(raw, want, slash) decodes(raw, sizeof(raw) - 1, want, slash)

static void test_paths(void)
{
    DECODES("", "", true);
    DECODES("/", "", true);
    DECODES("/a", "a", false);
    DECODES("/a/b/", "a/b/", true);
    DECODES("/%41%20%c3%A9", "A \xc3\xa9", false);
    DECODES("/a%2525", "a%25", false);
    DECODES("/.well-known/x", ".well-known/x", false);
    DECODES("/a/.well-known", NULL, false);
    DECODES("/.", NULL, false);
    DECODES("/..", NULL, false);
    DECODES("/%2e%2E/x", NULL, false);
    DECODES("/a/../b", NULL, false);
    DECODES("/.hidden", NULL, false);
    DECODES("/a//b", NULL, false);
    DECODES("//", NULL, false);
    DECODES("/a%2fb", NULL, false);
    DECODES("/a%00", NULL, false);
    DECODES("/a%", NULL, false);
    DECODES("/a%4", NULL, false);
    DECODES("/a%4g", NULL, false);
    static char longest[PATH_MAX + 1];
    memset(longest, 'a', sizeof longest);
    longest[0] = '/';
    struct static_path path;
    CHECK(static_path_decode(&path, (struct span){ longest, PATH_MAX }));
    CHECK(!static_path_decode(&path, (struct span){ longest, PATH_MAX + 1 }));
}

static void test_prefixes(void)
{
    CHECK(route_match(SPAN("/s"), SPAN("/s")) == 2);
    CHECK(route_match(SPAN("/s"), SPAN("/s/x")) == 2);
    CHECK(route_match(SPAN("/s"), SPAN("/%73/x")) == 4);
    CHECK(route_match(SPAN("/s"), SPAN("/sx")) == 0);
    CHECK(route_match(SPAN("/s"), SPAN("/")) == 0);
    CHECK(route_match(SPAN("/s"), SPAN("*")) == 0);
    CHECK(route_match(SPAN("/a/b"), SPAN("/a%2fb")) == 0);
    CHECK(route_match(SPAN("/a/b"), SPAN("/a%2")) == 0);
}

static void range_is(const char *value, uint64_t size, enum static_range_result want, size_t want_n)
{
    struct static_range parts[STATIC_RANGES_MOST];
    size_t n = 0;
    enum static_range_result got = static_range_parse(span_of(value), size, parts, &n);
    CHECK_MSG(got == want && (got != STATIC_RANGE_PARTS || n == want_n), "%s of %llu", value, (unsigned long long)size);
    for (size_t i = 0; got == STATIC_RANGE_PARTS && i < n; i++)
        CHECK_MSG(parts[i].n && parts[i].at < size && parts[i].n <= size - parts[i].at, "%s", value);
}

static void test_ranges(void)
{
    range_is("bytes=0-", 10, STATIC_RANGE_PARTS, 1);
    range_is("bytes=0-18446744073709551615", 10, STATIC_RANGE_PARTS, 1);
    range_is("bytes=18446744073709551615-", 10, STATIC_RANGE_NONE, 0);
    range_is("bytes=99999999999999999999999-", 10, STATIC_RANGE_NONE, 0);
    range_is("bytes=-99999999999999999999999", 10, STATIC_RANGE_PARTS, 1);
    range_is("bytes= , 1-1 ,\t2-2,", 10, STATIC_RANGE_PARTS, 2);
    range_is("bytes=10-", 10, STATIC_RANGE_NONE, 0);
    range_is("bytes=0-0", 0, STATIC_RANGE_NONE, 0);
    range_is("bytes=-1", 0, STATIC_RANGE_WHOLE, 0);
    range_is("bytes=,", 10, STATIC_RANGE_WHOLE, 0);
    range_is("bytes=1-1,1-1", 10, STATIC_RANGE_WHOLE, 0);
    range_is("bytes= 1 - 2", 10, STATIC_RANGE_WHOLE, 0);
    range_is("bytes=+1-2", 10, STATIC_RANGE_WHOLE, 0);
    range_is("byte=1-2", 10, STATIC_RANGE_WHOLE, 0);
    range_is("", 10, STATIC_RANGE_WHOLE, 0);
}

static void date_is(const char *text, time_t want)
{
    time_t got = -1;
    bool ok = static_cond_date(span_of(text), 1700000000, &got); /* November 2023 */
    CHECK_MSG(ok == (want >= 0) && (!ok || got == want), "%s: %lld", text, (long long)got);
}

static void test_dates(void)
{
    date_is("Sun, 06 Nov 1994 08:49:37 GMT", 784111777);
    date_is("Sunday, 06-Nov-94 08:49:37 GMT", 784111777);
    date_is("Sun Nov  6 08:49:37 1994", 784111777);
    date_is("Wed Nov 16 08:49:37 1994", 784975777);
    date_is("Thu, 01 Jan 1970 00:00:00 GMT", 0);
    date_is("Saturday, 06-Nov-73 00:00:00 GMT", 3277152000);
    date_is("Tuesday, 06-Nov-74 00:00:00 GMT", 152928000);
    date_is("Sun, 06 Nov 1994 08:49:37 UTC", -1);
    date_is("Sun, 6 Nov 1994 08:49:37 GMT", -1);
    date_is("sun, 06 nov 1994 08:49:37 GMT", -1);
    date_is("Sun, 06 Nov 1994 24:49:37 GMT", -1);
    date_is("Sun, 00 Nov 1994 08:49:37 GMT", -1);
    date_is("Sun, 06 Nov 1994 08:49:37 GMTx", -1);
    date_is("Sunday, 06-Nov-1994 08:49:37 GMT", -1);
    date_is("", -1);
}

static void type_is(const char *path, const char *want)
{
    CHECK_MSG(span_eq(static_mime_of(span_of(path)).type, span_of(want)), "%s", path);
}

static void test_types(void)
{
    type_is("a.html", "text/html; charset=utf-8");
    type_is("A.HTML", "text/html; charset=utf-8");
    type_is("x/y.tar.gz", "application/gzip");
    type_is("site.webmanifest", "application/manifest+json");
    type_is("a.7z", "application/x-7z-compressed");
    type_is("a.zst", "application/zstd");
    type_is("a.svg", "image/svg+xml");
    type_is("a.js", "text/javascript; charset=utf-8");
    type_is("a.mjs", "text/javascript; charset=utf-8");
    type_is("a.wasm", "application/wasm");
    type_is("html", "application/octet-stream");
    type_is("a.html/b", "application/octet-stream");
    type_is("a.", "application/octet-stream");
    type_is("", "application/octet-stream");
    type_is("a.webmanifestx", "application/octet-stream");
}

/* By openat2(2), where the kernel has it, and by the walk that stands in for it: `want` is the first byte of the file, 0
 * for a folder, or a negative errno. */
static void opens(struct static_root *root, const char *path, int want)
{
    bool no_kernel = root->walk;
    for (int walk = no_kernel; walk < 2; walk++) {
        char byte = 0;
        root->walk = walk;
        int fd = static_root_file(root, path), got = fd < 0 ? -errno : 0;
        if (fd >= 0 && read(fd, &byte, 1) == 1)
            got = byte;
        CHECK_MSG(got == want, "%s by %s: %d, not %d", path, walk ? "the walk" : "the kernel", got, want);
        if (fd >= 0)
            close(fd);
    }
    root->walk = no_kernel;
}

static void put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    if (fd >= 0)
        close(fd);
}

static void put_again(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    (void)!write(fd, "x", 1);
    close(fd);
}

/* Each link in www, where it leads, and what is found by its name. */
static const struct {
    const char *name, *target;
    int strict, followed;
} links[] = {
    { "in", "d/f", 'f', 'f' },
    { "din", "d", 0, 0 },
    { "d/up", "../x", 'x', 'x' },
    { "d/around", "../d/./../d/f", 'f', 'f' },
    { "d/self", ".", 0, 0 },
    { "chain", "din/around", 'f', 'f' },
    { "slash", "x/", -ENOTDIR, -ENOTDIR },
    { "out", "../secret", -EXDEV, 's' },
    { "up", "..", -EXDEV, 0 },
    { "home", "../www/x", -EXDEV, 'x' }, /* outside on its way */
    { "d/deep", "../../secret", -EXDEV, 's' },
    { "hop", "d/deep", -EXDEV, 's' },
    { "abs", "/etc/passwd", -EXDEV, 'r' },
    { "loop", "loop", -ELOOP, -ELOOP },
    { "ping", "pong", -ELOOP, -ELOOP },
    { "pong", "ping", -ELOOP, -ELOOP },
    { "dead", "nowhere", -ENOENT, -ENOENT },
};

#define N_LINKS (sizeof links / sizeof links[0])

static void make_tree(void)
{
    CHECK(mkdir("www", 0700) == 0 && mkdir("www/d", 0700) == 0);
    put("secret", "secret");
    put("www/x", "x");
    put("www/d/f", "f");
    for (size_t i = 0; i < N_LINKS; i++) {
        char name[40];
        snprintf(name, sizeof name, "www/%s", links[i].name);
        CHECK(symlink(links[i].target, name) == 0);
    }
}

static void look_everywhere(struct static_root *root, bool followed)
{
    opens(root, "", 0);
    opens(root, "x", 'x');
    opens(root, "d/f", 'f');
    opens(root, "d", 0);
    opens(root, "d/", 0);
    opens(root, "x/", -ENOTDIR);
    opens(root, "x/y", -ENOTDIR);
    opens(root, "none", -ENOENT);
    opens(root, "none/x", -ENOENT);
    opens(root, "din/f", 'f');
    opens(root, "din/", 0);
    opens(root, "d/self/self/self/f", 'f');
    opens(root, "up/secret", followed ? 's' : -EXDEV);
    opens(root, "d/up/", -ENOTDIR);
    for (size_t i = 0; i < N_LINKS; i++)
        opens(root, links[i].name, followed ? links[i].followed : links[i].strict);
}

/* More links than may be followed one after the other, and more folders than the walk goes down. */
static void test_depths(void)
{
    char path[PATH_MAX] = "www", name[24];
    for (int i = 0; i < 70; i++) {
        strcat(path, "/y");
        CHECK(mkdir(path, 0700) == 0);
        snprintf(name, sizeof name, "www/l%d", i);
        snprintf(path + 3000, 24, "l%d", i + 1);
        CHECK(symlink(path + 3000, name) == 0);
    }
    put("www/l70", "l");
    struct static_root root;
    CHECK(static_root_open(&root, AT_FDCWD, "www", false) == 0);
    opens(&root, "l0", -ELOOP);
    opens(&root, "l29", -ELOOP);
    opens(&root, "l30", 'l');
    root.walk = true;
    opens(&root, path + 4, -ENAMETOOLONG);
    static_root_close(&root);
}

/* Renames what is looked up while it is looked up, until it is killed: a file and a link that leads out take turns under
 * one name, and a folder on the way of a link moves out of the root and back. */
static _Noreturn void swap_for_ever(void)
{
    for (;;) {
        (void)!rename("turns/out", "www/swap/x");
        (void)!symlink("../../secret", "turns/out");
        (void)!rename("turns/file", "www/swap/x");
        put_again("turns/file");
        (void)!rename("www/swap/y", "turns/y");
        (void)!rename("turns/y", "www/swap/y");
    }
}

static void test_races(void)
{
    struct static_root root;
    CHECK(mkdir("turns", 0700) == 0 && mkdir("www/swap", 0700) == 0 && mkdir("www/swap/y", 0700) == 0);
    CHECK(symlink("../../x", "www/swap/y/climbs") == 0 && symlink("y/../../secret", "www/swap/sneaks") == 0);
    put("www/swap/x", "x");
    pid_t pid = fork();
    if (pid == 0)
        swap_for_ever();
    CHECK(static_root_open(&root, AT_FDCWD, "www", false) == 0);
    static const char *const names[] = { "swap/x", "swap/y/climbs", "swap/sneaks", "swap/y/../x" };
    unsigned found = 0, outside = 0;
    bool no_kernel = root.walk;
    for (unsigned i = 0; i < 40000; i++) {
        char byte = 0;
        root.walk = no_kernel || i & 1;
        int fd = static_root_file(&root, names[i / 2 % 4]);
        if (fd >= 0 && read(fd, &byte, 1) == 1) {
            found++;
            outside += byte == 's';
        }
        if (fd >= 0)
            close(fd);
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    CHECK_MSG(found > 0 && !outside, "%u of %u", outside, found);
    static_root_close(&root);
}

/* What the folder was when it was opened, whatever is done to its name. */
static void test_held(void)
{
    struct static_root root;
    CHECK(static_root_open(&root, AT_FDCWD, "www", false) == 0 && !static_root_is_removed(&root));
    CHECK(chdir("/") == 0);
    opens(&root, "x", 'x');
    static_root_close(&root);
}

static void test_removed(void)
{
    struct static_root root;
    CHECK(mkdir("gone", 0700) == 0 && static_root_open(&root, AT_FDCWD, "gone", false) == 0);
    CHECK(!static_root_is_removed(&root) && rmdir("gone") == 0 && static_root_is_removed(&root));
    opens(&root, "x", -ENOENT);
    static_root_close(&root);
}

static void test_fences(void)
{
    char top[] = "/tmp/tine-static-XXXXXX", command[64];
    struct static_root root;
    CHECK(mkdtemp(top) && chdir(top) == 0);
    make_tree();
    CHECK(static_root_open(&root, AT_FDCWD, "www", false) == 0);
    look_everywhere(&root, false);
    static_root_close(&root);
    CHECK(static_root_open(&root, AT_FDCWD, "www", true) == 0);
    look_everywhere(&root, true);
    static_root_close(&root);
    CHECK(static_root_open(&root, AT_FDCWD, "none", false) < 0 && errno == ENOENT);
    CHECK(static_root_open(&root, AT_FDCWD, "secret", false) < 0 && errno == ENOTDIR);
    test_depths();
    test_races();
    test_removed();
    test_held();
    snprintf(command, sizeof command, "rm -r %s", top);
    CHECK(system(command) == 0);
}

int main(void)
{
    test_paths();
    test_prefixes();
    test_ranges();
    test_dates();
    test_types();
    test_fences();
    return unit_done();
}
