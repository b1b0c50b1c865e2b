# SPDX-License-Identifier: BSD-3-Clause
"""Real frameworks as judges: the same notebook written with Starlette, FastAPI, Quart and Django (Debian's packages, or what the
Python has that TINE_TEST_PYTHON names).

What is expected is what each framework's documentation promises its users; the server is started as a user would, from
the project's folder. Clients are httpx and curl; nothing here waits by time: streams and jobs go on when told to.
"""

import hashlib
import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from lib.build import APPS, app_has, app_python
from lib.server import Server
from lib.waiting import wait_for

httpx = pytest.importorskip("httpx")

PROJECTS = {
    "starlette": ("starlette_notes", "main:app"),
    "fastapi": ("fastapi_notes", "main:app"),
    "quart": ("quart_notes", "main:app"),
    "django": ("django_notes", "notebook.asgi:application"),
}


class Notebook:
    """A running project: `server`, `database` and an httpx client that keeps its connection."""

    def __init__(self, name, folder, **options):
        project, module = PROJECTS[name]
        self.name = name
        self.database = folder / "notes.sqlite3"
        environment = {"NOTES_DATABASE": str(self.database), **options.pop("env", {})}
        if name == "django":
            migrate(APPS / "frameworks" / project, environment)
        # boom() is asked for its traceback.
        self.server = Server(module, options.pop("config", None), cwd=APPS / "frameworks" / project, env=environment,
                             allow={"Traceback", "Exception ignored"}, **options)

    def __enter__(self):
        self.server.__enter__()
        self.url = f"http://127.0.0.1:{self.server.port}"
        self.client = httpx.Client(base_url=self.url, timeout=30, verify=False)
        return self

    def __exit__(self, *about):
        self.client.close()
        self.server.__exit__(*about)

    def curl(self, *arguments):
        return subprocess.run(["curl", "-sS", "--max-time", "30", *arguments], check=True, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE).stdout


def migrate(folder, environment):
    """What a user does before the first start."""
    subprocess.run([app_python(), "-m", "django", "migrate", "--run-syncdb", "-v", "0"], cwd=folder, check=True,
                   env=dict(os.environ, DJANGO_SETTINGS_MODULE="notebook.settings", PYTHONPATH=f"{folder}:{APPS.parent}",
                            **environment))


@pytest.fixture(scope="module", params=list(PROJECTS))
def notebook(request, tmp_path_factory):
    if not app_has(request.param):
        pytest.skip(f"python3-{request.param} is not installed")
    with Notebook(request.param, tmp_path_factory.mktemp(request.param)) as running:
        yield running


def test_page(notebook):
    answer = notebook.client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "<h1>Notes</h1>" in answer.text


def test_head(notebook):
    if notebook.name == "fastapi":
        pytest.skip("FastAPI adds no HEAD to a GET route")
    get, head = notebook.client.get("/notes"), notebook.client.head("/notes")
    assert head.status_code == 200 and head.content == b""
    assert head.headers["content-length"] == get.headers["content-length"]
    assert notebook.client.get("/notes").json() == get.json()


def test_notes_are_kept_in_the_database(notebook):
    made = notebook.client.post("/notes", json={"text": "snow ❄ and ünïcode"})
    assert made.status_code == 201, made.text
    number = made.json()["id"]
    assert notebook.client.get(f"/notes/{number}").json() == {"id": number, "text": "snow ❄ and ünïcode"}
    assert made.json() in notebook.client.get("/notes").json()


def test_missing_note_is_the_frameworks_404(notebook):
    for path in ("/notes/999999", "/no/such/page"):
        answer = notebook.client.get(path)
        assert answer.status_code == 404
        assert "No such page" in answer.text


def test_redirect(notebook):
    answer = notebook.client.get("/old")
    assert answer.status_code in (302, 307)
    assert answer.headers["location"] == "/"
    assert notebook.client.get("/old", follow_redirects=True).status_code == 200


@pytest.mark.parametrize("size", [0, 1, 70_000, 5_000_000])
def test_multipart_upload(notebook, size):
    data = os.urandom(size)
    answer = notebook.client.post("/upload", data={"title": "ä title"}, files={"file": ("näme.bin", data)})
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"title": "ä title", "name": "näme.bin", "size": size,
                             "sha256": hashlib.sha256(data).hexdigest()}


