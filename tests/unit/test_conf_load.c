/* SPDX-License-Identifier: BSD-3-Clause */
/* test_conf_load.c: command line, environment and file together: precedence, messages, dumps, reloads. Works in a folder
 * of its own with an environment of its own. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/conf.h"
#include "conf/conf_cli.h"
#include "conf/conf_load.h"
#include "tests/unit/unit.h"

#define APP "[app]\nmodule = a:b\n"

/* What the last load came to. */
static struct conf_cli cli;
static struct conf_loaded *loaded;
static const struct conf *conf;
static char *errors;

static void reset(void)
{
    conf_loaded_free(loaded);
    conf_cli_done(&cli);
    free(errors);
    loaded = NULL;
    conf = NULL;
    errors = NULL;
}

static void write_file(const char *name, const void *text, size_t n)
{
    FILE *f = fopen(name, "w");
    if (!f || fwrite(text, 1, n, f) != n || fclose(f) != 0)
        abort();
}

/* args: NULL-terminated, without argv[0]. 0 when it loads. */
static int load_args(char **args)
{
    char *argv[32] = { (char *)"tine" };
    int argc = 1;
    reset();
    while (args && *args)
        argv[argc++] = *args++;
    if (conf_cli_parse(argc, argv, &cli, &errors) != 0)
        return -1;
    if (conf_load(&cli, &loaded, &errors) != 0)
        return -1;
    conf = conf_loaded_get(loaded);
    return 0;
}

#define LOAD(...) load_args((char *[]){ __VA_ARGS__ __VA_OPT__(, ) NULL })

static int load_text(const char *text)
{
    write_file("tine.ini", text, strlen(text));
    return LOAD();
}

static bool says(const char *words)
{
    return errors && strstr(errors, words);
}

#define REFUSES(load, words) CHECK_MSG((load) != 0 && says(words), "got: %s", errors ? errors : "nothing")

static void test_defaults(void)
{
    unlink("tine.ini");
    REFUSES(LOAD(), "app.module: no application to serve");
    CHECK(LOAD((char *)"pkg.mod:app") == 0);
    if (!conf)
        return;
    CHECK(!strcmp(conf->app.module, "pkg.mod:app") && conf->file == NULL);
    CHECK(conf->server.bind.n == 1 && !strcmp(conf->server.bind.v[0].text, "127.0.0.1:8000"));
    CHECK(conf->server.workers == 1 && conf->server.backlog == 2048 && conf->server.user == NULL);
    CHECK(conf->server.graceful_timeout == 30000 && conf->server.socket_mode == 0660);
    CHECK(conf->http.keepalive == CONF_KEEPALIVE_AUTO && conf->http.limit_request_line == 8190);
    CHECK(conf->http.forwarded_allow_ips.n == 2 && conf->http.server_header);
    CHECK(conf->websocket.max_message_size == 16u << 20 && conf->tls.alpn.n == 2);
    CHECK(!strcmp(conf->log.errorlog, "-") && conf->log.accesslog == NULL && conf->n_env == 0);
    CHECK(!strcmp(conf->app.root_path, "") && conf->n_mounts == 0 && conf->n_statics == 0);
}

static void test_precedence(void)
{
    const char *file = APP "[server]\nworkers = 2\nbind = :2\nbind = :3, :4\n[http]\nkeepalive = 2\n";
    setenv("WEB_CONCURRENCY", "9", 1);
    setenv("PORT", "99", 1);
    CHECK(load_text(APP) == 0 && conf->server.workers == 9);
    CHECK(conf && conf->server.bind.n == 1 && !strcmp(conf->server.bind.v[0].text, "0.0.0.0:99"));
    CHECK(load_text(file) == 0 && conf->server.workers == 2 && conf->server.bind.n == 3);
    setenv("TINE_SERVER_WORKERS", "3", 1);
    setenv("TINE_SERVER_BIND", ":5, :6", 1);
    CHECK(LOAD() == 0 && conf->server.workers == 3 && conf->server.bind.n == 2);
    CHECK(LOAD("-w", "4", "-b", ":7", "-o", "server.bind=:8", "-o", "http.keepalive=7s") == 0 &&
          conf->server.workers == 4 && conf->server.bind.n == 2 && conf->http.keepalive == 7000);
    CHECK(conf && conf->server.bind.v[1].port == 8);
    CHECK(LOAD("-w", "4", "-o", "server.workers=5", "x.y:z", "-C", "/") == 0 && conf->server.workers == 5 &&
          !strcmp(conf->app.module, "x.y:z") && !strcmp(conf->server.chdir, "/"));
    unsetenv("TINE_SERVER_WORKERS");
    unsetenv("TINE_SERVER_BIND");
    /* Meant for others: not looked at where something else decides. */
    setenv("WEB_CONCURRENCY", "lots", 1);
    setenv("PORT", "none", 1);
    CHECK(load_text(file) == 0);
    REFUSES(load_text(APP), "environment WEB_CONCURRENCY: server.workers: expected auto or a whole number");
    CHECK(says("environment PORT: server.bind: ") && says("a port from 0 to 65535"));
    setenv("WEB_CONCURRENCY", "", 1);
    setenv("PORT", "", 1);
    CHECK(load_text(APP) == 0 && conf->server.workers == 1);
    unsetenv("WEB_CONCURRENCY");
    unsetenv("PORT");
}

