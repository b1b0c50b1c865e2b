# SPDX-License-Identifier: BSD-3-Clause
"""A client that never asks twice: every request is sent once and its outcome counted, as wrk and the like do not.

ok, status-N, refused, lost (the connection ended before any byte of the answer, on a fresh connection or after a part of
it came), race (a reused connection ended before any byte: RFC 9112 9.5 lets the server do that, and a server that reloads
well does not need it), timeout.
"""

import asyncio
import os
import threading
from collections import Counter

from lib.waiting import DEADLINE, wait_for


class Load:
    """Runs in a thread from entry to exit. per_connection: requests on one connection; 1 closes after each. The client
    says close in its last one. pause: seconds that a client waits before each connection, which leaves time to what else
    is to happen. rate: how many requests a second all clients send at most, which leaves the cores to the server and to other
    tests; None, and everywhere where TINE_TEST_EVERYWHERE is set: as many as they can. `bodies` counts what was answered."""

    def __init__(self, address, clients=8, per_connection=1, path="/", pause=0, rate=1000):
        self.address, self.clients, self.per_connection, self.path, self.pause = address, clients, per_connection, path, pause
        self.think = clients / rate if rate and "TINE_TEST_EVERYWHERE" not in os.environ else 0
        self.counts, self.bodies = Counter(), Counter()
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self.run()))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.stopping.set()
        self.thread.join()
        return self

    @property
    def ok(self):
        return self.counts["ok"]

    @property
    def failed(self):
        """Everything but answers with 200."""
        return {what: n for what, n in self.counts.items() if what != "ok" and n}

    def more(self, n=100):
        """Waits for n more answers."""
        start = self.ok
        wait_for(lambda: self.ok >= start + n, what=f"{n} more answers; {dict(self.counts)}")
        return self

    async def run(self):
        await asyncio.gather(*(self.client() for _ in range(self.clients)))

    async def client(self):
        while not self.stopping.is_set():
            if self.pause:
                await asyncio.sleep(self.pause)
            try:
                reader, writer = await asyncio.open_connection(*self.address)
            except OSError:
                self.counts["refused"] += 1
                await asyncio.sleep(0.01)
                continue
            n = 0
            while await self.ask(reader, writer, n) and not self.stopping.is_set():
                n += 1
                await asyncio.sleep(self.think)
            writer.close()
            await asyncio.sleep(self.think)

    async def ask(self, reader, writer, n):
        """One request; True if another may follow on this connection."""
        last = n + 1 >= self.per_connection
        got = Counter()
        try:
            writer.write(b"GET %s HTTP/1.1\r\nHost: test\r\n%s\r\n" % (self.path.encode(), b"Connection: close\r\n" * last))
            return await asyncio.wait_for(self.answer(reader, got), DEADLINE) and not last
        except (OSError, EOFError) as e:
            some = got["head"] or getattr(e, "partial", b"")
            self.counts["race" if n and not some else "lost"] += 1
        except asyncio.TimeoutError:
            self.counts["timeout"] += 1
        return False

    async def answer(self, reader, got):
        head = await reader.readuntil(b"\r\n\r\n")
        got["head"] += 1
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
        body = await reader.readexactly(int(fields[b"content-length"]))
        status = head.split(b" ", 2)[1].decode()
        self.counts["ok" if status == "200" else f"status-{status}"] += 1
        self.bodies[body.decode()] += 1
        return fields.get(b"connection") != b"close"
