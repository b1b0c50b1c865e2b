# SPDX-License-Identifier: BSD-3-Clause
"""The soak's tasks over HTTP/1.1, in the clear and over TLS. Each gets a client.Client and does one thing with it."""

import base64
import gzip
import json
import ssl
import time

from client import Told
from content import content, digest
from lib.build import ROOT
from lib.client import Malformed, Truncated

STATIC = 3_000_000


def small(c, conn, headers=()):
    """One small request and its answer."""
    where = c.rng.choice(["/echo?", "/echo?", "/later?", "/wsgi/echo?", "/down?n=2000&how=length&", "/down?n=40000&how=chunked&"])
    name = c.name()
    r = conn.request("GET", f"{where}id={name}", headers)
    n = 2000 if "n=2000&" in where else 40000 if "n=40000&" in where else 64
    c.check(conn, r, name, content(name, n))
    return r


def keepalive(c):
    conn = c.connect()
    for _ in range(c.rng.randint(1, 60)):
        if small(c, conn).closes:
            conn.expect_close()
            return
    c.remember_session(conn)


def close_each(c):
    for _ in range(c.rng.randint(1, 8)):
        conn = c.connect()
        r = small(c, conn, ["Connection: close"])
        assert r.closes
        conn.expect_close()
        c.remember_session(conn)
        conn.close()


def idle(c):
    """Pauses between requests; a connection that ends in a pause is the server's right (RFC 9112 9.5), and so is one whose
    request crosses the end on its way."""
    conn = c.connect()
    for _ in range(6):
        if not conn.is_open():
            c.done(kind="(ended in a pause)")
            return
        name, before = c.name("r"), conn.link.pid
        try:
            r = conn.request("GET", f"/echo?id={name}")
        except (Truncated, ConnectionError, ssl.SSLError):
            if before is None or conn.buffer:
                raise
            c.done(kind="(crossed the end)")
            return
        c.check(conn, r, name, content(name, 64))
        if r.closes:
            return
        time.sleep(c.rng.random())


def pipelined(c):
    conn = c.connect()
    for _ in range(c.rng.randint(1, 6)):
        names = c.names(c.rng.randint(2, 16), "p")
        conn.send("".join(f"GET /echo?id={n} HTTP/1.1\r\nHost: test\r\n\r\n" for n in names))
        for name in names:
            r = conn.read_response()
            c.check(conn, r, name, content(name, 64))
            if r.closes and name != names[-1]:
                raise Told
        if r.closes:
            return


def send_upload(c, conn, path, data, headers=()):
    name = path.rpartition("id=")[2]
    if c.chance(0.5):
        chunks, at = [], 0
        while at < len(data):
            n = c.rng.choice([1, 100, 5000, 70000, 300000])
            chunks.append(data[at:at + n])
            at += n
        r = conn.request("POST", path, headers, chunks=chunks)
    else:
        r = conn.request("POST", path, headers, data)
    assert json.loads(r.body) == {"n": len(data), "sha256": digest(data)}, (name, r.body)
    c.check(conn, r, name)
    return r


def upload(c):
    conn = c.connect()
    for _ in range(c.rng.randint(1, 5)):
        data = c.rng.randbytes(c.rng.choice([0, 1, 1000, 20000, 100000]))
        path = c.rng.choice(["/up?", "/wsgi/up?", "/up?slow=1&"]) + "id=" + c.name()
        if send_upload(c, conn, path, data, ["Expect: 100-continue"] if c.chance(0.2) else ()).closes:
            return


def big_upload(c):
    data = c.rng.randbytes(1 << 16) * c.rng.randint(16, 96)
    send_upload(c, c.connect(), c.rng.choice(["/up?", "/wsgi/up?"]) + "id=" + c.name(), data)


def big_download(c):
    n, name = c.rng.randint(100_000, 5_000_000), c.name()
    conn = c.connect()
    r = conn.request("GET", f"{c.rng.choice(['/down?how=length&', '/down?how=chunked&', '/wsgi/down?'])}n={n}&id={name}")
    c.check(conn, r, name, content(name, n))


