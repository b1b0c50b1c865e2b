# SPDX-License-Identifier: BSD-3-Clause
"""An HTTP/1.1 client over raw sockets that believes nothing: every answer goes through a strict parser. Standard library only."""

import json
import os
import re
import socket
import ssl
import struct
import time

from lib.waiting import DEADLINE


class Truncated(AssertionError):
    """The connection ended inside an answer."""


class Malformed(AssertionError):
    """The answer breaks the rules of HTTP/1.1."""


class Response:
    """An answer taken apart. framing: none, length, chunked or close; chunks: the sizes on the wire."""

    def __init__(self, version, status, reason, headers):
        self.version, self.status, self.reason, self.headers = version, status, reason, headers
        self.body, self.framing, self.chunks, self.trailers, self.interim = b"", "none", [], [], []
        self.raw_head = b""

    def get_all(self, name):
        return [v for k, v in self.headers if k.lower() == name.lower()]

    def get(self, name, default=None):
        found = self.get_all(name)
        assert len(found) < 2, f"{name} is there {len(found)} times"
        return found[0] if found else default

    def json(self):
        return json.loads(self.body)

    @property
    def closes(self):
        return "close" in [t.strip().lower() for v in self.get_all("connection") for t in v.split(",")]

    def __repr__(self):
        return f"<{self.status} {self.reason} {self.headers} {self.body[:200]!r}>"


STATUS_LINE = re.compile(rb"HTTP/(1\.[01]) ([1-9][0-9]{2}) ([\t -~\x80-\xff]*)\r\n\Z")
FIELD_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*((?:[!-~\x80-\xff][\t -~\x80-\xff]*)?)\r\n\Z")
ONCE = {"content-length", "transfer-encoding", "date", "server", "content-type", "location", "etag"}


