# SPDX-License-Identifier: BSD-3-Clause
"""What the task runner promises beyond being like a Task: ends reported once, bookkeeping, errors, nothing left behind."""

import asyncio
import collections.abc
import concurrent.futures
import contextlib
import contextvars
import gc
import io
import sys
import threading
import types
import warnings
import weakref

import _tine_test
import differ

loop = asyncio.get_event_loop()
var = contextvars.ContextVar("var", default="unset")


class Ends(list):
    def __call__(self, result, exception):
        self.append((result, exception))


def turns(n=5):
    async def spin():
        for _ in range(n):
            await asyncio.sleep(0)

    loop.run_until_complete(spin())


def in_loop(function, *args):
    """Runs function(*args) from a callback of the running loop, then some turns; raises what it raised."""
    future = loop.create_future()

    def call():
        try:
            future.set_result(function(*args))
        except BaseException as e:
            future.set_exception(e)

    loop.call_soon(call)
    result = loop.run_until_complete(future)
    turns()
    return result


def end_of(callable, *args):
    ends = Ends()
    in_loop(_tine_test.call, ends, callable, *args)
    assert len(ends) == 1, ends
    return ends[0]


# ---- what is called

class ByClass:
    """An ASGI 2 style or class-based application: the call returns an awaitable of its own."""

    def __init__(self, n):
        self.n = n

    def __await__(self):
        yield
        return self.n


def test_an_object_with_await():
    assert end_of(ByClass, 3) == (3, None)


def test_a_future():
    def application():
        future = loop.create_future()
        loop.call_soon(future.set_result, 4)
        return future

    assert end_of(application) == (4, None)


def test_a_task():
    async def inner():
        return asyncio.current_task()

    def application():
        return loop.create_task(inner())

    result, exception = end_of(application)
    assert exception is None and isinstance(result, asyncio.Task)


def test_a_marked_generator():
    @types.coroutine
    def application():
        yield
        return 6

    assert end_of(application) == (6, None)


def test_an_iterator_without_throw():
    class Bare:
        def __await__(self):
            return iter([None, None])

    assert end_of(Bare) == (None, None)
    ends = Ends()

    def begin():
        _tine_test.call(ends, Bare)
        _tine_test.cancel_all()

    in_loop(begin)
    assert len(ends) == 1 and isinstance(ends[0][1], asyncio.CancelledError)


def test_what_cannot_be_awaited():
    async def generator():
        yield 1

    for callable, text in (
        (lambda: None, "object NoneType can't be used in 'await' expression"),
        (generator, "object async_generator can't be used in 'await' expression"),
        (lambda: (x for x in ()), "object generator can't be used in 'await' expression"),
    ):
        result, exception = end_of(callable)
        assert type(exception) is TypeError and text in str(exception), exception

    class Liar:
        def __await__(self):
            return 7

    result, exception = end_of(Liar)
    assert "__await__() returned non-iterator" in str(exception)

    class Nested:
        def __await__(self):
            return nothing()

    async def nothing():
        pass

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result, exception = end_of(Nested)
    assert "__await__() returned a coroutine" in str(exception)


def test_a_call_that_raises():
    def application():
        asyncio.current_task()
        raise KeyError("in the call")

    result, exception = end_of(application)
    assert isinstance(exception, KeyError) and exception.__traceback__ is not None


def test_the_call_runs_in_the_task_and_its_context():
    seen = []

    def application():
        seen.append(asyncio.current_task())
        var.set("by the call")

        async def rest():
            seen.append(asyncio.current_task())
            await asyncio.sleep(0)
            seen.append(asyncio.current_task())
            return var.get()

        return rest()

    assert end_of(application) == ("by the call", None)
    assert seen[0] is seen[1] is seen[2] and var.get() == "unset"


def test_the_context_is_a_copy_of_the_base():
    async def application():
        before = var.get()
        var.set("mine")
        await asyncio.sleep(0)
        return before, var.get()

    context = contextvars.copy_context()
    context.run(var.set, "the starter's")
    for _ in range(2):
        ends = Ends()
        context.run(in_loop, _tine_test.call, ends, application)
        assert ends == [(("unset", "mine"), None)]


# ---- bookkeeping

