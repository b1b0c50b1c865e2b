# SPDX-License-Identifier: BSD-3-Clause
"""app.loop = asyncio and uvloop: a loop of asyncio's that is not ours owns the thread (loop_ops.h says what a Host has)."""

import asyncio
import importlib
import pkgutil

from _tine_life import Life


# The public name warns since Python 3.14.
_get_policy = getattr(asyncio.events, '_get_event_loop_policy', None) or asyncio.get_event_loop_policy


def _new_loop(package, factory):
    if factory:
        loop = pkgutil.resolve_name(factory)()
        if not isinstance(loop, asyncio.AbstractEventLoop):
            raise TypeError(f'app.loop_factory {factory} returned {loop!r}, which is no event loop of asyncio')
        return loop
    if package:
        return importlib.import_module(package).new_event_loop()
    return asyncio.new_event_loop()  # the policy's


class _AnyContext:
    """Lets a callback run in the context that there is. The handle of a reader has one of its own, which cannot be entered again
    by a loop that something runs inside itself (nest_asyncio): asyncio would log that in every round."""

    @staticmethod
    def run(callback, *args):
        callback(*args)


class Host:
    def __init__(self, package, factory):
        self._policy = None if package or factory else _get_policy()
        self.asyncio = _new_loop(package, factory)
        self.version = getattr(importlib.import_module(package), '__version__', None) if package else None
        self._life = Life(self.asyncio)
        self.call_soon = self.asyncio.call_soon
        self.hand_over = self._life.hand_over
        self.stop = self.asyncio.stop
        self.shutdown = self._life.end

    def run(self, descriptor, turn):
        loop = self.asyncio
        self._descriptor, self._turn = descriptor, turn
        self._life.begin()
        self.resume()
        loop.call_soon(turn)
        try:
            loop.run_forever()
        finally:
            if not loop.is_closed():
                loop.remove_reader(descriptor)

    def pause(self):
        self.asyncio.remove_reader(self._descriptor)

    def resume(self):
        self.asyncio.add_reader(self._descriptor, self._turn)
        try:
            handle = self.asyncio._selector.get_key(self._descriptor).data[0]
            handle._context = _AnyContext
        except (AttributeError, KeyError, TypeError):  # another loop than asyncio's own
            pass

    def is_whole(self):
        """Nor has the application chosen another policy while it was imported: its loop is the one to run then."""
        return (not self.asyncio.is_closed() and not self.asyncio.is_running()
                and self._policy in (None, _get_policy()))
