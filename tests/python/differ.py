# SPDX-License-Identifier: BSD-3-Clause
"""Runs a coroutine function once under loop.create_task() and in each way the task runner has, and compares what it saw."""

import asyncio
import gc
import sys
import traceback
import types

import __main__
import _tine_test

# A module that was imported before there was a runner.
early = sys.modules["early"] = types.ModuleType("early")
early.current_task, early.everyone = asyncio.current_task, asyncio.all_tasks

_tine_test.use(__main__.pyloop)
DEADLINE = 20


def plain(value):
    """What two runs can be compared by: exceptions by type and arguments, tasks by nothing but being one."""
    if isinstance(value, BaseExceptionGroup):
        return (type(value).__name__, [plain(e) for e in value.exceptions])
    if isinstance(value, BaseException):
        return (type(value).__name__, [plain(a) for a in value.args])
    if isinstance(value, asyncio.Future):
        return "<" + type(value).__name__ + ">"
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value


class Log(list):
    """What a case saw. `me()` is its Task, asked for and remembered."""

    def __init__(self):
        super().__init__()
        self.task = None
        self.ends = []

    def __call__(self, *values):
        self.append(plain(values))

    def me(self):
        task = asyncio.current_task()
        if self.task is not None and task is not self.task:
            self("another task")
        self.task = task
        return task

    def end(self, result, exception):
        self.ends.append((plain(result), plain(exception)))


def task_end(task):
    if task.cancelled():
        return "cancelled"
    return plain(task.exception() or task.result())


# Each starts case(log) so that log.end() is called once; called from a callback of the loop.
def by_create_task(case, log):
    def on_done(task):
        if task.cancelled():
            log.end(None, task._make_cancelled_error())
        else:
            log.end(None if task.exception() else task.result(), task.exception())

    async def server():  # keeps the case's call inside the Task, as a server does
        return await case(log)

    asyncio.get_running_loop().create_task(server()).add_done_callback(on_done)


def by_start(case, log):
    _tine_test.start(case(log), log.end)


def by_call(case, log):
    _tine_test.call(log.end, case, log)


def from_a_task(case, log):
    async def outer():
        _tine_test.call(log.end, case, log)

    asyncio.get_running_loop().create_task(outer())


def in_debug_mode(case, log):
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    try:
        _tine_test.call(log.end, case, log)
    finally:
        loop.set_debug(False)


def with_factory(name, factory, begin):
    """`begin` while the loop has the task factory `factory`."""

    def way(case, log):
        loop = asyncio.get_running_loop()
        loop.set_task_factory(factory)
        try:
            begin(case, log)
        finally:
            loop.set_task_factory(None)

    way.__name__ = name
    return way


def simple_factory(loop, coro, **keywords):
    return asyncio.Task(coro, loop=loop, **keywords)


# (how the runner is used, what it must equal)
WAYS = [
    (by_start, by_create_task),
    (by_call, by_create_task),
    (from_a_task, by_create_task),
    (in_debug_mode, by_create_task),
    (
        with_factory("by_a_factory", simple_factory, by_call),
        with_factory("create_task_by_a_factory", simple_factory, by_create_task),
    ),
]
if hasattr(asyncio, "eager_task_factory"):
    WAYS.append(
        (
            with_factory("by_the_eager_factory", asyncio.eager_task_factory, by_call),
            with_factory("create_task_by_the_eager_factory", asyncio.eager_task_factory, by_create_task),
        )
    )


async def settle(log, loop):
    """The end, then the turns that callbacks of the end take."""
    async with asyncio.timeout(DEADLINE):
        while not log.ends:
            await asyncio.sleep(0.001)
        for _ in range(20):
            await asyncio.sleep(0)
        if log.task is not None and not log.task.done():
            await asyncio.wait([log.task])


def run(case, way):
    loop = asyncio.get_event_loop()
    log, complaints = Log(), []
    loop.set_exception_handler(lambda loop, context: complaints.append(plain(context.get("exception")) or context["message"]))
    started = []

    def begin():
        try:
            way(case, log)
        except BaseException as e:
            started.append(e)

    loop.call_soon(begin)
    waiting = settle(log, loop)
    try:
        loop.run_until_complete(waiting)
    except TimeoutError:
        raise AssertionError(f"no end: {list(log)} {started}") from None
    if started:
        raise started[0]
    end = task_end(log.task) if log.task else log.ends[-1]
    cancelling = log.task.cancelling() if log.task else 0
    ends, entries = len(log.ends), list(log)
    log = waiting = None
    gc.collect()
    loop.run_until_complete(asyncio.sleep(0))
    loop.set_exception_handler(None)
    return {"log": entries, "end": end, "ends": ends, "cancelling": cancelling, "complaints": complaints}


def compare(case):
    expected_of = {}
    for way, reference in WAYS:
        if reference not in expected_of:
            expected_of[reference] = run(case, reference)
        got, expected = run(case, way), expected_of[reference]
        assert got == expected, f"{way.__name__}:\n  expected {expected}\n  got      {got}"
        assert _tine_test.running() == 0, f"{way.__name__}: still running"


def main(namespace):
    """Runs every case_* by comparison and every test_* as it is; prints the score."""
    failed = passed = 0
    only = sys.argv[1:]
    for name, function in list(namespace.items()):
        if not name.startswith(("case_", "test_")) or not callable(function) or (only and name not in only):
            continue
        try:
            function() if name.startswith("test_") else compare(function)
            passed += 1
        except BaseException:
            failed += 1
            print(f"FAILED {name}", flush=True)
            traceback.print_exc()
    _tine_test.free()
    print(f"{passed} passed, {failed} failed", flush=True)
    if failed:
        sys.exit(1)
