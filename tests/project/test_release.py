# SPDX-License-Identifier: BSD-3-Clause
"""make release: what it refuses. That a release could be made of this tree is for the gate."""

import importlib.util
import shutil
import subprocess

import pytest

from lib.build import ROOT

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")

NEWS = "News.\n\n\nTine 1.1.0 (2026-03-04)\n-----\n\nMore.\n\n\nTine 1.0.0 (2026-01-31)\n-----\n\nThe first.\n"


@pytest.fixture
def release(tmp_path, monkeypatch):
    """The module, over a repository of its own in which everything agrees."""
    spec = importlib.util.spec_from_file_location("release", ROOT / ".ci" / "tools" / "release.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "TOP", tmp_path)
    for name, text in {"configure.ac": "AC_INIT([tine], [1.1.0], [x])\n", "NEWS": NEWS, "man/tine.8": ".Dd March 4, 2026\n",
                       "man/tine.ini.5.in": ".\\\" A page.\n.Dd March 4, 2026\n"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    for words in (["init", "-q"], ["config", "user.name", "Test"], ["config", "user.email", "test@test.invalid"]):
        module.git(*words)
    commit(module)
    return module


def commit(module):
    module.git("add", "-A")
    module.git("commit", "-q", "-m", "As it is", "--date", "2026-03-04T12:00:00Z")


def write(module, name, old, new):
    path = module.TOP / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))


def faults(module, rehearsal=False):
    checks = (module.version_agrees, module.news_is_in_order, module.pages_agree, module.nothing_is_uncommitted, module.the_tag_is_free)
    return [fault for check in checks for fault in check(rehearsal)]


def test_a_tree_that_agrees_is_released(release):
    assert faults(release) == []


def test_an_unreleased_version_can_only_be_rehearsed(release):
    write(release, "NEWS", "2026-03-04", "unreleased")
    commit(release)
    assert faults(release, rehearsal=True) == []
    fault, = faults(release)
    assert "1.1.0 unreleased" in fault


@pytest.mark.parametrize("name, old, new, says", [
    ("configure.ac", "1.1.0", "1.2.0", "configure.ac says 1.2.0, and the top of NEWS 1.1.0"),
    ("NEWS", "Tine 1.1.0 (2026-03-04)", "Tine 1.1.0", "the top of NEWS 1.0.0"),
    ("NEWS", "Tine 1.0.0", "Tine 1.1.1", "1.1.0 stands above 1.1.1"),
    ("NEWS", "2026-01-31", "2026-05-31", "stands above"),
    ("NEWS", "2026-01-31", "unreleased", "stands above"),
    ("man/tine.8", "March 4", "March 3", "tine.8: 2026-03-03, but NEWS says 2026-03-04"),
    ("man/tine.ini.5.in", "2026", "2025", "tine.ini.5.in: 2025-03-04")])
def test_what_does_not_agree_is_refused(release, name, old, new, says):
    write(release, name, old, new)
    commit(release)
    assert any(says in fault for fault in faults(release)), faults(release)


def test_changes_that_are_not_committed_are_refused(release):
    write(release, "NEWS", "More.", "Even more.")
    (release.TOP / "new").touch()
    fault, = faults(release)
    assert " M NEWS" in fault or "M NEWS" in fault
    assert "?? new" in fault


def test_a_version_that_is_tagged_elsewhere_is_refused(release):
    release.git("tag", "v1.1.0")
    assert faults(release) == []
    write(release, "NEWS", "More.", "Even more.")
    commit(release)
    fault, = faults(release)
    assert "v1.1.0 is another commit" in fault


def test_archives_that_differ_are_refused(release, monkeypatch):
    def make_archive(folder, umask):
        (folder / "build" / "tine-1").mkdir(parents=True)
        (folder / "build" / "tine-1" / "same").write_text("same")
        (folder / "build" / "tine-1" / "umask").write_text(umask)
        subprocess.run(["tar", "-cJf", "tine-1.tar.xz", "tine-1"], cwd=folder / "build", check=True)
        return folder / "build" / "tine-1.tar.xz"
    monkeypatch.setattr(release, "make_archive", make_archive)
    fault, = release.archive_is_reproducible(release.TOP)
    assert fault == "two archives of the same commit differ: tine-1/umask"
    assert not (release.TOP / "tine-1.tar.xz").exists()
