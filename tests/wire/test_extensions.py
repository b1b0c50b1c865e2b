# SPDX-License-Identifier: BSD-3-Clause
"""The extensions that the scope promises: early hints, trailers, pathsend, zerocopysend."""

import pytest

LINES = b"".join(b"line %06d\n" % i for i in range(100000))


@pytest.fixture(params=[False, True], ids=["tcp", "tls"])
def server(serve, request):
    s = serve("extended", allow=["Traceback"], tls=request.param)
    yield s
    with s.connect() as c:
        assert c.request("GET", "/hints?n=0").body == b"final"


def next_is_right(conn):
    r = conn.request("GET", "/hints?n=0")
    assert r.body == b"final" and r.interim == []
    conn.expect_no_more()


# --- early hints ---

@pytest.mark.parametrize("n", [1, 3])
def test_early_hints(server, n):
    with server.connect() as c:
        r = c.request("GET", f"/hints?n={n}")
        assert [i.status for i in r.interim] == [103] * n and r.status == 200 and r.body == b"final"
        for i, hint in enumerate(r.interim):
            assert hint.get_all("link") == [f"</style{i}.css>; rel=preload", "</s.js>; rel=preload"] \
                or hint.get("link") == f"</style{i}.css>; rel=preload, </s.js>; rel=preload"
        next_is_right(c)


def test_early_hints_not_for_http10(server):
    with server.connect() as c:
        r = c.request("GET", "/hints?n=2", version="1.0")
        assert r.interim == [] and r.body == b"final"
        c.expect_close()


def test_early_hints_for_head(server):
    with server.connect() as c:
        r = c.request("HEAD", "/hints?n=1")
        assert [i.status for i in r.interim] == [103] and r.get("content-length") == "5"
        next_is_right(c)


def test_early_hint_after_start_is_dropped(server):
    with server.connect() as c:
        r = c.request("GET", "/hint_after_start")
        assert r.interim == [] and r.body == b"ok" and r.get("link") is None
        next_is_right(c)


def test_early_hint_cannot_split(server):
    with server.connect() as c:
        r = c.request("GET", "/bad_hint")
        assert r.interim == [] and r.json() is not None
        next_is_right(c)


# --- trailers ---

@pytest.mark.parametrize("te", ["trailers", "Trailers", "deflate, trailers", "trailers, deflate;q=0.5"])
def test_trailers_for_a_client_that_takes_them(server, te):
    with server.connect() as c:
        r = c.request("GET", "/trailers", [f"TE: {te}", "Connection: TE"])
        assert r.framing == "chunked" and r.body == b"with trailers" and r.trailers == [("x-sum", "1"), ("x-more", "2")]
        next_is_right(c)


def test_trailers_behind_a_whole_body(server):
    with server.connect() as c:
        r = c.request("GET", "/trailers_whole", ["TE: trailers", "Connection: TE"])
        assert r.framing == "chunked" and r.body == b"whole" and r.trailers == [("x-sum", "1")]
        next_is_right(c)


@pytest.mark.parametrize("path, body", [("/trailers", b"with trailers"), ("/trailers_whole", b"whole"), ("/trailers_sized", b"sized")])
@pytest.mark.parametrize("headers", [[], ["TE: deflate"], ["TE: trailersx"]])
def test_no_trailers_without_te(server, path, body, headers):
    with server.connect() as c:
        r = c.request("GET", path, headers)
        assert r.body == body and r.trailers == []
        next_is_right(c)


def test_no_trailers_behind_a_sized_body(server):
    with server.connect() as c:
        r = c.request("GET", "/trailers_sized", ["TE: trailers", "Connection: TE"])
        assert r.framing == "length" and r.body == b"sized"
        next_is_right(c)


def test_no_trailers_for_http10(server):
    with server.connect() as c:
        r = c.request("GET", "/trailers", ["TE: trailers", "Connection: TE"], version="1.0")
        assert r.framing == "close" and r.body == b"with trailers"


def test_no_trailers_for_head(server):
    with server.connect() as c:
        c.request("HEAD", "/trailers", ["TE: trailers", "Connection: TE"])
        next_is_right(c)


def test_trailers_announced_and_never_sent(server):
    """The answer is not over when the application is: it is cut."""
    with server.connect() as c:
        c.send_request("GET", "/trailers_forgotten", ["TE: trailers", "Connection: TE"])
        data = c.read_to_end()
        assert data.count(b"HTTP/1.1 ") <= 1 and not data.endswith(b"0\r\n\r\n")


def test_trailers_cannot_split(server):
    with server.connect() as c:
        c.send_request("GET", "/trailers_bad", ["TE: trailers", "Connection: TE"])
        data = c.read_to_end()
        assert b"x: y" not in data and not data.endswith(b"\r\n\r\n")


