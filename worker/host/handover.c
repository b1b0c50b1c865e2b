/* SPDX-License-Identifier: BSD-3-Clause */
/* handover.c: see handover.h. A head, then for each listener its record and two strings, the path of the log, and the
 * configuration (conf_pack.h). */
#include "worker/host/handover.h"

#include <config.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/exec_guard.h"
#include "common/fdutil.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/scoreboard.h"
#include "common/shared.h"
#include "common/tickets.h"
#include "common/vault.h"
#include "common/version.h"
#include "conf/conf.h"
#include "conf/conf_load.h"
#include "conf/conf_pack.h"

struct head {
    char version[32];
    uint32_t size; /* of this struct: another build of the same version may have another */
    uint32_t kind, slot, generation, n_slots, n_listeners, main_interpreter, log_level, log_json, log_wary;
    int32_t dumpable; /* exec makes a process that has changed its user open to that user again */
    int32_t ipc_fd, stacks_fd, scoreboard_fd, vault_fd, tickets_fd, limits_fd;
    struct log_fds log;
};

struct packed_listener {
    int32_t fd;
    uint32_t tls, h2c, proxy, guarded, seat, seats, addr_len;
    struct sockaddr_storage addr;
};

/* --- packing --- */

static void pack_listener(const struct listener *l, FILE *out)
{
    const struct packed_listener packed = {
        .fd = l->fd,
        .tls = l->tls,
        .h2c = l->h2c,
        .proxy = l->proxy,
        .guarded = l->guarded,
        .seat = l->seat,
        .seats = l->seats,
        .addr_len = l->addr_len,
        .addr = l->addr,
    };
    fwrite(&packed, sizeof packed, 1, out);
    fwrite(l->text, strlen(l->text) + 1, 1, out);
    fwrite(l->bind, strlen(l->bind) + 1, 1, out);
}

static void pack(const struct heritage *h, enum handover_kind kind, FILE *out)
{
    struct head head = {
        .size = sizeof head,
        .kind = kind,
        .slot = h->slot,
        .generation = h->generation,
        .n_slots = h->scoreboard->n,
        .n_listeners = (uint32_t)h->n_listeners,
        .main_interpreter = h->main_interpreter,
        .log_level = (uint32_t)log_level(),
        .log_json = log_is_json(),
        .ipc_fd = h->ipc_fd,
        .stacks_fd = h->stacks_fd,
        .scoreboard_fd = h->scoreboard->shared.fd,
        .vault_fd = h->vault ? vault_fd(h->vault) : -1,
        .tickets_fd = h->tickets ? tickets_fd(h->tickets) : -1,
        .limits_fd = h->limits ? limits_fd(h->limits) : -1,
        .log = log_fds(),
        .log_wary = log_requires_trusted_path(),
        .dumpable = prctl(PR_GET_DUMPABLE),
    };
    snprintf(head.version, sizeof head.version, "%s", TINE_VERSION);
    fwrite(&head, sizeof head, 1, out);
    for (size_t i = 0; i < h->n_listeners; i++)
        pack_listener(&h->listeners[i], out);
    const char *path = log_path() ? log_path() : "";
    fwrite(path, strlen(path) + 1, 1, out);
    conf_pack(h->conf, out);
}

/* -1 is fine. */
static int let_through(int fd)
{
    return fd < 0 ? 0 : fcntl(fd, F_SETFD, 0);
}

static int let_all_through(const struct heritage *h)
{
    struct log_fds log = log_fds();
    int failed = let_through(h->ipc_fd) | let_through(h->stacks_fd) | let_through(h->scoreboard->shared.fd) |
                 let_through(log.file) | let_through(log.stream);
    if (h->module)
        failed |= let_through(h->module->fd);
    if (h->vault)
        failed |= let_through(vault_fd(h->vault));
    if (h->tickets)
        failed |= let_through(tickets_fd(h->tickets));
    if (h->limits)
        failed |= let_through(limits_fd(h->limits));
    for (size_t i = 0; i < h->n_listeners; i++)
        failed |= let_through(h->listeners[i].fd);
    return failed;
}

int handover_pack(const struct heritage *heritage, enum handover_kind kind)
{
    char *bytes = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&bytes, &n);
    if (!out)
        return -1;
    pack(heritage, kind, out);
    struct shared shared = { .fd = -1 };
    int fd = -1;
    /* Not written to, as a file is: a limit on the size of files would hold. */
    if (fclose(out) == 0 && shared_new(&shared, "tine handover", n) == 0) {
        memcpy(shared.p, bytes, n);
        if (let_all_through(heritage) == 0 && let_through(shared.fd) == 0)
            fd = shared.fd;
        else
            shared_free(&shared);
    }
    free(bytes);
    return fd;
}

/* --- taking --- */

struct bytes {
    const char *p;
    size_t n, at;
};

static const void *take(struct bytes *b, size_t n)
{
    if (b->n - b->at < n)
        return NULL;
    const void *p = b->p + b->at;
    b->at += n;
    return p;
}

