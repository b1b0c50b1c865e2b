# SPDX-License-Identifier: BSD-3-Clause
"""Closes descriptors that are the server's: "/all", or those of the kind that the path names. "_reused" behind it opens files of
its own with the same numbers; "_watched" keeps copies of reading ends, so that epoll goes on reporting what is closed. ASGI
`app`, WSGI `wsgi`."""

import fcntl
import os
import socket
import stat
import tempfile

from apps.kit import text


def kinds():
    """(descriptor, kind) of those that are open."""
    for name in sorted(os.listdir("/proc/self/fd"), key=int):
        fd = int(name)
        try:
            mode, link = os.fstat(fd).st_mode, os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
        if fd < 3:
            continue
        if stat.S_ISSOCK(mode):
            with socket.socket(fileno=os.dup(fd)) as s:
                yield fd, kind_of_socket(s)
        elif link.endswith("/error.file"):
            yield fd, "log"
        elif link.endswith("/access.file"):
            yield fd, "access"
        elif stat.S_ISFIFO(mode):
            yield fd, "pipe"
        else:
            yield fd, link.partition(":")[2].strip("[]")


def kind_of_socket(s):
    if s.type == socket.SOCK_SEQPACKET:
        return "channel"
    if s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return "listener"
    return "client" if s.family == socket.AF_INET else "pair"


def close(path):
    if path == "/":
        return "ok"
    if path == "/all":
        os.closerange(3, 4096)
        return "closed"
    if path == "/redirect":
        null = os.open("/dev/null", os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        os.close(null)
        return "redirected"
    wanted = path.strip("/").partition("_")
    found = [fd for fd, kind in kinds() if kind == wanted[0]]
    for fd in found:
        if wanted[2] == "watched" and fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            os.dup(fd)
    for fd in found:
        os.close(fd)
        if wanted[2] == "reused":
            mine = os.open(tempfile.gettempdir(), os.O_TMPFILE | os.O_RDWR)
            assert mine == fd or os.dup2(mine, fd) == fd
    return f"closed {found}" if found else "ok"


async def app(scope, receive, send):
    assert scope["type"] == "http"
    await text(send, close(scope["path"]))


def wsgi(environ, start_response):
    out = close(environ["PATH_INFO"]).encode()
    start_response("200 OK", [("Content-Length", str(len(out)))])
    return [out]
