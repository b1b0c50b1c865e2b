# SPDX-License-Identifier: BSD-3-Clause
"""WSGI applications, one behaviour each, chosen by the first part of the path. What they see goes into reports."""

import contextvars
import io
import json
import os
import sys
import tempfile
import threading
import zlib
from pathlib import Path

from apps.report import report

PLAIN = [("Content-Type", "text/plain")]
LOOP_THREAD = threading.get_ident()


class Body:
    """An iterable that tells of its end."""

    def __init__(self, name, parts, fails_at=None):
        self.name, self.parts, self.fails_at, self.closed, self.given = name, iter(parts), fails_at, 0, 0

    def __iter__(self):
        return self

    def __next__(self):
        if self.given == self.fails_at:
            raise RuntimeError("the body broke")
        self.given += 1
        return next(self.parts)

    def close(self):
        self.closed += 1
        report(path=self.name, closed=self.closed, given=self.given)


def query(environ):
    return dict(part.split("=", 1) for part in environ["QUERY_STRING"].split("&") if part)


def text(start_response, data, status="200 OK", headers=()):
    start_response(status, PLAIN + list(headers))
    return [data.encode() if isinstance(data, str) else data]


def environ(environ, start_response):
    seen = {k: v if isinstance(v, (str, bool, int, list)) else list(v) if isinstance(v, tuple) else repr(type(v))
            for k, v in environ.items()}
    return text(start_response, json.dumps(seen))


def hello(environ, start_response):
    return text(start_response, b"hello")


def thread(environ, start_response):
    return text(start_response, "loop" if threading.get_ident() == LOOP_THREAD else "pool")


def nothing(environ, start_response):
    start_response("200 OK", [])
    return []


def pieces(environ, start_response):
    start_response("200 OK", PLAIN)
    return [b"one", b"", b"two"]


def large_pieces(environ, start_response):
    start_response("200 OK", PLAIN)
    return (b"a" * 100000, b"b" * 100000)


def stream(environ, start_response):
    start_response("200 OK", PLAIN)
    return Body("stream", [b"", b"one", b"", b"two", b""])


def late_start(environ, start_response):
    def body():
        start_response("200 OK", PLAIN)
        yield b"late"
    return body()


def with_length(environ, start_response):
    start_response("200 OK", PLAIN + [("Content-Length", "6")])
    return Body("with_length", [b"one", b"two"])


def too_long(environ, start_response):
    start_response("200 OK", PLAIN + [("Content-Length", "4")])
    return Body("too_long", [b"one", b"two", b"three"])


def too_short(environ, start_response):
    start_response("200 OK", PLAIN + [("Content-Length", "10")])
    return Body("too_short", [b"one", b"two"])


def short_of_all(environ, start_response):
    """Content-Length, and nothing of it."""
    start_response("200 OK", PLAIN + [("Content-Length", "10")])
    return Body("short_of_all", [b""])


def endless(environ, start_response):
    start_response("200 OK", PLAIN)

    def parts():
        while True:
            yield b"x" * 65536
    return Body("endless", parts())


def numbered(environ, start_response):
    """?n blocks of 64 KB, one after the other; ?length=1 announces them."""
    n = int(query(environ)["n"])
    start_response("200 OK", PLAIN + ([("Content-Length", str(n * 65536))] if "length" in query(environ) else []))
    fails = query(environ).get("fails")
    return Body("numbered", (block(i) for i in range(n)), fails_at=int(fails) if fails else None)


def noise(environ, start_response):
    """?n blocks that cannot be compressed, called text."""
    start_response("200 OK", PLAIN)

    def parts():
        crc = 0
        for i in range(int(query(environ)["n"])):
            data = os.urandom(65536)
            crc = zlib.crc32(data, crc)
            yield data
        report(path="noise", crc=crc)
    return Body("noise", parts())


def events(environ, start_response):
    """Server-sent: each when the test says a word."""
    start_response("200 OK", [("Content-Type", "text/event-stream")])

    def parts():
        with open(query(environ)["fifo"]) as fifo:
            for line in fifo:
                yield b"data: " + line.encode() + b"\n"
    return Body("events", parts())


