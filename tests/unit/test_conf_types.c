/* SPDX-License-Identifier: BSD-3-Clause */
/* test_conf_types.c: each type of a configuration value: what it takes, what it refuses, and that what is printed parses
 * to the same again. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "common/suggest.h"
#include "conf/conf_types.h"
#include "tests/unit/unit.h"

static struct conf_pool pool;

static struct conf_key key_of(enum conf_type type, uint64_t least, uint64_t most)
{
    return (struct conf_key){ .name = "k", .type = type, .least = least, .most = most };
}

/* Parses and prints; NULL when it is refused, then *ret_why says why. */
static const char *through(const struct conf_key *key, const char *text, const char **ret_why)
{
    union conf_value value = { 0 };
    *ret_why = conf_value_parse(&pool, key, text, &value);
    if (*ret_why)
        return NULL;
    char *printed = conf_value_text(key, &value);
    const char *copy = conf_text(&pool, "%s", printed);
    free(printed);
    return copy;
}

static void expect(struct conf_key key, const char *text, const char *printed)
{
    const char *why, *got = through(&key, text, &why);
    CHECK_MSG(got && strcmp(got, printed) == 0, "\"%s\" gave %s (%s), expected %s", text, got ? got : "nothing",
              why ? why : "", printed);
    const char *again = got ? through(&key, got, &why) : NULL;
    CHECK_MSG(again && strcmp(again, got) == 0, "\"%s\" does not come back", text);
}

/* The message must have `words` in it. */
static void refuse(struct conf_key key, const char *text, const char *words)
{
    const char *why, *got = through(&key, text, &why);
    CHECK_MSG(!got && strstr(why, words), "\"%s\" gave %s, %s", text, got ? got : "nothing", why ? why : "no message");
}

static void test_numbers(void)
{
    struct conf_key n = key_of(CONF_TYPE_UINT, 64, 65535);
    expect(n, "64", "64");
    expect(n, "65535", "65535");
    expect(n, "0064", "64");
    static const char *const wrong[] = { "",          "63",  "65536", "-64",  "+64",
                                         "64k",       "6 4", "0x40",  "64.0", "99999999999999999999999999",
                                         "4294967360" };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        refuse(n, wrong[i], "expected a whole number from 64 to 65535, got");
    expect(key_of(CONF_TYPE_UINT, 0, 0), "2147483647", "2147483647");
    refuse(key_of(CONF_TYPE_UINT, 0, 0), "2147483648", "whole number");
    struct conf_key workers = key_of(CONF_TYPE_WORKERS, 1, 1024);
    expect(workers, "3", "3");
    refuse(workers, "0", "auto or a whole number from 1 to 1024");
    refuse(workers, "automatic", "auto");
    union conf_value value = { 0 };
    CHECK(!conf_value_parse(&pool, &workers, "auto", &value) && value.number >= 1);
    struct conf_key threads = key_of(CONF_TYPE_THREADS, 1, 1024);
    expect(threads, "AUTO", "auto");
    expect(threads, "1", "1");
    refuse(threads, "0", "auto or a whole number from 1 to 1024");
}

static void test_octal(void)
{
    struct conf_key mode = key_of(CONF_TYPE_OCTAL, 0, 0777);
    expect(mode, "0660", "0660");
    expect(mode, "660", "0660");
    expect(mode, "0o22", "0022");
    expect(mode, "0", "0000");
    refuse(mode, "1000", "an octal mode such as 0660, from 0000 to 0777");
    refuse(mode, "68", "octal");
    refuse(mode, "0x10", "octal");
    refuse(mode, "0o", "octal");
    refuse(mode, "-1", "octal");
    refuse(mode, "77777777777777777777777", "octal");
    struct conf_key umask = key_of(CONF_TYPE_UMASK, 0, 0777);
    expect(umask, "", "");
    expect(umask, "0", "0000");
    expect(umask, "27", "0027");
    refuse(umask, "1000", "an octal mode such as 0660, from 0000 to 0777");
    refuse(umask, "inherit", "octal");
}

