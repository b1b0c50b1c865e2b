# SPDX-License-Identifier: BSD-3-Clause
"""Makes its worker deaf: what the event loop watches is taken out of its epoll set, or is watched for nothing."""

import os
import re
import select
import socket

from apps.kit import text

kept = []  # an epoll object closes its descriptor when it goes


def watched_by():
    """{epoll descriptor: what it watches}"""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{name}") == "anon_inode:[eventpoll]":
                found[int(name)] = [int(n) for n in re.findall(r"^tfd:\s+(\d+)", open(f"/proc/self/fdinfo/{name}").read(), re.M)]
        except OSError:
            continue
    return found


def is_listening(fd):
    try:
        with socket.socket(fileno=os.dup(fd)) as s:
            return bool(s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:
        return False


def is_eventfd(fd):
    return os.readlink(f"/proc/self/fd/{fd}") == "anon_inode:[eventfd]"


def is_channel(fd):
    """A socket of packets to the master."""
    try:
        with socket.socket(fileno=os.dup(fd)) as s:
            return s.type == socket.SOCK_SEQPACKET
    except OSError:
        return False


WHICH = {"listening": is_listening, "eventfd": is_eventfd, "channel": is_channel, "all": lambda fd: True}


def deafen(which, silently=False):
    n = 0
    for number, fds in watched_by().items():
        epoll = select.epoll.fromfd(number)
        kept.append(epoll)
        for fd in filter(WHICH[which], fds):
            epoll.unregister(fd)
            if silently:
                epoll.register(fd, 0)
            n += 1
    return n


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    kind, _, which = scope["path"].strip("/").partition("/")
    if kind in ("take", "silence"):
        await text(send, str(deafen(which, kind == "silence")))
    else:
        await text(send, str(os.getpid()))
