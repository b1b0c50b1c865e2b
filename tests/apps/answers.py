# SPDX-License-Identifier: BSD-3-Clause
"""Well-behaved answers of every shape: one function each, chosen by path."""

from apps.kit import as_json, body, dispatch, query, start, text


async def sized(scope, receive, send):
    await text(send, "sized body", headers=[(b"x-kept", b"1")])


async def unsized(scope, receive, send):
    await start(send)
    await body(send, b"whole")


async def unsized_empty(scope, receive, send):
    await start(send)
    await body(send, b"")


async def no_body_key(scope, receive, send):
    await start(send)
    await send({"type": "http.response.body"})


async def stream(scope, receive, send):
    await start(send)
    for i in range(3):
        await body(send, b"part%d," % i, more=True)
    await body(send, b"end")


async def stream_empty_last(scope, receive, send):
    await start(send)
    await body(send, b"abc", more=True)
    await body(send, b"", more=True)
    await body(send, b"def", more=True)
    await body(send)


async def stream_sized(scope, receive, send):
    await start(send, headers=[(b"Content-Length", b"6")])
    await body(send, b"abc", more=True)
    await body(send, b"def", more=True)
    await body(send)


async def status(scope, receive, send):
    """?code=N with a body of ?n bytes, ?length sets content-length."""
    q = query(scope)
    headers = [(b"content-length", q["length"].encode())] if "length" in q else []
    await start(send, int(q["code"]), headers)
    await body(send, b"x" * int(q.get("n", 0)))


async def own_coding(scope, receive, send):
    await start(send, headers=[(b"transfer-encoding", query(scope)["te"].encode())])
    await body(send, b"one", more=True)
    await body(send, b"two")


async def own_coding_and_length(scope, receive, send):
    await start(send, headers=[(b"Transfer-Encoding", b"chunked"), (b"content-length", b"3")])
    await body(send, b"one")


async def close(scope, receive, send):
    await start(send, headers=[(b"content-length", b"2"), (b"Connection", b"close")])
    await body(send, b"ok")


async def close_unsized(scope, receive, send):
    await start(send, headers=[(b"connection", b"close")])
    await body(send, b"o", more=True)
    await body(send, b"k")


async def own_hop_by_hop(scope, receive, send):
    await start(send, headers=[(b"connection", b"keep-alive"), (b"content-length", b"2")])
    await body(send, b"ok")


async def values(scope, receive, send):
    await text(send, "ok", headers=[(b"x-tab", b"a\tb"), (b"x-space", b"a b  c"), (b"x-high", bytes(range(0x80, 0x100))),
                                    (b"x-empty", b""), (b"x-signs", b"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")])


async def generator(scope, receive, send):
    await send({"type": "http.response.start", "status": 200,
                "headers": (pair for pair in [[b"x-a", b"1"], (b"x-b", b"2"), (b"content-length", b"2")])})
    await body(send, b"ok")


async def tuples(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": ((b"x-a", b"1"), (b"content-length", b"2"))})
    await body(send, b"ok")


async def no_headers(scope, receive, send):
    await send({"type": "http.response.start", "status": 200})
    await body(send, b"ok")


async def str_header(scope, receive, send):
    """Which exceptions the application gets for headers that are no bytes."""
    seen = []
    for headers in ([("x-a", b"1")], [(b"x-a", "1")], [("x-a", "1")]):
        try:
            await start(send, headers=headers)
        except Exception as e:
            seen.append(type(e).__name__)
    await as_json(send, seen)


async def cookies(scope, receive, send):
    await text(send, "ok", headers=[(b"set-cookie", b"a=1"), (b"x-between", b"y"), (b"Set-Cookie", b"b=2")])


async def own_defaults(scope, receive, send):
    await text(send, "ok", headers=[(b"Server", b"mine/1"), (b"Date", b"Thu, 01 Jan 1970 00:00:00 GMT")])


async def after_end(scope, receive, send):
    """Goes on sending when the answer is over."""
    await start(send, headers=[(b"content-length", b"2")])
    await body(send, b"ok")
    await body(send, b"too late", more=True)
    await body(send, b"too late")
    await start(send, 500)
    await body(send, b"too late")


async def after_end_chunked(scope, receive, send):
    await start(send)
    await body(send, b"ok", more=True)
    await body(send)
    await body(send, b"too late", more=True)
    await start(send, 500)
    await body(send)


async def returns_value(scope, receive, send):
    await text(send, "ok")
    return 42


async def big(scope, receive, send):
    """?n bytes of a pattern in one message; ?sized=1 with length."""
    q = query(scope)
    n = int(q["n"])
    data = (bytes(range(251)) * (n // 251 + 1))[:n]
    await start(send, headers=[(b"content-length", b"%d" % n)] if "sized" in q else [])
    await body(send, data)


async def memory_views(scope, receive, send):
    await start(send)
    await body(send, bytearray(b"byte"), more=True)
    await body(send, memoryview(b"view"))


async def many_parts(scope, receive, send):
    """1000 parts of one digit line each."""
    await start(send)
    for i in range(1000):
        await body(send, b"%03d\n" % i, more=True)
    await body(send)


app = dispatch(sized, unsized, unsized_empty, no_body_key, stream, stream_empty_last, stream_sized, status, own_coding,
               own_coding_and_length, close, close_unsized, own_hop_by_hop, values, generator, tuples, no_headers, str_header,
               cookies, own_defaults, after_end, after_end_chunked, returns_value, big, memory_views, many_parts)
