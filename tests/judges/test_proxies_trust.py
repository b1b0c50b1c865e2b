# SPDX-License-Identifier: BSD-3-Clause
"""Who is believed behind nginx, HAProxy and Caddy at their stock settings, with a client that claims to be somebody else in
every field there is: the address, scheme, host and port that the application and the access log get are the proxy's word, or
what the server sees itself; never the client's."""

import json

import pytest

from lib.proxies import needs
from lib.stock_proxies import STOCK
from lib.waiting import wait_for

CLIENT, SITE = "127.0.0.9", "site.example"

FORGED = {"Forwarded": "for=6.6.6.6;proto=https;host=evil.example;by=6.6.6.7", "X-Forwarded-For": "6.6.6.6",
          "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example", "X-Forwarded-Port": "666",
          "X-Forwarded-Prefix": "/evil", "X-Forwarded-Server": "evil.example", "X-Real-IP": "6.6.6.6", "X-Forwarded-By": "6.6.6.7",
          "X-Forwarded-Protocol": "ssl", "X-Forwarded-Scheme": "https", "X-Scheme": "https", "X-Url-Scheme": "https",
          "Front-End-Https": "on", "X-Client-IP": "6.6.6.6", "Client-IP": "6.6.6.6", "True-Client-IP": "6.6.6.6", "Via": "1.1 evil"}
TWICE = [*FORGED.items(), *FORGED.items()]
LEFT = [("X-Forwarded-For", "127.0.0.1, 6.6.6.6"), ("Forwarded", 'for=127.0.0.1, for="[::1]"'), ("X-Forwarded-Proto", "https, https")]
CLAIMS = [[], [*FORGED.items()], TWICE, LEFT, *([pair] for pair in FORGED.items())]

# HAProxy's option forwardfor writes X-Forwarded-For, and passes X-Forwarded-Proto on: the configuration has to say so, or the
# proxy to set the other field as well.
FOR_ALONE = {"forwarded_family": "x-forwarded-for"}
SETS_PROTO = "http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]"

# (proxy, its settings, the server's [http])
CASES = {
    "nginx": ("nginx", {}, {}),
    "nginx-http2": ("nginx", {"http2": True}, {}),
    "haproxy": ("haproxy", {}, FOR_ALONE),
    "haproxy-http2": ("haproxy", {"http2": True, "speaks": "h2c"}, FOR_ALONE),
    "haproxy-h2c": ("haproxy", {"speaks": "h2c"}, FOR_ALONE),
    "haproxy-recipe": ("haproxy", {"line": SETS_PROTO}, {}),
    "haproxy-recipe-h2c": ("haproxy", {"line": SETS_PROTO, "speaks": "h2c"}, {}),
    "caddy": ("caddy", {}, {}),
    "caddy-h2c": ("caddy", {"speaks": "h2c"}, {}),
}
APPLICATIONS = {"asgi": ("scope", {}), "wsgi": ("apps.wsgi_cases:app", {"threads": 4}), "wsgi-inline": ("apps.wsgi_cases:app", {"threads": 1})}


def cases(*names):
    return [pytest.param(name, marks=needs(CASES[name][0])) for name in names or CASES]


def serve_behind(serve, name, application, **http):
    app, keys = APPLICATIONS[application]
    log = {"accesslog": "addresses", "access_log_format": "%(h)s"}
    http = {"server_header": False, **CASES[name][2], **http}  # Caddy adds its own and keeps the other
    return serve(app, {"http": http, "app": keys, "log": log}, flags="h2c", allow=["Traceback"])


