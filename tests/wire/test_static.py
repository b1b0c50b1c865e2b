# SPDX-License-Identifier: BSD-3-Clause
"""[static:/prefix]: which file, what its head says, conditions and parts as RFC 9110 has them."""

import os
import random
import re
import socket
import threading

import pytest

from lib.server import Server
from lib.waiting import wait_for

OLD = 784111777  # Sun, 06 Nov 1994 08:49:37 GMT, the date of RFC 9110 5.6.7
OLD_TEXT = "Sun, 06 Nov 1994 08:49:37 GMT"
TEXT = bytes(range(97, 123)) * 4
BIG = random.Random(9).randbytes(3 << 20) + b"end"


def put(path, data, when=OLD):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (when, when))


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    top = tmp_path_factory.mktemp("static")
    put(top / "secret.txt", b"not for anybody")
    root = top / "www"
    put(root / "a.txt", TEXT)
    put(root / "empty.css", b"")
    put(root / "big.bin", BIG)
    put(root / "with space.html", b"<p>")
    put(root / "\u00e9.txt", b"accent")
    put(root / "docs" / "index.html", b"<h1>docs")
    put(root / "bare" / "x.png", b"png")
    put(root / ".env", b"PASSWORD")
    put(root / ".git" / "config", b"[core]")
    put(root / ".well-known" / "security.txt", b"Contact")
    put(root / "docs" / ".well-known" / "x.txt", b"deep")
    put(root / "app.js", b"plain script")
    put(root / "app.js.br", b"br bytes")
    put(root / "app.js.zst", b"zst bytes", OLD + 9)
    put(root / "app.js.gz", b"gz bytes")
    put(root / "stale.js", b"new script", OLD + 9)
    put(root / "stale.js.gz", b"old gz")
    put(root / "pic.png", b"png")
    put(root / "pic.png.gz", b"gz of a png")
    (root / "inside.txt").symlink_to("docs/index.html")
    (root / "outside.txt").symlink_to("../secret.txt")
    (root / "absolute.txt").symlink_to(top / "secret.txt")
    (root / "up").symlink_to("..")
    os.mkfifo(root / "fifo")
    os.mkfifo(root / "docs" / "fifo.html")
    (root / "loop").symlink_to("loop")
    (root / "device").symlink_to("/dev/zero")
    (root / "proc").symlink_to("/proc/self/environ")
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(root / "socket"))
    return top


@pytest.fixture
def server(serve, tree):
    return serve("hello", {"static:/static": {"dir": str(tree / "www"), "index": "index.html", "expires": "1h"},
                           "static:/static/bare": {"dir": str(tree / "www" / "bare"), "precompressed": False}})


def etag(server, path="/static/a.txt", **options):
    return server.get(path, **options).get("etag")


# --- which file ---


def test_a_file(server):
    r = server.get("/static/a.txt")
    assert (r.status, r.body, r.framing) == (200, TEXT, "length")
    assert r.get("content-type") == "text/plain; charset=utf-8" and r.get("content-length") == str(len(TEXT))
    assert r.get("last-modified") == OLD_TEXT and r.get("accept-ranges") == "bytes"
    assert re.fullmatch(r'"[0-9a-f]+-[0-9a-f]+-[0-9a-f]+"', r.get("etag"))
    assert r.get("cache-control") == "max-age=3600" and r.get("vary") == "accept-encoding"
    assert r.get("content-encoding") is None and not r.closes


def test_head_has_the_head_of_get(server):
    with server.connect() as c:
        for path in ("/static/a.txt", "/static/big.bin", "/static/nope", "/static/docs"):
            get, head = c.request("GET", path), c.request("HEAD", path)
            assert head.status == get.status and head.body == b""
            assert [h for h in head.headers if h[0] != "date"] == [h for h in get.headers if h[0] != "date"]


def test_empty_and_large_files(server):
    with server.connect() as c:
        empty = c.request("GET", "/static/empty.css")
        assert (empty.status, empty.body, empty.get("content-length")) == (200, b"", "0")
        assert c.request("GET", "/static/big.bin").body == BIG
        assert c.request("GET", "/static/a.txt").body == TEXT


