/* SPDX-License-Identifier: BSD-3-Clause */
/* certs.h: the files of [tls] as bytes; workers may not be allowed to read them: read with the master's rights when a generation
 * is made, and again when they change (tls.watch). Knows nothing of what is in them: workers judge that.
 */
#ifndef TINE_MASTER_CERTS_H
#define TINE_MASTER_CERTS_H

#include <stdbool.h>
#include <stdint.h>

struct conf;
struct fleet;
struct vault;

/* Of one generation. */
struct certs {
    struct vault *vault; /* NULL: nothing listens with TLS */
    uint64_t stamp; /* of the files that were read last */
    uint64_t seen; /* of the files at the last look; they must stay as they are from one look to the next */
    uint64_t look_ms; /* when to look again */
    int64_t warned; /* the end of the certificate that was warned of last */
    uint64_t warn_ms; /* when to warn of it again */
};

/* Reads all files. 0, or -1: *ret_why is what is wrong, to be freed (NULL: out of memory). */
int certs_open(struct certs *certs, const struct conf *conf, char **ret_why) __attribute__((warn_unused_result));
void certs_close(struct certs *certs);
/* Once a tick: reads changed files of the current generation again; warns of a certificate that expires within two weeks,
 * once a day; rotates the keys of session tickets. True: the workers are to take up new files. */
bool certs_tick(struct fleet *fleet);

#endif
