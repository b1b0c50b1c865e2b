#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Sums up which lines of our C the tests have run, after any of them ran in a build with --enable-coverage.

Prints a table of the folders, the files below the bar, and the total; fails when the total is below the bar. A file that
several programs share counts once, with what any of them ran; the tests' own C does not count. --lines FILE... shows
the lines of these files that nobody ran. The last line is "N passed, N failed". Standard library and gcov only.
"""

import argparse
import json
import os
import subprocess
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
OURS = ("common", "conf", "master", "worker")


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--build", type=Path, default=Path.cwd(), help="build directory (default: here)")
    options.add_argument("--bar", type=float, default=85.0, help="least percentage in all (default: 85)")
    options.add_argument("--lines", nargs="+", default=(), metavar="FILE", help="show what is not run of these")
    arguments = options.parse_args()
    build = arguments.build.resolve()
    files = read(build)
    if not files:
        sys.exit("gcov has nothing to tell of our files")
    if arguments.lines:
        for name in arguments.lines:
            show(str(Path(name).resolve().relative_to(TOP)), files)
        return 0
    folders = defaultdict(list)
    for name, lines in files.items():
        folders[os.path.dirname(name)].append((sum(map(bool, lines.values())), len(lines)))
    for folder, counts in sorted(folders.items()):
        print(row(folder, *map(sum, zip(*counts))))
    print("\nbelow the bar:")
    for name, lines in sorted(files.items()):
        run = sum(map(bool, lines.values()))
        if 100 * run < arguments.bar * len(lines):
            print(row(name, run, len(lines)))
    run, total = (sum(column) for column in zip(*(count for counts in folders.values() for count in counts)))
    print("\n" + row("all of it", run, total))
    good = 100 * run >= arguments.bar * total
    print(f"{int(good)} passed, {int(not good)} failed")
    return 0 if good else 1


def row(name, run, total):
    return f"{name:36} {run:6} of {total:6} lines {100 * run / total:6.1f} %"


def read(build):
    """{file of the tree: {line: how often it was run}}"""
    notes = [path for path in build.rglob("*.gcno") if path.relative_to(build).parts[0] in OURS]
    if not any(build.rglob("*.gcda")):
        sys.exit(f"no test has run in {build}, or it was not configured with --enable-coverage")
    files = defaultdict(lambda: defaultdict(int))
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for report in pool.map(lambda path: gcov(build, path), notes):
            for source in report["files"]:
                name = os.path.relpath(os.path.join(report["current_working_directory"], source["file"]), TOP)
                if name.split("/")[0] not in OURS or not (TOP / name).exists():
                    continue
                for line in source["lines"]:
                    files[name][line["line_number"]] += line["count"]
    return {name: lines for name, lines in files.items() if lines}


def gcov(build, note):
    said = subprocess.run(["gcov", "--json-format", "--stdout", str(note)], cwd=build, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, check=True)
    return json.loads(said.stdout)


def show(name, files):
    for number, text in enumerate((TOP / name).read_text().splitlines(), 1):
        if files.get(name, {}).get(number) == 0:
            print(f"{name}:{number}: {text}")


if __name__ == "__main__":
    sys.exit(main())
