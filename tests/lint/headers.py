#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Tests that each header compiles alone, so that the order of includes never matters. Asks the compiler, in parallel."""

import os
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("TINE_BUILD", ".")).resolve()
# Where pkg-config looks must not depend on who runs the tests.
ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith("PKG_CONFIG")}


def setting(name):
    for line in (BUILD / "Makefile").read_text().splitlines():
        if line.startswith(f"{name} = "):
            return shlex.split(line.partition(" = ")[2])
    return []


def compile_alone(header, command):
    name = header.relative_to(ROOT).as_posix()
    source = f'#include "{name}"\n#include "{name}"\ntypedef int unit_is_not_empty;\n'
    result = subprocess.run([*command, "-x", "c", "-"], input=source, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, env=ENVIRONMENT)
    return name, result.returncode, result.stdout


def main():
    headers = [header for top in ("common", "conf", "master", "worker") for header in sorted((ROOT / top).rglob("*.h"))]
    compiler = setting("CC") or ["cc"]
    command = [*compiler, "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wno-unused-parameter",
               "-Wno-missing-field-initializers", "-Werror", "-fsyntax-only", f"-I{ROOT}", f"-I{BUILD}",
               *setting("PYTHON_CFLAGS"), *setting("LIBEVENT_CFLAGS")]
    passed = failed = 0
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for name, status, output in threads.map(lambda header: compile_alone(header, command), headers):
            if status:
                print(f"{name}: does not compile alone:\n{output}")
            passed, failed = passed + (not status), failed + bool(status)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