@pytest.mark.parametrize("path, body", [
    ("/static/with%20space.html", b"<p>"), ("/static/%C3%A9.txt", b"accent"), ("/st%61tic/%61.txt", TEXT),
    ("/static/a.txt?v=3", TEXT), ("/static/inside.txt", b"<h1>docs"), ("/static/docs/", b"<h1>docs"),
    ("/static/.well-known/security.txt", b"Contact"),
])
def test_names(server, path, body):
    r = server.get(path)
    assert (r.status, r.body) == (200, body)


@pytest.mark.parametrize("path", [
    "/static/nope", "/static/a.txt/", "/static/a.txt/b", "/static/docs/none/", "/static/bare/", "/static/bare",
    "/static/fifo", "/static/.env", "/static/.git/config", "/static/docs/.well-known/x.txt",
    "/static/outside.txt", "/static/absolute.txt", "/static/up/secret.txt", "/static/up/www/a.txt",
    "/static/../secret.txt", "/static/%2e%2e/secret.txt", "/static/docs/../../secret.txt", "/static/..%2fsecret.txt",
    "/static/docs%2findex.html", "/static/a.txt%00", "/static/a.txt%00.html",
    "/static//a.txt", "/static//etc/passwd", "/static/docs//index.html", "/static/./a.txt", "/static/docs/.",
    "/static/" + "x" * 300, "/static/" + "x/" * 2500, "/static/" + "%2e%2e/" * 9 + "etc/passwd",
    "/static/..%5csecret.txt", "/static/..\\secret.txt", "/static/docs%5cindex.html", "/static/%252e%252e/secret.txt",
    "/static/%2e%2e%2fsecret.txt", "/static/%c0%ae%c0%ae/secret.txt", "/static/loop", "/static/loop/a.txt", "/static/device",
    "/static/socket", "/static/proc", "/static/docs/fifo.html", "/static/..;/secret.txt",
])
def test_not_found(server, path):
    with server.connect() as c:
        r = c.request("GET", path)
        assert (r.status, r.body) == (404, b"404 Not Found\n") and not r.closes
        assert c.request("GET", "/static/a.txt").status == 200


def test_folders_get_their_slash(server):
    assert server.get("/static/docs").get("location") == "/static/docs/"
    r = server.get("/static/docs?a=1&b")
    assert (r.status, r.get("location")) == (301, "/static/docs/?a=1&b")
    assert server.get("/static").get("location") == "/static/"


def test_the_application_answers_the_rest(server):
    for path in ("/", "/staticx", "/stati", "/x/static/a.txt"):
        assert server.get(path).body == b"Hello, World!"


@pytest.mark.parametrize("path", ["/static%2fa.txt", "//static/a.txt", "/x/../static/a.txt", "/%2e/static/a.txt"])
def test_a_path_that_others_read_as_a_files_is_nobodys(server, path):
    assert server.get(path).status == 404


def test_the_longest_prefix_wins(server):
    r = server.get("/static/bare/x.png")
    assert (r.status, r.body) == (200, b"png")
    assert r.get("cache-control") is None and r.get("content-type") == "image/png" and r.get("vary") is None


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"])
def test_other_methods(server, method):
    with server.connect() as c:
        r = c.request(method, "/static/a.txt", body="x" if method == "POST" else None)
        assert (r.status, r.get("allow")) == (405, "GET, HEAD")
        assert c.request("GET", "/static/a.txt").status == 200


def test_a_missing_folder_fails_the_boot(tmp_path):
    server = Server("hello", {"static:/s": {"dir": str(tmp_path / "none")}}, status=3)
    server.start()
    assert server.wait_exit() == 3
    server.wait_log(r"\[static:/s\] dir = .*none: No such file or directory")
    server.stop()


# --- compressed siblings ---


