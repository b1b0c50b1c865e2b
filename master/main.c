/* SPDX-License-Identifier: BSD-3-Clause */
/* main.c: the entry of the program: from the command line to a running master, in the order in
 * which things may fail. Must never start Python: that is a worker's business. */
#include <config.h>
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/heritage.h"
#include "common/log.h"
#include "common/version.h"
#include "conf/conf.h"
#include "conf/conf_cli.h"
#include "conf/conf_load.h"
#include "master/check.h"
#include "master/fleet/certs.h"
#include "master/import.h"
#include "master/import_check.h"
#include "master/listen/listen.h"
#include "master/master.h"
#include "master/reload_parts.h"
#include "master/system/error_log.h"
#include "master/system/pidfile.h"

static int print_version(void)
{
    printf("tine %s\nlibevent %s (built with %s)\ninih %s\n", TINE_VERSION, event_get_version(), LIBEVENT_VERSION,
           INIH_VERSION);
    worker_print_versions(stdout);
    return fflush(stdout) == 0 ? SERVICE_EXIT_OK : SERVICE_EXIT_SYSTEM;
}

static int print_errors(char *errors)
{
    fputs(errors ? errors : "tine: out of memory\n", stderr);
    free(errors);
    return SERVICE_EXIT_CONF;
}

static int read_certs(struct generation *first)
{
    char *why;
    if (certs_open(&first->certs, first->conf, &why) == 0)
        return SERVICE_EXIT_OK;
    log_critical("%s", why ? why : "out of memory");
    free(why);
    return SERVICE_EXIT_CONF;
}

static void warn_of_foreign(void *arg, const char *name, const char *hint)
{
    log_warning("%s in the environment has no effect: %s", name, hint);
}

/* Where paths of the configuration start, and where messages go. */
static int prepare(struct master *master)
{
    struct fleet *fleet = &master->service.fleet;
    const struct conf *conf = fleet->current->conf;
    if (conf->server.chdir && chdir(conf->server.chdir) < 0) {
        int why = errno;
        char *origin = conf_origin(fleet->current->loaded, "server", "chdir");
        log_critical("%s: server.chdir: %s: %s", origin ? origin : "?", conf->server.chdir, strerror(why));
        free(origin);
        return SERVICE_EXIT_CONF;
    }
    if (privs_resolve(&fleet->privs, &conf->server) < 0)
        return SERVICE_EXIT_CONF;
    if (fleet->privs.drop)
        log_require_trusted_path();
    if (error_log_open(&conf->log) < 0)
        return SERVICE_EXIT_SYSTEM;
    conf_env_foreign(warn_of_foreign, NULL);
    reload_parts_adopt(master);
    return read_certs(fleet->current);
}

/* With everything that only a service has: sockets, pidfile, a service manager. */
static int run_service(struct master *master, struct listen_passed *passed)
{
    struct fleet *fleet = &master->service.fleet;
    const struct conf *conf = fleet->current->conf;
    if (conf->server.pidfile && pidfile_write(conf->server.pidfile) < 0)
        return SERVICE_EXIT_SYSTEM;
    int status = SERVICE_EXIT_SYSTEM;
    struct listeners handed = { 0 };
    upgrade_take_sockets(&master->upgrade, &handed);
    int opened = listeners_open(&fleet->current->listeners, &handed, conf, &fleet->privs, passed);
    listeners_replace(&handed, &fleet->current->listeners);
    if (opened == 0)
        status = master_run(master);
    /* By now a reload may have replaced the configuration; the name of the pidfile stays. */
    listeners_close(&fleet->current->listeners);
    pidfile_remove(fleet->current->conf->server.pidfile);
    return status;
}

/* 0, or -1 logged. A new binary is in the background already. */
static int go_to_background(struct master *master)
{
    if (master->service.upgrade == UPGRADE_HEIR) {
        master->daemon = (struct daemon){ .on = true, .parent_fd = -1 };
        return 0;
    }
    if (log_fd() == STDERR_FILENO)
        log_warning("server.daemon without log.errorlog: nothing is logged after the start");
    return daemon_start(&master->daemon);
}

/* Takes the first generation. */
static int serve(struct master *master, struct generation *first)
{
    struct fleet *fleet = &master->service.fleet;
    struct listen_passed passed;
    fleet->current = first;
    listen_take_passed(&passed);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a log at the limit of a file's size is a full disk, as for CPython */
    int status = prepare(master);
    if (status == SERVICE_EXIT_OK && first->conf->server.daemon && go_to_background(master) < 0)
        status = SERVICE_EXIT_SYSTEM;
    if (status == SERVICE_EXIT_OK) {
        notify_open(&master->notify);
        status = run_service(master, &passed);
        notify_close(&master->notify);
        daemon_tell_parent(&master->daemon, status);
    }
    generation_free(fleet->current);
    privs_done(&fleet->privs);
    listen_passed_done(&passed);
    return status;
}

static void print_foreign(void *arg, const char *name, const char *hint)
{
    fprintf(stderr, "tine: warning: %s in the environment has no effect: %s\n", name, hint);
}

static int act(struct master *master)
{
    const struct conf_cli *cli = master->cli;
    struct conf_loaded *loaded = NULL;
    char *errors = NULL;
    int status = SERVICE_EXIT_OK;
    if (conf_load(cli, &loaded, &errors) < 0)
        return print_errors(errors);
    if (cli->action == CONF_CLI_DUMP) {
        conf_dump(loaded, stdout);
        status = fflush(stdout) == 0 ? SERVICE_EXIT_OK : SERVICE_EXIT_SYSTEM;
    } else if (cli->action == CONF_CLI_CHECK) {
        conf_env_foreign(print_foreign, NULL);
        status = check_system(loaded);
        if (status == SERVICE_EXIT_OK && (puts("configuration OK") < 0 || fflush(stdout) != 0))
            status = SERVICE_EXIT_SYSTEM;
        if (status == SERVICE_EXIT_OK && cli->check_app) {
            struct generation *first = generation_new(loaded, 1);
            return first ? (int)import_check(&master->service.fleet, first) : print_errors(NULL);
        }
    } else {
        struct generation *first = generation_new(loaded, 1);
        return first ? serve(master, first) : print_errors(NULL);
    }
    conf_loaded_free(loaded);
    return status;
}

int main(int argc, char **argv)
{
    struct conf_cli cli = { 0 };
    char *error = NULL;
    struct master master = { .cli = &cli, .notify = { .fd = -1 } };
    proctitle_init(&master.service.fleet.title, argc, argv);
    upgrade_init(&master.upgrade, &master.service, argv);
    if (conf_cli_parse(argc, argv, &cli, &error) < 0) {
        upgrade_done(&master.upgrade);
        return print_errors(error);
    }
    int status;
    if (cli.action == CONF_CLI_VERSION)
        status = print_version();
    else if (cli.action == CONF_CLI_HELP)
        status = fputs(conf_cli_help, stdout) < 0 || fflush(stdout) != 0 ? SERVICE_EXIT_SYSTEM : SERVICE_EXIT_OK;
    else if (cli.action == CONF_CLI_IMPORT)
        status = import_settings(&cli);
    else
        status = act(&master);
    conf_cli_done(&cli);
    upgrade_done(&master.upgrade);
    return status;
}
