# SPDX-License-Identifier: BSD-3-Clause
"""app.loop = curio: a kernel of curio owns the thread (loop_ops.h says what a Host has).

One task takes the turns. Whatever curio lets nobody but a task do (to start and to cancel another one) is left to that
task, for the end of the turn in which it was asked.
"""

import concurrent.futures

import curio
from curio.task import ContextTask
from curio.traps import _future_wait, _read_wait


class _Waiter(concurrent.futures.Future):
    """A task waits here until set_result(); curio wakes it by the callback of its own."""

    def __await__(self):
        if not self.done():
            yield from _future_wait(self).__await__()


class _Scope:
    """What a request runs in: its task, once that is there."""

    def __init__(self, host):
        self._host = host
        self.task = None

    def cancel(self):
        self._host.to_cancel.append(self)


class _Descriptor:
    def __init__(self, number):
        self.fileno = lambda: number


class Host:
    asyncio = None
    call_soon = None
    version = getattr(curio, '__version__', None)
    cancelled = curio.TaskCancelled,  # a TaskTimeout is one of its kind, but an error of the application's

    def __init__(self, package, factory):
        self._kernel = curio.Kernel(taskcls=ContextTask)  # each task has its context variables
        self._to_start, self.to_cancel = [], []
        self._ends = False

    def run(self, descriptor, turn):
        self._ends = False
        self._kernel.run(self._serve, _Descriptor(descriptor), turn)

    async def _serve(self, descriptor, turn):
        while True:
            turn()
            while self._to_start or self.to_cancel:
                await self._work()
            if self._ends:
                return
            await _read_wait(descriptor)

    async def _work(self):
        starts, self._to_start = self._to_start, []
        for scope, coroutine in starts:
            scope.task = await curio.spawn(_run, scope, coroutine, daemon=True)
        cancels, self.to_cancel = self.to_cancel, []
        for scope in cancels:
            if scope.task is not None:
                await scope.task.cancel(blocking=False)

    def stop(self):
        self._ends = True

    def is_whole(self):
        return True

    waiter = _Waiter

    def scope(self):
        return _Scope(self)

    @staticmethod
    async def scoped(scope, application, *args):
        return await application(*args)

    def start(self, scope, coroutine):
        self._to_start.append((scope, coroutine))
        return scope

    @staticmethod
    def checkpoint():
        return curio.sleep(0)

    async def hand_over(self, call, *args):
        raise RuntimeError("called in another thread than the server's event loop: use curio.UniversalQueue or AWAIT()")

    def tasks(self):
        for task in self._kernel._tasks.values():
            coroutine = task.coro
            if coroutine.cr_code is not Host._serve.__code__:
                yield task.name if coroutine.cr_code is not _run.__code__ else 'tine: request', coroutine, _scope_of(coroutine)

    def shutdown(self, seconds):
        async def finish():
            me = await curio.current_task()
            tasks = [task for task in self._kernel._tasks.values() if task is not me]
            for task in tasks:
                await task.cancel(blocking=False)
            async with curio.ignore_after(seconds):
                for task in tasks:
                    await task.wait()
        self._kernel.run(finish)


def _scope_of(coroutine):
    frame = coroutine.cr_frame
    return frame.f_locals['scope'] if frame is not None and coroutine.cr_code is _run.__code__ else None


async def _run(scope, coroutine):
    try:
        await coroutine
    except BaseException:  # was reported, with the request that it comes from
        pass
