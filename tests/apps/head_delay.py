# SPDX-License-Identifier: BSD-3-Clause
"""Responses whose head comes long before their body: each waits for /go. ASGI: `app`; WSGI: `wsgi`."""

import asyncio
import sys
import threading
from urllib.parse import parse_qsl

from apps.kit import body, dispatch, query, start, text

gates = {}


def gate_of(q):
    return gates.setdefault(q["tag"], asyncio.Event())


async def go(scope, receive, send):
    gate_of(query(scope)).set()
    await text(send, "ok")


async def waits(scope, receive, send):
    """?type=; ?length: a Content-Length; ?status="""
    q = query(scope)
    fields = [(b"content-type", q.get("type", "text/plain").encode())]
    if "length" in q:
        fields.append((b"content-length", b"4"))
    await start(send, int(q.get("status", 200)), fields)
    await gate_of(q).wait()
    if "fails" in q:
        raise ValueError("after the head")
    await body(send, b"body")


async def fails_at_once(scope, receive, send):
    await start(send, headers=[(b"content-type", b"text/event-stream")])
    raise ValueError("in the same step")


app = dispatch(go, waits, fails_at_once)

threads_gates = {}


def thread_gate(q):
    return threads_gates.setdefault(q["tag"], threading.Event())


def pieces(q, start_response):
    if q.get("first") == "empty":
        yield b""
    if "fails" in q and "waits" not in q:
        raise ValueError("in the same step")
    thread_gate(q).wait()
    if "fails" in q:
        raise ValueError("after the head")
    if "replaces" in q:
        try:
            raise ValueError("replaced")
        except ValueError:
            start_response("503 Service Unavailable", [("Content-Type", "text/plain")], sys.exc_info())
    yield b"body"


def wsgi(environ, start_response):
    q = dict(parse_qsl(environ["QUERY_STRING"]))
    if environ["PATH_INFO"] == "/go":
        thread_gate(q).set()
        start_response("200 OK", [])
        return [b"ok"]
    start_response("200 OK", [("Content-Type", q.get("type", "text/plain"))])
    return pieces(q, start_response)
