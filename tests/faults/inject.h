/* SPDX-License-Identifier: BSD-3-Clause */
/* inject.h: the page through which a test tells a server built with --enable-fault-injection which call is to fail.
 * tests/faults/faults.py writes the same layout. */
#ifndef TINE_TESTS_FAULTS_INJECT_H
#define TINE_TESTS_FAULTS_INJECT_H

#include <stdatomic.h>
#include <stdint.h>

enum fault_kind {
    FAULT_ALLOC = 1,   /* malloc and its kin, called by our own code */
    FAULT_PYTHON = 2,  /* making a Python object */
    FAULT_EVENT = 4,   /* event_add() */
    FAULT_ACCEPT = 8,
    FAULT_READ = 16,   /* read, recv, recvmsg */
    FAULT_WRITE = 32,  /* write, send, sendmsg, sendfile */
    FAULT_PROCESS = 64, /* fork, clone */
    FAULT_OPEN = 128,  /* descriptors made: open, socketpair, pipe, eventfd, timerfd */
};

#define FAULT_EACH UINT64_MAX

struct fault_page {
    _Atomic uint32_t kinds; /* which calls count; 0: none */
    _Atomic uint32_t pid;   /* of this process only */
    _Atomic uint32_t error; /* errno of the failed call; 0: the kind's own */
    _Atomic uint32_t fired; /* the call has failed */
    _Atomic uint64_t seen;  /* calls counted */
    _Atomic uint64_t at;    /* this one fails (from 1); 0: none; FAULT_EACH: all of them */
};

#endif
