#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Tests sizes and manners of the C sources: files over 500 lines, functions over 100 lines, lines of code over 124 columns, a
missing first comment or licence, unfinished business, and paths of a build machine in anything that is committed.

Reads text only. A function is a block that opens with "{" in the first column, which our format guarantees.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILE_LIMIT = 500
FUNCTION_LIMIT = 100
COLUMNS = 124  # the formatter aims at 120; a sentence of a comment may go over
LICENSE = "SPDX-License-Identifier: BSD-3-Clause"
LICENSED = {".c", ".h", ".def", ".py", ".mk", ".am", ".ac", ".css", ".js", ".8", ".7", ".in"}
MARKS = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|X" r"XX|HA" r"CK)\b")
MACHINE = re.compile(r"/home/\w|/ro" r"ot/\.|/wo" r"rk/|/tmp" r"/wt")
FENCED_TEXT = {".c", ".h", ".def", ".py", ".mk", ".am", ".ac", ".md", ".ini", ".in", ".css", ".js", ".service", ".socket", ".8", ".5", ".7", ""}


# Of a worker's base, which may be another loop's guest: that loop must hear of the time (common/timers.h).
BARE_TIMER = re.compile(r"\bevtimer_add\(|\bevent_add\([^;]*, (?!NULL\))")


def committed():
    try:
        listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], check=True, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL).stdout
        found = sorted(ROOT / name for name in listed.decode().split("\0") if name and (ROOT / name).is_file())
        if found:
            return found
    except (FileNotFoundError, subprocess.CalledProcessError):
        pass  # a machine need not have git; a released archive has no repository, or is in a folder that it ignores
    return sorted(path for top in ("common", "conf", "master", "worker", "tests", "man") for path in (ROOT / top).rglob("*")
                  if path.is_file() and "__pycache__" not in path.parts)


def functions(lines):
    """(first line, length) of each block that starts with a lone { in the first column."""
    start = None
    for number, line in enumerate(lines, 1):
        if line.rstrip() == "{":
            start = number
        elif line.startswith("}") and start is not None:
            yield start, number - start + 1
            start = None


def faults_of(path, text):
    lines = text.splitlines()
    if path.suffix in (".c", ".h"):
        if len(lines) > FILE_LIMIT:
            yield f"{len(lines)} lines; {FILE_LIMIT} is the limit"
        for start, length in functions(lines):
            if length > FUNCTION_LIMIT:
                yield f"line {start}: a function of {length} lines; {FUNCTION_LIMIT} is a fault"
        if not text.startswith(f"/* {LICENSE} */\n/* {path.name}:"):
            yield f"does not begin with a comment '/* {path.name}: what it does'"
    if path.suffix in (".c", ".h"):
        for number, line in enumerate(lines, 1):
            if len(line) > COLUMNS and path.suffix == ".c":
                yield f"line {number}: {len(line)} columns"
            if line.rstrip() != line:
                yield f"line {number}: space at the end"
            if "\t" in line:
                yield f"line {number}: a tab"
            if path.relative_to(ROOT).parts[0] == "worker" and BARE_TIMER.search(line):
                yield f"line {number}: a timer that timer_add() does not arm"
    if (path.suffix in LICENSED or text.startswith("#!")) and LICENSE not in text[:200]:
        yield f"has no line '{LICENSE}'"
    for number, line in enumerate(lines, 1):
        if MARKS.search(line):
            yield f"line {number}: unfinished business: {line.strip()}"
        if MACHINE.search(line):
            yield f"line {number}: a path of one machine: {line.strip()}"


def main():
    passed = failed = 0
    for path in committed():
        if path.suffix not in FENCED_TEXT:
            continue
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        found = list(faults_of(path, text))
        for fault in found:
            print(f"{path.relative_to(ROOT)}: {fault}")
        passed, failed = passed + (not found), failed + bool(found)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
