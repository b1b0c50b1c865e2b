# SPDX-License-Identifier: BSD-3-Clause
"""Compression of dynamic answers ([http] compress): which answers, which coding, what happens to their fields, and that
streams stay streams. Bodies are taken apart by zlib and by Debian's brotli and zstandard modules, never by Tine."""

import functools
import subprocess
import zlib

import pytest

from apps.compressible import noise, text
from lib.build import ROOT, binary
from lib.client import Truncated
from lib.waiting import wait_for

CODINGS = ["gzip", "br", "zstd"]


@functools.cache
def built():
    """The codings that this tine can make, in our order of preference."""
    version = subprocess.run([binary(), "--version"], capture_output=True, text=True, check=True).stdout
    return [name for name, library in zip(CODINGS, ("zlib", "brotli", "zstd")) if f"\n{library} " in version]


@pytest.fixture(params=CODINGS)
def coding(request):
    if request.param not in built():
        pytest.skip("not built in")
    return request.param


class Brotli:
    def __init__(self):
        self.state = pytest.importorskip("brotli").Decompressor()

    def decompress(self, data):
        return self.state.process(data)

    @property
    def eof(self):
        return self.state.is_finished()


class Zstandard:
    eof = True  # decompressobj() of older versions does not tell

    def __init__(self):
        self.state = pytest.importorskip("zstandard").ZstdDecompressor().decompressobj()

    def decompress(self, data):
        return self.state.decompress(data) if data else b""


def decoder(coding):
    return {"gzip": lambda: zlib.decompressobj(31), "br": Brotli, "zstd": Zstandard}[coding]()


def decoded(response):
    coding = response.get("content-encoding")
    d = decoder(coding)
    data = d.decompress(response.body)
    assert d.eof
    return data


@pytest.fixture
def server(serve):
    s = serve("compressible", {"http": {"compress": ", ".join(built())}}, allow=["Traceback"])
    yield s
    with s.connect() as c:
        assert c.request("GET", "/go").body == b"Th"


def get(server, path, accept="gzip", method="GET", headers=(), **options):
    with server.connect() as c:
        return c.request(method, path.replace(" ", "%20"), [*headers, *([f"Accept-Encoding: {accept}"] if accept is not None else [])], **options)


def is_plain(r, size=5000, vary=None):
    assert r.get("content-encoding") is None and r.body == text(size)
    assert r.get("vary") == vary
    return True


# --- codings ---

@pytest.mark.parametrize("size", [1024, 5000, 65535, 65536, 65537, 300000])
def test_whole_body(server, coding, size):
    """Up to 64 KB the length is known, beyond it if little comes of it."""
    r = get(server, f"/?size={size}", coding)
    assert r.status == 200 and r.get("content-encoding") == coding and decoded(r) == text(size)
    assert r.framing == "length" or size > 65536
    assert len(r.body) < size / 2 and r.get("vary") == "Accept-Encoding"


@pytest.mark.parametrize("size", [5000, 65536, 70000, 3 << 20])
def test_body_that_does_not_shrink(server, coding, size):
    r = get(server, f"/?size={size}&noise=1&length=1", coding)
    assert decoded(r) == noise(size)


def test_pieces(server, coding):
    r = get(server, "/?size=500000&pieces=7", coding)
    assert r.framing == "chunked" and decoded(r) == text(500000)


def test_context_serves_again_and_again(server, coding):
    """After streams that were cut, too."""
    with server.connect() as c:
        for size in (2000, 900000, 1024, 70000):
            r = c.request("GET", f"/?size={size}", [f"Accept-Encoding: {coding}"])
            assert decoded(r) == text(size)
            with server.connect() as cut:
                cut.send_request("GET", "/?size=100000&pieces=3&cut=1", [f"Accept-Encoding: {coding}"])
                with pytest.raises(Truncated):
                    cut.read_response()


def test_pipelined(server, coding):
    with server.connect() as c:
        for size in (200000, 2000, 70000):
            c.send_request("GET", f"/?size={size}", [f"Accept-Encoding: {coding}"])
        for size in (200000, 2000, 70000):
            assert decoded(c.read_response()) == text(size)
        c.expect_no_more()


