# SPDX-License-Identifier: BSD-3-Clause
"""app.loop = trio: trio.run() owns the thread (loop_ops.h says what a Host has).

Each request is a task of the worker's nursery, in a cancel scope of its own. A task that does not end when all is
cancelled cannot be left behind in trio: the run is then ended by its clock.
"""

import time

import trio

import _tine

# How long tasks have that were cancelled because the worker ends.
_LEAVE_AFTER = 1


class RequestCancelled(Exception):
    """The cancel scope of a request was cancelled by the server, and has taken in trio.Cancelled."""


class _TasksLeft(Exception):
    """Tasks of the application ignore that they were cancelled."""


class _Clock(trio.abc.Clock):
    """trio's own, which can also end the run."""

    def __init__(self):
        self.ends_run = False

    def start_clock(self):
        pass

    def current_time(self):
        return time.perf_counter()

    def deadline_to_sleep_time(self, deadline):
        if self.ends_run:
            raise _TasksLeft
        return deadline - self.current_time()


class _Waiter:
    """A task waits here until set_result()."""

    __slots__ = '_task', '_done'

    def __init__(self):
        self._task = None
        self._done = False

    def done(self):
        return self._done

    def set_result(self, value):
        self._done = True
        task, self._task = self._task, None
        if task is not None:
            trio.lowlevel.reschedule(task)

    def _abort(self, raise_cancel):
        self._task = None
        self._done = True
        return trio.lowlevel.Abort.SUCCEEDED

    def __await__(self):
        if self._done:
            return
        self._task = trio.lowlevel.current_task()
        yield from trio.lowlevel.wait_task_rescheduled(self._abort).__await__()


class Host:
    asyncio = None
    version = trio.__version__
    waiter = _Waiter
    scope = trio.CancelScope
    checkpoint = staticmethod(trio.lowlevel.checkpoint)
    cancelled = trio.Cancelled, RequestCancelled

    def __init__(self, package, factory):
        self._nursery = self._scope = self._turn = None
        self._parked = None  # the task that takes the turns that no descriptor shows, while it waits
        self._wanted = False

    def run(self, descriptor, turn):
        clock = _Clock()
        try:
            trio.run(self._main, descriptor, turn, clock, clock=clock)
        except trio.TrioInternalError as error:
            if not isinstance(error.__cause__, _TasksLeft):
                raise
            _tine.log(30, 'tasks of the application have not ended though they were cancelled: they are left')
        finally:
            self._nursery = self._scope = self._parked = None

    async def _main(self, descriptor, turn, clock):
        self._turn = turn
        self._wanted = False
        try:
            async with trio.open_nursery() as outer:
                self._scope = outer.cancel_scope
                async with trio.open_nursery() as self._nursery:
                    self._nursery.start_soon(self._wait, descriptor, name='tine: connections')
                    self._nursery.start_soon(self._take_turns, name='tine: turns')
                    outer.start_soon(self._see_end, clock, name='tine: end')
                # A request has cancelled the nursery of its task, and so of all.
                self.stop()
        finally:
            self._turn = None

    async def _wait(self, descriptor):
        self._turn()
        while True:
            await trio.lowlevel.wait_readable(descriptor)
            self._turn()

    async def _take_turns(self):
        def abort(raise_cancel):
            self._parked = None
            return trio.lowlevel.Abort.SUCCEEDED

        while True:
            if not self._wanted:
                self._parked = trio.lowlevel.current_task()
                await trio.lowlevel.wait_task_rescheduled(abort)
            else:
                await trio.lowlevel.checkpoint()
            self._wanted = False
            self._turn()

    def call_soon(self, turn):
        self._wanted = True
        parked, self._parked = self._parked, None
        if parked is not None:
            trio.lowlevel.reschedule(parked)

    async def _see_end(self, clock):
        """Ends the run some time after it was cancelled, unless all tasks end before."""
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                with trio.move_on_after(_LEAVE_AFTER):
                    while len(self._nursery.child_tasks) > 0:
                        await trio.sleep(0.01)
                    return
                clock.ends_run = True

    def stop(self):
        if self._scope is not None:
            self._scope.cancel()

    def is_whole(self):
        return True

    def start(self, scope, coroutine):
        if self._nursery is None:
            raise RuntimeError('trio does not run')
        self._nursery.start_soon(_run, scope, coroutine, name='tine: request')
        return scope

    @staticmethod
    async def scoped(scope, application, *args):
        with scope:
            return await application(*args)
        raise RequestCancelled

    async def hand_over(self, call, *args):
        try:
            trio.lowlevel.current_task()
        except RuntimeError:
            raise RuntimeError("called in another thread than the server's event loop: use trio.from_thread.run()") from None
        return await call(*args)

    def tasks(self):
        """Those of requests, each before what it has started in nurseries of its own, and what runs beside them."""
        todo = [(trio.lowlevel.current_root_task(), None)]
        while todo:
            task, scope = todo.pop()
            frame = task.coro.cr_frame
            if task.coro.cr_code is _run.__code__ and frame is not None:
                scope = frame.f_locals['scope']
            if task.coro.cr_code not in _OWN and not task.coro.__qualname__.startswith(('Runner.', 'TrioToken.')):
                yield task.name, task.coro, scope
            todo += [(child, scope) for nursery in task.child_nurseries for child in nursery.child_tasks]

    def shutdown(self, seconds):
        """Nothing outlives a run of trio."""


_OWN = frozenset(method.__code__ for method in (Host._main, Host._wait, Host._take_turns, Host._see_end))


async def _run(scope, coroutine):
    try:
        await coroutine
    except BaseException:  # was reported, with the request that it comes from
        pass
