/* SPDX-License-Identifier: BSD-3-Clause */
/* test_conf_pack.c: a configuration that went through bytes is the same in every key, and bytes that are none are
 * refused. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/conf.h"
#include "conf/conf_cli.h"
#include "conf/conf_load.h"
#include "conf/conf_pack.h"
#include "tests/unit/unit.h"

static const char text[] =
    "[server]\nbind = 0.0.0.0:443 tls, [::1]:8001 proxy, unix:/run/b.sock, fd://7, 127.0.0.1:9 h2c\nworkers = 3\n"
    "umask = 027\ntimeout = 1500ms\ndrain_delay = 1.25s\nmax_worker_memory = 300m\nmax_worker_lifetime = 90m\n"
    "[app]\nmodule = pkg.mod:factory()\nroot_path = /x\npythonpath = lib, /opt/other lib\nthreads = 7\n"
    "[http]\nforwarded_allow_ips = 10.0.0.0/8, 2001:db8::/32, unix\nlimit_request_body = 10g\nserver_header = no\n"
    "compress = br, gzip\n"
    "[log]\naccesslog = -\naccess_log_format = %(h)s \"%(r)s\" %(s)s\nloglevel = debug\n"
    "[tls]\ncertfile = /c.pem\nkeyfile = /k.pem\nmin_version = 1.3\n"
    "[mount:/api]\nmodule = api:app\nthreads = 2\n[mount:/b]\nmodule = b:app\n"
    "[static:/s]\ndir = /tmp\nindex = index.html\nexpires = 1h\n"
    "[env]\nA = $$1, two ; no comment\nB = \n";

static struct conf_loaded *load(void)
{
    struct conf_cli cli;
    struct conf_loaded *loaded = NULL;
    char *errors = NULL, *argv[] = { (char *)"tine", (char *)"-t", (char *)"-c", (char *)"pack.ini", NULL };
    FILE *f = fopen("pack.ini", "w");
    if (!f || fwrite(text, 1, sizeof text - 1, f) != sizeof text - 1 || fclose(f) != 0)
        abort();
    if (conf_cli_parse(4, argv, &cli, &errors) < 0 || conf_load(&cli, &loaded, &errors) < 0)
        fprintf(stderr, "%s", errors ? errors : "out of memory\n");
    free(errors);
    conf_cli_done(&cli);
    return loaded;
}

static struct span pack(const struct conf *conf)
{
    char *p = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&p, &n);
    if (!out)
        abort();
    conf_pack(conf, out);
    if (fclose(out) != 0)
        abort();
    return (struct span){ p, n };
}

static void test_same_in_every_key(const struct conf *before, struct span bytes)
{
    struct conf_loaded *l = conf_unpack(bytes);
    CHECK(l != NULL);
    if (!l)
        return;
    const struct conf *conf = conf_loaded_get(l);
    struct span again = pack(conf);
    CHECK(span_eq(bytes, again));
    free((char *)(uintptr_t)again.p);
    CHECK(conf->server.bind.n == 5 && conf->server.bind.v[0].tls && conf->server.bind.v[0].port == 443);
    CHECK(conf->server.bind.v[1].proxy && conf->server.bind.v[4].h2c && conf->server.bind.v[3].fd == 7);
    CHECK(!strcmp(conf->server.bind.v[2].path, "/run/b.sock"));
    CHECK(conf->server.timeout == 1500 && conf->server.drain_delay == 1250 && conf->server.umask.set &&
          conf->server.umask.mode == 027);
    CHECK(conf->server.max_worker_memory == (uint64_t)300 << 20 && conf->http.limit_request_body == (uint64_t)10 << 30);
    CHECK(conf->app.pythonpath.n == 2 && !strcmp(conf->app.pythonpath.v[1], "/opt/other lib"));
    CHECK(conf->http.forwarded_allow_ips.n == 2 && conf->http.forwarded_allow_ips.unix_);
    CHECK(!conf->server.user && !conf->app.venv && conf->http.keepalive == before->http.keepalive);
    CHECK(conf->n_mounts == 2 && !strcmp(conf->mounts[0].prefix, "/api") && conf->mounts[0].app.threads == 2);
    CHECK(conf->n_statics == 1 && !strcmp(conf->statics[0].files.dir, "/tmp"));
    CHECK(conf->n_env == 2 && !strcmp(conf->env[0].value, before->env[0].value) && !*conf->env[1].value);
    CHECK(!strcmp(conf->file, before->file));
    conf_loaded_free(l);
}

static void test_refused(struct span bytes)
{
    static const char unknown[] = "server\0no_such_key\0"
                                  "1",
                      mistyped[] = "server\0workers\0many";
    CHECK(!conf_unpack((struct span){ bytes.p, bytes.n - 1 }));
    CHECK(!conf_unpack((struct span){ unknown, sizeof unknown }));
    CHECK(!conf_unpack((struct span){ mistyped, sizeof mistyped }));
    for (size_t n = 0; n < 400; n++) /* whatever is cut: no reading beyond the end */
        conf_loaded_free(conf_unpack((struct span){ bytes.p, n }));
}

int main(void)
{
    char folder[] = "/tmp/test_conf_pack_XXXXXX";
    if (!mkdtemp(folder) || chdir(folder) < 0)
        abort();
    struct conf_loaded *loaded = load();
    CHECK(loaded != NULL);
    if (loaded) {
        struct span bytes = pack(conf_loaded_get(loaded));
        test_same_in_every_key(conf_loaded_get(loaded), bytes);
        test_refused(bytes);
        free((char *)(uintptr_t)bytes.p);
    }
    conf_loaded_free(loaded);
    unlink("pack.ini");
    (void)!chdir("/");
    rmdir(folder);
    return unit_done();
}
