# SPDX-License-Identifier: BSD-3-Clause
"""Ways to hold the event loop for ever, and to grow; each names its process first. /pid answers at once."""

import asyncio
import ctypes
import os
import re
import time

from apps.kit import dispatch, query, text
from apps.report import report

grown = []


async def pid(scope, receive, send):
    await text(send, str(os.getpid()))


async def python(scope, receive, send):
    """In Python, where signals would be seen."""
    report(hangs="python")
    while True:
        pass


async def calls(scope, receive, send):
    """The same with a system call now and then."""
    report(hangs="calls")
    while True:
        os.stat("/")


async def native(scope, receive, send):
    """In C with the GIL held: a pattern that backtracks for ages."""
    report(hangs="native")
    re.match(r"(a*)*b", "a" * 64)


async def locked(scope, receive, send):
    """In a call of a library that keeps the GIL."""
    report(hangs="locked")
    while ctypes.PyDLL(None).sleep(1_000_000):  # a signal ends it
        pass


async def sleep(scope, receive, send):
    """In C without the GIL."""
    report(hangs="sleep")
    time.sleep(float(query(scope).get("s", 1e6)))
    await text(send, "slept")


async def waits(scope, receive, send):
    """Holds nothing: a request that takes long."""
    report(waits=query(scope).get("n"))
    await asyncio.sleep(float(query(scope)["s"]))
    await text(send, "waited")


async def grow(scope, receive, send):
    grown.append(b"x" * int(query(scope)["n"]))
    await text(send, str(os.getpid()))


async def later(scope, receive, send):
    """In a step that comes after others."""
    await asyncio.sleep(0.01)
    await asyncio.sleep(0)
    time.sleep(0.5)
    await text(send, "later")


async def block():
    time.sleep(0.5)


async def task(scope, receive, send):
    """In a task of its own."""
    await asyncio.create_task(block())
    await text(send, "done")


async def after(scope, receive, send):
    """When the answer has been sent."""
    await text(send, "sent")
    time.sleep(0.5)


app = dispatch(pid, python, calls, native, locked, sleep, waits, grow, later, task, after)