# The field, and what is chosen of "gzip, br, zstd" as configured; None: the answer as it is.
CHOICES = [
    (None, None), ("", None), ("gzip", "gzip"), ("GZip", "gzip"), ("x-gzip", "gzip"), ("*", "gzip"), ("gzip;q=0", None),
    ("gzip;q=0.5, br;q=0.8", "br"), ("br, gzip, zstd", "gzip"), ("zstd, deflate", "zstd"), ("gzip;q=0, *", "br"),
    ("identity, gzip;q=0.5", None), ("identity;q=0.5, gzip;q=0.5", "gzip"), ("deflate", None), ("gzip;q=x", None),
    ("*;q=0", None), ("identity;q=0, gzip;q=0.001", "gzip"), ("br;q=1.0,gzip;q=0.999", "br")]


@pytest.mark.parametrize("accept, chosen", CHOICES)
def test_choice(server, accept, chosen):
    if len(built()) < 3:
        pytest.skip("built without a codec")
    r = get(server, "/?size=5000&length=1", accept)
    assert r.get("content-encoding") == chosen and r.get("vary") == "Accept-Encoding"
    assert (decoded(r) if chosen else r.body) == text(5000)


def test_browser(server):
    r = get(server, "/", "gzip, deflate, br, zstd")
    assert r.get("content-encoding") == built()[0]


def test_curl(server):
    host, port = server.address
    out = subprocess.run(["curl", "-sS", "--compressed", f"http://{host}:{port}/?size=2000000"], capture_output=True, check=True)
    assert out.stdout == text(2000000)


# --- what is eligible ---

@pytest.mark.parametrize("kind", [
    "text/html", "TEXT/CSS", "text/plain%3Bcharset%3Dx", "application/json", "application/problem%2Bjson", "image/svg%2Bxml",
    "application/wasm", "text/javascript", "application/x-ndjson"])
def test_types(server, kind):
    assert decoded(get(server, f"/?type={kind}")) == text(5000)


@pytest.mark.parametrize("kind", ["none", "image/png", "text/event-stream", "application/octet-stream", "video/mp4", "textual", "font/woff2"])
@pytest.mark.parametrize("pieces", ["", "&pieces=3"])
def test_other_types(server, kind, pieces):
    assert is_plain(get(server, f"/?type={kind}{pieces}"))


@pytest.mark.parametrize("extra", [
    "content-encoding:identity", "content-encoding:x", "content-range:bytes 0-4999/9000", "cache-control:max-age=3, No-Transform",
    "content-md5:x", "repr-digest:sha-256=:AAAA:", "content-digest:sha-256=:AAAA:", "digest:sha-256=x"])
def test_bytes_that_must_stay(server, extra):
    r = get(server, f"/?extra={extra}&length=1")
    assert r.body == text(5000) and r.get("vary") is None and r.get("content-length") == "5000"


@pytest.mark.parametrize("query", ["size=1023", "size=1023&length=1", "size=0", "size=0&length=1"])
def test_small(server, query):
    r = get(server, f"/?{query}")
    assert r.get("content-encoding") is None and r.framing == "length"
    if "size=0" not in query:
        assert r.get("vary") == "Accept-Encoding"


def test_small_stream(server):
    """Nobody knows that it will stay small."""
    r = get(server, "/?size=100&pieces=2")
    assert decoded(r) == text(100)


def test_small_where_nothing_else_is_acceptable(server):
    for query in ("size=100", "size=100&length=1"):
        assert decoded(get(server, f"/?{query}", "gzip, identity;q=0")) == text(100)


@pytest.mark.parametrize("status", [200, 201, 203, 400, 404, 500])
def test_statuses(server, status):
    r = get(server, f"/?status={status}")
    assert r.status == status and decoded(r) == text(5000)


@pytest.mark.parametrize("status", [204, 205, 206, 304])
def test_statuses_without(server, status):
    r = get(server, f"/?status={status}&etag=%22a%22")
    assert r.status == status and r.get("content-encoding") is None and r.get("etag") == '"a"'
    assert r.get("vary") == ("Accept-Encoding" if status in (206, 304) else None)


