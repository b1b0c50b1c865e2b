# SPDX-License-Identifier: BSD-3-Clause
"""server.reload: a saved file is served a moment later, a broken one is shown and waits for the next save."""

import os
import re
import signal

import pytest

from lib.load import Load
from lib.site import Site, code, serves
from lib.waiting import wait_for

BLOCKS = "import os, select\nselect.select([os.pipe()[0]], [], [])\n"


class Edited(Site):
    def server(self, config=None, **server):
        return super().server(options={"cwd": self.folder}, server={"reload": True, **server}, app={"pythonpath": "."}, **(config or {}))


@pytest.fixture
def site(tmp_path):
    folder = tmp_path / "site"
    folder.mkdir()
    return Edited(folder)


def reloads(server, change, expect="reloaded: generation"):
    """The change leads to a reload."""
    mark = server.log_mark()
    change()
    return server.wait_log(expect, mark)


# --- saving ---

def by_writing(path, text):
    path.write_text(text)


def by_renaming_over(path, text):
    """As most editors do."""
    new = path.with_name(path.name + ".tmp~")
    new.write_text(text)
    new.rename(path)


def by_moving_aside(path, text):
    """As Vim does with a backup copy: renamed away, written anew, and the old one removed."""
    old = path.with_name(path.name + "~")
    path.rename(old)
    path.write_text(text)
    old.unlink()


def by_linking(path, text):
    new = path.with_name("linked")
    new.write_text(text)
    path.unlink()
    os.link(new, path)
    new.unlink()


@pytest.mark.parametrize("save", [by_writing, by_renaming_over, by_moving_aside, by_linking])
def test_what_is_saved_is_served(site, save):
    with site.server() as server:
        assert server.get("/").body == b"one"
        for version in ("two", "six", "ten"):
            save(site.file, code(version))
            serves(server, version)


def test_compiled_files_of_the_same_second_are_not_believed(site):
    """Python cannot tell such a source from the one before, if it has the same length."""
    server = site.server()
    server.env.pop("PYTHONDONTWRITEBYTECODE")
    with server:
        for version in ("two", "six", "ten"):
            now = site.file.stat().st_mtime
            site.version(version)
            os.utime(site.file, (now, now))
            serves(server, version)


def test_new_folders_are_watched(site):
    (site.folder / "package").mkdir()
    with site.server() as server:
        deep = site.folder / "package" / "deep" / "deeper"
        deep.mkdir(parents=True)
        reloads(server, lambda: (deep / "module.py").write_text(""))
        reloads(server, lambda: (deep / "module.py").write_text("1"))
        moved = site.folder / "moved"
        reloads(server, lambda: ((site.folder / "package").rename(moved), (moved / "deep/deeper/module.py").write_text("2")))
        reloads(server, lambda: (moved / "deep" / "deeper" / "module.py").write_text("3"),
                "moved/deep/deeper/module.py has changed.*reloaded: generation")


def test_what_is_not_the_applications_is_ignored(site):
    """And the next change of the application is the one that is seen."""
    for name in ("__pycache__", ".git", "node_modules", "env/lib"):
        (site.folder / name).mkdir(parents=True)
    (site.folder / "env" / "pyvenv.cfg").touch()
    with site.server() as server:
        mark = server.log_mark()
        for name in ("__pycache__/a.py", ".git/a.py", "node_modules/a.py", "env/lib/a.py", ".#site_app.py", "notes.txt",
                     "site_app.pyc", "site_app.py~"):
            (site.folder / name).write_text("x")
        site.version("two")
        serves(server, "two")
        assert re.findall(r"(\S+) has changed", server.log()[mark:]) == ["site_app.py"]


EXCLUDED = {
    "generated": ["generated/a.py", "generated/deep/b.py", "deep/generated/c.py"],  # a name, at any depth
    "*_pb2.py": ["orders_pb2.py", "deep/other_pb2.py"],
    "./generated": ["generated/a.py", "generated/deep/b.py"],
    "generated/": ["generated/a.py"],
    "deep/**/d.py": ["deep/d.py", "deep/er/d.py"],
    "deep/*.py": ["deep/a.py"],
}


@pytest.mark.parametrize("there", [True, False], ids=["folders are there", "folders come later"])
@pytest.mark.parametrize("pattern", EXCLUDED)
def test_what_is_excluded_is_ignored(site, pattern, there):
    files = [site.folder / name for name in EXCLUDED[pattern]]

    def make_folders():
        for file in files:
            file.parent.mkdir(parents=True, exist_ok=True)

    if there:
        make_folders()
    with site.server(reload_exclude=pattern) as server:
        mark = server.log_mark()
        make_folders()
        for file in files:
            file.write_text("x = 1")
        site.version("two")
        serves(server, "two")
        assert re.findall(r"(\S+) has changed", server.log()[mark:]) == ["site_app.py"]


