# SPDX-License-Identifier: BSD-3-Clause
"""An application that uses what belongs to the event loop's thread from other threads, for test_foreign_threads.py.

Each function answers "ok", or what it found instead."""

import asyncio
import contextvars
import gc
import socket
import threading

from apps.kit import body, start, text

BIG = b"0123456789abcdef" * 65536
tag = contextvars.ContextVar("tag", default="none")


def in_thread(function, *args):
    """What function(*args) returns or raises in a thread of its own; awaitable."""
    loop, done = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()

    def run():
        try:
            result = function(*args)
        except BaseException as error:
            result = error
        loop.call_soon_threadsafe(done.set_result, result)
    threading.Thread(target=run).start()
    return done


def in_loop_of_thread(function, *args):
    """The same for a coroutine function, run by asyncio.run() there."""
    return in_thread(lambda: asyncio.run(function(*args)))


def says(error, kind, *words):
    if isinstance(error, kind) and all(word in str(error) for word in words):
        return "ok"
    return f"not {kind.__name__} with {words}: {error!r}"


# --- receive() and send() ---

async def answer(scope, receive, send):
    """The whole answer from a loop of another thread."""
    async def go():
        await start(send, 200, [(b"content-type", b"text/plain")])
        for _ in range(20):
            await body(send, b"x" * 1000, True)
        await body(send, b"end")
        return "ok"
    assert await in_loop_of_thread(go) == "ok"


async def whole(scope, receive, send):
    """The request's body and the answer, which the client reads slowly, from a loop of another thread."""
    async def go():
        got, more = [], True
        while more:
            message = await receive()
            got.append(message["body"])
            more = message["more_body"]
        await start(send)
        for part in got:
            await body(send, part, True)
        await body(send, BIG)
        return "ok"
    assert await in_loop_of_thread(go) == "ok"


async def by_turns(scope, receive, send):
    """Loops of several threads, one after the other, and the server's own."""
    await start(send)
    for number in range(3):
        assert await in_loop_of_thread(body, send, b"%d" % number, True) is None
        await body(send, b"-", True)
    await body(send)


async def threadsafe(scope, receive, send):
    """Called in a thread without a loop, awaited by the server's: run_coroutine_threadsafe(send(...), loop)."""
    loop = asyncio.get_running_loop()

    def go():
        messages = [{"type": "http.response.start", "status": 200}, {"type": "http.response.body", "body": b"ok"}]
        assert asyncio.run_coroutine_threadsafe(receive(), loop).result()["type"] == "http.request"
        for message in messages:
            assert asyncio.run_coroutine_threadsafe(send(message), loop).result() is None
        return "ok"
    assert await in_thread(go) == "ok"


async def no_loop(scope, receive, send):
    """Driven by hand where nothing can wait."""
    def go(call, *args):
        waiting = call(*args)
        try:
            return waiting.send(None)
        finally:
            waiting.close()
    found = [says(await in_thread(go, receive), RuntimeError, "asyncio.run_coroutine_threadsafe"),
             says(await in_thread(go, send, {"type": "http.response.start", "status": 200}), RuntimeError,
                  "asyncio.run_coroutine_threadsafe")]
    await text(send, "ok" if found == ["ok"] * 2 else repr(found))


async def awaitable(scope, receive, send):
    """Made in the server's thread and used in others."""
    await receive()
    found = []
    for use in (lambda w: w.send(None), next, lambda w: asyncio.run(asyncio.wait_for(w, 5)), lambda w: w.__await__().send(None)):
        found.append(says(await in_thread(use, receive()), RuntimeError, "thread"))
    waiting = receive()
    assert asyncio.isfuture(waiting.send(None))  # a future of the server's loop: it waits for the disconnect
    found.append(says(await in_thread(waiting.send, None), RuntimeError, "thread"))
    found.append(says(await in_thread(waiting.throw, KeyError("thrown")), KeyError, "thrown"))
    waiting = receive()
    waiting.send(None)
    found.append("ok" if await in_thread(waiting.close) is None else "close()")
    await text(send, "ok" if found == ["ok"] * 7 else repr(found))


async def dropped(scope, receive, send):
    """The last references are let go of in other threads, some while the awaitable waits."""
    await receive()
    held = []
    for i in range(200):
        held.append(receive())
        if i % 2:
            held[-1].send(None)

    def drop(mine):
        while mine:
            mine.pop()
    halves = [held[::2], held[1::2]]
    held = None
    await asyncio.gather(*(in_thread(drop, half) for half in halves))
    await text(send, "ok")


KEPT = []


async def kept(scope, receive, send):
    """receive and send outlive their request: what they do then is test's to ask, by /used."""
    KEPT.append((receive, send))
    await text(send, "ok")


async def used(scope, receive, send):
    async def late(old_receive, old_send):
        await old_send({"type": "http.response.body", "body": b"late"})
        return (await old_receive())["type"]

    def last():
        KEPT.clear()
        gc.collect()
    found = [await in_loop_of_thread(late, *pair) for pair in KEPT]
    await in_thread(last)
    await text(send, "ok" if found and set(found) == {"http.disconnect"} else repr(found))


async def errors(scope, receive, send):
    """What send() raises comes to the thread that awaits it."""
    found = [says(await in_loop_of_thread(send, message), kind, *words) for message, kind, words in (
        ({"type": "http.response.body"}, RuntimeError, ["before http.response.start"]),
        ({"type": "no.such"}, ValueError, ["no.such"]), ({}, TypeError, ["type"]),
        ({"type": "http.response.start", "status": 200, "headers": [(b"a b", b"")]}, ValueError, ["not a token"]))]
    await text(send, "ok" if found == ["ok"] * 4 else repr(found))


