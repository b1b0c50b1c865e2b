# SPDX-License-Identifier: BSD-3-Clause
"""app.loop = gevent: gevent's hub owns the thread (loop_ops.h says what a Host has). What runs requests as its greenlets is
worker/wsgi/wsgi_greenlet.c, which leaves the request in spawn_tree_locals of each, and so of all greenlets that it spawns."""

import gc
import os
import traceback

import gevent
import gevent.hub
import greenlet

import _tine

_READ = 1
_LAST = -2  # of libev's priorities
# In a stack dump, as faulthandler has it for threads.
_MOST_GREENLETS = 100
_MOST_FRAMES = 100


def _request_of(greenlet):
    return (getattr(greenlet, 'spawn_tree_locals', None) or {}).get('tine.request')


def _stack_of(one):
    request = _request_of(one)
    yield f'\nGreenlet of {request!r} (most recent call first):' if request is not None else \
        f'\nGreenlet {object.__repr__(one)} (most recent call first):'
    frame, n = one.gr_frame, 0
    while frame is not None and n < _MOST_FRAMES:
        yield f'  File "{frame.f_code.co_filename}", line {frame.f_lineno} in {frame.f_code.co_name}'
        frame, n = frame.f_back, n + 1


def _waiting():
    """Greenlets that have begun and wait; those of requests first. Types are asked, since objects can lie about their class."""
    all_of_them = [one for one in gc.get_objects() if issubclass(type(one), greenlet.greenlet) and one.gr_frame is not None]
    return sorted(all_of_them, key=lambda one: _request_of(one) is None)


class Host:
    asyncio = None

    def __init__(self, package, factory):
        self.version = gevent.__version__
        gevent.reinit()  # a hub that was made in a mold, when the application was imported there
        self._hub = gevent.get_hub()
        self._loop = self._hub.loop
        self._watcher = self._soon = self._end = self._asked = None
        self._steps = ()
        self._hub.print_exception = self._print_exception
        os.register_at_fork(after_in_child=self._in_child)

    def _in_child(self):
        """The hub goes on in a child, which may use it, but the server's descriptor is closed there."""
        self.watch_steps(None)
        for left in (self._watcher, self._soon, self._asked):
            if left is not None:
                left.stop()
        self._watcher = self._soon = self._asked = None

    def _print_exception(self, context, kind, value, trace):
        """Of a greenlet that nobody waits for, or a callback of the hub; to the error log, unless the application has turned
        this off as gevent lets it."""
        if not self._hub.exception_stream:
            return
        request = _request_of(context)
        first = f'Exception in a greenlet of {request!r}' if request is not None else 'Exception in a greenlet or callback of gevent'
        try:
            first += f' ({context!r})' if context is not None else ''
        except Exception:
            first += f' ({object.__repr__(context)})'
        text = first.replace('\n', ' ') + '\n' + ''.join(traceback.format_exception(kind, value, trace))
        _tine.log(40, text.replace('\0', '\\x00'))

    def run(self, descriptor, turn):
        self._end = gevent.hub.Waiter(self._hub)
        self._watcher = self._loop.io(descriptor, _READ)
        self._watcher.start(turn)
        self.call_soon(turn)
        try:
            self._end.get()
        finally:
            self._watcher.stop()
            self._watcher.close()
            self._watcher = None

    def stop(self):
        self._loop.run_callback(self._end.switch, None)

    def call_soon(self, callback):
        self._soon = self._loop.run_callback(callback)

    def watch_steps(self, loop):
        """Notes each step of a greenlet or of the hub at a LoopBase; None: no more."""
        if self._steps:
            greenlet.settrace(self._traced_before)
        for watcher in self._steps:
            watcher.stop()
            watcher.close()
        self._steps = ()
        if loop is None:
            return
        begins = loop._step_begins

        def trace(event, switch):
            if before is not None:
                before(event, switch)
            request = _request_of(switch[1])
            begins(str(request) if request is not None else '')

        before = self._traced_before = greenlet.settrace(trace)
        check, prepare = self._loop.check(ref=False), self._loop.prepare(ref=False, priority=_LAST)
        check.start(begins, '')
        prepare.start(loop._step_ends)
        self._steps = check, prepare

    def write_stacks_to(self, descriptor):
        """Returns an eventfd: when something is written to it, the stacks of greenlets go to `descriptor`."""
        asked = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._asked = self._loop.io(asked, _READ)
        self._asked.start(self._write_stacks, asked, descriptor)
        return asked

    def _write_stacks(self, asked, descriptor):
        os.eventfd_read(asked)
        waiting = _waiting()
        lines = [line for one in waiting[:_MOST_GREENLETS] for line in _stack_of(one)]
        if len(waiting) > _MOST_GREENLETS:
            lines.append(f'\nand {len(waiting) - _MOST_GREENLETS} more greenlets')
        data = '\n'.join([*lines, '']).encode(errors='backslashreplace')
        try:
            while data:
                data = data[os.write(descriptor, data):]
        except OSError:
            pass

    def is_whole(self):
        return gevent.get_hub() is self._hub and self._hub.loop is self._loop

    def shutdown(self, seconds):
        """Greenlets that the application has left end with the process, as in every server of gevent; the hub stays, since the
        threads that the end of Python waits for are greenlets."""
