# SPDX-License-Identifier: BSD-3-Clause
"""WebSocket messages, frames, limits, pings and closing, in the bytes of RFC 6455."""

import signal
import socket
import struct
import time
import uuid
import zlib

import pytest

from lib.server import Server
from lib.waiting import wait_for
from lib.ws import BINARY, CLOSE, CONT, PING, PONG, TEXT, WS, close_payload, engines, frame


@pytest.fixture(params=engines())
def engine(request):
    return request.param


@pytest.fixture
def server(serve, engine):
    s = serve("websockets", {"websocket": {"engine": engine, "max_message_size": "100k", "max_queue": 4}}, allow=["Traceback"])
    yield s
    with s.connect() as c:
        assert c.request("GET", "/hello").body == b"Hello"


@pytest.fixture
def echo(server):
    with WS(server.connect(), "/echo") as w:
        yield w


@pytest.fixture
def name():
    return uuid.uuid4().hex


def report(server, name):
    with server.connect() as c:
        return c.request("GET", f"/report?id={name}").json()


def release(server, name):
    with server.connect() as c:
        assert c.request("GET", f"/release?id={name}").status == 200


# --- messages ---

def test_rfc6455_5_7_examples(echo):
    echo.conn.send(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58")
    assert echo.conn.read_exactly(7) == b"\x81\x05\x48\x65\x6c\x6c\x6f"
    echo.send(TEXT, "Hel", fin=False).send(CONT, "lo").expect(TEXT, "Hello")
    echo.conn.send(b"\x89\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58")
    assert echo.conn.read_exactly(7) == b"\x8a\x05\x48\x65\x6c\x6c\x6f"
    echo.send(BINARY, bytes(256))
    assert echo.conn.read_exactly(4) == b"\x82\x7e\x01\x00" and echo.conn.read_exactly(256) == bytes(256)
    echo.send(BINARY, bytes(65536))
    assert echo.conn.read_exactly(10) == b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"
    assert echo.conn.read_exactly(65536) == bytes(65536)
    echo.close()


@pytest.mark.parametrize("n", [0, 1, 125, 126, 127, 4095, 4096, 4097, 65535, 65536, 100000])
def test_sizes(echo, n):
    data = bytes(i * 7 % 251 for i in range(n))
    echo.send(BINARY, data).expect(BINARY, data)
    echo.send(TEXT, b"a" * n).expect(TEXT, b"a" * n)


def test_byte_by_byte(echo):
    for byte in frame(TEXT, "fragm\u00e9nt", fin=False) + frame(PING, "p") + frame(CONT, "ed") + frame(TEXT, "x" * 200):
        echo.conn.send(bytes([byte]))
    echo.expect(PONG, "p").expect(TEXT, "fragm\u00e9nted").expect(TEXT, "x" * 200)


def test_many_in_one_packet(echo):
    echo.conn.send(b"".join(frame(TEXT, f"m{i}") for i in range(3000)))
    for i in range(3000):
        echo.expect(TEXT, f"m{i}")


def segments_in(conn):
    """Segments with data that the kernel has received: with TCP_NODELAY each write of the server makes one at least."""
    info = conn.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    return struct.unpack_from("I", info, 152)[0]  # tcpi_data_segs_in


def test_messages_of_one_turn_leave_together(server):
    """What waits is written after 5 ms even if the turn goes on, so on a busy machine there may be some writes, never one
    for each message."""
    with WS(server.connect(), "/burst?n=200") as w:
        for i in range(200):
            w.expect(TEXT, f"message {i}")
        assert 1 < segments_in(w.conn) < 100


def test_receive_has_exactly_one_of_text_and_bytes(server, name):
    with WS(server.connect(), f"/events?id={name}") as w:
        w.send(TEXT, "\u00e4\U0001f600").send(BINARY, b"\x00\xff").send(TEXT, "").close(3000, "bye \u00e4")
    seen = wait_for(lambda: (lambda r: len(r) == 6 and r)(report(server, name)))
    over = {"type": "websocket.disconnect", "code": 3000, "reason": "bye \u00e4"}
    assert seen == [{"type": "websocket.connect"}, {"type": "websocket.receive", "text": "\u00e4\U0001f600"},
                    {"type": "websocket.receive", "bytes": "\x00\xff"}, {"type": "websocket.receive", "text": ""}, over, over]


# --- what breaks the protocol ---

# Where libwebsockets falls short, as tine.ini(5) says.
LIBWEBSOCKETS_TAKES = {
    frame(TEXT, "x", mask=None), frame(PING, "x", mask=None), frame(CLOSE, mask=None),
    frame(TEXT, "x", length=4), frame(TEXT, "x", length=10), frame(BINARY, bytes(126), length=10)}
LIBWEBSOCKETS_CODES = {1012, 1013, 1014}


@pytest.mark.parametrize("data", [
    frame(TEXT, "x", mask=None), frame(PING, "x", mask=None), frame(CLOSE, mask=None),
    frame(TEXT, "x", rsv=4), frame(TEXT, "x", rsv=2), frame(TEXT, "x", rsv=1), frame(PING, rsv=4), frame(CLOSE, rsv=1),
    frame(3, "x"), frame(7), frame(11, "x"), frame(15), frame(3, fin=False),
    frame(PING, "x", fin=False), frame(CLOSE, fin=False), frame(PING, "x" * 126), frame(PONG, "x" * 126),
    frame(CLOSE, close_payload(1000, "x" * 124)), frame(CONT, "x"), frame(CONT, "x", fin=False),
    frame(TEXT, "x", fin=False) + frame(TEXT, "y"), frame(TEXT, "x", fin=False) + frame(BINARY, "y", fin=False),
    frame(TEXT, "x", fin=False) + frame(CONT, "y", rsv=4), frame(TEXT, "x") + frame(CONT, "y"),
    frame(TEXT, "x", length=4), frame(TEXT, "x", length=10), frame(BINARY, bytes(126), length=10),
    b"\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00abcd",
    frame(CLOSE, b"x"), frame(CLOSE, close_payload(0)), frame(CLOSE, close_payload(999)),
    *(frame(CLOSE, close_payload(code)) for code in (1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)),
], ids=lambda data: data[:12].hex())
def test_protocol_errors(server, engine, data):
    if engine == "libwebsockets" and data in LIBWEBSOCKETS_TAKES:
        pytest.skip("libwebsockets takes it")
    with WS(server.connect(), "/events?id=broken") as w:
        w.conn.send(data)
        # Where libwebsockets itself refuses a frame, it waits for the answer to its Close frame.
        w.expect_close(1002, answer=engine == "libwebsockets")


@pytest.mark.parametrize("data", [
    frame(TEXT, b"\xff"), frame(TEXT, b"\xc0\x80"), frame(TEXT, b"\xed\xa0\x80"), frame(TEXT, b"\xf4\x90\x80\x80"),
    frame(TEXT, b"\xe4"), frame(TEXT, b"a\xe4", fin=False) + frame(CONT, b"a"), frame(TEXT, b"\xe4", fin=False) + frame(CONT),
    frame(CLOSE, b"\x03\xe8\xff"),
    # fail fast: neither the frame nor the message is complete
    frame(TEXT, b"ok \xf8", fin=False), frame(TEXT, b"\xff" + bytes(3000))[:20],
], ids=lambda data: data[:12].hex())
def test_text_that_is_not_utf8_closes_with_1007(server, data):
    with WS(server.connect(), "/events?id=broken") as w:
        w.conn.send(data)
        w.expect_close(1007)


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999])
def test_good_close_codes(server, engine, name, code):
    if engine == "libwebsockets" and code in LIBWEBSOCKETS_CODES:
        pytest.skip("libwebsockets makes it 1002")
    with WS(server.connect(), f"/events?id={name}") as w:
        w.close(code, "why")
    seen = wait_for(lambda: (lambda r: len(r) == 3 and r)(report(server, name)))
    assert seen[1] == {"type": "websocket.disconnect", "code": code, "reason": "why"}


