/* SPDX-License-Identifier: BSD-3-Clause */
/* vault.c: passes the files of certificates and keys to the workers in shared memory. An entry is a head, host and path
 * with their NULs, and the data, each entry at a multiple of 8. */
#include "common/vault.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/fdutil.h"
#include "common/shared.h"

/* Workers can write here, if their application was taken over: the master reads nothing back that it relies on. */
struct areas {
    _Atomic(uint32_t) version; /* its lowest bit is the area in use */
    uint32_t used[2];
    char area[2][VAULT_SIZE];
};

struct vault {
    struct areas *areas;
    struct shared shared; /* the memory behind them */
    uint32_t version; /* master; and how much of the area that is not in use has been filled, entry by entry: */
    size_t begins, data, used;
    size_t dirty[2]; /* what may hold bytes */
};

struct head {
    uint32_t kind, n_host, n_path, n_data;
};

struct vault *vault_new(void)
{
    struct vault *vault = calloc(1, sizeof(*vault));
    if (!vault)
        return NULL;
    if (shared_new(&vault->shared, "tine vault", sizeof(*vault->areas)) < 0) {
        free(vault);
        return NULL;
    }
    shared_keep_out_of_dumps(&vault->shared);
    vault->areas = vault->shared.p;
    return vault;
}

struct vault *vault_map(int fd)
{
    struct vault *vault = calloc(1, sizeof(*vault));
    if (!vault) {
        fd_close(&fd);
        return NULL;
    }
    if (shared_map(&vault->shared, fd, sizeof(*vault->areas), false) < 0) {
        free(vault);
        return NULL;
    }
    shared_keep_out_of_dumps(&vault->shared);
    vault->areas = vault->shared.p;
    return vault;
}

int vault_fd(const struct vault *vault)
{
    return vault->shared.fd;
}

void vault_free(struct vault *vault)
{
    if (vault)
        shared_free(&vault->shared);
    free(vault);
}

static unsigned spare(const struct vault *vault)
{
    return (vault->version + 1) & 1;
}

/* An area that is not in use. Who copies it still sees that the version has moved on, and does it again. */
static void wipe(struct vault *vault, unsigned i)
{
    explicit_bzero(vault->areas->area[i], vault->dirty[i]);
    vault->dirty[i] = 0;
}

void vault_begin(struct vault *vault)
{
    wipe(vault, spare(vault));
    vault->used = 0;
}

static size_t aligned(size_t n)
{
    return (n + 7) & ~(size_t)7;
}

char *vault_add(struct vault *vault, enum vault_kind kind, const char *host, const char *path, size_t *ret_room)
{
    unsigned i = spare(vault);
    struct head head = { .kind = kind, .n_host = (uint32_t)strlen(host), .n_path = (uint32_t)strlen(path) };
    size_t at = vault->used, names = sizeof(head) + head.n_host + head.n_path + 2;
    if (VAULT_SIZE - at < names + 8)
        return NULL;
    char *p = vault->areas->area[i] + at;
    memcpy(p, &head, sizeof(head));
    memcpy(p + sizeof(head), host, head.n_host + 1);
    memcpy(p + sizeof(head) + head.n_host + 1, path, head.n_path + 1);
    vault->begins = at;
    vault->data = at + names;
    *ret_room = VAULT_SIZE - at - names - 8;
    return p + names;
}

void vault_added(struct vault *vault, size_t n)
{
    uint32_t n_data = (uint32_t)n;
    memcpy(vault->areas->area[spare(vault)] + vault->begins + offsetof(struct head, n_data), &n_data, sizeof(n_data));
    vault->used = aligned(vault->data + n);
    vault->dirty[spare(vault)] = vault->used;
}

void vault_publish(struct vault *vault)
{
    unsigned before = vault->version & 1;
    vault->areas->used[spare(vault)] = (uint32_t)vault->used;
    atomic_store_explicit(&vault->areas->version, ++vault->version, memory_order_release);
    atomic_thread_fence(memory_order_seq_cst); /* the version moves on before the first byte goes */
    wipe(vault, before);
}

void vault_cancel(struct vault *vault, size_t n)
{
    size_t all = vault->data + n;
    vault->dirty[spare(vault)] = all < VAULT_SIZE ? all : VAULT_SIZE;
    wipe(vault, spare(vault));
}

uint32_t vault_version(const struct vault *vault)
{
    return atomic_load_explicit(&vault->areas->version, memory_order_acquire);
}

/* The area in use is only written again once the version has moved on. */
char *vault_copy(const struct vault *vault, size_t *ret_n, uint32_t *ret_version)
{
    for (;;) {
        uint32_t version = vault_version(vault);
        size_t n = vault->areas->used[version & 1];
        n = n < VAULT_SIZE ? n : VAULT_SIZE;
        char *copy = malloc(n ? n : 1);
        if (!copy)
            return NULL;
        memcpy(copy, vault->areas->area[version & 1], n);
        atomic_thread_fence(memory_order_acquire);
        if (vault_version(vault) == version) {
            *ret_n = n;
            *ret_version = version;
            return copy;
        }
        vault_forget(copy, n);
    }
}

void vault_forget(char *copy, size_t n)
{
    if (copy)
        explicit_bzero(copy, n);
    free(copy);
}

bool vault_next(const char *copy, size_t n, size_t *at, struct vault_entry *ret)
{
    struct head head;
    if (n - *at < sizeof(head))
        return false;
    const char *p = copy + *at;
    memcpy(&head, p, sizeof(head));
    size_t names = sizeof(head) + (size_t)head.n_host + head.n_path + 2;
    if (n - *at < names || n - *at - names < head.n_data)
        return false;
    *ret = (struct vault_entry){ .kind = (enum vault_kind)head.kind,
                                 .host = p + sizeof(head),
                                 .path = p + sizeof(head) + head.n_host + 1,
                                 .data = p + names,
                                 .n = head.n_data };
    *at += aligned(names + head.n_data);
    if (*at > n)
        *at = n;
    return true;
}
