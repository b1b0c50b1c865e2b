# SPDX-License-Identifier: BSD-3-Clause
"""Feeds requests that are cut into pieces to many connections at a time, and gives back every byte that was answered.

A round sends the next piece of each connection of a batch; between rounds a request on a connection of its own is
answered twice, so that the server has seen the one piece before the next one leaves. Nothing here judges an answer.
"""

import random
import re
import socket
import ssl

from lib import certs
from lib.waiting import DEADLINE

BATCH = 128
SEED = 9112

# Longer ones are cut near their ends, and here and there between.
EVERY_CUT = 600
EDGE = 40


class Plain:
    """A connection that is given pieces. first: bytes in front of them, together with the first."""

    family = socket.AF_INET

    def __init__(self, address, pieces, first=b""):
        self.pieces = [first + pieces[0], *pieces[1:]] if first else pieces
        self.at = 0
        self.socket = socket.socket(self.family, socket.SOCK_STREAM)
        self.socket.settimeout(DEADLINE)
        self.socket.connect(address)
        if self.family == socket.AF_INET:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def step(self):
        """Sends the next piece, and the end behind the last one. False: there are no more."""
        if self.at == len(self.pieces):
            return False
        try:
            self.send(self.pieces[self.at])
            self.at += 1
            if self.at == len(self.pieces):
                self.end()
        except OSError:  # it has closed, and answered before
            self.at = len(self.pieces)
        return self.at < len(self.pieces)

    def send(self, piece):
        self.socket.sendall(piece)

    def end(self):
        self.socket.shutdown(socket.SHUT_WR)

    def receive(self):
        parts = []
        try:
            while (data := self.socket.recv(65536)):
                parts.append(data)
        except ConnectionResetError:
            pass
        return b"".join(parts)

    def answers(self):
        try:
            return self.receive()
        finally:
            self.socket.close()


class Unix(Plain):
    family = socket.AF_UNIX


class Records(Plain):
    """Each piece is a record of TLS of its own; the end is close_notify and FIN."""

    def __init__(self, address, pieces, session=None, context=None):
        super().__init__(address, pieces)
        self.inward, self.outward = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = (context or certs.context()).wrap_bio(self.inward, self.outward, server_hostname="localhost",
                                                         session=session)
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.socket.sendall(self.outward.read())
                self.inward.write(self.socket.recv(65536))

    def send(self, piece):
        self.tls.write(piece)
        self.flush()

    def end(self):
        try:
            self.tls.unwrap()
        except ssl.SSLError:  # the other side's close_notify has not come yet
            pass
        self.flush()
        super().end()

    def flush(self):
        self.socket.sendall(self.outward.read())

    def receive(self):
        self.inward.write(super().receive())
        parts = []
        try:
            while (data := self.tls.read(65536)):
                parts.append(data)
        except ssl.SSLError:  # nothing more: close_notify went out before
            pass
        return b"".join(parts)


class RecordsTogether(Records):
    """The records leave in one piece, so that many are there when the server reads."""

    def step(self):
        try:
            for piece in self.pieces:
                self.tls.write(piece)
            self.end()
        except OSError:
            pass
        return False


class Dribbled(Records):
    """What is encrypted leaves byte by byte, whatever records it is in."""

    def __init__(self, address, pieces, **options):
        super().__init__(address, pieces, **options)
        for piece in pieces:
            self.tls.write(piece)
        try:
            self.tls.unwrap()
        except ssl.SSLError:
            pass
        data = self.outward.read()
        self.pieces = [data[i:i + 1] for i in range(len(data))]

    def send(self, piece):
        self.socket.sendall(piece)

    def end(self):
        self.socket.shutdown(socket.SHUT_WR)


def resumable(address):
    """Options of Records for handshakes that cost little: of TLS 1.2, from a session."""
    context = certs.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    one = Records(address, [b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"], context=context)
    one.step()
    one.answers()
    return {"context": context, "session": one.tls.session}


def feed(dial, jobs, settle=None):
    """The answers to each of the jobs, which are lists of pieces; settle(): waits until the server has seen a round."""
    found = []
    for at in range(0, len(jobs), BATCH):
        some = [dial(pieces) for pieces in jobs[at:at + BATCH]]
        going = some
        while (going := [one for one in going if one.step()]):
            settle()
        found += [without_date(one.answers()) for one in some]
    return found


def settler(server):
    """settle() over a connection of its own, which is closed with the second value."""
    conn = server.connect()

    def settle():
        for _ in range(2):
            conn.request("GET", "/")
    return settle, conn


def without_date(raw):
    return re.sub(rb"(?i)\r\ndate: [^\r]*", b"", raw)


# --- ways to cut ---

def whole(raw):
    return [[raw]]


def by_bytes(raw):
    return [[raw[i:i + 1] for i in range(len(raw))]]


def in_two(raw):
    """At every offset."""
    near = set(range(1, len(raw)))
    if len(raw) > EVERY_CUT:
        chosen = random.Random(SEED).sample(range(EDGE, len(raw) - EDGE), EDGE)
        near = {*range(1, EDGE), *range(len(raw) - EDGE, len(raw)), *chosen}
    return [[raw[:cut], raw[cut:]] for cut in sorted(near)]


def in_two_even(raw):
    return in_two(raw)[::2]


def in_two_odd(raw):
    return in_two(raw)[1::2]


def at_random(raw, times=4):
    """Into two to eight pieces, the same ones each time that this is called."""
    dice = random.Random(SEED + len(raw))
    made = []
    for _ in range(times):
        cuts = sorted(dice.sample(range(1, len(raw)), min(dice.randint(1, 7), len(raw) - 1)))
        made.append([raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)])])
    return made


def in_two_at_random(raw, times=4):
    dice = random.Random(SEED + 1 + len(raw))
    return [[raw[:cut], raw[cut:]] for cut in dice.sample(range(1, len(raw)), min(times, len(raw) - 1))]
