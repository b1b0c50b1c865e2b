# SPDX-License-Identifier: BSD-3-Clause
"""Current frameworks from PyPI as judges, in a virtual environment named by TINE_TEST_VENV (.ci/run makes it).

pydantic 2 is a PyO3 module: newer Pythons refuse it in a sub-interpreter, so interpreter = auto has to find its way.
Tine finds the packages through [app] venv, as a user's service would. Clients and expectations are Debian's.
"""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from lib.build import APPS
from lib.server import Server
from lib.waiting import wait_for
from lib.ws import CLOSE, TEXT, WS, close_payload

VENV = os.environ.get("TINE_TEST_VENV")
pytestmark = pytest.mark.skipif(not VENV, reason="TINE_TEST_VENV is not set")

httpx = pytest.importorskip("httpx")
PYPI = APPS / "pypi"


def needs(package):
    if not any((Path(VENV) / "lib").glob(f"python3.*/site-packages/{package}/__init__.py")):
        pytest.skip(f"{package} is not in {VENV}")


class Project(Server):
    def __init__(self, module, *, env=None, flags="", allow=(), tls=None, **app):
        super().__init__(module, {"app": {"venv": VENV, **app}}, cwd=PYPI, env=env, flags=flags, allow=allow, tls=tls)

    def __enter__(self):
        super().__enter__()
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30, verify=False)
        return self

    def __exit__(self, *about):
        if hasattr(self, "client"):
            self.client.close()
        super().__exit__(*about)


@pytest.mark.parametrize("interpreter", ["auto", "main"])
def test_fastapi_with_pydantic_2(interpreter):
    needs("fastapi")
    with Project("with_fastapi:app", interpreter=interpreter) as server:
        facts = server.client.get("/").json()
        assert facts["pydantic"].startswith("2.") and facts["fastapi"]
        good = server.client.post("/orders", json={"name": "nail", "amount": "12", "at": "2026-11-22T10:00:00Z"})
        assert good.status_code == 201
        assert good.json() == {"name": "nail", "amount": 12, "at": "2026-11-22T10:00:00Z", "started": True}
        bad = server.client.post("/orders", json={"name": "nail", "amount": "many"})
        assert bad.status_code == 422
        assert {tuple(fault["loc"]) for fault in bad.json()["detail"]} == {("body", "amount"), ("body", "at")}
        assert server.client.get("/openapi.json").json()["info"]["title"] == "Orders"
        uploaded = server.client.post("/upload", files={"file": ("a.txt", b"x" * 200_000)})
        assert uploaded.json() == {"name": "a.txt", "size": 200_000}
        assert server.client.get("/stream").text == "".join(f"{number}\n" for number in range(100))


def test_litestar():
    needs("litestar")
    with Project("with_litestar:app") as server:
        assert server.client.get("/").json() == {"hello": "litestar", "started": True}
        assert server.client.get("/items/7").json() == {"id": 7, "name": "item 7"}
        assert server.client.get("/items/x").status_code in (400, 404)
        made = server.client.post("/items", json={"id": 3, "name": "three"})
        assert made.status_code == 201 and made.json() == {"id": 3, "name": "three"}
        assert server.client.get("/stream").text == "".join(f"{number}\n" for number in range(100))
        assert server.client.get("/nowhere").status_code == 404


def migrate(folder, settings, environment):
    subprocess.run([str(Path(VENV) / "bin" / "python"), "-m", "django", "migrate", "--run-syncdb", "-v", "0"], cwd=folder,
                   check=True, env=dict(os.environ, DJANGO_SETTINGS_MODULE=settings, PYTHONPATH=f"{folder}:{APPS.parent}",
                                        **environment))


