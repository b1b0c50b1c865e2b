#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Frame fuzz over real sockets: WebSocket sessions made of a seed, against a running server.

A sound session has a known answer, whatever pieces its bytes are cut into. A broken one is a sound one with some bytes
changed: its answer only has to be sound itself: frames that RFC 6455 allows, messages that inflate, text that is UTF-8,
one Close frame and nothing behind it, then the end of the connection. Others break the opening handshake, or go away in the
middle. Afterwards the same workers must be alive, and the log clean (the sanitizers write there).

    ws_live.py [--engine wslay] [--seconds 1800] [--sessions N] [--seed N] [--threads 4]

Standard library only; tests/wire/test_websocket_fuzz.py runs a short one. Must not depend on time but for its end.
"""

import argparse
import random
import struct
import sys
import threading
import time
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lib.client import Truncated
from lib.procfs import memory_kb
from lib.server import Server
from lib.ws import ACCEPT, BINARY, CLOSE, CONT, PING, PONG, TEXT, close_payload, frame, handshake

LIMIT = 100 << 10  # max_message_size of the server
CONFIG = {"server": {"workers": 1, "graceful_timeout": "2s"},
          "websocket": {"max_message_size": "100k", "max_queue": 8, "ping_interval": 0}}
OFFERS = [
    None, None, "permessage-deflate", "permessage-deflate; client_max_window_bits",
    "permessage-deflate; client_max_window_bits=9; server_max_window_bits=9",
    "permessage-deflate; client_no_context_takeover; server_no_context_takeover",
    "permessage-deflate; server_max_window_bits=8, permessage-deflate; client_max_window_bits=\"10\"",
]
LETTERS = "ab \u00e9\u20ac\U0001f600"
# Bytes that mean something in a frame's head, in deflate or in UTF-8.
MEANINGFUL = [0, 1, 0x7d, 0x7e, 0x7f, 0x80, 0x81, 0x82, 0x88, 0x89, 0x8a, 0xc1, 0xfe, 0xff, 0xed, 0xf4, 0xc0, 0x41]


class Unsound(AssertionError):
    """The server did what it must not."""


class Deflater:
    """The client's half of permessage-deflate, by what the server answered."""

    def __init__(self, answer):
        parameters = dict((p.strip() + "=").split("=")[:2] for p in answer.split(";")[1:])
        self.out_bits = max(9, int(parameters.get("client_max_window_bits") or 15))
        self.in_bits = int(parameters.get("server_max_window_bits") or 15)
        self.out_fresh = "client_no_context_takeover" in parameters
        self.in_fresh = "server_no_context_takeover" in parameters
        self.out, self.into = self._new_out(), self._new_in()

    def _new_out(self):
        return zlib.compressobj(wbits=-self.out_bits)

    def _new_in(self):
        return zlib.decompressobj(wbits=-self.in_bits)

    def deflate(self, data):
        small = (self.out.compress(data) + self.out.flush(zlib.Z_SYNC_FLUSH))[:-4]
        if self.out_fresh:
            self.out = self._new_out()
        return small

    def inflate(self, data):
        try:
            whole = self.into.decompress(data + b"\0\0\xff\xff")
        except zlib.error as e:
            raise Unsound(f"a message of the server does not inflate: {e}") from None
        if self.in_fresh:
            self.into = self._new_in()
        return whole


