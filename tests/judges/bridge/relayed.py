# SPDX-License-Identifier: BSD-3-Clause
"""The other end of relay.py, in the process of the test, where the real application runs."""

import builtins
import pickle
import struct

import anyio


def exception_of(kind, text):
    found = getattr(builtins, kind, RuntimeError)
    return found(text) if isinstance(found, type) and issubclass(found, Exception) and kind != "UnicodeEncodeError" else RuntimeError(text)


class Relay:
    """receive() and send() of the application, over a stream to relay.py."""

    def __init__(self, stream):
        self.stream, self.waiting, self.number, self.lock = stream, {}, 0, anyio.Lock()

    async def take(self):
        data = b""
        while len(data) < 4 or len(data) < 4 + struct.unpack(">I", data[:4])[0]:
            data += await self.stream.receive(4 - len(data) if len(data) < 4 else 4 + struct.unpack(">I", data[:4])[0] - len(data))
        return pickle.loads(data[4:])

    async def put(self, *what):
        data = pickle.dumps(what)
        async with self.lock:
            await self.stream.send(struct.pack(">I", len(data)) + data)

    async def answers(self):
        """Runs beside the application."""
        try:
            while True:
                kind, number, value = await self.take()
                event, box = self.waiting.pop(number)
                box.append(value)
                event.set()
        except (anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError):
            for event, box in self.waiting.values():
                event.set()

    async def ask(self, kind, value=None):
        self.number += 1
        number, event, box = self.number, anyio.Event(), []
        self.waiting[number] = event, box
        await self.put(kind, number, value)
        await event.wait()
        return box[0] if box else None

    async def over(self, error, value=None):
        """The application has raised `error` or returned `value`."""
        try:
            await self.put("over", 0, (None if error is None else type(error).__name__, value))
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass  # the server has given the application up