def test_multipart_upload_by_curl(notebook, tmp_path):
    file = tmp_path / "upload.bin"
    file.write_bytes(os.urandom(3_000_000))
    answer = notebook.curl("-F", "title=by curl", "-F", f"file=@{file}", notebook.url + "/upload")
    assert hashlib.sha256(file.read_bytes()).hexdigest().encode() in answer


def test_chunked_upload(notebook):
    if notebook.name == "django":
        pytest.skip("Django reads no body without a Content-Length")
    parts = [os.urandom(50_000) for _ in range(20)]
    answer = notebook.client.put("/raw", content=iter(parts))
    assert answer.json() == {"size": 1_000_000, "sha256": hashlib.sha256(b"".join(parts)).hexdigest()}


def test_upload_after_100_continue(notebook, tmp_path):
    file = tmp_path / "upload.bin"
    file.write_bytes(os.urandom(200_000))
    answer = notebook.curl("-v", "-H", "Expect: 100-continue", "-T", str(file), notebook.url + "/raw")
    assert hashlib.sha256(file.read_bytes()).hexdigest().encode() in answer


def test_stream_arrives_in_pieces(notebook):
    """Each piece is seen before the application is told to go on."""
    with httpx.Client(base_url=notebook.url, timeout=30, verify=False) as other, notebook.client.stream("GET", "/stream/a") as answer:
        assert answer.status_code == 200
        assert answer.headers["transfer-encoding"] == "chunked"
        seen, expected = b"", b"".join(b"piece %d\n" % number for number in range(5))
        for data in answer.iter_raw():
            seen += data
            if seen != expected:
                other.post(f"/release/a.{seen.count(bytes([10]))}")
        assert seen == expected


def test_stream_is_left_by_the_client(notebook):
    with httpx.Client(base_url=notebook.url, timeout=30, verify=False) as leaving:
        with leaving.stream("GET", "/stream/left") as answer:
            next(answer.iter_raw())
    # Whether by http.disconnect or by the error of a later send(), the application gets to know; nothing else is
    # disturbed. One that learns it from send() must be let on until it sends.
    for number in range(1, 5):
        notebook.client.post(f"/release/left.{number}")
    assert notebook.client.get("/").status_code == 200


def test_background_job_runs_after_the_answer(notebook):
    made = notebook.client.post("/jobs")
    assert made.status_code == 202
    number = made.json()["id"]
    # The answer is complete while the job still waits; the connection is free where the framework lets it be.
    with httpx.Client(base_url=notebook.url, timeout=30, verify=False) as other:
        assert other.get(f"/jobs/{number}").json() == {"id": number, "result": None}
        other.post(f"/release/job.{number}")
        wait_for(lambda: other.get(f"/jobs/{number}").json()["result"] == "done", what="the background job")


def test_requests_run_at_the_same_time(notebook):
    with ThreadPoolExecutor(10) as threads:
        answers = list(threads.map(lambda _: httpx.get(notebook.url + "/meet?n=10", timeout=30, verify=False), range(10)))
    assert [answer.text for answer in answers] == ["met"] * 10


def test_middleware_around_the_answer(notebook):
    if notebook.name != "fastapi":
        pytest.skip("only the FastAPI notebook has one that wraps answers")
    assert notebook.client.get("/notes").headers["x-path-length"] == "6"


def test_concurrent_writers(notebook):
    def write(number):
        return httpx.post(notebook.url + "/notes", json={"text": f"writer {number}"}, timeout=60, verify=False).status_code

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(write, range(40))) == {201}
    texts = [note["text"] for note in notebook.client.get("/notes").json()]
    assert {f"writer {number}" for number in range(40)} <= set(texts)


def test_file(notebook):
    answer = notebook.client.get("/file")
    assert answer.status_code == 200
    assert answer.content == bytes(range(256)) * 4096


