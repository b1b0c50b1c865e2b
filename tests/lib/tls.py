# SPDX-License-Identifier: BSD-3-Clause
"""A client connection over TLS with the parser of lib.client, by Python's ssl module."""

import socket
import ssl

from lib import certs
from lib.client import Conn


class HandTLS:
    """A client whose bytes are moved by hand between OpenSSL and a plain connection."""

    def __init__(self, conn=None, context=None):
        self.conn, self.inward, self.outward = conn, ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = (context or certs.context()).wrap_bio(self.inward, self.outward, server_hostname="localhost")

    def step(self):
        """What the client has to say next in the handshake; b"": nothing, until more is fed."""
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return self.outward.read()

    def feed(self):
        """Gives what the server says next to OpenSSL."""
        assert self.conn.fill(), "the server has closed"
        self.inward.write(self.conn.buffer)
        self.conn.buffer = b""

    def handshake(self, send=None):
        """The whole handshake; send(bytes) sends a flight."""
        send = send or self.conn.send
        send(self.step())
        while self.tls.version() is None:
            self.feed()
            if (flight := self.step()):
                send(flight)
        return self

    def send(self, data):
        self.tls.write(data)
        self.conn.send(self.outward.read())
        return self

    def read_until(self, end):
        got = b""
        while not got.endswith(end):
            try:
                got += self.tls.read()
            except ssl.SSLWantReadError:
                self.feed()
        return got


class TLSConn(Conn):
    """name: the server name that is asked for; session: an earlier connection's .session; context: certs.context().
    first: bytes sent in the clear in front of it all."""

    def __init__(self, address, *, name="localhost", context=None, session=None, first=b"", **options):
        super().__init__(address, **options)
        try:
            self.socket.sendall(first)
            self.socket = (context or certs.context()).wrap_socket(
                self.socket, server_hostname=name, session=session, suppress_ragged_eofs=False)
        except BaseException:
            self.socket.close()
            raise

    @property
    def session(self):
        return self.socket.session

    @property
    def reused(self):
        return self.socket.session_reused

    def send(self, data):
        try:
            return super().send(data)
        except ssl.SSLEOFError as e:
            raise BrokenPipeError(str(e)) from None

    def half_close(self):
        """FIN without close_notify, which Python's module cannot send and go on reading."""
        try:
            socket.socket.shutdown(self.socket, socket.SHUT_WR)
        except OSError:
            pass
        return self

    def read_to_notify(self):
        """Everything until close_notify; ssl.SSLEOFError when the connection ends without one."""
        parts = [self.buffer]
        self.buffer = b""
        while True:
            data = self.socket.recv(65536)
            if not data:
                return b"".join(parts)
            parts.append(data)

    def _fill(self, end):
        try:
            return super()._fill(end)
        except (ssl.SSLEOFError, BrokenPipeError):
            return False
