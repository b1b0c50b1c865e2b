# SPDX-License-Identifier: BSD-3-Clause
"""Request bodies and limit_request_body: how a body reaches the application, or does not."""

import hashlib
import random

import pytest


@pytest.fixture(params=[False, True], ids=["tcp", "tls"])
def server(serve, request):
    return serve("bodies", tls=request.param)


def check_events(events, body):
    assert all(e[0] == "http.request" for e in events)
    assert "".join(e[1] for e in events) == body
    assert [e[2] for e in events] == [True] * (len(events) - 1) + [False]


@pytest.mark.parametrize("body", [None, b"", b"x", b"hello body", b"z" * 100000])
def test_sized_body_arrives_whole(server, body):
    with server.connect() as c:
        r = c.request("POST", "/events", body=body)
        check_events(r.json()["events"], (body or b"").decode())
        assert all({"type"} <= set(e[3]) <= {"type", "body", "more_body"} for e in r.json()["events"])
        assert c.request("POST", "/echo", body=b"next").body == b"next"


def test_get_has_one_empty_event(server):
    with server.connect() as c:
        check_events(c.request("GET", "/events").json()["events"], "")


def test_sized_body_in_single_bytes(server):
    with server.connect() as c:
        c.send("POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 26\r\n\r\n")
        for i in range(26):
            c.send(bytes([97 + i]))
        assert c.read_response().body == b"abcdefghijklmnopqrstuvwxyz"


@pytest.mark.parametrize("chunks", [[], [b"x"], [b"abc", b"defg", b"h" * 70000], [b"%d" % i for i in range(300)]])
def test_chunked_body_arrives_whole(server, chunks):
    with server.connect() as c:
        r = c.request("POST", "/events", chunks=chunks)
        check_events(r.json()["events"], b"".join(chunks).decode())
        assert c.request("POST", "/echo", body=b"next").body == b"next"