def test_django(tmp_path):
    """The notebook of test_frameworks, whose stream is an async iterator from Django 4.2 on."""
    needs("django")
    project = APPS / "frameworks" / "django_notes"
    environment = {"NOTES_DATABASE": str(tmp_path / "notes.sqlite3")}
    migrate(project, "notebook.settings", environment)
    server = Server("notebook.asgi:application", {"app": {"venv": VENV}}, cwd=project, env=environment)
    with server, httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=30, verify=False) as client:
        assert "visit 1" in client.get("/").text
        assert "visit 2" in client.get("/").text
        made = client.post("/notes", json={"text": "five"})
        assert made.status_code == 201
        assert client.get(f"/notes/{made.json()['id']}").json() == made.json()
        upload = client.post("/upload", data={"title": "t"}, files={"file": ("f.bin", b"y" * 300_000)})
        assert upload.json()["size"] == 300_000
        with client.stream("GET", "/stream/a") as answer, httpx.Client(base_url=client.base_url, verify=False) as other:
            seen = b""
            for data in answer.iter_raw():
                seen += data
                if b"piece 4" not in seen:
                    other.post(f"/release/a.{seen.count(bytes([10]))}")
        assert seen == b"".join(b"piece %d\n" % number for number in range(5))
        job = client.post("/jobs").json()["id"]
        client.post(f"/release/job.{job}")
        wait_for(lambda: client.get(f"/jobs/{job}").json()["result"] == "done", what="the background job")


def test_channels():
    """HTTP through Channels' router and an async consumer."""
    needs("channels")
    with Project("with_channels:application", env={"DJANGO_SETTINGS_MODULE": "with_channels"}) as server:
        assert server.client.get("/plain").text == "plain view"
        answer = server.client.post("/consumer", content=b"z" * 100_000)
        assert answer.status_code == 200
        assert answer.json() == {"path": "/consumer", "size": 100_000}


@pytest.mark.parametrize("threads, prefix", [(1, ""), (4, ""), (4, "/dav")])
def test_wsgidav(tmp_path, threads, prefix):
    """Methods and bodies that few others have: PROPFIND, LOCK, MOVE, PUT by chunks, ranges, names beyond ASCII."""
    needs("wsgidav")
    app = {"module": "with_wsgidav:app", "threads": threads}
    config = {"app": {"venv": VENV}, f"mount:{prefix}": app} if prefix else {"app": {"venv": VENV, **app}}
    server = Server(None, config, cwd=PYPI, env={"DAV_PLACE": str(tmp_path), "DAV_MOUNT": prefix})
    with server, httpx.Client(base_url=f"http://127.0.0.1:{server.port}{prefix}", timeout=30, verify=False) as client:
        there = f"http://127.0.0.1:{server.port}{prefix}"
        assert "1,2" in client.options("/").headers["dav"].replace(" ", "")
        assert client.request("MKCOL", "/b%C3%BCcher").status_code == 201
        data = os.urandom(3_000_000)
        assert client.put("/b%C3%BCcher/a.bin", content=data).status_code == 201
        assert client.put("/b%C3%BCcher/a.bin", content=iter([data[:7], data[7:]])).status_code == 204  # chunked
        assert (tmp_path / "b\u00fccher" / "a.bin").read_bytes() == data == client.get("/b%C3%BCcher/a.bin").content
        part = client.get("/b%C3%BCcher/a.bin", headers={"Range": "bytes=10-19"})
        assert part.status_code == 206 and part.content == data[10:20]
        listed = client.request("PROPFIND", "/b%C3%BCcher", headers={"Depth": "1"})
        assert listed.status_code == 207 and f"{prefix}/b%C3%BCcher/a.bin" in listed.text and "3000000" in listed.text
        lock = client.request("LOCK", "/b%C3%BCcher/a.bin", headers={"Timeout": "Second-60"}, content=(
            '<?xml version="1.0"?><D:lockinfo xmlns:D="DAV:"><D:lockscope><D:exclusive/></D:lockscope><D:locktype><D:write/>'
            '</D:locktype></D:lockinfo>'))
        assert lock.status_code == 200 and client.put("/b%C3%BCcher/a.bin", content=b"x").status_code == 423
        held = {"If": f"({lock.headers['lock-token']})"}
        assert client.put("/b%C3%BCcher/a.bin", content=b"x", headers=held).status_code == 204
        assert client.request("UNLOCK", "/b%C3%BCcher/a.bin", headers={"Lock-Token": lock.headers["lock-token"]}).status_code == 204
        moved = client.request("MOVE", "/b%C3%BCcher/a.bin", headers={"Destination": f"{there}/b.bin"})
        assert moved.status_code == 201 and (tmp_path / "b.bin").read_bytes() == b"x"
        assert client.request("COPY", "/b.bin", headers={"Destination": f"{there}/c.bin"}).status_code == 201
        assert client.delete("/b%C3%BCcher").status_code == 204
        assert sorted(path.name for path in tmp_path.iterdir()) == ["b.bin", "c.bin"]


