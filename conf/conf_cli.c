/* SPDX-License-Identifier: BSD-3-Clause */
/* conf_cli.c: parses the command line into settings. Looks at no value: that is done once, for all sources, by the
 * loader. */
#include "conf/conf_cli.h"

#include <getopt.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/conf_settings.h"
#include "common/suggest.h"

const char conf_cli_help[] =
    "Usage: tine [options] [MODULE:ATTR]\n"
    "\n"
    "Serves an ASGI or WSGI application, on 127.0.0.1:8000 unless told otherwise.\n"
    "MODULE:ATTR is pkg.mod:attr, pkg.mod:factory() or path/to/file.py:attr.\n"
    "\n"
    "  -c, --config FILE              configuration file (default: ./tine.ini if it exists)\n"
    "  -b, --bind ADDR                address to listen on; may be given several times:\n"
    "                                 host:port, [v6]:port, unix:/path, fd://N, systemd\n"
    "  -w, --workers N                number of worker processes, or auto\n"
    "  -C, --chdir DIR                folder to change to before anything is loaded\n"
    "  -o, --option SECTION.KEY=VALUE any setting of the configuration file\n"
    "  -t, --check-config             check the configuration and what it names, and exit\n"
    "      --import                   with -t: start a worker too, until the application is ready\n"
    "  -T, --print-config             print every setting with its origin, and exit\n"
    "      --import-gunicorn FILE, or a whole command line of gunicorn: print its settings\n"
    "                                 as a tine.ini, and exit; so do --import-uvicorn,\n"
    "                                 --import-hypercorn, --import-granian, --import-uwsgi\n"
    "  -h, --help                     print this, and exit\n"
    "  -v, --version                  print the versions of tine and its libraries, and exit\n"
    "\n"
    "A setting is taken from the command line, the environment (TINE_SECTION_KEY), the file or\n"
    "its default, whichever comes first. See tine(8) and tine.ini(5).\n";

enum { OPTION_CHECK_APP = 256, OPTION_IMPORT };

static const char *const import_servers[] = { "gunicorn", "uvicorn", "hypercorn", "granian", "uwsgi" };

static const struct option long_options[] = {
    { "config", required_argument, NULL, 'c' },
    { "bind", required_argument, NULL, 'b' },
    { "workers", required_argument, NULL, 'w' },
    { "chdir", required_argument, NULL, 'C' },
    { "option", required_argument, NULL, 'o' },
    { "check-config", no_argument, NULL, 't' },
    { "print-config", no_argument, NULL, 'T' },
    { "import", no_argument, NULL, OPTION_CHECK_APP },
    { "import-gunicorn", required_argument, NULL, OPTION_IMPORT },
    { "import-uvicorn", required_argument, NULL, OPTION_IMPORT + 1 },
    { "import-hypercorn", required_argument, NULL, OPTION_IMPORT + 2 },
    { "import-granian", required_argument, NULL, OPTION_IMPORT + 3 },
    { "import-uwsgi", required_argument, NULL, OPTION_IMPORT + 4 },
    { "help", no_argument, NULL, 'h' },
    { "version", no_argument, NULL, 'v' },
    { NULL, 0, NULL, 0 },
};

/* 0, or -1: out of memory. */
static int add(struct conf_cli *cli, const char *option, const char *section, size_t n_section, const char *key,
               size_t n_key, const char *value)
{
    struct conf_override *v = reallocarray(cli->v, cli->n + 1, sizeof(*v));
    if (!v)
        return -1;
    cli->v = v;
    struct conf_override *o = &v[cli->n++];
    *o = (struct conf_override){ option, strndup(section, n_section), strndup(key, n_key), strdup(value) };
    return o->section && o->key && o->value ? 0 : -1;
}

static int add_named(struct conf_cli *cli, const char *option, const char *section, const char *key, const char *value)
{
    return add(cli, option, section, strlen(section), key, strlen(key), value);
}

/* SECTION.KEY=VALUE. A mount's prefix may have dots, a name of [env] too. */
static int add_setting(struct conf_cli *cli, const char *text, struct conf_errors *errors)
{
    const char *equals = strchr(text, '=');
    size_t n = equals ? (size_t)(equals - text) : 0;
    const char *dot = n ? memrchr(text, '.', n) : NULL;
    if (n > 4 && strncmp(text, "env.", 4) == 0)
        dot = text + 3;
    if (!dot || dot == text || dot + 1 == equals) {
        conf_error(errors, NULL, "option -o: expected SECTION.KEY=VALUE, got %s", conf_shown(text).s);
        return 0;
    }
    return add(cli, "-o", text, (size_t)(dot - text), dot + 1, (size_t)(equals - dot) - 1, equals + 1);
}