class Session:
    """One connection; `rng` makes everything that it does."""

    def __init__(self, server, rng, engine):
        self.rng, self.engine = rng, engine
        self.conn = server.connect(rcvbuf=rng.choice([None, None, None, 32768]))
        self.deflater = None

    def open(self, path):
        offer = self.rng.choice(OFFERS)
        self.conn.send(handshake(path, [f"Sec-WebSocket-Extensions: {offer}"] if offer else []))
        response = self.conn.read_response()
        if response.status != 101 or response.get("sec-websocket-accept") != ACCEPT:
            raise Unsound(f"a sound handshake was answered with {response}")
        answer = response.get("sec-websocket-extensions")
        self.deflater = Deflater(answer) if answer else None

    # --- what is sent ---

    def payload(self):
        n = self.rng.choice([0, 1, 2, 20, 95, 96, 124, 125, 126, 127, 500, 2047, 2048, 4096, 5000, 65535, 65536, LIMIT])
        n = n if self.rng.random() < 0.5 else self.rng.randrange(n + 1)
        if self.rng.random() < 0.5:
            return BINARY, self.rng.choice([self.rng.randbytes(n), bytes(n), b"word " * (n // 5)])
        text = "".join(self.rng.choices(LETTERS, k=min(n // 4 + 1, 300)))
        return TEXT, (text * (n // len(text.encode()) + 1)).encode()[:n].decode(errors="ignore").encode()

    def control(self, expected):
        """A ping or an unsolicited pong."""
        data = self.rng.randbytes(self.rng.choice([0, 1, 10, 125]))
        if self.rng.random() < 0.7:
            expected.append((PONG, data))
            return frame(PING, data, mask=self.mask())
        return frame(PONG, data, mask=self.mask())

    def mask(self):
        return self.rng.choice([b"\0\0\0\0", b"\xff\xff\xff\xff", self.rng.randbytes(4)])

    def message(self, expected):
        """The frames of one message; controls may be among them."""
        opcode, data = self.payload()
        echoed, rsv = (opcode, data), 0
        if self.deflater and self.rng.random() < 0.7:
            data, rsv = self.deflater.deflate(data), 4
        cuts = sorted(self.rng.randrange(len(data) + 1) for _ in range(self.rng.choice([0, 0, 0, 1, 2, 7])))
        pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)])]
        parts = []
        for i, piece in enumerate(pieces):
            parts.append(frame(CONT if i else opcode, piece, fin=i == len(pieces) - 1, rsv=0 if i else rsv, mask=self.mask()))
            if i < len(pieces) - 1 and self.rng.random() < 0.3:
                parts.append(self.control(expected))
        expected.append(echoed)
        return b"".join(parts)

    def script(self):
        """Bytes of a sound session but for its Close frame, and what the echo answers."""
        expected, parts = [], []
        for _ in range(self.rng.choice([0, 1, 1, 2, 3, 10, 30])):
            parts.append(self.control(expected) if self.rng.random() < 0.2 else self.message(expected))
        return b"".join(parts), expected

    def put(self, data):
        """Sends the bytes in some pieces while reading what comes, so that neither side waits for the other."""
        cuts = sorted(self.rng.randrange(len(data) + 1) for _ in range(self.rng.choice([0, 0, 1, 3, 40])))
        for a, b in zip([0, *cuts], [*cuts, len(data)]):
            self.put_piece(data[a:b])

    def put_piece(self, piece):
        end = time.monotonic() + self.conn.timeout
        at = 0
        while at < len(piece):
            self.conn.socket.setblocking(False)
            try:
                at += self.conn.socket.send(piece[at:at + 65536])
            except BlockingIOError:
                if time.monotonic() > end:
                    raise Unsound("nothing was read for a long time") from None
                self.take_what_is_there()
            finally:
                self.conn.socket.settimeout(self.conn.timeout)

    def take_what_is_there(self):
        try:
            self.conn.buffer += self.conn.socket.recv(1 << 20)
        except BlockingIOError:
            threading.Event().wait(0.001)

    # --- what is read ---

    def read(self):
        """The next whole message or control frame (opcode, payload); only what a server may send."""
        first, second = self.conn.read_exactly(2)
        n = second & 0x7f
        if second & 0x80:
            raise Unsound("a masked frame")
        if n == 126:
            n = struct.unpack(">H", self.conn.read_exactly(2))[0]
        elif n == 127:
            n = struct.unpack(">Q", self.conn.read_exactly(8))[0]
        opcode, rsv, fin = first & 15, first >> 4 & 7, bool(first & 0x80)
        if not fin or opcode not in (TEXT, BINARY, CLOSE, PING, PONG) or n > 2 * LIMIT or (opcode >= CLOSE and n > 125):
            raise Unsound(f"frame {first:#x} of {n} bytes")
        data = self.conn.read_exactly(n)
        if rsv == 4 and self.deflater and opcode in (TEXT, BINARY):
            data = self.deflater.inflate(data)
        elif rsv:
            raise Unsound(f"reserved bits in frame {first:#x}")
        if opcode == TEXT:
            data.decode()
        if opcode == CLOSE and n:
            code, _ = struct.unpack(">H", data[:2])[0], data[2:].decode()
            if n == 1 or not (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999):
                raise Unsound(f"Close with {data!r}")
        return opcode, data

    def read_all(self):
        """Everything to the end of the connection. Behind a Close frame libwebsockets still answers pings, which is
        allowed while the peer has sent none (RFC 6455 5.5.2)."""
        seen = []
        while True:
            try:
                one = self.read()
            except (Truncated, ConnectionError):
                return seen
            if (CLOSE in [e[0] for e in seen]) and not (one[0] == PONG and self.engine == "libwebsockets"):
                raise Unsound(f"behind a Close frame came {one}")
            seen.append(one)


def sound(session):
    session.open("/echo")
    data, expected = session.script()
    code = session.rng.choice([1000, 1001, 3000, 4999])
    session.put(data)
    got = []
    # The Close frame only when all is there: whoever has sent one is told nothing more.
    want = [e for e in expected if e[0] != PONG or session.engine != "libwebsockets"]
    while len(got) < len(want):
        one = session.read()
        if one[0] != PONG or session.engine != "libwebsockets":
            got.append(one)
    pongs, messages = ([e for e in got if (e[0] == PONG) == kind] for kind in (True, False))
    if pongs != [e for e in want if e[0] == PONG] or messages != [e for e in want if e[0] != PONG]:
        raise Unsound(f"got {[(o, len(d)) for o, d in got]} for {[(o, len(d)) for o, d in want]}")
    session.put(frame(CLOSE, close_payload(code, "bye")))
    rest = [e for e in session.read_all() if e[0] != PONG or session.engine != "libwebsockets"]
    if rest != [(CLOSE, close_payload(code))]:
        raise Unsound(f"the closing handshake was answered with {rest}")


def mutate(rng, data):
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5])):
        if not data:
            break
        # Heads of frames are at the start more often than elsewhere.
        at = rng.randrange(len(data)) if rng.random() < 0.5 else rng.randrange(min(len(data), 16))
        what = rng.random()
        if what < 0.3:
            data[at] ^= 1 << rng.randrange(8)
        elif what < 0.6:
            data[at] = rng.choice(MEANINGFUL)
        elif what < 0.75:
            del data[at:at + rng.choice([1, 2, 4, 100])]
        elif what < 0.9:
            data[at:at] = rng.randbytes(rng.choice([1, 2, 4, 100]))
        else:
            data[at:at] = data[:rng.choice([6, 8, 20])]
    return bytes(data)


def broken(session):
    session.open(session.rng.choice(["/echo", "/echo", "/late", "/closes?code=4000", "/burst?n=50"]))
    data, _ = session.script()
    try:
        session.put(mutate(session.rng, data))
        session.put(session.rng.choice([b"", frame(CLOSE), frame(CLOSE, session.rng.randbytes(session.rng.randrange(12)))]))
        session.conn.half_close()
    except ConnectionError:
        return  # it has closed already, and our bytes met a reset
    session.read_all()


def rude(session):
    """Goes away without a word, with answers unread."""
    path = session.rng.choice(["/echo", "/flood?id=f&n=40", "/broadcast", "/deaf?id=d", "/returns_open"])
    data, _ = session.script()
    cut = data[:session.rng.randrange(len(data) + 1)]
    offer = session.rng.choice(OFFERS)
    session.conn.socket.setblocking(False)
    try:
        session.conn.socket.send(handshake(path, [f"Sec-WebSocket-Extensions: {offer}"] if offer else []) + cut)
        if session.rng.random() < 0.5:
            session.conn.socket.settimeout(session.conn.timeout)
            session.conn.socket.recv(session.rng.choice([1, 200, 4096]))
    except OSError:
        pass
    if session.rng.random() < 0.5:
        session.conn.reset()


def opening(session):
    """A handshake with bytes changed: whatever comes is an answer of HTTP or a Close frame, then the end."""
    rng = session.rng
    fields = ["Sec-WebSocket-Protocol: a, b", f"Sec-WebSocket-Extensions: {rng.choice(OFFERS[2:])}", "Origin: http://a"]
    data = mutate(rng, handshake("/echo", rng.sample(fields, rng.randrange(3))))
    try:
        session.put(data)
        session.conn.half_close()
        response = session.conn.read_response()
    except (Truncated, ConnectionError):
        return
    if response.status == 101:
        answer = response.get("sec-websocket-extensions")
        session.deflater = Deflater(answer) if answer else None
        session.read_all()


KINDS = [sound] * 4 + [broken] * 8 + [rude] * 2 + [opening] * 2


class Fuzz:
    """Threads that take numbers of sessions from one counter; the first failure ends all."""

    def __init__(self, server, engine, seed, sessions=None, seconds=None):
        self.server, self.engine, self.seed = server, engine, seed
        self.sessions, self.end = sessions, seconds and time.monotonic() + seconds
        self.next, self.lock, self.failure = 0, threading.Lock(), None

    def take(self):
        with self.lock:
            over = self.failure or (self.sessions is not None and self.next >= self.sessions) or \
                (self.end and time.monotonic() > self.end)
            if over:
                return None
            self.next += 1
            return self.next - 1

    def one(self, number):
        rng = random.Random(f"{self.seed}/{number}")
        kind = rng.choice(KINDS)
        session = Session(self.server, rng, self.engine)
        try:
            kind(session)
        except Exception as e:
            name = f"session {number} of seed {self.seed} ({kind.__name__}, {self.engine})"
            raise Unsound(f"{name}: {type(e).__name__}: {e}") from e
        finally:
            session.conn.close()

    def work(self):
        while (number := self.take()) is not None:
            try:
                self.one(number)
            except AssertionError as e:
                with self.lock:
                    self.failure = self.failure or e

    def run(self, threads):
        workers = [threading.Thread(target=self.work, daemon=True) for _ in range(threads)]
        for w in workers:
            w.start()
        for w in workers:
            w.join()
        if self.failure:
            raise self.failure
        with self.server.connect() as c:
            assert c.request("GET", "/hello").body == b"Hello"
        return self.next


def run(engine, seed, *, sessions=None, seconds=None, threads=4):
    """Starts a server, fuzzes it, stops it. The number of sessions."""
    config = {name: dict(keys) for name, keys in CONFIG.items()}
    config["websocket"]["engine"] = engine
    with Server("websockets", config, allow=["Traceback"]) as server:
        before = server.workers()
        done = Fuzz(server, engine, seed, sessions, seconds).run(threads)
        after = server.workers()
        assert after == before, f"workers were {before} and are {after}"
        print(f"{engine}: {done} sessions of seed {seed}, worker has {memory_kb(after[0])} kB", flush=True)
    return done


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--engine", default="wslay", choices=["wslay", "libwebsockets"])
    options.add_argument("--seconds", type=float)
    options.add_argument("--sessions", type=int)
    options.add_argument("--seed", default="1")
    options.add_argument("--threads", type=int, default=4)
    arguments = options.parse_args()
    try:
        run(arguments.engine, arguments.seed, sessions=arguments.sessions, seconds=arguments.seconds,
            threads=arguments.threads)
    except AssertionError as e:
        print(e)
        print("0 passed, 1 failed")
        return 1
    print("1 passed, 0 failed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