async def disconnect(scope, receive, send):
    """A client that goes away while another thread's loop waits in receive() and in send(); the next request tells."""
    async def waits():
        while (await receive())["type"] != "http.disconnect":
            pass
        return "disconnected"

    async def sends():
        try:
            await start(send)
            while True:
                await body(send, BIG, True)
        except OSError:
            return "gone"
    SEEN.extend(await asyncio.gather(in_loop_of_thread(waits), in_loop_of_thread(sends)))


SEEN = []


async def seen(scope, receive, send):
    await text(send, ",".join(sorted(map(str, SEEN))))


async def cancelled(scope, receive, send):
    """A task of another thread's loop is cancelled while it waits in receive()."""
    await receive()

    async def go():
        try:
            await asyncio.wait_for(receive(), 0.01)
        except asyncio.TimeoutError:
            return "ok"
    await text(send, await in_loop_of_thread(go))


async def context(scope, receive, send):
    """The context of the thread is left as it was."""
    async def go():
        tag.set("thread")
        await start(send)
        return tag.get()
    found = await in_loop_of_thread(go)
    await body(send, b"ok" if (found, tag.get()) == ("thread", "none") else repr(found).encode())


# --- the event loop ---

async def scheduling(scope, receive, send):
    """call_soon(), call_later(), call_at() and create_task() of other threads, a common mistake: what is asked for happens, and
    without waiting for something else to wake the loop."""
    loop, found = asyncio.get_running_loop(), []

    async def coroutine(done):
        done("task")
    for ask in (lambda done: loop.call_soon(done, "soon"), lambda done: loop.call_later(0.001, done, "later"),
                lambda done: loop.call_at(loop.time(), done, "at"), lambda done: loop.create_task(coroutine(done))):
        came = asyncio.Event()

        def done(what):
            found.append(what)
            came.set()
        threading.Thread(target=lambda: KEPT.append(ask(done))).start()
        await came.wait()
    KEPT.clear()
    await text(send, "ok" if found == ["soon", "later", "at", "task"] else repr(found))


async def debug(scope, receive, send):
    """In debug mode asyncio's rule holds."""
    loop, found = asyncio.get_running_loop(), []
    loop.set_debug(True)
    try:
        for ask in (lambda: loop.call_soon(print), lambda: loop.call_later(1, print), lambda: loop.call_at(1, print)):
            found.append(says(await in_thread(ask), RuntimeError, "Non-thread-safe"))
    finally:
        loop.set_debug(False)
    await text(send, "ok" if found == ["ok"] * 3 else repr(found))


async def refused(scope, receive, send):
    """What would reach into the loop's own structures."""
    loop, found = asyncio.get_running_loop(), []
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        for ask in (lambda: loop.add_reader(ours, print), lambda: loop.add_writer(ours, print), lambda: loop.remove_reader(ours),
                    lambda: loop.remove_writer(ours), lambda: loop.add_signal_handler(14, print),
                    lambda: loop.remove_signal_handler(14), loop._run_once, lambda: loop._release()):
            found.append(says(await in_thread(ask), RuntimeError, "loop"))
        found.append(says(await in_thread(loop.add_reader, ours, print), RuntimeError, "call_soon_threadsafe"))
        found.append(says(await in_thread(loop.run_forever), RuntimeError, "runs it"))
        found.append(says(await in_thread(loop.run_until_complete, loop.create_future()), RuntimeError, "runs it"))
        found.append(says(await in_thread(loop.close), RuntimeError, "running"))
    await text(send, "ok" if found == ["ok"] * 12 else repr(found))


async def handles(scope, receive, send):
    """Handles and timers that other threads cancel while the loop runs them."""
    loop, ran = asyncio.get_running_loop(), []

    def cancel(mine):
        for handle in mine:
            handle.cancel()
    for _ in range(20):
        mine = [loop.call_later(i % 7 / 1000, ran.append, i) for i in range(200)]
        mine += [loop.call_soon(ran.append, i) for i in range(200)]
        waiting = [in_thread(cancel, mine[k::3]) for k in range(3)]
        await asyncio.sleep(0.002)
        await asyncio.gather(*waiting)
    await text(send, "ok")


async def request_coroutine(scope, receive, send):
    """The coroutine of the request, which its Task shows."""
    coroutine, found = asyncio.current_task().get_coro(), []
    await asyncio.sleep(0)
    for use in (lambda: coroutine.send(None), lambda: coroutine.throw(KeyError()), coroutine.close):
        found.append(says(await in_thread(use), RuntimeError, "thread"))
    await text(send, "ok" if found == ["ok"] * 3 else repr(found))


# --- WebSocket, lifespan ---

async def websocket(scope, receive, send):
    async def go():
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
        return message["type"]
    SEEN.append(await in_loop_of_thread(go))


async def websocket_closes(scope, receive, send):
    async def go():
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 4000})
        return (await receive())["code"]
    assert await in_loop_of_thread(go) == 4000


async def websocket_denied(scope, receive, send):
    async def go():
        await receive()
        await send({"type": "websocket.http.response.start", "status": 418})
        await send({"type": "websocket.http.response.body", "body": b"denied"})
    assert await in_loop_of_thread(go) is None


async def lifespan(scope, receive, send):
    async def startup():
        assert (await receive())["type"] == "lifespan.startup"
        await send({"type": "lifespan.startup.complete"})
        return "started by a thread"

    async def shutdown():
        assert (await receive())["type"] == "lifespan.shutdown"
        return "told a thread of the shutdown"
    print(await in_loop_of_thread(startup), flush=True)
    print(await in_loop_of_thread(shutdown), flush=True)
    await send({"type": "lifespan.shutdown.complete"})


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return await lifespan(scope, receive, send)
    await globals()[scope["path"].lstrip("/")](scope, receive, send)
