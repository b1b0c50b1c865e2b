# SPDX-License-Identifier: BSD-3-Clause
"""Whom the server believes about client, scheme and host."""

import pytest


def ask(server, headers, source=None, host="test"):
    with server.connect(source=source) as c:
        r = c.request("GET", "/", headers, host=host)
        assert r.status == 200
        return r.json(), c.name


def host_of(scope):
    return [v for k, v in scope["headers"] if k == "host"]


def family_of(headers):
    """What the first field is of."""
    return "forwarded" if headers and headers[0].startswith("Forwarded:") else "x-forwarded"


@pytest.fixture
def server(serve):
    """Believes the default: X-Forwarded-For and -Proto from 127.0.0.1 and ::1."""
    return serve("scope")


@pytest.fixture
def believing(serve):
    """believing(headers): a server that believes the family of these, and their hosts."""
    return lambda headers, **more: serve("scope", {"http": {"forwarded_family": family_of(headers), "forwarded_host": True, **more}})


CHAIN = "127.0.0.1, 10.0.0.0/8, 2001:db8:1::/48"


@pytest.mark.parametrize("headers, client", [
    (["X-Forwarded-For: 192.0.2.1"], "192.0.2.1"), (["X-Forwarded-For:   192.0.2.1  "], "192.0.2.1"),
    (["X-Forwarded-For: 2001:db8::1"], "2001:db8::1"), (["X-Forwarded-For: [2001:db8::1]:99"], "2001:db8::1"),
    (["X-Forwarded-For: 192.0.2.1:99"], "192.0.2.1"), (["X-Forwarded-For: 6.6.6.6, 192.0.2.1"], "192.0.2.1"),
    (["X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 192.0.2.1"], "192.0.2.1"),
    (["Forwarded: for=192.0.2.1"], "192.0.2.1"), (["Forwarded: For=\"192.0.2.1:4711\""], "192.0.2.1"),
    (["Forwarded: for=\"[2001:db8:cafe::17]:4711\""], "2001:db8:cafe::17"),
    (["Forwarded: for=6.6.6.6, for=192.0.2.1"], "192.0.2.1"), (["Forwarded: by=10.0.0.1;for=192.0.2.1;proto=http"], "192.0.2.1"),
    (["Forwarded: for=6.6.6.6", "Forwarded: for=192.0.2.1"], "192.0.2.1"),
    (["Forwarded: for=192.0.2.1", "X-Forwarded-For: 6.6.6.6"], "192.0.2.1")])
def test_client_from_a_trusted_peer(believing, headers, client):
    scope, _ = ask(believing(headers), headers)
    assert scope["client"][0] == client and isinstance(scope["client"][1], int)


@pytest.mark.parametrize("headers, client", [
    (["X-Forwarded-For: 6.6.6.6, 192.0.2.1, 10.1.2.3"], "192.0.2.1"),
    (["X-Forwarded-For: 10.9.9.9, 192.0.2.1, 10.1.2.3, 10.0.0.1"], "192.0.2.1"),
    (["X-Forwarded-For: 192.0.2.1, 2001:db8:1::5"], "192.0.2.1"),
    (["X-Forwarded-For: 2001:db8:2::5, 10.1.2.3"], "2001:db8:2::5"),
    (["X-Forwarded-For: 10.0.0.5, 10.0.0.6"], "10.0.0.5"),
    (["X-Forwarded-For: 11.0.0.5, 10.255.255.255"], "11.0.0.5"),
    (["Forwarded: for=6.6.6.6, for=192.0.2.1, for=10.1.2.3"], "192.0.2.1")])
def test_client_is_the_right_most_untrusted_hop(believing, headers, client):
    scope, _ = ask(believing(headers, forwarded_allow_ips=CHAIN), headers)
    assert scope["client"][0] == client


def test_all_peers_trusted(serve):
    server = serve("scope", {"http": {"forwarded_allow_ips": "*"}})
    scope, _ = ask(server, ["X-Forwarded-For: 192.0.2.1, 192.0.2.2"], source="127.0.0.2")
    assert scope["client"][0] == "192.0.2.1"


@pytest.mark.parametrize("headers, scheme", [
    (["X-Forwarded-Proto: https"], "https"), (["X-Forwarded-Proto: HTTPS"], "https"), (["X-Forwarded-Proto: http"], "http"),
    (["Forwarded: proto=https;for=192.0.2.1"], "https"), (["Forwarded: for=192.0.2.1;Proto=\"https\""], "https"),
    (["X-Forwarded-Proto: gopher"], "http"), (["X-Forwarded-Proto: https://"], "http"), (["X-Forwarded-Proto:"], "http")])
def test_scheme_from_a_trusted_peer(believing, headers, scheme):
    scope, _ = ask(believing(headers), headers)
    assert scope["scheme"] == scheme


