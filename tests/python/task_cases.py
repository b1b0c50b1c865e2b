# SPDX-License-Identifier: BSD-3-Clause
"""Coroutines whose every observation must be the same under the task runner as under loop.create_task()."""

import asyncio
import contextvars
import inspect
import io
import sys
import types
import weakref

import differ

var = contextvars.ContextVar("var", default="unset")


@types.coroutine
def bare_yield(value=None):
    return (yield value)


class Stubborn(asyncio.Future):
    """A future that refuses to be cancelled."""

    def cancel(self, msg=None):
        return False


def later(loop, future, value):
    loop.call_later(0.002, lambda: future.done() or future.set_result(value))
    return future


# ---- ends

async def case_returns(log):
    return 42


async def case_raises(log):
    raise ValueError("no")


async def case_raises_after_waiting(log):
    await asyncio.sleep(0)
    raise ValueError("no")


async def case_raises_as_a_task(log):
    log.me()
    raise ValueError("no")


async def case_raises_as_a_task_after_waiting(log):
    log.me()
    await asyncio.sleep(0)
    raise ValueError("no")


async def case_stop_iteration(log):
    raise StopIteration(3)


async def case_generator_exit(log):
    log.me()
    raise GeneratorExit


async def case_cancels_by_raising(log):
    raise asyncio.CancelledError("by hand")


async def case_cancels_by_raising_as_a_task(log):
    log.me()
    raise asyncio.CancelledError("by hand")


async def case_returns_a_tuple_after_waiting(log):
    await asyncio.sleep(0)
    return (1, 2)


async def case_returns_an_exception(log):
    log.me()
    await asyncio.sleep(0)
    return ValueError("returned")


# ---- waiting

async def case_sleeps(log):
    for i in range(5):
        await asyncio.sleep(0)
        log(i)
    await asyncio.sleep(0.001)
    return "awake"


async def case_waits_for_a_future(log):
    loop = asyncio.get_running_loop()
    log(await later(loop, loop.create_future(), "value"))


async def case_waits_for_a_done_future(log):
    future = asyncio.get_running_loop().create_future()
    future.set_result("done before")
    log(await future)
    log.me()


async def case_waits_for_a_failed_future(log):
    future = asyncio.get_running_loop().create_future()
    future.set_exception(KeyError("k"))
    try:
        await future
    except KeyError as e:
        log(e)


async def case_yields_none(log):
    log(await bare_yield())
    log(await bare_yield())


async def case_yields_nonsense(log):
    try:
        await bare_yield("nonsense")
    except RuntimeError as e:
        log(type(e), "bad yield" in str(e))
    return "went on"


async def case_yields_a_future_without_await(log):
    try:
        await bare_yield(asyncio.get_running_loop().create_future())
    except RuntimeError as e:
        log("yield was used instead of yield from" in str(e))


async def case_waits_for_itself(log):
    try:
        await log.me()
    except RuntimeError as e:
        log("cannot await on itself" in str(e))


async def case_waits_for_a_future_of_another_loop(log):
    other = asyncio.SelectorEventLoop()
    try:
        await other.create_future()
    except RuntimeError as e:
        log("attached to a different loop" in str(e))
    finally:
        other.close()


async def case_waits_through_many_frames(log):
    async def down(n):
        if n:
            return await down(n - 1) + 1
        await asyncio.sleep(0)
        return asyncio.current_task() is log.me()

    log(await down(200))


async def case_uses_an_async_generator(log):
    async def numbers():
        try:
            for i in range(3):
                await asyncio.sleep(0)
                yield i
        finally:
            log("closed")

    async for i in numbers():
        log(i)
        if i == 1:
            break
    agen = numbers()
    log(await agen.__anext__())
    await agen.aclose()


async def case_uses_threads(log):
    var.set("mine")
    log(await asyncio.to_thread(var.get))
    log(await asyncio.get_running_loop().run_in_executor(None, lambda: 7))


