# SPDX-License-Identifier: BSD-3-Clause
"""The same comparison for applications on anyio and sniffio (Starlette, FastAPI, httpx)."""

import asyncio
import contextvars

import differ

try:
    import anyio
    import anyio.to_thread
except ImportError:
    anyio = None
try:
    import sniffio
except ImportError:  # anyio does without it from 4.12 on
    sniffio = None

var = contextvars.ContextVar("var", default="unset")


if sniffio is not None:
    async def case_finds_the_library(log):
        log(sniffio.current_async_library())
        await asyncio.sleep(0)
        log(sniffio.current_async_library())


async def case_has_task_info(log):
    info = anyio.get_current_task()
    log(info.id == id(log.me()), info == anyio.get_current_task())
    log([t.id == info.id for t in anyio.get_running_tasks() if t.id == info.id])
    await anyio.sleep(0)
    log(anyio.get_current_task() == info)


async def case_checkpoints(log):
    await anyio.lowlevel.checkpoint()
    log(1)
    await anyio.lowlevel.checkpoint_if_cancelled()
    log(2)


async def case_runs_a_task_group(log):
    async def child(n):
        await anyio.sleep(0)
        log(n)

    async with anyio.create_task_group() as group:
        for n in range(3):
            group.start_soon(child, n)
    return "joined"


async def case_starts_tasks(log):
    async def service(*, task_status):
        task_status.started("up")
        try:
            await anyio.sleep(1)
        finally:
            log("service stopped")

    async with anyio.create_task_group() as group:
        log(await group.start(service))
        group.cancel_scope.cancel()


async def case_cancels_its_scope_in_the_first_step(log):
    with anyio.CancelScope() as scope:
        scope.cancel()
        log("cancelled", scope.cancel_called)
        await anyio.sleep(1)
        log("not reached")
    log("outside")
    await anyio.sleep(0)


async def case_cancels_its_task_group_in_the_first_step(log):
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep, 1)
        group.cancel_scope.cancel()
    log("outside", log.me().cancelling())


async def case_has_a_child_fail(log):
    async def fails():
        raise KeyError("child")

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(fails)
            await anyio.sleep(1)
    except BaseException as e:
        log(e)


async def case_moves_on(log):
    with anyio.move_on_after(0.002) as scope:
        await anyio.sleep(1)
    log(scope.cancel_called)
    with anyio.move_on_after(0):
        await anyio.sleep(1)
    log("still here", log.me().cancelling())


async def case_fails_after(log):
    for seconds in (0, 0.002):
        try:
            with anyio.fail_after(seconds):
                await anyio.sleep(1)
        except TimeoutError:
            log("timeout", seconds)


async def case_shields(log):
    with anyio.move_on_after(0.002):
        with anyio.CancelScope(shield=True):
            await anyio.sleep(0.01)
            log("shielded")
        await anyio.sleep(1)
    log("moved on")


async def case_nests_everything(log):
    ended = []

    async def child():
        with anyio.move_on_after(20):
            async with anyio.create_task_group() as inner:
                inner.start_soon(anyio.sleep, 0)
        ended.append("child")

    with anyio.move_on_after(20):
        async with asyncio.timeout(20), anyio.create_task_group() as group:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(child())
            group.start_soon(child)
            with anyio.fail_after(20):
                log(await anyio.to_thread.run_sync(lambda: 5))
    log(ended)
    log(log.me().cancelling())


async def case_uses_threads(log):
    var.set("mine")
    log(await anyio.to_thread.run_sync(var.get))
    log(await anyio.to_thread.run_sync(lambda: anyio.from_thread.run(anyio.sleep, 0)))


async def case_uses_events_and_streams(log):
    event = anyio.Event()
    send, receive = anyio.create_memory_object_stream(1)
    async with anyio.create_task_group() as group, send, receive:
        group.start_soon(event.wait)
        await send.send("item")
        log(await receive.receive())
        event.set()
    async with anyio.Lock(), anyio.Semaphore(1):
        await anyio.sleep(0)


async def case_is_cancelled_from_outside(log):
    asyncio.get_running_loop().call_soon(log.me().cancel)
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep, 1)
        await anyio.sleep(1)


if __name__ == "__main__":
    if anyio is None:
        print("anyio is not installed: 0 passed, 0 failed")
    else:
        differ.main(globals())
