# SPDX-License-Identifier: BSD-3-Clause
"""HTTP/2 with prior knowledge: requests and answers as frames (RFC 9113, RFC 9110)."""

import json
import struct

import pytest

from lib.client import Truncated
from lib.h2 import H2, Answer
from lib.h2frames import (CONNECT_PROTOCOL, CONTINUATION, DATA, END_HEADERS, END_STREAM, FLOW_CONTROL_ERROR, HEADERS,
                          INITIAL_WINDOW, INTERNAL_ERROR, MAX_FIELDS, MAX_STREAMS, NO_ERROR, NO_PRIORITIES, PADDED,
                          PREFACE, PRIORITY_UPDATE, PROTOCOL_ERROR, REFUSED_STREAM, SETTINGS, frame, settings)


# --- the connection ---

def test_settings_of_the_server(open_h2):
    h = open_h2()
    h.ping()
    assert h.settings == {MAX_STREAMS: 100, INITIAL_WINDOW: 65535, MAX_FIELDS: 65536, CONNECT_PROTOCOL: 1, NO_PRIORITIES: 1}


def test_keys_of_the_configuration(open_h2):
    h = open_h2("hello", {"http": {"http2_max_concurrent_streams": 3, "http2_initial_window_size": 100000}})
    h.ping()
    assert h.settings[MAX_STREAMS] == 3 and h.settings[INITIAL_WINDOW] == 100000


def test_http1_is_served_on_the_same_port(open_h2):
    h = open_h2()
    assert h.server.get("/sized").body == b"sized body"
    assert h.get("/sized").body == b"sized body"


def test_preface_in_pieces(open_h2):
    h = open_h2(start=False)
    raw = PREFACE + frame(SETTINGS)
    for i in range(len(raw)):
        h.conn.send(raw[i:i + 1])
    assert h.get("/sized").body == b"sized body"


def test_preface_only_where_the_bind_says_h2c(serve):
    with serve("hello").connect() as c:
        assert c.send(PREFACE + frame(SETTINGS)).read_response().status == 505


def test_http2_false(serve):
    with serve("hello", {"http": {"http2": False}}, flags="h2c").connect() as c:
        assert c.send(PREFACE + frame(SETTINGS)).read_response().status == 505


def test_upgrade_from_http1_is_ignored(serve):
    r = serve("hello", flags="h2c").get("/", headers=["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c",
                                                       "HTTP2-Settings: AAMAAABkAAQAAP__"])
    assert r.status == 200 and r.version == "1.1"


# --- requests ---

def test_scope(open_h2):
    h = open_h2("scope")
    a = h.get("/a%20b/c?x=1&y=%20", headers=[("x-one", "1"), ("x-one", "2"), ("user-agent", "t")])
    scope = json.loads(a.body)
    assert scope["http_version"] == "2" and scope["scheme"] == "http" and scope["method"] == "GET"
    assert scope["path"] == "/a b/c"
    text = json.dumps(scope["headers"])
    assert text.index("host") < text.index("x-one") and ":path" not in text


def headers_of(a):
    return [tuple(pair) for pair in json.loads(a.body)["headers"]]


def test_authority_replaces_host(open_h2):
    h = open_h2("scope")
    assert headers_of(h.get(headers=[("host", "EXAMPLE.org")], authority="example.org"))[0][1] == "example.org"
    assert len([k for k, _ in headers_of(h.get(headers=[("host", "test")])) if k == "host"]) == 1
    assert headers_of(h.get(headers=[("host", "only.host")], authority=None)) == [("host", "only.host")]
    assert h.get(headers=[("host", "other")]).status == 400


def test_cookie_crumbs_are_joined(open_h2):
    h = open_h2("scope")
    got = headers_of(h.get(headers=[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("cookie", "c=3")]))
    assert got == [("host", "test"), ("cookie", "a=1; b=2; c=3"), ("x", "y")]


def test_crumbs_count_as_one_field(open_h2):
    h = open_h2("scope")
    got = headers_of(h.get(headers=[("cookie", "a%d=1" % i) for i in range(300)]))
    assert got[1][1] == "; ".join("a%d=1" % i for i in range(300))