/* A copy; NULL: it has no end, or out of memory. */
static char *take_string(struct bytes *b)
{
    const char *p = b->p + b->at, *end = memchr(p, '\0', b->n - b->at);
    if (!end)
        return NULL;
    b->at += (size_t)(end - p) + 1;
    return strdup(p);
}

static int take_listener(struct bytes *b, struct listener *ret)
{
    struct packed_listener packed;
    const void *p = take(b, sizeof packed);
    if (!p)
        return -1;
    memcpy(&packed, p, sizeof packed);
    *ret = (struct listener){
        .fd = packed.fd,
        .tls = packed.tls,
        .h2c = packed.h2c,
        .proxy = packed.proxy,
        .guarded = packed.guarded,
        .seat = packed.seat,
        .seats = packed.seats,
        .addr = packed.addr,
        .addr_len = packed.addr_len,
        .text = take_string(b),
    };
    ret->bind = ret->text ? take_string(b) : NULL;
    return ret->bind ? fd_set_cloexec(ret->fd) : -1;
}

static int take_listeners(struct bytes *b, size_t n, struct heritage *h)
{
    struct listener *v = calloc(n + 1, sizeof *v);
    for (size_t i = 0; v && i < n; i++)
        if (take_listener(b, &v[i]) < 0) {
            free(v); /* the process ends now */
            return -1;
        }
    h->listeners = v;
    h->n_listeners = n;
    return v ? 0 : -1;
}

static int take_log(struct bytes *b, const struct head *head)
{
    char *path = take_string(b);
    if (!path)
        return -1;
    int rc = log_take(*path ? path : NULL, (enum log_level)head->log_level, head->log_json, head->log);
    log_fix_zone();
    free(path);
    return rc;
}

/* The mappings of the master's memory. 0, or -1 with errno. */
static int take_shared(const struct head *head, struct heritage *h)
{
    if (!(h->scoreboard = scoreboard_map(head->scoreboard_fd, head->n_slots)))
        return -1;
    if (head->vault_fd >= 0 && !(h->vault = vault_map(head->vault_fd)))
        return -1;
    if (head->limits_fd >= 0 && !(h->limits = limits_map(head->limits_fd, head->n_slots)))
        return -1;
    return head->tickets_fd >= 0 && !(h->tickets = tickets_map(head->tickets_fd)) ? -1 : 0;
}

static int take_all(struct bytes *b, struct handover *ret, char why[HANDOVER_WHY])
{
    struct head head;
    struct heritage *h = &ret->heritage;
    const void *p = take(b, sizeof head);
    if (!p || (memcpy(&head, p, sizeof head), head.size != sizeof head) ||
        strncmp(head.version, TINE_VERSION, sizeof head.version) != 0) {
        snprintf(
            why, HANDOVER_WHY,
            "the server is Tine %.31s, this module is Tine %s: install the same version of both; a server that runs "
            "takes a new one by SIGUSR2 or a restart",
            p ? head.version : "?", TINE_VERSION);
        return -1;
    }
    if (head.dumpable != 1 && (prctl(PR_SET_DUMPABLE, 0) < 0 || !exec_guard_end())) {
        snprintf(why, HANDOVER_WHY, "cannot keep other processes of this user out: %s", strerror(errno));
        return -1;
    }
    if (head.log_wary)
        log_require_trusted_path();
    errno = EINVAL; /* for what is torn */
    ret->kind = (enum handover_kind)head.kind;
    h->slot = head.slot;
    h->generation = head.generation;
    h->main_interpreter = head.main_interpreter;
    h->ipc_fd = head.ipc_fd;
    h->stacks_fd = head.stacks_fd;
    if (take_listeners(b, head.n_listeners, h) == 0 && take_log(b, &head) == 0 && take_shared(&head, h) == 0 &&
        fd_set_cloexec(h->ipc_fd) == 0 && (h->stacks_fd < 0 || fd_set_cloexec(h->stacks_fd) == 0)) {
        struct conf_loaded *l = conf_unpack((struct span){ b->p + b->at, b->n - b->at });
        h->conf = l ? conf_loaded_get(l) : NULL;
    }
    if (!h->conf)
        snprintf(why, HANDOVER_WHY, "what the master handed down cannot be used: %s", strerror(errno));
    return h->conf ? 0 : -1;
}

int handover_take(int fd, struct handover *ret, char why[HANDOVER_WHY])
{
    struct stat st;
    *ret = (struct handover){ 0 };
    void *p = fstat(fd, &st) == 0 && st.st_size > 0 ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0)
                                                    : MAP_FAILED;
    fd_close(&fd);
    if (p == MAP_FAILED) {
        snprintf(why, HANDOVER_WHY, "what the master handed down cannot be read: %s", strerror(errno));
        return -1;
    }
    struct bytes b = { .p = p, .n = (size_t)st.st_size };
    int rc = take_all(&b, ret, why);
    munmap(p, (size_t)st.st_size);
    return rc;
}
