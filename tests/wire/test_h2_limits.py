# SPDX-License-Identifier: BSD-3-Clause
"""HTTP/2: what a peer may not do, how long it may take, and how a connection ends (RFC 9113 5.1.1, 6.8, 10.5)."""

import signal
import struct

import pytest

from lib.h2 import H2, Answer
from lib.h2frames import (ACK, CANCEL, COMPRESSION_ERROR, CONTINUATION, DATA, END_HEADERS, END_STREAM,
                          ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, GOAWAY, HEADERS, INITIAL_WINDOW, INTERNAL_ERROR, LARGE,
                          NO_ERROR, PING, PREFACE, PRIORITY, PRIORITY_UPDATE, PROTOCOL_ERROR, PUSH_PROMISE, RST_STREAM,
                          SETTINGS, STREAM_CLOSED, WINDOW_UPDATE, frame)
from lib.server import Server


# --- floods ---

@pytest.mark.parametrize("raw", [frame(PING, 0, 0, b"12345678"), frame(SETTINGS), frame(PRIORITY, 0, 3, b"\0\0\0\0\x10"),
                                 frame(PRIORITY_UPDATE, 0, 0, b"\0\0\0\1u=1"), frame(0x42, 0, 0, b"x")],
                         ids=["ping", "settings", "priority", "priority-update", "unknown"])
def test_flood_of_frames_that_ask_for_nothing(open_h2, raw):
    h = open_h2()
    try:
        for _ in range(60):
            h.conn.send(raw * 100)
    except OSError:
        pass
    assert h.read_to_end() in (ENHANCE_YOUR_CALM, None)
    assert open_h2().get("/sized").status == 200


def test_flood_of_empty_data(open_h2):
    h = open_h2("bodies")
    stream = h.request("POST", "/echo", end=False)
    try:
        for _ in range(60):
            h.conn.send(frame(DATA, 0, stream) * 100)
    except OSError:
        pass
    assert h.read_to_end() in (ENHANCE_YOUR_CALM, None)


def test_rapid_reset(open_h2):
    h = open_h2()
    try:
        for _ in range(2000):
            stream = h.request(path="/sized")
            h.reset(stream)
    except OSError:
        pass
    assert h.read_to_end() in (ENHANCE_YOUR_CALM, None)
    assert open_h2().get("/sized").status == 200


def test_streams_that_we_are_made_to_reset(open_h2):
    """A window above 2^31 - 1 is an error of the stream (RFC 9113 6.9.1), of which newer nghttp2 makes one of the
    connection, as it may (5.4.1)."""
    h = open_h2("bodies")
    try:
        for _ in range(1000):
            stream = h.request("POST", "/echo", end=False)
            h.update(stream, LARGE)
    except OSError:
        pass
    assert h.read_to_end() in (ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, None)


def test_continuation_without_end(open_h2):
    h = open_h2()
    piece = h.pack([("x-%d" % i, "y" * 50) for i in range(100)])
    h.send(HEADERS, END_STREAM, 1, h.pack(h.head()))
    try:
        for _ in range(500):
            h.send(CONTINUATION, 0, 1, piece)
    except OSError:
        pass
    assert h.read_to_end() in (ENHANCE_YOUR_CALM, INTERNAL_ERROR, PROTOCOL_ERROR, None)


def test_few_bytes_that_stand_for_many(open_h2):
    """One byte names an entry of 4,000 bytes, 10,000 times."""
    h = open_h2()
    head = h.pack(h.head() + [("x-large", "y" * 3900)])
    again = h.pack([("x-large", "y" * 3900)])
    assert len(again) == 1
    h.answers[1] = Answer()
    h.send(HEADERS, END_STREAM | END_HEADERS, 1, head + again * 10000)
    assert h.read_to_end() == ENHANCE_YOUR_CALM
    assert open_h2().get("/sized").status == 200