static void test_sizes(void)
{
    struct conf_key size = key_of(CONF_TYPE_SIZE, 125, 0);
    expect(size, "125", "125");
    expect(size, "16m", "16m");
    expect(size, "16M", "16m");
    expect(size, "1024k", "1m");
    expect(size, "1025", "1025");
    expect(size, "8g", "8g");
    refuse(size, "124", "of 125 or more");
    refuse(size, "1.5m", "a size such as");
    refuse(size, "16 m", "a size such as");
    refuse(size, "16mb", "a size such as");
    refuse(size, "m", "a size such as");
    refuse(size, "9999999999g", "a size such as");
    refuse(size, "99999999999999999999", "a size such as");
    refuse(key_of(CONF_TYPE_SIZE, 65535, 2147483647), "3g", "from 65535 to 2147483647");
}

static void test_memory(void)
{
    struct conf_key memory = key_of(CONF_TYPE_MEMORY, 0, 0);
    expect(memory, "0", "0");
    expect(memory, "512m", "512m");
    expect(memory, "80%", "80%");
    expect(memory, "100%", "100%");
    refuse(memory, "0%", "from 1% to 100%");
    refuse(memory, "101%", "from 1% to 100%");
    refuse(memory, "80 %", "from 1% to 100%");
    refuse(memory, "80%m", "from 1% to 100%");
    refuse(memory, "9223372036854775808", "a size such as");
}

static void test_durations(void)
{
    struct conf_key d = key_of(CONF_TYPE_DURATION, 0, 86400000);
    expect(d, "30", "30s");
    expect(d, "30s", "30s");
    expect(d, "0.5", "500ms");
    expect(d, "1.5m", "90s");
    expect(d, "1500ms", "1500ms");
    expect(d, "120s", "2m");
    expect(d, "24h", "1d");
    expect(d, "1d", "1d");
    expect(d, "0", "0");
    expect(d, "0.0s", "0");
    /* Never down to zero: that would mean "never" or "off". */
    expect(d, "0.0001", "1ms");
    expect(d, "0.1ms", "1ms");
    refuse(d, "1.1d", "a duration such as 500ms, 30s, 5m, 2h or 1d, from 0 to 1d, got \"1.1d\"");
    refuse(d, "-1", "a duration");
    refuse(d, "1w", "a duration");
    refuse(d, ".5", "a duration");
    refuse(d, "5.", "a duration");
    refuse(d, "1.2.3", "a duration");
    refuse(d, "s", "a duration");
    refuse(d, "1e3", "a duration");
    refuse(d, "0.12345678901", "a duration");
    refuse(d, "18446744073709551615d", "a duration");
    refuse(key_of(CONF_TYPE_DURATION, 1000, 86400000), "999ms", "from 1s to 1d");
    refuse(key_of(CONF_TYPE_DURATION, 0, 0), "9999999d", "a duration");
}

static void test_rates(void)
{
    struct conf_key r = key_of(CONF_TYPE_RATE, 0, 3600000), k = key_of(CONF_TYPE_KEEPALIVE, 0, 86400000);
    expect(r, "0", "0");
    expect(r, "10", "10/s");
    expect(r, "10/s", "10/s");
    expect(r, "60/m", "1/s");
    expect(r, "90/M", "90/m");
    expect(r, "1000/h", "1000/h");
    refuse(r, "1001/s", "a rate such as 10/s, 300/m or 1000/h, from 0 to 1000/s");
    refuse(r, "1.5/s", "a rate");
    refuse(r, "10/d", "a rate");
    refuse(r, "10 /s", "a rate");
    refuse(r, "/s", "a rate");
    refuse(r, "99999999999999999999/s", "a rate");
    expect(k, "auto", "auto");
    expect(k, "AUTO", "auto");
    expect(k, "75", "75s");
    expect(k, "0", "0");
    refuse(k, "2d", "from 0 to 1d");
    refuse(k, "never", "a duration");
}

static void test_fields(void)
{
    struct conf_key f = key_of(CONF_TYPE_FIELDS, 0, 0);
    expect(f, "", "");
    expect(f, "X-A: b", "X-A: b");
    expect(f, "X-A: b,X-C: d", "X-A: b, X-C: d");
    expect(f, " X-A:b , c, d ,X-E:\tf", "X-A:b , c, d, X-E:\tf");
    expect(f, "Link: <https://a.example/>, <http://b:80/>", "Link: <https://a.example/>, <http://b:80/>");
    expect(f, "X-A: b,, ,", "X-A: b,, ,");
    refuse(f, "X-A", "expected Name: value");
    refuse(f, "X A: b", "expected Name: value");
    refuse(f, ": b", "expected Name: value");
    refuse(f, "X-A: ", "expected Name: value");
    refuse(f, "X-A: b, Te: x", "te is for the server to say");
    refuse(f, "CONTENT-LENGTH: 1", "content-length is for the server to say");
}

