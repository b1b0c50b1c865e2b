# SPDX-License-Identifier: BSD-3-Clause
"""HTTP/2 clients that never ask twice, for what load.py is for HTTP/1: each request is sent once and its outcome counted.

ok, status (not 200), lost (the connection ended before its answer did, though GOAWAY had not named it unprocessed), reset-N,
refused, timeout; unprocessed: GOAWAY or REFUSED_STREAM said so, which the client may send again without a doubt (RFC 9113
8.7). abrupt: a connection that ended without the notice in front of it (6.8).
"""

import asyncio
import struct

from lib.h2attacks import Peer
from lib.h2frames import (ACK, DATA, END_STREAM, GOAWAY, HEADERS, INITIAL_WINDOW, LARGE, PING, PREFACE, REFUSED_STREAM, RST_STREAM,
                          SETTINGS, frame, setting, update)
from lib.load import Load
from lib.waiting import DEADLINE


class H2Load(Load):
    """`depth` requests at a time on each connection, `per_connection` in all; GET and POST by turns. Every other client
    goes on with new requests after the notice, until it is told which was the last. tls: the context of an h2 client."""

    def __init__(self, address, clients=8, per_connection=10**9, path="/", depth=5, tls=None):
        super().__init__(address, clients, per_connection, path)
        self.depth, self.tls, self.notices = depth, tls, 0
        self.n_clients = 0

    @property
    def failed(self):
        return {what: n for what, n in self.counts.items() if what not in ("ok", "unprocessed") and n}

    async def client(self):
        self.n_clients += 1
        late = self.n_clients % 2 == 0
        while not self.stopping.is_set():
            try:
                reader, writer = await asyncio.open_connection(*self.address, ssl=self.tls,
                                                               server_hostname="localhost" if self.tls else None)
            except OSError:
                self.counts["refused"] += 1
                continue
            c = Connection(self, reader, writer, late)
            try:
                await asyncio.wait_for(c.run(), 3 * DEADLINE)
            except asyncio.TimeoutError:
                self.counts["timeout"] += 1
            finally:
                writer.close()


class Connection:
    def __init__(self, load, reader, writer, late):
        self.load, self.reader, self.writer, self.late = load, reader, writer, late
        self.peer = Peer(load.tls is not None)
        self.open, self.n, self.last, self.noticed, self.ended = {}, 0, None, False, False

    def may_ask(self):
        told = self.last is not None or (self.noticed and not self.late)
        return not (told or self.ended or self.load.stopping.is_set() or self.n >= self.load.per_connection)

    def ask(self):
        stream, self.n = self.peer.next_id, self.n + 1
        self.open[stream] = [None, b""]
        if self.n % 2:
            self.writer.write(self.peer.get(self.load.path))
        else:
            self.writer.write(self.peer.post(self.load.path) + frame(DATA, END_STREAM, stream, b"x" * 1000))

    async def run(self):
        self.writer.write(PREFACE + frame(SETTINGS, 0, 0, setting(INITIAL_WINDOW, LARGE)) + update(0, LARGE - 65535))
        while True:
            while len(self.open) < self.load.depth and self.may_ask():
                self.ask()
            if not self.open and not self.may_ask():
                return
            try:
                await self.writer.drain()
            except OSError: # what the server said before is still to be read
                self.ended = True
            try:
                await self.take_frame()
            except (asyncio.IncompleteReadError, OSError):
                break
        self.ended = True
        self.load.counts["abrupt"] += not self.noticed
        for stream in list(self.open):
            self.over(stream, "unprocessed" if self.last is not None and stream > self.last else "lost")

    def over(self, stream, what):
        self.open.pop(stream, None)
        self.load.counts[what] += 1

    async def take_frame(self):
        head = await self.reader.readexactly(9)
        payload = await self.reader.readexactly(int.from_bytes(head[:3], "big"))
        kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
        if kind == SETTINGS and not flags & ACK:
            self.writer.write(frame(SETTINGS, ACK))
        elif kind == PING and not flags & ACK:
            self.writer.write(frame(PING, ACK, 0, payload))
        elif kind == GOAWAY:
            self.goaway(*struct.unpack(">II", payload[:8]))
        elif kind == RST_STREAM and stream in self.open:
            code, = struct.unpack(">I", payload)
            self.over(stream, "unprocessed" if code == REFUSED_STREAM else f"reset-{code}")
        elif kind in (HEADERS, DATA) and stream in self.open:
            self.take_part(kind, flags, stream, payload)

    def goaway(self, last, code):
        if code:
            self.load.counts[f"goaway-{code}"] += 1
        if last == LARGE:
            self.noticed = True
            self.load.notices += 1
            return
        self.last = last
        for stream in [s for s in self.open if s > last]:
            self.over(stream, "unprocessed")

    def take_part(self, kind, flags, stream, payload):
        answer = self.open[stream]
        if kind == HEADERS:
            answer[0] = payload[0]
        else:
            answer[1] += payload
        if flags & END_STREAM:
            self.load.bodies[answer[1]] += 1
            self.over(stream, "ok" if answer[0] == 0x88 else "status") # :status 200 in the static table