def compressed(c):
    conn = c.connect()
    for n in (100, 5000, 300_000):
        name = c.name()
        r = conn.request("GET", f"/down?how=text&n={n}&id={name}", ["Accept-Encoding: gzip"])
        if n > 1024:
            assert r.get("content-encoding") == "gzip", r
            r.body = gzip.decompress(r.body)
        c.check(conn, r, name, content(name, n))
        if r.closes:
            return


def static(c):
    """Whole files, ranges and conditions; the files are made by the parent."""
    conn = c.connect()
    big = content("static", STATIC)
    if small(c, conn).closes:
        return
    r = conn.request("GET", "/static/big.bin")
    assert r.status == 200 and r.body == big, r
    c.done()
    etag = r.get("etag")
    for _ in range(5):
        if r.closes:
            return
        a = c.rng.randrange(STATIC)
        b = c.rng.randrange(a, STATIC)
        r = conn.request("GET", "/static/big.bin", [f"Range: bytes={a}-{b}"])
        assert r.status == 206 and r.body == big[a:b + 1] and r.get("content-range") == f"bytes {a}-{b}/{STATIC}", (a, b, r)
        c.done()
    for field, status in ((f"If-None-Match: {etag}", 304), ('If-Match: "other"', 412), (f"Range: bytes={STATIC}-", 416)):
        if r.closes:
            return
        r = conn.request("GET", "/static/big.bin", [field])
        assert r.status == status, (field, r)
        c.done()
    if not r.closes:
        assert conn.request("HEAD", "/static/small.txt").get("content-length") == "1000"
        c.done()


def sse(c):
    conn, name, n = c.connect(), c.name(), c.rng.randint(2, 30)
    r = conn.request("GET", f"/sse?n={n}&id={name}")
    c.check(conn, r, name, "".join(f"id: {i}\ndata: {name}\n\n" for i in range(n)).encode())


def application(c):
    """Threads, child processes and connections of the application's own."""
    conn = c.connect()
    for what in c.rng.sample(["executor", "executor", "subprocess", "outgoing", "outgoing", "later"], 3):
        name = c.name()
        r = conn.request("GET", f"/{what}?id={name}")
        c.check(conn, r, name, content(name, 64))
        if r.closes:
            return


