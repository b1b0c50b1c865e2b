# SPDX-License-Identifier: BSD-3-Clause
"""Which folder [static:/prefix] dir is, and that files come from there and from nowhere else: working folders that change,
deployments, symbolic links, and what an ETag tells."""

import os
import signal
import zlib

import pytest

from lib.build import ROOT
from lib.server import Server
from lib.waiting import wait_for


def put(path, data, when=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    if when:
        os.utime(path, (when, when))


def switch(link, target):
    """As a deployment does it: in one step."""
    link.with_name("next").symlink_to(target)
    link.with_name("next").rename(link)


def reload(server):
    mark = server.log_mark()
    server.signal(signal.SIGHUP)
    server.wait_log("reloaded: generation", mark)


# --- the working folder ---

@pytest.fixture
def two(tmp_path):
    """Two working folders with the same names in them."""
    for name in ("here", "elsewhere"):
        put(tmp_path / name / "www" / "v.txt", name.encode())
        put(tmp_path / name / "lib" / "wanders_lazy.py", f"WHERE = b{name!r}\n".encode())
    return tmp_path


@pytest.mark.parametrize("preload", [False, True])
@pytest.mark.parametrize("chdir", [False, True])
def test_an_application_that_changes_its_folder_changes_no_path_of_the_configuration(two, preload, chdir):
    """Not even long after the start, nor in a worker that starts later, nor when logs are opened anew."""
    config = {"static:/s": {"dir": "www"}, "log": {"accesslog": "access.log"},
              "app": {"preload_app": preload, "pythonpath": [str(ROOT / "tests"), "lib"]}}
    if chdir:
        config["server"] = {"chdir": str(two / "here")}
    cwd = None if chdir else two / "here"
    env = {"TINE_TEST_ELSEWHERE": str(two / "elsewhere")}
    with Server("wanders", config, env=env, cwd=cwd, respawn=True) as server:
        assert server.get("/cwd").body == str(two / "elsewhere").encode(), "it is elsewhere"
        assert server.get("/lazy").body == b"here"
        assert server.get("/s/v.txt").body == b"here"
        old = server.workers()
        os.kill(old[0], signal.SIGKILL)
        wait_for(lambda: server.workers() and server.workers() != old, what="another worker")
        assert server.get("/s/v.txt").body == b"here"
        put(two / "here" / "www" / "v.txt", b"changed")
        put(two / "elsewhere" / "www" / "v.txt", b"wrong")
        assert server.get("/s/v.txt").body == b"changed"
        log = two / "here" / "access.log"
        wait_for(lambda: log.exists() and log.read_text().count("v.txt") >= 2, what="lines")
        log.rename(two / "here" / "rotated.log")
        server.signal(signal.SIGUSR1)
        wait_for(log.exists, what="the new log")
        assert not (two / "elsewhere" / "access.log").exists()


@pytest.mark.parametrize("preload", [False, True])
def test_the_file_of_a_second_application_is_looked_for_where_the_first_was(two, preload):
    put(two / "here" / "second.py", b"from apps.hello import app\n")
    config = {"mount:/second": {"module": "second.py:app"}, "app": {"preload_app": preload}}
    with Server("wanders", config, env={"TINE_TEST_ELSEWHERE": str(two / "elsewhere")}, cwd=two / "here") as server:
        assert server.get("/cwd").body == str(two / "elsewhere").encode()
        assert server.get("/second").body == b"Hello, World!"


# --- deployments ---

@pytest.fixture
def site(tmp_path):
    """releases/1 and releases/2, and current, which leads to the first."""
    for n in "12":
        put(tmp_path / "releases" / n / "static" / "v.txt", n.encode())
    (tmp_path / "current").symlink_to("releases/1")
    return tmp_path


def test_a_deployment_is_served_from_the_reload_on(site):
    with Server("hello", {"static:/s": {"dir": "current/static"}}, cwd=site, respawn=True) as server:
        assert server.get("/s/v.txt").body == b"1"
        switch(site / "current", "releases/2")
        assert server.get("/s/v.txt").body == b"1", "what runs is still the first release"
        reload(server)
        wait_for(lambda: server.get("/s/v.txt").body == b"2", what="the second release")


def test_a_reload_that_fails_keeps_the_folder(site):
    with Server("hello", {"static:/s": {"dir": "current/static"}}, cwd=site, respawn=True) as server:
        switch(site / "current", "releases/none")
        mark = server.log_mark()
        server.signal(signal.SIGHUP)
        server.wait_log(r"\[static:/s\] dir = current/static: No such file", mark)
        assert server.get("/s/v.txt").body == b"1"
        switch(site / "current", "releases/2")
        reload(server)
        wait_for(lambda: server.get("/s/v.txt").body == b"2", what="the second release")


def test_a_reload_takes_another_folder(site):
    with Server("hello", {"static:/s": {"dir": "releases/1/static"}}, cwd=site, respawn=True) as server:
        assert server.get("/s/v.txt").body == b"1"
        server.write_config({"static:/s": {"dir": "releases/2/static"}})
        reload(server)
        wait_for(lambda: server.get("/s/v.txt").body == b"2", what="the other folder")


def test_a_folder_that_was_moved_is_served_where_it_went(site):
    with Server("hello", {"static:/s": {"dir": "releases/1/static"}}, cwd=site) as server:
        (site / "releases" / "1").rename(site / "kept")
        put(site / "releases" / "1" / "static" / "v.txt", b"not deployed yet")
        assert server.get("/s/v.txt").body == b"1"


def test_a_folder_that_was_removed_and_made_again_is_served(site):
    """As tools that build into a folder do."""
    folder = site / "releases" / "1" / "static"
    with Server("hello", {"static:/s": {"dir": "current/static"}}, cwd=site) as server:
        for n in range(3):
            (folder / "v.txt").unlink()
            folder.rmdir()
            assert server.get("/s/v.txt").status == 404
            put(folder / "v.txt", b"built %d" % n)
            assert server.get("/s/v.txt").body == b"built %d" % n


# --- symbolic links ---

@pytest.fixture(scope="module")
def linked(tmp_path_factory):
    top = tmp_path_factory.mktemp("linked")
    root = top / "www"
    put(top / "secret.txt", b"secret")
    put(top / "secret.txt.gz", zlib.compress(b"secret", wbits=31), when=2)
    put(top / "folder" / "index.html", b"outside")
    put(root / "a.txt", b"a", when=1)
    put(root / "docs" / "index.html", b"docs")
    for name, target in {"in.txt": "a.txt", "docs/back.txt": "../a.txt", "again": "docs", "out.txt": "../secret.txt",
                         "abs.txt": top / "secret.txt", "absin.txt": root / "a.txt", "folder": "../folder",
                         "docs/far.txt": "../../secret.txt", "chain.txt": "docs/far.txt", "a.txt.gz": "../secret.txt.gz",
                         "magic": f"/proc/{os.getpid()}/cwd"}.items():
        (root / name).symlink_to(target)
    (root / "behind").mkdir()
    (root / "behind" / "index.html").symlink_to("../../secret.txt")
    return top


OUTSIDE = ["/out.txt", "/abs.txt", "/docs/far.txt", "/chain.txt", "/again/far.txt", "/folder/index.html", "/folder/", "/behind/"]


def static(linked, **keys):
    return {"static:/s": {"dir": str(linked / "www"), "index": "index.html", **keys}}


def test_links_that_stay_inside_work(serve, linked):
    server = serve("hello", static(linked))
    for path, body in {"/in.txt": b"a", "/docs/back.txt": b"a", "/again/": b"docs", "/again/back.txt": b"a"}.items():
        r = server.get("/s" + path)
        assert (r.status, r.body) == (200, body), path


def test_links_that_lead_out_are_not_there(serve, linked):
    server = serve("hello", static(linked))
    for path in [*OUTSIDE, "/absin.txt", "/folder"]:
        r = server.get("/s" + path)
        assert (r.status, r.body) == (404, b"404 Not Found\n"), path


def test_a_compressed_sibling_that_leads_out_is_not_taken(serve, linked):
    server = serve("hello", static(linked))
    r = server.get("/s/a.txt", headers=["Accept-Encoding: gzip"])
    assert (r.status, r.body, r.get("content-encoding")) == (200, b"a", None)


def test_follow_symlinks_follows_them(serve, linked):
    server = serve("hello", static(linked, follow_symlinks=True))
    for path in OUTSIDE:
        r = server.get("/s" + path)
        assert (r.status, r.body) == (200, b"outside" if "folder" in path else b"secret"), path
    assert server.get("/s/absin.txt").body == b"a"
    assert server.get("/s/folder").get("location") == "/s/folder/"
    r = server.get("/s/a.txt", headers=["Accept-Encoding: gzip"])
    assert r.get("content-encoding") == "gzip" and zlib.decompress(r.body, wbits=31) == b"secret"


@pytest.mark.parametrize("path", ["/s/../secret.txt", "/s/%2e%2e/secret.txt", "/s/docs/..%2f..%2fsecret.txt", "/s/magic/secret.txt",
                                  "/s/docs/%2e%2e/%2e%2e/secret.txt"])
def test_follow_symlinks_lets_no_path_climb(serve, linked, path):
    assert serve("hello", static(linked, follow_symlinks=True)).get(path).status == 404


# --- ETag ---

def tag_of(server, path="/s/v.txt", **options):
    return server.get(path, **options).get("etag")


def test_the_etag_tells_no_inode(site):
    file = site / "releases" / "1" / "static" / "v.txt"
    with Server("hello", {"static:/s": {"dir": "current/static"}}, cwd=site) as server:
        tag = tag_of(server)
        st = file.stat()
        assert f"{st.st_ino:x}" not in tag.strip('"').split("-") and str(st.st_ino) not in tag
        assert tag_of(server) == tag, "and is the same as long as the file is"


def test_the_etag_changes_with_the_content_even_where_time_and_size_do_not(site):
    """As with builds that give all files one time."""
    file = site / "releases" / "1" / "static" / "v.txt"
    put(file, b"one", when=1)
    with Server("hello", {"static:/s": {"dir": "current/static"}}, cwd=site) as server:
        tag = tag_of(server)
        changed = file.stat().st_ctime_ns
        wait_for(lambda: put(file, b"two", when=1) or file.stat().st_ctime_ns != changed, what="the clock of the file system")
        r = server.get("/s/v.txt", headers=[f"If-None-Match: {tag}"])
        assert (r.status, r.body) == (200, b"two") and r.get("etag") != tag


def test_a_sibling_has_its_own_etag(site):
    put(site / "releases" / "1" / "static" / "v.txt.gz", b"x")
    with Server("hello", {"static:/s": {"dir": "current/static"}}, cwd=site) as server:
        packed = server.get("/s/v.txt", headers=["Accept-Encoding: gzip"])
        assert packed.get("content-encoding") == "gzip" and packed.get("etag").endswith('-gzip"')
        assert tag_of(server) != packed.get("etag")
