# SPDX-License-Identifier: BSD-3-Clause
"""WSGI (PEP 3333) over the wire, inline (threads = 1) and in the pool: environ, start_response, bodies, failures."""

import json

import pytest

from lib.client import Conn, Truncated
from lib.places import NO_GREENLETS
from lib.server import Server

CASES = "apps.wsgi_cases:app"


@pytest.fixture(params=[1, 4], ids=["inline", "pool"])
def server(request, serve):
    return serve(CASES, {"app": {"threads": request.param}, "log": {"accesslog": "-"}}, allow=["Traceback"])


# --- environ ---

def environ_of(server, *args, **options):
    return server.get(*args, **options).json()


def test_environ_of_a_plain_request(server):
    with server.connect() as c:
        c.send_request("GET", "/environ/a%20b%C3%A9%2f?q=%20x&y", ["Accept: */*"])
        env = c.read_response().json()
        host, port = c.name
    assert env["REQUEST_METHOD"] == "GET" and env["SCRIPT_NAME"] == ""
    assert env["PATH_INFO"] == "/environ/a b\xc3\xa9/" and env["QUERY_STRING"] == "q=%20x&y"
    assert env["RAW_URI"] == env["REQUEST_URI"] == "/environ/a%20b%C3%A9%2f?q=%20x&y"
    assert env["SERVER_PROTOCOL"] == "HTTP/1.1" and env["SERVER_SOFTWARE"].startswith("tine/")
    assert (env["SERVER_NAME"], env["SERVER_PORT"]) == ("127.0.0.1", str(server.port))
    assert (env["REMOTE_ADDR"], env["REMOTE_PORT"]) == (host, str(port))
    assert env["HTTP_HOST"] == "test" and env["HTTP_ACCEPT"] == "*/*"
    assert env["wsgi.version"] == [1, 0] and env["wsgi.url_scheme"] == "http" and env["wsgi.run_once"] is False
    assert env["wsgi.multiprocess"] is False and env["wsgi.input_terminated"] is True
    assert env["wsgi.multithread"] is (server.config["app"]["threads"] > 1)
    for absent in ("CONTENT_TYPE", "CONTENT_LENGTH", "REMOTE_USER", "HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"):
        assert absent not in env


def test_environ_of_a_body(server):
    with server.connect() as c:
        env = c.request("POST", "/environ", ["Content-Type: a/b"], body=b"abc").json()
        assert env["CONTENT_TYPE"] == "a/b" and env["CONTENT_LENGTH"] == "3" and env["REQUEST_METHOD"] == "POST"
        env = c.request("PROPFIND", "/environ", chunks=[b"abc"]).json()
        assert "CONTENT_LENGTH" not in env and env["REQUEST_METHOD"] == "PROPFIND"


def test_fields_are_joined_and_none_can_be_forged(server):
    fields = ["X-A: 1", "x-a: 2", "X-B: \xe9", "Cookie: a=1", "Cookie: b=2", "X_Forwarded_For: 6.6.6.6", "Accept_: x", "X-Empty:"]
    env = environ_of(server, "/environ", headers=fields)
    assert env["HTTP_X_A"] == "1,2" and env["HTTP_X_B"] == "\xe9" and env["HTTP_COOKIE"] == "a=1; b=2"
    assert env["HTTP_X_EMPTY"] == "" and "HTTP_X_FORWARDED_FOR" not in env
    assert "HTTP_ACCEPT_" not in env


def test_forwarded_fields_of_a_trusted_proxy(server):
    env = environ_of(server, "/environ", headers=["X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https"])
    assert env["REMOTE_ADDR"] == "192.0.2.7" and env["wsgi.url_scheme"] == "https" and env["HTTPS"] == "on"
    assert "HTTPS" not in environ_of(server, "/environ")


def test_absolute_target_and_asterisk(server):
    with server.connect() as c:
        env = c.request("GET", "http://test/environ?x").json()
        assert env["PATH_INFO"] == "/environ" and env["QUERY_STRING"] == "x" and env["RAW_URI"] == "http://test/environ?x"
        assert c.request("OPTIONS", "*").status == 404


def test_http10(server):
    with server.connect() as c:
        c.send_request("GET", "/environ", version="1.0")
        assert c.read_response().json()["SERVER_PROTOCOL"] == "HTTP/1.0"
    with server.connect() as c:
        c.send_request("GET", "/stream", version="1.0")
        r = c.read_response()
        assert r.framing == "close" and r.body == b"onetwo"


def test_script_name(serve):
    s = serve(CASES, {"app": {"root_path": "/caf\xe9", "threads": 1}})
    env = environ_of(s, "/environ/x")
    assert env["SCRIPT_NAME"] == "/caf\xc3\xa9" and env["PATH_INFO"] == "/environ/x"


