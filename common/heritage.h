/* SPDX-License-Identifier: BSD-3-Clause */
/* heritage.h: what a fork hands down from master to worker, and the worker's entry. Together with ipc.h the only place
 * where the two meet. */
#ifndef TINE_COMMON_HERITAGE_H
#define TINE_COMMON_HERITAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

struct conf;
struct limits;
struct scoreboard;
struct tickets;
struct vault;

/* A worker that ends by itself within this time of READY has not proved that it can serve. */
#define WORKER_PROOF_MS 1000
/* Signs of life: a worker's loop turns at least this often, and for the first while after READY more often, so that the
 * proof can tell one that is idle from one whose process is ending slowly (a core is written, a sanitizer reports). */
#define WORKER_BEAT_MS 1000u
#define WORKER_YOUNG_BEAT_MS 250u
#define WORKER_YOUNG_MS 2000u

struct listener {
    int fd; /* listening, non-blocking, close-on-exec */
    bool tls, h2c, proxy;
    bool guarded; /* a Unix socket whose file keeps strangers out: only a proxy connects there */
    unsigned seat, seats; /* reuseport: which of how many sockets of its address; seats 0: all workers accept from it */
    char *text; /* for logs: "127.0.0.1:8000", "unix:/run/x.sock" */
    char *bind; /* what the configuration calls it, without flags: "localhost:8000" */
    struct sockaddr_storage addr; /* bound address; family AF_INET, AF_INET6 or AF_UNIX */
    socklen_t addr_len;
};

/* Tine's module as a Python of this service has loaded it (worker/host): kept open, since its path may name another
 * version's by now. */
struct held_module {
    int fd; /* -1: none */
    char *path;
};

struct heritage {
    const struct conf *conf;
    const struct listener *listeners;
    size_t n_listeners;
    struct scoreboard *scoreboard;
    const struct vault *vault; /* certificates; NULL: nothing listens with TLS */
    const struct tickets *tickets; /* keys of TLS session tickets */
    struct limits *limits; /* what clients have used of [limit] */
    unsigned slot; /* index into the scoreboard */
    unsigned generation; /* 1, 2, ...: counts reloads */
    int ipc_fd; /* SOCK_SEQPACKET to the master; EOF means that the master is gone */
    int stacks_fd; /* for stacks of Python threads, written by a signal handler; never blocks */
    const struct held_module *module; /* NULL: the worker looks for one; it is ignored where Python is in the program */
    bool
        module_is_own; /* of this generation: loaded whatever is installed now; else only where its path is what is found */
    bool main_interpreter; /* the application lives in Python's main interpreter, else in a sub-interpreter */
};

/* Runs a worker from birth to death in its own process, privileges already dropped. Returns its exit status
 * (enum worker_exit); the caller passes it to _exit(). */
int worker_main(const struct heritage *heritage);

/* Runs a mold: a process that loads the application, never accepts, and forks workers on the master's orders over
 * heritage->ipc_fd (IPC_FORK), each in a process that is not its child. heritage->slot and stacks_fd mean nothing.
 * `title` and `name`: what ps shows. Returns its exit status; inside a worker that was forked it does not return. */
struct proctitle;
int mold_main(const struct heritage *heritage, const struct proctitle *title, const char *name);

/* What the worker is made of, for --version, a line each: "http-parser 2.9.4", "Python 3.11.2". Starts no Python. */
void worker_print_versions(FILE *out);

/* For --import-gunicorn and its kind, in a separate process: writes what the configuration of another server comes to as
 * a tine.ini to `out`. server: "gunicorn"; words: a file with the words after the option, each with its NUL; both
 * descriptors stay the caller's. 0, or -1: what is wrong is on standard error. */
int worker_import(const char *server, int words, int out);

struct conf_app;
/* For -t: whether the Python or the virtual environment that would run the application is there. Starts nothing.
 * 0, or -1 with *ret_why, to be freed (NULL: out of memory). */
int worker_check_python(const struct conf_app *conf, char **ret_why);

enum worker_exit {
    WORKER_EXIT_OK = 0,
    WORKER_EXIT_BOOT = 3, /* a resource or lifespan startup failed */
    WORKER_EXIT_APP = 4, /* the application failed to load */
    WORKER_EXIT_NEED_MAIN = 5, /* the application refuses sub-interpreters: start again with main_interpreter */
    WORKER_EXIT_CONF = 6, /* what the configuration names is wrong: a certificate, a key */
    WORKER_EXIT_DESCRIPTORS = 7, /* the application has closed a descriptor of the server */
};

#endif
