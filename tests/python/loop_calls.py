# SPDX-License-Identifier: BSD-3-Clause
"""call_soon(), timers, handles, stop, exceptions, threads: what LoopBase does itself."""

import asyncio
import contextvars
import gc
import os
import signal
import socket
import sys
import threading
import warnings
import weakref

import _tine
from loop_check import Skip, case, raises, run_all

loop = globals()['loop']


def turn(calls=1):
    for _ in range(calls):
        loop.call_soon(loop.stop)
        loop.run_forever()


@case
def runs_in_order():
    out = []
    for i in range(1000):
        loop.call_soon(out.append, i)
    turn()
    assert out == list(range(1000))


@case
def what_is_made_ready_waits_for_the_next_turn():
    out = []

    def again(n):
        out.append(n)
        if n:
            loop.call_soon(again, n - 1)

    loop.call_soon(again, 3)
    loop.stop()
    loop.run_forever()
    assert out == [3]
    turn(5)
    assert out == [3, 2, 1, 0]


@case
def many_arguments_and_none():
    out = []
    loop.call_soon(lambda *a: out.append(a))
    loop.call_soon(lambda *a: out.append(a), *range(10))
    turn()
    assert out == [(), tuple(range(10))]


@case
def contexts():
    var = contextvars.ContextVar('var', default=0)
    mine = contextvars.copy_context()
    mine.run(var.set, 5)
    out = []
    loop.call_soon(lambda: out.append(var.get()), context=mine)
    handle = loop.call_soon(lambda: (out.append(var.get()), var.set(9)), context=None)
    assert handle._context is not mine
    loop.call_soon(lambda: out.append(var.get()))
    turn()
    assert out == [5, 0, 0] and var.get() == 0

    class Duck:
        def run(self, f, *args):
            out.append(('duck', f(*args)))

    loop.call_soon(max, 1, 2, context=Duck())
    turn()
    assert out[-1] == ('duck', 2)


@case
def a_context_in_use_is_reported():
    if sys.version_info >= (3, 12):
        raise Skip('asyncio calls the exception handler in that very context: it only logs')
    seen = []
    loop.set_exception_handler(lambda _, context: seen.append(context))
    ctx = contextvars.copy_context()
    loop.call_soon(print, 'never', context=ctx)
    loop.call_soon(loop.stop)
    ctx.run(loop.run_forever)
    assert isinstance(seen[0]['exception'], RuntimeError)


@case
def wrong_arguments():
    raises(TypeError, loop.call_soon)
    raises(TypeError, loop.call_soon, print, nothing=1, text='unexpected keyword')
    raises(TypeError, loop.call_later, 1)
    raises(TypeError, loop.call_later, None, print, text='delay')
    raises(TypeError, loop.call_later, 'x', print)
    raises(TypeError, loop.call_at, None, print, text='when')
    raises(TypeError, loop.call_at, 'x', print)
    raises(ValueError, loop.add_reader, -1, print)
    raises(ValueError, loop.add_reader, object(), print, text='Invalid file object')
    raises(OSError, loop.add_reader, 1 << 20, print)


@case
def handles_are_asyncios():
    soon = loop.call_soon(print, 1)
    later = loop.call_later(100, print, 2)
    assert isinstance(soon, asyncio.Handle) and not isinstance(soon, asyncio.TimerHandle)
    assert isinstance(later, asyncio.TimerHandle) and later.when() > loop.time()
    assert repr(soon).startswith('<Handle print(') and repr(later).startswith('<TimerHandle when=')
    assert later._scheduled and weakref.ref(soon)() is soon
    same = loop.call_at(later.when(), print, 2)
    assert later >= same and later <= same and not later < same
    for handle in soon, later, same:
        assert not handle.cancelled()
        handle.cancel()
        handle.cancel()
        assert handle.cancelled() and handle._callback is None and 'cancelled' in repr(handle)
    assert not later._scheduled
    turn()


@case
def a_callback_cancels_itself():
    out = []
    handle = loop.call_soon(lambda: (handle.cancel(), out.append(1)))
    timer = loop.call_later(0, lambda: (timer.cancel(), out.append(2), loop.stop()))
    loop.run_forever()
    assert sorted(out) == [1, 2]