static void test_environment(void)
{
    setenv("TINE_OTHER", "1", 1);
    setenv("TINE_server_workers", "x", 1);
    CHECK(load_text(APP) == 0);
    setenv("TINE_SERVER_WORKER", "3", 1);
    REFUSES(load_text(APP), "environment TINE_SERVER_WORKER: no such setting; did you mean TINE_SERVER_WORKERS?");
    unsetenv("TINE_SERVER_WORKER");
    setenv("TINE_MOUNT_X", "3", 1);
    REFUSES(load_text(APP), "cannot be set from the environment");
    unsetenv("TINE_MOUNT_X");
    setenv("TINE_HTTP_KEEPALIVE", "soon", 1);
    REFUSES(load_text(APP), "environment TINE_HTTP_KEEPALIVE: http.keepalive: expected a duration");
    setenv("TINE_HTTP_KEEPALIVE", "7\n8", 1);
    REFUSES(load_text(APP), "control characters");
    unsetenv("TINE_HTTP_KEEPALIVE");
}

static const char *env(const char *name)
{
    for (size_t i = 0; conf && i < conf->n_env; i++)
        if (!strcmp(conf->env[i].name, name))
            return conf->env[i].value;
    return "(none)";
}

static void test_env_section(void)
{
    setenv("WHO", "you", 1);
    setenv("TINE_ENV_FROM", "the $WHO", 1);
    CHECK(load_text(APP "[env]\nA = x${WHO}y $WHO.\n"
                        "B = 5$ $$WHO 100%% $(x)\nlower = 1\nFROM=file\n[log]\nerrorlog = $WHO\n") == 0);
    CHECK_MSG(!strcmp(env("A"), "xyouy you."), "%s", env("A"));
    CHECK_MSG(!strcmp(env("B"), "5$ $WHO 100%% $(x)"), "%s", env("B"));
    CHECK(!strcmp(env("lower"), "1") && !strcmp(env("FROM"), "the $WHO"));
    CHECK(conf && !strcmp(conf->log.errorlog, "$WHO"));
    CHECK(LOAD("-o", "env.A.b=c=d") == 0 && !strcmp(env("A.b"), "c=d"));
    REFUSES(load_text(APP "[env]\nA = $NOBODY_SET_THIS\n"),
            "tine.ini:4: env.A: the environment has no NOBODY_SET_THIS");
    REFUSES(load_text(APP "[env]\nA = 1\nB = 2\nA = 3\n"), "tine.ini:6: env.A: set twice, first in line 4");
    unsetenv("TINE_ENV_FROM");
}

static void test_all_errors_at_once(void)
{
    REFUSES(load_text("\xef\xbb\xbf; comment\n"
                      "[server]\n"
                      "  worker = 3\n"
                      "workers = many ; remark\n"
                      "[sever]\n"
                      "nothing = 1\n"
                      "[http]\n"
                      "no value here\n"
                      "keepalive = 1\n"
                      "keepalive = 2\n"
                      "workers = 2\n"
                      "[http]\n"
                      "[app\n"
                      "module = x\n"),
            "tine.ini:3: server.worker: unknown key; did you mean \"workers\"?\n");
    CHECK(says("tine.ini:4: server.workers: expected auto or a whole number from 1 to 1024, got \"many\"\n"));
    CHECK(says("tine.ini:5: unknown section \"sever\"; did you mean [server]?\n") && !says("sever.nothing"));
    CHECK(says("tine.ini:8: expected key = value, [section] or a comment\n"));
    CHECK(says("tine.ini:10: http.keepalive: set twice, first in line 9\n"));
    CHECK(says("tine.ini:11: http.workers: unknown key; did you mean the one of [server]?\n"));
    CHECK(says("tine.ini:12: [http] appears twice, first in line 7\n"));
    CHECK(says("tine.ini:13: expected [section]") && !says("tine.ini:14:"));
}

