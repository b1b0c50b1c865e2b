# net and http make one library: the arrows between them are tested by tests/lint.
net_sources = worker/net/proto.h worker/net/transport.h worker/net/conn.h worker/net/deadline.h worker/net/accept.h \
	worker/net/proxy_protocol.h worker/net/proxy_protocol.c
