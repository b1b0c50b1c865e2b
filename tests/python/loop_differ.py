# SPDX-License-Identifier: BSD-3-Clause
"""For loop_*.py scripts: a scenario is an async generator of what a protocol and the application see. It is run on the worker's loop
and, in a thread, on asyncio's own, and both must see the same."""

import asyncio
import threading

from loop_check import case

SCENARIOS = []
DEADLINE = 50


def scenario(function):
    """An async generator of what is to be compared."""
    SCENARIOS.append(function)
    return function


def plain(value):
    """Comparable between two runs."""
    if isinstance(value, BaseException):
        return (type(value).__name__, str(value))
    return bytes(value) if isinstance(value, (bytes, bytearray, memoryview)) else value


async def until(condition):
    while not condition():
        await asyncio.sleep(0.001)


def in_thread(function, *args):
    return asyncio.get_running_loop().run_in_executor(None, function, *args)


def message_of(context):
    """Without what differs, the name of the class of the transport."""
    text = context['message'].partition('(<')[0]
    return text.replace('_SelectorDatagramTransport', 'DatagramTransport').replace('_UnixReadPipeTransport', 'ReadPipeTransport')


async def collect(function):
    running = asyncio.get_running_loop()
    contexts, seen = [], []
    running.set_exception_handler(lambda _, context: contexts.append(context))
    try:
        async for item in function():
            seen.append(item)
    finally:
        running.set_exception_handler(None)
    return seen, [(message_of(c), plain(c.get('exception')), sorted(c)) for c in contexts]


def on_asyncio(function):
    own = asyncio.SelectorEventLoop()
    try:
        return own.run_until_complete(asyncio.wait_for(collect(function), DEADLINE))
    finally:
        own.run_until_complete(own.shutdown_default_executor())
        own.close()


def differential(loop, function):
    def run():
        ours = loop.run_until_complete(asyncio.wait_for(collect(function), DEADLINE))
        theirs = []
        thread = threading.Thread(target=lambda: theirs.append(on_asyncio(function)))
        thread.start()
        thread.join()
        assert theirs and ours == theirs[0], f'tine:    {ours}\nasyncio: {theirs}'
        assert ours[0]
    run.__name__ = function.__name__
    return case(run)


def add_scenarios(loop):
    for each in SCENARIOS:
        differential(loop, each)
