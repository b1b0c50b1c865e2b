/* protocols.h: the only list of protocols: which one speaks on a new connection. */
#ifndef TINE_WORKER_PROTOCOLS_H
#define TINE_WORKER_PROTOCOLS_H

struct conn;
struct proto_ops;

const struct proto_ops *protocols_choose(struct conn *c);

#endif