/* `name` seen from the folder that we started in. */
static char *absolute(const struct conf_cli *cli, const char *name)
{
    if (name[0] == '/' || !cli->start_dir)
        return strdup(name);
    size_t n = strlen(cli->start_dir);
    const char *slash = n && cli->start_dir[n - 1] == '/' ? "" : "/";
    char *path;
    return asprintf(&path, "%s%s%s", cli->start_dir, slash, name) < 0 ? NULL : path;
}

static int take_file(struct conf_cli *cli, const char *name)
{
    free(cli->file);
    cli->file = absolute(cli, name);
    return cli->file ? 0 : -1;
}

/* The option's value and all that follows it belongs to another server. 0, or -1: out of memory. */
static int take_import(struct conf_cli *cli, int option, int argc, char **argv)
{
    free(cli->import_words);
    cli->import_words = NULL;
    cli->action = CONF_CLI_IMPORT;
    cli->import_server = import_servers[option - OPTION_IMPORT];
    FILE *out = open_memstream(&cli->import_words, &cli->import_n);
    if (!out)
        return -1;
    fwrite(optarg, 1, strlen(optarg) + 1, out);
    for (int i = optind; i < argc; i++)
        fwrite(argv[i], 1, strlen(argv[i]) + 1, out);
    bool failed = ferror(out);
    return fclose(out) != 0 || failed ? -1 : 0;
}

/* Options of other servers, and what says the same here. */
static const struct {
    const char *name, *here;
} foreign_options[] = {
    { "host", "-b HOST:PORT" },
    { "port", "-b :%s" },
    { "uds", "-b unix:%s" },
    { "fd", "-b fd://%s" },
    { "worker-class", "app.interface is found out by itself" },
    { "access-logfile", "-o log.accesslog=%s" },
    { "access-log", "-o log.accesslog=-" },
    { "error-logfile", "-o log.errorlog=%s" },
    { "log-level", "-o log.loglevel=%s" },
    { "reload", "-o server.reload=true" },
    { "timeout", "-o server.timeout=%s" },
    { "timeout-keep-alive", "-o http.keepalive=%s" },
    { "keep-alive", "-o http.keepalive=%s" },
    { "graceful-timeout", "-o server.graceful_timeout=%s" },
    { "timeout-graceful-shutdown", "-o server.graceful_timeout=%s" },
    { "threads", "-o app.threads=%s" },
    { "preload", "-o app.preload_app=true" },
    { "interface", "-o app.interface=%s" },
    { "lifespan", "-o app.lifespan=%s" },
    { "root-path", "-o app.root_path=%s" },
    { "app-dir", "-o app.pythonpath=%s" },
    { "pythonpath", "-o app.pythonpath=%s" },
    { "factory", "MODULE:FACTORY()" },
    { "env-file", "-o server.env_file=%s" },
    { "env", "-o env.NAME=VALUE" },
    { "daemon", "-o server.daemon=true" },
    { "pid", "-o server.pidfile=%s" },
    { "user", "-o server.user=%s" },
    { "group", "-o server.group=%s" },
    { "umask", "-o server.umask=%s" },
    { "name", "-o server.proc_name=%s" },
    { "max-requests", "-o server.max_requests=%s" },
    { "limit-max-requests", "-o server.max_requests=%s" },
    { "backlog", "-o server.backlog=%s" },
    { "forwarded-allow-ips", "-o http.forwarded_allow_ips=%s" },
    { "proxy-headers", "-o http.forwarded_allow_ips=PROXY" },
    { "certfile", "-o tls.certfile=%s" },
    { "keyfile", "-o tls.keyfile=%s" },
    { "ssl-certfile", "-o tls.certfile=%s" },
    { "ssl-keyfile", "-o tls.keyfile=%s" },
};

/* The value of a long option that getopt does not know: after its =, or the next word if that is no option. */
static const char *value_of_unknown(const char *word, const char *next)
{
    const char *equals = strchr(word, '=');
    return equals ? equals + 1 : next && next[0] != '-' ? next : NULL;
}

/* Whether it is known from elsewhere; then it is reported. */
static bool is_foreign(const char *name, const char *word, const char *next, struct conf_errors *errors)
{
    for (size_t i = 0; i < sizeof(foreign_options) / sizeof(foreign_options[0]); i++) {
        if (strcmp(foreign_options[i].name, name) != 0)
            continue;
        const char *here = foreign_options[i].here, *place = strstr(here, "%s");
        const char *value = value_of_unknown(word, next);
        if (place)
            conf_error(errors, NULL, "unknown option --%s: it is written %.*s%s", name, (int)(place - here), here,
                       value ? value : "VALUE");
        else
            conf_error(errors, NULL, "unknown option --%s: it is written %s", name, here);
        return true;
    }
    return false;
}

