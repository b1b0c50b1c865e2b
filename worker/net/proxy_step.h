/* SPDX-License-Identifier: BSD-3-Clause */
/* proxy_step.h: the PROXY protocol in front of the protocol proper, on listeners flagged "proxy". */
#ifndef TINE_NET_PROXY_STEP_H
#define TINE_NET_PROXY_STEP_H

struct proto_ops;
extern const struct proto_ops proto_proxy;

#endif