static void test_file_form(void)
{
    CHECK(load_text("  [ app ]  ; remark\r\n\tmodule : a:b ; remark\r\n[log]\n\v errorlog = a;b #c\n\n[tls]\n") == 0 &&
          !strcmp(conf->app.module, "a:b") && !strcmp(conf->log.errorlog, "a;b #c"));
    CHECK(load_text("[app]\nmodule=a:b") == 0);
    CHECK(load_text(APP "[http]\nforwarded_allow_ips =\n[app-less") != 0);
    CHECK(load_text(APP "[http]\nforwarded_allow_ips =\n") == 0 && conf->http.forwarded_allow_ips.n == 0);
    REFUSES(load_text("module = a:b\n"), "tine.ini:1: a section such as [server] must come before the first key");
    REFUSES(load_text(APP "[http] keepalive = 1\n"), "tine.ini:3: expected [section] and nothing after it");
    REFUSES(load_text(APP "[]\n"), "tine.ini:3: expected the name of a section");
    REFUSES(load_text(APP "= 1\n"), "tine.ini:3: app.: expected a name");
    static const char zero[] = APP "x\0y\n";
    write_file("tine.ini", zero, sizeof(zero) - 1);
    REFUSES(LOAD(), "tine.ini:3: a byte of value zero");
    REFUSES(LOAD("-c", "absent.ini", "a:b"), "absent.ini: cannot read: No such file or directory");
    REFUSES(LOAD("-c", ".", "a:b"), "cannot read: Is a directory");
    write_file("other.ini", APP, strlen(APP));
    CHECK(LOAD("-c", "other.ini") == 0 && conf->file[0] == '/' && strstr(conf->file, "/other.ini"));
}

static void test_long_lines(void)
{
    size_t n = 100000;
    char *text = malloc(n + 64), *end = stpcpy(text, APP "[log]\nerrorlog = ");
    memset(end, 'x', n);
    memcpy(end + 150, "\n", 2);
    CHECK(load_text(text) == 0 && strlen(conf->log.errorlog) == 150);
    memset(end, 'x', n);
    strcpy(end + n - 100, "\n[http]\n");
    REFUSES(load_text(text), "tine.ini:4: a line has at most");
    strcpy(text, APP "[log]\n");
    end = text + strlen(text);
    memset(end, 'k', 60);
    strcpy(end + 60, " = 1\n");
    REFUSES(load_text(text), "unknown key");
    CHECK(says("kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk: unknown"));
    strcpy(text, APP "[static:/");
    end = text + strlen(text);
    memset(end, 'p', 60);
    strcpy(end + 60, "]\n");
    REFUSES(load_text(text), "tine.ini:3: expected the name of a section, of 1 to 49 bytes");
    free(text);
    text = calloc(1, (2u << 20) + 1);
    memset(text, '\n', 2u << 20);
    REFUSES(load_text(text), "cannot read: File too large");
    free(text);
}

static void test_later(void)
{
    CHECK(load_text(APP "[server]\ntimeout = 0.5m\nreload = no\n"
                        "max_requests = 0\n[tls]\nalpn = h2,http/1.1\ncertfile =\n") == 0);
    REFUSES(load_text(APP "[tls]\nkeyfile = x\n"),
            "tine.ini:4: tls.keyfile: belongs to tls.certfile, which is not set");
    CHECK(load_text(APP "loop = uvloop\n") == 0 && conf->app.loop == CONF_LOOP_UVLOOP);
    CHECK(load_text(APP "[log]\nerrorlog = journald\n") == 0);
    REFUSES(load_text(APP "[log]\nerrorlog = syslog:x\n"),
            "tine.ini:4: log.errorlog: expected the absolute path of the");
    REFUSES(load_text(APP "[log]\naccesslog = syslog:dev/log\n"),
            "tine.ini:4: log.accesslog: expected the absolute path");
    CHECK(load_text(APP "[log]\naccesslog = journald\n") == 0);
    CHECK(load_text(APP "[log]\naccesslog = syslog:/dev/log\n") == 0);
    REFUSES(LOAD("-b", ":1 tls"), "server.bind: the flag tls needs tls.certfile or tls.sni_dir");
    REFUSES(load_text(APP "[static:/s]\ndri = x\n"), "tine.ini:4: static:/s.dri: unknown key; did you mean \"dir\"?");
    REFUSES(load_text(APP "[static]\n"), "expected a path prefix: [static:/prefix]");
    REFUSES(load_text(APP "[static:s/]\n"), "expected a path prefix");
    REFUSES(load_text(APP "[server:/x]\n"), "unknown section");
}