@case
def handles_are_freed():
    class Callback:
        def __call__(self):
            pass

    refs = []
    for make in (loop.call_soon, lambda c: loop.call_later(0, c), lambda c: loop.call_later(1000, c).cancel()):
        callback = Callback()
        refs.append(weakref.ref(callback))
        make(callback)
        del callback
    done = []
    loop.call_later(0, done.append, 1)
    while not done:
        turn()
    assert [ref() for ref in refs] == [None, None, None]


@case
def timers_in_order_and_never_early():
    out = []
    start = loop.time()
    for i in (5, 1, 4, 2, 3):
        loop.call_at(start + i / 500, lambda i=i: out.append((i, loop.time())))
    for i in range(100):  # equal times keep their order
        loop.call_at(start + 6 / 500, lambda i=i: out.append((10 + i, loop.time())))
    loop.call_at(start + 7 / 500, loop.stop)
    loop.run_forever()
    assert [i for i, _ in out] == [1, 2, 3, 4, 5, *range(10, 110)]
    for i, at in out:
        assert at >= start + min(i, 6) / 500


@case
def timers_that_are_due_at_once():
    out = []
    now = loop.time()
    for i in range(50):
        loop.call_at(now - i, out.append, ("past", -i))
        loop.call_later(0, out.append, ("now", i))
        when = now + i * 1e-6
        loop.call_at(when, lambda when=when: out.append(("soon", loop.time() >= when)))
    loop.call_later(0.02, loop.stop)
    loop.run_forever()
    assert [n for kind, n in out if kind == "past"] == sorted(-i for i in range(50))
    assert [n for kind, n in out if kind == "now"] == list(range(50))
    assert [n for kind, n in out if kind == "soon"] == [True] * 50


@case
def a_timer_that_is_always_due_leaves_room_for_others():
    """One that schedules itself for now does not keep descriptors and threads from their turn."""
    a, b = socket.socketpair()
    a.setblocking(False)
    out, count = [], 0

    def again():
        nonlocal count
        count += 1
        if len(out) < 2:
            loop.call_later(0, again)
        else:
            loop.stop()
    loop.add_reader(a, lambda: out.append(a.recv(1)))
    thread = threading.Thread(target=lambda: (b.send(b"x"), loop.call_soon_threadsafe(out.append, "thread")))
    loop.call_soon(thread.start)
    again()
    loop.run_forever()
    thread.join()
    assert set(out) == {b"x", "thread"} and count >= 1
    loop.remove_reader(a)
    a.close()
    b.close()


@case
def tasks_are_asyncios():
    async def who():
        return asyncio.current_task().get_name(), variable.get()
    variable = contextvars.ContextVar("variable", default="none")
    context = contextvars.copy_context()
    context.run(variable.set, "given")
    tasks = [loop.create_task(who()), loop.create_task(who(), name="named"), loop.create_task(who(), context=context),
             loop.create_task(who(), name=7, context=context), loop.create_task(coro=who(), name="by keyword")]
    found = loop.run_until_complete(asyncio.gather(*tasks))
    assert all(type(task) is asyncio.Task for task in tasks)
    names = [name for name, _ in found]
    assert names[1] == "named" and names[3] == "7" and names[4] == "by keyword" and names[0].startswith("Task-")
    assert [value for _, value in found] == ["none", "none", "given", "given", "none"]
    assert names == [task.get_name() for task in tasks]


@case
def what_makes_tasks_can_be_replaced():
    made = []

    class Mine(asyncio.Task):
        def __init__(self, *args, **kwargs):
            made.append(kwargs)
            super().__init__(*args, **kwargs)

    async def nothing():
        return 1
    kept, asyncio.tasks.Task = asyncio.tasks.Task, Mine
    try:
        task = loop.create_task(nothing(), name="x")
    finally:
        asyncio.tasks.Task = kept
    assert type(task) is Mine and made[0]["loop"] is loop and made[0]["name"] == "x"
    assert loop.run_until_complete(task) == 1
    loop.set_task_factory(lambda loop, coro, **more: Mine(coro, loop=loop, **more))
    try:
        task = loop.create_task(nothing(), name="y")
    finally:
        loop.set_task_factory(None)
    assert type(task) is Mine and task.get_name() == "y" and loop.run_until_complete(task) == 1