# --- files ---

@pytest.mark.parametrize("size", [0, 1, 1000, 70000, 5 << 20])
@pytest.mark.parametrize("length", ["", "&length=1"])
def test_pathsend(server, size, length):
    with server.connect() as c:
        r = c.request("GET", f"/path?size={size}{length}")
        assert r.body == (LINES * (size // len(LINES) + 1))[:size]
        if length:
            assert r.get("content-length") == str(size)
        next_is_right(c)


def test_pathsend_for_head(server):
    with server.connect() as c:
        assert c.request("HEAD", "/path?size=1000&length=1").get("content-length") == "1000"
        next_is_right(c)


def test_pathsend_for_http10(server):
    with server.connect() as c:
        assert c.request("GET", "/path?size=100000", version="1.0").body == LINES[:100000]


def test_pathsend_missing_file(server):
    with server.connect() as c:
        c.send_request("GET", "/path_missing")
        data = c.read_to_end()
        assert data == b"" or data.startswith(b"HTTP/1.1 500 ")
    assert server.wait_event(path="path_missing")["error"] == "FileNotFoundError"


def test_pathsend_folder(server):
    mark = server.log_mark()
    with server.connect() as c:
        c.send_request("GET", "/path_folder")
        data = c.read_to_end()
        assert data.count(b"HTTP/1.1 ") <= 1 and not data.endswith(b"0\r\n\r\n")
    server.wait_log("Traceback", since=mark)


# Query of the request, and what it should bring. The ids are the queries: bytes of a megabyte as ids break the environment.
ZERO_COPY = [
    ("", LINES), ("offset=12&count=12", LINES[12:24]), ("offset=0&count=5", LINES[:5]), ("offset=1199988", LINES[1199988:]),
    ("count=24", LINES[:24]), ("seek=12&count=12", LINES[12:24]), ("seek=100000", LINES[100000:]), ("seek=100&offset=0&count=12", LINES[:12]),
    ("offset=12&count=12&length=12", LINES[12:24]), ("length=1200000", LINES), ("fd=1&offset=12&count=12", LINES[12:24]),
    ("offset=5&count=0", b""), ("offset=7&count=500001", LINES[7:500008])]


@pytest.mark.parametrize("args, data", ZERO_COPY, ids=[args for args, _ in ZERO_COPY])
def test_zerocopysend(server, args, data):
    assert len(LINES) == 1200000
    with server.connect() as c:
        r = c.request("GET", f"/zero?{args}")
        assert r.status == 200 and r.body == data
        next_is_right(c)


def test_zerocopysend_for_head(server):
    with server.connect() as c:
        assert c.request("HEAD", "/zero?length=1200000").get("content-length") == "1200000"
        next_is_right(c)


def test_zerocopysend_for_http10(server):
    with server.connect() as c:
        assert c.request("GET", "/zero?offset=12", version="1.0").body == LINES[12:]


@pytest.mark.parametrize("path", ["/zero_parts", "/zero_sized_parts"])
def test_zerocopysend_among_bytes(server, path):
    with server.connect() as c:
        r = c.request("GET", path)
        if path == "/zero_parts":
            assert r.framing == "chunked" and r.body == b"[line 000001\n|line 000000\n]"
        else:
            assert r.framing == "length" and r.body == b"[line 000001\nline 000000\n]"
        next_is_right(c)


def test_zerocopysend_short_file(server):
    with server.connect() as c:
        c.send_request("GET", "/zero_short")
        data = c.read_to_end()
        if data.startswith(b"HTTP/1.1 200"):
            assert len(data.partition(b"\r\n\r\n")[2]) < 100
        else:
            assert data == b"" or data.startswith(b"HTTP/1.1 500")


def test_zerocopysend_of_no_file(server):
    with server.connect() as c:
        c.send_request("GET", "/zero_pipe")
        data = c.read_to_end()
        assert data.count(b"HTTP/1.1 ") <= 1 and not data.endswith(b"0\r\n\r\n")
    server.wait_event(path="zero_pipe")


def test_files_to_a_slow_reader(server):
    """The answer is larger than all buffers: sent as the client takes it, and right to the last byte."""
    with server.connect(rcvbuf=16384) as c:
        c.send_request("GET", f"/path?size={20 << 20}&length=1")
        r = c.read_response()
        assert r.body == (LINES * 18)[:20 << 20]
        next_is_right(c)


def test_file_to_a_client_that_goes_away(server):
    with server.connect(rcvbuf=16384) as c:
        c.send_request("GET", f"/path?size={20 << 20}&length=1")
        c.read_until(b"line 000100\n")
        c.reset()