static void test_mounts(void)
{
    CHECK(load_text(APP "threads = 2\n[mount:/b]\nmodule = c:d\nthreads = 7\ninterface = wsgi\nlifespan = off\n"
                        "root_path = /r\n[mount:/a/x]\nmodule = e:f\n") == 0);
    CHECK(conf->n_mounts == 2 && !strcmp(conf->mounts[0].prefix, "/b") && !strcmp(conf->mounts[1].prefix, "/a/x"));
    CHECK(conf->mounts[0].app.threads == 7 && !conf->mounts[1].app.threads && conf->app.threads == 2);
    CHECK(conf->mounts[0].app.interface == CONF_INTERFACE_WSGI && conf->mounts[0].app.lifespan == CONF_LIFESPAN_OFF);
    CHECK(!strcmp(conf->mounts[0].app.root_path, "/r") && !strcmp(conf->mounts[1].app.module, "e:f"));
    CHECK(!strcmp(conf_app_name(conf), "a:b"));
    CHECK(load_text("[mount:/a]\nmodule = c:d\n") == 0 && !conf->app.module && !strcmp(conf_app_name(conf), "c:d"));
    CHECK(load_text("[mount:/.well-known]\nmodule = c:d\n[mount:/..x]\nmodule = c:d\n") == 0);

    REFUSES(load_text("[mount:/a]\n"), "tine.ini:1: [mount:/a] needs module = pkg.mod:attr");
    REFUSES(load_text("[mount:/a]\nmodule = a b\n"), "tine.ini:2: mount:/a.module: expected pkg.mod:attr");
    REFUSES(load_text("[mount:/a]\nmodule = a:b\nroot_path = x\n"), "tine.ini:3: mount:/a.root_path: expected a path");
    REFUSES(load_text(APP "[mount:/a]\nmodul = a:b\n"), "mount:/a.modul: unknown key; did you mean \"module\"?");
    REFUSES(load_text(APP "[mount:/a]\nmodule = a:b\n[mount:/a]\nmodule = c:d\n"),
            "tine.ini:5: [mount:/a] appears twice, first in line 3");
    REFUSES(load_text(APP "[static:/a]\ndir = x\n[mount:/a]\nmodule = a:b\n"),
            "tine.ini:5: [mount:/a] and [static:/a] have the same prefix");
    static const char *const wrong[] = { "/", "a", "/a/", "//a", "/a//b", "/a/../b", "/a/.", "/..", "/a?b", "/a%20b" };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char text[80];
        snprintf(text, sizeof(text), "[mount:%s]\nmodule = a:b\n", wrong[i]);
        REFUSES(load_text(text), "tine.ini:1: expected a path prefix: [mount:/prefix]");
    }
}

static void test_what_mounts_share(void)
{
    static const char *const shared[] = { "interpreter = main", "venv = /v", "pythonpath = /p" };
    for (size_t i = 0; i < sizeof(shared) / sizeof(shared[0]); i++) {
        char text[120];
        snprintf(text, sizeof(text), "[mount:/a]\nmodule = a:b\n%s\n", shared[i]);
        REFUSES(load_text(text), "all applications of a worker share its interpreter and its loop: set it under [app]");
        snprintf(text, sizeof(text), "[app]\n%s\n[mount:/a]\nmodule = a:b\n%s\n", shared[i], shared[i]);
        CHECK_MSG(load_text(text) == 0, "%s", errors);
    }
}

static void test_modules(void)
{
    static const char *const right[] = { "a:b", "a.b.c:d.e",     "a:make()",   "dir/x.py:app", "../x.py",
                                         "a.b", "builtin:hello", "\xc3\xa9:x", "/a:b/x.py:y",  "a:b(1)" };
    static const char *const wrong[] = { "a:",    ":b",    "a/b",  "a-b:c", "a..b:c", "a:b()x",
                                         "a:b(1", "a b:c", "1a:b", "x.py:", "a:b:c",  ".a:b" };
    unlink("tine.ini");
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++)
        CHECK_MSG(LOAD((char *)right[i]) == 0, "%s: %s", right[i], errors);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        REFUSES(LOAD((char *)wrong[i]), "command line MODULE:ATTR: app.module: expected pkg.mod:attr");
    REFUSES(LOAD("a:b", "-o", "app.root_path=x"), "app.root_path: expected a path");
    CHECK(LOAD("a:b", "-o", "app.root_path=/x") == 0);
    REFUSES(LOAD("a:b", "-b", ":1", "-b", ":1"), ":1 is listed twice");
    CHECK(LOAD("a:b", "-b", "127.0.0.1:0", "-b", "127.0.0.1:0") == 0);
}