@case
def what_is_no_task():
    async def nothing():
        pass
    raises(TypeError, loop.create_task)
    raises(TypeError, loop.create_task, 1)
    raises(TypeError, loop.create_task, lambda: None)
    coro = nothing()
    raises(TypeError, lambda: loop.create_task(coro, nonsense=1))
    raises(TypeError, lambda: loop.create_task(coro, 1, 2))
    other = _tine.new_loop()
    other.close()
    raises(RuntimeError, other.create_task, coro)
    coro.close()


@case
def cancelled_timers_leave_nothing():
    handles = [loop.call_later(1000 + i % 13, print, i) for i in range(20000)]
    refs = [weakref.ref(h) for h in handles[::1000]]
    for i, handle in enumerate(handles):
        if i % 3:
            handle.cancel()
    for handle in handles:
        handle.cancel()
    del handles, handle
    assert not any(ref() for ref in refs)


@case
def an_earlier_timer_comes_first():
    """The timerfd is set to a cancelled timer; a later one must still fire, and one far away must not."""
    out = []
    loop.call_later(3600, out.append, 'far')
    first = loop.call_later(0.01, out.append, 'never')
    loop.call_soon(first.cancel)
    loop.call_later(0.03, lambda: (out.append('then'), loop.stop()))
    loop.run_forever()
    assert out == ['then']


@case
def odd_times():
    out = []
    for when in (float('-inf'), -1, 0, 0.0, True, float('nan')):
        loop.call_at(when, out.append, when)
    far = [loop.call_at(float('inf'), out.append, 'inf'), loop.call_later(1e300, out.append, 'far')]
    while len(out) < 6:
        turn()
    assert 'inf' not in out and 'far' not in out
    for handle in far:
        handle.cancel()


@case
def exceptions_reach_the_handler():
    seen = []
    loop.set_exception_handler(lambda _, context: seen.append(context))
    handle = loop.call_soon(lambda: 1 / 0)
    turn()
    assert seen[0]['handle'] is handle and isinstance(seen[0]['exception'], ZeroDivisionError)
    assert seen[0]['message'].startswith('Exception in callback exceptions_reach_the_handler')
    loop.set_debug(True)
    loop.call_soon(lambda: 1 / 0)
    turn()
    assert seen[1]['source_traceback'][-1].name == 'exceptions_reach_the_handler'


@case
def exits_leave_the_loop():
    for kind in SystemExit, KeyboardInterrupt:
        for debug in False, True:
            out = []

            def leave():
                raise kind('now')

            loop.set_debug(debug)
            loop.call_soon(leave)
            loop.call_soon(out.append, 1)
            raises(kind, loop.run_forever, text='now')
            assert not loop.is_running() and out == []
            turn()
            assert out == [1]


@case
def debug_checks():
    loop.set_debug(True)
    assert loop.get_debug() and loop._debug
    raises(TypeError, loop.call_soon, 'no callable', text='a callable object was expected by call_soon()')

    async def coroutine():
        pass

    raises(TypeError, loop.call_soon, coroutine, text='coroutines cannot be used with call_soon()')
    raises(TypeError, loop.call_later, 1, coroutine, text='coroutines cannot be used with call_at()')
    errors = []

    def elsewhere():
        for method in (loop.call_soon, lambda f: loop.call_later(1, f)):
            try:
                method(print)
            except RuntimeError as error:
                errors.append(str(error))
        loop.call_soon_threadsafe(loop.stop)

    loop.call_soon(threading.Thread(target=elsewhere).start)
    loop.run_forever()
    assert len(errors) == 2 and 'Non-thread-safe' in errors[0]


@case
def descriptors_are_the_loops_thread_only():
    a, b = socket.socketpair()
    errors = []

    def elsewhere():
        for method in (lambda: loop.add_reader(a, print), lambda: loop.remove_writer(a)):
            try:
                method()
            except RuntimeError as error:
                errors.append(error)
        loop.call_soon_threadsafe(loop.stop)

    loop.call_soon(threading.Thread(target=elsewhere).start)
    loop.run_forever()
    assert len(errors) == 2
    a.close()
    b.close()


@case
def threads_wake_the_loop():
    count = [0]
    total = 4 * 500

    def counted():
        count[0] += 1
        if count[0] == total:
            loop.stop()

    def work():
        for _ in range(500):
            loop.call_soon_threadsafe(counted)

    threads = [threading.Thread(target=work) for _ in range(4)]
    loop.call_soon(lambda: [t.start() for t in threads])
    loop.run_forever()
    for thread in threads:
        thread.join()
    assert count[0] == total


