#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Tests that calls go down. Rooms (folders): no circle among them, by the symbols that their objects need. Inside a room a
file calls only files that its local.mk lists before it, so that the list reads like the floors of a house; the modules in
EXCUSED are one module each behind a private header, and may call each other.

Asks nm about the objects of the build directory ($TINE_BUILD, or here), so a call counts whether or not a header was
included. What the build leaves out (HTTP/2, a codec) is not looked at.
"""

import collections
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("TINE_BUILD", ".")).resolve()
TOPS = ("common", "conf", "master", "worker")

# Files that make one module and call each other in both directions. The lists may only shrink: a file that is in no circle
# any more has to leave.
EXCUSED = {
    "worker/net": {"conn", "conn_in", "conn_out"},
    "worker/http1": {"h1_conn", "h1_head", "h1_in", "h1_out", "h1_upgrade"},
    "worker/http2": {"h2_conn", "h2_head", "h2_head_out", "h2_in", "h2_out", "h2_send", "h2_session", "h2_stream", "h2_tunnel"},
    "worker/python": {"task", "task_current", "task_drive", "task_lazy", "task_proxy", "task_together"},
}


def own_name(path):
    """worker/http/libtine_http_a-resp.o is worker/http/resp."""
    name = re.sub(r"^(?:tine|tinectl|\w+_keydoc|libtine_\w+?_a)-", "", path.name)
    return (path.relative_to(BUILD).parent / name).with_suffix("").as_posix()


def symbols(paths):
    """{path: (defined, needed)} of object files."""
    found = {path: (set(), set()) for path in paths}
    listing = subprocess.run(["nm", "--print-file-name", *paths], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    for line in listing.splitlines():
        path, _, rest = line.partition(".o:")
        kind, name = rest.split()[-2:]
        defined, needed = found[Path(f"{path}.o")]
        if kind == "U":
            needed.add(name)
        elif kind.isupper():
            defined.add(name)
    return found


def read_arrows():
    """{(caller, callee): symbols} between our files."""
    sources = {path.relative_to(ROOT).with_suffix("").as_posix() for top in TOPS for path in (ROOT / top).rglob("*.c")}
    paths = {}
    for path in (path for top in TOPS for path in sorted((BUILD / top).rglob("*.o"))):
        if own_name(path) in sources:
            paths.setdefault(own_name(path), path)
    found = symbols(paths.values())
    objects = {name: found[path] for name, path in paths.items()}
    owner = {symbol: name for name, (defined, _) in objects.items() for symbol in defined if symbol != "main"}
    arrows = collections.defaultdict(set)
    for name, (_, needed) in objects.items():
        for symbol in needed:
            if owner.get(symbol, name) != name:
                arrows[name, owner[symbol]].add(symbol)
    return objects, arrows


def room_of(name):
    return name.rpartition("/")[0]


def circles(nodes, edges):
    """Strongly connected parts of more than one node (Tarjan)."""
    index, low, stack, found = {}, {}, [], []

    def visit(v):
        index[v] = low[v] = len(index)
        stack.append(v)
        for w in edges.get(v, ()):
            if w not in index:
                visit(w)
                low[v] = min(low[v], low[w])
            elif w in stack:
                low[v] = min(low[v], index[w])
        if low[v] == index[v]:
            part = stack[stack.index(v):]
            del stack[stack.index(v):]
            if len(part) > 1:
                found.append(sorted(part))

    for v in nodes:
        if v not in index:
            visit(v)
    return found


def listed(room):
    """The .c files of a room in the order of its local.mk."""
    text = (ROOT / room / "local.mk").read_text()
    return [name for name in re.findall(rf"(?<![\w/]){re.escape(room)}/(\w+)\.c\b", text)]


def room_faults(room, arrows):
    order = {name: at for at, name in reversed(list(enumerate(listed(room))))}
    excused = EXCUSED.get(room, set())
    for (caller, callee), names in sorted(arrows.items()):
        if room_of(caller) != room or room_of(callee) != room:
            continue
        a, b = caller.rpartition("/")[2], callee.rpartition("/")[2]
        if a not in order or b not in order:
            yield f"{a}.c or {b}.c is not in {room}/local.mk"
        elif order[b] > order[a] and not {a, b} <= excused:
            yield f"{a}.c calls {b}.c ({' '.join(sorted(names)[:3])}), which local.mk lists after it"


def shrink_faults(objects, arrows):
    edges = collections.defaultdict(set)
    for caller, callee in arrows:
        edges[caller].add(callee)
    inside = {name for part in circles(sorted(objects), edges) for name in part}
    for room, names in EXCUSED.items():
        for name in sorted(names):
            if f"{room}/{name}" in objects and f"{room}/{name}" not in inside:
                yield f"{room}/{name} is excused, but in no circle any more: take it out of EXCUSED"


def main():
    sys.setrecursionlimit(10000)
    objects, arrows = read_arrows()
    if not objects:
        print(f"no objects in {BUILD}: build first\n0 passed, 1 failed")
        return 1
    between = collections.defaultdict(set)
    for caller, callee in arrows:
        if room_of(caller) != room_of(callee):
            between[room_of(caller)].add(room_of(callee))
    rooms = sorted({room_of(name) for name in objects})
    faults = [f"rooms in a circle: {' '.join(part)}" for part in circles(rooms, between)]
    faults += shrink_faults(objects, arrows)
    passed = 0
    for room in rooms:
        found = list(room_faults(room, arrows))
        passed += not found
        faults += found
    print(*faults, sep="\n", end="\n" if faults else "")
    print(f"{passed} passed, {len(faults)} failed")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
