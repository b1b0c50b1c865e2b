# SPDX-License-Identifier: BSD-3-Clause
"""The soak's tasks over HTTP/2: many streams, uploads within the windows, resets, clients that vanish, WebSockets.

In the clear by prior knowledge, and over TLS by ALPN.
"""

import json
import ssl
import struct

import kinds_ws
from lib import ws as wsconn
from lib.client import Truncated
from lib.h2 import H2
from lib.h2frames import CANCEL, DATA, END_STREAM, INITIAL_WINDOW, REFUSED_STREAM, RST_STREAM
from client import Told
from content import content, digest

WEBSOCKET = [("sec-websocket-version", "13")]
ENDED = (Truncated, ConnectionError, ssl.SSLError)


class Flow(H2):
    """Sends no more than the server's windows allow, and knows when the server said that it goes."""

    def __init__(self, c):
        super().__init__(c.connect(alpn="h2"))
        if isinstance(self.conn.socket, ssl.SSLSocket):
            assert self.conn.socket.selected_alpn_protocol() == "h2"
        self.c, self.sent = c, {}
        try:
            self.until(lambda: self.settings is not None)
        except ENDED:
            self.leaves(1)
            raise

    def window(self, stream):
        initial = {0: 65535}.get(stream, self.settings.get(INITIAL_WINDOW, 65535))
        return initial + sum(n for s, n in self.updates if s == stream) - self.sent.get(stream, 0)

    def upload(self, stream, data, end=True):
        at = 0
        while at < len(data):
            n = min(len(data) - at, self.window(0), self.window(stream), 16384)
            if n <= 0:
                self.read()
                assert self.answers[stream].reset is None, "reset inside an upload"
                continue
            for s in (0, stream):
                self.sent[s] = self.sent.get(s, 0) + n
            self.send(DATA, END_STREAM if end and at + n == len(data) else 0, stream, data[at:at + n])
            at += n

    def leaves(self, stream):
        """Told, if a GOAWAY, or a refusal, says that this stream was not worked on."""
        a = self.answers.get(stream)
        if any(last < stream and code == 0 for last, code in self.goaways) or (a and a.reset == REFUSED_STREAM):
            raise Told

    def finish(self, stream):
        """The whole answer; Told where the server had said that it will not be."""
        try:
            a = self.answer(stream)
        except ENDED:
            self.leaves(stream)
            raise
        self.leaves(stream)
        assert a.reset is None, f"stream {stream} was reset with {a.reset}"
        return a

    def check(self, stream, name, body=None):
        a = self.finish(stream)
        assert a.status == 200 and a.get("x-id") == name, (name, a.headers)
        self.c.of_worker(self.conn, int(a.get("x-pid")))
        assert body is None or a.body == body, f"{name}: {len(a.body)} bytes, not the {len(body)} that are right"
        self.c.done(name)
        return a

    def asking(self, what):
        """Runs what sends; a connection that the server has said it ends may be gone by then."""
        try:
            return what()
        except ENDED:
            self.read_away()
            if self.goaways and all(code == 0 for _, code in self.goaways):
                raise Told from None
            raise

    def read_away(self):
        try:
            while True:
                self.read()
        except (OSError, AssertionError):
            pass


def streams(c):
    """Several requests at once, answered in whatever order."""
    h = Flow(c)
    for _ in range(c.rng.randint(1, 6)):
        asked = []
        for _ in range(c.rng.randint(1, 20)):
            n, name = c.rng.choice([64, 64, 2000, 60_000]), c.name("h")
            where = f"/down?how={c.rng.choice(['length', 'chunked'])}&n={n}&id={name}" if n != 64 else \
                c.rng.choice(["/echo?id=", "/wsgi/echo?id=", "/executor?id=", "/sse?n=3&id="]) + name
            body = content(name, n) if "/sse" not in where else "".join(f"id: {i}\ndata: {name}\n\n" for i in range(3)).encode()
            asked.append((h.asking(lambda: h.request("GET", where)), name, body))
        c.rng.shuffle(asked)
        for stream, name, body in asked:
            h.check(stream, name, body)
    c.remember_session(h.conn, "h2")


def h2_upload(c):
    h = Flow(c)
    for _ in range(c.rng.randint(1, 4)):
        data, name = c.rng.randbytes(c.rng.choice([1, 5000, 150_000, 1_000_000])), c.name("h")
        stream = h.asking(lambda: h.request("POST", c.rng.choice(["/up?id=", "/wsgi/up?id=", "/up?slow=1&id="]) + name, end=False))
        h.asking(lambda: h.upload(stream, data))
        a = h.check(stream, name)
        assert json.loads(a.body) == {"n": len(data), "sha256": digest(data)}, a.body