@pytest.mark.parametrize("change, status", [
    ({"path": "/#x"}, 400), ({"authority": "user@test"}, 400),
    ({"scheme": "ftp"}, 400), ({"path": "/" + "x" * 8200}, 414), ({"headers": [("x", "y" * 8200)]}, 431),
    ({"headers": [("x%d" % i, "y") for i in range(101)]}, 431), ({"headers": [("x%d" % i, "y" * 1000) for i in range(70)]}, 431),
    ({"headers": [("expect", "magic")]}, 417), ({"headers": [("content-type", "a"), ("content-type", "b")]}, 400)])
def test_refused(open_h2, change, status):
    h = open_h2()
    fields = h.pack(h.head(**{"path": "/sized", **change}))
    h.answers[1], h.next_id = Answer(), 3
    pieces = [fields[i:i + 16384] for i in range(0, len(fields), 16384)]
    h.send(HEADERS, END_STREAM | (END_HEADERS if len(pieces) == 1 else 0), 1, pieces[0])
    for i, piece in enumerate(pieces[1:], 2):
        h.send(CONTINUATION, END_HEADERS if i == len(pieces) else 0, 1, piece)
    a = h.answer(1)
    if "authority" in change and a.reset is not None:  # nghttp2 1.64 sees it first (RFC 9113 8.1.1)
        assert a.reset == PROTOCOL_ERROR
    else:
        assert a.status == status
    assert h.get("/sized").body == b"sized body"


@pytest.mark.parametrize("field", [("connection", "close"), ("transfer-encoding", "chunked"), ("te", "gzip"), ("keep-alive", "1"),
                                   ("upgrade", "websocket"), ("proxy-connection", "x"), ("X-Upper", "1"), ("x", "a\r\nb"),
                                   ("x", "a\0b"), ("x y", "1"), (":late", "1"), (":status", "200"), ("x", " lead")])
def test_malformed_is_reset(open_h2, field):
    h = open_h2()
    raw = b"\x00" + b"".join(bytes([len(t)]) + t for t in (f.encode("latin-1") for f in field))
    h.answers[1], h.next_id = Answer(), 3
    h.send(HEADERS, END_STREAM | END_HEADERS, 1, h.pack(h.head(path="/sized")) + raw)
    assert h.answer(1).reset == PROTOCOL_ERROR
    assert h.get("/sized").body == b"sized body"


def test_malformed_authority(open_h2):
    assert open_h2().get("/sized", authority="a b").reset == PROTOCOL_ERROR


@pytest.mark.parametrize("missing", ["method", "scheme", "path"])
def test_missing_pseudo_field(open_h2, missing):
    h = open_h2()
    assert h.answer(h.open(h.head(**{"path": "/sized", missing: None}))).reset == PROTOCOL_ERROR


# --- bodies ---

def test_echo(open_h2):
    h = open_h2("bodies")
    body = bytes(range(256)) * 2000
    stream = h.request("POST", "/echo", end=False)
    left, window, all_window = body, 65535, 65535
    # Never more than the windows allow.
    while left:
        room = min(window, all_window, 16384)
        if room:
            piece, left = left[:room], left[room:]
            h.data(stream, piece, end=not left)
            window -= len(piece)
            all_window -= len(piece)
            continue
        n = len(h.updates)
        h.until(lambda: len(h.updates) > n)
        for s, by in h.updates[n:]:
            window, all_window = (window, all_window + by) if s == 0 else (window + by, all_window)
    assert h.answer(stream).body == body


def test_unread_body_stops_at_the_window(open_h2):
    """The application does not receive: nothing is given back, neither to the stream nor, beyond its share, to the connection."""
    h = open_h2("turns")
    h.until(lambda: h.updates)
    assert h.updates == [(0, (1 << 20) - 65535)]
    stream = h.request("POST", "/wait?gate=body", end=False)
    h.data(stream, b"x" * 65535)
    h.ping()
    assert [u for u in h.updates if u[0] == stream] == []
    assert h.get("/open?gate=body").status == 200
    assert h.answer(stream).status == 200


def test_more_than_the_window(open_h2):
    """An error of the stream or of the connection (RFC 9113 6.9), which nghttp2 makes it from 1.6x on."""
    h = open_h2("turns")
    h.ping()
    stream = h.request("POST", "/wait?gate=over", end=False)
    h.data(stream, b"x" * 65536)
    try:
        assert h.answer(stream).reset == FLOW_CONTROL_ERROR
    except Truncated:
        assert h.goaways[-1][1] == FLOW_CONTROL_ERROR
    h.server.get("/open?gate=over")


