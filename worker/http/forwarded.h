/* SPDX-License-Identifier: BSD-3-Clause */
/* forwarded.h: believes what a trusted peer says of the client, in the fields that the configuration names and in no
 * others: sets the request's client and scheme, and if http.forwarded_host says so its host, the port of its server and
 * its prefix. Every field stays visible to the application as it came.
 *
 * http.forwarded_family names the fields: X-Forwarded-For and X-Forwarded-Proto or -Ssl, X-Forwarded-For alone, Forwarded
 * (RFC 7239), or none. Most proxies write one family and pass the other on as the client sent it, so the presence of a
 * field proves nothing. For the same reason X-Forwarded-Host, -Port, -Prefix and "host" of Forwarded need
 * http.forwarded_host as well.
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
 * which the peer wrote. X-Forwarded-Port and -Prefix: the right-most.
 * http, https, ws and wss are known; a host has to be valid (head_rules_valid_host) and not empty; a request without
 * Host does not get one; a prefix is an absolute path of plain segments. What is not valid is ignored.
 * X-Forwarded-Ssl (on, off) counts where the configuration names it; else a request in which it contradicts the X-Forwarded-Proto that counts is
 * refused.
 */
#ifndef TINE_HTTP_FORWARDED_H
#define TINE_HTTP_FORWARDED_H

struct conf_http;
struct refusal;
struct req;
struct sockaddr;

/* That the fields of a peer that is not trusted are ignored is logged once.
 * peer: the address of the connection (after PROXY protocol: the address that it gave). Without memory nothing is
 * changed but scheme, host and prefix. NULL, or why the request is refused. */
const struct refusal *forwarded_apply(struct req *r, const struct conf_http *conf, const struct sockaddr *peer);

#endif