def test_idle_and_running():
    seen = []

    def done(result, exception):
        seen.append(("done", _tine_test.idle(), _tine_test.running()))

    async def application(wait):
        seen.append(("step", _tine_test.idle(), _tine_test.running()))
        if wait:
            await asyncio.sleep(0)
            seen.append(("step", _tine_test.idle(), _tine_test.running()))

    assert _tine_test.idle()
    in_loop(_tine_test.call, done, application, False)
    in_loop(_tine_test.call, done, application, True)
    assert seen == [
        ("step", False, 1),
        ("done", True, 0),
        ("step", False, 1),
        ("step", False, 1),
        ("done", False, 0),
    ]

    async def task():
        assert not _tine_test.idle()

    loop.run_until_complete(task())


def test_a_done_may_start_the_next():
    order = []

    async def application(n):
        order.append(n)

    def done(result, exception):
        if len(order) < 4:
            _tine_test.call(done, application, len(order))

    in_loop(_tine_test.call, done, application, 0)
    assert order == [0, 1, 2, 3]


def test_started_inside_a_first_step():
    ends, seen = Ends(), []

    async def inner():
        seen.append(asyncio.current_task())

    async def outer():
        _tine_test.call(ends, inner)
        assert not seen  # as create_task() would
        seen.append(asyncio.current_task())

    in_loop(_tine_test.call, ends, outer)
    assert len(ends) == 2 and len(set(seen)) == 2 and all(seen)


def test_two_runners_of_a_loop():
    for ask in (False, True):
        for first, second in ((_tine_test.call, _tine_test.call_second), (_tine_test.call_second, _tine_test.call)):
            ends, seen = Ends(), []

            async def inner():
                seen.append(asyncio.current_task())
                assert not _tine_test.idle()

            async def outer():
                if ask:
                    asyncio.current_task()
                assert not _tine_test.idle()
                second(ends, inner)
                assert not seen
                seen.append(asyncio.current_task())
                assert seen[0] in asyncio.all_tasks()

            in_loop(first, ends, outer)
            assert ends == [(None, None)] * 2 and len(set(seen)) == 2 and all(seen), (ends, seen)
            in_loop(second, ends, inner)
            assert ends[2] == (None, None) and seen[2] is not None


def test_another_loop_in_another_thread():
    async def other():
        await asyncio.sleep(0)
        return asyncio.current_task().get_coro().__name__, len(asyncio.all_tasks()), asyncio.current_task(loop)

    async def application():
        over = threading.Event()
        loop.call_soon(over.set)  # the step that starts the thread, whose task would be the current one of this loop
        return await asyncio.to_thread(lambda: over.wait(30) and asyncio.run(other()))

    async def blocks():
        asyncio.current_task()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            return pool.submit(asyncio.run, other()).result()[:2]

    assert end_of(blocks) == (("other", 1), None)
    ends = Ends()
    loop.call_soon(_tine_test.call, ends, application)
    while not ends:
        turns()
    assert ends == [(("other", 1, None), None)]


def test_current_task_outside_of_tasks():
    def callback():
        assert asyncio.current_task() is None and asyncio.current_task(loop) is None and asyncio.current_task(None) is None

    in_loop(callback)
    for function in (asyncio.current_task, asyncio.all_tasks):
        try:
            function()
        except RuntimeError as e:
            assert "no running event loop" in str(e)
        else:
            raise AssertionError
    assert asyncio.current_task(loop) is None and asyncio.all_tasks(loop) == set()


def test_modules_imported_before_the_runner():
    from differ import early

    async def application():
        task = early.current_task()
        return task in early.everyone(), task is asyncio.current_task()

    assert end_of(application) == ((True, True), None)


def test_cancel_all():
    ends, seen = Ends(), []

    async def application():
        try:
            await asyncio.sleep(60)
        finally:
            seen.append(1)

    def begin():
        for _ in range(5):
            _tine_test.call(ends, application)
        assert _tine_test.running() == 5
        _tine_test.cancel_all()

    in_loop(begin)
    assert len(ends) == len(seen) == 5 and _tine_test.running() == 0
    assert all(isinstance(e, asyncio.CancelledError) for _, e in ends)


def test_cancel_all_spares_one():
    ends, spared = Ends(), Ends()
    gate = loop.create_future()

    async def application():
        return await asyncio.shield(gate)

    def begin():
        for done in (ends, spared, ends):
            _tine_test.call(done, application)
        _tine_test.cancel_all(spared)

    in_loop(begin)
    assert len(ends) == 2 and spared == [] and _tine_test.running() == 1
    gate.set_result("through")
    turns()
    assert spared == [("through", None)]


