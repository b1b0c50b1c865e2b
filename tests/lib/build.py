# SPDX-License-Identifier: BSD-3-Clause
"""What is tested: the tree, and the tine of a build folder. Standard library only."""

import functools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
APPS = ROOT / "tests" / "apps"


def binary():
    """The tine to test: $TINE_BINARY, or the one of the build directory that the tests run in, or the source's."""
    named = os.environ.get("TINE_BINARY")
    if named:
        return os.path.abspath(named)
    for place in (Path.cwd(), ROOT):
        if os.access(place / "tine", os.X_OK):
            return str(place / "tine")
    raise RuntimeError("no tine binary here: set TINE_BINARY or run in the build directory")


def modules():
    """tine's modules for Pythons; none where Python is in the program."""
    return sorted(Path(binary()).parent.glob("_tine.*.so"))


def own_python():
    """The Python of this build, which runs applications that name none."""
    makefile = Path(binary()).parent / "Makefile"
    match = re.search(r"^TINE_PYTHON = (\S+)$", makefile.read_text(), re.M) if makefile.exists() else None
    return match.group(1) if match else sys.executable


def app_python():
    """The Python of the applications that the tests serve: $TINE_TEST_PYTHON, or that of this build."""
    return os.environ.get("TINE_TEST_PYTHON") or own_python()


@functools.cache
def app_has(module):
    """Whether applications find this module. The Python that runs the tests may be another one, with packages of its own."""
    probe = "import importlib.util, sys; sys.exit(importlib.util.find_spec(sys.argv[1]) is None)"
    return subprocess.run([app_python(), "-c", probe, module], stderr=subprocess.DEVNULL, timeout=60).returncode == 0


@functools.cache
def no_other_user():
    """Why applications cannot be served as another user here: for skipif. A Python in root's own folder is of no use to others."""
    if os.geteuid() != 0:
        return "needs root to be somebody else"
    try:
        subprocess.run([app_python(), "-c", ""], user="nobody", group=65534, extra_groups=[], cwd="/", check=True, timeout=60)
    except (OSError, subprocess.CalledProcessError):
        return f"other users cannot run {app_python()}"
    return ""


@functools.cache
def pythons():
    """Programs of different CPythons that tine has a module for, its own first: of PATH, and of pyenv where there is one."""
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(":") if folder.startswith("/")]
    folders += sorted(Path.home().glob(".pyenv/versions/3.*/bin"))
    found = {}
    for program in [own_python(), *(str(p) for folder in folders for p in sorted(folder.glob("python3.[0-9][0-9]")))]:
        asked = subprocess.run([program, "-c", "import importlib.machinery as m; print(m.EXTENSION_SUFFIXES[0])"],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        if asked.returncode == 0 and f"_tine{asked.stdout.strip()}" in [m.name for m in modules()]:
            found.setdefault(asked.stdout, program)
    return list(found.values())


def copy_program(to):
    """Puts tine at this path, and its modules beside it, as an installation does."""
    shutil.copy2(binary(), to)
    for module in modules():
        shutil.copy2(module, Path(to).parent)


def linked_with(library):
    """Whether tine, or its module for a Python, needs a shared library of this name, such as "libnghttp2.so"."""
    program = Path(binary())
    return any(library.encode() in path.read_bytes() for path in [program, *modules()])


def hosted():
    """Whether workers run in the application's own Python, which the program itself does not contain."""
    return not linked_with("libpython3")


def under_tsan():
    """Whether tine was built with ThreadSanitizer, which holds signals back while a thread calls nothing of the C library."""
    return linked_with("libtsan.so")


def under_asan():
    """Whether tine was built with AddressSanitizer, which takes stacks that greenlets move away and back for faults."""
    return linked_with("libasan.so")
