# SPDX-License-Identifier: BSD-3-Clause
"""[mount:/prefix]: several applications in a worker, each under its part of the paths, with its own life."""

import json
import signal

import pytest

from lib.server import Server
from lib.ws import TEXT, WS


def mount(name, **more):
    return dict(more, module=f"apps.mounted:{name}")


ALL = {"mount:/one": mount("one"), "mount:/one/deep": mount("two"), "mount:/w": mount("wsgi", threads=1),
       "mount:/pool": mount("wsgi", threads=2), "mount:/caf\u00e9": mount("three"), "mount:/hello": {"module": "builtin:hello"}}


@pytest.fixture(scope="module")
def server():
    with Server("apps.mounted:default", ALL) as s:
        yield s


@pytest.fixture(scope="module")
def proxied():
    """A proxy in front took /outer (and /other) away."""
    with Server("apps.mounted:default", {"app": {"root_path": "/outer"}, "mount:/one": mount("one", root_path="/other"),
                                         "mount:/w": mount("wsgi", root_path="/outer")}) as s:
        yield s


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """No [app] module."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "a.txt").write_text("a file\n")
    (folder / "deep").mkdir()
    (folder / "deep" / "b.txt").write_text("never seen\n")
    with Server(None, {"mount:/one": mount("one"), "mount:/s/deep": mount("wsgi"), "static:/s": {"dir": folder}}) as s:
        yield s


def ask(server, path):
    return server.get(path).json()


@pytest.mark.parametrize("path, name", [
    ("/", "default"), ("/x/one", "default"), ("/onex", "default"), ("/on", "default"), ("/ONE", "default"),
    ("/one", "one"), ("/one/", "one"), ("/one/x", "one"), ("/one/deepx", "one"), ("/one/de", "one"), ("/one?deep", "one"),
    ("/one/deep", "two"), ("/one/deep/x/y", "two"), ("/%6fne/x", "one"), ("/one/%64eep", "two"), ("/caf%C3%A9/x", "three"),
    ("/one/a%2fb", "one"), ("/one/a//b", "one"), ("/one/./a", "one"), ("/one/a/../b", "one"), ("/a//b/../c", "default"),
    ("/one/deep/..%2fdeep/x", "two"), ("/.../one", "default"), ("/one/...", "one"), ("/one%25", "default"),
    ("http://test/one/x", "one"),
])
def test_which(server, path, name):
    """The longest prefix of whole segments, decoded."""
    assert ask(server, path)["app"] == name


@pytest.mark.parametrize("path", [
    "//one/x", "/x/../one/x", "/./one", "/one%2fx", "/%2e/one", "/x/%2e%2e/one", "/one/../x", "/one/..", "/one/deep/../x",
    "/one/%2e%2e/x", "/one//deep/x", "/one/./deep", "/one/deep%2fx", "/one%2fdeep/x", "/%2fone", "/w/..%2fx", "/..//one/x",
    "/one/x/..//deep/y", "/.%2fone", "/caf%C3%A9%2Fx",
])
def test_a_path_that_others_read_as_another_applications_is_nobodys(server, path):
    with server.connect() as c:
        r = c.request("GET", path)
        assert r.status == 404 and r.body == b"404 Not Found\n"
        assert c.request("GET", "/one").json()["app"] == "one"


@pytest.mark.parametrize("path, root, full, raw", [
    ("/", "", "/", "/"), ("/one", "/one", "/one", "/one"), ("/one/", "/one", "/one/", "/one/"),
    ("/one/deep/x?q", "/one/deep", "/one/deep/x", "/one/deep/x"), ("/%6fne/%C3%A9", "/one", "/one/\u00e9", "/%6fne/%C3%A9"),
    ("/caf%c3%a9/x", "/caf\u00e9", "/caf\u00e9/x", "/caf%c3%a9/x"),
])
def test_asgi_path(server, path, root, full, raw):
    """path has root_path in front (ASGI HTTP 2.5)."""
    got = ask(server, path)
    assert (got["root_path"], got["path"], got["raw_path"]) == (root, full, raw)


@pytest.mark.parametrize("prefix, threads", [("/w", False), ("/pool", True)])
@pytest.mark.parametrize("rest, info", [("", ""), ("/", "/"), ("/x/y", "/x/y"), ("/%C3%A9", "/\u00c3\u00a9"), ("/a%2fb//c", "/a/b//c")])
def test_wsgi_path(server, prefix, threads, rest, info):
    """SCRIPT_NAME and PATH_INFO together are the path (PEP 3333)."""
    assert ask(server, prefix + rest + "?q=1") == {
        "app": "wsgi", "SCRIPT_NAME": prefix, "PATH_INFO": info, "RAW_URI": prefix + rest + "?q=1", "QUERY_STRING": "q=1",
        "wsgi.multithread": threads}


def test_behind_a_proxy(proxied):
    assert ask(proxied, "/x")["root_path"] == "/outer" and ask(proxied, "/x")["path"] == "/outer/x"
    got = ask(proxied, "/one/x")
    assert (got["root_path"], got["path"], got["raw_path"]) == ("/other/one", "/other/one/x", "/other/one/x")
    got = ask(proxied, "/w/x")
    assert (got["SCRIPT_NAME"], got["PATH_INFO"]) == ("/outer/w", "/x")


def test_all_on_one_connection(server):
    """Whoever answered first: addresses are kept with the connection, and given back at its end."""
    for paths in (["/w", "/one", "/", "/hello", "/pool/x", "/one/deep"], ["/", "/w", "/one"], ["/hello", "/one", "/w/x"]):
        with server.connect() as c:
            for path in paths:
                r = c.request("GET", path)
                assert r.status == 200 and (path == "/hello" or r.json()["app"])
                assert c.request("POST", path, body=b"x" * 100_000).status == 200


def test_state_is_each_ones_own(server):
    assert [ask(server, path)["state"] for path in ("/", "/one", "/one/deep", "/caf%C3%A9")] == ["default", "one", "two", "three"]


@pytest.mark.parametrize("path, name", [("/", "default"), ("/one/chat", "one"), ("/one/deep", "two")])
def test_websocket(server, path, name):
    with WS(server.connect(), path) as ws:
        got = json.loads(ws.read_text())
        assert (got["app"], got["path"], got["state"]) == (name, path, name)
        assert got["root_path"] == {"default": "", "one": "/one", "two": "/one/deep"}[name]
        ws.text("hello").expect(TEXT, f"{name} hello")
        ws.close()


def test_no_websocket_where_wsgi_is_mounted(server):
    with server.connect() as c:
        r = c.request("GET", "/w/x", ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
                                      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="])
        assert r.status == 200 and r.json()["PATH_INFO"] == "/x"


def test_without_an_application_of_its_own(alone):
    with alone.connect() as c:
        for path in ("/", "/x", "/onex", "/sx"):
            assert c.request("GET", path).status == 404
        assert c.request("OPTIONS", "*").status == 404
        assert c.request("HEAD", "/").status == 404
        assert c.request("POST", "/", body=b"x" * 1000).status == 404
        assert c.request("GET", "/one").json()["app"] == "one"


def test_beside_static_files(alone):
    """The longest prefix, whatever is behind it."""
    assert alone.get("/s/a.txt").body == b"a file\n"
    assert ask(alone, "/s/deep/b.txt")["PATH_INFO"] == "/b.txt"
    for path in ("/s/x/../deep/b.txt", "/s//deep/b.txt", "/s/deep%2fb.txt", "/s%2fa.txt", "//s/a.txt"):
        assert alone.get(path).status == 404


def steps(server, n):
    return [(e["app"], e["step"]) for e in (server.wait_event(match=lambda e: "step" in e) for _ in range(n))]


def end(server):
    """The last events of a server come before its leaving the `with` throws them away."""
    server.ending = True
    server.signal(signal.SIGTERM)


def test_lifespans_start_in_order_and_stop_in_reverse():
    with Server("apps.mounted:default", {"mount:/b": mount("one"), "mount:/w": mount("wsgi"), "mount:/a": mount("two")}) as s:
        assert steps(s, 3) == [("default", "startup"), ("one", "startup"), ("two", "startup")]
        end(s)
        assert steps(s, 3) == [("two", "shutdown"), ("one", "shutdown"), ("default", "shutdown")]


def test_lifespan_is_each_mounts_setting():
    with Server("apps.mounted:default", {"app": {"lifespan": "off"}, "mount:/b": mount("one", lifespan="off"),
                                         "mount:/a": mount("two", lifespan="on")}) as s:
        assert steps(s, 1) == [("two", "startup")]
        assert [ask(s, path)["state"] for path in ("/", "/b", "/a")] == [None, None, "two"]
        end(s)
        assert steps(s, 1) == [("two", "shutdown")]


def boot_fails(config, status, allow=("[CRITICAL]",)):
    server = Server("apps.mounted:default", config, status=status, allow=allow)
    try:
        server.start()
        assert server.wait_exit() == status
        log = server.log()
        server.stop()
        return server, log
    finally:
        server.kill()


def test_a_start_up_that_fails_stops_those_before():
    server, log = boot_fails({"mount:/a": mount("one"), "mount:/b": mount("failing"), "mount:/c": mount("two")}, 3)
    assert "[mount:/b] the database is away" in log
    assert steps(server, 5) == [("default", "startup"), ("one", "startup"), ("failing", "startup"),
                                ("one", "shutdown"), ("default", "shutdown")]
    assert not server.has_event(app="two")


def test_a_shut_down_that_hangs_does_not_hide_the_failure():
    server, log = boot_fails({"mount:/a": mount("stuck"), "mount:/b": mount("failing")}, 3)
    assert "[mount:/b] the database is away" in log
    assert ("stuck", "shutdown") in steps(server, 4)


@pytest.mark.parametrize("config, status, words", [
    ({"mount:/a": {"module": "apps.there_is_none:app"}}, 4, "[mount:/a] "),
    ({"mount:/a": mount("one"), "mount:/b": {"module": "apps.broken:there_is_none"}}, 4, "[mount:/b] "),
    ({"mount:/a": {"module": "apps.wsgi_odd:neither"}}, 4, "[mount:/a] "),
    ({"mount:/a": mount("wsgi", lifespan="on")}, 3, "[mount:/a] lifespan = on, but a WSGI application has no lifespan"),
    ({"mount:/a": mount("one"), "app": {"module": "apps.there_is_none:app"}}, 4, "no module named 'apps.there_is_none'"),
])
def test_one_that_cannot_be_loaded_is_named(config, status, words):
    server = Server(None if "app" in config else "apps.mounted:default", config, status=status, allow=("[CRITICAL]", "Traceback"))
    try:
        server.start()
        assert server.wait_exit() == status and words in server.log()
        server.stop()
    finally:
        server.kill()


def test_told_to_stop_between_two_start_ups(tmp_path):
    """Those that are up are shut down, and no other starts."""
    module = tmp_path / "waits.py"
    module.write_text("import asyncio\nfrom apps.report import report\n\n\nasync def app(scope, receive, send):\n"
                      "    await receive()\n    report(app='waits', step='startup')\n"
                      "    try:\n        await asyncio.Event().wait()\n    finally:\n        report(app='waits', step='cancelled')\n")
    server = Server("apps.mounted:default", {"mount:/a": mount("one"), "mount:/b": {"module": f"{module}:app"}, "mount:/c": mount("two")})
    try:
        server.start()
        assert steps(server, 3) == [("default", "startup"), ("one", "startup"), ("waits", "startup")]
        end(server)
        assert steps(server, 3) == [("waits", "cancelled"), ("one", "shutdown"), ("default", "shutdown")]
        server.stop()
    finally:
        server.kill()


def test_admission_is_shared():
    """max_inflight counts the requests of all of them."""
    with Server("apps.mounted:default", {"http": {"max_inflight": 2, "max_queue": 1}, "mount:/one": mount("one"),
                                         "mount:/w": mount("wsgi")}) as s:
        first, second = s.connect(), s.connect()
        for c, path, name in ((first, "/one/hold", "one"), (second, "/hold", "default")):
            c.send_request("GET", path)
            s.wait_event(app=name, step="hold")
        with s.connect() as waits:
            waits.send_request("GET", "/w/x")
            waits.expect_no_more()
            assert s.get("/one").status == 503
            first.reset()
            assert waits.read_response().json()["PATH_INFO"] == "/x"
        s.wait_event(app="one", step="gone")
        second.reset()
        s.wait_event(app="default", step="gone")


def test_a_reload_adds_and_removes():
    with Server("apps.mounted:default", {"mount:/one": mount("one")}, respawn=True) as s:
        assert ask(s, "/one")["app"] == "one" and ask(s, "/two/x")["app"] == "default"
        del s.config["mount:/one"]
        mark = s.log_mark()
        s.write_config({"mount:/two": mount("two"), "mount:/two/w": mount("wsgi")})
        s.signal(signal.SIGHUP)
        s.wait_log("reloaded: generation 2", mark)
        s.wait_event(app="one", step="shutdown")
        assert ask(s, "/one")["app"] == "default" and ask(s, "/two/x")["app"] == "two" and ask(s, "/two/w")["app"] == "wsgi"


def test_a_reload_whose_mount_fails_leaves_all_as_it_was():
    with Server("apps.mounted:default", {"mount:/one": mount("one")}, allow=("[CRITICAL]",), respawn=True) as s:
        s.write_config({"mount:/bad": mount("failing")})
        s.signal(signal.SIGHUP)
        s.wait_log(r"\[mount:/bad\] the database is away")
        assert ask(s, "/one")["app"] == "one" and ask(s, "/bad")["app"] == "default"


def test_the_same_file_twice_is_one_module(tmp_path):
    (tmp_path / "site.py").write_text("""
import itertools
loads = next(itertools.count())
count = itertools.count()

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%s %d" % (environ["SCRIPT_NAME"].encode(), next(count))]
""")
    named = {"module": f"{tmp_path}/site.py:app"}
    with Server(None, {"mount:/a": named, "mount:/b": named}) as s:
        assert [s.get(path).body for path in ("/a", "/b", "/a")] == [b"/a 0", b"/b 1", b"/a 2"]
