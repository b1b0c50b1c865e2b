# SPDX-License-Identifier: BSD-3-Clause
"""A Django project with admin, static files and uploads (Debian's Django), under both interfaces, and mounted: what a person
does with it in a browser, by an HTTP client that keeps cookies."""

import os
import re
import subprocess

import pytest

from lib.build import APPS, app_has, app_python
from lib.server import Server

httpx = pytest.importorskip("httpx")
pytestmark = pytest.mark.skipif(not app_has("django"), reason="applications find no django")
PROJECT = APPS / "frameworks" / "django_archive"
PASSWORD = "a good one"
# name: module, where, threads
WAYS = {"asgi": ("asgi", "", 4), "wsgi-inline": ("wsgi", "", 1), "wsgi-pool": ("wsgi", "", 4), "wsgi-mounted": ("wsgi", "/site", 4),
        "asgi-mounted": ("asgi", "/site", 4)}


def manage(place, *command, **more):
    env = {**os.environ, "ARCHIVE_PLACE": str(place), "DJANGO_SETTINGS_MODULE": "archive.settings", "PYTHONPATH": str(PROJECT), **more}
    subprocess.run([app_python(), "-m", "django", *command, "-v", "0"], cwd=PROJECT, check=True, env=env)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("archive")
    (place / "media").mkdir()
    manage(place, "migrate", "--run-syncdb")
    manage(place, "collectstatic", "--noinput")
    manage(place, "createsuperuser", "--noinput", "--username", "anna", "--email", "anna@example.org",
           DJANGO_SUPERUSER_PASSWORD=PASSWORD)
    return place


@pytest.fixture(scope="module", params=WAYS)
def site(request, place):
    interface, prefix, threads = WAYS[request.param]
    app = {"module": f"archive.{interface}:application", "threads": threads}
    config = {"static:/static": {"dir": place / "static"}, "static:/media": {"dir": place / "media"}}
    config[f"mount:{prefix}" if prefix else "app"] = app
    server = Server(None, config, cwd=PROJECT, env={"ARCHIVE_PLACE": str(place)})
    with server, httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=30, verify=False) as client:
        server.client, server.prefix = client, prefix
        login(server)
        yield server


def token(page):
    return re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text).group(1)


def send_form(site, path, data, **more):
    """Fills the form of a page in; the answer's redirect is followed as browsers do."""
    page = site.client.get(site.prefix + path)
    assert page.status_code == 200
    headers = {"Referer": str(page.url)}
    answer = site.client.post(site.prefix + path, data={"csrfmiddlewaretoken": token(page), **data}, headers=headers, **more)
    assert answer.status_code == 302, answer.text
    return site.client.get(answer.headers["location"])


def login(site):
    gate = site.client.get(f"{site.prefix}/admin/")
    assert gate.status_code == 302 and gate.headers["location"] == f"{site.prefix}/admin/login/?next={site.prefix}/admin/"
    wrong = {"username": "anna", "password": "wrong", "csrfmiddlewaretoken": token(site.client.get(gate.headers["location"]))}
    assert "Please enter the correct" in site.client.post(gate.headers["location"], data=wrong).text
    welcome = send_form(site, "/admin/login/?next=" + site.prefix + "/admin/", {"username": "anna", "password": PASSWORD})
    assert "Site administration" in welcome.text and "Documents" in welcome.text


def test_pages_find_their_style(site, place):
    page = site.client.get(f"{site.prefix}/admin/")
    found = re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text)
    assert "/static/admin/css/base.css" in found
    for path in found:
        r = site.client.get(path)
        assert r.status_code == 200 and r.content == (place / path[1:]).read_bytes() and r.headers["etag"]
        assert r.headers["content-type"].startswith(("text/css", "text/javascript", "application/javascript"))
        assert site.client.get(path, headers={"If-None-Match": r.headers["etag"]}).status_code == 304


@pytest.mark.parametrize("size", [0, 10, 100_000, 5_000_000])
def test_upload_download_delete(site, size):
    data, title = os.urandom(size) or b"\n", f"Document of {size} bytes"
    listed = send_form(site, "/admin/archive/document/add/", {"title": title}, files={"file": ("a b.bin", data)})
    assert title in listed.text and "was added successfully" in listed.text
    number = re.search(rf'/document/(\d+)/change/">{title}<', listed.text).group(1)
    page = site.client.get(f"{site.prefix}/admin/archive/document/{number}/change/")
    path = re.search(r'href="(/media/[^"]+)"', page.text).group(1)
    assert site.client.get(path).content == data
    part = site.client.get(path, headers={"Range": "bytes=0-0"})
    assert part.status_code == 206 and part.content == data[:1]
    gone = send_form(site, f"/admin/archive/document/{number}/delete/", {"post": "yes"})
    assert "was deleted successfully" in gone.text and "0 documents" in gone.text


def test_logout(site):
    with httpx.Client(base_url=site.client.base_url, timeout=30, verify=False) as other:
        kept, site.client = site.client, other
        try:
            login(site)
            page = other.get(f"{site.prefix}/admin/password_change/")  # any form's token will do; Django 5 logs nobody out by a GET
            gone = other.post(f"{site.prefix}/admin/logout/", data={"csrfmiddlewaretoken": token(page)}, headers={"Referer": str(page.url)})
            assert "Logged out" in gone.text
            assert other.get(f"{site.prefix}/admin/").status_code == 302
        finally:
            site.client = kept


def test_no_way_around(site):
    """A forged form, and the files of the project."""
    r = site.client.post(f"{site.prefix}/admin/archive/document/add/", data={"title": "x"})
    assert r.status_code == 403
    for path in ("/static/../archive.sqlite3", "/media/%2e%2e/archive.sqlite3", "/static/..%2farchive.sqlite3"):
        with site.connect() as c:
            assert c.request("GET", path).status == 404
