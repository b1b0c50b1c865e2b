#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Tests with nm that our own objects have no mutable globals, but for the list below with its reasons.

Looks at the object files of the build directory ($TINE_BUILD, or here). A table of constants with pointers is in
.data.rel.ro, which the linker makes read-only: nm calls it d like .data, so sections are asked of objdump.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

BUILD = Path(os.environ.get("TINE_BUILD", ".")).resolve()

# (object, symbol): why one process-wide mutable thing is right here.
ALLOWED = {
    ("common/log.o", "*"): "the error log belongs to the process and is written from places that are handed nothing",
    ("common/log_time.o", "*"): "the zone of the log belongs to the process, as the log does",
    ("common/forked.o", "*"): "fork() and its handlers belong to the process, and the handlers are handed nothing",
    ("worker/python/stacks.o", "*"): "a signal and its handler belong to the process, and the handler is handed nothing",
    ("common/timers.o", "timers_earliest_ns"): "a base tells nobody when its next timer is due, and who arms one is handed no loop",
}

# Python's C API takes its tables of slots, methods and members as not const; they are never written after the start, and
# lie in .data.rel only because of the pointers in them. Their names say what they are.
PYTHON_FOLDERS = re.compile(r"^worker/(?:python|app|asgi|wsgi|host)/")
PYTHON_TABLES = re.compile(r"_(?:spec|slots|methods|members|getset|attributes|def)(?:\.\d+)?$")

WRITABLE = re.compile(r"\.(?:data|bss|tdata|tbss)(?:\.(?!rel\.ro)[\w.$]+)?$|^\*COM\*$|\.(?:data|bss)$")
SYMBOL = re.compile(r"^[0-9a-f]+ (.{7}) (\S+)\t[0-9a-f]+\s+(?:\.hidden )?(\S+)$")
# What the sanitizers, gcov and the compiler make by themselves.
FOREIGN = re.compile(r"^(?:__asan|__ubsan|__odr_asan|\.LASAN|\.Lubsan|__gcov|\.LPBX|__tsan|\.L)")

def objects():
    """What the programs are made of, and the module for each Python."""
    for base in (BUILD, *sorted(BUILD.glob("modules/*"))):
        for top in ("common", "conf", "master", "worker"):
            for path in sorted((base / top).rglob("*.o")):
                yield base, path

def own_name(base, path):
    """master/tine-main.o and worker/http/libtine_http_a-resp.o are main.o and resp.o of their folders."""
    name = re.sub(r"^(?:tine|libtine_\w+_a|\w+)-", "", path.name)
    return (path.relative_to(base).parent / name).as_posix()

def mutable_symbols(path):
    listing = subprocess.run(["objdump", "-t", str(path)], stdout=subprocess.PIPE, text=True, check=True).stdout
    for line in listing.splitlines():
        match = SYMBOL.match(line)
        if not match:
            continue
        flags, section, name = match.groups()
        if WRITABLE.search(section) and "O" in flags and not FOREIGN.match(name):
            yield name, section

def allowed(name, symbol, section):
    if (name, "*") in ALLOWED or (name, symbol) in ALLOWED:
        return True
    return bool(section.startswith(".data.rel") and PYTHON_FOLDERS.match(name) and PYTHON_TABLES.search(symbol))


def main():
    passed = failed = 0
    for base, path in objects():
        name = own_name(base, path)
        found = [(symbol, section) for symbol, section in mutable_symbols(path) if not allowed(name, symbol, section)]
        for symbol, section in found:
            print(f"{name}: {symbol} in {section} can be changed: put it in a struct that is handed around")
        passed, failed = passed + (not found), failed + bool(found)
    if not passed and not failed:
        print(f"no objects in {BUILD}: build first")
        failed = 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0

if __name__ == "__main__":
    sys.exit(main())
