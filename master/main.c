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
#include "conf/conf.h"
#include "conf/conf_cli.h"
#include "conf/conf_load.h"
#include "master/system/apply.h"
#include "master/fleet/generation.h"
#include "master/import_gunicorn.h"
#include "master/master.h"
#include "master/system/pidfile.h"

static int print_version(void)
{
    printf("tine %s\nlibevent %s (built with %s)\ninih %s\n", PACKAGE_VERSION, event_get_version(), LIBEVENT_VERSION,
           INIH_VERSION);
    worker_print_versions(stdout);
    return fflush(stdout) == 0 ? MASTER_EXIT_OK : MASTER_EXIT_SYSTEM;
}

static int print_errors(char *errors)
{
    fputs(errors ? errors : "tine: out of memory\n", stderr);
    free(errors);
    return MASTER_EXIT_CONF;
}

static int read_certs(struct master *master)
{
    char *why;
    if (certs_open(&master->current->certs, master->conf, &why) == 0)
        return MASTER_EXIT_OK;
    log_critical("%s", why ? why : "out of memory");
    free(why);
    return MASTER_EXIT_CONF;
}

/* Where paths of the configuration start, and where messages go. */
static int prepare(struct master *master)
{
    const struct conf *conf = master->conf;
    if (conf->server.chdir && chdir(conf->server.chdir) < 0) {
        log_critical("server.chdir %s: %s", conf->server.chdir, strerror(errno));
        return MASTER_EXIT_CONF;
    }
    if (privs_resolve(&master->privs, &conf->server) < 0)
        return MASTER_EXIT_CONF;
    if (master->privs.drop)
        log_be_wary();
    if (apply_log(conf) < 0)
        return MASTER_EXIT_SYSTEM;
    apply_log_owner(conf, &master->privs);
    apply_limits(conf);
    apply_title(master);
    return read_certs(master);
}

/* With everything that only a service has: sockets, pidfile, somebody to notify. */
static int run(struct master *master, struct listen_passed *passed)
{
    const struct conf_server *conf = &master->conf->server;
    if (conf->pidfile && pidfile_write(conf->pidfile) < 0)
        return MASTER_EXIT_SYSTEM;
    int status = MASTER_EXIT_SYSTEM;
    struct listeners handed = { 0 };
    upgrade_take_sockets(&master->upgrade, &handed);
    int opened = listeners_open(&master->current->listeners, &handed, master->conf, &master->privs, passed);
    listeners_replace(&handed, &master->current->listeners);
    if (opened == 0)
        status = master_run(master);
    /* By now a reload may have replaced the configuration; the name of the pidfile stays. */
    conf = &master->conf->server;
    listeners_close(&master->current->listeners);
    pidfile_remove(conf->pidfile);
    return status;
}

/* 0, or -1 logged. A new binary is in the background already. */
static int go_to_background(struct master *master)
{
    if (master->upgrade.state == UPGRADE_HEIR) {
        master->daemon = (struct daemon){ .on = true, .parent_fd = -1 };
        return 0;
    }
    if (log_fd() == STDERR_FILENO)
        log_warning("server.daemon without log.errorlog: nothing is logged after the start");
    return daemon_start(&master->daemon);
}

static int serve(const struct conf_cli *cli, struct generation *first, const struct proctitle *title,
                 struct upgrade *upgrade)
{
    struct master master = {
        .cli = cli, .current = first, .conf = first->conf, .title = *title, .upgrade = *upgrade, .notify = { .fd = -1 }
    };
    *upgrade = (struct upgrade){ .fd = -1, .herald_fd = -1 };
    struct listen_passed passed;
    listen_take_passed(&passed);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a log at the limit of a file's size is a full disk, as for CPython */
    int status = prepare(&master);
    if (status == MASTER_EXIT_OK && master.conf->server.daemon && go_to_background(&master) < 0)
        status = MASTER_EXIT_SYSTEM;
    if (status == MASTER_EXIT_OK) {
        notify_open(&master.notify);
        status = run(&master, &passed);
        notify_close(&master.notify);
        daemon_tell_parent(&master.daemon, status);
    }
    generation_free(master.current);
    privs_done(&master.privs);
    listen_passed_done(&passed);
    upgrade_done(&master.upgrade);
    return status;
}

static int act(const struct conf_cli *cli, const struct proctitle *title, struct upgrade *upgrade)
{
    struct conf_loaded *loaded = NULL;
    char *errors = NULL;
    int status = MASTER_EXIT_OK;
    if (conf_load(cli, &loaded, &errors) < 0)
        return print_errors(errors);
    if (cli->action == CONF_CLI_DUMP) {
        conf_dump(loaded, stdout);
        status = fflush(stdout) == 0 ? MASTER_EXIT_OK : MASTER_EXIT_SYSTEM;
    } else if (cli->action == CONF_CLI_CHECK) {
        puts("configuration OK");
        status = fflush(stdout) == 0 ? MASTER_EXIT_OK : MASTER_EXIT_SYSTEM;
    } else {
        struct generation *first = generation_new(loaded, 1);
        return first ? serve(cli, first, title, upgrade) : print_errors(NULL);
    }
    conf_loaded_free(loaded);
    return status;
}

int main(int argc, char **argv)
{
    struct proctitle title;
    struct conf_cli cli = { 0 };
    char *error = NULL;
    struct upgrade upgrade;
    proctitle_init(&title, argc, argv);
    upgrade_init(&upgrade, argv);
    if (conf_cli_parse(argc, argv, &cli, &error) < 0)
        return print_errors(error);
    int status;
    if (cli.action == CONF_CLI_VERSION)
        status = print_version();
    else if (cli.action == CONF_CLI_HELP)
        status = fputs(conf_cli_help, stdout) < 0 || fflush(stdout) != 0 ? MASTER_EXIT_SYSTEM : MASTER_EXIT_OK;
    else if (cli.action == CONF_CLI_IMPORT)
        status = import_gunicorn(cli.import);
    else
        status = act(&cli, &title, &upgrade);
    conf_cli_done(&cli);
    upgrade_done(&upgrade);
    return status;
}