@pytest.mark.parametrize("length, body", [("5", b"1234"), ("5", b"123456"), ("0", b"x")])
def test_content_length_must_be_right(open_h2, length, body):
    h = open_h2("bodies")
    stream = h.request("POST", "/echo", [("content-length", length)], end=False)
    h.data(stream, body, end=True)
    assert h.answer(stream).reset == PROTOCOL_ERROR


def test_limit_request_head(open_h2):
    """The limit of HTTP/1, counted alike: name, value, and what stands around them there."""
    h = open_h2("answers", {"http": {"limit_request_head": 1024}})
    size = sum(len(name) + len(value) + 4 for name, value in h.head(path="/sized") + [("x", "")])
    assert h.get("/sized", headers=[("x", "y" * (1024 - size))]).status == 200
    assert h.get("/sized", headers=[("x", "y" * (1025 - size))]).status == 431
    assert h.get("/sized").status == 200 and h.settings[MAX_FIELDS] == 1024


def test_limit_request_body(open_h2):
    h = open_h2("bodies", {"http": {"limit_request_body": 1000}})
    stream = h.request("POST", "/echo", [("content-length", "1001")], end=False)
    assert h.answer(stream).status == 413
    stream = h.request("POST", "/echo", end=False)
    h.data(stream, b"x" * 600).data(stream, b"x" * 600)
    assert h.answer(stream).status == 413


def test_padding_is_given_back(open_h2):
    h = open_h2("bodies")
    stream = h.request("POST", "/echo", end=False)
    for _ in range(2):
        for _ in range(200):
            h.send(DATA, PADDED, stream, b"\xff" + b"x" + bytes(255))
        h.until(lambda: any(s == stream for s, _ in h.updates))
    h.send(DATA, END_STREAM, stream)
    assert h.answer(stream).body == b"x" * 400


def test_continue_is_sent_when_the_application_receives(open_h2):
    h = open_h2("bodies")
    stream = h.request("POST", "/echo", [("expect", "100-continue")], end=False)
    h.until(lambda: h.answers[stream].interim)
    assert h.answers[stream].interim == [[(":status", "100")]]
    h.data(stream, b"body", end=True)
    assert h.answer(stream).body == b"body"
    stream = h.request("POST", "/unread", [("expect", "100-continue")], end=False)
    assert h.answer(stream).interim == []


def test_rest_of_a_request_behind_its_answer(open_h2):
    """It may still come for a moment: clients that had it on its way take a reset for the loss of the answer."""
    h = open_h2("bodies")
    stream = h.request("POST", "/unread", end=False)
    a = h.answer(stream)
    h.data(stream, b"late", end=True).ping()
    assert a.status == 200 and a.ended and a.reset is None
    stream = h.request("POST", "/unread", end=False)
    a = h.answer(stream)
    h.data(stream, bytes(65535))  # the whole window, which is not opened again
    h.until(lambda: a.reset is not None)
    assert a.reset == NO_ERROR and all(where == 0 for where, _ in h.updates)


def test_answer_before_the_end_of_the_request(open_h2):
    """RFC 9113 8.1: the whole answer, then RST_STREAM with NO_ERROR."""
    h = open_h2("bodies")
    stream = h.request("POST", "/unread", end=False)
    a = h.answer(stream)
    h.until(lambda: a.reset is not None)
    assert a.status == 200 and a.ended and a.reset == NO_ERROR
    h.data(stream, b"late", end=True) # what was on its way
    assert h.post("/echo", b"next").body == b"next"


def test_trailers_of_a_request(open_h2):
    h = open_h2("bodies")
    stream = h.request("POST", "/echo", end=False)
    h.data(stream, b"body")
    h.send(HEADERS, END_HEADERS | END_STREAM, stream, h.pack([("x-sum", "1")]))
    assert h.answer(stream).body == b"body"


def test_empty_data_ends(open_h2):
    h = open_h2("bodies")
    stream = h.request("POST", "/echo", end=False)
    h.data(stream, b"abc").data(stream, b"", end=True)
    assert h.answer(stream).body == b"abc"


# --- answers ---

def test_fields_of_an_answer(open_h2):
    h = open_h2()
    a = h.get("/sized")
    names = [k for k, _ in a.headers]
    assert a.get("content-length") == "10" and a.get("x-kept") == "1" and a.get("server") == "tine" and a.get("date")
    assert names[0] == ":status" and len(names) == len(set(names))