@pytest.mark.parametrize("accept, body, coding", [
    (None, b"plain script", None), ("", b"plain script", None), ("deflate", b"plain script", None),
    ("gzip", b"gz bytes", "gzip"), ("x-gzip", b"gz bytes", "gzip"), ("GZIP", b"gz bytes", "gzip"),
    ("gzip, deflate, br, zstd", b"br bytes", "br"), ("gzip, zstd", b"zst bytes", "zstd"),
    ("gzip;q=1, br;q=0.5", b"gz bytes", "gzip"), ("gzip;q=0.2, br;q=0.9, zstd;q=0.91", b"zst bytes", "zstd"),
    ("*", b"br bytes", "br"), ("*;q=0.5, br;q=0", b"zst bytes", "zstd"), ("gzip;q=0", b"plain script", None),
    ("gzip;q=0.5, identity;q=0.8", b"plain script", None), ("identity;q=0, gzip;q=0.001", b"gz bytes", "gzip"),
    ("br;q=2, gzip;q=0.1234", b"plain script", None), ("gzip;level=1", b"plain script", None),
])
def test_siblings(server, accept, body, coding):
    r = server.get("/static/app.js", headers=[] if accept is None else [("Accept-Encoding", accept)])
    assert (r.status, r.body, r.get("content-encoding")) == (200, body, coding)
    assert r.get("vary") == "accept-encoding" and r.get("content-type") == "text/javascript; charset=utf-8"


def test_siblings_have_tags_of_their_own(server):
    tags = {etag(server, "/static/app.js", headers=[("Accept-Encoding", a)]) for a in ("identity", "gzip", "br", "zstd")}
    assert len(tags) == 4


@pytest.mark.parametrize("accept", ["identity;q=0", "*;q=0", "br, identity;q=0"])
def test_nothing_acceptable(server, accept):
    r = server.get("/static/a.txt", headers=[("Accept-Encoding", accept)])
    assert (r.status, r.get("vary")) == (406, "accept-encoding")


def test_accept_encoding_in_two_lines(server):
    r = server.get("/static/app.js", headers=["Accept-Encoding: br;q=0.1", "Accept-Encoding: gzip"])
    assert r.body == b"gz bytes"


def test_stale_or_senseless_siblings_are_left_alone(server):
    assert server.get("/static/stale.js", headers=["Accept-Encoding: gzip"]).body == b"new script"
    assert server.get("/static/pic.png", headers=["Accept-Encoding: gzip"]).body == b"png"


# --- conditions: RFC 9110 13.2.2 ---

LATER, EARLIER = "Sun, 06 Nov 1994 08:49:38 GMT", "Sun, 06 Nov 1994 08:49:36 GMT"


@pytest.mark.parametrize("headers, status", [
    (["If-None-Match: TAG"], 304), (["If-None-Match: W/TAG"], 304), (['If-None-Match: "x", TAG'], 304),
    (['If-None-Match: "x"', "If-None-Match: TAG"], 304), (["If-None-Match: *"], 304), (['If-None-Match: "x"'], 200),
    (["If-Modified-Since: " + OLD_TEXT], 304), (["If-Modified-Since: " + LATER], 304),
    (["If-Modified-Since: " + EARLIER], 200), (["If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT"], 304),
    (["If-Modified-Since: Sun Nov  6 08:49:37 1994"], 304), (["If-Modified-Since: yesterday"], 200),
    (["If-Modified-Since: 784111777"], 200),
    (['If-None-Match: "x"', "If-Modified-Since: " + LATER], 200), (["If-None-Match: TAG", "If-Modified-Since: " + EARLIER], 304),
    (["If-Match: TAG"], 200), (["If-Match: *"], 200), (["If-Match: W/TAG"], 412), (['If-Match: "x"'], 412),
    (['If-Match: "x", TAG'], 200), (["If-Unmodified-Since: " + OLD_TEXT], 200), (["If-Unmodified-Since: " + EARLIER], 412),
    (["If-Unmodified-Since: never"], 200), (["If-Match: TAG", "If-Unmodified-Since: " + EARLIER], 200),
    (["If-Match: TAG", "If-None-Match: TAG"], 304), (['If-Match: "x"', "If-None-Match: TAG"], 412),
])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_conditions(server, method, headers, status):
    with server.connect() as c:
        tag = c.request("GET", "/static/a.txt").get("etag")
        r = c.request(method, "/static/a.txt", headers=[h.replace("TAG", tag) for h in headers])
        assert r.status == status
        if status == 304:
            assert r.body == b"" and r.get("etag") == tag and r.get("vary") == "accept-encoding"
            assert r.get("cache-control") == "max-age=3600" and r.get("content-length") is None
        if status == 200 and method == "GET":
            assert r.body == TEXT
        assert c.request("GET", "/static/a.txt").body == TEXT


