# SPDX-License-Identifier: BSD-3-Clause
"""WSGI frameworks as judges: Flask, Bottle, Falcon, and Django under WSGI (Debian's packages), found out by `auto`."""

import hashlib
import os
import subprocess

import pytest

from lib.build import APPS, app_has, app_python
from lib.server import Server

httpx = pytest.importorskip("httpx")
FRAMEWORKS = ["flask", "bottle", "falcon"]
PROJECT = APPS / "frameworks" / "django_notes"


@pytest.fixture(scope="module", params=[(name, threads) for name in FRAMEWORKS for threads in (1, 4)],
                ids=lambda param: f"{param[0]}-{param[1]}")
def site(request):
    name, threads = request.param
    if not app_has(name):
        pytest.skip(f"applications find no {name}")
    server = Server(f"apps.frameworks.wsgi_notes:make_{name}()", {"app": {"threads": threads}},
                    allow={"Traceback"})  # boom() is asked for it
    with server, httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=30, verify=False) as client:
        server.client = client
        yield server


def test_page(site):
    r = site.client.get("/hello/J%C3%BCrgen?q=%20x")
    seen = r.json()
    assert seen["url"].startswith(f"http://127.0.0.1:{site.port}/hello/J")
    assert (seen["name"], seen["root"], seen["address"]) == ("J\u00fcrgen", "", "127.0.0.1")


@pytest.mark.parametrize("size", [10, 3000000])
def test_form_with_a_file(site, size):
    data = os.urandom(size)
    r = site.client.post("/upload", data={"title": "a title"}, files={"file": ("a.bin", data)})
    assert r.json() == {"title": "a title", "name": "a.bin", "sum": hashlib.sha256(data).hexdigest()}


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, 2000000])
def test_raw_body(site, size):
    assert site.client.post("/raw", content=b"x" * size).json() == {"size": size}


def test_stream(site):
    r = site.client.get("/stream")
    assert r.headers["transfer-encoding"] == "chunked"
    assert r.content == b"".join(b"line %d\n" % i for i in range(1000)) + b"/stream"


def test_download(site):
    r = site.client.get("/download")
    with open(APPS / "frameworks" / "wsgi_notes.py", "rb") as file:
        assert r.content == file.read() and int(r.headers["content-length"]) == len(r.content)
    if "falcon" not in site.app:  # which makes no HEAD of a GET
        assert site.client.head("/download").headers["content-length"] == r.headers["content-length"]


def test_missing_and_failing(site):
    assert site.client.get("/nowhere").status_code == 404
    assert site.client.get("/boom").status_code == 500
    assert site.client.get("/hello/again").status_code == 200


@pytest.fixture(scope="module", params=[1, 4])
def django(request, tmp_path_factory):
    if not app_has("django"):
        pytest.skip("applications find no django")
    environment = {"NOTES_DATABASE": str(tmp_path_factory.mktemp("django") / "notes.sqlite3")}
    subprocess.run([app_python(), "-m", "django", "migrate", "--run-syncdb", "-v", "0"], cwd=PROJECT, check=True,
                   env={**os.environ, **environment, "DJANGO_SETTINGS_MODULE": "notebook.settings",
                        "PYTHONPATH": f"{PROJECT}:{APPS.parent}"})
    server = Server("notebook.wsgi:application", {"app": {"threads": request.param}}, cwd=PROJECT, env=environment,
                    allow={"Traceback"})
    with server, httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=30, verify=False) as client:
        server.client = client
        yield server


def test_django_with_its_database(django):
    """Synchronous views and the ORM, which refuses to work beside a running event loop; an async view runs a loop."""
    made = django.client.post("/notes", json={"text": "first"})
    assert made.status_code == 201, made.text
    assert made.json() in django.client.get("/notes").json()
    if os.environ.get("TINE_TEST_LOOP") != "gevent":  # where asgiref runs no async view, whatever the server
        assert django.client.get(f"/notes/{made.json()['id']}").json()["text"] == "first"
    assert "notes</p>" in django.client.get("/").text


@pytest.mark.parametrize("size", [10, 3000000])
def test_django_uploads(django, size):
    data = os.urandom(size)
    r = django.client.post("/upload", data={"title": "t"}, files={"file": ("a.bin", data)})
    assert r.json()["sha256"] == hashlib.sha256(data).hexdigest()
    assert django.client.post("/raw", content=data).json()["size"] == size


def test_django_answers(django):
    assert django.client.get("/file").content == bytes(range(256)) * 4096
    assert django.client.get("/no/such").status_code == 404
    assert django.client.get("/boom").status_code == 500
    assert django.client.get("/old").headers["location"] == "/"