# --- pings ---

def test_ping_burst(echo, engine):
    if engine == "libwebsockets":
        pytest.skip("libwebsockets answers the first ping of a read")
    echo.conn.send(b"".join(frame(PING, b"%d" % i) for i in range(500)))
    for i in range(500):
        echo.expect(PONG, b"%d" % i)


def test_unsolicited_pong_is_ignored(echo):
    echo.send(PONG, "x").send(PONG).text("y").expect(TEXT, "y")


def test_ping_flood_of_a_client_that_does_not_read(server):
    """The answers are bounded: the server stops reading."""
    before = None
    with WS(server.connect(rcvbuf=4096), "/echo") as w:
        data = b"".join(frame(PING, bytes(125)) for _ in range(1000))
        w.conn.socket.setblocking(False)
        sent = 0
        try:
            while sent < 64 << 20:
                sent += w.conn.socket.send(data)
                time.monotonic()
        except BlockingIOError:
            before = sent
        assert before is not None, "64 MB of pings were read without an answer being taken"
        w.conn.socket.settimeout(w.conn.timeout)


def test_idle_connection_is_pinged_and_kept_by_pong(engine):
    with Server("websockets", {"websocket": {"engine": engine, "ping_interval": "100ms", "ping_timeout": "10s"}}) as s:
        with WS(s.connect(), "/echo") as w:
            for _ in range(3):
                fin, rsv, opcode, payload = w.read()
                assert fin and opcode == PING
                w.send(PONG, payload)
            w.close()