static void test_command_line(void)
{
    unlink("tine.ini");
    REFUSES(LOAD("--wrokers", "3"), "unknown option \"--wrokers\"; did you mean --workers?");
    REFUSES(LOAD("-x"), "unknown option -x");
    REFUSES(LOAD("-tx"), "unknown option -x");
    REFUSES(LOAD("-w"), "option -w needs a value");
    REFUSES(LOAD("a:b", "--bind"), "option --bind needs a value");
    REFUSES(LOAD("a:b", "c:d"), "a second was given: \"c:d\"");
    REFUSES(LOAD("a:b", "-o", "workers=3"), "expected SECTION.KEY=VALUE, got \"workers=3\"");
    REFUSES(LOAD("a:b", "-o", "server.workers"), "expected SECTION.KEY=VALUE");
    REFUSES(LOAD("a:b", "-o", "server.=1"), "expected SECTION.KEY=VALUE");
    REFUSES(LOAD("a:b", "-o", ".workers=1"), "expected SECTION.KEY=VALUE");
    REFUSES(LOAD("a:b", "-o", "server.wokers=1"),
            "command line -o: server.wokers: unknown key; did you mean \"workers\"?");
    REFUSES(LOAD("a:b", "-w", "0"), "command line -w: server.workers: ");
    CHECK(LOAD("a:b", "-t") == 0 && cli.action == CONF_CLI_CHECK);
    CHECK(LOAD("-T") == 0 && cli.action == CONF_CLI_DUMP);
    CHECK(LOAD("a:b", "--", "-w") != 0);
    reset();
    char *argv[] = { (char *)"tine", (char *)"a:b", (char *)"--help", (char *)"--nonsense", NULL };
    CHECK(conf_cli_parse(4, argv, &cli, &errors) == 0 && cli.action == CONF_CLI_HELP);
    CHECK(!strcmp(argv[1], "a:b"));
}

static char *dump(void)
{
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    conf_dump(loaded, out);
    fclose(out);
    return text;
}

/* Without what tells where values came from. */
static void strip_origins(char *text)
{
    char *to = text;
    for (char *p = text; *p;) {
        size_t n = strcspn(p, "\n"), keep = n;
        for (size_t i = 0; i + 1 < n; i++)
            if (p[i] == ' ' && p[i + 1] == ';') {
                keep = i;
                break;
            }
        while (keep && p[keep - 1] == ' ')
            keep--;
        if (p[0] == ';')
            keep = 0;
        memmove(to, p, keep);
        to += keep;
        if (keep)
            *to++ = '\n';
        p += n + (p[n] == '\n');
    }
    *to = '\0';
}

static void test_dump(void)
{
    write_file("tine.ini", APP, strlen(APP));
    setenv("TINE_LOG_LOGLEVEL", "debug", 1);
    CHECK(LOAD("-T", "-w", "3", "-b", "unix:/x proxy", "-b", "[::1]:1", "-o", "http.body_timeout=1.5", "-o",
               "env.MONEY=5$ $HOME", "-o", "http.forwarded_allow_ips=", "-o", "app.pythonpath=a,b") == 0);
    char *first = dump();
    unsetenv("TINE_LOG_LOGLEVEL");
    CHECK(strstr(first, "\n[server]\nbind = unix:/x proxy, [::1]:1 "));
    CHECK(strstr(first, "\nworkers = 3 ") && strstr(first, "; command line -w\n") && strstr(first, "; default\n"));
    CHECK(strstr(first, "; environment TINE_LOG_LOGLEVEL\n") && strstr(first, "/tine.ini:2\n"));
    write_file("tine.ini", first, strlen(first));
    CHECK_MSG(LOAD("-T") == 0, "%s", errors);
    char *second = loaded ? dump() : strdup("");
    strip_origins(first);
    strip_origins(second);
    CHECK(!strcmp(first, second) && strlen(first) > 1000);
    CHECK(!strcmp(env("MONEY"), "5$ $HOME"));
    free(first);
    free(second);
    CHECK(LOAD("-T", "-o", "env.A=x ;y", "-o", "env.B= z") == 0);
    first = dump();
    CHECK(strstr(first, "\n; A = x ;y") && strstr(first, "\n; B =  z") && strstr(first, "cannot be written"));
    free(first);
}