@pytest.mark.parametrize("raw, body", [
    (b"5\r\nhello\r\n0\r\n\r\n", "hello"), (b"05\r\nhello\r\n00\r\n\r\n", "hello"), (b"A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
    (b"a\r\n0123456789\r\n0\r\n\r\n", "0123456789"), (b"5;name=value\r\nhello\r\n0\r\n\r\n", "hello"),
    (b"5;n=\"quoted \\\" ; x\"\r\nhello\r\n0;last\r\n\r\n", "hello"), (b"2\r\n\r\n\r\n0\r\n\r\n", "\r\n")])
def test_framing_is_not_seen(server, raw, body):
    with server.connect() as c:
        c.send(b"POST /events HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n" + raw)
        check_events(c.read_response().json()["events"], body)
        assert c.request("POST", "/echo", body=b"next").body == b"next"


def test_chunked_body_in_single_bytes(server):
    with server.connect() as c:
        for octet in b"POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: Chunked\r\n\r\n3;a=b\r\nabc\r\n1\r\nd\r\n0\r\nX-T: 1\r\n\r\n":
            c.send(bytes([octet]))
        assert c.read_response().body == b"abcd"
        assert c.request("POST", "/echo", body=b"next").body == b"next"


def test_trailers_are_not_headers(server):
    with server.connect() as c:
        c.send(b"POST /events HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
               b"5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-Other: 2\r\n\r\n")
        seen = c.read_response().json()
        check_events(seen["events"], "hello")
        assert not {"x-sum", "x-other"} & {k for k, _ in seen["headers"]}
        assert c.request("POST", "/echo", body=b"next").body == b"next"


@pytest.mark.parametrize("raw", [
    b"g\r\n", b"\r\n", b" 5\r\nhello\r\n", b"5 \r\nhello\r\n", b"-5\r\n", b"+5\r\nhello\r\n", b"0x5\r\nhello\r\n",
    b"5\nhello\r\n", b"5\r\nhelloX\r\n", b"5\r\nhello\n", b"5\r\nhello\r\r", b"10000000000000000\r\nx",
    b"5;\nhello\r\n", b"5;a=\x01\r\nhello\r\n", b"5;" + b"x" * 300 + b"\r\nhello\r\n", b"5,\r\nhello\r\n",
    b"5\r\nhello\r\n0\r\nBad Name: x\r\n\r\n", b"5\r\nhello\r\n0\r\n folded: x\r\n\r\n", b"5\r\nhello\r\n0\r\nContent-Length: 3\r\n\r\n",
    b"5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n", b"5\r\nhello\r\n0\r\nX: a\nY: b\r\n\r\n", b"5\r\nhello\r\n0\n\n"])
def test_wrong_chunking_is_refused(server, raw):
    """The application waits for the whole body, so no answer has begun: 400 and close; never a second request."""
    with server.connect() as c:
        c.send(b"POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n" + raw)
        r = c.read_response()
        assert r.status == 400 and r.closes
        c.expect_close()


def test_chunk_extension_of_256_bytes_is_the_limit(server):
    with server.connect() as c:
        c.send(b"POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
               b"1;" + b"x" * 200 + b"\r\na\r\n0\r\n\r\n")
        assert c.read_response().body == b"a"


def test_framing_overhead_is_bounded(server):
    """Single bytes in chunks with long extensions: refused before a megabyte of framing has passed."""
    with server.connect() as c:
        c.send(b"POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")
        piece = (b"1;" + b"x" * 240 + b"\r\na\r\n") * 40
        try:
            for _ in range(400):
                c.send(piece)
                if c.buffer or not c.is_open():
                    break
            else:
                pytest.fail("four megabytes of framing were taken")
        except ConnectionError:
            return
        if c.buffer:
            r = c.read_response()
            assert r.status in (400, 413) and r.closes


def test_receive_after_the_body_waits_for_the_disconnect(server):
    with server.connect() as c:
        c.send_request("POST", "/second_receive", body=b"abc")
        assert server.wait_event(path="second_receive")["waits"] is True
    event = server.wait_event(path="second_receive")
    assert event["got"] == "http.disconnect" and event["again"] == "http.disconnect"


@pytest.mark.parametrize("path", ["/receive_after_answer?tag=1"])
def test_receive_after_the_answer_is_a_disconnect(server, path):
    with server.connect() as c:
        assert c.request("POST", path, body=b"abc").body == b"ok"
        event = server.wait_event(path="receive_after_answer")
        assert event["got"] == ["http.disconnect"] * 3
        assert c.request("POST", "/echo", body=b"next").body == b"next"


def test_receive_after_an_answer_with_unread_body_is_a_disconnect(server):
    with server.connect() as c:
        assert c.request("POST", "/receive_after_unread_answer", body=b"abc").body == b"ok"
        assert server.wait_event(path="receive_after_unread_answer")["got"] == ["http.disconnect"]


@pytest.mark.parametrize("path", ["/unread", "/unread_stream"])
@pytest.mark.parametrize("n", [1, 1000, 60000])
def test_unread_body_is_drained(server, path, n):
    with server.connect() as c:
        c.send_request("POST", path, body=b"GET /echo HTTP/1.1\r\n\r\n"[:n].ljust(n, b"\n"))
        c.send_request("POST", "/echo", body=b"next")
        r = c.read_response()
        assert r.body == b"unread"
        if r.closes:
            c.expect_close()
        else:
            assert c.read_response().body == b"next"
            c.expect_no_more()


def test_unread_chunked_body_is_drained(server):
    with server.connect() as c:
        c.send_request("POST", "/unread", chunks=[b"a" * 100, b"POST / HTTP/1.1\r\n\r\n"])
        c.send_request("POST", "/echo", body=b"next")
        r = c.read_response()
        assert r.body == b"unread"
        if r.closes:
            c.expect_close()
        else:
            assert c.read_response().body == b"next"


def test_rest_of_the_body_is_no_request(server):
    """The body looks like a request; what follows it is one."""
    inner = b"GET /unread?inner=1 HTTP/1.1\r\nHost: test\r\n\r\n"
    with server.connect() as c:
        c.send(b"POST /unread?outer=1 HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n" % len(inner))
        r = c.read_response()
        assert r.body == b"unread"
        c.send(inner)
        if r.closes:
            c.expect_close()
        else:
            assert c.request("POST", "/echo", body=b"next").body == b"next"
    server.wait_event(path="unread", query={"outer": "1"})
    assert server.get("/unread?barrier=1").status == 200
    server.wait_event(path="unread", query={"barrier": "1"})
    assert not server.has_event(path="unread", query={"inner": "1"})


def test_large_unread_body_lets_the_answer_through(server):
    """Ten megabytes nobody wants: the client reads its whole answer although it is still sending."""
    with server.connect() as c:
        c.send(b"POST /unread HTTP/1.1\r\nHost: test\r\nContent-Length: 10485760\r\n\r\n")
        try:
            for _ in range(160):
                c.send(b"x" * 65536)
        except ConnectionError:
            pass
        else:
            assert c.read_response().body == b"unread"


def test_body_read_in_part_is_drained(server):
    with server.connect() as c:
        r = c.request("POST", "/first_part", body=b"y" * 50000)
        assert r.body == b"y"
        if not r.closes:
            assert c.request("POST", "/echo", body=b"next").body == b"next"


def test_continue_is_sent_when_the_application_reads(server):
    with server.connect() as c:
        c.send("POST /echo HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        r = c.read_response(interim=True)
        assert r.status == 100
        c.send("hello")
        r = c.read_response()
        assert r.status == 200 and r.body == b"hello" and r.interim == []
        assert c.request("POST", "/echo", body=b"next").body == b"next"


def test_continue_is_sent_before_a_chunked_body(server):
    with server.connect() as c:
        c.send("POST /echo HTTP/1.1\r\nHost: test\r\nExpect: 100-Continue\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert c.read_response(interim=True).status == 100
        c.send("5\r\nhello\r\n0\r\n\r\n")
        assert c.read_response().body == b"hello"


@pytest.mark.parametrize("path", ["/unread", "/unread_stream"])
def test_no_continue_when_the_answer_comes_first(server, path):
    """The client may or may not send the body now: the server cannot know, so it closes, or it drains what comes."""
    with server.connect() as c:
        c.send(f"POST {path} HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        r = c.read_response()
        assert r.status == 200 and r.interim == [] and r.body == b"unread"
        if r.closes:
            c.expect_close()
        else:
            c.send("hello")
            assert c.request("POST", "/echo", body=b"next").body == b"next"


def test_no_continue_for_http10(server):
    with server.connect() as c:
        c.send("POST /echo HTTP/1.0\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello")
        r = c.read_response()
        assert r.status == 200 and r.interim == [] and r.body == b"hello"


def test_no_continue_without_a_body(server):
    with server.connect() as c:
        r = c.request("GET", "/events", ["Expect: 100-continue"])
        assert r.status == 200 and r.interim == []


def test_at_most_one_continue(server):
    with server.connect() as c:
        c.send("POST /echo HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 6\r\n\r\n")
        assert c.read_response(interim=True).status == 100
        for piece in ("he", "ll", "o!"):
            c.send(piece)
        r = c.read_response()
        assert r.body == b"hello!" and r.interim == []


@pytest.mark.parametrize("size", [None, 10007, 200003, 3 << 20], ids=["length", "chunks", "larger chunks", "large chunks"])
def test_large_body_arrives_unchanged(server, size):
    """With the next request behind it. No piece of it is like another."""
    data = random.Random(1).randbytes(8 << 20)
    with server.connect() as c:
        for _ in range(2):
            if size is None:
                c.send_request("POST", "/digest", body=data)
            else:
                c.send_request("POST", "/digest", chunks=[data[i:i + size] for i in range(0, len(data), size)])
            c.send_request("POST", "/echo", body=b"behind")
            assert c.read_response().json() == [len(data), hashlib.sha256(data).hexdigest()]
            assert c.read_response().body == b"behind"


def test_large_body_is_cut_at_the_limit(serve):
    """While its pieces come fast, beyond the first ones."""
    server = serve("bodies", {"http": {"limit_request_body": "1000000"}})
    for chunks in ([b"x" * 999999, b"yz"], [b"x" * 300000] * 5):
        with server.connect() as c:
            c.send_request("POST", "/digest", chunks=chunks)
            assert c.read_response().status == 413
    with server.connect() as c:
        data = random.Random(2).randbytes(1000000)
        assert c.request("POST", "/digest", chunks=[data]).json() == [len(data), hashlib.sha256(data).hexdigest()]


def test_cancelled_receive_loses_nothing(server):
    with server.connect() as c:
        c.send("POST /cancelled_receive HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\n")
        server.wait_event(path="cancelled_receive")
        c.send("hello")
        assert c.read_response().body == b"hello"


def test_dropped_receive_loses_nothing(server):
    with server.connect() as c:
        assert c.request("POST", "/no_await", body=b"hello").body == b"hello"


def test_two_receivers(server):
    with server.connect() as c:
        c.send("POST /two_receivers HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhello")
        server.wait_event(path="two_receivers")
        c.send("world")
        seen = c.read_response().json()
        assert sorted(seen) == ["hello", "world"] or any(s.endswith("Error") for s in seen)


@pytest.mark.parametrize("declared", [True, False])
def test_limit_request_body(serve, declared):
    server = serve("bodies", {"http": {"limit_request_body": "1000"}})
    with server.connect() as c:
        assert c.request("POST", "/echo", body=b"x" * 1000).body == b"x" * 1000
        if declared:
            c.send("POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 1001\r\n\r\n")
        else:
            c.send_request("POST", "/echo", chunks=[b"x" * 600, b"y" * 600])
        r = c.read_response()
        assert r.status == 413 and r.closes
        c.expect_close()
