# SPDX-License-Identifier: BSD-3-Clause
"""Ways to answer: whole, streamed, as events, late, or with a refusal."""

import asyncio
import html
import json
import time
from urllib.parse import parse_qs

STREAM_LINES = 20
STREAM_PAUSE = 0.2
# EventSource connects again by itself; an end gives a draining worker a chance to finish.
SSE_EVENTS = 60
SLEEP_LIMIT_MS = 10_000


class Finished(Exception):
    """The head of an answer to HEAD is out: the rest need not be made."""


def head_only(send):
    """Wraps a function of this module so that a handler of GET can answer HEAD; see `streaming`."""

    async def send_head(message):
        if message["type"] == "http.response.start":
            await send(message)
        elif message["type"] == "http.response.body":
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            if message.get("more_body"):
                raise Finished
        else:
            await send(message)

    return send_head


def streaming(handler):
    async def handle(scope, receive, send):
        try:
            await handler(scope, receive, send)
        except Finished:
            pass

    return handle


def wants_html(scope):
    return any(name == b"accept" and b"text/html" in value for name, value in scope["headers"])


async def whole(send, body, content_type, status=200, headers=()):
    body = body.encode() if isinstance(body, str) else body
    await send({
        "type": "http.response.start",
        "status": status,
        "headers": [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode()), *headers],
    })
    await send({"type": "http.response.body", "body": body})


async def empty(send, status, headers=()):
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body"})


async def page(send, body, status=200, headers=()):
    await whole(send, body, "text/html; charset=utf-8", status, headers)


async def as_json(send, value, status=200, headers=()):
    await whole(send, json.dumps(value, indent=2, default=repr) + "\n", "application/json", status, headers)


async def problem(scope, send, status, text, headers=()):
    if wants_html(scope):
        from .pages import small_page

        body = small_page(str(status), f"<p>{html.escape(text)}</p>")
        await page(send, body, status, headers)
    else:
        await whole(send, text + "\n", "text/plain; charset=utf-8", status, headers)


@streaming
async def stream(scope, receive, send):
    """No Content-Length, so HTTP/1.1 gets chunks: one line each 200 ms."""
    await send({"type": "http.response.start", "status": 200, "headers": [
        (b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff")]})
    started = time.monotonic()
    for number in range(1, STREAM_LINES + 1):
        line = f"line {number:2} of {STREAM_LINES}, {time.monotonic() - started:5.2f} s after the first\n"
        await send({"type": "http.response.body", "body": line.encode(), "more_body": number < STREAM_LINES})
        if number < STREAM_LINES:
            await asyncio.sleep(STREAM_PAUSE)


@streaming
async def sse(scope, receive, send):
    """A clock as server-sent events, one a second, until the client goes away."""
    gone = asyncio.ensure_future(wait_for_disconnect(receive))
    try:
        await send({"type": "http.response.start", "status": 200, "headers": [
            (b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]})
        for number in range(1, SSE_EVENTS + 1):
            event = f"id: {number}\nevent: clock\ndata: {time.strftime('%H:%M:%S')}\n\n"
            await send({"type": "http.response.body", "body": event.encode(), "more_body": True})
            await asyncio.wait([gone], timeout=1.0)
            if gone.done():
                return
        await send({"type": "http.response.body"})
    except OSError:
        pass  # the client went away between two events
    finally:
        gone.cancel()


async def wait_for_disconnect(receive):
    while (await receive())["type"] != "http.disconnect":
        pass


async def sleep(scope, receive, send):
    text = parse_qs(scope["query_string"].decode("latin-1")).get("ms", ["100"])[-1]
    if not (text.isascii() and text.isdigit() and int(text[:9]) <= SLEEP_LIMIT_MS and len(text) < 9):
        await problem(scope, send, 400, f"ms must be a whole number from 0 to {SLEEP_LIMIT_MS}.")
        return
    started = time.monotonic()
    await asyncio.sleep(int(text) / 1000)
    slept = round((time.monotonic() - started) * 1000, 1)
    await as_json(send, {"asked_ms": int(text), "slept_ms": slept})
