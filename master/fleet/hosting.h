/* SPDX-License-Identifier: BSD-3-Clause */
/* hosting.h: a child on its way to being the application's Python (worker/host): what it says of that, and the module of
 * Tine that it loads, which its generation keeps open for those that are born later. What is installed may change while
 * the service runs; a module of another version would not fit this master. */
#ifndef TINE_MASTER_FLEET_HOSTING_H
#define TINE_MASTER_FLEET_HOSTING_H

struct generation;
struct held_module;
struct ipc_msg;

enum hosting {
    HOSTING_OURS, /* forked by this program, which it still is */
    HOSTING_AWAY, /* another program, which has not said yet that it is a Python and has our module */
    /* It has, or a mold has forked it. Code of the application may run in it: nothing that it says of Python is believed
     * any more. */
    HOSTING_DONE,
};

/* ipc_recv(), which has seen to BECOMES and HOSTED when it returns them. generation NULL: nobody wants to know. */
int hosting_recv(enum hosting *state, struct generation *generation, int fd, struct ipc_msg *ret_msg)
    __attribute__((warn_unused_result));
/* The module that a child of `generation` is given: its own, else that of the generation that serves (NULL: none does).
 * NULL: none is known yet. */
const struct held_module *hosting_module(const struct generation *generation, const struct generation *serving);

#endif