def test_missing_pong_ends_the_connection(engine):
    with Server("websockets", {"websocket": {"engine": engine, "ping_interval": "100ms", "ping_timeout": "300ms"}}) as s:
        with WS(s.connect(), "/events?id=a") as w:
            assert w.read()[2] == PING
            w.send(PONG, "not it")
            w.expect_close(1011, "keepalive ping timeout")
        over = {"type": "websocket.disconnect", "code": 1011, "reason": "keepalive ping timeout"}
        assert wait_for(lambda: report(s, "a")[1:]) == [over, over]


# --- limits and back-pressure ---

@pytest.mark.parametrize("data", [
    frame(BINARY, bytes(100 * 1024 + 1)), frame(TEXT, b"x" * 200000),
    frame(BINARY, bytes(60000), fin=False) + frame(CONT, bytes(60000), fin=False),
    b"\x82\xff\x00\x00\x01\x00\x00\x00\x00\x00abcd" + bytes(110000)], ids=lambda data: data[:12].hex())
def test_message_too_big_closes_with_1009(server, data):
    with WS(server.connect(), "/events?id=broken") as w:
        w.conn.send(data)
        w.expect_close(1009)


def test_largest_message_that_fits_arrives(echo):
    data = bytes(100 * 1024)
    echo.send(BINARY, data[:60000], fin=False).send(CONT, data[60000:]).expect(BINARY, data)


def test_queue_holds_the_client_back(server, name):
    with WS(server.connect(), f"/deaf?id={name}&n=20000") as w:
        data = frame(BINARY, bytes(1000)) * 1000
        sent, piece = 0, data
        w.conn.socket.setblocking(False)
        try:
            while sent < 20 * len(data):
                n = w.conn.socket.send(piece)
                sent += n
                piece = piece[n:] or data
        except BlockingIOError:
            pass
        assert sent < 20 * len(data), "20 MB were read with nobody to take them"
        w.conn.socket.settimeout(w.conn.timeout)
        release(server, name)
        left = 20 * len(data) - sent
        while left:
            w.conn.send(piece)
            left -= len(piece)
            piece = data
        w.expect(TEXT, "all")
        w.close()


def test_close_behind_a_full_queue(server, name):
    """Messages are told before the disconnect."""
    with WS(server.connect(), f"/deaf?id={name}") as w:
        w.conn.send(b"".join(frame(TEXT, str(i)) for i in range(50)) + frame(CLOSE, close_payload(1000)))
        release(server, name)
        w.expect_close(1000)
    assert wait_for(lambda: report(server, name)[0] == 50)


def test_send_waits_for_a_slow_reader(server, name):
    with WS(server.connect(rcvbuf=4096), f"/flood?id={name}&n=1000") as w:
        last = -1
        while True:  # until it stands still
            now = report(server, name)[0]
            if now == last:
                break
            last = now
        assert now < 500, "64 MB were taken with nobody to read them"
        for _ in range(1000):
            assert len(w.read()[3]) == 65536
        assert report(server, name)[0] == 1000


# --- closing ---

def test_default_close_code_is_1000(server, name):
    with WS(server.connect(), f"/closes?id={name}") as w:
        assert w.read() == (True, 0, CLOSE, close_payload(1000))
        w.send(CLOSE, close_payload(1000))
        w.conn.expect_close()
    seen = wait_for(lambda: (lambda r: len(r) == 2 and r)(report(server, name)))
    assert seen[0]["error"] == "RuntimeError" and seen[1]["type"] == "websocket.disconnect" and seen[1]["code"] == 1000


