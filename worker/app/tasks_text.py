# SPDX-License-Identifier: BSD-3-Clause
"""The tasks of a loop as text: for each its name, the request that it works for, the chain of coroutines that await each other, from
the outermost on, and what the innermost waits for."""

import asyncio

MOST = 50000  # bytes: they have to fit into a pipe
DEEP = 50
KINDS = (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"), ("ag_frame", "ag_await"))


def chain(awaitable):
    """The lines of its frames, and what the last of them waits for (None: nothing that shows)."""
    lines = []
    while awaitable is not None and len(lines) < DEEP:
        for frame_name, next_name in KINDS:
            frame = getattr(awaitable, frame_name, None)
            if frame is not None:
                code = frame.f_code
                lines.append(f"    {code.co_filename}:{frame.f_lineno} in {getattr(code, 'co_qualname', code.co_name)}")
                awaitable = getattr(awaitable, next_name, None)
                break
        else:
            break
    return lines, awaitable


def waits_for(task, awaitable):
    waiter = getattr(task, "_fut_waiter", None)
    if isinstance(waiter, asyncio.Task):
        return f"waits for {waiter.get_name()}"
    if waiter is not None:
        return f"waits for a {type(waiter).__name__}"
    return "is about to run" if awaitable is None else f"waits for a {type(awaitable).__name__}"


def one(task, described):
    lines, awaitable = chain(task.get_coro())
    about = described.get(task)
    cancelled = ", being cancelled" if task.cancelling() else ""
    return "\n".join([f"{task.get_name()}{f' ({about})' if about else ''}: {waits_for(task, awaitable)}{cancelled}", *lines, ""])


def number(task):
    """Task-10 after Task-9; names of the application's own after those."""
    head, _, tail = task.get_name().rpartition("-")
    return (0, int(tail), "") if head == "Task" and tail.isdigit() and len(tail) < 18 else (1, 0, task.get_name())


def one_of_host(name, coroutine, about):
    """Of another loop's: what its innermost coroutine is doing says what it waits for."""
    return "\n".join([f"{name}{f' ({about})' if about else ''}:", *chain(coroutine)[0], ""])


def text(loop, described, host):
    """`host`: where the tasks are not asyncio's."""
    if loop is not None:
        tasks = [one(task, described) for task in sorted(asyncio.all_tasks(loop), key=number)]
    elif hasattr(host, "tasks"):
        tasks = [one_of_host(name, coroutine, described.get(scope)) for name, coroutine, scope in host.tasks()]
    else:
        return b"this loop has no tasks: its greenlets are among the stacks\n"
    parts, size = [f"{len(tasks)} task{'s' if len(tasks) != 1 else ''}\n"], 0
    for i, task in enumerate(tasks):
        part = task.encode("utf-8", "backslashreplace").decode()
        size += len(part.encode())
        if size > MOST:
            parts.append(f"and {len(tasks) - i} more\n")
            break
        parts.append(part)
    return "".join(parts).encode()
