#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Tests the include arrows between rooms and the fences of third-party headers that tine-internals(7) draws.

Reads every source file for #include lines and asks no compiler. Must know each folder: a new one without a row in
MAY_INCLUDE is a fault, so that nobody adds a room without saying which doors it has.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Folder -> the folders whose headers it may include besides its own: calls go down, news goes up.
BASE = {"common", "conf"}
MAY_INCLUDE = {
    "common": set(),
    "conf": {"common"},
    "master/system": BASE,
    "master/listen": BASE | {"master/system"},
    "master/fleet": BASE | {"master/system", "master/listen"},
    "master/metrics": BASE | {"master/system", "master/listen", "master/fleet"},
    "master/control": BASE | {"master/system", "master/listen", "master/fleet", "master/metrics"},
    "master/tinectl": {"common", "master/control"},
    "master": BASE | {"master/system", "master/listen", "master/fleet", "master/metrics", "master/control"},
    "worker/net": BASE,
    "worker/tls": BASE | {"worker/net"},
    "worker/http": BASE | {"worker/net"},
    "worker/log": BASE | {"worker/net", "worker/http"},
    "worker/coding": BASE | {"worker/net", "worker/http"},
    "worker/http1": BASE | {"worker/net", "worker/http", "worker/log"},
    "worker/http2": BASE | {"worker/net", "worker/http", "worker/log"},
    "worker/static": BASE | {"worker/net", "worker/http", "worker/coding"},
    "worker/ws": BASE | {"worker/net", "worker/http"},
    "worker/python/loops": BASE,
    "worker/python": BASE | {"worker/python/loops"},
    "worker/app": BASE | {"worker/http", "worker/python"},
    "worker/asgi": BASE | {"worker/net", "worker/tls", "worker/http", "worker/ws", "worker/python", "worker/app"},
    "worker/wsgi": BASE | {"worker/net", "worker/tls", "worker/http", "worker/python", "worker/app"},
    "worker/host": BASE | {"worker/python"},
    "worker": BASE | {"worker/net", "worker/tls", "worker/http", "worker/log", "worker/coding", "worker/http1", "worker/http2",
                      "worker/static", "worker/ws", "worker/python", "worker/python/loops", "worker/app", "worker/asgi", "worker/wsgi"},
}

# Contracts that stand above those who use them: header -> the folders that may include it besides its own.
SEAMS = {
    "master/orders.h": {"master/control"},
    "master/service.h": {"master/metrics", "master/control"},
}

# Headers where only one side of the fork may be named elsewhere: the two sides meet here.
MEETING_PLACE = {"common/heritage.h", "common/ipc.h", "common/ipc_msgs.def", "common/scoreboard.h"}

# Who may call, or be, the entry of a worker besides the master: hosted.c calls what become.c has handed over.
WORKER_MAIN = ("common/heritage.h", "worker/worker.c", "worker/host/become.c", "worker/host/hosted.c")

# Pattern of a system header -> patterns of the files that may include it.
FENCES = [
    (r"http_parser\.h", [r"worker/http1/h1_parse\.c"]),
    (r"nghttp2/.*", [r"worker/http2/h2_\w+\.[ch]"]),
    (r"libwebsockets\.h|uv\.h", [r"worker/ws/ws_lws\w*\.[ch]"]),
    (r"wslay/.*", [r"worker/ws/ws_wslay\.c"]),
    (r"zlib\.h", [r"worker/ws/ws_deflate\.c", r"worker/coding/compress_gzip\.c"]),
    (r"brotli/.*", [r"worker/coding/compress_br\.c"]),
    (r"zstd\.h", [r"worker/coding/compress_zstd\.c"]),
    (r"openssl/.*", [r"worker/tls/\w+\.[ch]"]),
    (r"ini\.h", [r"conf/conf_load\.c"]),
    (r"Python\.h|structmember\.h|frameobject\.h|datetime\.h|internal/.*|pythread\.h",
     [r"worker/(python|python/loops|app|asgi|wsgi)/\w+\.[ch]", r"worker/(worker\w*|mold)\.c", r"worker/host/(hosted|alone)\.c"]),
    (r"event2/.*|event\.h", [r"worker/(net|tls|python|python/loops)/\w+\.[ch]", r"common/timers\.[ch]", r"worker/worker\w*\.[ch]", r"worker/ws/(\w+\.c|ws_lws_priv\.h)",
                             r"master/(\w+/)?\w+\.[ch]", r"worker/(http|http1|http2|static|log)/\w+\.c",
                             r"worker/coding/(\w+\.c|compress_priv\.h)", r"worker/wsgi/wsgi_(outbox|pool|head|limit|socket)\.c", r"worker/app/mount\.c"]),
]