@pytest.mark.parametrize("flags", ["", "h2c"], ids=["http/1.1", "h2"])
def test_generator_that_waits_is_cancelled_when_the_client_leaves(flags):
    """FastAPI listens for the disconnect, because the scope says ASGI 2.3."""
    needs("fastapi")
    with Project("with_fastapi:app", flags=flags) as server:
        http2 = ["--http2-prior-knowledge"] if flags else []
        url = f"http://127.0.0.1:{server.port}"
        with subprocess.Popen(["curl", "-sN", *http2, url + "/waits"], stdout=subprocess.PIPE) as leaving:
            assert leaving.stdout.readline() == b"first\n"
            leaving.kill()
        assert subprocess.check_output(["curl", "-s", *http2, "--max-time", "30", url + "/ended"]) == b'"CancelledError"'


@pytest.mark.parametrize("flags", ["", "h2c"], ids=["http/1.1", "h2"])
def test_clients_that_leave_are_no_events_of_sentry(flags):
    needs("sentry_sdk")
    with Project("with_sentry:app", flags=flags, allow={"Traceback"}) as server:
        curl = ["curl", "-sN", "--max-time", "30", *(["--http2-prior-knowledge"] if flags else [])]
        url = f"http://127.0.0.1:{server.port}"

        def get(path):
            return subprocess.run([*curl, url + path], check=True, stdout=subprocess.PIPE).stdout
        for path in ("/waits", "/busy", "/slow", "/upload"):
            upload = ["-T", "-"] if path == "/upload" else []
            with subprocess.Popen([*curl, *upload, "-X", "POST" if upload else "GET", url + path], stdin=subprocess.PIPE,
                                  stdout=subprocess.DEVNULL) as leaving:
                if upload:
                    leaving.stdin.write(b"begun")
                    leaving.stdin.flush()
                assert get("/running") == b"yes"
                leaving.kill()
            assert get("/ended") == b"yes"
            events = json.loads(get("/events"))
            # Starlette raises this itself where a handler reads a body that ends early, on every server.
            assert events == (["ClientDisconnect"] if path == "/upload" else []), path
        get("/raises")
        assert json.loads(get("/events")) == ["RuntimeError"]


FILES = {"plain": "identity", "gzip": "gzip", "base": "identity", "reads": "identity", "br": "br", "zstd": "zstd", "base_gzip": "gzip",
         "gzip_base": "gzip", "cors": "identity", "host": "identity"}
SEEN_BY_NOBODY = {"plain", "cors", "host"}


@pytest.mark.parametrize("framework", ["starlette", "fastapi", "litestar", "quart"])
def test_middleware_sees_the_bodies_of_files(framework):
    """No extension that the scope offers by default keeps the file of a response from middleware that compresses or reads it."""
    needs(framework)
    needs("brotli_asgi")
    with Project("with_files:app") as server:
        for middleware, coding in FILES.items():
            answer = subprocess.run(["curl", "-s", "--compressed", "-D", "-", "-H", "Accept-Encoding: " + coding,
                                     f"http://127.0.0.1:{server.port}/{framework}/{middleware}"], stdout=subprocess.PIPE, check=True)
            head, body = answer.stdout.split(b"\r\n\r\n", 1)
            assert head.startswith(b"HTTP/1.1 200 "), (middleware, answer.stdout)
            if coding != "identity":
                assert f"content-encoding: {coding}\r\n".encode() in head.lower() + b"\r\n", (middleware, head)
            else:
                assert body == b"a line of the file\n" * 1000
            if framework in ("starlette", "fastapi") and middleware != "reads":
                assert (b"offered: True" in head) == (middleware in SEEN_BY_NOBODY), (middleware, head)