static void bad_option(const char *word, const char *next, struct conf_errors *errors)
{
    if (strncmp(word, "--", 2) != 0) {
        /* One letter of several that may stand together: getopt says which. */
        conf_error(errors, NULL, "unknown option -%c", optopt);
        return;
    }
    char name[64] = "";
    strncat(name, word + 2, strcspn(word + 2, "=") < sizeof(name) - 1 ? strcspn(word + 2, "=") : sizeof(name) - 1);
    if (is_foreign(name, word, next, errors))
        return;
    const char *names[sizeof(long_options) / sizeof(long_options[0])];
    size_t n = 0;
    for (; long_options[n].name; n++)
        names[n] = long_options[n].name;
    const char *nearest = suggest_nearest(name, names, n);
    if (suggest_is_near(name, nearest))
        conf_error(errors, NULL, "unknown option %s; did you mean --%s?", conf_shown(word).s, nearest);
    else
        conf_error(errors, NULL, "unknown option %s", conf_shown(word).s);
}

/* 0, or -1: out of memory. */
static int take_option(struct conf_cli *cli, int option, const char *word, const char *next, struct conf_errors *errors)
{
    switch (option) {
    case 'c':
        return take_file(cli, optarg);
    case 'b':
        return add_named(cli, "-b", "server", "bind", optarg);
    case 'w':
        return add_named(cli, "-w", "server", "workers", optarg);
    case 'C':
        return add_named(cli, "-C", "server", "chdir", optarg);
    case 'o':
        return add_setting(cli, optarg, errors);
    case 't':
        cli->action = CONF_CLI_CHECK;
        return 0;
    case 'T':
        cli->action = CONF_CLI_DUMP;
        return 0;
    case OPTION_CHECK_APP:
        cli->check_app = true;
        return 0;
    case ':':
        conf_error(errors, NULL, "option %s needs a value", word);
        return 0;
    default:
        bad_option(word, next, errors);
        return 0;
    }
}

static int take_positional(struct conf_cli *cli, int argc, char **argv, struct conf_errors *errors)
{
    if (errors->n) /* one of the words may be the value of an option that is not known */
        return 0;
    if (optind < argc && add_named(cli, "MODULE:ATTR", "app", "module", argv[optind]) != 0)
        return -1;
    for (int i = optind + 1; i < argc; i++)
        conf_error(errors, NULL, "one application is served, but a second was given: %s", conf_shown(argv[i]).s);
    return 0;
}

/* argv is a copy: getopt changes its order. 0, or -1: out of memory. */
static int parse(int argc, char **argv, struct conf_cli *cli, struct conf_errors *errors)
{
    optind = 0; /* glibc: start anew */
    opterr = 0;
    for (;;) {
        int at = optind ? optind : 1;
        int option = getopt_long(argc, argv, ":c:b:w:C:o:tThv", long_options, NULL);
        if (option == -1) {
            if (cli->check_app && cli->action != CONF_CLI_CHECK)
                conf_error(errors, NULL, "option --import is for -t");
            return take_positional(cli, argc, argv, errors);
        }
        if (option == 'h' || option == 'v') {
            cli->action = option == 'h' ? CONF_CLI_HELP : CONF_CLI_VERSION;
            return 0;
        }
        if (option >= OPTION_IMPORT)
            return take_import(cli, option, argc, argv);
        /* Options may have moved before operands: the one just read ends at optind. */
        const char *word = argv[optind > at ? optind - 1 : at];
        if (take_option(cli, option, word, optind < argc ? argv[optind] : NULL, errors) != 0)
            return -1;
    }
}

int conf_cli_parse(int argc, char **argv, struct conf_cli *ret, char **ret_error)
{
    struct conf_cli cli = { .action = CONF_CLI_SERVE, .start_dir = getcwd(NULL, 0) };
    struct conf_errors errors = { 0 };
    char **copy = reallocarray(NULL, (size_t)argc + 1, sizeof(*copy));
    if (copy)
        memcpy(copy, argv, ((size_t)argc + 1) * sizeof(*copy));
    if (!copy || parse(argc, copy, &cli, &errors) != 0)
        errors.failed = true;
    free(copy);
    bool is_question = cli.action == CONF_CLI_HELP || cli.action == CONF_CLI_VERSION;
    if (errors.failed || (errors.n && !is_question)) {
        if (errors.n)
            conf_error(&errors, NULL, "Try tine --help.");
        *ret_error = conf_errors_take(&errors);
        conf_cli_done(&cli);
        return -1;
    }
    free(errors.text);
    *ret = cli;
    return 0;
}

void conf_cli_done(struct conf_cli *cli)
{
    for (size_t i = 0; i < cli->n; i++) {
        free(cli->v[i].section);
        free(cli->v[i].key);
        free(cli->v[i].value);
    }
    free(cli->v);
    free(cli->file);
    free(cli->import_words);
    free(cli->start_dir);
    *cli = (struct conf_cli){ 0 };
}