def bursts(environ, start_response):
    """As many small pieces as the test says, at once, then waits for it to say the next number."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    n = 0
    with open(query(environ)["fifo"]) as fifo:
        for line in fifo:
            for _ in range(int(line)):
                n += 1
                yield b"%06d\n" % n


def writes(environ, start_response):
    write = start_response("200 OK", PLAIN)
    write(b"by ")
    write(b"")
    write(b"write, ")
    return [b"by return"]


def writes_much(environ, start_response):
    write = start_response("200 OK", PLAIN)
    try:
        for _ in range(int(query(environ)["n"])):
            write(b"w" * 65536)
    except OSError as error:
        report(path="writes_much", error=isinstance(error, ConnectionError))
        raise
    return []


def block(i):
    return b"%07d\n" % i * 8192


def writes_ahead(environ, start_response):
    """write() of n blocks, then what is returned (or written inside of it, which PEP 3333 forbids)."""
    n, then = int(query(environ)["n"]), query(environ)["then"]
    length = [("Content-Length", str(n * 65536))] if then == "length" else []
    write = start_response("200 OK", PLAIN + length)
    for i in range(n):
        write(block(i))
    report(path="writes_ahead", on_loop=threading.get_ident() == LOOP_THREAD)

    def parts():
        yield b"first\n"
        yield b""
        if then == "inside":
            for i in range(n):
                write(block(i))
        yield b"last\n"
        if then == "inside":
            write(b"at the end\n" * 100000)
    return [] if then == "length" else [b"returned"] if then == "list" else Body("writes_ahead", parts())


def raises(environ, start_response):
    raise ValueError("no answer")


def raises_after_start(environ, start_response):
    start_response("200 OK", PLAIN)
    raise ValueError("not sent yet")


def breaks(environ, start_response):
    start_response("200 OK", PLAIN)
    return Body("breaks", [b"part"] * 9, fails_at=2)


def breaks_at_once(environ, start_response):
    start_response("200 OK", PLAIN)
    return Body("breaks_at_once", [b"part"], fails_at=0)


def recovers(environ, start_response):
    start_response("200 OK", PLAIN)
    try:
        raise KeyError("found late")
    except KeyError:
        start_response("503 Service Unavailable", [("X-Second", "yes")], sys.exc_info())
    return [b"sorry"]


def recovers_too_late(environ, start_response):
    write = start_response("200 OK", PLAIN)
    write(b"sent")
    try:
        raise KeyError("found late")
    except KeyError:
        start_response("503 Service Unavailable", [], sys.exc_info())
    return [b"never"]


def never_starts(environ, start_response):
    return [b"body"]


def returns_none(environ, start_response):
    start_response("200 OK", PLAIN)


def returns_text(environ, start_response):
    start_response("200 OK", PLAIN)
    return Body("returns_text", ["text"])


def bad_start(environ, start_response):
    """Tries what start_response() must refuse, and tells with which exception it did."""
    refused = {}
    for name, args in {
        "status_bytes": (b"200 OK", []), "status_short": ("20", []), "status_1xx": ("100 Continue", []),
        "status_text": ("OK", []), "status_joined": ("2000", []), "headers_tuple": ("200 OK", ()),
        "pair_list": ("200 OK", [["A", "b"]]), "name_bytes": ("200 OK", [(b"A", "b")]), "value_int": ("200 OK", [("A", 1)]),
        "name_space": ("200 OK", [("A b", "c")]), "name_colon": ("200 OK", [("A:", "c")]),
        "value_crlf": ("200 OK", [("A", "b\r\nC: d")]), "value_nul": ("200 OK", [("A", "b\0")]),
        "value_wide": ("200 OK", [("A", "\u20ac")]),
        "length_text": ("200 OK", [("Content-Length", "x")]),
        "lengths": ("200 OK", [("Content-Length", "1"), ("Content-Length", "2")]), "few": ("200 OK",),
    }.items():
        try:
            start_response(*args)
        except Exception as error:
            refused[name] = type(error).__name__
    start_response("200 OK", PLAIN)
    try:
        start_response("200 OK", PLAIN)
    except Exception as error:
        refused["twice"] = type(error).__name__
    return [json.dumps(refused).encode()]


def hop_by_hop(environ, start_response):
    """What PEP 3333 forbids and applications send: for server-sent events, or copied from another response. ?close=1"""
    connection = "close" if "close" in query(environ) else "keep-alive"
    start_response("200 OK", [("Connection", connection), ("Keep-Alive", "timeout=5"), ("transfer-encoding", "chunked"), ("TE", "gzip"),
                              ("Upgrade", "h2c"), ("Proxy-Connection", "keep-alive"), ("X-Own", "kept")])
    return [b"whole"]


def status(environ, start_response):
    start_response(query(environ)["s"].replace("+", " "), [("X-A", "\xe9\t1"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
    return [b"body"] if query(environ)["s"][:3] not in ("204", "304") else []


def echo(environ, start_response):
    return text(start_response, environ["wsgi.input"].read())


def reads(environ, start_response):
    """Reads in the way that the query names."""
    source, how = environ["wsgi.input"], query(environ)["how"]
    if how == "read5":
        got = list(iter(lambda: source.read(5), b""))
    elif how == "readline":
        got = list(iter(source.readline, b""))
    elif how == "readline3":
        got = list(iter(lambda: source.readline(3), b""))
    elif how == "readlines":
        got = source.readlines()
    elif how == "hint":
        got = source.readlines(1) + source.readlines(-1)
    elif how == "iterate":
        got = list(source)
    elif how == "mixed":
        got = [source.read(0), source.read(1), source.readline(), source.read(None), source.read(), source.read(4)]
    return text(start_response, json.dumps([part.decode() for part in got]))


def sums(environ, start_response):
    """The size and CRC of the body, read in pieces; where it ran; the worker's peak of memory."""
    size, crc = 0, 0
    while data := environ["wsgi.input"].read(1 << 16):
        size, crc = size + len(data), zlib.crc32(data, crc)
    peak = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")][0]
    return text(start_response, json.dumps([size, crc, threading.get_ident() == LOOP_THREAD, int(peak.split()[1])]))