static void test_words(void)
{
    struct conf_key flag = key_of(CONF_TYPE_BOOL, 0, 0);
    static const char *const yes[] = { "true", "yes", "on", "1", "True", "YES" };
    static const char *const no[] = { "false", "no", "off", "0", "False" };
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
        expect(flag, yes[i], "true");
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
        expect(flag, no[i], "false");
    refuse(flag, "", "true or false");
    refuse(flag, "2", "true or false");
    refuse(flag, "true # really", "a comment after a value starts with ;");
    expect(key_of(CONF_TYPE_LOGLEVEL, 0, 0), "WARNING", "warning");
    refuse(key_of(CONF_TYPE_LOGLEVEL, 0, 0), "warn", "did you mean \"warning\"?");
    refuse(key_of(CONF_TYPE_LOOP, 0, 0), "uvlop", "did you mean \"uvloop\"?");
    refuse(key_of(CONF_TYPE_LIFESPAN, 0, 0), "sometimes", "expected auto, on or off, got \"sometimes\"");
    expect(key_of(CONF_TYPE_TLS_VERSION, 0, 0), "1.3", "1.3");
    refuse(key_of(CONF_TYPE_TLS_VERSION, 0, 0), "1.1", "1.2 or 1.3");
}

static void test_text(void)
{
    union conf_value value = { .text = (char *)&value };
    struct conf_key path = key_of(CONF_TYPE_PATH, 0, 0);
    CHECK(!conf_value_parse(&pool, &path, "", &value) && value.text == NULL);
    struct conf_key root = key_of(CONF_TYPE_STRING, 0, 0);
    root.def = "";
    CHECK(!conf_value_parse(&pool, &root, "", &value) && value.text && !*value.text);
    struct conf_key dest = key_of(CONF_TYPE_LOGDEST, 0, 0);
    CHECK(!conf_value_parse(&pool, &dest, "none", &value) && value.text == NULL);
    expect(dest, "-", "-");
    dest.def = "-";
    refuse(dest, "none", "- or a path");
    struct conf_key format = key_of(CONF_TYPE_LOGFORMAT, 0, 0);
    expect(format, "%(h)s \"%(r)s\" 100%%", "%(h)s \"%(r)s\" 100%%");
    refuse(format, "%(h)s %(z)s", "at \"%(z)s\"");
    refuse(format, "", "expected a format");
    struct conf_key list = key_of(CONF_TYPE_LIST, 0, 0);
    expect(list, "a, b ,c,,", "a, b, c");
    expect(list, "", "");
}

static void test_binds(void)
{
    struct conf_key b = key_of(CONF_TYPE_BINDS, 0, 0);
    expect(b, "", ""); /* one that may be left out */
    b.def = ":1";
    static const char *const right[] = {
        "127.0.0.1:8000",
        "0.0.0.0:0",
        "localhost:65535",
        "my-host.example:80",
        ":8000",
        "*:8000",
        "[::1]:8000",
        "[::]:80",
        "[fe80::1%eth0]:80",
        "unix:/run/x.sock",
        "unix:relative.sock",
        "unix:@abstract",
        "fd://3",
        "systemd",
        "systemd proxy",
        "127.0.0.1:1 tls h2c proxy",
        "[::]:80 tls ipv6only",
        ":80 ipv6only",
        "[::0]:80 ipv6only",
    };
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++)
        expect(b, right[i], right[i]);
    expect(b, " :1,unix:/x  proxy ,\tfd://4", ":1, unix:/x proxy, fd://4");
    static const char *const wrong[][2] = {
        { "", "at least one address" },
        { " , ", "at least one address" },
        { "8000", "write 127.0.0.1:8000" },
        { "::1", "in brackets" },
        { "::1:80", "in brackets" },
        { "[::1", "no ]" },
        { "[::1]80", "a port" },
        { "[127.0.0.1]:80", "[v6]:port" },
        { "[::1%]:80", "[v6]:port" },
        { "host:", "a port from 0 to 65535" },
        { "host:65536", "a port" },
        { "host:http", "a port" },
        { "host:-1", "a port" },
        { "host:+1", "a port" },
        { "256.0.0.1:80", "host:port" },
        { "1.2.3:80", "host:port" },
        { "ho st:80", "flags" },
        { "/run/x.sock", "unix:/path" },
        { "http://x:80", "host:port" },
        { "unix:", "a path" },
        { "unix:@", "a path" },
        { "fd://", "a descriptor" },
        { "fd://x", "a descriptor" },
        { "fd://-1", "a descriptor" },
        { "fd://99999999999", "a descriptor" },
        { "127.0.0.1:1 ssl", "flags tls, h2c, proxy or ipv6only" },
        { "127.0.0.1:1 ipv6only", "is for all addresses" },
        { "[::1]:1 ipv6only", "is for all addresses" },
        { "unix:/x ipv6only", "is for all addresses" },
        { "[::]:1 ipv6onl", "did you mean \"ipv6only\"?" },
        { "127.0.0.1:1 prox", "did you mean \"proxy\"?" },
        { "-x:80", "host:port" },
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        refuse(b, wrong[i][0], wrong[i][1]);
    char path[256] = "unix:/";
    memset(path + 6, 'x', 107 - 1);
    expect(b, path, path);
    path[6 + 106] = 'x';
    refuse(b, path, "at most 107 bytes");
}