def test_close_code_and_reason_reach_the_application(server):
    with WS(server.connect(), "/closes?code=4321&reason=" + "x" * 123) as w:
        assert w.read() == (True, 0, CLOSE, close_payload(4321, "x" * 123))
        w.send(TEXT, "crossing").send(CLOSE, close_payload(4321))
        w.conn.expect_close()


def test_close_without_a_code_is_1005(server, name):
    with WS(server.connect(), f"/events?id={name}") as w:
        w.send(CLOSE)
        w.expect_close(None)
    seen = wait_for(lambda: (lambda r: len(r) == 3 and r)(report(server, name)))
    assert seen[1] == {"type": "websocket.disconnect", "code": 1005, "reason": ""}


@pytest.mark.parametrize("how", ["half_close", "reset"])
def test_lost_connection_is_1006(server, name, how):
    with WS(server.connect(), f"/events?id={name}") as w:
        getattr(w.conn, how)()
        seen = wait_for(lambda: (lambda r: len(r) == 3 and r)(report(server, name)))
    assert seen[1] == {"type": "websocket.disconnect", "code": 1006, "reason": ""}


def test_send_after_disconnect_raises(server, name):
    mark = server.log_mark()
    with WS(server.connect(), f"/sends_after?id={name}") as w:
        w.close()
    assert wait_for(lambda: report(server, name)) == [{"type": "error", "error": "ClientDisconnected"}]
    assert "Traceback" not in server.log()[mark:]


def test_nothing_after_close_counts(echo):
    echo.conn.send(frame(CLOSE, close_payload(1000)) + frame(TEXT, "late") + frame(PING, "late"))
    echo.expect_close(1000)


def test_shutdown_closes_with_1012(engine):
    with Server("websockets", {"websocket": {"engine": engine}}) as s:
        with WS(s.connect(), "/events?id=a") as w, WS(s.connect(), "/echo") as other:
            s.signal(signal.SIGTERM)
            for one in (w, other):
                fin, rsv, opcode, payload = one.read()
                assert opcode == CLOSE and struct.unpack(">H", payload[:2])[0] == 1012
                one.send(CLOSE, close_payload(1012))
                one.conn.expect_close()


def test_shutdown_does_not_wait_for_a_deaf_client(engine):
    """The closing handshake has a deadline of its own."""
    with Server("websockets", {"server": {"graceful_timeout": "30s"}, "websocket": {"engine": engine}}) as s:
        with WS(s.connect(), "/echo") as w:
            s.signal(signal.SIGTERM)
            assert w.read()[2] == CLOSE
            s.wait_exit()
            w.conn.expect_close()


def test_broadcast(server):
    members = [WS(server.connect(), "/broadcast") for _ in range(8)]
    members[0].text("hello")
    for w in members:
        w.expect(TEXT, "hello")
    for w in members:
        w.close()


# --- permessage-deflate (RFC 7692) ---

def deflated(data, window=15):
    c = zlib.compressobj(wbits=-window)
    return (c.compress(data) + c.flush(zlib.Z_SYNC_FLUSH))[:-4]


def test_deflate_both_ways(server):
    with WS(server.connect(), "/echo", ["Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"]) as w:
        assert w.response.get("sec-websocket-extensions").startswith("permessage-deflate")
        data = b"hello " * 1000
        w.send(TEXT, deflated(data, 9), rsv=4)
        fin, rsv, opcode, payload = w.read()
        assert (fin, rsv, opcode) == (True, 4, TEXT) and len(payload) < 1000
        assert zlib.decompressobj(-15).decompress(payload + b"\0\0\xff\xff") == data
        w.text("plain").expect(TEXT, "plain")
        whole = deflated(b"x" * 5000, 9)
        w.send(BINARY, whole[:5], rsv=4, fin=False).send(PING, "p").send(CONT, whole[5:]).expect(PONG, "p")
        assert w.read()[:3] == (True, 4, BINARY)
        w.send(CONT, "x").expect_close(1002)


@pytest.mark.parametrize("payload, code", [
    (deflated(bytes(10 << 20), 9), 1009), (b"\xff\xff\xff", 1007), (deflated(b"\xff" * 200, 9), 1007)],
    ids=["bomb", "not deflate", "not UTF-8"])
def test_deflate_that_fails(server, payload, code):
    with WS(server.connect(), "/events?id=broken", ["Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"]) as w:
        w.send(TEXT, payload, rsv=4).expect_close(code)