@case
def a_handle_that_threads_share_is_cancelled_before_or_after_its_callback():
    """Never while it runs, since Python 3.14."""
    began, out = threading.Event(), []
    handle = loop.call_soon_threadsafe(lambda: (began.set(), thread.join(0.2 if sys.version_info >= (3, 14) else 20), out.append('ran')))
    assert isinstance(handle, getattr(asyncio.events, '_ThreadSafeHandle', asyncio.Handle)), type(handle)
    thread = threading.Thread(target=lambda: (began.wait(20), handle.cancel(), out.append('cancelled')))
    thread.start()
    turn()
    thread.join()
    loop.call_soon_threadsafe(out.append, 'never').cancel()
    turn(2)
    assert out == (['ran', 'cancelled'] if sys.version_info >= (3, 14) else ['cancelled', 'ran']) and handle.cancelled()


@case
def handles_in_debug_mode_know_who_made_them():
    loop.set_debug(True)
    try:
        handles = [loop.call_soon(len, ''), loop.call_soon_threadsafe(len, ''), loop.call_later(60, len, '')]
    finally:
        loop.set_debug(False)
    for handle in handles:
        assert handle._source_traceback[-1].name == 'handles_in_debug_mode_know_who_made_them', handle._source_traceback
        handle.cancel()


@case
def readers_and_writers_in_a_context():
    """As asyncio's transports of Python 3.15 ask for them."""
    a, b = socket.socketpair()
    a.setblocking(False)
    var, out = contextvars.ContextVar('var'), []
    context = contextvars.copy_context()
    context.run(var.set, 'theirs')
    var.set('ours')
    loop._add_writer(a.fileno(), lambda n: (out.append((n, var.get())), loop._remove_writer(a)), 1, context=context)
    loop._add_reader(a, lambda n: (out.append((n, var.get(), a.recv(1))), loop.stop()), 2, context=context)
    turn(2)
    b.send(b'x')
    loop.run_forever()
    assert out == [(1, 'theirs'), (2, 'theirs', b'x')]
    loop._add_reader(a, lambda: (out.append(var.get()), a.recv(1), loop.stop()), context=None)
    b.send(b'y')
    loop.run_forever()
    assert out[-1] == 'ours'
    raises(TypeError, loop._add_reader, a, print, contest=None, text="_add_reader() got an unexpected keyword argument 'contest'")
    loop.remove_reader(a)
    a.close()
    b.close()


@case
def readers_and_writers():
    a, b = socket.socketpair()
    a.setblocking(False)
    out = []
    loop.add_reader(a, lambda: out.append(a.recv(10)))
    loop.add_writer(a.fileno(), lambda: (out.append('w'), loop.remove_writer(a)))
    b.send(b'x')
    while len(out) < 2:
        turn()
    assert sorted(map(str, out)) == ["b'x'", 'w']
    key = loop._selector.get_key(a)
    assert key.fd == a.fileno() and key.events == 1
    loop.add_reader(a, lambda: (out.append(a.recv(10)), loop.stop()))
    b.send(b'y')
    loop.run_forever()
    assert out[-1] == b'y'
    assert loop.remove_reader(a) and not loop.remove_reader(a) and not loop.remove_writer(a)
    b.send(b'z')
    turn(3)
    assert out[-1] == b'y'
    a.close()
    b.close()
    assert not loop.remove_reader(a)


@case
def a_number_used_again_is_watched_again():
    a, b = socket.socketpair()
    c, d = socket.socketpair()
    number = a.fileno()
    loop.add_reader(number, print, 'never')
    a.close()  # without remove_reader()
    os.dup2(c.fileno(), number)
    out = []
    loop.add_reader(number, lambda: (out.append(os.read(number, 10)), loop.stop()))
    d.send(b'x')
    loop.run_forever()
    assert out == [b'x']
    assert loop.remove_reader(number)
    os.close(number)
    for s in b, c, d:
        s.close()


@case
def a_regular_file_cannot_be_watched():
    with open('/proc/self/exe', 'rb') as f:
        raises(PermissionError, loop.add_reader, f, print)
        assert not loop.remove_reader(f)