def test_http10(server):
    for accept in ("gzip", None):
        assert is_plain(get(server, "/?size=5000", accept, version="1.0"), vary="Accept-Encoding")


def test_off(serve):
    for config in ({}, {"http": {"compress": "off"}}):
        r = get(serve("compressible", config), "/?etag=%22a%22&extra=accept-ranges:bytes&length=1")
        assert is_plain(r) and r.get("etag") == '"a"' and r.get("accept-ranges") == "bytes"


# --- fields ---

@pytest.mark.parametrize("app, sent", [
    ("", "Accept-Encoding"), ("Cookie", "Cookie, Accept-Encoding"), ("*", "*"), ("accept-encoding", "accept-encoding"),
    ("Cookie,  ACCEPT-Encoding", "Cookie,  ACCEPT-Encoding"), ("Accept", "Accept, Accept-Encoding")])
@pytest.mark.parametrize("accept", ["gzip", None])
def test_vary(server, app, sent, accept):
    assert get(server, f"/?vary={app}", accept).get("vary") == sent


def test_several_varies(server):
    r = get(server, "/?vary=Cookie&extra=Vary:Origin")
    assert r.get_all("vary") == ["Cookie, Accept-Encoding", "Origin"]
    r = get(server, "/?vary=Cookie&extra=Vary:Accept-Encoding")
    assert r.get_all("vary") == ["Cookie", "Accept-Encoding"]


@pytest.mark.parametrize("etag, sent", [('"a"', 'W/"a"'), ('W/"a"', 'W/"a"'), ('""', 'W/""')])
def test_etag(server, etag, sent):
    """Other bytes have another strong ETag: the answer keeps a weak one (RFC 9110 8.8.1)."""
    quoted = etag.replace('"', "%22")
    assert get(server, f"/?etag={quoted}").get("etag") == sent
    assert get(server, f"/?etag={quoted}", None).get("etag") == etag


def test_long_fields(server):
    r = get(server, f"/?etag=%22{'e' * 700}%22&vary={'v' * 700}" + "".join(f"&extra=x-{i}:{i}" for i in range(60)))
    assert decoded(r) == text(5000) and r.get("etag") == f'W/"{"e" * 700}"' and r.get("vary") == "v" * 700 + ", Accept-Encoding"
    assert [r.get(f"x-{i}") for i in range(60)] == [str(i) for i in range(60)]


def test_ranges_are_not_offered(server):
    r = get(server, "/?extra=accept-ranges:bytes&length=1")
    assert r.get("accept-ranges") is None and r.get("content-length") == str(len(r.body))


def test_not_modified_says_what_the_client_has(server):
    """A 304 has the ETag that the 200 had (RFC 9110 15.4.5)."""
    for known, etag in (('W/"a"', 'W/"a"'), ('"a"', '"a"'), ('"b", W/"a"', 'W/"a"'), ('W/"b"', '"a"')):
        r = get(server, "/?status=304&etag=%22a%22", headers=[f"If-None-Match: {known}"])
        assert r.status == 304 and r.get("etag") == etag
        assert r.get("vary") == "Accept-Encoding"


@pytest.mark.parametrize("more, vary", [
    ("", "Accept-Encoding"), ("&type=none", "Accept-Encoding"), ("&type=application/json", "Accept-Encoding"),
    ("&vary=Cookie", "Cookie, Accept-Encoding"), ("&vary=*", "*"), ("&length=1", "Accept-Encoding"),
    ("&type=image/png", None), ("&extra=cache-control:no-transform", None), ("&extra=content-encoding:br", None)])
@pytest.mark.parametrize("accept", ["gzip", "identity", None])
def test_not_modified_varies_as_the_whole_answer_does(server, more, vary, accept):
    """RFC 9110 15.4.5: a cache that learns from a 304 must not forget what the answer varies on."""
    whole = get(server, f"/?status=200{more.replace('&type=none', '')}", accept)
    assert whole.get("vary") == vary
    for known in ('W/"a"', '"a"', "*"):
        r = get(server, f"/?status=304&etag=%22a%22{more}", accept, headers=[f"If-None-Match: {known}"])
        assert (r.status, r.body, r.get("vary")) == (304, b"", vary)


