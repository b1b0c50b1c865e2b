# SPDX-License-Identifier: BSD-3-Clause
"""The extensions of ASGI, one use each, chosen by path."""

import os
import tempfile

from apps.kit import as_json, body, dispatch, query, start, text
from apps.report import report

LINES = b"".join(b"line %06d\n" % i for i in range(100000))


def scratch(data=LINES):
    f = tempfile.TemporaryFile()
    f.write(data)
    f.flush()
    f.seek(0)
    return f


async def hints(scope, receive, send):
    """?n answers of 103, then a final one."""
    for i in range(int(query(scope).get("n", 1))):
        await send({"type": "http.response.early_hint", "links": [b"</style%d.css>; rel=preload" % i, b"</s.js>; rel=preload"]})
    await text(send, "final")


async def hint_after_start(scope, receive, send):
    await start(send, headers=[(b"content-length", b"2")])
    try:
        await send({"type": "http.response.early_hint", "links": [b"</late.css>; rel=preload"]})
    except Exception:
        pass
    await body(send, b"ok")


async def bad_hint(scope, receive, send):
    try:
        await send({"type": "http.response.early_hint", "links": [b"a\r\nx: y"]})
        error = None
    except Exception as e:
        error = type(e).__name__
    await as_json(send, error)


async def trailers(scope, receive, send):
    await start(send, headers=[(b"trailer", b"x-sum, x-more")], trailers=True)
    await body(send, b"with ", more=True)
    await body(send, b"trailers")
    await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"1")], "more_trailers": True})
    await send({"type": "http.response.trailers", "headers": [(b"x-more", b"2")], "more_trailers": False})


async def trailers_whole(scope, receive, send):
    """The body in one message: still chunked, because trailers follow."""
    await start(send, trailers=True)
    await body(send, b"whole")
    await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"1")]})


async def trailers_sized(scope, receive, send):
    await start(send, headers=[(b"content-length", b"5")], trailers=True)
    await body(send, b"sized")
    await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"1")]})


async def trailers_forgotten(scope, receive, send):
    await start(send, trailers=True)
    await body(send, b"body")


async def trailers_bad(scope, receive, send):
    await start(send, trailers=True)
    await body(send, b"body")
    await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"1\r\nx: y")]})


async def path(scope, receive, send):
    """?size=N makes a file of so many bytes; ?length=1 tells it."""
    q = query(scope)
    data = (LINES * (int(q["size"]) // len(LINES) + 1))[:int(q["size"])]
    with tempfile.NamedTemporaryFile() as f:
        f.write(data)
        f.flush()
        await start(send, headers=[(b"content-length", b"%d" % len(data))] if "length" in q else [])
        await send({"type": "http.response.pathsend", "path": f.name})


async def path_missing(scope, receive, send):
    await start(send)
    try:
        await send({"type": "http.response.pathsend", "path": "/nonexistent/file"})
    except OSError as e:
        report(path="path_missing", error=type(e).__name__)
        raise


async def path_folder(scope, receive, send):
    await start(send)
    await send({"type": "http.response.pathsend", "path": "/"})


async def zero(scope, receive, send):
    """?offset, ?count as given; ?length=N tells a content-length; ?seek moves the file first; ?fd sends a number."""
    q = query(scope)
    with scratch() as f:
        if "seek" in q:
            f.seek(int(q["seek"]))
        message = {"type": "http.response.zerocopysend", "file": f.fileno() if "fd" in q else f}
        for key in ("offset", "count"):
            if key in q:
                message[key] = int(q[key])
        await start(send, headers=[(b"content-length", q["length"].encode())] if "length" in q else [])
        await send(message)


async def zero_parts(scope, receive, send):
    """Files between ordinary bytes."""
    with scratch() as f:
        await start(send)
        await body(send, b"[", more=True)
        await send({"type": "http.response.zerocopysend", "file": f, "offset": 12, "count": 12, "more_body": True})
        await body(send, b"|", more=True)
        await send({"type": "http.response.zerocopysend", "file": f, "offset": 0, "count": 12, "more_body": True})
        await body(send, b"]")


async def zero_sized_parts(scope, receive, send):
    with scratch() as f:
        await start(send, headers=[(b"content-length", b"26")])
        await body(send, b"[", more=True)
        await send({"type": "http.response.zerocopysend", "file": f, "offset": 12, "count": 12, "more_body": True})
        await send({"type": "http.response.zerocopysend", "file": f, "offset": 0, "count": 12, "more_body": True})
        await body(send, b"]")


async def zero_short(scope, receive, send):
    """More is asked for than the file has."""
    with scratch(b"short") as f:
        await start(send, headers=[(b"content-length", b"100")])
        await send({"type": "http.response.zerocopysend", "file": f, "offset": 0, "count": 100})


async def zero_pipe(scope, receive, send):
    """Not a file: an error for the application, which may answer otherwise."""
    r, w = os.pipe()
    os.close(w)
    try:
        await start(send)
        try:
            await send({"type": "http.response.zerocopysend", "file": r, "offset": 0, "count": 5})
        except Exception as e:
            report(path="zero_pipe", error=type(e).__name__)
            raise
        report(path="zero_pipe", error=None)
    finally:
        os.close(r)


app = dispatch(hints, hint_after_start, bad_hint, trailers, trailers_whole, trailers_sized, trailers_forgotten, trailers_bad,
               path, path_missing, path_folder, zero, zero_parts, zero_sized_parts, zero_short, zero_pipe)
