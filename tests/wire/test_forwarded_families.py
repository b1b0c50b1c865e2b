# SPDX-License-Identifier: BSD-3-Clause
"""http.forwarded_family and http.forwarded_host: of what a trusted peer sends, only the fields that the configuration names
count, whatever else comes along; the others are fields like any other. ASGI and WSGI, HTTP/1, HTTP/2 and WebSockets."""

import json

import pytest

from lib.server import Server
from lib.waiting import wait_for
from lib.ws import WS

# Each field, and what it says when it is believed. "forwarded" says three things.
CLAIMS = {
    "x-forwarded-for": ("192.0.2.1", {"client": "192.0.2.1"}),
    "x-forwarded-proto": ("https", {"scheme": "https"}),
    "x-forwarded-host": ("x.example", {"host": "x.example"}),
    "x-forwarded-port": ("8443", {"port": 8443}),
    "x-forwarded-prefix": ("/outer", {"prefix": "/outer"}),
    "x-forwarded-ssl": ("on", {}),  # as long as it does not contradict X-Forwarded-Proto
    "x-forwarded-protocol": ("ssl", {}),
    "x-forwarded-server": ("s.example", {}),
    "x-real-ip": ("192.0.2.9", {}),
    "forwarded": ("for=192.0.2.2;proto=https;host=f.example", {"client": "192.0.2.2", "scheme": "https", "host": "f.example"}),
}

X_PAIR, X_HOST = {"x-forwarded-for", "x-forwarded-proto"}, {"x-forwarded-host", "x-forwarded-port", "x-forwarded-prefix"}

# (family, forwarded_host): the fields that count, and what of them.
CONFIGURATIONS = [
    ({}, X_PAIR, {"client", "scheme"}),
    ({"forwarded_family": "x-forwarded"}, X_PAIR, {"client", "scheme"}),
    ({"forwarded_family": "x-forwarded", "forwarded_host": True}, X_PAIR | X_HOST,
     {"client", "scheme", "host", "port", "prefix"}),
    ({"forwarded_host": True}, X_PAIR | X_HOST, {"client", "scheme", "host", "port", "prefix"}),
    ({"forwarded_family": "x-forwarded-for"}, {"x-forwarded-for"}, {"client"}),
    ({"forwarded_family": "x-forwarded-for", "forwarded_host": True}, {"x-forwarded-for"} | X_HOST,
     {"client", "host", "port", "prefix"}),
    ({"forwarded_family": "forwarded"}, {"forwarded"}, {"client", "scheme"}),
    ({"forwarded_family": "forwarded", "forwarded_host": True}, {"forwarded"}, {"client", "scheme", "host"}),
    ({"forwarded_family": "none"}, set(), set()),
    ({"forwarded_family": "none", "forwarded_host": True}, set(), set()),
]

SENT = [[name] for name in CLAIMS] + [list(CLAIMS), list(reversed(CLAIMS)), []]


def wanted(sent, fields, what, server, own):
    """What the application has to be told."""
    told = {"client": own, "scheme": "http", "host": "test", "port": server.port, "prefix": ""}
    for name in sent:
        if name in fields:
            told.update({k: v for k, v in CLAIMS[name][1].items() if k in what})
    return told


def of_scope(scope):
    host, = [v for k, v in scope["headers"] if k == "host"]
    assert scope["path"] == scope["root_path"] + "/show"
    assert scope["raw_path"] == scope["root_path"] + "/show"
    return {"client": scope["client"][0], "scheme": {"ws": "http", "wss": "https"}.get(scope["scheme"], scope["scheme"]),
            "host": host, "port": scope["server"][1], "prefix": scope["root_path"]}


def of_environ(environ):
    assert environ["PATH_INFO"] == "/environ"
    assert ("HTTPS" in environ) == (environ["wsgi.url_scheme"] == "https")
    return {"client": environ["REMOTE_ADDR"], "scheme": environ["wsgi.url_scheme"], "host": environ["HTTP_HOST"],
            "port": int(environ["SERVER_PORT"]), "prefix": environ["SCRIPT_NAME"]}


def lines(sent):
    return [f"{name}: {CLAIMS[name][0]}" for name in sent]


@pytest.fixture(params=CONFIGURATIONS, ids=lambda c: ",".join(f"{k[10:]}={v}" for k, v in c[0].items()) or "default")
def believed(request):
    return request.param


@pytest.mark.parametrize("protocol", ["1", "2"])
def test_asgi(serve, believed, protocol):
    http, fields, what = believed
    server = serve("scope", {"http": http}, flags="h2c")
    for sent in SENT:
        if protocol == "2":
            h = pytest.importorskip("lib.h2").H2(server.connect())
            with h.conn:
                scope = json.loads(h.get("/show", headers=[(name, CLAIMS[name][0]) for name in sent]).body)
                own = h.conn.name[0]
        else:
            with server.connect() as c:
                scope, own = c.request("GET", "/show", lines(sent)).json(), c.name[0]
        assert of_scope(scope) == wanted(sent, fields, what, server, own), sent
        shown = dict(scope["headers"])
        assert all(shown[name] == CLAIMS[name][0] for name in sent), "they stay fields like any other"


