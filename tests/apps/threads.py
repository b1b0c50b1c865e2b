# SPDX-License-Identifier: BSD-3-Clause
"""Threads in every way that an application has them, for test_threads.py: `app` for ASGI, `wsgi` for WSGI."""

import asyncio
import ctypes
import functools
import hashlib
import logging
import os
import threading
import time

from apps.kit import dispatch, query, read_all, text
from apps.report import report

THREADS = 4
meetings, meeting_lock = {}, threading.Lock()
BIG = b"0123456789abcdef" * 16384


def in_threads(function, n=THREADS):
    """Starts them; what is returned waits for all."""
    threads = [threading.Thread(target=function, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    return lambda: [thread.join() for thread in threads]


async def hello(scope, receive, send):
    await text(send, "hello")


async def storm(scope, receive, send):
    """Threads that call into the loop as fast as they can, and some that let it fall asleep in between."""
    loop, n, seen, all_seen = asyncio.get_running_loop(), int(query(scope)["n"]), [], asyncio.Event()

    def see(i):
        seen.append(i)
        if len(seen) == THREADS * n:
            all_seen.set()

    def thread(number):
        for i in range(n):
            loop.call_soon_threadsafe(see, i)
            loop.call_soon_threadsafe(seen.append, "cancelled").cancel()
            if number % 2 and not i % 10:
                time.sleep(0.001)
    join = in_threads(thread)
    await all_seen.wait()
    await asyncio.to_thread(join)
    await asyncio.sleep(0)
    await text(send, str(len(seen)))


async def coroutines(scope, receive, send):
    """Threads that have the loop run coroutines for them."""
    loop, results = asyncio.get_running_loop(), []

    async def work(i):
        await asyncio.sleep(0.0001 * (i % 3))
        return i

    def thread(number):
        for i in range(20):
            results.append(asyncio.run_coroutine_threadsafe(work(i), loop).result())
    await asyncio.to_thread(in_threads(thread))
    await text(send, str(len(results)))


async def executor(scope, receive, send):
    loop = asyncio.get_running_loop()
    found = await asyncio.gather(*(loop.run_in_executor(None, hashlib.sha256, BIG) for _ in range(20)),
                                 *(asyncio.to_thread(hashlib.sha256, BIG) for _ in range(20)))
    await text(send, str(len({f.hexdigest() for f in found})))


async def never_waits(scope, receive, send):
    """A callback that schedules itself, all of it in C: the loop does not wait, and no bytecode hands the GIL over."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    again = functools.partial(loop.call_soon)
    again.__setstate__((loop.call_soon, (again,), {}, None))

    def stop():
        again.__setstate__((int, (), {}, None))
        done.set()

    def thread():
        for i in range(20):
            time.sleep(0)
        loop.call_soon_threadsafe(stop)
    again()
    threading.Thread(target=thread).start()
    await done.wait()
    await text(send, "ended")


async def bursts(scope, receive, send):
    """Threads that call into a loop that is awake and one that sleeps, by turns; each call comes once, in its thread's order."""
    loop, found, gate = asyncio.get_running_loop(), [], threading.Event()

    def thread(number):
        gate.wait()
        for i in range(50):
            loop.call_soon_threadsafe(found.append, (number, i))
    join = in_threads(thread)
    gate.set()
    while len(found) < 50 * THREADS:
        await asyncio.sleep(0 if len(found) % 2 else 0.001)
    await asyncio.to_thread(join)
    right = all([i for number, i in found if number == n] == list(range(50)) for n in range(THREADS))
    await text(send, f"{len(found)} {right}")


async def loops(scope, receive, send):
    """Loops of our own in other threads, which call each other."""
    meeting, found = {}, []
    barrier = threading.Barrier(THREADS)

    async def inner(number):
        loop, called = asyncio.get_running_loop(), asyncio.Event()
        meeting[number] = lambda: loop.call_soon_threadsafe(called.set)
        await loop.run_in_executor(None, barrier.wait)
        meeting[(number + 1) % THREADS]()
        await called.wait()
        found.append(number)
        await loop.run_in_executor(None, barrier.wait)
    await asyncio.to_thread(in_threads(lambda number: asyncio.run(inner(number))))
    await text(send, str(len(found)))


async def logs(scope, receive, send):
    """Threads that write to the log while the loop does."""
    def thread(number):
        for i in range(20):
            logging.getLogger("uvicorn.error").warning("line %d of %d", i, number)
    join = in_threads(thread)
    for i in range(20):
        logging.getLogger("uvicorn.error").warning("line %d of the loop", i)
        await asyncio.sleep(0)
    await asyncio.to_thread(join)
    await text(send, "logged")


async def blocks(scope, receive, send):
    """Holds the loop for some milliseconds, with names that change."""
    for _ in range(3):
        time.sleep(float(query(scope)["s"]))
        await asyncio.sleep(0)
    await text(send, "blocked")


async def leaves(scope, receive, send):
    """Threads that nobody waits for."""
    def thread():
        while True:
            hashlib.sha256(BIG)
            time.sleep(0.001)
    threading.Thread(target=thread, daemon=True).start()
    await text(send, "left")


def deeper(n):
    return n and deeper(n - 1) + 1


def several_deep():
    """Its frames, in memory of its own, come and go with the thread."""
    for _ in range(20):
        yield deeper(60)


def comes_and_goes(end):
    while not end.is_set():
        in_threads(lambda number: [sum(several_deep()) for _ in range(5)], 8)()


churns = []


async def churn(scope, receive, send):
    """Threads that start, call, return and end all the time, until /calm."""
    churns.append(threading.Event())
    threading.Thread(target=comes_and_goes, args=churns[-1:]).start()
    await text(send, "churning")


async def calm(scope, receive, send):
    while churns:
        churns.pop().set()
    await text(send, "calm")


async def echo(scope, receive, send):
    await text(send, await read_all(receive))


app = dispatch(hello, storm, never_waits, bursts, coroutines, executor, loops, logs, blocks, leaves, churn, calm, echo)


# --- WSGI ---

def answer(start_response, data):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(data)))])
    return data if isinstance(data, list) else [data]