def test_error_page_and_life_after_it(notebook):
    mark = notebook.server.log_mark()
    answer = httpx.get(notebook.url + "/boom", verify=False)
    assert answer.status_code == 500
    assert "Something broke" in answer.text
    assert "boom was asked for" not in answer.text
    if notebook.name not in ("quart", "django"):  # these log it themselves and raise nothing to the server
        notebook.server.wait_log("RuntimeError: boom was asked for", since=mark)
    assert notebook.client.get("/").status_code == 200


def test_keep_alive(notebook):
    with notebook.server.connect() as connection:
        for _ in range(20):
            assert connection.request("GET", "/notes").status == 200
        assert connection.is_open()


def test_keep_alive_by_curl(notebook):
    url = notebook.url + "/notes"
    said = notebook.curl("--http1.1", "-o", os.devnull, "-o", os.devnull, "-o", os.devnull, "-w", "%{http_code} %{num_connects}\n",
                         url, url, url)
    assert said.split() == [b"200", b"1", b"200", b"0", b"200", b"0"]


def test_connection_close_by_curl(notebook):
    said = notebook.curl("-H", "Connection: close", "-D", "-", "-o", os.devnull, notebook.url + "/notes").lower()
    assert b"connection: close" in said


def test_cookie_session(notebook):
    if notebook.name != "django":
        pytest.skip("only the Django notebook has sessions")
    with httpx.Client(base_url=notebook.url, verify=False) as visitor:
        assert "visit 1" in visitor.get("/").text
        assert "visit 2" in visitor.get("/").text


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("name", ["starlette", "fastapi", "quart"])
def test_life_of_the_application(name, stop, tmp_path):
    """Start-up before the first request, shut-down after the last, once per worker, also when it has to be quick."""
    if not app_has(name):
        pytest.skip(f"python3-{name} is not installed")
    import sqlite3

    with Notebook(name, tmp_path) as notebook:
        def life():
            connection = sqlite3.connect(notebook.database)
            try:
                return [event for event, in connection.execute("select event from life order by rowid")]
            finally:
                connection.close()

        assert life() == ["startup"]
        assert notebook.client.get("/").status_code == 200
        notebook.server.signal(stop)
        assert notebook.server.wait_exit() == 0
    assert life() == ["startup", "shutdown"]


def refuses_sub(name):
    """Whether what the framework is made of refuses a sub-interpreter here: pydantic 2 does from Python 3.12 on, until it is
    made with a PyO3 that does not."""
    if name != "fastapi":
        return False
    probe = ("import sys\n"
             "try:\n    import _interpreters as i\n    create = lambda: i.create('legacy')\n"
             "except ImportError:\n    import _xxsubinterpreters as i\n    create = lambda: i.create(isolated=False)\n"
             "try:\n    found = i.run_string(create(), 'from pydantic import BaseModel')\n"
             "except i.RunFailedError:\n    found = 'refused'\n"
             "sys.exit(found is not None)")
    return subprocess.run([app_python(), "-c", probe], stderr=subprocess.DEVNULL).returncode != 0


@pytest.mark.parametrize("interpreter", ["auto", "sub", "main"])
@pytest.mark.parametrize("name", list(PROJECTS))
def test_interpreter_and_workers(name, interpreter, tmp_path):
    """Each framework serves in a sub-interpreter and in the main one, from two workers that share the database.
    Where that is refused, `auto` falls back to the main one and says so once; asked for `sub` all the same, the service
    says so and ends."""
    if not app_has(name):
        pytest.skip(f"python3-{name} is not installed")
    config = {"server": {"workers": 2}, "app": {"interpreter": interpreter}}
    refused = interpreter != "main" and refuses_sub(name)
    if refused and interpreter == "sub":
        server = Notebook(name, tmp_path, config=config).server.start()
        try:
            assert server.wait_exit() == 4
            assert "subinterpreters" in server.log()
        finally:
            server.kill()
            server.cleanup()
        return
    with Notebook(name, tmp_path, config=config) as notebook:
        with ThreadPoolExecutor(8) as threads:
            def post(number):
                return httpx.post(notebook.url + "/notes", json={"text": str(number)}, timeout=60, verify=False).status_code

            assert set(threads.map(post, range(16))) == {201}
        assert len(notebook.client.get("/notes").json()) == 16
        fallbacks = notebook.server.log().count("the application refuses sub-interpreters (")
        assert fallbacks == (1 if refused else 0)
