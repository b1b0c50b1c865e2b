# SPDX-License-Identifier: BSD-3-Clause
"""What is tested: the tree, and the tine of a build folder. Standard library only."""

import os
import shutil
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