def test_unix_socket(tmp_path):
    with Server(CASES, {"server": {"bind": f"unix:{tmp_path}/s"}}) as s, Conn(tmp_path / "s") as c:
        env = c.request("GET", "/environ", host="example.org:81").json()
        assert (env["SERVER_NAME"], env["SERVER_PORT"], env["REMOTE_ADDR"]) == ("example.org", "81", "")
        assert "REMOTE_PORT" not in env
        env = c.request("GET", "/environ", host="[::1]").json()
        assert (env["SERVER_NAME"], env["SERVER_PORT"]) == ("[::1]", "80")
        assert s.alive()


@NO_GREENLETS
def test_threads(server):
    with server.connect() as c:
        expected = b"loop" if server.config["app"]["threads"] == 1 else b"pool"
        assert c.request("GET", "/thread").body == expected
        assert c.request("POST", "/thread", body=b"x" * 1000).body == expected


def test_asyncio_inside(server):
    assert server.get("/loops").body == b"worked"


def test_context_is_the_requests_own(server):
    with server.connect() as c:
        assert [c.request("GET", "/contexts").body for _ in range(3)] == [b"41"] * 3


# --- answers ---

def test_one_piece_has_its_length(server):
    r = server.get("/hello")
    assert r.framing == "length" and r.body == b"hello" and r.reason == "OK"


@pytest.mark.parametrize("path, body", [("/nothing", b""), ("/pieces", b"onetwo"),
                                        ("/large_pieces", b"a" * 100000 + b"b" * 100000)])
def test_lists_have_their_length(server, path, body):
    with server.connect() as c:
        for _ in range(2):
            r = c.request("GET", path)
            assert r.framing == "length" and r.body == body


def test_stream(server):
    with server.connect() as c:
        r = c.request("GET", "/stream")
        assert r.framing == "chunked" and r.body == b"onetwo"
        assert server.wait_event(path="stream")["closed"] == 1
        assert c.request("GET", "/late_start").body == b"late"
        r = c.request("GET", "/with_length")
        assert r.framing == "length" and r.body == b"onetwo"
        assert server.wait_event(path="with_length")["closed"] == 1


def test_head(server):
    with server.connect() as c:
        r = c.request("HEAD", "/hello")
        assert r.get("content-length") == "5"
        assert c.request("HEAD", "/stream").status == 200
        server.wait_event(path="stream", closed=1)
        assert c.request("GET", "/hello").body == b"hello"


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified", "404 Not Found", "599", "299 Odd"])
def test_status_and_headers(server, status):
    with server.connect() as c:
        r = c.request("GET", "/status?s=" + status.replace(" ", "+"))
        assert r.status == int(status[:3]) and r.get("x-a") == "\xe9\t1" and r.get_all("set-cookie") == ["a=1", "b=2"]
        assert c.request("GET", "/hello").body == b"hello"


def test_write(server):
    r = server.get("/writes")
    assert r.framing == "chunked" and r.body == b"by write, by return"
    assert len(server.get("/writes_much?n=100").body) == 6553600


def test_start_response_refuses(server):
    refused = server.get("/bad_start").json()
    types = {"status_bytes", "headers_tuple", "pair_list", "name_bytes", "value_int", "few"}
    assert refused.pop("twice") == "AssertionError"
    assert {name for name, kind in refused.items() if kind == "TypeError"} == types
    assert {name for name, kind in refused.items() if kind == "ValueError"} == {
        "status_short", "status_1xx", "status_text", "status_joined", "name_space", "name_colon", "value_crlf", "value_nul",
        "value_wide", "length_text", "lengths"}


def test_hop_by_hop_fields_are_left_out(server):
    with server.connect() as c:
        for _ in range(2):
            r = c.request("GET", "/hop_by_hop")
            assert r.status == 200 and r.body == b"whole" and r.framing == "length" and r.get("x-own") == "kept"
            assert not {"connection", "keep-alive", "te", "upgrade", "proxy-connection"} & {k.lower() for k, _ in r.headers}
        r = c.request("GET", "/hop_by_hop?close=1")
        assert r.body == b"whole" and r.get_all("connection") == ["close"]
        c.expect_close()
    said = [line for line in server.log().splitlines() if "hop_by_hop" in line]
    assert len(said) == 1 and "[WARNING]" in said[0], said
    assert "the header Connection at " in said[0] and "wsgi_cases.py:" in said[0] and '"GET /hop_by_hop HTTP/1.1"' in said[0]


def test_hop_by_hop_fields_are_left_out_of_http_2(serve):
    h2 = pytest.importorskip("lib.h2")
    server = serve(CASES, {"app": {"threads": 4}}, flags="h2c")
    with h2.H2(server.connect()) as h:
        a = h.get("/hop_by_hop")
        assert a.status == 200 and a.body == b"whole" and a.get("x-own") == "kept"
        assert not {"connection", "keep-alive", "te", "upgrade", "transfer-encoding", "proxy-connection"} & {k for k, _ in a.headers}


def test_exc_info(server):
    with server.connect() as c:
        r = c.request("GET", "/recovers")
        assert r.status == 503 and r.get("x-second") == "yes" and r.get("content-type") is None and r.body == b"sorry"
    mark = server.log_mark()
    with server.connect() as c:
        c.send_request("GET", "/recovers_too_late")
        with pytest.raises(Truncated):
            c.read_response()
    server.wait_log("KeyError: 'found late'", mark)


