"""A client connection over TLS with the parser of harness.Conn, by Python's ssl module."""

import socket
import ssl

import certs
from harness import Conn


class TLSConn(Conn):
    """name: the server name that is asked for; session: an earlier connection's .session; context: certs.context()."""

    def __init__(self, address, *, name="localhost", context=None, session=None, **options):
        super().__init__(address, **options)
        try:
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

    def read_to_end(self):
        """Everything until close_notify; ssl.SSLEOFError when the connection ends without one."""
        parts = [self.buffer]
        self.buffer = b""
        while True:
            data = self.socket.recv(65536)
            if not data:
                return b"".join(parts)
            parts.append(data)

    def end_sending(self):
        """close_notify and FIN."""
        self.socket.setblocking(False)
        try:
            self.socket.unwrap()
        except (ssl.SSLWantReadError, OSError):
            pass
        self.socket.settimeout(self.timeout)
        return self

    def end_abruptly(self):
        """FIN without close_notify."""
        socket.socket.shutdown(self.socket, socket.SHUT_WR)
        return self
