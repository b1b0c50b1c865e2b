# SPDX-License-Identifier: BSD-3-Clause
"""What a child process of the application inherits: its descriptors, by every way of starting one that closes none."""

import json
import os
import subprocess
import tempfile

from apps.kit import as_json

PYTHON = "/usr/bin/python3"
# os.listdir() has a descriptor of its own, which is closed when its name is looked up.
LIST = ("import os, json, sys; n = sorted(map(int, os.listdir('/proc/self/fd')));"
        "json.dump({i: os.readlink(f'/proc/self/fd/{i}') for i in n if os.path.lexists(f'/proc/self/fd/{i}')}, open(sys.argv[1], 'w'))")


def by_popen(to):
    subprocess.run([PYTHON, "-c", LIST, to], close_fds=False, check=True)


def by_spawn(to):
    assert os.waitpid(os.posix_spawn(PYTHON, [PYTHON, "-c", LIST, to], os.environ), 0)[1] == 0


def by_system(to):
    assert os.system(f"{PYTHON} -c \"{LIST}\" {to}") == 0


def by_fork(to):
    try:
        pid = os.fork()
    except RuntimeError:  # a sub-interpreter
        return by_spawn(to)
    if pid == 0:
        os.execv(PYTHON, [PYTHON, "-c", LIST, to])
    assert os.waitpid(pid, 0)[1] == 0


def seen():
    found = {}
    for start in (by_popen, by_spawn, by_system, by_fork):
        with tempfile.NamedTemporaryFile("r") as out:
            start(out.name)
            found[start.__name__] = json.load(out)
    return found


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    await as_json(send, seen())


def wsgi(environ, start_response):
    body = json.dumps(seen()).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