def test_errors_stream(server):
    mark = server.log_mark()
    server.get("/errors")
    server.wait_log(r"\] a line\nhalf and half\n.*\] \u20ac and \\x1b\nthe rest\n.*\] printed\n", mark)


# --- failures ---

@pytest.mark.parametrize("path, error", [
    ("raises", "ValueError: no answer"), ("raises_after_start", "ValueError: not sent yet"),
    ("breaks_at_once", "RuntimeError: the body broke"), ("never_starts", "RuntimeError: start_response"),
    ("returns_none", "TypeError: 'NoneType' object is not iterable"),
    ("returns_text", "TypeError: the body must be bytes, not str")])
def test_failure_before_the_head(server, path, error):
    mark = server.log_mark()
    with server.connect() as c:
        c.send_request("GET", f"/{path}?q=1")
        r = c.read_response()
        assert r.status == 500 and r.closes and b"Traceback" not in r.body
        host, port = c.name
    log = server.wait_log(rf"Exception in WSGI application: ([^\n]*)\n(.*?){error}", mark)
    assert log.group(1) == f'"GET /{path}?q=1 HTTP/1.1" from {host}:{port}'
    if path in ("breaks_at_once", "returns_text"):
        server.wait_event(path=path, closed=1)


def test_failure_after_the_head(server):
    mark = server.log_mark()
    with server.connect() as c:
        c.send_request("GET", "/breaks")
        with pytest.raises(Truncated):
            c.read_response()
    server.wait_log("RuntimeError: the body broke", mark)
    assert server.wait_event(path="breaks")["closed"] == 1
    assert not server.has_event(path="breaks")


@pytest.mark.parametrize("path, expected", [("too_long", b"onet"), ("too_short", b"onetwo")])
def test_wrong_length(server, path, expected):
    mark = server.log_mark()
    with server.connect() as c:
        c.send_request("GET", "/" + path)
        assert c.read_to_end().partition(b"\r\n\r\n")[2] == expected
    server.wait_log(f"response of a WSGI application is {path.split('_')[1]}er than its Content-Length: \"GET /{path}", mark)
    assert server.wait_event(path=path)["closed"] == 1


# --- files ---

@pytest.mark.parametrize("kind", ["temporary", "buffered", "raw", "offset", "length", "bytesio", "told", "gzip", "begun"])
def test_file_wrapper(server, kind):
    whole = b"0123456789" * 20000
    with server.connect() as c:
        for _ in range(2):
            r = c.request("GET", "/file?kind=" + kind)
            assert r.body == {"offset": whole[7:], "length": whole[:10], "begun": whole[4096:]}.get(kind, whole)
            real = kind in ("temporary", "buffered", "raw", "offset", "length")
            assert r.framing == ("length" if real else "chunked")
        if kind == "told":
            server.wait_event(path="file", closed=True)
        assert c.request("HEAD", "/file?kind=" + kind).status == 200
        assert c.request("GET", "/hello").body == b"hello"


def test_pipelined(server):
    with server.connect() as c:
        for path in ("hello", "pieces", "stream", "file?kind=raw", "environ", "hello") * 5:
            c.send_request("GET", "/" + path)
        bodies = [c.read_response().body for _ in range(30)]
        assert bodies[0] == bodies[5] == bodies[29] == b"hello" and bodies[2] == b"onetwo" and len(bodies[3]) == 200000


# --- the validator ---

@pytest.fixture(params=[1, 4], ids=["inline", "pool"])
def validated(request, serve):
    return serve("apps.wsgi_validated:app", {"app": {"threads": request.param}})


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
@pytest.mark.parametrize("path", ["/", "/write", "/%E2%82%AC%00", "/?201+Created", "/?204+No+Content", "/?304+Not+Modified"])
def test_wsgiref_validator_finds_nothing(validated, method, path, version):
    """No AssertionError, which would be a 500; the log is looked at when the server stops."""
    bodies = [None] if method in ("GET", "HEAD", "OPTIONS", "DELETE") else [b"", b"one\ntwo\n\nthree", b"x" * 200000]
    for body in bodies:
        with validated.connect() as c:
            c.send_request(method, path, ["Cookie: a=1", "Cookie: b=2", "X-A: \xe9"], body, version=version)
            r = c.read_response(method)
            assert r.status == int(path.partition("?")[2][:3] or 200)
            if r.status in (200, 201) and method != "HEAD":
                assert r.body == (b"written " if path == "/write" else b"") + (body or b"nothing")
            if version == "1.1" and method in ("POST", "PUT") and "?" not in path:
                c.send_request(method, path, chunks=[b"1\n", b"2" * 100])
                assert c.read_response(method).body.endswith(b"1\n" + b"2" * 100)


def test_json_of_environ_is_whole(server):
    assert json.loads(server.get("/environ").body)["wsgi.input"]