@pytest.mark.parametrize("more, vary", [
    ("&extra=content-range:bytes%200-4999/9000", "Accept-Encoding"), ("&type=multipart/byteranges;boundary=x", "Accept-Encoding"),
    ("&type=image/png&extra=content-range:bytes%200-4999/9000", None)])
def test_a_part_varies_as_the_whole_answer_does(server, more, vary):
    """RFC 9110 15.3.7; and it goes out as it is."""
    r = get(server, f"/?status=206{more}")
    assert (r.status, r.body, r.get("content-encoding"), r.get("vary")) == (206, text(5000), None, vary)


@pytest.mark.parametrize("query", ["size=5000&length=1", "size=5000", "size=100", "size=100&length=1", "size=5000&pieces=3", "type=image/png",
                                   "size=5000&length=1&etag=%22a%22&vary=Cookie&extra=accept-ranges:bytes"])
@pytest.mark.parametrize("accept", ["gzip", None])
def test_head(server, query, accept):
    """The same fields as GET, but for those that only making the body could tell."""
    names = {"date", "content-length", "transfer-encoding"}
    with server.connect() as c:
        headers = [f"Accept-Encoding: {accept}"] if accept else []
        head, full = c.request("HEAD", f"/?{query}", headers), c.request("GET", f"/?{query}", headers)
        assert [f for f in head.headers if f[0] not in names] == [f for f in full.headers if f[0] not in names]
        if head.get("content-length") is not None:
            assert head.get("content-length") == full.get("content-length")
        c.expect_no_more()


def test_access_log(tmp_path, serve):
    log = tmp_path / "access.log"
    s = serve("compressible", {"http": {"compress": "gzip"},
                               "log": {"accesslog": str(log), "access_log_format": "%(B)s %({content-encoding}o)s %({content-length}o)s"}})
    r = get(s, "/?size=50000")
    wait_for(lambda: log.read_text() == f"{len(r.body)} gzip -\n", what="the line")


# --- streams ---

def read_chunk(c):
    size = int(c.read_until(b"\r\n"), 16)
    return c.read_exactly(size + 2)[:-2]


def test_stream_stays_a_stream(server, coding):
    """What the application has sent can be read before it sends more."""
    d = decoder(coding)
    with server.connect() as c:
        c.send_request("GET", "/?size=3000&pieces=3&wait=1", [f"Accept-Encoding: {coding}"])
        assert b"content-encoding: " + coding.encode() in c.read_until(b"\r\n\r\n")
        got = b""
        for i in (1, 2, 3):
            while len(got) < i * 1000:
                got += d.decompress(read_chunk(c))
            assert got == text(3000)[:i * 1000]
            if i < 3:
                with server.connect() as other:
                    other.request("GET", "/go")
        while chunk := read_chunk(c):
            got += d.decompress(chunk)
        assert got == text(3000) and d.eof


def test_event_stream_where_asked_for(serve):
    s = serve("compressible", {"http": {"compress": "gzip", "compress_types": "default, text/event-stream, application/x-own, font/*"}})
    for kind in ("text/event-stream", "text/html", "application/x-own", "font/woff2"):
        assert decoded(get(s, f"/?type={kind}&pieces=3")) == text(5000)
    assert is_plain(get(s, "/?type=application/x-other"))


def test_slow_reader(server):
    """The application waits for the client, and every byte arrives."""
    size, pieces = 24 << 20, 100
    with server.connect(rcvbuf=16384) as c:
        c.send_request("GET", f"/?size={size}&pieces={pieces}&noise=1", ["Accept-Encoding: gzip"])
        c.read_until(b"\r\n\r\n")
        with server.connect() as other:
            for _ in range(100):
                taken = int(other.request("GET", "/taken").get("x-taken"))
        assert taken < pieces - 10
        d, crc, n = decoder("gzip"), 0, 0
        while chunk := read_chunk(c):
            data = d.decompress(chunk)
            crc, n = zlib.crc32(data, crc), n + len(data)
        assert d.eof and n == size and crc == zlib.crc32(noise(size))


