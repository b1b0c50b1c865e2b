/* SPDX-License-Identifier: BSD-3-Clause */
/* readiness.h: whether requests are welcome here: what a load balancer asks. */
#ifndef TINE_MASTER_READINESS_H
#define TINE_MASTER_READINESS_H

struct service;

/* NULL: ready; else why not, in a few words. */
const char *readiness_fault(const struct service *service);

#endif