static char said[4][256];
static unsigned n_said;

static void say(void *arg, const char *key, const char *kept, const char *refused)
{
    if (n_said < 4)
        snprintf(said[n_said], sizeof(said[0]), "%s %s %s", key, kept, refused);
    n_said++;
}

static void test_reload(void)
{
    CHECK(load_text(APP "[server]\nbacklog = 9\nuser = web\nworkers = 2\n") == 0);
    struct conf_loaded *old = loaded;
    loaded = NULL;
    CHECK(load_text(APP "[server]\nbacklog = 8\nworkers = 3\nsocket_mode = 0600\n") == 0);
    n_said = 0;
    CHECK(conf_keep_restart_keys(loaded, old, say, NULL) == 0 && n_said == 3);
    conf_loaded_free(old);
    CHECK(!strcmp(said[0], "server.backlog 9 8") && !strcmp(said[1], "server.user web ") &&
          !strcmp(said[2], "server.socket_mode 0660 0600"));
    CHECK(conf->server.backlog == 9 && !strcmp(conf->server.user, "web") && conf->server.socket_mode == 0660);
    CHECK(conf->server.workers == 3);
    char *text = dump();
    CHECK(strstr(text, "backlog = 9 ") && strstr(text, "tine.ini:4\n"));
    free(text);
}

/* A large file, all of it names that must be told apart. */
static void test_many_names(void)
{
    static const char *const pieces[][3] = { { "[env]\n", "A", "=\n" },
                                             { "", "[mount:/", "]\n" },
                                             { "", "[server]\nbind=:", "\n" } };
    char *text = malloc(1u << 18);
    for (size_t i = 0; i < 3; i++) {
        char *end = stpcpy(text, pieces[i][0]);
        for (int n = 0; end < text + (1u << 18) - 64; n++)
            end += sprintf(end, "%s%d%s", pieces[i][1], n, pieces[i][2]);
        REFUSES(load_text(text), "... and ");
    }
    free(text);
}

/* Whatever is in the file: an answer, and no message without its line. */
static void test_any_bytes(void)
{
    static const char seed[] = "[server]\nbind = :1, unix:/x proxy ; c\nworkers = 2\n[app]\nmodule = a:b\n"
                               "[env]\nA = $HOME ${X} $$\n[static:/x]\ndir = y\n[http]\nforwarded_allow_ips = ::/0\n";
    unsigned state = 7;
    size_t answered = 0, rounds = 2000;
    for (size_t round = 0; round < rounds; round++) {
        char text[sizeof(seed)];
        memcpy(text, seed, sizeof(seed));
        for (unsigned i = 0; i < 1 + round % 8; i++) {
            state = state * 1103515245 + 12345;
            size_t at = (state >> 8) % (sizeof(seed) - 1);
            state = state * 1103515245 + 12345;
            text[at] = state & 0x800000 ? "[]=:;#\n \t$,\\"[(state >> 8) % 12] : (char)(state >> 16);
        }
        write_file("tine.ini", text, sizeof(seed) - 1);
        answered += LOAD() == 0 || (errors && errors[0] && errors[strlen(errors) - 1] == '\n');
    }
    CHECK_MSG(answered == rounds, "%zu of %zu", answered, rounds);
    char *many = malloc(4096), *end = many;
    for (int i = 0; i < 300; i++)
        end = stpcpy(end, "[x]\nnope\n");
    REFUSES(load_text(many), "... and ");
    free(many);
}

int main(void)
{
    char dir[] = "/tmp/tine-test-conf-XXXXXX";
    if (!mkdtemp(dir) || chdir(dir) != 0) {
        perror(dir);
        return 1;
    }
    clearenv();
    setenv("HOME", "/x", 1);
    test_defaults();
    test_precedence();
    test_environment();
    test_env_section();
    test_all_errors_at_once();
    test_file_form();
    test_long_lines();
    test_later();
    test_mounts();
    test_what_mounts_share();
    test_modules();
    test_command_line();
    test_dump();
    test_reload();
    test_many_names();
    test_any_bytes();
    reset();
    unlink("tine.ini");
    unlink("other.ini");
    if (chdir("/") != 0 || rmdir(dir) != 0)
        perror(dir);
    return unit_done();
}