def test_files_are_the_same_with_and_without_pathsend():
    """Whatever happens to the file, and whatever the client asks for. Starlette tells of both ways alike: what differs is ours."""
    needs("fastapi")
    needs("litestar")
    needs("brotli_asgi")
    answers = {}
    for extensions in ("auto", "-http.response.pathsend"):
        with Project("with_files:app", asgi_extensions=extensions, allow={"Traceback"}) as server:
            answers[extensions] = dict(odd_files(server))
    # Known before the head is out, here; else the response has to be cut.
    assert answers["auto"].pop("shrinks")[0] == 500 and answers["-http.response.pathsend"].pop("shrinks") == "cut"
    assert answers["auto"] == answers["-http.response.pathsend"]
    answers = answers["auto"]
    assert answers["shouts"] == (200, b"A LINE OF THE FILE\n" * 1000, "19000")
    assert answers["steady"][:2] == (200, b"a line of the file\n" * 1000) and answers["empty"][:2] == (200, b"")
    assert [answers[name][0] for name in ("range", "if-range", "other if-range", "beyond", "not modified")] == [206, 206, 200, 416, 304]
    assert answers["vanishes"][0] == 500 and answers["ended"] == b"empty large steady", answers


def odd_files(server):
    def get(path, method="GET", **fields):
        try:
            r = server.client.request(method, path, headers={k.replace("_", "-"): v for k, v in fields.items()})
        except httpx.RemoteProtocolError:
            return "cut"
        return r.status_code, r.content if r.status_code < 500 else b"", r.headers.get("content-length") if r.status_code < 500 else None
    for how in ("steady", "empty", "vanishes", "shrinks", "grows"):
        yield how, get("/changing/" + how)
    with server.connect() as c:
        c.send_request("GET", "/changing/large")
        c.read_until(b"\r\n\r\n")
    # It returns, whether the client has left or not.
    wait_for(lambda: b"large" in server.client.get("/ended").content)
    yield "ended", b" ".join(sorted(set(server.client.get("/ended").content.split())))
    yield "head", get("/changing/steady", "HEAD")
    yield "shouts", get("/shouts")
    etag = server.client.get("/shouts").headers["etag"]
    for name, fields in {"range": {"range": "bytes=5-20"}, "if-range": {"range": "bytes=5-20", "if_range": etag},
                         "other if-range": {"range": "bytes=5-20", "if_range": '"other"'}, "beyond": {"range": "bytes=90000-"}}.items():
        yield name, get("/starlette/plain", **fields)
    yield "not modified", get("/static/" + server.client.get("/name").text, if_none_match=etag)


@pytest.mark.parametrize("path", ["/sse", "/events", "/noticing"])
def test_endless_streams_end_at_term_where_the_application_listens(tmp_path, path):
    needs("sse_starlette")
    with Project("with_streams:app", env={"TINE_TEST_MARKS": str(tmp_path)}) as server, server.connect() as c:
        c.send_request("GET", path)
        c.read_until(b"3")
        server.signal(signal.SIGTERM)
        assert c.read_to_end().endswith(b"0\r\n\r\n"), "the stream was cut"
        assert server.wait_exit() == 0
        assert "are left of those in flight" not in server.log()
        assert (tmp_path / "hook").exists() and (tmp_path / "atexit").exists()


def test_a_websocket_ends_at_term(tmp_path):
    needs("sse_starlette")
    with Project("with_streams:app", env={"TINE_TEST_MARKS": str(tmp_path)}) as server, WS(server.connect(), "/socket") as ws:
        ws.expect(1, "hello")
        server.signal(signal.SIGTERM)
        ws.expect_close(1012, answer=True)
        assert server.wait_exit() == 0
        assert "are left of those in flight" not in server.log()
        assert (tmp_path / "hook").exists() and (tmp_path / "atexit").exists()


@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
def test_flask_sock(tls):
    needs("flask_sock")
    with Project("with_flask_sockets:app", threads=4, tls=tls) as server:
        with WS(server.connect(), "/echo") as w:
            for message in ("one", "caf\u00e9", "x" * 100000):
                w.send(TEXT, message)
                assert w.read()[2:] == (TEXT, message.encode())
            w.send(TEXT, "stop")
            assert w.read()[2:] == (TEXT, b"stop")
            assert w.read()[2] == CLOSE
        with WS(server.connect(), "/echo") as w:
            w.send(CLOSE, close_payload(1000))
            assert w.read()[2] == CLOSE
        assert server.get("/").body == b"hello"
        assert "[ERROR]" not in server.log()