def starts_early(environ, start_response):
    """Tells that it runs before it has the body."""
    report(path="starts_early", state="running", thread="loop" if threading.get_ident() == LOOP_THREAD else "pool")
    try:
        size = len(environ["wsgi.input"].read())
    except OSError as error:
        report(path="starts_early", state="gone", error=isinstance(error, ConnectionError))
        raise
    return text(start_response, str(size))


def ignores_body(environ, start_response):
    return text(start_response, "not read")


def waits(environ, start_response):
    """Stays in the application until the test says a word by the folder that it names."""
    report(path="waits", state="running")
    with open(query(environ)["fifo"]) as fifo:
        return text(start_response, fifo.read())


def _file(data=b"0123456789" * 20000):
    file = tempfile.NamedTemporaryFile(delete=False, dir=os.getcwd())
    file.write(data)
    file.flush()
    file.seek(0)
    return file


class Told:
    """A file-like object without a descriptor."""

    def __init__(self):
        self.file = io.BytesIO(b"0123456789" * 20000)
        self.read = self.file.read

    def close(self):
        report(path="file", closed=True)


def file(environ, start_response):
    kind, headers = query(environ)["kind"], list(PLAIN)
    data = _file()
    if kind == "temporary":
        source = data
    elif kind == "buffered":
        source = open(data.name, "rb")
    elif kind == "raw":
        source = open(data.name, "rb", buffering=0)
    elif kind == "offset":
        source = open(data.name, "rb")
        source.read(7)
    elif kind == "length":
        source = open(data.name, "rb")
        headers.append(("Content-Length", "10"))
    elif kind == "bytesio":
        source = io.BytesIO(b"0123456789" * 20000)
    elif kind == "told":
        source = Told()
    elif kind == "gzip":
        import gzip
        with gzip.open(data.name, "wb") as out:
            out.write(b"0123456789" * 20000)
        source = gzip.open(data.name, "rb")
    elif kind == "begun":
        source = open(data.name, "rb")
    os.unlink(data.name)
    start_response("200 OK", headers)
    wrapper = environ["wsgi.file_wrapper"](source, 4096)
    if kind == "begun":
        next(wrapper)
    return wrapper


def errors(environ, start_response):
    log = environ["wsgi.errors"]
    log.write("a line\nhalf ")
    log.write("and half\n")
    log.writelines(["\u20ac and \x1b\n", "the rest"])
    log.flush()
    print("printed", file=log)
    return text(start_response, "ok")


def loops(environ, start_response):
    """asyncio as synchronous applications use it."""
    import asyncio

    async def work():
        await asyncio.sleep(0)
        return "worked"
    try:
        asyncio.get_running_loop()
        return text(start_response, "a loop runs")
    except RuntimeError:
        return text(start_response, asyncio.run(work()))


def contexts(environ, start_response):
    """Whether something of another request is in the context."""
    seen = VARIABLE.get()
    VARIABLE.set(seen + 1)
    return text(start_response, str(seen))


VARIABLE = contextvars.ContextVar("variable")
VARIABLE.set(41)


def app(environ, start_response):
    function = globals().get(environ["PATH_INFO"].strip("/").partition("/")[0])
    if function is None:
        return text(start_response, "not found", "404 Not Found")
    return function(environ, start_response)