async def case_uses_locks_and_queues(log):
    lock, event, queue, semaphore = asyncio.Lock(), asyncio.Event(), asyncio.Queue(1), asyncio.Semaphore(1)
    async with lock, semaphore:
        await queue.put(1)
        child = asyncio.create_task(queue.put(2))
        log(await queue.get(), await queue.get())
        await child
    asyncio.get_running_loop().call_soon(event.set)
    log(await event.wait())


# ---- the current task

async def case_is_a_task(log):
    task = log.me()
    log(isinstance(task, asyncio.Task), task is asyncio.current_task(), task in asyncio.all_tasks())
    log(task is asyncio.tasks.current_task(), task is asyncio.current_task(asyncio.get_running_loop()))
    log(task is asyncio.current_task(loop=None), task.get_loop() is asyncio.get_running_loop())
    await asyncio.sleep(0)
    log(task is asyncio.current_task(), task in asyncio.all_tasks(), task.done())


async def case_is_a_task_once_suspended(log):
    await asyncio.sleep(0)
    task = log.me()
    log(task in asyncio.all_tasks(), task.cancelling())


async def case_finds_itself_in_all_tasks(log):
    found = asyncio.all_tasks()
    log(asyncio.current_task() in found)
    log(asyncio.current_task() in asyncio.all_tasks(loop=asyncio.get_running_loop()))


async def case_asks_for_the_task_of_another_loop(log):
    other = asyncio.SelectorEventLoop()
    log(asyncio.current_task(other), asyncio.all_tasks(other))
    other.close()


async def case_misuses_current_task(log):
    for args, kw in (((1, 2), {}), ((), {"lop": 1})):
        try:
            asyncio.current_task(*args, **kw)
        except TypeError:
            log("TypeError")


async def case_imports_current_task_late(log):
    from asyncio import current_task
    from asyncio.tasks import all_tasks

    log(current_task() in all_tasks())


async def case_has_callbacks_on_itself(log):
    log.me().add_done_callback(lambda task: log("done", task.result()))
    return 5


async def case_has_callbacks_on_itself_and_waits(log):
    log.me().add_done_callback(lambda task: log("done", task.result()))
    await asyncio.sleep(0)
    return 5


async def case_may_not_be_finished_by_others(log):
    for name, value in (("set_result", 1), ("set_exception", ValueError())):
        try:
            getattr(log.me(), name)(value)
        except RuntimeError as e:
            log(e)


async def case_has_a_name(log):
    task = log.me()
    log(task.get_name().startswith("Task-"))
    task.set_name("mine")
    await asyncio.sleep(0)
    log(task.get_name(), "mine" in repr(task))


async def case_shows_its_coroutine(log):
    coro = log.me().get_coro()
    log(asyncio.iscoroutine(coro), inspect.isawaitable(coro), weakref.ref(coro)() is coro)
    log(coro.cr_running, inspect.getcoroutinestate(coro))
    await asyncio.sleep(0)
    log(coro.cr_running, inspect.getcoroutinestate(coro), coro is asyncio.current_task().get_coro())
    try:
        coro.send(None)
    except ValueError as e:
        log(e)


async def case_is_seen_suspended(log):
    task = log.me()

    async def look():
        coro = task.get_coro()
        log(inspect.getcoroutinestate(coro), coro.cr_await is not None, coro.cr_frame is not None)
        log(len(task.get_stack()) > 0)
        task.print_stack(file=(text := io.StringIO()))
        log("Stack for" in text.getvalue(), "pending" in repr(task))
        log(task._must_cancel, type(task._fut_waiter).__name__)

    await asyncio.create_task(look())
    await asyncio.sleep(0)


async def case_keeps_tracebacks(log):
    import traceback

    async def inner():
        raise ValueError("deep")

    try:
        await inner()
    except ValueError as e:
        log([f.name for f in traceback.extract_tb(e.__traceback__)])
        raise


# ---- cancellation

