# SPDX-License-Identifier: BSD-3-Clause
"""Tries to get back what was given up, and says what a program that it starts may do. Answers in JSON."""

import ctypes
import os
import subprocess

from apps.kit import as_json

CAP_SETUID = 7
PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 47, 2

TRIES = {
    "setuid": lambda: os.setuid(0), "seteuid": lambda: os.seteuid(0), "setreuid": lambda: os.setreuid(0, 0),
    "setresuid": lambda: os.setresuid(0, 0, 0), "setgid": lambda: os.setgid(0), "setegid": lambda: os.setegid(0),
    "setresgid": lambda: os.setresgid(0, 0, 0), "setgroups": lambda: os.setgroups([0]),
    "initgroups": lambda: os.initgroups("root", 0), "chroot": lambda: os.chroot("/"),
    "chown": lambda: os.chown(os.environ["MARK"], os.getuid(), os.getgid()),
    "read": lambda: open(os.environ["MARK"]).close(), "kill": lambda: os.kill(os.getppid(), 0),
}


def errno_of(attempt):
    """0: it worked."""
    try:
        attempt()
        return 0
    except OSError as e:
        return e.errno


def ambient():
    return ctypes.CDLL(None).prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SETUID, 0, 0)


def umask():
    was = os.umask(0)
    os.umask(was)
    return was


def answer():
    helper = os.environ.get("HELPER")
    said = subprocess.run([helper, "-u"], capture_output=True, text=True).stdout.strip() if helper else None
    return {"pid": os.getpid(), "tries": {name: errno_of(attempt) for name, attempt in TRIES.items()}, "ambient": ambient(),
            "helper": said, "cwd": os.getcwd(), "umask": umask(), "groups": sorted(os.getgroups()),
            "environ": {name: os.environ.get(name) for name in ("HOME", "USER", "LOGNAME", "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID")}}


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    await as_json(send, answer())
