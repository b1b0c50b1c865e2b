# SPDX-License-Identifier: BSD-3-Clause
"""Python in a process that the application has forked: what it has to forget, and how it ends.

Its C half has closed the server's descriptors by then and has given signals their default action (common/forked.h).
"""

import asyncio
import os
import sys
import threading


forker = None  # app.loop = gevent: the greenlet that has forked this process
known = None  # the child that CPython has made of itself by os.fork(); a fork in C goes unnoticed


class _End:
    """A work item for the thread of an executor that has forked: when its own one is done, the process has nothing left
    to do, and must not do what still waits for that thread in the parent."""

    def __init__(self, future, end_process):
        self.future, self.end_process = future, end_process

    def run(self, *_):
        future = self.future
        self.end_process(None if future is None or future.cancelled() else future.exception())


def _forget_loop():
    events = asyncio.events
    events._set_running_loop(None)
    # As CPython does it since 3.12: the policy's loop is the parent's.
    policy = getattr(events, '_event_loop_policy', None)
    if policy is not None and hasattr(policy, '_Local'):
        policy._local = policy._Local()
    loop = getattr(sys.modules.get('_tine_loop'), 'watching', None)
    if loop is not None:
        loop.forget_python_signals()


def _mend_main_thread():
    """The thread that forked is the main one now. An older CPython leaves it half made if it was not started by
    Python, as those that run WSGI are not, and processes of multiprocessing then end with status 1 (gh-102512)."""
    main = threading.main_thread()
    if isinstance(main, threading._DummyThread) and getattr(main, '_tstate_lock', main) is None:
        main.__class__ = threading._MainThread
        main._name, main._daemonic = 'MainThread', False
        main._set_tstate_lock()


def _forget_work(end_process):
    """In a thread of concurrent.futures, such as run_in_executor() and to_thread() have."""
    futures = sys.modules.get('concurrent.futures.thread')
    queues = getattr(futures, '_threads_queues', None)
    if not queues:
        return
    work = queues.get(threading.current_thread())
    queues.clear()  # their threads are not here, and nobody may wait for them
    if work is None:
        return
    while not work.empty():
        work.get_nowait()
    frame, future = sys._getframe(), None
    while frame is not None and future is None:
        item = frame.f_locals.get('work_item') if frame.f_globals is vars(futures) else None
        future = getattr(item, 'future', None)
        frame = frame.f_back
    if future is not None:
        future._done_callbacks = []  # they are for the parent's loop
    work.put(_End(future, end_process))


def _current_greenlet():
    """None where requests are not greenlets."""
    return sys.modules['gevent'].getcurrent() if '_tine_host_gevent' in sys.modules else None


def _is_copy():
    """Of a parent's request, which has come to its end because the child has run the hub."""
    current = _current_greenlet()
    return forker is not None and current is not forker and isinstance(current, sys.modules['gevent'].Greenlet)


def _wait_for_ever():
    """The child goes on with what it was forked for."""
    hub = sys.modules['gevent'].get_hub()
    while True:
        try:
            hub.switch()
        except BaseException:
            pass


def in_child(end_process):
    """After os.fork() and its relatives, in the child. What is private to CPython may be elsewhere in another version."""
    global forker, known
    known = os.getpid()
    forker = _current_greenlet()
    try:
        _mend_main_thread()
        _forget_loop()
        _forget_work(end_process)
    except Exception:
        sys.excepthook(*sys.exc_info())


def end(exception, callback, waits):
    """Control has come back to the server: (exit status, exception to report or None; status -1: it waits).

    callback: what the loop has called, or its handle, or None; a Task keeps an exception to itself.
    waits: a coroutine that is not done.
    """
    if _is_copy():
        _wait_for_ever()
    task = getattr(getattr(callback, '_callback', callback), '__self__', None)
    if isinstance(task, asyncio.Future):
        waits = exception is None and not task.done()
        if task.done():
            exception = None if task.cancelled() else task.exception()
    if exception is None or isinstance(exception, StopIteration):
        return -1 if waits else 0, None
    if isinstance(exception, SystemExit):
        return _status_of(exception.code), None
    return 1, exception


def _status_of(code):
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xff
    print(code, file=sys.stderr)
    return 1


def finish():
    """What multiprocessing does at the end of its children; atexit functions are the parent's."""
    try:
        if known == os.getpid():  # else it would wait for the parent's threads
            threading._shutdown()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass


def prepare(on_child):
    if hasattr(os, 'register_at_fork'):
        os.register_at_fork(after_in_child=on_child)
