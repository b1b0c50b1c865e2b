#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The checks before a release, and its archive: `make release`.

configure.ac, the top of NEWS and the dates of the man pages must agree, nothing may be uncommitted, and the archive of HEAD, made
twice in two folders, must be the same bytes. It is then left in the build directory, and its checksum is printed. With --rehearse
the version at the top of NEWS may be unreleased, and the man pages may be older. Must not change the tree, nor tag anything.
The last line is "N passed, N failed". Standard library, git and what building from a clone needs.
"""

import argparse
import datetime
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
HEADING = re.compile(r"^Tine (\d+)\.(\d+)\.(\d+) \((\d{4}-\d{2}-\d{2}|unreleased)\)$", re.M)
UNRELEASED = "unreleased"


def git(*words):
    return subprocess.run(["git", "-C", str(TOP), *words], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def version():
    return re.search(r"^AC_INIT\(\[tine\], \[([^]]*)\]", (TOP / "configure.ac").read_text(), re.M).group(1)


def news():
    """[(version, date or "unreleased")] of NEWS, from its top."""
    return [(".".join(m.group(1, 2, 3)), m[4]) for m in HEADING.finditer((TOP / "NEWS").read_text())]


def pages():
    """{man page: its date}"""
    found = {}
    for page in sorted((TOP / "man").glob("*.[1-8]*")):
        text = re.search(r"^\.Dd (.*)$", page.read_text(), re.M).group(1)
        found[page.name] = datetime.datetime.strptime(text, "%B %d, %Y").date().isoformat()
    return found


# --- checks: each yields what is wrong ---

def version_agrees(rehearsal):
    """configure.ac and the top of NEWS name the same version, which NEWS says when it was released."""
    if not news():
        yield "NEWS has no line like 'Tine 1.2.3 (2027-01-31)'"
        return
    top, date = news()[0]
    if top != version():
        yield f"configure.ac says {version()}, and the top of NEWS {top}"
    if date == UNRELEASED and not rehearsal:
        yield f"NEWS calls {top} unreleased: put the date of the release there"


def news_is_in_order(rehearsal):
    """The versions of NEWS go down, and only the first may be unreleased."""
    found = news()
    for (one, date), (other, before) in zip(found, found[1:]):
        if [*map(int, one.split("."))] <= [*map(int, other.split("."))]:
            yield f"{one} stands above {other}"
        if before == UNRELEASED or (date != UNRELEASED and date < before):
            yield f"{one} ({date}) stands above {other} ({before})"


def pages_agree(rehearsal):
    """The man pages have the date of the release."""
    date = news()[0][1] if news() else UNRELEASED
    for page, day in pages().items():
        if date == UNRELEASED:
            if day > git("log", "-1", "--format=%cs"):
                yield f"{page}: {day} is later than the last commit"
        elif day != date:
            yield f"{page}: {day}, but NEWS says {date}"


def nothing_is_uncommitted(rehearsal):
    """The tree is clean: what is released is what is in the repository."""
    changes = git("status", "--porcelain")
    if changes:
        yield f"not committed:\n{changes}"


def the_tag_is_free(rehearsal):
    """No other commit has the tag of this version."""
    tag = f"v{version()}"
    if git("tag", "--list", tag) and git("rev-list", "-1", tag) != git("rev-parse", "HEAD"):
        yield f"{tag} is another commit: the version must be raised"


# --- the archive ---

def make_archive(folder, umask):
    """The archive of HEAD, from an export of its own in `folder`."""
    epoch = git("log", "-1", "--format=%ct")
    # Names in order, one owner, the time of the commit, and no mode that depends on who makes it.
    environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "CALLED_FROM")}
    environment.update(SOURCE_DATE_EPOCH=epoch, LC_ALL="C.UTF-8", TZ="UTC", XZ_OPT="-9e -T1", TAR_OPTIONS=f"--sort=name --mtime=@{epoch} "
                       "--owner=0 --group=0 --numeric-owner --mode=u+rwX,go+rX,go-w --format=ustar")
    source, build = folder / "source", folder / "build"
    for path in (source, build):
        path.mkdir(parents=True)
    script = f"""set -e
        umask {umask}
        git -C "{TOP}" archive HEAD | tar -x -C "{source}"
        autoreconf -fi "{source}"
        cd "{build}" && "{source}/configure"
        make -s dist"""
    done = subprocess.run(["/bin/sh", "-c", script], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    archives = list(build.glob("tine-*.tar.xz"))
    if done.returncode or len(archives) != 1:
        raise RuntimeError("no archive:\n" + "\n".join(done.stdout.splitlines()[-40:]))
    return archives[0]


def differences(one, other):
    """Names of the files by which two archives differ."""
    listed = []
    for archive in (one, other):
        to = archive.parent / "unpacked"
        to.mkdir()
        subprocess.run(["tar", "-xf", str(archive), "-C", str(to)], check=True)
        listed.append({str(p.relative_to(to)): p.read_bytes() for p in to.rglob("*") if p.is_file()})
    return sorted(name for name in {*listed[0], *listed[1]} if listed[0].get(name) != listed[1].get(name))


def archive_is_reproducible(build):
    """Made twice, the archive is the same bytes. It is left in the build directory."""
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(2) as pool:
        folders = [Path(scratch) / "one", Path(scratch) / "two" / "deeper"]
        try:
            one, other = pool.map(make_archive, folders, ("022", "077"))
        except RuntimeError as e:
            yield str(e)
            return
        if one.read_bytes() != other.read_bytes():
            yield "two archives of the same commit differ: " + (" ".join(differences(one, other)) or "in owners, modes, times or order")
            return
        left = Path(shutil.copy(one, build))
        print(f"{hashlib.sha256(left.read_bytes()).hexdigest()}  {left.name}")


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--build", type=Path, default=Path.cwd(), help="where the archive is left (default: here)")
    options.add_argument("--rehearse", action="store_true", help="the version may be unreleased")
    arguments = options.parse_args()
    if not (TOP / ".git").exists():
        sys.exit("a release is made from the repository; this is no clone of it")
    checks = [(check, arguments.rehearse) for check in (version_agrees, news_is_in_order, pages_agree, nothing_is_uncommitted,
                                                        the_tag_is_free)]
    failed = 0
    for check, argument in [*checks, (archive_is_reproducible, arguments.build)]:
        found = list(check(argument))
        print(f"{'FAIL' if found else 'ok  '} {check.__doc__}", flush=True)
        for fault in found:
            print(f"     {fault}")
        failed += bool(found)
    print(f"{len(checks) + 1 - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