@pytest.mark.parametrize("headers, host", [(["X-Forwarded-Host: example.com"], "example.com"),
                                           (["X-Forwarded-Host: example.com:8443"], "example.com:8443"),
                                           (["Forwarded: for=192.0.2.1;host=example.com"], "example.com"),
                                           (["Forwarded: for=192.0.2.1;host=\"example.com:8443\""], "example.com:8443")])
def test_host_from_a_trusted_peer(believing, headers, host):
    scope, _ = ask(believing(headers), headers)
    assert host_of(scope) == [host]


FORGED = ["X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.example", "X-Forwarded-Port: 1",
          "Forwarded: for=6.6.6.6;proto=https;host=evil.example"]


def test_untrusted_peer_is_not_believed(server):
    scope, name = ask(server, FORGED, source="127.0.0.2")
    assert scope["client"] == list(name) and name[0] == "127.0.0.2"
    assert scope["scheme"] == "http" and host_of(scope) == ["test"] and scope["server"] == list(server.address)


def test_peer_that_is_not_listed_is_not_believed(serve):
    server = serve("scope", {"http": {"forwarded_allow_ips": "192.0.2.99"}})
    scope, name = ask(server, FORGED)
    assert scope["client"] == list(name) and scope["scheme"] == "http" and host_of(scope) == ["test"]


def test_forwarded_fields_stay_visible(server):
    for source in (None, "127.0.0.2"):
        scope, _ = ask(server, FORGED, source=source)
        names = [k for k, _ in scope["headers"]]
        assert {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "forwarded"} <= set(names)


@pytest.mark.parametrize("header", [
    "X-Forwarded-For: nonsense", "X-Forwarded-For:", "X-Forwarded-For: ,", "X-Forwarded-For: 1.2.3", "X-Forwarded-For: 999.1.1.1",
    "X-Forwarded-For: [::1", "X-Forwarded-For: 1.2.3.4:99999999", "Forwarded: for=", "Forwarded: for", "Forwarded: =x",
    "Forwarded: for=\"unclosed", "Forwarded: for=unknown", "Forwarded: for=_hidden", "Forwarded:", "Forwarded: ;;", "Forwarded: ,,"])
def test_malformed_values_are_ignored(believing, header):
    scope, name = ask(believing([header]), [header])
    assert scope["client"] == list(name)


@pytest.mark.parametrize("host", ["a b", "a/b", "user@a", "a\"b", ""])
def test_forwarded_host_must_be_a_host(believing, host):
    scope, _ = ask(believing([]), [f"X-Forwarded-Host: {host}"])
    assert host_of(scope) == ["test"]


@pytest.mark.parametrize("ssl, proto, scheme", [("on", None, "https"), ("off", None, "http"), ("maybe", None, "http"), ("on", "http", "https"),
                                                (None, "https", "http")])
def test_the_scheme_by_x_forwarded_ssl_where_it_is_named(serve, ssl, proto, scheme):
    headers = [*([f"X-Forwarded-Ssl: {ssl}"] if ssl else []), *([f"X-Forwarded-Proto: {proto}"] if proto else []), "X-Forwarded-For: 192.0.2.1"]
    s = serve("scope", {"http": {"forwarded_family": "x-forwarded-ssl"}})
    with s.connect() as c:
        found = c.request("GET", "/", headers).json()
        assert (found["scheme"], found["client"][0]) == (scheme, "192.0.2.1")
    with s.connect(source="127.0.0.2") as c:
        assert c.request("GET", "/", headers).json()["scheme"] == "http"


def test_second_request_is_judged_anew(server):
    with server.connect() as c:
        assert c.request("GET", "/", ["X-Forwarded-For: 192.0.2.1"]).json()["client"][0] == "192.0.2.1"
        assert c.request("GET", "/").json()["client"] == list(c.name)


@pytest.mark.parametrize("protocol, ssl, status", [("https", "on", 200), ("http", "off", 200), ("https", "off", 400), ("http", "on", 400),
                                                   ("https", "maybe", 200), (None, "on", 200), (None, "off", 200)])
def test_the_older_word_for_the_scheme_counts_for_nothing_but_must_not_contradict(server, protocol, ssl, status):
    headers = [f"X-Forwarded-Ssl: {ssl}", *([f"X-Forwarded-Proto: {protocol}"] if protocol else [])]
    with server.connect() as c:
        r = c.request("GET", "/", headers)
        assert r.status == status and (status == 400 or r.json()["scheme"] == (protocol or "http"))
    with server.connect(source="127.0.0.2") as c:
        r = c.request("GET", "/", headers)
        assert r.status == 200 and r.json()["scheme"] == "http"
