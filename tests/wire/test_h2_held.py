# SPDX-License-Identifier: BSD-3-Clause
"""HTTP/2: peers that hold on: requests that do not go on, windows that stay shut, connections that say nothing, work that
outlives its request. Each costs a place for a time, never more, and others are served meanwhile."""

import json

import pytest

from lib import certs
from lib.client import Conn
from lib.h2frames import (CANCEL, DATA, END_HEADERS, END_STREAM, HEADERS, INITIAL_WINDOW, MAX_STREAMS, PADDED, PING,
                          PREFACE, PRIORITY_UPDATE, PROTOCOL_ERROR, REFUSED_STREAM, SETTINGS, frame)
from lib.procfs import memory_kb, sanitized
from lib.tls import HandTLS, TLSConn
from lib.waiting import wait_for

MB = 1024


def counts(h):
    return json.loads(h.get("/count").body)


def take_back(h, n):
    """n requests that the application has begun to work on."""
    for _ in range(n):
        stream = h.request(path="/stubborn")
        h.ping().reset(stream)


# --- work that outlives its request ---

def test_work_for_requests_taken_back_is_bounded(open_h2):
    """The application never looks at its client. 150 requests are taken back; 10 of them may be worked on."""
    h = open_h2("floods", {"http": {"http2_max_concurrent_streams": 10}})
    other = open_h2(server=h.server)
    for _ in range(30):
        streams = [h.request(path="/stubborn") for _ in range(5)]
        h.ping() # what is taken back at once is not even begun
        for stream in streams:
            h.reset(stream)
    assert counts(other) == {"now": 10, "most": 10, "begun": 10}
    waiting = [h.request(path="/small"), h.request("POST", "/echo", end=False)]
    h.data(waiting[1], b"a body", end=True).ping()
    assert all(h.answers[stream].headers is None for stream in waiting)
    assert other.get("/open_gate").status == 200
    assert h.answer(waiting[0]).body == b"small" and h.answer(waiting[1]).body == b"a body"
    wait_for(lambda: counts(other) == {"now": 0, "most": 0, "begun": 0})
    assert h.get("/small").status == 200


def test_work_for_websockets_taken_back_is_bounded(open_h2):
    h = open_h2("floods", {"http": {"http2_max_concurrent_streams": 10}})
    other = open_h2(server=h.server)
    for _ in range(30):
        fields = h.head("CONNECT", "/stubborn", [("sec-websocket-version", "13")], more=[(":protocol", "websocket")])
        stream = h.open(fields, end=False)
        h.ping().reset(stream)
    h.ping()
    found = counts(other) # a place may be free for a moment between the end of a stream and that of its WebSocket
    assert 10 <= found["now"] == found["begun"] <= 20
    assert other.get("/open_gate").status == 200
    assert h.get("/small").status == 200
    wait_for(lambda: counts(other)["now"] == 0)


def test_a_request_that_waits_is_bounded_and_may_be_taken_back(open_h2):
    h = open_h2("floods", {"http": {"http2_max_concurrent_streams": 2, "limit_request_body": 1000}})
    other = open_h2(server=h.server)
    take_back(h, 2)
    stream = h.request("POST", "/echo", end=False)
    h.reset(stream)
    large = h.request("POST", "/echo", end=False)
    h.data(large, bytes(2000), end=True).ping()
    assert h.answers[large].headers is None
    other.get("/open_gate")
    assert h.answer(large).status == 413


def test_waiting_requests_when_the_connection_goes(open_h2):
    h = open_h2("floods", {"http": {"http2_max_concurrent_streams": 2}})
    other = open_h2(server=h.server)
    take_back(h, 2)
    h.request(path="/stubborn")
    h.ping()
    h.conn.reset()
    assert wait_for(lambda: counts(other)["begun"] == 2)
    other.get("/open_gate")
    wait_for(lambda: counts(other) == {"now": 0, "most": 0, "begun": 0})


# --- requests and windows ---

def test_requests_that_do_not_go_on(open_h2):
    """As many as there may be, held without an end: each gets 408, and one more connection is served all the time."""
    h = open_h2("floods", {"http": {"body_timeout": "500ms"}})
    other = open_h2(server=h.server)
    streams = [h.request("POST", "/echo", end=False) for _ in range(100)]
    for stream in streams:
        h.data(stream, b"x")
    assert other.get("/small").status == 200
    assert [h.answer(stream).status for stream in streams] == [408] * 100
    for stream in streams: # until then they count
        h.data(stream, end=True)
    assert h.get("/small").status == 200


def test_100_continue_that_is_not_used(open_h2):
    h = open_h2("floods", {"http": {"body_timeout": "300ms"}})
    stream = h.request("POST", "/echo", [("expect", "100-continue"), ("content-length", "5")], end=False)
    a = h.answer(stream)
    assert [dict(i)[":status"] for i in a.interim] == ["100"] and a.status == 408
    assert h.get("/small").status == 200


def test_more_streams_than_there_may_be(open_h2):
    """Once the number is acknowledged, more is an error of the connection (RFC 9113 5.1.2); before, each is refused."""
    h = open_h2("floods", {"http": {"http2_max_concurrent_streams": 5}})
    h.ping()
    assert h.settings[MAX_STREAMS] == 5
    for _ in range(6):
        h.request("POST", "/echo", end=False)
    assert h.read_to_end() == PROTOCOL_ERROR
    early = open_h2(server=h.server, windows=False)
    streams = [early.request("POST", "/echo", end=False) for _ in range(6)]
    assert early.answer(streams[5]).reset == REFUSED_STREAM
    assert early.data(streams[0], b"x", end=True).answer(streams[0]).body == b"x"