def wsgi_stream(environ, start_response):
    start_response("200 OK", [("Content-Length", str(4 * len(BIG) + 5))])
    yield b"first"
    for _ in range(4):
        yield BIG


def wsgi_errors(environ, start_response):
    for i in range(5):
        environ["wsgi.errors"].write(f"line {i}\n")
    return answer(start_response, b"written")


def wsgi_threads(environ, start_response):
    found = []
    in_threads(lambda number: found.append(hashlib.sha256(BIG).hexdigest()))()
    return answer(start_response, str(len(found)).encode())


def wsgi_meet(environ, start_response):
    """Waits for as many other requests as the query says."""
    n = int(environ["QUERY_STRING"])
    with meeting_lock:
        barrier = meetings.setdefault(n, threading.Barrier(n))
    barrier.wait()
    return answer(start_response, b"met")


def wsgi_held(environ, start_response):
    """Reads from a FIFO while it holds the GIL, as C code does that computes."""
    name = environ["QUERY_STRING"]
    fd = os.open(name, os.O_RDWR)
    read = ctypes.PyDLL(None).read
    report(held=name)
    read(fd, ctypes.create_string_buffer(1), 1)
    os.close(fd)
    return answer(start_response, b"held")


WSGI = {"/meet": wsgi_meet, "/held": wsgi_held, "/hello": lambda environ, start_response: answer(start_response, b"hello"),
        "/big": lambda environ, start_response: answer(start_response, BIG),
        "/echo": lambda environ, start_response: answer(start_response, environ["wsgi.input"].read()),
        "/stream": wsgi_stream, "/errors": wsgi_errors, "/threads": wsgi_threads}


def wsgi(environ, start_response):
    return WSGI[environ["PATH_INFO"]](environ, start_response)