static void test_bind_fields(void)
{
    struct conf_key key = key_of(CONF_TYPE_BINDS, 0, 0);
    struct conf_binds b = { 0 };
    CHECK(!conf_value_parse(&pool, &key, "[::1]:81 proxy, host, unix:///run/x, fd://7, tcp://a:1", &b));
    if (b.n != 5) {
        CHECK(b.n == 5);
        return;
    }
    CHECK(b.v[0].kind == CONF_BIND_TCP && !strcmp(b.v[0].host, "::1") && b.v[0].port == 81);
    CHECK(b.v[0].proxy && !b.v[0].tls && !b.v[0].h2c && !strcmp(b.v[0].text, "[::1]:81"));
    CHECK(b.v[1].kind == CONF_BIND_TCP && b.v[1].port == 8000 && !b.v[1].proxy);
    CHECK(b.v[2].kind == CONF_BIND_UNIX && !strcmp(b.v[2].path, "/run/x"));
    CHECK(b.v[3].kind == CONF_BIND_FD && b.v[3].fd == 7);
    CHECK(b.v[4].kind == CONF_BIND_TCP && !strcmp(b.v[4].host, "a") && b.v[4].port == 1);
}

static bool matches(const struct conf_nets *nets, const char *address)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    if (!strncmp(address, "unix", 4))
        return conf_nets_match(nets, (struct sockaddr *)&un, !strcmp(address, "unix, guarded"));
    if (inet_pton(AF_INET, address, &v4.sin_addr) == 1)
        return conf_nets_match(nets, (struct sockaddr *)&v4, true);
    CHECK(inet_pton(AF_INET6, address, &v6.sin6_addr) == 1);
    return conf_nets_match(nets, (struct sockaddr *)&v6, true);
}

