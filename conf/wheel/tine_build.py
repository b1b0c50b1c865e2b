# SPDX-License-Identifier: BSD-3-Clause
"""The build backend (PEP 517) of Tine's wheel and sdist: a layer on hatchling, which does all the packing.

A wheel is made in a folder that looks like a project of Python alone: configure and make, in a copy of the tree, install into it
what pyproject.toml names. An sdist is what `make dist` has. Must not write into the tree that it builds.

Settings (pip install --config-settings=NAME=VALUE):
  static-libs     yes, or a folder of archives: the libraries become part of the module, their licences of the wheel, and the
                  wheel says which glibc it needs (manylinux). .ci/tools/static_libs makes such a folder.
  build           a build folder that is configured already, with this Python among its --with-python.
  configure-args  more arguments for configure.
"""

import contextlib
import importlib.machinery
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import hatchling.build
from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging import tags

MODULE = "_tine" + importlib.machinery.EXTENSION_SUFFIXES[0]
NOT_SOURCES = shutil.ignore_patterns(".git", "autom4te.cache", "__pycache__", ".deps", "*.o", "*.a", "*.so")
# Made by configure, where somebody has run it in the tree itself.
CONFIGURED = ("Makefile", "config.status", "config.h", "config.log", "stamp-h1", "pythons.list", "modules")


class BuildError(SystemExit):
    """Shown without a traceback: the fault is in what the command has printed, above."""


class TagHook(BuildHookInterface):
    """Tells hatchling what the files of a wheel run on."""

    def initialize(self, version, build_data):
        build_data["pure_python"] = False
        build_data["tag"] = (Path(self.root) / "wheel-tag").read_text()


# --- configure and make ---

def run(*command, cwd):
    print("tine:", shlex.join(map(str, command)), file=sys.stderr, flush=True)
    try:
        subprocess.run(command, cwd=cwd, check=True, stdout=sys.stderr)
    except FileNotFoundError as e:
        raise BuildError(f"{command[0]} is missing: README lists what building Tine needs") from e
    except subprocess.CalledProcessError as e:
        raise BuildError(f"{command[0]} failed (status {e.returncode}); what it said is above") from e


def not_sources(folder, names):
    """Build folders too, which are at the top."""
    builds = {n for n in names if n in ("build", "dist") or n.startswith("build-")} if Path(folder) == Path.cwd() else set()
    return NOT_SOURCES(folder, names) | (builds - {"build-aux"})


def copy_tree(to):
    shutil.copytree(Path.cwd(), to, ignore=not_sources, symlinks=True)
    for name in CONFIGURED:
        path = to / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def configure(scratch, settings):
    """A build folder in `scratch`, configured for the running Python."""
    tree, build = scratch / "tree", scratch / "build"
    copy_tree(tree)
    if not (tree / "configure").exists():
        run("autoreconf", "-fi", cwd=tree)
    build.mkdir()
    static = settings.get("static-libs", "no")
    linking = [] if static == "no" else [f"--enable-static-libs={static}", "--without-libwebsockets"]
    run(tree / "configure", "--prefix=/usr", "--sysconfdir=/etc", "--localstatedir=/var", f"--with-python={sys.executable}",
        "--without-default-python", *linking, *shlex.split(settings.get("configure-args", "")), cwd=build)
    return build


def configured_as(build):
    """{name: value} of the assignments in the build's Makefile."""
    text = (build / "Makefile").read_text()
    return dict(re.findall(r"^(\w+) = (.*)$", text, re.M))


# --- the folder that hatchling packs ---

def platform(build):
    tag = next(t for t in tags.sys_tags() if "manylinux" not in t.platform)
    where = tag.platform
    if configured_as(build).get("STATIC_LIBS"):
        glibc = os.confstr("CS_GNU_LIBC_VERSION").split()[1]
        where = where.replace("linux_", "manylinux_%s_%s_" % tuple(glibc.split(".")[:2]), 1)
    return f"{tag.interpreter}-{tag.abi}-{where}"


def licences(build, to):
    """Those of the libraries that are inside: what their Debian packages have."""
    to.mkdir()
    for archive in configured_as(build).get("STATIC_LIBS", "").split():
        name = Path(archive).stem
        beside = Path(archive).with_suffix(".copyright")
        source = beside if beside.exists() else debian_copyright(archive)
        shutil.copyfile(source, to / f"{name}.txt")


def debian_copyright(archive):
    said = subprocess.run(["dpkg-query", "-S", os.path.realpath(archive)], stdout=subprocess.PIPE, text=True, check=False).stdout
    path = Path("/usr/share/doc", said.split(":")[0] or "unknown", "copyright")
    if not path.exists():
        raise BuildError(f"{archive}: no Debian package has it, and there is no {Path(archive).stem}.copyright beside it: its licence"
                         " has to be in the wheel")
    return path


def lay_out(build, source, scratch):
    """The folder to pack, from what `make install` installs."""
    run("make", f"-j{os.cpu_count()}", cwd=build)
    installed, project = scratch / "installed", scratch / "project"
    run("make", "-s", "install-strip", f"DESTDIR={installed}", cwd=build)
    module = installed / "usr/lib/tine" / MODULE
    if not module.exists():
        raise BuildError(f"{build} has no {MODULE}: configure it with --with-python={sys.executable}")
    package = project / "tine"
    package.mkdir(parents=True)
    shutil.copy2(module, package)
    for file in (source / "worker/host/package").glob("*.py"):
        shutil.copy2(file, package)
    shutil.copytree(installed / "usr/bin", project / "bin")
    shutil.copytree(installed / "usr/share", project / "share")
    for name in ("pyproject.toml", "README", "LICENSE", "configure.ac"):
        shutil.copy2(source / name, project)
    shutil.copytree(source / "conf/wheel", project / "conf/wheel", ignore=NOT_SOURCES)
    licences(build, project / "licenses")
    (project / "wheel-tag").write_text(platform(build))
    return project


# --- what installers call ---

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    settings, source, to = config_settings or {}, Path.cwd(), os.path.abspath(wheel_directory)
    with tempfile.TemporaryDirectory(prefix="tine-wheel-") as folder:
        scratch = Path(folder)
        build = Path(settings["build"]).resolve() if "build" in settings else configure(scratch, settings)
        with contextlib.chdir(lay_out(build, source, scratch)):
            return hatchling.build.build_wheel(to)


def build_sdist(sdist_directory, config_settings=None):
    settings, to = config_settings or {}, os.path.abspath(sdist_directory)
    with tempfile.TemporaryDirectory(prefix="tine-sdist-") as folder:
        build = configure(Path(folder), settings)
        run("make", "-s", "distdir", cwd=build)
        with contextlib.chdir(build / ("tine-" + configured_as(build)["VERSION"])):
            return hatchling.build.build_sdist(to)