# Headers of one room, and who may include them besides.
PRIVATE = re.compile(r"_(?:priv|internal|state)\.h$")
PRIVATE_EXCEPTIONS = {
    ("tests/fuzz/fuzz_h2_session.c", "worker/http2/h2_priv.h"): "looks at what a session holds after each piece",
}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)


def sources():
    for top in ("common", "conf", "master", "worker"):
        for path in sorted((ROOT / top).rglob("*")):
            if path.suffix in (".c", ".h", ".def"):
                yield path.relative_to(ROOT).as_posix(), path.read_text()


def folder_of(name):
    return name.rpartition("/")[0]


def faults_of(name, text):
    folder = folder_of(name)
    if folder not in MAY_INCLUDE:
        yield f"the folder {folder} has no row in MAY_INCLUDE"
        return
    found = INCLUDE.findall(text)
    for bracket, header in found:
        for pattern, allowed in FENCES:
            if re.fullmatch(pattern, header) and not any(re.fullmatch(a, name) for a in allowed):
                yield f"includes <{header}>, which is fenced to {' '.join(allowed)}"
        if bracket == "<" or header == "config.h":
            continue
        if "/" not in header:
            yield f'includes "{header}" without its folder'
            continue
        if not (ROOT / header).exists():
            continue  # made by the build, or the compiler will say so
        to = folder_of(header)
        if to != folder and to not in MAY_INCLUDE[folder] and folder not in SEAMS.get(header, ()):
            yield f'includes "{header}": no arrow from {folder} to {to}'
    own = [header for _, header in found if header == name[:-2] + ".h"]
    first = next((header for bracket, header in found if bracket == '"' and header != "config.h"), None)
    if name.endswith(".c") and own and first != own[0]:
        yield f"includes {first} before its own header"


def private_faults():
    """Headers that the files of a room share are included by nothing else, the tests' C included."""
    tests = ((path.relative_to(ROOT).as_posix(), path.read_text()) for path in sorted((ROOT / "tests").rglob("*.[ch]")))
    for name, text in (*sources(), *tests):
        for bracket, header in INCLUDE.findall(text):
            if PRIVATE.search(header) and folder_of(header) != folder_of(name) and (name, header) not in PRIVATE_EXCEPTIONS:
                yield name, f'includes "{header}", which is private to {folder_of(header)}'


def fork_faults(texts):
    """Only worker and master code may name each other's side, and only through the meeting place."""
    for name, text in texts.items():
        side = name.partition("/")[0]
        for other in {"master", "worker"} - {side}:
            if side in ("master", "worker", "common", "conf") and re.search(rf'#\s*include\s*"{other}/', text):
                yield name, f"includes a header of {other}/: they meet in {' and '.join(sorted(MEETING_PLACE))}"
        if re.search(r"\bworker_main\s*\(", text) and name not in WORKER_MAIN and side != "master":
            yield name, "calls worker_main"


def main():
    texts = dict(sources())
    faults = {name: list(faults_of(name, text)) for name, text in texts.items()}
    for name, fault in (*fork_faults(texts), *private_faults()):
        faults.setdefault(name, []).append(fault)
    for name, found in faults.items():
        for fault in found:
            print(f"{name}: {fault}")
    bad = sum(1 for found in faults.values() if found)
    print(f"{len(faults) - bad} passed, {bad} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
