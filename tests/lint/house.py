#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Tests that tine-internals(7) tells of the tree as it is.

THE HOUSE says what arrows.py knows: the rooms, what each may include, and the fences. `house.py --write` puts it there: the page
holds, between two comments, exactly what this makes of MAY_INCLUDE and FENCES. SEAMS names each table of functions that a header
declares. Files that the page names exist.
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
SEAM = re.compile(r"^struct (\w+_(?:ops|events)|orders|reload_part) \{", re.M)
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


def seams():
    """Names of the structs by which a room calls what it does not know."""
    for name, text in arrows.sources():
        if name.endswith(".h"):
            yield from SEAM.findall(text)


def unnamed_seams(text):
    section = text.partition(".Sh SEAMS\n")[2].partition("\n.Sh ")[0]
    named = set(re.findall(r"\w+", " ".join(line for line in section.split("\n") if line.startswith(".It Vt "))))
    return [f"SEAMS does not name struct {name}" for name in sorted({*seams()} - named)]


def missing_files(text):
    """Paths of the page that are no files, neither as they are nor in worker/ or master/, with or without a suffix."""
    places = [arrows.ROOT / side / "." for side in ("", "worker", "master")]
    for line in text.partition(BEGIN)[0].split("\n") + text.partition(END)[2].split("\n"):
        for name in line.partition("Pa ")[2].split() if re.match(r"\.(?:It |Pq )?(?:[\w -]*: )?Pa |\.Pq .* Pa ", line) else ():
            name = name.strip("().,")
            if "/" in name.strip("/") and not name.startswith("/") and not any(
                    any(place.glob(name + suffix)) for place in places for suffix in ("", ".c", ".h")):
                yield f"names {name}, which is not there"


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
    others = [*unnamed_seams(text), *missing_files(text)]
    for fault in others:
        print(f"{PAGE.name}: {fault}")
    failed = bool(wrong) + len(others)
    print(f"{0 if wrong else rows} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