def test_windows_that_stay_shut(open_h2):
    """100 answers of 1 MB that nobody takes: each stream is reset in time, and until then holds no more than its buffer."""
    h = open_h2("floods", {"http": {"write_timeout": "1s"}}, send_settings={INITIAL_WINDOW: 0})
    other, (worker,) = open_h2(server=h.server), h.server.workers()
    assert len(other.get("/large").body) == 1 << 20
    before = memory_kb(worker)
    streams = [h.request(path="/large") for _ in range(100)]
    h.ping()
    assert other.get("/small").status == 200
    if not sanitized(worker):
        assert memory_kb(worker) - before < 100 * MB // 4 + 8 * MB
    for stream in streams:
        assert h.answer(stream).reset == CANCEL
    assert h.get("/small").headers is not None


def test_connection_that_goes_with_answers_pending(open_h2):
    """What nobody has taken is let go of, not copied first."""
    h = open_h2("floods", send_settings={INITIAL_WINDOW: 0})
    other, (worker,) = open_h2(server=h.server), h.server.workers()
    assert len(other.get("/large").body) == 1 << 20
    before = memory_kb(worker, "VmHWM")
    for _ in range(100):
        h.request(path="/large")
    h.ping().conn.reset()
    assert other.ping().get("/small").status == 200
    wait_for(lambda: connections(h.server) == 1, what="the end of the connection")
    if not sanitized(worker):
        assert memory_kb(worker, "VmHWM") - before < 24 * MB


def connections(server):
    """Established ones of the server's port, as the kernel has them on its side."""
    port = f":{server.port:04X}"
    lines = [line.split() for line in open("/proc/net/tcp").read().splitlines()[1:]]
    return sum(f[1].endswith(port) and f[3] in ("01", "08") for f in lines)


def test_padded_upload(open_h2):
    """Padding takes windows too (RFC 9113 6.1), and is given back."""
    h = open_h2("floods")
    stream = h.request("POST", "/echo", end=False)
    for n in range(2000):
        h.until(lambda: 65535 + sum(given for s, given in h.updates if s == stream) >= (n + 1) * 356)
        h.send(DATA, PADDED, stream, b"\xff" + b"x" * 100 + bytes(255))
    h.until(lambda: 65535 + sum(given for s, given in h.updates if s == stream) >= 2000 * 356 + 5)
    h.send(DATA, END_STREAM | PADDED, stream, b"\x03y" + bytes(3))
    assert h.answer(stream).body == b"x" * 200000 + b"y"


# --- those who work in small steps ---

def test_many_small_pieces_with_a_window_for_each(open_h2):
    """No flood: 10,000 windows and 500 PINGs for 5,000 pieces."""
    h = open_h2("floods")
    stream = h.request(path="/drip?n=5000")
    a = h.answers[stream]
    while not a.ended:
        if h.read()[0] == DATA and not a.ended:
            h.update(stream, 8)
            if len(a.frames) % 10 == 0:
                h.send(PING, 0, 0, b"measures")
    assert a.body == b"12345678" * 5000


def test_many_requests_with_what_browsers_send_along(open_h2):
    h = open_h2("floods", send_settings={})
    for _ in range(100):
        streams = [h.request(path="/small") for _ in range(20)]
        for stream in streams:
            h.send(PRIORITY_UPDATE, 0, 0, stream.to_bytes(4, "big") + b"u=3")
            h.update(stream, 1000)
        assert all(h.answer(stream).status == 200 for stream in streams)
    assert not h.goaways


# --- connections that say nothing ---

@pytest.mark.parametrize("raw", [b"", PREFACE[:12], PREFACE, PREFACE + frame(SETTINGS)[:5], PREFACE + frame(SETTINGS),
                                 PREFACE + frame(SETTINGS) + frame(HEADERS, END_HEADERS | END_STREAM, 1, bytes(50))[:30],
                                 PREFACE + frame(SETTINGS) + frame(DATA, 0, 1, bytes(50))[:30]],
                         ids=["nothing", "half-a-preface", "preface", "half-a-frame", "settings", "half-a-head", "half-data"])
@pytest.mark.parametrize("secure", [False, True], ids=["h2c", "tls"])
def test_silence(serve, secure, raw):
    config = {"http": {"header_timeout": "300ms"}}
    if secure:
        server = serve("floods", {**config, "tls": certs.server().config()}, flags="tls")
        c = TLSConn(server.address, context=certs.context(alpn=("h2",)))
    else:
        c = serve("floods", config, flags="h2c").connect()
    with c:
        c.send(raw)
        try:
            while c.fill():
                pass
        except ConnectionResetError:
            pass


def test_handshake_that_stops(serve):
    """By ALPN it would be HTTP/2: the end comes in time, and without a word of it."""
    server = serve("floods", {"http": {"header_timeout": "300ms"}, "tls": certs.server().config()}, flags="tls")
    with Conn(server.address) as c:
        client = HandTLS(c, certs.context(alpn=("h2",)))
        c.send(client.step())
        client.feed()
        while c.fill():
            pass