@case
def signals():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2, signal.SIGWINCH):
        raises(RuntimeError, loop.add_signal_handler, number, print, text='belongs to the server')
    raises(ValueError, loop.add_signal_handler, 4000, print)
    raises(TypeError, loop.add_signal_handler, 'SIGALRM', print)
    raises(RuntimeError, loop.add_signal_handler, signal.SIGKILL, print, text='cannot be caught')

    async def coroutine():
        pass

    raises(TypeError, loop.add_signal_handler, signal.SIGALRM, coroutine)
    out = []
    loop.add_signal_handler(signal.SIGALRM, lambda: (out.append(1), loop.stop()))
    loop.call_soon(os.kill, os.getpid(), signal.SIGALRM)
    loop.run_forever()
    assert out == [1]
    assert loop.remove_signal_handler(signal.SIGALRM) and not loop.remove_signal_handler(signal.SIGALRM)


@case
def python_signal_handlers_end_the_wait():
    out = []
    try:
        before = signal.signal(signal.SIGALRM, lambda *a: (out.append(1), loop.stop()))
    except ValueError:
        raise Skip('signal.signal() needs the main interpreter') from None
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    loop.run_forever()
    signal.signal(signal.SIGALRM, before)
    assert out == [1] and signal.set_wakeup_fd(-1) == -1


@case
def one_loop_at_a_time():
    errors = []

    def inner():
        other = _tine.new_loop()
        for target in loop, other:
            try:
                target.run_forever()
            except RuntimeError as error:
                errors.append(str(error))
        try:
            loop._run_once()
        except RuntimeError:
            errors.append('nested turn')
        other.close()

    loop.call_soon(inner)
    turn()
    assert errors[:2] == ['This event loop is already running',
                          'Cannot run the event loop while another loop is running'], errors


@case
def loops_of_their_own():
    other = _tine.new_loop()
    assert other.run_until_complete(asyncio.sleep(0.001, 'x')) == 'x'
    other.call_later(1000, print)
    other.call_soon(print)
    a, b = socket.socketpair()
    other.add_reader(a, print)
    other.close()
    other.close()
    assert other.is_closed() and not other.is_running()
    for call in (lambda: other.call_soon(print), lambda: other.call_later(0, print), lambda: other.add_reader(a, print),
                 lambda: other.call_soon_threadsafe(print), other.run_forever):
        raises(RuntimeError, call, text='Event loop is closed')
    assert other.remove_reader(a) is False
    a.close()
    b.close()


@case
def a_loop_in_a_cycle_is_freed():
    refs = []
    for _ in range(3):
        other = _tine.new_loop()
        other.myself = other
        other.call_soon(other.stop)
        other.call_later(100, other.stop)
        other.close()
        refs.append(weakref.ref(other))
        del other
    gc.collect()
    assert [ref() for ref in refs] == [None] * 3
    before = len(os.listdir('/proc/self/fd'))
    for _ in range(20):
        _tine.new_loop().close()
    gc.collect()
    assert len(os.listdir('/proc/self/fd')) == before


@case
def loops_in_threads():
    results = []
    threads = [threading.Thread(target=lambda: results.append(asyncio.run(asyncio.sleep(0.001, 3)))),
               threading.Thread(target=lambda: results.append(run_own()))]

    def run_own():
        other = _tine.new_loop()
        try:
            return other.run_until_complete(asyncio.sleep(0.001, 3))
        finally:
            other.close()

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [3, 3]


@case
def the_policy_is_left_alone():
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', DeprecationWarning)  # policies are deprecated from 3.14 on
        assert asyncio.get_event_loop_policy().get_event_loop() is loop
    other = asyncio.new_event_loop()
    assert type(other) is not type(loop) and isinstance(loop, asyncio.SelectorEventLoop)
    other.close()


@case
def the_interpreter():
    import multiprocessing
    assert not hasattr(sys.modules['__main__'], '__file__')
    assert os.path.basename(sys.executable).startswith('python'), sys.executable
    assert sys.path[0] == os.getcwd() and '' not in sys.path
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    except ValueError:
        raises(RuntimeError, os.fork, text='interpreter = main')
        multiprocessing.set_start_method('forkserver')  # the application is free to choose
        multiprocessing.set_start_method(None, force=True)
        assert multiprocessing.get_start_method() == 'spawn'


run_all(loop)