def ask(proxy, name, claims):
    """What the application says of one request: address, scheme, host, port, prefix."""
    if CASES[name][1].get("http2"):
        h2 = pytest.importorskip("lib.h2")
        with h2.H2(proxy.connect(source=CLIENT)) as h:
            a = h.get("/environ", headers=[(k.lower(), v) for k, v in claims], authority=SITE)
            assert a.status == 200, (a.status, a.body)
            said = json.loads(a.body)
    else:
        with proxy.connect(source=CLIENT) as c:
            r = c.request("GET", "/environ", claims, host=SITE)
            assert r.status == 200, r
            said = r.json()
    if "wsgi.version" in said:
        return (said["REMOTE_ADDR"], said["wsgi.url_scheme"], said["HTTP_HOST"], int(said["SERVER_PORT"]), said["SCRIPT_NAME"])
    host, = [v for k, v in said["headers"] if k == "host"]
    assert said["path"] == "/environ"
    return said["client"][0], said["scheme"], host, said["server"][1], said["root_path"]


@pytest.mark.parametrize("application", APPLICATIONS)
@pytest.mark.parametrize("name", cases())
def test_no_claim_of_a_client_counts(serve, name, application):
    kind, settings, _ = CASES[name]
    server = serve_behind(serve, name, application)
    path = server.dir / "addresses"
    before = len(path.read_text().splitlines()) if path.exists() else 0
    with STOCK[kind](server, **settings) as proxy:
        for claims in CLAIMS:
            assert ask(proxy, name, claims) == (CLIENT, "http", SITE, server.port, ""), claims
    wait_for(lambda: len(path.read_text().splitlines()) >= before + len(CLAIMS), what="the access log")
    assert set(path.read_text().splitlines()[before:]) == {CLIENT}


@pytest.mark.parametrize("name", cases("nginx", "haproxy-recipe", "haproxy-recipe-h2c", "caddy", "caddy-h2c"))
def test_the_proxys_https_counts(serve, name):
    """And a client cannot talk it away."""
    kind, settings, _ = CASES[name]
    server = serve_behind(serve, name, "asgi")
    with STOCK[kind](server, tls=True, **settings) as proxy:
        for claims in ([], [("X-Forwarded-Proto", "http"), ("Forwarded", "proto=http;for=6.6.6.6")]):
            with proxy.connect(source=CLIENT) as c:
                said = c.request("GET", "/environ", claims, host=f"127.0.0.1:{proxy.address[1]}").json()
                assert (said["client"][0], said["scheme"]) == (CLIENT, "https")


@pytest.mark.parametrize("name", cases("haproxy", "haproxy-h2c"))
def test_what_haproxy_leaves_to_the_client_is_believed_by_default_in_nothing_but_the_scheme(serve, name):
    """The manual says what to do about it."""
    kind, settings, _ = CASES[name]
    server = serve_behind(serve, name, "asgi", forwarded_family="x-forwarded")
    with STOCK[kind](server, **settings) as proxy:
        for claims in CLAIMS:
            scheme = "https" if any(k == "X-Forwarded-Proto" for k, _ in claims) else "http"
            assert ask(proxy, name, claims) == (CLIENT, scheme, SITE, server.port, "")


@pytest.mark.parametrize("name", cases("nginx", "haproxy", "caddy"))
def test_under_none_the_client_is_the_proxy(serve, name):
    kind, settings, _ = CASES[name]
    server = serve_behind(serve, name, "asgi", forwarded_family="none")
    with STOCK[kind](server, **settings) as proxy:
        for claims in CLAIMS:
            assert ask(proxy, name, claims) == ("127.0.0.1", "http", SITE, server.port, "")


@pytest.mark.parametrize("name", cases("nginx", "haproxy-recipe"))
def test_a_proxy_that_writes_forwarded(serve, name):
    """RFC 7239, where the proxy sets the field instead of adding to it."""
    kind, settings, _ = CASES[name]
    line = {"nginx": 'proxy_set_header Forwarded "for=$remote_addr;proto=$scheme;host=\\"$http_host\\"";',
            "haproxy": "http-request set-header Forwarded for=%[src];proto=%[ssl_fc,iif(https,http)];host=\"%[req.hdr(host)]\""}[kind]
    server = serve_behind(serve, name, "asgi", forwarded_family="forwarded", forwarded_host=True)
    with STOCK[kind](server, line=line) as proxy:
        for claims in CLAIMS:
            assert ask(proxy, name, claims) == (CLIENT, "http", SITE, server.port, "")