@pytest.mark.parametrize("raw, code", [
    (frame(DATA, 0, 0, b"x"), PROTOCOL_ERROR), (frame(HEADERS, END_HEADERS, 0, b"\x82"), PROTOCOL_ERROR),
    (frame(HEADERS, END_HEADERS, 2, b"\x82"), PROTOCOL_ERROR), (frame(PING, 0, 0, b"1"), FRAME_SIZE_ERROR),
    (frame(SETTINGS, 0, 0, b"x"), FRAME_SIZE_ERROR), (frame(PRIORITY, 0, 0, b"\0\0\0\0\x10"), PROTOCOL_ERROR),
    (frame(CONTINUATION, 0, 1, b""), PROTOCOL_ERROR), (frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\0"), PROTOCOL_ERROR),
    (frame(DATA, 0, 0, bytes(16385)), FRAME_SIZE_ERROR), (frame(RST_STREAM, 0, 1, b"\0\0\0\0"), PROTOCOL_ERROR),
    (frame(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff"), COMPRESSION_ERROR),
    (frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2\x82"), PROTOCOL_ERROR),
    (frame(PRIORITY_UPDATE, 0, 0, b"\0\0\0\0u=1"), PROTOCOL_ERROR), (frame(PRIORITY_UPDATE, 0, 1, b"\0\0\0\1u=1"), PROTOCOL_ERROR),
    (frame(PRIORITY_UPDATE, 0, 0, b"\0\0\1"), FRAME_SIZE_ERROR)])
def test_errors_of_the_connection(open_h2, raw, code):
    h = open_h2()
    h.conn.send(raw)
    assert h.read_to_end() == code


@pytest.mark.parametrize("opened, late", [([5], 3), ([1, 5], 3), ([1, 5, 9], 3), ([1, 5, 9], 7), ([7, 9, 11, 21], 5)])
def test_a_stream_that_was_passed_over_can_not_be_opened(open_h2, opened, late):
    """RFC 9113 5.1.1: the first use of a higher one has closed it."""
    h = open_h2()
    for stream in opened:
        h.next_id = stream
        assert h.get("/sized").status == 200
    h.next_id = late
    h.request(path="/sized")
    assert h.read_to_end() == PROTOCOL_ERROR


def test_a_stream_that_was_passed_over_can_not_be_opened_beside_one_that_runs(open_h2):
    h = open_h2("bodies")
    h.next_id = 5
    h.request("POST", "/echo", end=False)
    h.next_id = 3
    h.request(path="/sized")
    assert h.read_to_end() == PROTOCOL_ERROR


def test_streams_in_order(open_h2):
    h = open_h2()
    h.next_id = 7
    assert h.get("/sized").status == 200
    h.next_id = 5
    h.request(path="/sized")
    assert h.read_to_end() == PROTOCOL_ERROR


def test_data_behind_the_end(open_h2):
    h = open_h2()
    stream = h.request(path="/sized")
    h.answer(stream)
    h.data(stream, b"x")
    assert h.read_to_end() == STREAM_CLOSED


# --- time ---

def test_no_preface(serve):
    with serve("hello", {"http": {"header_timeout": "300ms"}}, flags="h2c").connect() as c:
        c.send(PREFACE[:10])
        while c.fill():
            pass


def test_no_request(open_h2):
    h = open_h2("hello", {"http": {"header_timeout": "300ms"}})
    assert h.read_to_end() == NO_ERROR


def test_head_that_does_not_end(open_h2):
    h = open_h2("hello", {"http": {"header_timeout": "300ms"}})
    h.ping()
    h.send(HEADERS, END_STREAM, 1, h.pack(h.head()))
    assert h.read_to_end() == NO_ERROR


def test_idle(open_h2):
    h = open_h2("answers", {"http": {"keepalive": "300ms"}})
    assert h.get("/sized").status == 200
    assert h.read_to_end() == NO_ERROR


def test_a_connection_that_was_of_use_is_kept(open_h2):
    """keepalive begins with the last answer; header_timeout is for connections without a request."""
    h = open_h2("answers", {"http": {"header_timeout": "300ms", "keepalive": "600s"}})
    assert h.get("/sized").status == 200
    assert open_h2("answers", server=h.server).read_to_end() == NO_ERROR # it is later than that
    assert h.get("/sized").status == 200


def test_body_that_does_not_come(open_h2):
    h = open_h2("bodies", {"http": {"body_timeout": "300ms"}})
    stream = h.request("POST", "/echo", end=False)
    h.data(stream, b"x")
    assert h.answer(stream).status == 408
    assert h.post("/echo", b"next").body == b"next"


def test_window_that_stays_shut(open_h2):
    """The stream is reset; the connection and the others on it go on."""
    h = open_h2("extended", {"http": {"write_timeout": "300ms", "keepalive": "30s"}}, send_settings={INITIAL_WINDOW: 100})
    stream = h.request(path="/path?size=100000")
    a = h.answers[stream]
    h.until(lambda: a.reset is not None)
    assert a.reset == CANCEL and len(a.body) == 100
    other = h.request(path="/path?size=1000")
    h.update(other, 10000)
    assert len(h.answer(other).body) == 1000


# --- who goes ---

def test_reset_stream_is_a_disconnect(open_h2):
    h = open_h2("gone", {"app": {"asgi_spec_version": "2.5"}})
    stream = h.request("POST", "/receives", end=False)
    h.server.wait_event(path="receives", state="running")
    h.reset(stream)
    e = h.server.wait_event(path="receives", state="over")
    assert e["got"][-1] == "http.disconnect" and e["again"] == "http.disconnect" and e["error"][0]
    assert h.get("/ok").body == b"ok"


def test_an_answer_that_leaves_at_once_is_no_disconnect(open_h2):
    """Windows and socket take all of it inside of send(): the stream is over before that returns."""
    h = open_h2("gone")
    for _ in range(5):
        assert len(h.get("/sends_at_once").body) == 100000
        assert h.server.wait_event(path="sends_at_once")["error"] is None


@pytest.mark.parametrize("way", ["close", "reset"])
def test_lost_connection_is_a_disconnect_of_each_stream(open_h2, way):
    h = open_h2("gone")
    h.request("POST", "/receives", end=False)
    h.server.wait_event(path="receives", state="running")
    getattr(h.conn, way)()
    assert h.server.wait_event(path="receives", state="over")["got"][-1] == "http.disconnect"


def test_send_waits_for_a_slow_reader_and_fails_when_it_goes(open_h2):
    """send() waits when the client does not read, and fails when it goes."""
    h = open_h2("gone", {"app": {"asgi_spec_version": "2.5"}}, windows=False)
    stream = h.request(path="/streams?tag=slow")
    h.server.wait_event(path="streams", state="running")
    h.until(lambda: len(h.answers[stream].body) == 65535)
    h.ping()
    h.reset(stream)
    assert h.server.wait_event(path="streams", state="over", tag="slow")["error"][0]


# --- the end ---

def test_goaway_in_two_steps_when_the_worker_drains():
    with Server("turns", flags="h2c") as s:
        h = H2(s.connect())
        stream = h.request(path="/wait?gate=end")
        s.wait_event(path="wait", gate="end")
        s.signal(signal.SIGTERM)
        h.until(lambda: h.goaways)
        assert h.goaways == [((1 << 31) - 1, NO_ERROR)]
        other = h.request(path="/open?gate=end") # was on its way
        assert h.answer(other).status == 200
        kind = None
        while kind != PING and len(h.goaways) < 2:
            kind, flags, _, payload = h.read()
        if len(h.goaways) < 2:
            h.send(PING, ACK, 0, payload)
        a = h.answer(stream)
        assert a.status == 200 and a.body == b"waited for end"
        assert h.read_to_end() == NO_ERROR
        assert h.goaways[-1][0] == other


def test_idle_connection_when_the_worker_drains():
    with Server("answers", flags="h2c") as s:
        h = H2(s.connect())
        assert h.get("/sized").status == 200
        s.signal(signal.SIGTERM)
        kind = None
        while kind != PING:
            kind, _, _, payload = h.read()
        h.send(PING, ACK, 0, payload)
        assert h.read_to_end() == NO_ERROR
        assert len(h.goaways) == 2


def test_client_that_does_not_answer_when_the_worker_drains():
    with Server("answers", flags="h2c") as s:
        h = H2(s.connect())
        assert h.get("/sized").status == 200
        s.signal(signal.SIGTERM)
        assert h.read_to_end() == NO_ERROR and len(h.goaways) == 2


def test_no_request_is_lost_in_a_reload():
    with Server("answers", flags="h2c", respawn=True) as s:
        h, done, failed = H2(s.connect()), 0, 0
        since = s.log_mark()
        s.signal(signal.SIGHUP)
        told = False
        while not told:
            stream = h.request(path="/sized")
            while not h.answers[stream].ended:
                kind, flags, _, payload = h.read()
                if kind == PING and not flags & ACK:
                    h.send(PING, ACK, 0, payload)
            done += 1
            told = bool(h.goaways)
        assert done and not failed
        s.wait_log("reload", since)
        assert H2(s.connect()).get("/sized").status == 200
        h.conn.close()


def test_client_says_goodbye(open_h2):
    h = open_h2("turns")
    stream = h.request(path="/wait?gate=bye")
    h.server.wait_event(path="wait", gate="bye")
    h.send(GOAWAY, 0, 0, struct.pack(">II", 0, NO_ERROR))
    open_h2("turns").get("/open?gate=bye")
    assert h.answer(stream).body == b"waited for bye"


def test_half_closed_connection(open_h2):
    """What was asked for whole is still answered."""
    h = open_h2("turns", windows=False)
    stream = h.request(path="/wait?gate=half")
    h.server.wait_event(path="wait", gate="half")
    h.ping()
    h.conn.half_close()
    open_h2("turns").get("/open?gate=half")
    a = h.answers[stream]
    while not a.ended:
        kind, flags, got, payload = h.read()
    assert a.body == b"waited for half"