def test_cancel_all_reaches_what_has_not_begun():
    ends = Ends()

    async def application():
        raise AssertionError("ran")

    async def task():
        _tine_test.call(ends, application)
        _tine_test.cancel_all()

    loop.run_until_complete(task())
    turns()
    assert len(ends) == 1 and isinstance(ends[0][1], asyncio.CancelledError)


def test_cancel_all_from_a_first_step():
    ends = Ends()

    async def application():
        _tine_test.cancel_all()
        await asyncio.sleep(60)

    in_loop(_tine_test.call, ends, application)
    assert len(ends) == 1 and isinstance(ends[0][1], asyncio.CancelledError)


def test_the_task_factory_makes_the_task():
    made = []

    def factory(loop, coro, **keywords):
        made.append(coro)
        return asyncio.Task(coro, loop=loop, **keywords)

    async def application():
        return asyncio.current_task().get_coro()

    loop.set_task_factory(factory)
    try:
        result, exception = end_of(application)
    finally:
        loop.set_task_factory(None)
    assert result in made and asyncio.iscoroutine(result)


def test_a_factory_that_fails():
    def factory(loop, coro, **keywords):
        raise KeyError("factory")

    async def application():
        pass

    ends = Ends()
    loop.set_task_factory(factory)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for start in (lambda: _tine_test.call(ends, application), lambda: _tine_test.start(application(), ends)):
                future = loop.create_future()

                def begin():
                    try:
                        start()
                    except KeyError as e:
                        future.set_result(e)

                loop.call_soon(begin)
                loop.run_until_complete(future)
            gc.collect()
    finally:
        loop.set_task_factory(None)
    assert ends == [] and _tine_test.running() == 0


# ---- SystemExit and KeyboardInterrupt

def does_not_stop(ask, wait, debug, exception):
    tasks = []

    async def application():
        if ask:
            tasks.append(asyncio.current_task())
        if wait:
            await asyncio.sleep(0)
        raise exception

    ends = Ends()
    loop.set_debug(debug)
    loop.call_soon(_tine_test.call, ends, application)
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.set_debug(False)
    assert ends == [(None, exception)]
    for task in tasks:
        assert task.exception() is exception


def test_system_exit_of_a_request_is_its_own():
    """It is told to `done`, and the Task keeps it, but it does not leave the loop."""
    for exception in (SystemExit(3), KeyboardInterrupt()):
        for ask in (False, True):
            for wait in (False, True):
                for debug in (False, True):
                    does_not_stop(ask, wait, debug, exception)