class Conn:
    """A client connection. `buffer` holds what was received and not used."""

    def __init__(self, address, *, timeout=None, rcvbuf=None, source=None):
        family = socket.AF_UNIX if isinstance(address, (str, bytes, os.PathLike)) else \
            socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.timeout = timeout or DEADLINE
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        if rcvbuf:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        if family != socket.AF_UNIX:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if source:
            self.socket.bind((source, 0))
        self.socket.settimeout(self.timeout)
        self.socket.connect(str(address) if family == socket.AF_UNIX else address)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def name(self):
        """The client's own (host, port)."""
        return self.socket.getsockname()[:2]

    # --- sending ---

    def send(self, data):
        self.socket.sendall(data.encode("latin-1") if isinstance(data, str) else data)
        return self

    def send_request(self, method="GET", path="/", headers=(), body=None, version="1.1", host="test", chunks=None):
        """Sends a request with a right head; `headers` as pairs or "Name: value" lines."""
        lines = [f"{method} {path} HTTP/{version}"]
        fields = [h if isinstance(h, str) else f"{h[0]}: {h[1]}" for h in headers]
        if host is not None and not any(h.lower().startswith("host:") for h in fields):
            lines.append(f"Host: {host}")
        lines += fields
        data = body.encode() if isinstance(body, str) else body
        if chunks is not None:
            lines.append("Transfer-Encoding: chunked")
            data = b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in chunks) + b"0\r\n\r\n"
        elif data is not None:
            lines.append(f"Content-Length: {len(data)}")
        return self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (data or b""))

    def request(self, method="GET", path="/", headers=(), body=None, **options):
        """A request and its answer."""
        self.send_request(method, path, headers, body, **options)
        return self.read_response(method)

    def half_close(self):
        """Ends the sending side; nothing is left to end if the peer has reset the connection."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        return self

    def reset(self):
        """Closes with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self):
        self.socket.close()

    # --- receiving ---

    def fill(self, end=None):
        """Receives more into the buffer; False at EOF. ConnectionResetError and TimeoutError come through."""
        if end is not None:
            self.socket.settimeout(max(end - time.monotonic(), 0.001))
        data = self.socket.recv(65536)
        self.buffer += data
        return bool(data)

    def read_until(self, mark):
        end = time.monotonic() + self.timeout
        while mark not in self.buffer:
            if not self._fill(end):
                raise Truncated(f"EOF before {mark!r}; have {self.buffer[:500]!r}")
        at = self.buffer.index(mark) + len(mark)
        found, self.buffer = self.buffer[:at], self.buffer[at:]
        return found

    def read_exactly(self, n):
        end = time.monotonic() + self.timeout
        parts, have = [self.buffer[:n]], len(self.buffer[:n])
        self.buffer = self.buffer[n:]
        while have < n:
            self.socket.settimeout(max(end - time.monotonic(), 0.001))
            try:
                data = self.socket.recv(min(n - have, 1 << 20))
            except TimeoutError:
                raise AssertionError(f"deadline is over, {have} of {n} bytes came") from None
            except ConnectionResetError:
                data = b""
            if not data:
                raise Truncated(f"EOF after {have} of {n} bytes; have {b''.join(parts)[-300:]!r}")
            parts.append(data)
            have += len(data)
        return b"".join(parts)

    def read_to_end(self):
        """Everything until the peer closes."""
        end = time.monotonic() + self.timeout
        parts = []
        while self._fill(end):
            if len(self.buffer) > 1 << 19:  # or each piece would be put behind a copy of all that came before
                parts.append(self.buffer)
                self.buffer = b""
        parts.append(self.buffer)
        self.buffer = b""
        return b"".join(parts)

    def read_response(self, method="GET", *, interim=None):
        """The next final answer, strictly parsed. 1xx answers go to .interim; interim=True returns the next one itself."""
        before = []
        while True:
            response = self._read_head()
            if 100 <= response.status < 200 and response.status != 101:
                assert not response.get_all("content-length") and not response.get_all("transfer-encoding"), response
                if interim:
                    return response
                before.append(response)
                continue
            response.interim = before
            self._read_body(response, method)
            return response

    def expect_close(self):
        """Nothing more comes and the peer closes (FIN or RST)."""
        rest = self.read_to_end()
        assert rest == b"", f"bytes before the end of the connection: {rest[:500]!r}"

    def expect_no_more(self):
        """No byte is waiting now, and the connection is open."""
        assert self.buffer == b"", f"extra bytes: {self.buffer[:500]!r}"
        self.socket.setblocking(False)
        try:
            data = self.socket.recv(65536)
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        finally:
            self.socket.settimeout(self.timeout)
        raise AssertionError(f"extra bytes: {data[:500]!r}" if data else "the connection was closed")

    def is_open(self):
        """Whether neither EOF nor RST has come; keeps what is received."""
        self.socket.setblocking(False)
        try:
            while True:
                if not self.fill():
                    return False
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except ConnectionError:
            return False
        finally:
            self.socket.settimeout(self.timeout)

    def _fill(self, end):
        try:
            return self.fill(end)
        except TimeoutError:
            raise AssertionError(f"deadline is over; received so far: {self.buffer[:500]!r}") from None
        except ConnectionResetError:
            return False

    def _read_head(self):
        raw = self.read_until(b"\r\n\r\n")
        lines = raw[:-2].splitlines(keepends=True)
        match = STATUS_LINE.match(lines[0])
        if not match:
            raise Malformed(f"bad status line in {raw[:500]!r}")
        version, status, reason = (g.decode("latin-1") for g in match.groups())
        response = Response(version, int(status), reason, self._fields(lines[1:]))
        response.raw_head = raw
        names = [k.lower() for k, _ in response.headers]
        for name in ONCE:
            if names.count(name) > 1:
                raise Malformed(f"{name} more than once in {raw!r}")
        if "content-length" in names and "transfer-encoding" in names:
            raise Malformed(f"content-length and transfer-encoding in {raw!r}")
        return response

    @staticmethod
    def _fields(lines):
        fields = []
        for line in lines:
            match = FIELD_LINE.match(line)
            if not match:
                raise Malformed(f"bad field line {line!r}")
            fields.append((match.group(1).decode(), match.group(2).decode("latin-1").rstrip(" \t")))
        return fields

    def _read_body(self, response, method):
        coding, length = response.get("transfer-encoding"), response.get("content-length")
        if coding is not None and (coding != "chunked" or response.status == 204):
            raise Malformed(f"transfer-encoding {coding!r} with status {response.status}")
        if length is not None and (not re.fullmatch("[0-9]+", length) or response.status == 204):
            raise Malformed(f"content-length {length!r} with status {response.status}")
        if method == "HEAD" or response.status in (101, 204, 304):
            return
        if coding is not None:
            response.framing = "chunked"
            self._read_chunks(response)
        elif length is not None:
            response.framing = "length"
            response.body = self.read_exactly(int(length))
        else:
            response.framing = "close"
            if not response.closes:
                raise Malformed(f"neither length nor chunked nor close: {response.raw_head!r}")
            response.body = self.read_to_end()

    def _read_chunks(self, response):
        parts = []
        while True:
            line = self.read_until(b"\r\n")
            if not re.fullmatch(rb"[0-9A-Fa-f]{1,16}\r\n", line):
                raise Malformed(f"bad chunk size {line!r}")
            size = int(line, 16)
            if size == 0:
                break
            data = self.read_exactly(size + 2)
            if data[-2:] != b"\r\n":
                raise Malformed(f"no CRLF behind chunk data: {data[-20:]!r}")
            parts.append(data[:-2])
            response.chunks.append(size)
        response.body = b"".join(parts)
        lines = []
        while (line := self.read_until(b"\r\n")) != b"\r\n":
            lines.append(line)
        response.trailers = self._fields(lines)