# --- parts: RFC 9110 14 ---


@pytest.mark.parametrize("value, first, last", [
    ("bytes=0-0", 0, 0), ("bytes=0-9", 0, 9), ("bytes=100-", 100, 103), ("bytes=100-9999", 100, 103), ("bytes=-4", 100, 103),
    ("bytes=-9999", 0, 103), ("bytes=0-", 0, 103), ("BYTES=5-6", 5, 6), ("bytes=5-6,", 5, 6), ("bytes=200-300, 1-2", 1, 2),
    ("bytes=99-99999999999999999999999", 99, 103),
])
def test_one_part(server, value, first, last):
    r = server.get("/static/a.txt", headers=[("Range", value)])
    assert (r.status, r.body) == (206, TEXT[first:last + 1])
    assert r.get("content-range") == f"bytes {first}-{last}/104"
    assert r.get("content-type") == "text/plain; charset=utf-8" and r.get("etag") and r.get("cache-control")


@pytest.mark.parametrize("value", [
    "bytes=", "bytes=x", "bytes=5-4", "bytes=-", "bytes=1-2-3", "lines=1-2", "bytes 1-2", "bytes=0-5,3-8", "bytes=0-1,x",
    "bytes=" + ",".join(f"{i}-{i}" for i in range(17)), "bytes=" + "0-0," * 2000, "bytes=" + "0-," * 2600, "bytes=" + "-1," * 2600,
])
def test_ranges_that_are_ignored(server, value):
    r = server.get("/static/a.txt", headers=[("Range", value)])
    assert (r.status, r.body, r.get("content-range")) == (200, TEXT, None)


def test_two_range_fields_and_head_are_ignored(server):
    assert server.get("/static/a.txt", headers=["Range: bytes=0-1", "Range: bytes=4-5"]).status == 200
    with server.connect() as c:
        assert c.request("HEAD", "/static/a.txt", headers=["Range: bytes=0-1"]).get("content-length") == "104"


@pytest.mark.parametrize("path, value, size", [
    ("/static/a.txt", "bytes=104-", 104), ("/static/a.txt", "bytes=-0", 104), ("/static/a.txt", "bytes=500-600,700-", 104),
    ("/static/empty.css", "bytes=0-", 0),
])
def test_ranges_outside(server, path, value, size):
    with server.connect() as c:
        r = c.request("GET", path, headers=[("Range", value)])
        assert (r.status, r.get("content-range")) == (416, f"bytes */{size}")
        assert c.request("GET", "/static/a.txt").status == 200


def test_the_end_of_an_empty_file_is_the_file(server):
    assert server.get("/static/empty.css", headers=["Range: bytes=-5"]).status == 200


def parts_of(r):
    match = re.fullmatch(r"multipart/byteranges; boundary=([0-9A-Za-z]{1,70})", r.get("content-type"))
    pieces = (b"\r\n" + r.body).split(b"\r\n--" + match.group(1).encode())
    assert pieces[0] == b"" and pieces[-1] == b"--\r\n"
    found = []
    for piece in pieces[1:-1]:
        head, _, body = piece.partition(b"\r\n\r\n")
        fields = dict(line.split(": ") for line in head.decode().split("\r\n")[1:])
        found.append((fields["Content-Type"], fields["Content-Range"], body))
    return found


@pytest.mark.parametrize("path, kind", [("/static/a.txt", "text/plain; charset=utf-8"),
                                        ("/static/big.bin", "application/octet-stream")])