@pytest.mark.parametrize("threads", [1, 4])
def test_wsgi(serve, believed, threads):
    http, fields, what = believed
    server = serve("apps.wsgi_cases:app", {"http": http, "app": {"threads": threads}}, allow=["Traceback"])
    for sent in SENT:
        with server.connect() as c:
            environ, own = c.request("GET", "/environ", lines(sent)).json(), c.name[0]
        assert of_environ(environ) == wanted(sent, fields, what, server, own), sent
        for name in sent:
            assert environ["HTTP_" + name.upper().replace("-", "_")] == CLAIMS[name][0]


def test_websocket(serve, believed):
    http, fields, what = believed
    server = serve("websockets", {"http": http}, allow=["Traceback"])
    for sent in SENT:
        if "x-forwarded-prefix" in sent and "prefix" in what:
            continue  # this application looks at the path
        c = server.connect()
        with WS(c, "/show", lines(sent)) as w:
            assert of_scope(json.loads(w.read_text())) == wanted(sent, fields, what, server, c.name[0]), sent


@pytest.mark.parametrize("http, address", [({}, "192.0.2.1"), ({"forwarded_family": "forwarded"}, "192.0.2.2"),
                                           ({"forwarded_family": "none"}, "127.0.0.1")])
def test_the_access_log_has_the_address_that_is_believed(http, address):
    log = {"accesslog": "seen", "access_log_format": "%(h)s %(U)s %({x-forwarded-for}i)s"}
    with Server("hello", {"http": http, "log": log}) as server:
        assert server.get("/a", headers=lines(CLAIMS)).status == 200
        path = server.dir / "seen"
        wait_for(lambda: path.exists() and path.read_text().endswith("\n"), what="the line")
        assert path.read_text() == f"{address} /a 192.0.2.1\n"


def test_malformed_fields_that_are_not_believed_do_not_matter(serve):
    """Neither family can spoil the other, and none of it refuses a request."""
    for http, claim, client in (({}, "X-Forwarded-For: 192.0.2.1", "192.0.2.1"),
                                ({"forwarded_family": "forwarded"}, "Forwarded: for=192.0.2.2", "192.0.2.2")):
        server = serve("scope", {"http": http})
        junk = [f"{name}: {value}" for name in CLAIMS if not claim.lower().startswith(name + ":")
                for value in ("", ",", "\"", "for=\"", "x" * 300)]
        scope = server.get("/show", headers=[*junk, claim]).json()
        assert scope["client"][0] == client


@pytest.mark.parametrize("value, prefix", [
    ("/a", "/a"), ("/a/b", "/a/b"), ("/a/", "/a"), ("/b, /a", "/a"), ("/a~b.c-d_e", "/a~b.c-d_e"),
    ("", ""), ("/", ""), ("a", ""), ("//evil.example", ""), ("/a//b", ""), ("/a?b", ""), ("/a#b", ""), ("/a b", ""),
    ("/a/../b", ""), ("/.", ""), ("/a%2fb", ""), ("/a\\b", ""), ("/\u00e9", ""), ("http://a/b", "")])
def test_a_prefix_has_to_be_a_plain_path(serve, value, prefix):
    server = serve("scope", {"http": {"forwarded_host": True}})
    scope = server.get("/show", headers=[f"X-Forwarded-Prefix: {value}"]).json()
    assert of_scope(scope)["prefix"] == prefix


def test_a_prefix_takes_the_place_of_root_path(serve):
    http = {"http": {"forwarded_host": True}}
    server = serve("scope", {**http, "app": {"root_path": "/own"}})
    assert of_scope(server.get("/show").json())["prefix"] == "/own"
    assert of_scope(server.get("/show", headers=["X-Forwarded-Prefix: /outer"]).json())["prefix"] == "/outer"
    server = serve("apps.wsgi_cases:app", {**http, "app": {"root_path": "/own"}}, allow=["Traceback"])
    assert server.get("/environ").json()["SCRIPT_NAME"] == "/own"
    assert server.get("/environ", headers=["X-Forwarded-Prefix: /outer"]).json()["SCRIPT_NAME"] == "/outer"


def test_a_reload_changes_who_is_believed():
    import signal
    with Server("scope", respawn=True) as server:
        assert server.get("/show", headers=lines(CLAIMS)).json()["client"][0] == "192.0.2.1"
        server.write_config({"http": {"forwarded_family": "forwarded"}})
        mark = server.log_mark()
        server.signal(signal.SIGHUP)
        server.wait_log("reloaded: generation", mark)
        wait_for(lambda: server.get("/show", headers=lines(CLAIMS)).json()["client"][0] == "192.0.2.2", what="the other family")


def test_an_unknown_family_is_refused(tmp_path):
    server = Server("hello", {"http": {"forwarded_family": "x-forwarded, forwarded"}}, status=1)
    server.start()
    assert server.wait_exit() == 1
    server.wait_log(r"http\.forwarded_family")
    server.stop()
