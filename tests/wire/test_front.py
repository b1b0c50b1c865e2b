# SPDX-License-Identifier: BSD-3-Clause
"""What is answered in front of applications and static files: http.health_path, the redirect to HTTPS, HSTS (RFC 6797), fields of the
configuration; over HTTP/1 and HTTP/2 alike."""

import os
import signal
import subprocess

import pytest

from lib.build import binary
from lib.server import Server
from lib.waiting import wait_for

FIELDS = ["X-Frame-Options: DENY, X-Content-Type-Options: nosniff",
          "Permissions-Policy: geolocation=(), camera=(self \"https://a.example\"), fullscreen=*"]
ADDED = {"x-frame-options": "DENY", "x-content-type-options": "nosniff",
         "permissions-policy": "geolocation=(), camera=(self \"https://a.example\"), fullscreen=*"}
SECURE = ["X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("files")
    (path / "a.txt").write_text("a")
    return path


@pytest.fixture(scope="module")
def server(folder):
    http = {"response_headers": FIELDS, "hsts": "365d", "hsts_scope": "subdomains", "health_path": "/health",
            "limit_request_line": 200, "compress": "gzip", "keepalive_header": True}
    with Server("apps.compressible:app", {"http": http, "static:/static": {"dir": str(folder)}}, flags="h2c") as s:
        yield s


def added(answer, secure=False, status=None):
    assert status is None or answer.status == status
    for name, value in ADDED.items():
        assert answer.get_all(name) == [value], name
    assert answer.get_all("strict-transport-security") == (["max-age=31536000; includeSubDomains"] if secure else [])


def test_fields_are_added_to_every_answer(server):
    with server.connect() as c:
        added(c.request("GET", "/static/a.txt"), status=200)
        added(c.request("HEAD", "/static/a.txt"), status=200)
        added(c.request("GET", "/static/none"), status=404)
        added(c.request("GET", "/static/a.txt", ["If-None-Match: *"]), status=304)
        added(c.request("GET", "/health"), status=200)
        added(c.request("GET", "/", SECURE), secure=True)
        r = c.request("GET", "/", ["Accept-Encoding: gzip"])
        added(r)
    with server.connect() as c:
        added(c.request("GET", "/" + "x" * 300), status=414)
    with server.connect() as c:
        c.send(b"GET / HTTP/1.1\r\n\r\n")
        added(c.read_response(), status=400)


def test_over_http2(server):
    h2 = pytest.importorskip("lib.h2")
    with h2.H2(server.connect()) as h:
        for path, status in (("/static/a.txt", 200), ("/static/none", 404), ("/health", 200), ("/" + "x" * 300, 414)):
            added(h.answer(h.request("GET", path)), status=status)
        added(h.answer(h.request("GET", "/", [tuple(f.lower().split(": ", 1)) for f in SECURE])), secure=True)


def test_the_answers_own_field_counts():
    """Names in any case; what the application says is not said twice."""
    fields = {"response_headers": "Content-Type: text/x-configured, Cache-Control: no-store, Server: other"}
    with Server("hello", {"http": {**fields, "server_header": False}}) as s:
        r = s.get("/")
        assert r.get("content-type").startswith("text/plain") and r.get("cache-control") == "no-store" and r.get("server") == "other"


@pytest.mark.parametrize("text,words", [
    ("nonsense", "expected Name: value"), (": x", "expected Name: value"), ("X-A:", "expected Name: value"),
    ("Content-Length: 5", "for the server to say"), ("transfer-encoding: chunked", "for the server to say"),
    ("X-A: b, Connection: close", "for the server to say"), ("X-A: a\x01b", "control characters"),
])
def test_fields_that_are_refused(text, words, tmp_path):
    done = subprocess.run([binary(), "-t", "-o", f"http.response_headers={text}", "builtin:hello"], cwd=tmp_path,
                          capture_output=True, text=True, timeout=60)
    assert done.returncode and words in done.stderr and "http.response_headers" in done.stderr


def test_idle_time_is_told(server):
    """75 s: the client is 127.0.0.1, which is trusted as a proxy; 5 s for others."""
    with server.connect() as c:
        assert c.request("GET", "/health").get("keep-alive") == "timeout=75"
        assert c.request("GET", "/health", ["Connection: close"]).get("keep-alive") is None
    with server.connect(source="127.0.0.2") as c:
        assert c.request("GET", "/health").get("keep-alive") == "timeout=5"
        r = c.request("GET", "/health", ["Connection: keep-alive"], version="1.0")
        assert (r.get("keep-alive"), r.get("connection")) == ("timeout=5", "keep-alive")


def test_health_is_one_path(server):
    with server.connect() as c:
        r = c.request("GET", "/health?x")
        assert (r.status, r.body, r.get("cache-control")) == (200, b"ok\n", "no-store")
        assert c.request("HEAD", "/health").body == b""
        r = c.request("POST", "/health", body=b"12345")
        assert r.status == 405 and r.get("allow") == "GET, HEAD"
        assert c.request("GET", "/healthz").body != b"ok\n" and c.request("GET", "/health/").body != b"ok\n"


def test_health_says_when_the_service_leaves(tmp_path):
    """As soon as it was asked to stop, on old connections and new ones, and while requests are still answered; a worker that comes
    meanwhile knows it as well."""
    config = {"server": {"drain_delay": "60s"}, "http": {"health_path": "/health", "https_redirect": 8443}}
    s = Server("hello", config, respawn=True)
    with s:
        with s.connect() as old:
            assert old.request("GET", "/health").status == 200
            s.signal(signal.SIGTERM)
            wait_for(lambda: old.request("GET", "/health").status == 503, what="503")
            assert s.get("/health").body == b"stopping\n" and s.get("/", headers=SECURE).status == 200
            before = s.workers()
            os.kill(before[0], signal.SIGKILL)
        wait_for(lambda: s.workers() and s.workers() != before, what="another worker")
        assert s.get("/health").status == 503, "a worker that has come since"
        s.signal_until(signal.SIGTERM, "second stop request")


def test_redirect(folder):
    config = {"http": {"https_redirect": 443, "health_path": "/health", "forwarded_host": True},
              "static:/static": {"dir": str(folder)}}
    with Server("hello", config, flags="h2c") as s:
        with s.connect() as c:
            def location(*args, **more):
                r = c.request(*args, **more)
                assert r.status == (301 if args[0] in ("GET", "HEAD") else 308), args
                return r.get("location")
            assert location("GET", "/a%20b/?q=1&r", host="example.org") == "https://example.org/a%20b/?q=1&r"
            assert location("HEAD", "/", host="example.org:8000") == "https://example.org/"
            assert location("POST", "/x", body=b"12345", host="[::1]:80") == "https://[::1]/x"
            assert location("GET", "http://other.example/y") == "https://other.example/y"
            assert location("GET", "//evil.example/") == "https://test//evil.example/"
            assert location("OPTIONS", "*") == "https://test/"
            assert location("GET", "/static/a.txt") == "https://test/static/a.txt"
            assert location("GET", "/z", ["X-Forwarded-For: 192.0.2.1", "X-Forwarded-Host: shop.example", "X-Forwarded-Prefix: /shop"]) \
                == "https://shop.example/shop/z"
            assert c.request("GET", "/health").status == 200
            assert c.request("GET", "/static/a.txt", SECURE).body == b"a"
        with s.connect(source="127.0.0.2") as c:
            assert c.request("GET", "/", SECURE).status == 301, "who is no proxy cannot say that it was HTTPS"
        with s.connect() as c:
            c.send(b"GET / HTTP/1.0\r\n\r\n")
            assert c.read_response().status == 400
        h2 = pytest.importorskip("lib.h2")
        with h2.H2(s.connect()) as h:
            r = h.answer(h.request("GET", "/a?b", authority="example.org:81"))
            assert (r.status, r.get("location")) == (301, "https://example.org/a?b")


def test_redirect_to_another_port_and_not_over_tls():
    http = {"https_redirect": 8443, "hsts": "1h", "hsts_scope": "preload"}
    with Server("hello", {"http": http}, tls=True) as s:
        r = s.get("/")
        assert r.status == 200 and r.get("strict-transport-security") == "max-age=3600; includeSubDomains; preload"
    with Server("hello", {"http": http}) as s:
        r = s.get("/x")
        assert r.get("location") == "https://test:8443/x" and r.get("strict-transport-security") is None
