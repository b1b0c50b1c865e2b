#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# One would expect that a FastAPI endpoint written with plain "def" runs in a pool of worker threads that are used again, whichever
# server calls it. Under peregrine-server 1.2.0 each of 100 requests, one after another on one connection, gets a thread of its own;
# uvicorn 0.54.0, granian 2.8.9 and h2corn 2.0.0 use one thread for all. anyio 4.16.0 ends its idle threads when the "root" task ends.
# It looks for a task that run_until_complete() waits for, and takes the current one if there is none: the request's, in a loop that
# run_forever() drives. So a server that drives its loop in that way pays for a thread per request, and thread-locals (database
# connections, sessions) never live longer than a request. Seen with FastAPI 0.165.0 and Starlette 1.10.0 on CPython 3.11.2 and 3.13.0.
set -euo pipefail

python=${PYTHON:-python3}
if ! "$python" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "skipped, all of it: no CPython of 3.11 or later with venv as $python (set PYTHON)"
    exit 77
fi

tmp=$(mktemp -d)
pid=
cleanup() {
    if [ -n "$pid" ]; then
        kill "$pid" 2>/dev/null || true
        wait "$pid" || true
    fi
    rm -rf "$tmp"
}
trap cleanup EXIT

"$python" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q peregrine-server==1.2.0 uvicorn==0.54.0 granian==2.8.9 h2corn==2.0.0 fastapi==0.165.0 \
    starlette==1.10.0 anyio==4.16.0
"$tmp/venv/bin/python" --version
"$tmp/venv/bin/pip" list 2>/dev/null | grep -iE '^(peregrine-server|uvicorn|granian|h2corn|fastapi|starlette|anyio) '

cat >"$tmp/app.py" <<'END'
import itertools
import threading

from fastapi import FastAPI

count = itertools.count(1)


class Number(threading.local):
    """Numbers the threads in the order in which they first read it."""

    def __init__(self):
        self.value = next(count)


number = Number()
app = FastAPI()


@app.get("/")
def root():
    return number.value
END

cat >"$tmp/ask.py" <<'END'
import http.client
import json
import sys
import time

for _ in range(300):
    connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=30)
    try:
        connection.connect()
        break
    except OSError:
        time.sleep(0.1)
else:
    sys.exit("the server does not listen")
socket = connection.sock
threads = set()
for _ in range(100):
    connection.request("GET", "/")
    response = connection.getresponse()
    body = response.read()
    assert response.status == 200 and connection.sock is socket, (response.status, body)
    threads.add(json.loads(body))
print(len(threads))
END

cat >"$tmp/loop.py" <<'END'
import asyncio
import sys

import anyio.to_thread
from app import number

threads = set()


async def request():
    threads.add(await anyio.to_thread.run_sync(lambda: number.value))


async def requests():
    for _ in range(100):
        await asyncio.get_running_loop().create_task(request())


loop = asyncio.new_event_loop()
if sys.argv[1] == "run_until_complete":
    loop.run_until_complete(requests())
else:
    loop.create_task(requests()).add_done_callback(lambda _: loop.stop())
    loop.run_forever()
print(len(threads))
END

free_port() {
    "$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# serve COMMAND...: starts the server on a free port, and sets threads to the number of threads that ran 100 requests.
serve() {
    local port
    port=$(free_port)
    (cd "$tmp" && PYTHONPATH=$tmp exec "$tmp/venv/bin/$1" "${@:2}" --host 127.0.0.1 --port "$port" app:app) >"$tmp/log" 2>&1 &
    pid=$!
    if ! threads=$("$tmp/venv/bin/python" "$tmp/ask.py" "$port"); then
        cat "$tmp/log"
        echo "changed: $1 did not answer"
        exit 1
    fi
    kill "$pid"
    wait "$pid" || true
    pid=
    echo "$1: 100 requests, $threads thread(s)"
}

expect() {
    if [ "$1" != "$2" ]; then
        echo "changed: expected $2 thread(s), got $1"
        exit 1
    fi
}

serve uvicorn
expect "$threads" 1
serve granian --interface asgi
expect "$threads" 1
serve h2corn
expect "$threads" 1
serve peregrine
expect "$threads" 100

for way in run_until_complete run_forever; do
    threads=$(cd "$tmp" && "$tmp/venv/bin/python" loop.py $way)
    echo "anyio alone in a loop driven by $way(): 100 tasks, $threads thread(s)"
    if [ $way = run_forever ]; then
        expect "$threads" 100
    else
        expect "$threads" 1
    fi
done
echo "as described"
