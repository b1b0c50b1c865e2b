# SPDX-License-Identifier: BSD-3-Clause
"""Applications that break the rules, one way each, chosen by path. Parts that must be on the wire first are: the client
reads them and only then sends the byte of request body that lets the application go on."""

from apps.kit import as_json, body, dispatch, query, start, text
from apps.report import report


async def ok(scope, receive, send):
    await text(send, "ok")


async def informational(scope, receive, send):
    await start(send, int(query(scope)["code"]))
    await body(send, b"x")


async def bad_status(scope, receive, send):
    await start(send, "OK")


async def too_long(scope, receive, send):
    await start(send, headers=[(b"content-length", b"5")])
    await body(send, b"Hello, World!")


async def too_long_later(scope, receive, send):
    await start(send, headers=[(b"content-length", b"5")])
    await body(send, b"Hel", more=True)
    try:
        await body(send, b"lo, World!", more=True)
    except Exception as e:
        report(path="too_long_later", error=type(e).__name__)
        raise
    report(path="too_long_later", error=None)


async def too_short(scope, receive, send):
    await start(send, headers=[(b"content-length", b"20")])
    await body(send, b"Hello")


async def bad_length(scope, receive, send):
    await start(send, headers=[(b"content-length", query(scope)["v"].encode("latin-1"))])
    await body(send, b"Hello")


async def two_lengths(scope, receive, send):
    await start(send, headers=[(b"content-length", b"5"), (b"content-length", b"6")])
    await body(send, b"Hello")


async def returns_early(scope, receive, send):
    pass


async def raises(scope, receive, send):
    raise ValueError("secret of the application")


class Odd(BaseException):
    pass


async def raises_base(scope, receive, send):
    raise Odd("no Exception")


async def raises_chained(scope, receive, send):
    try:
        raise KeyError("inner")
    except KeyError as e:
        raise RuntimeError("outer") from e


async def raises_after_start(scope, receive, send):
    await start(send)
    raise ValueError("after start")


async def raises_after_part(scope, receive, send):
    await start(send)
    await body(send, b"part", more=True)
    await receive()
    raise ValueError("after part")


async def raises_after_sized_part(scope, receive, send):
    await start(send, headers=[(b"content-length", b"10")])
    await body(send, b"part", more=True)
    await receive()
    raise ValueError("after sized part")


async def raises_after_end(scope, receive, send):
    await text(send, "ok")
    raise ValueError("after end")


async def returns_after_start(scope, receive, send):
    await start(send)


async def returns_after_part(scope, receive, send):
    await start(send)
    await body(send, b"part", more=True)
    await receive()


async def body_first(scope, receive, send):
    await body(send, b"x")


async def two_starts(scope, receive, send):
    await start(send)
    await start(send)
    await body(send, b"x")


async def start_after_part(scope, receive, send):
    await start(send)
    await body(send, b"part", more=True)
    await receive()
    await start(send, 500)


async def bad_value(scope, receive, send):
    await text(send, "ok", headers=[(b"x-bad", b"a" + bytes.fromhex(query(scope)["hex"]) + b"b")])


async def bad_name(scope, receive, send):
    await text(send, "ok", headers=[(bytes.fromhex(query(scope)["hex"]), b"1")])


async def bad_field_caught(scope, receive, send):
    """The application may catch the refusal and answer otherwise."""
    try:
        await start(send, headers=[(b"x-bad", b"a\r\nb: c")])
    except Exception as e:
        await as_json(send, [type(e).__name__])


async def unknown_message(scope, receive, send):
    await send({"type": "http.response.unheard"})


async def no_dict(scope, receive, send):
    await send(["http.response.start"])


async def no_type(scope, receive, send):
    await send({"status": 200})


async def no_status(scope, receive, send):
    await send({"type": "http.response.start", "headers": []})


async def str_body(scope, receive, send):
    await start(send)
    await body(send, "text")


async def odd_headers(scope, receive, send):
    await send({"type": "http.response.start", "status": 200,
                "headers": {"int": 5, "three": [(b"a", b"b", b"c")], "one": [b"a"], "none": [None]}[query(scope)["kind"]]})
    await body(send, b"x")


app = dispatch(ok, informational, bad_status, too_long, too_long_later, too_short, bad_length, two_lengths, returns_early,
               raises, raises_base, raises_chained, raises_after_start, raises_after_part, raises_after_sized_part,
               raises_after_end, returns_after_start, returns_after_part, body_first, two_starts, start_after_part, bad_value,
               bad_name, bad_field_caught, unknown_message, no_dict, no_type, no_status, str_body, odd_headers)