def test_system_exit_of_another_task_stops_the_loop():
    async def application():
        tasks.append(asyncio.ensure_future(other()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def other():
        raise exception

    exception = SystemExit(3)
    ends, tasks = Ends(), []
    loop.call_soon(_tine_test.call, ends, application)
    try:
        loop.run_until_complete(asyncio.sleep(5))
    except SystemExit as e:
        assert e is exception
    else:
        raise AssertionError("the loop went on")
    turns()
    assert ends == [(None, None)] and tasks[0].exception() is exception
    for task in asyncio.all_tasks(loop):
        task.cancel()
    turns()


# ---- the coroutine object

def test_close():
    ends, coros = Ends(), []

    async def application(coros):
        coros.append(asyncio.current_task().get_coro())
        try:
            await asyncio.sleep(60)
        except GeneratorExit:
            coros.append("closed")
            raise

    in_loop(_tine_test.call, ends, application, coros)
    task = [t for t in asyncio.all_tasks(loop) if t.get_coro() is coros[0]][0]
    coros[0].close()
    assert coros[1] == "closed" and type(ends[0][1]) is GeneratorExit
    coros[0].close()
    try:
        coros[0].send(None)
    except RuntimeError as e:
        assert "cannot reuse already awaited coroutine" in str(e)
    task.cancel()
    turns()
    assert len(ends) == 1 and type(task.exception()) is RuntimeError


def test_throw():
    ends, seen = Ends(), []

    async def application():
        seen.append(asyncio.current_task())
        for _ in range(2):
            try:
                await gate
            except KeyError as e:
                seen.append(e.args)

    gate = loop.create_future()
    in_loop(_tine_test.call, ends, application)
    task = seen[0]
    coro = task.get_coro()
    assert in_loop(coro.throw, KeyError, "a") is gate and seen[1] == ("a",)
    for args in ((), (1,), (KeyError, 1, 2), (KeyError(1), 2)):
        try:
            in_loop(coro.throw, *args)
        except TypeError:
            continue
        raise AssertionError(args)
    assert ends == []
    try:
        in_loop(coro.throw, ValueError("out"))
    except ValueError:
        pass
    assert type(ends[0][1]) is ValueError
    gate.set_result(None)
    turns()
    assert len(ends) == 1 and "cannot reuse already awaited coroutine" in str(task.exception())


def test_looks():
    async def application(seen):
        coro = asyncio.current_task().get_coro()
        seen += [coro.__name__, coro.__qualname__, coro.cr_code.co_name, coro.cr_frame.f_code.co_name]
        seen += [isinstance(coro, collections.abc.Coroutine), "application" in repr(coro), type(coro).__name__]
        try:
            coro.nothing
        except AttributeError as e:
            seen.append("nothing" in str(e))

    seen = []
    assert end_of(application, seen) == (None, None)
    qualname = "test_looks.<locals>.application"
    assert seen == ["application", qualname, "application", "application", True, True, "RequestCoroutine", True], seen


def test_asyncio_private_dictionary_once_asked():
    if sys.version_info >= (3, 14):
        return

    async def application():
        return asyncio.current_task() is asyncio.tasks._current_tasks.get(loop)

    assert end_of(application) == (True, None)
    assert loop not in asyncio.tasks._current_tasks


# ---- nothing is left

def test_nothing_is_logged_or_kept():
    class Token:
        pass

    async def application(token, ask, wait, fail):
        if ask:
            asyncio.current_task()
        if wait:
            await asyncio.sleep(0)
        if fail:
            raise KeyError(token)
        return token

    complaints = []
    loop.set_exception_handler(lambda loop, context: complaints.append(context))
    tokens = []

    class Done:
        def __call__(self, result, exception):
            pass

    for ask in (0, 1):
        for wait in (0, 1):
            for fail in (0, 1):
                token, done = Token(), Done()
                tokens += [weakref.ref(token), weakref.ref(done)]
                in_loop(_tine_test.call, done, application, token, ask, wait, fail)
                del token, done
    errors = io.StringIO()
    turns()
    with contextlib.redirect_stderr(errors):
        gc.collect()
        turns()
    loop.set_exception_handler(None)
    assert complaints == [] and errors.getvalue() == "", (complaints, errors.getvalue())
    assert [t for t in tokens if t() is not None] == []


def test_memory_is_flat():
    async def application(n):
        if n % 2:
            asyncio.current_task()
        if n % 3:
            await asyncio.sleep(0)

    def burst():
        for n in range(600):
            _tine_test.call(Ends(), application, n)

    counts = []
    for _ in range(4):
        in_loop(burst)
        gc.collect()
        counts.append(len(gc.get_objects()))
    assert counts[3] - counts[1] < 50, counts


def test_a_cycle_is_collected():
    async def application(box):
        box.append(asyncio.current_task().get_coro())
        box.append(asyncio.current_task())
        return 1

    class Box(list):
        pass

    box = Box()
    assert end_of(application, box) == (1, None)
    seen = weakref.ref(box)
    del box
    gc.collect()
    assert seen() is None


def test_zz_free_with_coroutines_suspended():
    """Last: it frees the runner."""
    ends, seen = Ends(), []
    from asyncio import current_task

    async def application(seen):
        try:
            await asyncio.sleep(60)
        finally:
            seen.append("closed")

    async def never():
        raise AssertionError("ran")

    def begin():
        _tine_test.call(ends, application, seen)

    in_loop(begin)
    task = [t for t in asyncio.all_tasks(loop) if "application" in repr(t)]
    assert len(task) == 1

    async def queue():
        _tine_test.start(never(), ends)
        _tine_test.call(ends, never)
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors), warnings.catch_warnings():
            warnings.simplefilter("error")
            _tine_test.free()
        assert errors.getvalue() == ""
        assert current_task() is asyncio.current_task() is not None
        assert asyncio.current_task is not current_task
        for other in asyncio.all_tasks():
            if other is not asyncio.current_task():
                other.cancel()

    task.clear()
    loop.run_until_complete(queue())
    assert seen == ["closed"] and len(ends) == 3 and all(type(e) is GeneratorExit for _, e in ends), ends
    complaints = []
    loop.set_exception_handler(lambda loop, context: complaints.append(context))
    turns()
    gc.collect()
    turns()
    assert complaints == []


if __name__ == "__main__":
    differ.main(globals())