@pytest.mark.parametrize("query", ["size=8000000&noise=1", "size=30000000", "size=8000000&noise=1&pieces=4"])
def test_client_that_goes_away(server, query):
    """In the middle of a body that goes through piece by piece."""
    with server.connect(rcvbuf=16384) as c:
        c.send_request("GET", f"/?{query}", ["Accept-Encoding: gzip"])
        c.read_until(b"\r\n\r\n")
        c.reset()
    assert decoded(get(server, "/?size=100000")) == text(100000)


def test_others_are_answered_beside_a_large_body(server):
    """The loop goes on between the pieces of a body that takes long."""
    with server.connect(rcvbuf=16384) as slow:
        slow.send_request("GET", "/?size=40000000&noise=1", ["Accept-Encoding: gzip"])
        slow.read_until(b"\r\n\r\n")
        assert decoded(get(server, "/?size=200000")) == text(200000)


@pytest.mark.parametrize("length, got", [(0, 4999), (2, None)])
@pytest.mark.parametrize("size", [5000, 200000])
def test_wrong_length(server, length, got, size):
    """Content-Length counts what the application gives."""
    with server.connect() as c:
        c.send_request("GET", f"/?size={size}&length={length}", ["Accept-Encoding: gzip"])
        if got is None:
            with pytest.raises(Truncated):
                c.read_response()
        else:
            assert decoded(c.read_response()) == text(size)[:-1]
        c.expect_close()


# --- trailers and files ---

@pytest.mark.parametrize("query", ["pieces=3", "size=5000", "size=300000", "size=5000&length=1"])
def test_trailers(server, query):
    """Digests of the bytes before they were compressed are not true any more."""
    with server.connect() as c:
        r = c.request("GET", f"/?trailers=1&{query}", ["Accept-Encoding: gzip", "TE: trailers", "Connection: TE"])
        assert decoded(r) == text(300000 if "300000" in query else 5000) and r.trailers == [("x-sum", "1")]
        r = c.request("GET", f"/?trailers=1&{query}", ["TE: trailers", "Connection: TE"])
        assert r.trailers == ([] if "length" in query else [("x-sum", "1"), ("repr-digest", "sha-256=:AAAA:")])
        c.expect_no_more()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_file_goes_out_as_it_is(server, method):
    r = get(server, "/?file=whole&size=200000&length=1", method=method)
    assert r.get("content-length") == "200000" and r.get("content-encoding") is None
    assert method == "HEAD" or r.body == text(200000)


@pytest.mark.parametrize("size", [10, 65536, 300000])
def test_file_among_bytes(server, size):
    r = get(server, f"/?file=among&size={size}")
    assert decoded(r) == b"[" + text(size) + b"]"


def test_static_files_have_their_own_rule(serve, tmp_path):
    (tmp_path / "a.css").write_bytes(text(5000))
    s = serve("compressible", {"http": {"compress": "gzip"}, "static:/s": {"dir": str(tmp_path)}})
    r = get(s, "/s/a.css")
    assert r.body == text(5000) and r.get("content-encoding") is None and r.get("etag")[0] == '"'


# --- WSGI ---

@pytest.mark.parametrize("threads", [1, 4])
def test_wsgi(serve, threads):
    s = serve("wsgi_compressible", {"app": {"threads": threads, "interface": "wsgi"}, "http": {"compress": "gzip"}})
    with s.connect() as c:
        for path, body in (("/list", text(5000)), ("/many", text(40000) + b"|" + text(40000)), ("/large", text(1000000)),
                           ("/write", text(3000) * 5 + b"end")):
            r = c.request("GET", path, ["Accept-Encoding: gzip"])
            assert decoded(r) == body
        r = c.request("GET", "/file", ["Accept-Encoding: gzip"])
        assert r.body == text(100000) and r.get("content-encoding") is None
        assert c.request("GET", "/none", ["Accept-Encoding: gzip"]).body == b"ok"


