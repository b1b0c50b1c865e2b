# SPDX-License-Identifier: BSD-3-Clause
"""The clients of attacks.py that mean no good, or are just many: one process with an epoll loop that opens connections,
keeps them as the attack wants and counts those that the server ends; and the probe, which asks as a good client does.

Standard library only. Connections come from several addresses of 127/8, so that ports do not run out, and end by RST.
"""
import multiprocessing
import os
import resource
import select
import socket
import ssl
import statistics
import struct
import time

SOURCES = 8
RESET = struct.pack("ii", 1, 0)
OPEN_AT_ONCE = 200
GET = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"
UPGRADE = (b"GET /ws/echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: %s\r\n\r\n" % (b"s" * 4000)
BODY = b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"


def allow_many_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for most in (65536, hard):  # root may pass the hard limit, elsewhere it is what there is
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(most, soft), max(most, hard)))
            return
        except (ValueError, OSError):
            continue


def client_context():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def client_hello():
    """The first flight of a handshake."""
    inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_context().wrap_bio(inward, outward, server_hostname="localhost")
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outward.read()


class Connection:
    def __init__(self, number, port, rcvbuf):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.socket.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
        if rcvbuf:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.socket.bind(("127.0.0.%d" % (2 + number % SOURCES), 0))
        self.socket.connect(("127.0.0.1", port))
        self.opened, self.cut, self.sent, self.got = time.monotonic(), None, 0, 0


class Attack:
    """kind: idle, websocket, head, body, hello (a byte each second), reader (a few KB at a time of `path`)."""

    def __init__(self, kind, port, n, tls=False, path=b"/"):
        self.kind, self.port, self.n, self.path = kind, port, n, path
        self.context = client_context() if tls and kind != "hello" else None
        self.slow = {"head": HEAD, "body": BODY + b"b" * 1000, "hello": client_hello()}.get(kind)
        self.connections, self.poll = {}, select.epoll()

    def open(self):
        """All connections; those that wait for an answer have had it. Returns how many are open."""
        greeting = {"websocket": UPGRADE, "idle": GET % b"/", "reader": GET % self.path}.get(self.kind)
        waiting = []
        for i in range(self.n):
            try:
                c = Connection(i, self.port, 16384 if self.kind == "reader" else 0)
                c.socket.settimeout(20)
                if self.context:
                    c.socket = self.context.wrap_socket(c.socket)
                if self.kind == "body":
                    c.socket.sendall(BODY)
                    c.sent = len(BODY)
                if greeting:
                    c.socket.sendall(greeting)
                    waiting.append(c)
            except OSError:
                continue
            self.connections[c.socket.fileno()] = c
            if len(waiting) >= OPEN_AT_ONCE or self.context:
                self.answers(waiting)
        self.answers(waiting)
        for fd, c in list(self.connections.items()):
            c.socket.setblocking(False)
            if self.kind != "reader":
                self.poll.register(fd, select.EPOLLIN)
        return len(self.connections)

    def answers(self, waiting):
        """The first bytes of the answer of each; who has none is not counted as open."""
        for c in waiting:
            try:
                good = c.socket.recv(1 if self.kind == "reader" else 65536)
            except OSError:
                good = b""
            if not good:
                del self.connections[c.socket.fileno()]
                c.socket.close()
        waiting.clear()

    def step(self):
        """A tick of a tenth of a second: a tenth of the slow ones send their byte, every reader reads."""
        for fd, _ in self.poll.poll(0.1):
            c = self.connections[fd]
            try:
                if not c.socket.recv(65536):
                    self.cut(fd)
            except (BlockingIOError, ssl.SSLWantReadError):
                pass
            except OSError:
                self.cut(fd)
        if self.kind == "reader":
            time.sleep(0.1)

    def tick(self, number):
        for i, (fd, c) in enumerate(list(self.connections.items())):
            if c.cut is not None or (self.kind != "reader" and i % 10 != number % 10):
                continue
            try:
                if self.kind == "reader":
                    c.got += len(c.socket.recv(16384))
                elif self.slow:
                    c.sent += c.socket.send(self.slow[c.sent:c.sent + 1])
            except BlockingIOError:
                pass
            except OSError:
                self.cut(fd)

    def cut(self, fd):
        c = self.connections[fd]
        if c.cut is None:
            c.cut = time.monotonic() - c.opened
            if self.kind != "reader":
                self.poll.unregister(fd)

    def ages(self):
        """How old those were that the server ended."""
        return [c.cut for c in self.connections.values() if c.cut is not None]

    def close(self):
        for c in self.connections.values():
            c.socket.close()


def run_attack(pipe, kind, port, n, tls, path):
    allow_many_files()
    attack = Attack(kind, port, n, tls, path)
    pipe.send(attack.open())
    number, begun, cpu = 0, time.monotonic(), time.process_time()
    while not pipe.poll():
        end = time.monotonic() + 0.1
        attack.tick(number)
        attack.step()
        time.sleep(max(end - time.monotonic(), 0))
        number += 1
    ages = attack.ages()
    busy = (time.process_time() - cpu) / max(time.monotonic() - begun, 1e-9)
    pipe.send({"cut": len(ages), "cut_s": statistics.median(ages) if ages else None, "client_cpu": 100 * busy})
    pipe.recv()
    attack.close()
    os._exit(0)


class Attackers:
    """The process; `opened` connections stand when this returns."""

    def __init__(self, *args):
        self.pipe, there = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=run_attack, args=(there, *args), daemon=True)
        self.process.start()
        there.close()
        self.opened = self.pipe.recv() if self.pipe.poll(180) else 0

    def figures(self):
        self.pipe.send("figures")
        return self.pipe.recv() if self.pipe.poll(30) else {}

    def end(self):
        try:
            self.pipe.send("end")
            self.process.join(30)
        except OSError:
            pass
        self.process.kill()
        self.process.join()


def probe(port, seconds, tls=False):
    """Asks for / on a new connection, 50 times a second; (p50, p99) in ms of connection and answer, and how many had none."""
    context, times, lost = client_context() if tls else None, [], 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        started = time.monotonic()
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                if context:
                    s = context.wrap_socket(s)
                s.sendall(GET % b"/")
                if not s.recv(4096).startswith(b"HTTP/1.1 200"):
                    raise OSError
                if context:
                    s.close()
            times.append(time.monotonic() - started)
        except OSError:
            lost += 1
        time.sleep(max(0.02 - (time.monotonic() - started), 0))
    times.sort()
    at = [1000 * times[min(int(len(times) * q), len(times) - 1)] if times else None for q in (0.5, 0.99)]
    return {"p50_ms": at[0], "p99_ms": at[1], "lost": lost}
