# SPDX-License-Identifier: BSD-3-Clause
"""What the application is told about a request."""

import pytest


@pytest.fixture
def server(serve):
    return serve("scope")


def scope_of(server, target="/", **options):
    r = server.get(target, **options)
    assert r.status == 200, r
    return r.json()


def values(scope, name):
    return [v for k, v in scope["headers"] if k == name]


def test_keys_and_types(server):
    scope = scope_of(server)
    assert scope["type"] == "http"
    types = scope["types"]
    assert {"type", "asgi", "http_version", "method", "scheme", "path", "raw_path", "query_string", "root_path", "headers",
            "client", "server", "extensions"} <= set(types)
    expected = {"type": "str", "asgi": "dict", "http_version": "str", "method": "str", "scheme": "str", "path": "str",
                "raw_path": "bytes", "query_string": "bytes", "root_path": "str", "extensions": "dict"}
    assert {k: types[k] for k in expected} == expected
    assert scope["header_types"] == ["bytes"]


def test_names_are_lower_case_and_values_stripped(server):
    scope = scope_of(server, headers=["X-Mixed-CASE:   padded\t ", "X-Inner: a  b\tc", "X-Empty:", "X-Blank:   \t "])
    assert values(scope, "x-mixed-case") == ["padded"]
    assert values(scope, "x-inner") == ["a  b\tc"]
    assert values(scope, "x-empty") == [""] and values(scope, "x-blank") == [""]
    assert all(k == k.lower() for k, _ in scope["headers"])


def test_values_of_high_bytes_arrive_unchanged(server):
    high = bytes(range(0x80, 0x100)).decode("latin-1")
    assert values(scope_of(server, headers=[f"X-High: {high}"]), "x-high") == [high]


def test_every_token_character_is_allowed_in_a_name(server):
    name = "x-!#$%&'*+-.^_`|~09az"
    assert values(scope_of(server, headers=[f"{name}: 1"]), name) == ["1"]


def test_duplicate_fields_arrive_in_order(server):
    scope = scope_of(server, headers=["X-A: 1", "X-B: 2", "x-a: 3", "X-A: 4", "Cookie: a=1", "Cookie: b=2"])
    assert values(scope, "x-a") == ["1", "3", "4"]
    assert [k for k, _ in scope["headers"] if k in ("x-a", "x-b")] == ["x-a", "x-b", "x-a", "x-a"]
    assert "; ".join(values(scope, "cookie")) == "a=1; b=2"


def test_host_is_among_the_headers(server):
    assert values(scope_of(server, host="example.com:8080"), "host") == ["example.com:8080"]


@pytest.mark.parametrize("target, path", [
    ("/", "/"), ("/a/b", "/a/b"), ("/a%20b", "/a b"), ("/caf%C3%A9", "/café"), ("/%E2%82%AC", "/€"), ("/%F0%9F%90%8D", "/🐍"),
    ("/a%2Fb", "/a/b"), ("/%2e%2E/x", "/../x"), ("/a//b", "/a//b"), ("/a/../b", "/a/../b"), ("/%41%7a", "/Az"),
    ("/a%25b", "/a%b"), ("/a+b", "/a+b"), ("/a;b=c", "/a;b=c"), ("/a%3Fb", "/a?b"), ("/%00", "/\0"), ("/a:b@c", "/a:b@c")])
def test_path_is_decoded(server, target, path):
    scope = scope_of(server, target)
    assert scope["path"] == path and scope["raw_path"] == target


@pytest.mark.parametrize("target, raw", [("/a%20b?c=%20d", "/a%20b"), ("/x?", "/x"), ("/x?y?z", "/x"), ("/%e2%82%ac?1", "/%e2%82%ac")])
def test_raw_path_is_what_was_received(server, target, raw):
    assert scope_of(server, target)["raw_path"] == raw


@pytest.mark.parametrize("target", ["/%ff", "/%C3", "/%C3%28", "/a%E2%82", "/%ED%A0%80", "/%F8%88%80%80%80", "/%c0%af"])
def test_invalid_utf8_has_a_defined_result(server, target):
    with server.connect() as c:
        r = c.request("GET", target)
        assert r.status in (200, 400)
        if r.status == 200:
            assert r.json()["raw_path"] == target and r.json()["types"]["path"] == "str"
    assert scope_of(server)["path"] == "/"


@pytest.mark.parametrize("target", ["/%", "/%4", "/%zz", "/%4g", "/a%"])
def test_broken_escapes_have_a_defined_result(server, target):
    with server.connect() as c:
        r = c.request("GET", target)
        assert r.status in (200, 400)
        if r.status == 200:
            assert r.json()["raw_path"] == target and r.json()["path"] == target
    assert scope_of(server)["path"] == "/"


