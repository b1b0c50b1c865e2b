/* forwarded.h: believes Forwarded (RFC 7239) and X-Forwarded-For/-Proto/-Host/-Port from trusted peers: sets the
 * request's client, scheme and host. Otherwise leaves everything as it is. The fields stay visible to the application.
 * When a trusted peer sends both kinds, Forwarded wins. Walks from the right over trusted addresses to the first that
 * is not trusted. Malformed values are ignored as a whole. */
#ifndef TINE_HTTP_FORWARDED_H
#define TINE_HTTP_FORWARDED_H

struct conf_nets;
struct req;
struct sockaddr;

/* peer: the address of the connection (after PROXY protocol: the address that it gave). */
void forwarded_apply(struct req *r, const struct conf_nets *trusted, const struct sockaddr *peer);

#endif
