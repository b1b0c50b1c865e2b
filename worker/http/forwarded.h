/* SPDX-License-Identifier: BSD-3-Clause */
/* forwarded.h: believes Forwarded (RFC 7239) and X-Forwarded-For/-Proto/-Host/-Port from trusted peers: sets the
 * request's client, scheme, host and the port of its server. Otherwise leaves everything as it is. The fields stay
 * visible to the application.
 *
 * When a trusted peer sends both kinds, Forwarded wins and the others are not looked at.
 *
 * Client: the walk goes from the right. The right-most address was written by the peer, so it is believed; while the
 * address that was believed last is trusted itself, the one to the left of it is believed too. The walk ends, and the
 * last believed address stays, at one that is not trusted, at "unknown", at an obfuscated identifier (RFC 7239 6.3),
 * at anything that is no address, at a Forwarded field line that is malformed, and after 64 hops.
 * A port that is not given is 0.
 *
 * Scheme and host: of Forwarded, the left-most "proto" and "host" among the elements that the walk passed, for all of
 * these were written by trusted hops. X-Forwarded-Proto and -Host are taken at the place in their list where the walk
 * ended if the list is as long as that of X-Forwarded-For (each hop added to all); else their right-most value counts,
 * which the peer wrote. X-Forwarded-Port: the right-most.
 * X-Forwarded-Ssl (on, off) beside any of these: an older word for the scheme, refused when it contradicts
 * X-Forwarded-Proto.
 * http, https, ws and wss are known; a host has to be valid (head_rules_valid_host) and not empty; a request without
 * Host does not get one. What is not valid is ignored.
 */
#ifndef TINE_HTTP_FORWARDED_H
#define TINE_HTTP_FORWARDED_H

struct conf_nets;
struct refusal;
struct req;
struct sockaddr;

/* peer: the address of the connection (after PROXY protocol: the address that it gave). Without memory nothing is
 * changed but scheme and host. NULL, or why the request is refused. */
const struct refusal *forwarded_apply(struct req *r, const struct conf_nets *trusted, const struct sockaddr *peer);

#endif
