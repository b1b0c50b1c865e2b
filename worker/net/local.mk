# net and http make one library: the arrows between them are tested by tests/lint.
net_sources = worker/net/proto.h worker/net/transport.h worker/net/accept.h worker/net/accept.c \
	worker/net/share.h worker/net/share.c worker/net/exclusive.h worker/net/exclusive.c \
	worker/net/proxy_step.h worker/net/proxy_step.c worker/net/proxy_protocol.h worker/net/proxy_protocol.c \
	worker/net/conn.h worker/net/conn.c worker/net/conn_io.h worker/net/conn_in.c worker/net/conn_out.c \
	worker/net/deadline.h worker/net/deadline.c worker/net/tcp.c \
	worker/net/tls.h worker/net/tls_priv.h worker/net/tls_set.c worker/net/tls_ctx.c worker/net/tls_cert.c worker/net/tls_sni.c \
	worker/net/tls_tickets.c worker/net/tls_bio.c worker/net/tls_conn.c worker/net/tls_hello.c worker/net/tls_info.c