def test_what_is_beside_an_excluded_name_is_watched(site):
    (site.folder / "deep").mkdir()
    with site.server(reload_exclude="./generated, deep/*.txt, generate") as server:
        reloads(server, lambda: (site.folder / "deep" / "a.py").write_text("1"), "deep/a.py has changed.*reloaded")
        reloads(server, lambda: (site.folder / "generated2.py").write_text("1"), "generated2.py has changed.*reloaded")


def test_a_removed_file_is_a_change(site):
    (site.folder / "gone.py").touch()
    with site.server() as server:
        reloads(server, (site.folder / "gone.py").unlink, "gone.py has changed.*reloaded: generation")


def test_many_changes_at_once_are_few_reloads(site):
    with site.server() as server:
        mark = server.log_mark()
        for i in range(200):
            (site.folder / f"module_{i}.py").write_text("")
        site.version("two")
        serves(server, "two")
        server.wait_log("reloaded: generation", mark)
        assert server.log()[mark:].count("reloading\n") <= 20


def test_extra_files_folders_and_globs(site):
    templates = site.folder / "templates"
    (templates / "mail").mkdir(parents=True)
    away = site.folder.parent / "away"
    away.mkdir()
    with site.server(reload_extra_files=f"templates/**/*.html,*.toml,{away}") as server:
        for path in (templates / "index.html", templates / "mail" / "hello.html", site.folder / "settings.toml", away / "x"):
            reloads(server, lambda p=path: p.write_text("x"), rf"{path.name} has changed.*reloaded: generation")
        mark = server.log_mark()
        (templates / "index.css").write_text("x")
        reloads(server, lambda: site.version("two"))
        assert "index.css" not in server.log()[mark:]


def test_the_configuration_file_is_watched(site):
    with site.server() as server:
        reloads(server, lambda: server.write_config({"server": {"workers": 2}}))
        wait_for(lambda: len(server.workers()) == 2, what="two workers")
        reloads(server, lambda: server.write_config({"server": {"workers": "many"}}), "reload failed: old workers keep serving")
        server.write_config({"server": {"workers": 1}})
        wait_for(lambda: len(server.workers()) == 1, what="one worker")


# --- mistakes ---

def test_a_mistake_is_shown_and_waits_for_the_next_save(site):
    with site.server() as server, Load(server.address) as load:
        reloads(server, lambda: site.write("def app(:\n"), "SyntaxError.*reload failed: old workers keep serving")
        load.more()
        assert load.failed == {} and set(load.bodies) == {"one"}
        site.version("two")
        serves(server, "two")


@pytest.mark.parametrize("mistake,shown", [("def app(:\n", "SyntaxError"), ("import no_such_module\n", "ModuleNotFoundError")])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_mistake_at_the_first_start_waits_too(site, mistake, shown, workers):
    site.write(mistake)
    server = site.server(workers=workers)
    try:
        server.start()
        server.wait_log(f"{shown}.*waiting for a file to change")
        site.write("also_wrong(\n")
        server.wait_log("also_wrong.*reload failed: there are still no workers")
        assert not any("READY=1" in text for text in server.notified)
        site.version("two")
        server.wait_ready()
        serves(server, "two")
        assert server.log().count("] ready\n") == 1
        server.stop()
    finally:
        server.kill()
        server.cleanup()


def test_a_stop_while_it_waits(site):
    site.write("def app(:\n")
    server = site.server()
    try:
        server.start()
        server.wait_log("waiting for a file to change")
        server.signal(signal.SIGTERM)
        assert server.wait_exit() == 0
    finally:
        server.kill()
        server.cleanup()


@pytest.mark.parametrize("first", [True, False])
def test_code_that_never_ends_loading_is_given_up_for_the_next_save(site, first):
    """Long before boot_timeout."""
    server = site.server(boot_timeout="1h")
    try:
        if first:
            site.write(BLOCKS)
            server.start()
            server.wait_log("worker 1 .* started")
        else:
            server.__enter__()
            reloads(server, lambda: site.write(BLOCKS), "reloading")
        site.version("two")
        server.wait_ready()
        serves(server, "two")
        server.stop()
    finally:
        server.kill()
        server.cleanup()


# --- haste ---

def test_requests_that_never_end_do_not_hold_the_next_reloads_back(site):
    """Pages under development keep streams open."""
    with site.server(graceful_timeout="1h") as server:
        held = []
        for version in ("two", "three", "four", "five"):
            held.append(server.connect().send_request("GET", "/forever"))
            site.version(version)
            serves(server, version)
        for c in held:
            c.close()


def test_a_service_without_it_watches_nothing(site):
    with site.server(reload=False) as server:
        site.version("two")
        assert "inotify" not in "".join(os.readlink(f"/proc/{server.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{server.pid}/fd")
                                        if os.path.islink(f"/proc/{server.pid}/fd/{fd}"))
        assert server.get("/").body == b"one"
