# SPDX-License-Identifier: BSD-3-Clause
"""What finds or ends the task that asyncio.run() would have: anyio's threads, Starlette on top of them, a connection to a
database for each thread, applications that cancel all tasks."""

import asyncio
import atexit
import functools
import itertools
import threading

import anyio
import anyio.to_thread
from asyncio import base_events
from starlette.applications import Starlette
from starlette.middleware.wsgi import WSGIMiddleware
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route

from apps.report import report

numbers, local = itertools.count(1), threading.local()


def connection():
    """As SQLAlchemy's scoped_session: one for each thread, and none is ever given back."""
    if not hasattr(local, "connection"):
        local.connection = next(numbers)
    return str(local.connection)


def root_tasks():
    return [task for task in asyncio.all_tasks()
            if any(callback is base_events._run_until_complete_cb for callback, _ in task._callbacks or ())]


def others():
    return asyncio.all_tasks() - {asyncio.current_task()}


async def to_thread(request):
    return PlainTextResponse(await anyio.to_thread.run_sync(connection))


def endpoint(request):
    return PlainTextResponse(connection())


async def streamed(request):
    def generator():
        yield connection()
    return StreamingResponse(generator())


def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [connection().encode()]


@functools.cache
def with_fastapi():
    """Imported by the first request for it: it takes longer than all the rest."""
    from fastapi import Depends, FastAPI
    fast = FastAPI()

    @fast.get("/def")
    def fastapi_endpoint(opened: str = Depends(connection)):
        assert opened == connection()
        return PlainTextResponse(opened)
    return fast


async def fastapi(scope, receive, send):
    """404 where its pydantic refuses the sub-interpreter: Debian 13's does."""
    try:
        app = with_fastapi()
    except ImportError:
        app = PlainTextResponse("no FastAPI", 404)
    await app(scope, receive, send)


async def several(request):
    """Opens as many connections as there are threads at once."""
    barrier = threading.Barrier(3)

    def meet():
        barrier.wait(60)
        return connection()
    found = set()

    async def one():
        found.add(await anyio.to_thread.run_sync(meet))
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(one)
    return PlainTextResponse(str(len(found)))


async def root(request):
    """The names of the root tasks, and whether each is what a library takes it for."""
    return PlainTextResponse(" ".join(f"{task.get_name()}:{task in others()}:{task.done()}" for task in root_tasks()))


async def tasks(request):
    return PlainTextResponse(" ".join(sorted(task.get_name() for task in others())))


async def cancel_all(request):
    """As in many recipes for a shutdown."""
    found = others()
    for task in found:
        task.cancel()
    await asyncio.gather(*found, return_exceptions=True)
    return PlainTextResponse(" ".join(sorted(f"{task.get_name()}:{task.cancelled()}" for task in found)))


async def cancel_until_none(request):
    while found := others():
        for task in found:
            task.cancel()
        await asyncio.wait(found)
    return PlainTextResponse("none")


async def stop(request):
    asyncio.get_running_loop().stop()
    return PlainTextResponse(connection())


class Lifespan:
    """Sees the root task's end from within, and from atexit the threads that are left."""

    async def __aenter__(self):
        task, = root_tasks()
        task.add_done_callback(lambda task: report(root=task.get_name(), cancelled=task.cancelled()))
        report(startup=await anyio.to_thread.run_sync(connection))
        atexit.register(self.exits)

    async def __aexit__(self, *about):
        report(shutdown=await anyio.to_thread.run_sync(connection), roots=len(root_tasks()))

    @staticmethod
    def exits():
        report(threads=sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("AnyIO")))


def starlette(*functions):
    routes = [Route(f"/{function.__name__}", function) for function in functions]
    return Starlette(routes=[*routes, Mount("/wsgi", WSGIMiddleware(wsgi)), Mount("/fastapi", fastapi)],
                     lifespan=lambda app: Lifespan())


app = starlette(to_thread, endpoint, streamed, several, root, tasks, cancel_all, cancel_until_none, stop)


async def cancelled_at_once(scope, receive, send):
    """Cancels the root task before its first step."""
    if scope["type"] != "lifespan":
        await app(scope, receive, send)
        return
    report(cancelled=[task.cancel() for task in others()])
    for name in "startup", "shutdown":
        await receive()
        await send({"type": f"lifespan.{name}.complete"})


async def cancels_at_the_end(scope, receive, send):
    await app(scope, receive, send)
    if scope["type"] == "lifespan":
        found = others()
        for task in found:
            task.cancel()
        await asyncio.gather(*found, return_exceptions=True)
        report(cancelled_at_the_end=len(found))
