#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Tests that THE HOUSE in tine-internals(7) says what arrows.py knows: the rooms, what each may include, and the fences.

`house.py --write` puts it there: the page holds, between two comments, exactly what this makes of MAY_INCLUDE and FENCES.
"""

import difflib
import re
import sys
import textwrap
from pathlib import Path

sys.dont_write_bytecode = True  # a source folder need not be writable
import arrows

PAGE = Path(__file__).resolve().parents[2] / "man" / "tine-internals.7"
BEGIN = r'.\" Made from tests/lint/arrows.py by tests/lint/house.py --write:'
END = r'.\" Made until here.'
WIDTH = 66  # of a literal line, which man(1) indents by 11 and more


def rooms():
    """A literal table: a room, and what it may include besides its own headers; names of its own side without their folder."""
    column = max(map(len, arrows.MAY_INCLUDE)) + 2
    yield ".Bd -literal -offset indent"
    for room, others in arrows.MAY_INCLUDE.items():
        side = room.partition("/")[0] + "/"
        order = [name.removeprefix(side) for name in arrows.MAY_INCLUDE if name in others]
        for line in textwrap.wrap(" ".join(order) or "nothing", WIDTH - column, break_on_hyphens=False):
            yield f"{room:{column}}{line}"
            room = ""
    yield ".Ed"


def glob_of(pattern):
    """A regular expression of FENCES as a shell would have it."""
    for old, new in ((r"\w+", "*"), (r"\w*", "*"), (r"\.", "."), (".*", "*")):
        pattern = pattern.replace(old, new)
    pattern = re.sub(r"\(([^()|]*)\)\?", r"{\1,}", pattern)
    return re.sub(r"\(([^()]*)\)", lambda m: "{" + m[1].replace("|", ",") + "}", pattern)


def fences():
    """A list: the headers of another project, and who may include them."""
    yield ".Bl -tag -width Ds -compact"
    for headers, files in arrows.FENCES:
        yield ".It Pa " + " , ".join(map(glob_of, headers.split("|")))
        for name in files[:-1]:
            yield f".Pa {glob_of(name)} ,"
        yield f".Pa {glob_of(files[-1])}"
    yield ".El"


def made():
    return [BEGIN, "Rooms, from the lowest floor up, and what each may include:", *rooms(),
            "Headers of other projects, and who may include them:", *fences(), END]


def main():
    text = PAGE.read_text()
    lines = text.split("\n")
    if BEGIN not in lines or END not in lines:
        print(f"{PAGE.name} has lost the lines\n{BEGIN}\n{END}\n0 passed, 1 failed")
        return 1
    begin, end = lines.index(BEGIN), lines.index(END)
    if "--write" in sys.argv[1:]:
        PAGE.write_text("\n".join([*lines[:begin], *made(), *lines[end + 1:]]))
        return 0
    rows = len(arrows.MAY_INCLUDE) + len(arrows.FENCES)
    wrong = list(difflib.unified_diff(lines[begin:end + 1], made(), "tine-internals(7)", "tests/lint/arrows.py", lineterm="", n=0))
    if wrong:
        print("\n".join(wrong) + "\nwrite the page anew: tests/lint/house.py --write")
    print(f"{0 if wrong else rows} passed, {1 if wrong else 0} failed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