def app_errors(c):
    conn = c.connect()
    for path in ("/fails_before?", "/wsgi/fails?"):
        r = conn.request("GET", path + "id=" + c.name("e"))
        assert r.status == 500, r
        c.done()
        if r.closes:
            return
    conn.send_request("GET", "/fails_after?id=" + c.name("e"))
    head = conn.read_until(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head
    rest = conn.read_to_end()
    assert rest.startswith(b"d\r\nthe beginning\r\n") and not rest.endswith(b"0\r\n\r\n"), rest
    c.done()


def refused():
    """(id, bytes) of what both corpora refuse; some only by limits that are not set here."""
    by_limits = {"invalid/006", "invalid/010", "invalid/011", "invalid/012"}
    for name in ("http1_tricky", "gunicorn_requests"):
        for case in json.loads((ROOT / f"tests/wire/corpora/{name}.json").read_text())["cases"]:
            if (case.get("rfc") or case["expect"]) == "reject" and case["id"] not in by_limits:
                yield case["id"], base64.b64decode(case["raw"])


REFUSED = list(refused())


def statuses(conn):
    """Of all answers up to the end of the connection."""
    found = []
    while conn.buffer or conn._fill(None):
        found.append(conn.read_response().status)
    return found


def bad(c):
    """What must be refused is: no answer below 400."""
    name, raw = c.rng.choice(REFUSED)
    conn = c.connect(tls=False)
    try:
        conn.send(raw)
        conn.half_close()
    except OSError:
        pass
    found = statuses(conn)
    assert all(status >= 400 for status in found), (name, found)
    c.done()


def vanish(c):
    """Goes away at some byte of a request, or of its answer, by FIN or RST."""
    name = c.name("v")
    body = c.rng.randbytes(c.rng.choice([10, 5000, 200_000]))
    raw = c.rng.choice([
        f"GET /echo?id={name} HTTP/1.1\r\nHost: test\r\n\r\n".encode(),
        f"GET /sse?n=50&id={name} HTTP/1.1\r\nHost: test\r\n\r\n".encode(),
        f"GET /down?how=chunked&n=3000000&id={name} HTTP/1.1\r\nHost: test\r\n\r\n".encode(),
        f"GET /wsgi/down?n=3000000&id={name} HTTP/1.1\r\nHost: test\r\n\r\n".encode(),
        b"GET /static/big.bin HTTP/1.1\r\nHost: test\r\n\r\n",
        f"GET /executor?id={name} HTTP/1.1\r\nHost: test\r\n\r\n".encode() * 5,
        f"POST /up?id={name} HTTP/1.1\r\nHost: test\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body,
        f"POST /wsgi/up?id={name} HTTP/1.1\r\nHost: test\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body])
    conn = c.connect(rcvbuf=8192 if c.chance(0.3) else None)
    try:
        conn.send(raw[:c.rng.randint(0, len(raw))] if c.chance(0.5) else raw)
        if c.chance(0.5) and raw.startswith(b"GET"):
            conn.socket.settimeout(0.2)
            conn.socket.recv(c.rng.choice([1, 1000, 100_000]))
    except OSError:
        pass
    if c.chance(0.5):
        conn.reset()
    c.done()


# --- slow ones, in threads of their own ---

def slow_head(c):
    conn, name = c.connect(), c.name()
    raw = f"GET /echo?id={name} HTTP/1.1\r\nHost: test\r\nX-Slow: {'s' * 20}\r\n\r\n".encode()
    for at in range(0, len(raw), 8):
        conn.send(raw[at:at + 8])
        time.sleep(0.02)
    c.check(conn, conn.read_response(), name, content(name, 64))


def slow_body(c):
    conn, name, data = c.connect(), c.name(), c.rng.randbytes(20000)
    conn.send(f"POST {c.rng.choice(['/up?', '/wsgi/up?'])}id={name} HTTP/1.1\r\nHost: test\r\nContent-Length: 20000\r\n\r\n")
    for at in range(0, 20000, 1000):
        conn.send(data[at:at + 1000])
        time.sleep(c.rng.random() * 0.1)
    r = conn.read_response()
    assert json.loads(r.body) == {"n": 20000, "sha256": digest(data)}, r
    c.check(conn, r, name)


def slow_reader(c):
    conn, name, n = c.connect(tls=False, rcvbuf=8192), c.name(), 2_000_000
    conn.send_request("GET", f"{c.rng.choice(['/down?how=length&', '/down?how=chunked&', '/wsgi/down?'])}n={n}&id={name}")
    while len(conn.buffer) < 300_000:
        data = conn.socket.recv(16384)
        assert data, "the end of the connection"
        conn.buffer += data
        time.sleep(0.04)
    c.check(conn, conn.read_response(), name, content(name, n))


def loris(c):
    """A head that never ends is answered with 408, or the connection ends."""
    conn = c.connect()
    conn.send("GET /echo HTTP/1.1\r\nHost: te")
    try:
        r = conn.read_response()
        assert r.status == 408, r
    except (Truncated, ConnectionResetError, ssl.SSLEOFError):
        pass
    c.done()


def silent(c):
    """A connection on which nothing is said, and a TLS one that says half of its first flight, end by the server's hand."""
    conn = c.connect(tls=False)
    if c.chance(0.5):
        conn.send("\r\n" * c.rng.randint(0, 2))
    try:
        conn.expect_close()
    except Malformed:
        raise
    except AssertionError as e:
        assert "408" in str(e), e
    c.done()


BUSY = [(10, keepalive), (4, close_each), (8, pipelined), (3, upload), (1, big_upload), (1, big_download), (2, compressed), (2, static),
        (2, sse), (3, application), (2, app_errors), (3, bad), (5, vanish)]
SLOW = [(3, slow_head), (3, slow_body), (2, slow_reader), (1, loris), (3, idle), (1, silent)]
