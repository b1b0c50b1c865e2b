/* SPDX-License-Identifier: BSD-3-Clause */
/* vault.h: what only the master may read, on its way to the workers: the files of certificates and keys, as bytes. Shared
 * memory that has no name, written by the master alone and left out of core dumps.
 *
 * There are two areas: the master fills the one that is not in use and then says so, so that a worker that reads at the
 * same time has a whole copy of one state or the other.
 */
#ifndef TINE_COMMON_VAULT_H
#define TINE_COMMON_VAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VAULT_SIZE (8u << 20) /* of all files together; pages are taken as they are used */

struct vault;

/* A KEY and an OCSP belong to the CERT before them. */
enum vault_kind { VAULT_CERT, VAULT_KEY, VAULT_OCSP, VAULT_CA, VAULT_PASSWORD };

struct vault_entry {
    enum vault_kind kind;
    const char *host; /* of a CERT: the name that it is for; "" = any */
    const char *path;
    const char *data;
    size_t n;
};

/* Zeroed. NULL with errno. */
struct vault *vault_new(void);
/* In a worker that is another program: by the master's vault_fd(), which it takes over, for reading only. NULL with errno. */
struct vault *vault_map(int fd);
int vault_fd(const struct vault *vault);
void vault_free(struct vault *vault);

/* --- master --- */

/* Begins a new state, which no reader sees before vault_publish(). */
void vault_begin(struct vault *vault);
/* Where the bytes of an entry go; *ret_room: how many fit. NULL: there is no room. Then vault_added(). */
char *vault_add(struct vault *vault, enum vault_kind kind, const char *host, const char *path, size_t *ret_room);
void vault_added(struct vault *vault, size_t n);
/* The state before is wiped: an old key stays nowhere. */
void vault_publish(struct vault *vault);
/* Wipes what was begun, with `n` bytes after what was added. */
void vault_cancel(struct vault *vault, size_t n);

/* --- workers --- */

/* 0: nothing was published. Grows with each state. */
uint32_t vault_version(const struct vault *vault);
/* A copy of the present state to be wiped and freed by vault_forget(). NULL: out of memory. */
char *vault_copy(const struct vault *vault, size_t *ret_n, uint32_t *ret_version);
void vault_forget(char *copy, size_t n);
/* The entry at *at, which moves on; false: there is none. Pointers go into the copy. */
bool vault_next(const char *copy, size_t n, size_t *at, struct vault_entry *ret);

#endif
