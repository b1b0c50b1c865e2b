# SPDX-License-Identifier: BSD-3-Clause
"""The strict reading of heads: what is refused, with which status, and that nobody is called for it."""

import pytest

HOST = b"Host: test\r\n"


@pytest.fixture
def server(serve):
    return serve("builtin:hello")


def expect_refusal(server, raw, *statuses):
    with server.connect() as c:
        c.send(raw)
        r = c.read_response()
        assert r.status in statuses, r
        assert r.closes and r.get("content-type").startswith("text/plain")
        c.expect_close()
    return r


def expect_served(server, raw, n=1):
    with server.connect() as c:
        c.send(raw)
        for _ in range(n):
            assert c.read_response().body == b"Hello, World!"
        c.expect_no_more()


REFUSED = {
    # RFC 9112 2.2, 3: line ends and spaces of the request line
    "garbage": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    "words": (b"hello there\r\n\r\n", 400),
    "lf-only": (b"GET / HTTP/1.1\nHost: test\n\n", 400),
    "lf-in-fields": (b"GET / HTTP/1.1\r\nHost: test\nX: y\r\n\r\n", 400),
    "cr-only": (b"GET / HTTP/1.1\rHost: test\r\r", 400),
    "cr-in-value": (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\rb\r\n\r\n", 400),
    "nul-in-value": (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\0b\r\n\r\n", 400),
    "ctl-in-value": (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\x0bb\r\n\r\n", 400),
    "del-in-value": (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\x7fb\r\n\r\n", 400),
    "two-spaces": (b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "space-behind-version": (b"GET / HTTP/1.1 \r\n" + HOST + b"\r\n", 400),
    "tab": (b"GET\t/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "leading-space": (b" GET / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "no-version": (b"GET /\r\n\r\n", 400),
    "space-in-target": (b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "ctl-in-target": (b"GET /a\x01b HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "no-slash": (b"GET x HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "fragment": (b"GET /#x HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    # RFC 9112 2.3: versions
    "version-2.0": (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 505),
    "version-1.2": (b"GET / HTTP/1.2\r\n" + HOST + b"\r\n", 505),
    "version-0.9": (b"GET / HTTP/0.9\r\n" + HOST + b"\r\n", 505),
    "version-lower": (b"GET / http/1.1\r\n" + HOST + b"\r\n", 400),
    "version-01.1": (b"GET / HTTP/01.1\r\n" + HOST + b"\r\n", 400),
    "version-other": (b"GET / HTCPCP/1.1\r\n" + HOST + b"\r\n", 400),
    # methods
    "method-no-token": (b"G(T / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    # RFC 9112 5: fields
    "no-colon": (b"GET / HTTP/1.1\r\n" + HOST + b"NoColon\r\n\r\n", 400),
    "no-name": (b"GET / HTTP/1.1\r\n" + HOST + b": x\r\n\r\n", 400),
    "space-before-colon": (b"GET / HTTP/1.1\r\n" + HOST + b"X : y\r\n\r\n", 400),
    "space-in-name": (b"GET / HTTP/1.1\r\n" + HOST + b"X Y: z\r\n\r\n", 400),
    "high-byte-in-name": (b"GET / HTTP/1.1\r\n" + HOST + b"X\xe9: z\r\n\r\n", 400),
    "obs-fold": (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n", 400),
    "obs-fold-first": (b"GET / HTTP/1.1\r\n Host: test\r\n\r\n", 400),
    # RFC 9112 3.2: Host
    "host-missing": (b"GET / HTTP/1.1\r\nX: y\r\n\r\n", 400),
    "host-twice": (b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400),
    "host-bad": (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    "host-path": (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    "host-userinfo": (b"GET / HTTP/1.1\r\nHost: user@a\r\n\r\n", 400),
    "host-port": (b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", 400),
    "host-list": (b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400),
    # RFC 9112 3.2: target forms by method
    "asterisk-get": (b"GET * HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "connect": (b"CONNECT test:80 HTTP/1.1\r\nHost: test:80\r\n\r\n", 400, 405, 501),
    "connect-origin": (b"CONNECT / HTTP/1.1\r\n" + HOST + b"\r\n", 400, 405, 501),
    # RFC 9112 6: lengths
    "length-and-coding": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", 400),
    "coding-and-length": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n1\r\na\r\n0\r\n\r\n", 400),
    "two-lengths": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
    "same-length-twice": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na", 400),
    "length-list": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1, 1\r\n\r\na", 400),
    "length-plus": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: +1\r\n\r\na", 400),
    "length-minus": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\na", 400),
    "length-hex": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 0x1\r\n\r\na", 400),
    "length-empty": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length:\r\n\r\na", 400),
    "length-space": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1 1\r\n\r\na", 400),
    "length-huge": (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 99999999999999999999\r\n\r\na", 400, 413),
    "coding-gzip": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip\r\n\r\n", 400, 501),
    "coding-gzip-chunked": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400, 501),
    "coding-chunked-twice": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400, 501),
    "coding-two-fields": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, 501),
    "coding-identity": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: identity\r\n\r\n", 400, 501),
    "coding-not-last": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 400, 501),
    "coding-vt": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400),
    "coding-http10": (b"POST / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "coding-empty": (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding:\r\n\r\n0\r\n\r\n", 400, 501),
    "h2-preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, 505),
}


@pytest.mark.parametrize("name", REFUSED)
def test_wrong_head_is_refused(server, name):
    raw, *statuses = REFUSED[name]
    expect_refusal(server, raw, *statuses)


@pytest.mark.parametrize("name", ["host-missing", "length-and-coding", "method-no-token", "version-2.0", "obs-fold"])
def test_application_is_not_called_for_a_refused_head(serve, name):
    server = serve("bodies")
    raw, *statuses = REFUSED[name]
    raw = raw.replace(b" / ", b" /unread?refused=1 ")
    expect_refusal(server, raw, *statuses)
    assert server.get("/unread?barrier=2").status == 200
    server.wait_event(path="unread", query={"barrier": "2"})
    assert not server.has_event(path="unread", query={"refused": "1"})


@pytest.mark.parametrize("name", ["garbage", "host-missing", "length-and-coding", "two-lengths", "lf-in-fields"])
def test_nothing_after_a_refused_head_is_served(server, name):
    raw, *statuses = REFUSED[name]
    expect_refusal(server, raw + b"GET / HTTP/1.1\r\nHost: test\r\n\r\n", *statuses)


def test_requests_before_a_bad_one_are_answered(server):
    with server.connect() as c:
        c.send_request("GET", "/").send_request("GET", "/").send("BAD\r\n\r\n")
        assert [c.read_response().status for _ in range(3)] == [200, 200, 400]
        c.expect_close()


ACCEPTED = {
    "plain": b"GET / HTTP/1.1\r\nHost: test\r\n\r\n",
    "empty-lines-before": b"\r\n\r\nGET / HTTP/1.1\r\nHost: test\r\n\r\n",
    "host-empty": b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
    "host-v6": b"GET / HTTP/1.1\r\nHost: [::1]:8000\r\n\r\n",
    "host-port": b"GET / HTTP/1.1\r\nHost: a.example:80\r\n\r\n",
    "no-space-behind-colon": b"GET / HTTP/1.1\r\nHost:test\r\n\r\n",
    "value-empty": b"GET / HTTP/1.1\r\nHost: test\r\nX:\r\n\r\n",
    "value-tabs": b"GET / HTTP/1.1\r\nHost:\ttest\t\r\nX: a\tb\r\n\r\n",
    "value-high": b"GET / HTTP/1.1\r\nHost: test\r\nX: \x80\xff\r\n\r\n",
    "length-zero": b"GET / HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n",
    "length-zeros": b"GET / HTTP/1.1\r\nHost: test\r\nContent-Length: 000\r\n\r\n",
    "query-signs": b"GET /?a=b&c[]=d|e HTTP/1.1\r\nHost: test\r\n\r\n",
    "http10-no-host": b"GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n",
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(server, name):
    expect_served(server, ACCEPTED[name])


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted_byte_by_byte(server, name):
    with server.connect() as c:
        for octet in ACCEPTED[name]:
            c.send(bytes([octet]))
        assert c.read_response().body == b"Hello, World!"
        c.expect_no_more()


@pytest.mark.parametrize("fields", [
    "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
    "Connection: Upgrade\r\nUpgrade: foo/2\r\n", "Upgrade: websocket\r\n", "Connection: upgrade\r\n",
    "Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n"])
def test_other_upgrades_are_ignored(server, fields):
    with server.connect() as c:
        for _ in range(2):
            c.send(f"GET / HTTP/1.1\r\nHost: test\r\n{fields}\r\n")
            r = c.read_response()
            assert r.status == 200 and r.version == "1.1" and r.body == b"Hello, World!" and r.get("upgrade") is None


def test_body_of_an_ignored_upgrade_is_no_request(server):
    """http-parser stops at an upgrade: the body must not become the next request."""
    with server.connect() as c:
        c.send_request("POST", "/", ["Connection: Upgrade", "Upgrade: foo"], body=b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        r = c.read_response()
        assert r.status == 200 and r.body == b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        c.expect_no_more()


def test_limit_request_line(serve):
    server = serve("builtin:hello", {"http": {"limit_request_line": 200}})
    line = b"GET /%s HTTP/1.1"
    fit = line % (b"a" * (200 - len(line) + 2))
    assert len(fit) == 200
    expect_served(server, fit + b"\r\n" + HOST + b"\r\n")
    expect_refusal(server, fit.replace(b"/a", b"/aa") + b"\r\n" + HOST + b"\r\n", 414)


def test_limit_request_line_without_an_end(serve):
    expect_refusal(serve("builtin:hello", {"http": {"limit_request_line": 200}}), b"GET /" + b"a" * 5000, 414)


def test_limit_request_line_default(server):
    expect_served(server, b"GET /" + b"a" * 8000 + b" HTTP/1.1\r\n" + HOST + b"\r\n")
    expect_refusal(server, b"GET /" + b"a" * 8200 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414)


def test_limit_request_fields(serve):
    server = serve("builtin:hello", {"http": {"limit_request_fields": 10}})
    expect_served(server, b"GET / HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 9 + b"\r\n")
    expect_refusal(server, b"GET / HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 10 + b"\r\n", 431)


def test_limit_request_fields_without_an_end(serve):
    expect_refusal(serve("builtin:hello", {"http": {"limit_request_fields": 10}}),
                   b"GET / HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 1000, 431)


def test_limit_request_field_size(serve):
    server = serve("builtin:hello", {"http": {"limit_request_field_size": 100}})
    expect_served(server, b"GET / HTTP/1.1\r\n" + HOST + b"X-Long: " + b"a" * 90 + b"\r\n\r\n")
    expect_refusal(server, b"GET / HTTP/1.1\r\n" + HOST + b"X-Long: " + b"a" * 101 + b"\r\n\r\n", 431)
    expect_refusal(server, b"GET / HTTP/1.1\r\n" + HOST + b"X-Long: " + b"a" * 5000, 431)


def test_largest_head_that_is_allowed(server):
    head = head_of(65536)
    expect_served(server, head)
    expect_refusal(server, head_of(65537), 431)
    expect_refusal(server, head_of(800_000), 431)


def head_of(n):
    """A head of n bytes, no line of which is too long by itself."""
    head = b"GET / HTTP/1.1\r\n" + HOST
    while n - 2 - len(head) > 16000:
        head += b"X-Many: %s\r\n" % (b"v" * 7990)
    left = n - 2 - len(head)
    for part in (left // 2, left - left // 2):
        head += b"X-Last: %s\r\n" % (b"v" * (part - 10))
    assert len(head) == n - 2
    return head + b"\r\n"


@pytest.mark.parametrize("send", [lambda c, raw: c.send(raw), lambda c, raw: [c.send(raw[i:i + 1]) for i in range(len(raw))]],
                         ids=["whole", "bytes"])
def test_limit_request_head(serve, send):
    """The limit is of all bytes of the head, whichever way they come; the body does not count, nor does the next head."""
    server = serve("builtin:hello", {"http": {"limit_request_head": 1024, "limit_request_line": 2000}})
    body = b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5000\r\nX: %s\r\n\r\n"
    for raw, want in ((small(1024), [200]), (small(1025), [431]), (small(1024) * 3, [200] * 3), (small(1025) * 2, [431]),
                      (small(1024) + small(1025), [200, 431]), (b"\r\n" + small(1022), [200]), (b"\r\n" + small(1023), [431]),
                      (body % (b"x" * (1024 - len(body) + 2)) + b"b" * 5000 + small(1024), [200, 200]),
                      (b"GET /" + b"a" * 1100 + b" HTTP/1.1\r\nHost: test\r\n\r\n", [414])):
        with server.connect() as c:
            try:
                send(c, raw)
            except OSError:
                assert want[-1] >= 400  # it has closed
            assert [c.read_response().status for _ in want] == want
            c.half_close()
            c.expect_close()


def small(n):
    start = b"GET / HTTP/1.1\r\n" + HOST + b"X: "
    return start + b"v" * (n - len(start) - 4) + b"\r\n\r\n"


def test_eof_inside_the_head(server):
    """Half a request and EOF: 400 or just the end, soon, and never a 200."""
    for part in (b"", b"G", b"GET / HT", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: test\r\n"):
        with server.connect() as c:
            c.send(part).half_close()
            data = c.read_to_end()
            assert data == b"" or data.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 408 "))


@pytest.mark.parametrize("fields, why", [
    (b"Content-Length: x\r\n", "RFC 9110 8.6: Content-Length is not a number of at most 18 digits"),
    (b"Content-Length: 1 1\r\n", "RFC 9110 8.6: Content-Length is not a number of at most 18 digits"),
    (b"Content-Length:\r\n", "RFC 9110 8.6: Content-Length is not a number of at most 18 digits"),
    (b"Content-Length: 1, 1\r\n", "RFC 9110 8.6: Content-Length is not a number of at most 18 digits"),
    (b"Content-Length: 12345678901234567890\r\n", "RFC 9110 8.6: Content-Length is not a number of at most 18 digits"),
    (b"Content-Length: 1\r\nContent-Length: 1\r\n", "RFC 9112 6.3: more than one Content-Length field"),
    (b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", "RFC 9112 6.1: Transfer-Encoding and Content-Length together"),
    (b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n", "RFC 9112 6.1: Transfer-Encoding and Content-Length together"),
])
def test_a_refused_length_says_what_is_wrong_with_it(server, fields, why):
    with server.connect() as c:
        c.send(b"POST / HTTP/1.1\r\nHost: test\r\n" + fields + b"\r\na")
        r = c.read_response()
        assert (r.status, r.body.decode(), r.closes) == (400, f"400 Bad Request: {why}\n", True)
        c.expect_close()


def test_a_length_above_the_limit_says_so(serve):
    h2 = pytest.importorskip("lib.h2")
    server = serve("hello", {"http": {"limit_request_body": 10}}, flags="h2c")
    why = b"413 Content Too Large: RFC 9110 15.5.14: Content-Length is above limit_request_body\n"
    with server.connect() as c:
        c.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 11\r\n\r\n")
        assert c.read_response().body == why
    with h2.H2(server.connect()) as h:
        a = h.answer(h.request("POST", "/", [("content-length", "11")], end=False))
        assert (a.status, a.body) == (413, why)
