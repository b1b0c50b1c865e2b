# SPDX-License-Identifier: BSD-3-Clause
"""What a request can tell about the scope that it came with and the worker that it runs in."""

import asyncio
import html
import os
import platform
import sys
import threading
import time

from . import answers


def interpreter():
    """'main' or 'sub-interpreter N', or 'unknown' where Python does not tell."""
    try:
        import _interpreters as interpreters  # 3.13 and later
    except ImportError:
        try:
            import _xxsubinterpreters as interpreters
        except ImportError:
            return "unknown"
    current, main = interpreters.get_current(), interpreters.get_main()
    if isinstance(current, tuple):
        current, main = current[0], main[0]
    return "main" if current == main else f"sub-interpreter {int(current)}"


def facts(scope):
    state = scope.get("state", {})
    loop = asyncio.get_running_loop()
    started = state.get("started")
    return {
        "process": os.getpid(),
        "master": os.getppid(),
        "interpreter": interpreter(),
        "python": platform.python_version(),
        "event loop": f"{type(loop).__module__}.{type(loop).__qualname__}",
        "tasks": len(asyncio.all_tasks()),
        "threads": threading.active_count(),
        "up for": "unknown" if started is None else f"{time.monotonic() - started:.1f} s",
        "request": next(state["numbers"]) if "numbers" in state else "unknown",
    }


def readable(value):
    """The scope with bytes as text, so that JSON can show it."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, dict):
        return {str(key): readable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [readable(item) for item in value]
    if isinstance(value, (str, int, float, bool)) or value is None:
        return value
    return repr(value)


async def json_page(scope, receive, send):
    await answers.as_json(send, {
        "message": "Hello from Tine", "method": scope["method"], "path": scope["path"],
        "query": scope["query_string"].decode("latin-1"), "worker": facts(scope)})


async def scope_page(scope, receive, send):
    from .pages import small_page, table

    if not answers.wants_html(scope):
        await answers.as_json(send, {"scope": readable(scope), "worker": facts(scope), "argv": sys.argv})
        return
    plain = {key: value for key, value in scope.items() if key != "headers"}
    fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    body = ("<h2>Worker</h2>" + table(facts(scope).items()) + "<h2>Scope</h2>"
            + table((key, repr(value)) for key, value in plain.items())
            + f"<h2>Header fields <small>{len(fields)}</small></h2>" + table(fields))
    await answers.page(send, small_page("Scope", body))


def rows(pairs):
    return "".join(f"<tr><th scope=row>{html.escape(str(key))}</th><td>{html.escape(str(value))}</td></tr>"
                   for key, value in pairs)