def test_wsgi_generator_stays_a_stream(serve):
    s = serve("wsgi_compressible", {"app": {"threads": 4, "interface": "wsgi"}, "http": {"compress": "gzip"}})
    d, got = decoder("gzip"), b""
    with s.connect() as c:
        c.send_request("GET", "/generator", ["Accept-Encoding: gzip"])
        c.read_until(b"\r\n\r\n")
        for i in range(3):
            while not got.endswith(b"piece %d\n" % i * 200):
                got += d.decompress(read_chunk(c))
            with s.connect() as other:
                other.request("GET", "/go")
        while chunk := read_chunk(c):
            got += d.decompress(chunk)
    assert d.eof and got == b"".join(b"piece %d\n" % i * 200 for i in range(3))


# --- HTTP/2 ---

def get_h2(server, path, accept):
    """One answer over a connection that starts with HTTP/2; the fields and the body as they were sent."""
    h2 = pytest.importorskip("h2.connection")
    events = pytest.importorskip("h2.events")
    client = h2.H2Connection()
    client.initiate_connection()
    fields = [(":method", "GET"), (":scheme", "http"), (":authority", "test"), (":path", path), ("accept-encoding", accept)]
    client.send_headers(1, fields, end_stream=True)
    head, body = {}, b""
    with server.connect() as c:
        c.send(client.data_to_send())
        while True:
            assert c.fill(), "EOF inside the answer"
            received, c.buffer = c.buffer, b""
            for event in client.receive_data(received):
                if isinstance(event, events.ResponseReceived):
                    head = {str(k, "ascii"): str(v, "latin-1") for k, v in ((_bytes(k), _bytes(v)) for k, v in event.headers)}
                elif isinstance(event, events.DataReceived):
                    body += event.data
                    client.acknowledge_received_data(event.flow_controlled_length, 1)
                elif isinstance(event, events.StreamEnded):
                    return head, body
            c.send(client.data_to_send())


def _bytes(value):
    return value.encode() if isinstance(value, str) else value


@pytest.mark.parametrize("query, size", [("size=5000&length=1", 5000), ("size=3000000&noise=1", 3000000), ("size=70000&pieces=5", 70000)])
def test_http2(serve, coding, query, size):
    s = serve("compressible", {"http": {"compress": ", ".join(built())}}, flags="h2c", allow=["Traceback"])
    head, body = get_h2(s, f"/?{query}&etag=%22a%22", coding)
    assert (head["content-encoding"], head["vary"], head["etag"]) == (coding, "Accept-Encoding", 'W/"a"')
    d = decoder(coding)
    assert d.decompress(body) == (noise(size) if "noise" in query else text(size)) and d.eof
    if "length" in query:
        assert int(head["content-length"]) == len(body)


# --- configuration ---

@pytest.mark.parametrize("key, value, why", [
    ("compress", "lzma", "expected gzip, br, zstd or off alone"), ("compress", "gzip, off", "expected gzip, br, zstd or off alone"),
    ("compress", "gzip, GZIP", "gzip is listed twice"), ("compress_types", "html", "expected type/subtype"),
    ("compress_types", "text/*html", "expected type/subtype"), ("compress_types", "text/html;q=1", "expected type/subtype"),
    ("compress_level", "10", "from 0 to 9"), ("compress_level", "-1", "from 0 to 9")])
def test_configuration_errors(key, value, why):
    r = subprocess.run([binary(), "-t", "-o", f"http.{key}={value}", "a:b"], capture_output=True, text=True, cwd=ROOT / "tests" / "apps")
    assert r.returncode == 1 and f"http.{key}" in r.stderr and why in r.stderr, r.stderr


def test_codec_that_is_not_built_in():
    for coding in set(CODINGS) - set(built()):
        r = subprocess.run([binary(), "-t", "-o", f"http.compress={coding}", "a:b"], capture_output=True, text=True, cwd=ROOT / "tests" / "apps")
        assert r.returncode == 1 and "built without" in r.stderr


@pytest.mark.parametrize("level", [1, 9])
def test_levels(serve, level):
    s = serve("compressible", {"http": {"compress": ", ".join(built()), "compress_level": level, "compress_min_size": "100"}})
    for coding in built():
        assert decoded(get(s, "/?size=200000", coding)) == text(200000)
        assert decoded(get(s, "/?size=100", coding)) == text(100)
        assert is_plain(get(s, "/?size=99", coding), 99, "Accept-Encoding")
