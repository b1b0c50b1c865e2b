# SPDX-License-Identifier: BSD-3-Clause
"""The life of the asyncio loop of a worker, our own or another one: what asyncio.run() does before and after its main task.

Uses what every loop of asyncio's has, and of ours nothing.
"""

import asyncio
import threading

from asyncio import base_events

# How long after somebody has cancelled the root task there is none: who cancels all tasks until none is left gets there.
_ROOT_PAUSE = 1
# So many times the application may end the loop while it is being shut down; then what is left is left.
_INTERRUPTIONS = 100


class _RootTask(asyncio.Task):
    """What asyncio.run(main()) would have as the Task of main(). Libraries find it by its callback (anyio ties its idle
    threads to it; without one they end with each request), which stops the loop: the loop must outlive a cancellation."""

    def cancel(self, msg=None):
        self.remove_done_callback(base_events._run_until_complete_cb)
        return super().cancel(msg)


class Life:
    def __init__(self, loop):
        self._loop = loop
        self._root = self._root_end = self._root_timer = None

    def begin(self):
        """The loop is about to run, and has a root task until end()."""
        if self._root_end is None:
            self._root_end = self._loop.create_future()
            self._begin_root()

    def _begin_root(self):
        async def serve(end):
            await asyncio.wait([end])
        self._root = _RootTask(serve(self._root_end), loop=self._loop, name='tine')
        self._root.add_done_callback(base_events._run_until_complete_cb)
        self._root.add_done_callback(self._on_root_done)

    def _on_root_done(self, root):
        if not self._root_end.done():
            self._root_timer = self._loop.call_later(_ROOT_PAUSE, self._begin_root)

    def _end_root(self):
        """Runs what libraries have asked it to call."""
        if self._root_end is None:
            return
        self._root_end.set_result(None)
        if self._root_timer:
            self._root_timer.cancel()
        self._root.remove_done_callback(base_events._run_until_complete_cb)
        self._finish(asyncio.wait([self._root]))

    async def hand_over(self, call, *args):
        """Awaits call(*args) on this loop, whichever thread's loop awaits this."""
        running = asyncio._get_running_loop()
        if running is self._loop:
            return await call(*args)
        if running is None:
            raise RuntimeError("called in another thread than the server's event loop, and awaited where no asyncio loop "
                               'runs: use asyncio.run_coroutine_threadsafe()')
        there = asyncio.run_coroutine_threadsafe(self.hand_over(call, *args), self._loop)
        return await asyncio.wrap_future(there)

    def end(self, seconds):
        """What asyncio.run() does after its main task, but tasks and threads that do not end are left after so many
        seconds."""
        loop = self._loop
        if loop.is_closed():
            return
        end = loop.time() + seconds
        try:
            self._end_root()
            self._cancel_all_tasks(end)
            self._finish(loop.shutdown_asyncgens())
            self._finish(self._end_executor(end))
        finally:
            asyncio.set_event_loop(None)
            loop.close()

    def _finish(self, coroutine):
        """Runs it to its end, whatever else ends the loop meanwhile: SystemExit of a task, stop() of a callback."""
        loop = self._loop
        task = loop.create_task(coroutine)
        for _ in range(_INTERRUPTIONS):
            try:
                loop.run_until_complete(task)
                return
            except (SystemExit, KeyboardInterrupt) as exception:
                loop.call_exception_handler({'message': 'the end of the event loop was interrupted',
                                             'exception': exception})
            except RuntimeError:  # stop()
                if task.done():
                    raise
        task._log_destroy_pending = False

    async def _end_executor(self, end):
        """shutdown_default_executor(), which waits for ever for a thread that never ends. uvloop does not show its
        executor: there it is asked for."""
        loop = self._loop
        if not hasattr(loop, '_default_executor'):
            ending = loop.create_task(loop.shutdown_default_executor())
            await asyncio.wait({ending}, timeout=max(0, end - loop.time()))
            ending._log_destroy_pending = False
            return
        loop._executor_shutdown_called = True
        executor = loop._default_executor
        if executor is None:
            return
        ended = loop.create_future()

        def wait():
            executor.shutdown(wait=True)
            try:
                loop.call_soon_threadsafe(lambda: ended.done() or ended.set_result(None))
            except RuntimeError:  # too late: the loop is closed
                pass

        threading.Thread(target=wait, name='tine-finish', daemon=True).start()
        await asyncio.wait({ended}, timeout=max(0, end - loop.time()))

    def _cancel_all_tasks(self, end):
        loop = self._loop
        tasks = asyncio.all_tasks(loop)
        if not tasks:
            return
        for task in tasks:
            task.cancel()

        async def wait():
            await asyncio.wait(tasks, timeout=max(0, end - loop.time()))

        self._finish(wait())
        for task in tasks:
            if not task.done():
                continue
            if not task.cancelled() and task.exception() is not None:
                loop.call_exception_handler({
                    'message': 'unhandled exception during shutdown of the event loop',
                    'exception': task.exception(),
                    'task': task,
                })
