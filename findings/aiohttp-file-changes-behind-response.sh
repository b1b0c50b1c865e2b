#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# One would expect that a response has left for good when aiohttp's FileResponse has been sent, as with bytes, so that a derived
# class's prepare() may wipe the file next. aiohttp 3.14.5 sends it with sendfile(2), which does not copy: the pages in the socket stay
# the file's own until the client has taken them. A client that begins to read later gets what was written into the file in between,
# with the status, length and ETag of what was there before. Neither deleting the file nor a new one under its name has this effect,
# nor does the same response with AIOHTTP_NOSENDFILE=1, which reads the file into memory. Seen on CPython 3.11.2 and 3.13.0, Linux 6.
set -euo pipefail

python=${PYTHON:-python3}
if ! "$python" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "skipped, all of it: no CPython of 3.11 or later with venv as $python (set PYTHON)"
    exit 77
fi

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

"$python" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q aiohttp==3.14.5
"$tmp/venv/bin/python" --version
"$tmp/venv/bin/pip" list 2>/dev/null | grep -E '^aiohttp '

cat >"$tmp/download.py" <<'END'
"""download.py overwrite|delete|replace FILE: what a client gets that reads when the file is no more what it was."""
import asyncio
import os
import sys

from aiohttp import web

how, path = sys.argv[1:]
SIZE = 100_000
changed = asyncio.Event()


def change():
    if how == "overwrite":
        with open(path, "r+b") as file:
            file.write(b"new!" * (SIZE // 4))
    elif how == "replace":
        with open(path + ".new", "wb") as file:
            file.write(b"new!" * (SIZE // 4))
        os.replace(path + ".new", path)
    else:
        os.unlink(path)


class Download(web.FileResponse):
    async def prepare(self, request):
        writer = await super().prepare(request)  # sends the file, too
        change()
        changed.set()
        return writer


async def download(request):
    return Download(path)


async def main():
    with open(path, "wb") as file:
        file.write(b"old!" * (SIZE // 4))
    app = web.Application()
    app.router.add_get("/", download)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    reader, writer = await asyncio.open_connection(*runner.addresses[0][:2], limit=1)
    writer.transport.pause_reading()
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    await asyncio.wait_for(changed.wait(), 30)
    writer.transport.resume_reading()
    answer = await asyncio.wait_for(reader.read(), 30)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ") and len(body) == SIZE, (head, len(body))
    print("new" if b"new!" in body else "old")
    writer.close()
    await runner.cleanup()


asyncio.run(main())
END

# expect WHAT HOW [VARIABLE=VALUE]
expect() {
    local got
    got=$(env "${@:3}" "$tmp/venv/bin/python" "$tmp/download.py" "$2" "$tmp/file")
    echo "the file is changed by $2${3:+, $3}: the client gets the $got bytes"
    if [ "$got" != "$1" ]; then
        echo "changed: expected the $1 ones"
        exit 1
    fi
}

expect new overwrite
expect old replace
expect old delete
expect old overwrite AIOHTTP_NOSENDFILE=1
echo "as described"