def test_answer_to_head_has_no_body(open_h2):
    h = open_h2()
    get, head = h.get("/sized"), h.answer(h.request("HEAD", "/sized"))
    assert [f for f in head.headers if f[0] != "date"] == [f for f in get.headers if f[0] != "date"]
    assert head.body == b"" and head.frames == []
    assert h.answer(h.request("HEAD", "/stream")).body == b""


@pytest.mark.parametrize("code", [204, 304])
def test_204_and_304_have_no_body(open_h2, code):
    h = open_h2()
    a = h.get(f"/status?code={code}&n=5")
    assert a.status == code and a.frames == [] and (code == 304 or a.get("content-length") is None)


def test_streamed_and_fields_that_http2_has_not(open_h2):
    h = open_h2()
    assert h.get("/stream").body == b"part0,part1,part2,end"
    assert h.get("/own_coding?te=chunked").body == b"onetwo"


@pytest.mark.parametrize("path", ["/raises", "/returns_early", "/body_first"])
def test_errors_before_the_start_are_500(open_h2, path):
    h = open_h2("broken", allow=("Traceback",))
    a = h.get(path)
    assert a.status == 500
    assert h.get("/ok").status == 200


@pytest.mark.parametrize("path, body", [("/raises_after_part", None), ("/returns_after_part", None), ("/too_short", None)])
def test_errors_in_the_body_reset_the_stream(open_h2, path, body):
    h = open_h2("broken", allow=("Traceback",))
    a = h.get(path)
    assert a.reset == INTERNAL_ERROR and not a.ended
    assert h.get("/ok").status == 200


def test_body_longer_than_content_length_is_cut(open_h2):
    h = open_h2("broken", allow=("Traceback",))
    a = h.get("/too_long")
    assert a.ended and len(a.body) == int(a.get("content-length"))
    assert h.get("/ok").status == 200


def test_interim_answers(open_h2):
    h = open_h2("extended")
    a = h.get("/hints?n=2")
    assert [dict(i)[":status"] for i in a.interim] == ["103", "103"] and a.body == b"final"
    assert [v for k, v in a.interim[1] if k == "link"] == ["</style1.css>; rel=preload", "</s.js>; rel=preload"]


def test_trailers_of_an_answer(open_h2):
    h = open_h2("extended")
    a = h.get("/trailers", headers=[("te", "trailers")])
    assert a.body == b"with trailers" and a.trailers == [("x-sum", "1"), ("x-more", "2")]
    assert h.get("/trailers").trailers is None
    assert h.get("/trailers_sized", headers=[("te", "trailers")]).trailers == [("x-sum", "1")]
    assert h.answer(h.request("HEAD", "/trailers", [("te", "trailers")])).body == b""


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, 1000000])
def test_pathsend(open_h2, size):
    h = open_h2("extended")
    lines = b"".join(b"line %06d\n" % i for i in range(100000))
    a = h.get(f"/path?size={size}")
    assert a.body == lines[:size]


def test_zerocopysend(open_h2):
    h = open_h2("extended")
    lines = b"".join(b"line %06d\n" % i for i in range(100000))
    assert h.get("/zero").body == lines
    assert h.get("/zero?offset=12&count=100").body == lines[12:112]
    assert h.get("/zero_parts").body == b"[line 000001\n|line 000000\n]"
    h = open_h2("extended", allow=("Traceback",))
    assert h.get("/zero_short").reset == INTERNAL_ERROR


# --- windows and order ---

def test_answers_keep_to_the_windows(open_h2):
    h = open_h2("extended", send_settings={INITIAL_WINDOW: 10}, windows=False)
    stream = h.request(path="/path?size=100000")
    a = h.answers[stream]
    h.until(lambda: len(a.body) == 10)
    h.ping()
    assert len(a.body) == 10
    h.update(stream, 70000)
    h.until(lambda: len(a.body) == 65535)
    h.ping()
    assert len(a.body) == 65535
    h.update(0, 1 << 20).update(stream, 1 << 20)
    assert len(h.answer(stream).body) == 100000


def test_a_shut_window_is_opened_by_settings(open_h2):
    h = open_h2("answers", send_settings={INITIAL_WINDOW: 0})
    stream = h.request(path="/sized")
    h.until(lambda: h.answers[stream].headers)
    h.ping()
    assert h.answers[stream].body == b""
    h.send(SETTINGS, 0, 0, settings({INITIAL_WINDOW: 100}))
    assert h.answer(stream).body == b"sized body"


def order_of(h, first):
    return list(dict.fromkeys(h.order[first:]))


