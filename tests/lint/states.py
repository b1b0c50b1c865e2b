#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Tests that a state is assigned only by its setter: a function whose name ends in set_state, set_stage or set_phase.

Reads text only: an assignment to a member called state, stage or phase, inside a function that is no setter, is a fault unless EXCUSED
still allows it. What an initialiser gives a new object is no step. EXCUSED may only shrink: a number that is too large is a fault,
too; `states.py --shrink` lowers it.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Members of these names that are no enumeration, or the state of a loop over bytes that lives no longer than the loop.
NO_STATES = {
    ("worker/asgi/asgi_lifespan.c", "asgi->state"): "the dictionary that the application fills",
    ("worker/python/interp.c", "interp->state"): "CPython's interpreter state",
    ("worker/http1/h1_guard.c", "s->state"): "a byte machine: each case of its switch is a step",
    ("worker/http1/h1_guard.c", "scan->state"): "the same, at the start of the trailer",
    ("worker/http1/h1_body.c", "b->state"): "a byte machine",
}

# How many assignments in a file are not in a setter yet.
EXCUSED = {
    "worker/app/mount.c": 1,
    "worker/asgi/asgi_lifespan.c": 4,
    "worker/asgi/asgi_ws.c": 1,
    "worker/asgi/asgi_ws_send.c": 5,
    "worker/coding/compress_run.c": 1,
    "worker/coding/compress_stream.c": 1,
    "worker/http/admission.c": 2,
    "worker/http1/h1_conn.c": 3,
    "worker/http1/h1_head.c": 4,
    "worker/http1/h1_in.c": 1,
    "worker/http1/h1_out.c": 2,
    "worker/http1/h1_upgrade.c": 1,
    "worker/http2/h2_conn.c": 3,
    "worker/net/accept.c": 1,
    "worker/net/conn.c": 3,
    "worker/python/task.c": 1,
    "worker/python/task_drive.c": 6,
    "worker/python/task_lazy.c": 3,
    "worker/python/task_proxy.c": 1,
    "worker/ws/ws_session.c": 2,
    "worker/wsgi/wsgi_turn.c": 4,
}

ASSIGNMENT = re.compile(r"([A-Za-z_][\w.>\[\]-]*(?:->|\.)(?:state|stage|phase))\s*=(?!=)")
FUNCTION = re.compile(r"^[A-Za-z_][\w *]*?\b(\w+)\((?!.*;$)")
SETTER = re.compile(r"(?:^|_)set_(?:state|stage|phase)$")
COMMENT_OR_STRING = re.compile(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.S)


def plain(text):
    """Without comments and strings, lines kept."""
    return COMMENT_OR_STRING.sub(lambda m: "\n" * m[0].count("\n"), text)


def assignments(text):
    """(line, function, what is assigned) of each assignment to a state."""
    function, open_block = "", False
    for number, line in enumerate(plain(text).split("\n"), 1):
        if not open_block and (match := FUNCTION.match(line)):
            function = match[1]
        if line.startswith("{"):
            open_block = True
        elif line.startswith("}"):
            open_block = False
        for match in ASSIGNMENT.finditer(line):
            yield number, function, match[1]


def shrink(counts):
    """Writes these numbers into EXCUSED of this file."""
    here = Path(__file__)
    rows = "".join(f'    "{name}": {n},\n' for name, n in sorted(counts.items()) if n)
    here.write_text(re.sub(r"^EXCUSED = \{\n.*?^\}\n", lambda m: "EXCUSED = {\n" + rows + "}\n", here.read_text(), flags=re.M | re.S))


def main():
    passed, failed, counts = 0, 0, {}
    for top in ("common", "conf", "master", "worker"):
        for path in sorted((ROOT / top).rglob("*.[ch]")):
            name = path.relative_to(ROOT).as_posix()
            found = [(line, function, what) for line, function, what in assignments(path.read_text())
                     if not SETTER.search(function) and (name, what) not in NO_STATES]
            counts[name] = min(len(found), EXCUSED.get(name, 0))
            if len(found) <= EXCUSED.get(name, 0):
                passed += 1
                continue
            failed += 1
            for line, function, what in found:
                print(f"{name}:{line}: {function}() assigns {what}: that is for its setter (set_state)")
            print(f"{name}: {len(found)} such assignments; EXCUSED has {EXCUSED.get(name, 0)}")
    if "--shrink" in sys.argv[1:]:
        shrink(counts)
        return 0
    for name, n in EXCUSED.items():
        if counts.get(name, 0) < n:
            print(f"{name}: EXCUSED has {n}, and {counts.get(name, 0)} would do: tests/lint/states.py --shrink")
            failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