async def case_cancels_itself_then_waits(log):
    task = log.me()
    log(task.cancel("why"), task.cancelling(), task.cancelled(), task.done())
    try:
        await asyncio.sleep(1)
    except asyncio.CancelledError as e:
        log(e, task.cancelling())
        raise


async def case_cancels_itself_and_survives(log):
    task = log.me()
    task.cancel()
    try:
        await asyncio.sleep(1)
    except asyncio.CancelledError:
        log(task.uncancel())
    await asyncio.sleep(0)
    return "survived"


async def case_cancels_itself_then_returns(log):
    log.me().cancel("too late")
    return 1


async def case_cancels_itself_then_raises(log):
    log.me().cancel()
    raise KeyError("k")


async def case_cancels_itself_then_yields_none(log):
    log.me().cancel("m")
    try:
        await bare_yield()
    except asyncio.CancelledError as e:
        log(e)
    return 1


async def case_cancels_itself_then_yields_nonsense(log):
    log.me().cancel("m")
    try:
        await bare_yield(7)
    except BaseException as e:
        log(type(e).__name__)
    try:
        await asyncio.sleep(0)
    except asyncio.CancelledError as e:
        log(e)


async def case_cancels_itself_before_a_done_future(log):
    task = log.me()
    future = asyncio.get_running_loop().create_future()
    future.set_result(1)
    task.cancel("a")
    try:
        log(await future)
    except asyncio.CancelledError as e:
        log(e, task.cancelling())
    await asyncio.sleep(0)


async def case_cancels_itself_before_a_stubborn_future(log):
    task, loop = log.me(), asyncio.get_running_loop()
    task.cancel("a")
    stubborn = Stubborn(loop=loop)
    loop.call_soon(lambda: log(task._must_cancel, task.cancelling(), stubborn.done()))
    try:
        log(await later(loop, stubborn, "kept"))
    except asyncio.CancelledError as e:
        log(e, task.cancelling(), stubborn.done())


async def case_cancels_itself_before_a_stubborn_future_fails(log):
    task, loop = log.me(), asyncio.get_running_loop()
    task.cancel("a")
    stubborn = Stubborn(loop=loop)
    loop.call_later(0.001, stubborn.set_exception, KeyError("k"))
    try:
        await stubborn
    except BaseException as e:
        log(e)


async def case_cancels_itself_twice(log):
    task = log.me()
    log(task.cancel("one"), task.cancel("two"), task.cancelling())
    try:
        await asyncio.sleep(1)
    except asyncio.CancelledError as e:
        log(e, task.uncancel(), task.uncancel(), task.uncancel())
    await asyncio.sleep(0)


async def case_takes_its_cancellation_back(log):
    task = log.me()
    task.cancel()
    log(task.uncancel(), task._must_cancel)
    try:
        await asyncio.sleep(0.001)
        log("slept")
    except asyncio.CancelledError:
        log("cancelled")


async def case_is_cancelled_while_suspended(log):
    asyncio.get_running_loop().call_soon(log.me().cancel, "from outside")
    try:
        await asyncio.sleep(1)
    finally:
        log("cleaned", log.task.cancelling())


async def case_ignores_cancellation(log):
    asyncio.get_running_loop().call_soon(log.me().cancel)
    try:
        await asyncio.sleep(1)
    except asyncio.CancelledError:
        pass
    await asyncio.sleep(0)
    return "still here"


async def case_is_cancelled_inside_a_child(log):
    async def child():
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError as e:
            log("child", e)
            raise

    asyncio.get_running_loop().call_soon(log.me().cancel, "m")
    await asyncio.create_task(child())


# ---- asyncio's own structures, entered in the first step

async def case_times_out_at_once(log):
    try:
        async with asyncio.timeout(0) as t:
            await asyncio.sleep(1)
    except TimeoutError as e:
        log(e, t.expired())
    log(log.me().cancelling())


async def case_times_out_in_the_past(log):
    try:
        async with asyncio.timeout_at(asyncio.get_running_loop().time() - 10):
            await asyncio.sleep(1)
    except TimeoutError:
        log("timeout")