@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
def test_flask_socketio_in_threading_mode(tls):
    needs("flask_socketio")
    with Project("with_flask_sockets:app", threads=4, tls=tls) as server:
        with WS(server.connect(), "/socket.io/?EIO=4&transport=websocket") as w:
            assert w.read()[3].startswith(b"0{")
            w.send(TEXT, "40")
            assert w.read()[3].startswith(b"40{")
            w.send(TEXT, '42["shout","hello"]')
            assert w.read()[3] == b'42["heard","HELLO"]'
            w.send(CLOSE, close_payload(1000))
        assert server.get("/").body == b"hello"
        assert "[ERROR]" not in server.log()


# In each of them some version of CPython refuses a sub-interpreter: when the module is loaded, or in the lifespan.
REFUSES = {
    "pandas": "import pandas\ndef use():\n    return int(pandas.DataFrame({'a': [1, 2]}).a.sum())\nat_start = use",
    "psycopg2": "import psycopg2.extensions\ndef use():\n    return len(psycopg2.extensions.parse_dsn('host=a'))\nat_start = use",
    "bcrypt": "def use():\n    import bcrypt\n    return len(bcrypt.gensalt(4))\nat_start = use",
    "fork": "import os\ndef at_start():\n    pass\ndef use():\n    pid = os.fork()\n    if pid == 0:\n        os._exit(0)\n    return os.waitpid(pid, 0)[1]",
}
REFUSES_APP = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        at_start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = str(use()).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
"""


@pytest.mark.parametrize("package", REFUSES)
def test_without_any_setting(package, tmp_path):
    if package != "fork":
        needs(package)
    (tmp_path / "refuses_app.py").write_text(REFUSES[package] + REFUSES_APP)
    with Server("refuses_app:app", {"app": {"venv": VENV, "pythonpath": tmp_path}}, cwd=tmp_path, respawn=True, allow={"Traceback"}) as server:
        wait_for(lambda: server.get("/").status == 200, what="an answer")
        assert len(re.findall("the application (?:refuses|does not work in a) sub-interpreter", server.log())) <= 1


def test_nest_asyncio_in_a_request():
    """Refused, and the worker goes on."""
    if not any((Path(VENV) / "lib").glob("python3.*/site-packages/nest_asyncio.py")):
        pytest.skip(f"nest_asyncio is not in {VENV}")
    with Project("with_nest_asyncio:app", allow={"was never awaited"}) as server:
        for path, body in (("/", b"nested"), ("/nests", b"This event loop is already running")) * 2:
            assert server.get(path).body == body


def test_nest_asyncio_on_asyncios_own_loop():
    """It works there. A request that comes meanwhile waits, and nothing is logged in each round of the loop inside the loop."""
    if not any((Path(VENV) / "lib").glob("python3.*/site-packages/nest_asyncio.py")):
        pytest.skip(f"nest_asyncio is not in {VENV}")
    with Project("with_nest_asyncio:app", loop="asyncio", interpreter="main") as server:
        for _ in range(2):
            with server.connect() as one, server.connect() as other:
                one.send_request("GET", "/nests")
                server.wait_event(event="nests")
                other.send_request("GET", "/")
                assert [c.read_response().body for c in (one, other)] == [b"nested", b"nested"]
        assert "Exception in callback" not in server.log()


def test_prometheus_client_in_several_processes(tmp_path):
    """Gauges of workers that have ended go with them, by the hook child_exit; counters stay. By crashes and by a reload."""
    needs("prometheus_client")
    with Project("with_prometheus:app", env={"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}, hooks="prometheus_hooks", interface="wsgi") as server:
        server.respawn = True

        def figures():
            text = server.client.get("/metrics").text
            return {name: float(re.search(rf"^{name} (\S+)$", text, re.M).group(1)) for name in ("shop_requests_total", "shop_workers")}
        for _ in range(5):
            assert server.client.get("/").status_code == 200
        assert figures() == {"shop_requests_total": 5, "shop_workers": 1}
        first = server.workers()[0]
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: server.workers() and first not in server.workers(), what="another worker")

        def again():
            try:
                return figures() == {"shop_requests_total": 5, "shop_workers": 1}
            except httpx.TransportError:
                return False
        wait_for(again, what="one living worker, and what the dead one had counted")
        server.signal(signal.SIGHUP)
        server.wait_log("generation 2 serves")
        wait_for(again, what="one living worker after a reload")