static void test_nets(void)
{
    struct conf_key key = key_of(CONF_TYPE_NETS, 0, 0);
    expect(key, "127.0.0.1,::1", "127.0.0.1, ::1");
    expect(key, "unix-private, unix,::1", "unix, unix-private, ::1");
    expect(key, "unix, 10.0.0.0/8, *, fe80::/10", "*, unix, 10.0.0.0/8, fe80::/10");
    expect(key, "::ffff:10.0.0.0/104", "10.0.0.0/8");
    expect(key, "0.0.0.0/0", "0.0.0.0/0");
    expect(key, "", "");
    refuse(key, "10.0.0.1/8", "write 10.0.0.0/8");
    refuse(key, "fe80::1/10", "write fe80::/10");
    refuse(key, "10.0.0.0/33", "from 0 to 32");
    refuse(key, "::/129", "from 0 to 128");
    refuse(key, "10.0.0.0/", "a prefix length");
    refuse(key, "10.0.0.0/8x", "a prefix length");
    refuse(key, "10.0.0", "expected an address");
    refuse(key, "localhost", "expected an address");
    struct conf_nets nets = { 0 };
    CHECK(!conf_value_parse(&pool, &key, "10.0.0.0/9, 192.0.2.7, 2001:db8::/33, 172.16.0.0/12", &nets));
    static const char *const in[] = { "10.0.0.1",        "10.127.255.255",   "192.0.2.7",
                                      "::ffff:10.1.2.3", "2001:db8:7fff::1", "172.31.255.255" };
    static const char *const out[] = {
        "10.128.0.0", "11.0.0.0",          "192.0.2.6",       "192.0.2.8",  "unix",
        "::1",        "::ffff:10.128.0.0", "2001:db8:8000::", "::10.0.0.1", "172.32.0.0"
    };
    for (size_t i = 0; i < sizeof(in) / sizeof(in[0]); i++)
        CHECK_MSG(matches(&nets, in[i]), "%s", in[i]);
    for (size_t i = 0; i < sizeof(out) / sizeof(out[0]); i++)
        CHECK_MSG(!matches(&nets, out[i]), "%s", out[i]);
    struct conf_nets all6 = { 0 }, all4 = { 0 }, any = { 0 }, local = { 0 }, none = { 0 };
    CHECK(!conf_value_parse(&pool, &key, "::/0", &all6) && matches(&all6, "::1"));
    CHECK(!matches(&all6, "10.0.0.1") && !matches(&all6, "::ffff:10.0.0.1") && !matches(&all6, "unix"));
    CHECK(!conf_value_parse(&pool, &key, "0.0.0.0/0", &all4) && matches(&all4, "10.0.0.1"));
    CHECK(matches(&all4, "::ffff:1.2.3.4") && !matches(&all4, "::1"));
    CHECK(!conf_value_parse(&pool, &key, "*", &any) && matches(&any, "unix") && matches(&any, "::1"));
    CHECK(!conf_value_parse(&pool, &key, "unix", &local) && matches(&local, "unix"));
    CHECK(!matches(&local, "127.0.0.1") && !matches(&none, "127.0.0.1") && !matches(&none, "unix"));
    struct conf_nets guarded = { 0 };
    CHECK(!conf_value_parse(&pool, &key, "unix-private", &guarded) && matches(&guarded, "unix, guarded"));
    CHECK(!matches(&guarded, "unix") && !matches(&guarded, "::1") && matches(&local, "unix, guarded"));
    CHECK(matches(&any, "unix, guarded") && !matches(&none, "unix, guarded"));
    struct sockaddr unknown = { .sa_family = AF_UNSPEC };
    CHECK(!conf_nets_match(&any, &unknown, true));
}

static void test_suggestions(void)
{
    static const char *const names[] = { "workers", "backlog", "keepalive" };
    CHECK(suggest_distance("", "") == 0 && suggest_distance("abc", "") == 3 && suggest_distance("", "abc") == 3);
    CHECK(suggest_distance("wrokers", "workers") == 1 && suggest_distance("WORKERS", "workers") == 0);
    CHECK(suggest_distance("kitten", "sitting") == 3 && suggest_distance("keep-alive", "keep_alive") == 0);
    CHECK(!strcmp(suggest_nearest("worker", names, 3), "workers"));
    CHECK(!strcmp(suggest_nearest("keep_alive", names, 3), "keepalive"));
    CHECK(suggest_is_near("keep", "keepalive") && !suggest_is_near("x", "keepalive"));
    char longer[300];
    memset(longer, 'w', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    CHECK(suggest_nearest(longer, names, 3) != NULL);
}

/* No text may break a parser, whatever the type. */
static void test_any_bytes(void)
{
    static const char alphabet[] = "0123456789.:/[]%,@ \t#;-+xsmhdkgfunixtlproy*\x80\xff\x01\"(){}";
    unsigned state = 1;
    size_t same = 0, runs = 0;
    for (int round = 0; round < 40000; round++) {
        char text[24];
        size_t n = (state = state * 1103515245 + 12345) >> 16 & 15;
        for (size_t i = 0; i < n; i++)
            text[i] = alphabet[((state = state * 1103515245 + 12345) >> 16) % (sizeof(alphabet) - 1)];
        text[n] = '\0';
        struct conf_key key = key_of((enum conf_type)(round % (CONF_TYPE_TLS_VERSION + 1)), 0, 0);
        const char *why, *once = through(&key, text, &why);
        if (once) {
            const char *twice = through(&key, once, &why);
            runs++;
            same += twice && strcmp(once, twice) == 0;
        }
        conf_pool_done(&pool);
    }
    CHECK_MSG(runs > 1000 && same == runs, "%zu of %zu came back", same, runs);
}

int main(void)
{
    test_numbers();
    test_octal();
    test_sizes();
    test_memory();
    test_durations();
    test_rates();
    test_fields();
    test_words();
    test_text();
    test_binds();
    test_bind_fields();
    test_nets();
    test_suggestions();
    test_any_bytes();
    conf_pool_done(&pool);
    return unit_done();
}