def test_several_parts(server, path, kind):
    data = TEXT if path == "/static/a.txt" else BIG
    n = len(data)
    with server.connect() as c:
        r = c.request("GET", path, headers=["Range: bytes=0-1, 50-60,-3 , 9999999-"])
        assert (r.status, r.get("content-range"), r.framing) == (206, None, "length")
        assert parts_of(r) == [(kind, f"bytes 0-1/{n}", data[:2]), (kind, f"bytes 50-60/{n}", data[50:61]),
                               (kind, f"bytes {n - 3}-{n - 1}/{n}", data[-3:])]
        assert c.request("GET", "/static/a.txt").body == TEXT


def test_large_parts_and_a_slow_reader(server):
    with server.connect(rcvbuf=4096) as c:
        r = c.request("GET", "/static/big.bin", headers=["Range: bytes=2000000-2999999,0-999999,1500000-1500009"])
        assert [body for _, _, body in parts_of(r)] == [BIG[2000000:3000000], BIG[:1000000], BIG[1500000:1500010]]


def test_sixteen_parts(server):
    value = "bytes=" + ",".join(f"{2 * i}-{2 * i}" for i in range(16))
    assert len(parts_of(server.get("/static/a.txt", headers=[("Range", value)]))) == 16


@pytest.mark.parametrize("value, status", [
    ("TAG", 206), ("W/TAG", 200), ('"x"', 200), (OLD_TEXT, 206), (LATER, 200), (EARLIER, 200), ("junk", 200), ("TAG, TAG", 200),
])
def test_if_range(server, value, status):
    tag = etag(server)
    r = server.get("/static/a.txt", headers=["Range: bytes=0-1", "If-Range: " + value.replace("TAG", tag)])
    assert (r.status, r.body) == (status, TEXT[:2] if status == 206 else TEXT)


def test_conditions_come_before_ranges(server):
    tag = etag(server)
    assert server.get("/static/a.txt", headers=["Range: bytes=500-", "If-None-Match: " + tag]).status == 304
    assert server.get("/static/a.txt", headers=["Range: bytes=0-1", 'If-Match: "x"']).status == 412
    assert server.get("/static/a.txt", headers=["Range: bytes=500-", 'If-Range: "x"']).status == 200


def test_parts_of_a_sibling(server):
    r = server.get("/static/app.js", headers=["Accept-Encoding: br", "Range: bytes=0-1"])
    assert (r.status, r.body, r.get("content-range"), r.get("content-encoding")) == (206, b"br", "bytes 0-1/8", "br")


# --- many at a time ---


def test_many_slow_readers_and_one_quick(server):
    conns = [server.connect(rcvbuf=4096) for _ in range(100)]
    try:
        for c in conns:
            c.send_request("GET", "/static/big.bin")
        assert server.get("/static/a.txt").body == TEXT
        found = [None] * len(conns)

        def read(i):
            found[i] = conns[i].read_response().body == BIG
        threads = [threading.Thread(target=read, args=(i,)) for i in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert found[:4] == [True] * 4
    finally:
        for c in conns:
            c.reset()
    assert server.get("/static/a.txt").body == TEXT


def test_pipelined(server):
    with server.connect() as c:
        for path in ("/static/a.txt", "/static/big.bin", "/static/nope", "/", "/static/a.txt"):
            c.send_request("GET", path)
        got = [c.read_response() for _ in range(5)]
        assert [r.status for r in got] == [200, 200, 404, 200, 200] and got[1].body == BIG and got[4].body == TEXT
        c.expect_no_more()


def test_access_log(tree):
    config = {"static:/s": {"dir": str(tree / "www")}, "log": {"accesslog": "-", "access_log_format": "%(m)s %(U)s %(s)s %(B)s"}}
    with Server("hello", config) as server:
        server.get("/s/a.txt")
        server.get("/s/none")
        wait_for(lambda: "GET /s/a.txt 200 104\nGET /s/none 404 14\n" in server.stdout(), what="the access log")