def test_urgency_orders_answers(open_h2):
    """RFC 9218 4.1, 10: with the connection's window shut, all wait; then the more urgent goes first."""
    h = open_h2("extended", windows=False)
    h.request(path="/path?size=65535")
    h.until(lambda: len(h.answers[1].body) == 65535)
    urgencies = [7, 3, 0, 5]
    streams = [h.request(path="/path?size=30000", headers=[("priority", f"u={u}")]) for u in urgencies]
    h.until(lambda: all(h.answers[s].headers for s in streams))
    h.ping()
    mark = len(h.order)
    h.update(0, 1 << 20)
    for s in streams:
        h.answer(s)
    assert order_of(h, mark) == [streams[2], streams[1], streams[3], streams[0]]


def test_priority_update(open_h2):
    """RFC 9218 7.1."""
    h = open_h2("extended", windows=False)
    h.request(path="/path?size=65535")
    h.until(lambda: len(h.answers[1].body) == 65535)
    streams = [h.request(path="/path?size=30000") for _ in range(3)]
    h.until(lambda: all(h.answers[s].headers for s in streams))
    h.send(PRIORITY_UPDATE, 0, 0, struct.pack(">I", streams[2]) + b"u=1")
    h.ping()
    mark = len(h.order)
    h.update(0, 1 << 20)
    for s in streams:
        h.answer(s)
    assert order_of(h, mark)[0] == streams[2]


def test_incremental_answers_take_turns(open_h2):
    h = open_h2("extended", windows=False)
    h.request(path="/path?size=65535")
    h.until(lambda: len(h.answers[1].body) == 65535)
    streams = [h.request(path="/path?size=60000", headers=[("priority", "i")]) for _ in range(2)]
    h.until(lambda: all(h.answers[s].headers for s in streams))
    h.ping()
    mark = len(h.order)
    h.update(0, 1 << 20)
    for s in streams:
        h.answer(s)
    assert h.order[mark:mark + 4] in (streams * 2, streams[::-1] * 2)


def test_many_at_a_time(open_h2):
    h = open_h2("bodies")
    streams = [h.request("POST", "/echo", end=False) for _ in range(100)]
    for s in streams:
        h.data(s, b"%d" % s, end=True)
    assert [h.answer(s).body for s in streams] == [b"%d" % s for s in streams]


def test_more_than_max_concurrent_streams(open_h2):
    """RFC 9113 5.1.2: an error of the stream, or of the connection."""
    config = {"http": {"http2_max_concurrent_streams": 2}}
    h = open_h2("turns", config)
    h.ping()
    streams = [h.request(path=f"/wait?gate=m{i}") for i in range(3)]
    code = h.read_to_end() if h.server.wait_event(path="wait") else None
    assert code in (PROTOCOL_ERROR, REFUSED_STREAM) or h.answers[streams[2]].reset == REFUSED_STREAM
    other = open_h2("turns", config)
    for i in range(2):
        assert other.get(f"/open?gate=m{i}").status == 200


@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize("threads", [1, 4])
def test_wsgi_reads_a_body_that_is_larger_than_the_window(open_h2, threads, length):
    """The first byte beyond the window is sent when the server makes it larger."""
    size = 65536
    h = open_h2("wsgi_cases", {"app": {"threads": threads}})
    stream = h.request("POST", "/echo", [("content-length", str(size))] if length else [], end=False)
    h.data(stream, b"a" * 65535)
    h.until(lambda: any(s == stream for s, _ in h.updates))
    h.data(stream, b"b", end=True)
    assert h.answer(stream).body == b"a" * 65535 + b"b"


def test_heads_of_many_frames_do_not_mix_between_connections(serve):
    """All sessions make their frames in the same buffer; some clients read slowly."""
    s = serve("large_heads", {"http": {"keepalive": "10m", "write_timeout": "10m"}}, flags="h2c")
    conns = [H2(s.connect(rcvbuf=4096)) for _ in range(12)]
    try:
        for _ in range(3):
            asked = [[(h, letter, h.request(path=f"/{letter}")) for letter in "abcdef"] for h in conns]
            for h, letter, stream in [one for of in zip(*asked) for one in of]:
                a = h.answer(stream)
                assert a.status == 200 and a.body == letter.encode() * 100
                assert [a.get(f"x-{i}") for i in range(12)] == [letter * 4000 + str(i) for i in range(12)]
    finally:
        for h in conns:
            h.conn.close()
