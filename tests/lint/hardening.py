#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Tests what the compiler and the linker were asked for against what they made: the programs, modules and objects of the build
directory, read by readelf. Arguments: programs instead of tine and tinectl."""

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

BUILD = Path(os.environ.get("TINE_BUILD", ".")).resolve()
EMBEDDED = not list(BUILD.glob("_tine.*.so"))
failures = []
passed = 0


def check(ok, what):
    global passed
    if ok:
        passed += 1
    else:
        failures.append(what)


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=dict(os.environ, LC_ALL="C"))
    return done.stdout


def flags_of(build):
    """What configure found out, from its Makefile."""
    wanted = ("CC", "CFLAGS", "TINE_CFLAGS", "TINE_CPPFLAGS", "AM_CFLAGS", "AM_CPPFLAGS")
    lines = (build / "Makefile").read_text().splitlines()
    return " ".join(line.partition(" = ")[2] for line in lines if line.split(" = ")[0] in wanted)


def check_program(path, flags):
    name, sanitized = path.name, "-fsanitize" in flags
    dynamic, segments = run("readelf", "-dW", path), run("readelf", "-lW", path)
    imported = run("readelf", "-W", "--dyn-syms", path)
    module = path.suffix == ".so"
    if module:
        exports = re.findall(r"(?:GLOBAL|WEAK)\s+DEFAULT\s+\d+\s+(\w+)", imported)
        check(sorted(exports) == ["PyInit__tine", "PyInit__tine_host"], f"{name} exports {' '.join(exports)}: another library may call it instead of its own")
    else:
        check("Position-Independent Executable" in run("readelf", "-hW", path), f"{name} is no PIE")
    # A Python brings its own; a second one in the process would be another.
    check(EMBEDDED or "libpython" not in dynamic, f"{name} needs libpython")
    check(re.search(r"\bBIND_NOW\b", dynamic) or re.search(r"FLAGS_1\).*\bNOW\b", dynamic), f"{name} binds symbols late")
    check("GNU_RELRO" in segments, f"{name} has no RELRO")
    stack = re.search(r"GNU_STACK.*?\b(R[W ]E?)\s", segments)
    check(stack and "E" not in stack.group(1), f"the stack of {name} can be executed")
    check(not re.search(r"LOAD.*\bRWE\b", segments), f"{name} has memory that can be written and executed")
    check("TEXTREL" not in dynamic, f"{name} has relocations in its code")
    check(sanitized or not re.search(r"\((RPATH|RUNPATH)\)", dynamic), f"{name} names folders for libraries")
    if not sanitized and "-fstack-protector" in flags:
        check("__stack_chk_fail" in imported, f"no stack protector in {name}")
    if not sanitized and "_FORTIFY_SOURCE" in flags and not re.search(r"-O0\b", flags):
        check(len(re.findall(r"__\w+_chk\b", imported)) > 3, f"no checked calls (_FORTIFY_SOURCE) in {name}")


def check_objects(archive):
    """Indirect branch tracking and shadow stacks. A program has the mark only if the C library's own objects have it."""
    notes = run("readelf", "-nW", archive).split("\nFile: ")
    without = [part.split("\n")[0] for part in notes if ".o)" in part.split("\n")[0] and not re.search(r"IBT, SHSTK", part)]
    check(not without, f"not made for IBT and shadow stacks: {' '.join(without)}")


def main():
    flags = flags_of(BUILD)
    for name in sys.argv[1:] or ("tine", "tinectl", *(path.name for path in sorted(BUILD.glob("_tine.*.so")))):
        check_program(BUILD / name, flags)
    if platform.machine() == "x86_64" and "-fcf-protection" in flags:
        for archive in sorted(BUILD.glob("libtine_*.a")):
            check_objects(archive)
    print(*failures, sep="\n", end="\n" if failures else "")
    print(f"{passed} passed, {len(failures)} failed")
    return 1 if failures else 0


sys.exit(main())
