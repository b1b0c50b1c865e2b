# SPDX-License-Identifier: BSD-3-Clause
"""Who is called when: counts the calls that run on one connection at a time; waits where the path says so."""

import asyncio

from apps.kit import as_json, body, dispatch, query, start, text
from apps.report import report

running = {}
gates = {}


async def count(scope, receive, send):
    """How many calls of this client run while this one does."""
    client = tuple(scope["client"])
    running[client] = running.get(client, 0) + 1
    most = running[client]
    for _ in range(10):
        await asyncio.sleep(0)
        most = max(most, running[client])
    running[client] -= 1
    await as_json(send, {"n": query(scope)["n"], "most": most})


async def wait(scope, receive, send):
    """Answers when open is called with the same name."""
    name = query(scope)["gate"]
    event = gates.setdefault(name, asyncio.Event())
    report(path="wait", gate=name)
    await event.wait()
    gates.pop(name, None)
    await text(send, f"waited for {name}")


async def open(scope, receive, send):
    gates.setdefault(query(scope)["gate"], asyncio.Event()).set()
    await text(send, "opened")


async def slow(scope, receive, send):
    report(path="slow")
    await asyncio.sleep(float(query(scope)["s"]))
    await text(send, "slow")


async def quick(scope, receive, send):
    report(path="quick", query=query(scope))
    await text(send, "quick")


async def large(scope, receive, send):
    await start(send, headers=[(b"content-length", b"65536")])
    await body(send, b"L" * 65536)


async def answers_then_waits(scope, receive, send):
    """The answer is over, the call is not."""
    await text(send, "answered")
    name = query(scope)["gate"]
    event = gates.setdefault(name, asyncio.Event())
    report(path="answers_then_waits", gate=name)
    await event.wait()
    gates.pop(name, None)


app = dispatch(count, wait, open, slow, quick, large, answers_then_waits)