async def case_ends_inside_an_expired_timeout(log):
    async with asyncio.timeout(0):
        log("no wait")
    await asyncio.sleep(0)
    return "fine"


async def case_times_out_later(log):
    try:
        async with asyncio.timeout(0.002):
            await asyncio.sleep(1)
    except TimeoutError:
        log("timeout", log.me().cancelling())
    await asyncio.sleep(0)


async def case_nests_timeouts(log):
    try:
        async with asyncio.timeout(0.002) as outer:
            try:
                async with asyncio.timeout(1) as inner:
                    await asyncio.sleep(2)
            finally:
                log(inner.expired(), outer.expired())
    except TimeoutError:
        log("outer")
    async with asyncio.timeout(None) as t:
        t.reschedule(asyncio.get_running_loop().time() + 1)
        await asyncio.sleep(0)
    log(t.expired())


async def case_waits_for_with_timeouts(log):
    async def slow():
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            log("slow was cancelled")
            raise

    async def quick():
        return "quick"

    for coro, seconds in ((slow(), 0.002), (quick(), 1), (quick(), None)):
        try:
            log(await asyncio.wait_for(coro, seconds))
        except TimeoutError as e:
            log(e)
    future = asyncio.get_running_loop().create_future()
    try:
        await asyncio.wait_for(future, 0)
    except TimeoutError:
        log(future.cancelled())


async def case_runs_a_task_group(log):
    async def child(n):
        await asyncio.sleep(0)
        log(n, asyncio.current_task() is log.task)
        return n

    log.me()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(child(n)) for n in range(3)]
    log([t.result() for t in tasks])


async def case_has_a_task_group_child_fail(log):
    async def fails():
        raise KeyError("child")

    async def waits():
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            log("sibling cancelled")
            raise

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(waits())
            group.create_task(fails())
            await asyncio.sleep(1)
    except* KeyError as e:
        log(e)
    log(log.me().cancelling())


async def case_has_a_task_group_body_fail(log):
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(1))
            raise KeyError("body")
    except* KeyError as e:
        log(e)


async def case_lets_a_task_group_error_out(log):
    async def fails():
        raise KeyError("child")

    async with asyncio.TaskGroup() as outer:
        async with asyncio.TaskGroup() as inner:
            inner.create_task(fails())
        outer.create_task(asyncio.sleep(1))


async def case_is_cancelled_inside_a_task_group(log):
    asyncio.get_running_loop().call_soon(log.me().cancel, "m")
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(1))


async def case_times_out_inside_a_task_group(log):
    try:
        async with asyncio.timeout(0.002), asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(1))
    except TimeoutError:
        log("timeout", log.me().cancelling())


async def case_gathers_and_shields(log):
    async def value(n):
        await asyncio.sleep(0)
        return n

    log(await asyncio.gather(value(1), value(2), return_exceptions=True))
    log(await asyncio.shield(value(3)))
    done, pending = await asyncio.wait([asyncio.create_task(value(4))])
    log([t.result() for t in done], pending)


# ---- context variables

async def case_keeps_context_variables(log):
    log(var.get())
    token = var.set("first")
    await asyncio.sleep(0)
    log(var.get())
    var.reset(token)
    await asyncio.sleep(0)
    log(var.get())
    var.set("left behind")


async def case_hands_context_variables_to_children(log):
    async def child():
        log(var.get())
        var.set("child's")
        await asyncio.sleep(0)

    var.set("parent's")
    await asyncio.create_task(child())
    log(var.get())
    log.me()
    var.set("changed after the Task was made")
    await asyncio.create_task(child())
    asyncio.get_running_loop().call_soon(lambda: log("callback", var.get()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def case_context_is_the_tasks(log):
    task = log.me()
    var.set("x")
    if sys.version_info >= (3, 12):
        log(task.get_context()[var])
    await asyncio.sleep(0)
    if sys.version_info >= (3, 12):
        log(task.get_context()[var])


if __name__ == "__main__":
    differ.main(globals())
