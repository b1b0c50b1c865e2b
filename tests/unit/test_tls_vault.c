/* SPDX-License-Identifier: BSD-3-Clause */
/* test_tls_vault.c: the vault of certificates and the keys of session tickets, between a master and its worker. */
#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/scoreboard.h"
#include "common/tickets.h"
#include "common/vault.h"
#include "unit.h"

static void put(struct vault *v, enum vault_kind kind, const char *host, const char *path, const char *data)
{
    size_t room = 0;
    char *to = vault_add(v, kind, host, path, &room);
    CHECK(to && room > strlen(data));
    memcpy(to, data, strlen(data));
    vault_added(v, strlen(data));
}

static bool is(const struct vault_entry *e, enum vault_kind kind, const char *host, const char *path, const char *data)
{
    return e->kind == kind && !strcmp(e->host, host) && !strcmp(e->path, path) && e->n == strlen(data) &&
           !memcmp(e->data, data, e->n);
}

static void test_entries(void)
{
    struct vault *v = vault_new();
    struct vault_entry e;
    size_t n = 1, at = 0;
    uint32_t version = 9;
    char *copy = vault_copy(v, &n, &version);
    CHECK(copy && n == 0 && version == 0 && !vault_next(copy, n, &at, &e));
    vault_forget(copy, n);

    vault_begin(v);
    put(v, VAULT_CERT, "", "a.crt", "certificate");
    put(v, VAULT_KEY, "", "a.key", "");
    put(v, VAULT_CA, "host", "ca", "x");
    CHECK(vault_version(v) == 0);
    vault_publish(v);
    CHECK(vault_version(v) == 1);
    copy = vault_copy(v, &n, &version);
    CHECK(vault_next(copy, n, &at, &e) && is(&e, VAULT_CERT, "", "a.crt", "certificate"));
    CHECK(vault_next(copy, n, &at, &e) && is(&e, VAULT_KEY, "", "a.key", ""));
    CHECK(vault_next(copy, n, &at, &e) && is(&e, VAULT_CA, "host", "ca", "x"));
    CHECK(!vault_next(copy, n, &at, &e));
    vault_forget(copy, n);
    vault_free(v);
}

/* What is begun and not published is seen by nobody. */
static void test_states(void)
{
    struct vault *v = vault_new();
    struct vault_entry e;
    size_t n, at = 0;
    uint32_t version;
    for (int i = 0; i < 3; i++) {
        vault_begin(v);
        put(v, VAULT_CERT, "", "old", "old");
        vault_publish(v);
    }
    vault_begin(v);
    put(v, VAULT_CERT, "", "new", "new");
    char *copy = vault_copy(v, &n, &version);
    CHECK(version == 3 && vault_next(copy, n, &at, &e) && is(&e, VAULT_CERT, "", "old", "old"));
    CHECK(!vault_next(copy, n, &at, &e));
    vault_forget(copy, n);
    vault_free(v);
}

static void test_room(void)
{
    struct vault *v = vault_new();
    size_t room = 0;
    vault_begin(v);
    char *to = vault_add(v, VAULT_CERT, "", "big", &room);
    CHECK(to && room < VAULT_SIZE);
    vault_added(v, room);
    CHECK(!vault_add(v, VAULT_KEY, "", "more", &room));
    vault_publish(v);
    vault_free(v);
}

/* Bytes cut anywhere are no entry, and are not read beyond their end. */
static void test_damage(void)
{
    struct vault *v = vault_new();
    struct vault_entry e;
    size_t n, at;
    uint32_t version;
    vault_begin(v);
    put(v, VAULT_CERT, "host", "path", "12345678");
    vault_publish(v);
    char *copy = vault_copy(v, &n, &version);
    for (size_t cut = 0; cut < 16 + 5 + 5 + 8; cut++) {
        at = 0;
        CHECK(!vault_next(copy, cut, &at, &e));
    }
    vault_forget(copy, n);
    vault_free(v);
}

static void test_across_a_fork(void)
{
    struct vault *v = vault_new();
    struct tickets *t = tickets_new();
    int down[2], up[2];
    char byte;
    CHECK(v && t && pipe(down) == 0 && pipe(up) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        (void)!read(down[0], &byte, 1);
        _exit(vault_version(v) == 1 && tickets_before(t)->name[0] == 'x' ? 0 : 1);
    }
    vault_begin(v);
    vault_publish(v);
    t->keys->key[t->keys->turn % 3].name[0] = 'x';
    CHECK(tickets_rotate(t) == 0);
    CHECK(write(down[1], "", 1) == 1);
    int status = -1;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    vault_free(v);
    tickets_free(t);
}

/* As a worker does that is another program. */
static void test_by_descriptor(void)
{
    struct vault *v = vault_new();
    struct tickets *t = tickets_new();
    struct scoreboard *board = scoreboard_new(3);
    CHECK(v && t && board);
    struct vault *v2 = vault_map(dup(vault_fd(v)));
    struct tickets *t2 = tickets_map(dup(tickets_fd(t)));
    struct scoreboard *board2 = scoreboard_map(dup(board->shared.fd), 3);
    CHECK(v2 && t2 && board2);
    vault_begin(v);
    vault_publish(v);
    CHECK(vault_version(v2) == vault_version(v) && vault_version(v) == 1);
    CHECK(tickets_rotate(t) == 0);
    CHECK(!memcmp(tickets_present(t2), tickets_present(t), sizeof(struct ticket_key)));
    score_add64(&board2->slot[2].requests, 7);
    CHECK(board->slot[2].requests == 7);
    CHECK(!scoreboard_map(dup(tickets_fd(t)), 3) && errno == EINVAL);
    CHECK(!vault_map(dup(tickets_fd(t))) && errno == EINVAL);
    CHECK(ftruncate(vault_fd(v), 0) < 0);
    scoreboard_free(board2);
    tickets_free(t2);
    vault_free(v2);
    scoreboard_free(board);
    tickets_free(t);
    vault_free(v);
}

static void test_tickets(void)
{
    struct tickets *t = tickets_new();
    CHECK(memcmp(tickets_present(t), tickets_before(t), sizeof(struct ticket_key)) != 0);
    for (int i = 0; i < 7; i++) {
        struct ticket_key present = *tickets_present(t);
        CHECK(tickets_rotate(t) == 0);
        CHECK(memcmp(&present, tickets_before(t), sizeof present) == 0);
        CHECK(memcmp(&present, tickets_present(t), sizeof present) != 0);
    }
    tickets_free(t);
}

int main(void)
{
    test_entries();
    test_states();
    test_room();
    test_damage();
    test_across_a_fork();
    test_by_descriptor();
    test_tickets();
    return unit_done();
}