def h2_resets(c):
    """Some streams are reset on the way; the others are answered."""
    h = Flow(c)
    kept = []
    for _ in range(c.rng.randint(2, 12)):
        name = c.name("h")
        if c.chance(0.5):
            kept.append((h.asking(lambda: h.request("GET", f"/down?how=chunked&n=20000&id={name}")), name))
        else:
            stream = h.asking(lambda: h.request("GET", f"/down?how=chunked&n=1000000&id={name}"))
            h.asking(lambda: h.send(RST_STREAM, 0, stream, struct.pack(">I", CANCEL)))
    for stream, name in kept:
        h.check(stream, name, content(name, 20000))


def h2_errors(c):
    h = Flow(c)
    stream = h.asking(lambda: h.request("GET", "/fails_before?id=" + c.name("e")))
    assert h.finish(stream).status == 500
    c.done()
    stream = h.asking(lambda: h.request("GET", "/fails_after?id=" + c.name("e")))
    try:
        a = h.answer(stream)
    except ENDED:
        h.leaves(stream)
        raise
    h.leaves(stream)
    assert a.reset is not None and not a.ended, "an answer that broke looks whole"
    name = c.name("h")
    h.check(h.asking(lambda: h.request("GET", "/echo?id=" + name)), name, content(name, 64))


def h2_vanish(c):
    h = Flow(c)
    try:
        for _ in range(c.rng.randint(1, 10)):
            h.request("GET", f"/down?how=chunked&n=3000000&id={c.name('v')}")
        stream = h.request("POST", f"/up?id={c.name('v')}", end=False)
        h.data(stream, c.rng.randbytes(c.rng.randint(0, 16000)))
        h.conn.socket.settimeout(0.2)
        h.conn.socket.recv(c.rng.choice([1, 100_000]))
    except OSError:
        pass
    if c.chance(0.5):
        h.conn.reset()
    c.done()


class Inside:
    """wsconn.WS on one stream."""

    def __init__(self, h, path):
        self.h, self.used = h, 0
        self.stream = h.asking(lambda: h.open(h.head("CONNECT", path, WEBSOCKET, more=[(":protocol", "websocket")]), end=False))
        self.a = h.answers[self.stream]
        self.until(lambda: self.a.headers)
        assert self.a.status == 200, self.a.headers

    def until(self, done):
        h = self.h
        try:
            h.until(lambda: done() or self.a.ended or self.a.reset is not None)
        except ENDED:
            h.leaves(self.stream)
            raise
        h.leaves(self.stream)
        assert done(), f"the stream ended; reset {self.a.reset}"

    def send(self, opcode, payload=b"", **options):
        self.h.asking(lambda: self.h.upload(self.stream, wsconn.frame(opcode, payload, **options), end=False))
        return self

    def take(self, n):
        self.until(lambda: len(self.a.body) - self.used >= n)
        self.used += n
        return self.a.body[self.used - n:self.used]

    def read(self):
        first, second = self.take(2)
        n = second & 127
        n = int.from_bytes(self.take(2 if n == 126 else 8), "big") if n > 125 else n
        return bool(first & 128), first >> 4 & 7, first & 15, self.take(n)


def h2_websockets(c):
    """Some WebSockets on one connection, beside a request."""
    h = Flow(c)
    for _ in range(c.rng.randint(1, 3)):
        name = c.name("w")
        kinds_ws.talk(c, kinds_ws.Socket(c, Inside(h, "/ws_echo?id=" + name), h.conn, name))
        name = c.name("h")
        h.check(h.asking(lambda: h.request("GET", "/echo?id=" + name)), name, content(name, 64))


def h2_websocket_vanish(c):
    h = Flow(c)
    name = c.name("w")
    w = kinds_ws.Socket(c, Inside(h, "/ws_room?room=h&id=" + name), h.conn, name)
    h.asking(lambda: h.upload(w.ws.stream, wsconn.frame(wsconn.BINARY, bytes(30_000))[:c.rng.randint(1, 30_000)], end=False))
    if c.chance(0.5):
        h.conn.reset()
    c.done()


BUSY = [(6, streams), (2, h2_upload), (2, h2_resets), (1, h2_errors), (2, h2_vanish), (2, h2_websockets), (1, h2_websocket_vanish)]