@pytest.mark.parametrize("target, query", [("/", ""), ("/?", ""), ("/?a=b", "a=b"), ("/?a=%20%C3%A9&b=+", "a=%20%C3%A9&b=+"),
                                           ("/?a?b", "a?b"), ("/?%", "%"), ("/?a=/b/c", "a=/b/c"), ("/?=&&=", "=&&=")])
def test_query_is_raw(server, target, query):
    scope = scope_of(server, target)
    assert scope["query_string"] == query and scope["path"] == "/"


def test_root_path_is_in_front_of_the_path(serve):
    server = serve("scope", {"app": {"root_path": "/app"}})
    scope = scope_of(server, "/x%20y?z")
    assert scope["root_path"] == "/app" and scope["path"] == "/app/x y" and scope["raw_path"] == "/app/x%20y"
    assert scope["query_string"] == "z"


def test_root_path_is_empty_by_default(server):
    assert scope_of(server, "/x")["root_path"] == ""


@pytest.mark.parametrize("target, host, path, query", [
    ("http://example.com/x?y", "example.com", "/x", "y"), ("http://example.com:81/x%20z", "example.com:81", "/x z", ""),
    ("http://example.com", "example.com", "/", ""), ("http://example.com?q", "example.com", "/", "q"),
    ("HTTP://example.com/", "example.com", "/", "")])
def test_absolute_form_is_taken_apart(server, target, host, path, query):
    scope = scope_of(server, target, host=host)
    assert scope["path"] == path and scope["query_string"] == query and values(scope, "host") == [host]


def test_authority_of_the_target_wins_over_host(server):
    """RFC 9112 3.2.2: Host is ignored and replaced; refusing the contradiction is safe, too."""
    with server.connect() as c:
        r = c.request("GET", "http://example.com/x", host="other.example")
        assert r.status in (200, 400)
        if r.status == 200:
            assert values(r.json(), "host") == ["example.com"]


def test_options_asterisk_is_answered(server):
    with server.connect() as c:
        r = c.request("OPTIONS", "*")
        assert r.status in (200, 400)
        if r.status == 200 and r.get("content-type") == "application/json":
            assert r.json()["path"] == "*" and r.json()["method"] == "OPTIONS"
    assert scope_of(server)["path"] == "/"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "MKCOL", "LOCK", "REPORT"])
def test_method_arrives_as_sent(server, method):
    with server.connect() as c:
        scope = c.request(method, "/x").json()
        assert scope["method"] == method and scope["types"]["method"] == "str"


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_http_version_in_the_scope(server, version):
    assert scope_of(server, version=version)["http_version"] == version


def test_scheme_is_http_in_the_clear(server):
    assert scope_of(server)["scheme"] == "http"


def test_absolute_form_does_not_choose_the_scheme(server):
    with server.connect() as c:
        r = c.request("GET", "https://example.com/", host="example.com")
        assert r.status in (200, 400, 421)
        if r.status == 200:
            assert r.json()["scheme"] == "http"


def test_client_and_server_in_the_scope(server):
    with server.connect() as c:
        scope = c.request("GET", "/").json()
        assert scope["client"] == list(c.name) and scope["server"] == list(server.address)
        assert scope["types"]["client"] in ("tuple", "list") and scope["types"]["server"] in ("tuple", "list")
        assert isinstance(scope["client"][1], int) and isinstance(scope["server"][1], int)


def test_asgi_versions_in_the_scope(server):
    scope = scope_of(server)
    assert scope["asgi"] == {"version": "3.0", "spec_version": "2.3"}


def test_extensions_in_the_scope(server):
    """What is implemented and harmless: no pathsend, in which middleware finds no body (test_offer)."""
    assert scope_of(server)["extensions"] == {
        "http.response.early_hint": {}, "http.response.trailers": {}, "http.response.zerocopysend": {}}


@pytest.mark.parametrize("configured, offered", [
    ("all", {"early_hint", "trailers", "pathsend", "zerocopysend"}),
    ("none", set()),
    ("http.response.trailers, tls", {"trailers"}),
    ("-http.response.trailers, -http.response.early_hint", {"pathsend", "zerocopysend"}),
    ("all, -http.response.zerocopysend", {"early_hint", "trailers", "pathsend"}),
])
def test_extensions_are_those_that_are_configured(serve, configured, offered):
    """Each one is proven by test_extensions."""
    server = serve("scope", {"app": {"asgi_extensions": configured}})
    assert scope_of(server)["extensions"] == {f"http.response.{name}": {} for name in offered}


def test_scope_objects_are_not_shared(serve):
    """What an application does to its scope is not seen by the next request of the same connection."""
    server = serve("scope_writer")
    with server.connect() as c:
        first = c.request("GET", "/a").json()
        second = c.request("GET", "/a").json()
    assert first == second and first == {"marks": []}
