/* SPDX-License-Identifier: BSD-3-Clause */
/* become.c: the worker's entry in a program that has no Python of its own: the process, forked by the master and with its
 * rights dropped, becomes the application's Python, which loads Tine's module (boot.py) and goes on in hosted.c. */
#include <config.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/heritage.h"
#include "common/ipc.h"
#include "common/log.h"
#include "conf/conf.h"
#include "worker/host/boot_py.h"
#include "worker/host/choose_python.h"
#include "worker/host/handover.h"

/* What boot.py is to do. */
struct errand {
    const char *command, *argument;
    int channel; /* -1: messages go to standard error */
    const struct held_module *module; /* NULL: none */
    bool module_is_own; /* see heritage.h */
    bool site; /* that it needs what site makes available */
};

/* Returns only if it failed, with errno. */
static void run_python(const char *executable, const struct errand *errand)
{
    char folders[MODULE_FOLDERS][PATH_MAX], channel[16], failed[16], module[16];
    const char *argv[14 + MODULE_FOLDERS];
    size_t n = 0;
    python_module_folders(folders);
    snprintf(channel, sizeof channel, "%d", errand->channel);
    snprintf(failed, sizeof failed, "%d", IPC_FAILED);
    snprintf(module, sizeof module, "%d", errand->module ? errand->module->fd : -1);
    argv[n++] = executable;
    if (!errand->site)
        argv[n++] = "-S";
    /* What Python has parsed for -c stays in memory until it has run, and boot() does not return. */
    argv[n++] = "-c";
    argv[n++] = "import sys; exec(sys.argv.pop(1)); boot(*sys.argv[1:])";
    argv[n++] = boot_py;
    argv[n++] = errand->command;
    argv[n++] = channel;
    argv[n++] = failed;
    argv[n++] = errand->argument;
    argv[n++] = module;
    argv[n++] = errand->module ? errand->module->path : "";
    argv[n++] = errand->module_is_own ? "own" : "";
    for (size_t i = 0; i < MODULE_FOLDERS; i++)
        argv[n++] = folders[i];
    argv[n] = NULL;
    execv(executable, (char **)(uintptr_t)argv);
}

/* After a failed exec. */
static const char *why_not(int error)
{
    switch (error) {
    case ENOEXEC:
        return "it is no program of this machine (another architecture, or a script without #!)";
    case ENOENT:
        return "it needs a program or a loader that is not there (see its first line, or file(1))";
    default:
        return strerror(error);
    }
}

static int fail(const struct heritage *h, const char *text)
{
    if (ipc_send(h->ipc_fd, IPC_FAILED, text, strlen(text)) < 0)
        log_error("worker cannot tell the master why it failed: %s", text);
    return WORKER_EXIT_BOOT;
}

static int become(const struct heritage *h, enum handover_kind kind)
{
    struct python_choice choice;
    char *why = NULL, argument[16], text[2 * PATH_MAX + 256];
    for (size_t i = 0; i < h->conf->n_env; i++) /* os.environ is made when Python starts */
        setenv(h->conf->env[i].name, h->conf->env[i].value, 1);
    if (python_choose(&h->conf->app, &choice, &why) < 0) {
        int status = fail(h, why ? why : "out of memory");
        free(why);
        return status;
    }
    int n = snprintf(text, sizeof text, "%s (%s)", choice.executable, choice.because);
    if (ipc_send(h->ipc_fd, IPC_BECOMES, text, (size_t)n) < 0)
        log_debug("the master is not told of %s: %m", text);
    int fd = handover_pack(h, kind);
    if (fd < 0) {
        snprintf(text, sizeof text, "nothing can be handed to Python: %s", strerror(errno));
        return fail(h, text);
    }
    snprintf(argument, sizeof argument, "%d", fd);
    /* A Python takes over a SIGINT that is not ignored, and would die of one, with a traceback, before the worker is
     * there. */
    signal(SIGINT, SIG_IGN);
    run_python(choice.executable, &(struct errand){ .command = "run",
                                                    .argument = argument,
                                                    .channel = h->ipc_fd,
                                                    .module = h->module,
                                                    .module_is_own = h->module_is_own });
    snprintf(text, sizeof text, "%s (%s) cannot be run: %s", choice.executable, choice.because, why_not(errno));
    return fail(h, text);
}

int worker_main(const struct heritage *heritage)
{
    return become(heritage, HANDOVER_WORKER);
}

int mold_main(const struct heritage *heritage, const struct proctitle *title, const char *name)
{
    return become(heritage, HANDOVER_MOLD);
}

/* --- what else needs a Python --- */

/* The one that would run an application that says nothing of it. 0, or -1: printed. */
static int choose_any(struct python_choice *choice)
{
    const struct conf_app conf = { 0 };
    char *why = NULL;
    if (python_choose(&conf, choice, &why) == 0)
        return 0;
    fprintf(stderr, "tine: %s\n", why ? why : "out of memory");
    free(why);
    return -1;
}

void worker_print_versions(FILE *out)
{
    struct python_choice choice;
    fflush(out);
    pid_t pid = fork();
    if (pid == 0) {
        if (dup2(fileno(out), STDOUT_FILENO) >= 0 && choose_any(&choice) == 0) {
            run_python(choice.executable,
                       &(struct errand){ .command = "print_versions", .argument = "", .channel = -1 });
            fprintf(stderr, "tine: %s cannot be run: %s\n", choice.executable, why_not(errno));
        }
        _exit(WORKER_EXIT_BOOT);
    }
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

int worker_check_python(const struct conf_app *conf, char **ret_why)
{
    struct python_choice choice;
    return python_choose(conf, &choice, ret_why);
}

int worker_import(const char *server, int words, int out)
{
    struct python_choice choice;
    char *argument = NULL;
    if (choose_any(&choice) < 0 || fcntl(out, F_SETFD, 0) < 0 || fcntl(words, F_SETFD, 0) < 0 ||
        asprintf(&argument, "%d:%d:%s", out, words, server) < 0)
        return -1;
    run_python(choice.executable,
               &(struct errand){ .command = "import_settings", .argument = argument, .channel = -1, .site = true });
    fprintf(stderr, "tine: %s cannot be run: %s\n", choice.executable, why_not(errno));
    free(argument);
    return -1;
}
