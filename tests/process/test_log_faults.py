# SPDX-License-Identifier: BSD-3-Clause
"""Logs under adverse conditions: a full disk, a pipe that nobody reads, rotation under load. Serving goes on; what is lost is
counted, told when the log is written again, and every other line is there, whole and once."""

import os
import re
import resource
import shutil
import signal

import pytest

from lib.load import Load
from lib.waiting import wait_for
from lib.watched import Watched, limited

LONG = "/" + "x" * 4000  # 250 lines of it are more than waits for a log that takes nothing
ACCESS, ERROR = 'tine_log_lines_dropped_total{log="access"}', 'tine_log_lines_dropped_total{log="error"}'


def server(log, app="hello", workers=1, **options):
    config = {"server": {"workers": workers}, "log": {"accesslog": log, "access_log_format": "%(s)s %(U)s"}}
    return Watched(app, config, **options)


def lines(text):
    """The lines of a log, each of which must be one that the format makes."""
    found = text.splitlines(keepends=True)
    for line in found:
        assert line == f"200 {LONG}\n" or re.fullmatch(r"200 /[a-z0-9]*\n", line), line[:100]
    return found


def ended(s):
    s.signal(signal.SIGTERM)
    assert s.wait_exit() == 0


def test_an_access_log_on_a_full_disk(tmp_path):
    """The limit on the size of files stands for it: the kernel refuses to write, and takes a part of the last write."""
    log = tmp_path / "access.log"
    with server(log) as s, Load(s.address, per_connection=20, path=LONG) as load:
        load.more()
        worker, = s.workers()
        with limited(resource.RLIMIT_FSIZE, log.stat().st_size + 1_000_000, worker):
            s.wait_log(r"\[ERROR\] access log: File too large: keeping up to 1 MB of lines, dropping the rest")
            wait_for(lambda: s.figure(ACCESS) >= 50, what="lines to be lost")
            load.more()
        s.wait_log(r"\[WARNING\] access log: can be written again; \d+ lines? (was|were) lost")
        load.more().stop()
        assert load.failed == {}
        wait_for(lambda: log.read_bytes().endswith(b"\n"), what="the last line")
        wait_for(lambda: len(lines(log.read_text())) + s.figure(ACCESS) == load.ok, what="every line")
        told = sum(int(n) for n in re.findall(r"written again; (\d+) lines", s.log()))
        assert told == s.figure(ACCESS) >= 50
        assert s.workers() == [worker]


def test_an_access_log_that_is_full_from_the_start_to_the_end():
    """/dev/full refuses every byte."""
    with server("/dev/full") as s:
        with Load(s.address, path="/x") as load:
            load.more()
        assert load.failed == {}
        s.wait_log("access log: No space left on device")
        ended(s)
        assert s.log().count("access log: No space left on device") == 1
        assert re.search(r"access log: still cannot be written: \d+ lines and [1-9]\d* buffered bytes lost", s.log())


def test_an_error_log_on_a_full_disk(tmp_path):
    """Of the master, and of workers that it starts meanwhile."""
    log = tmp_path / "error.log"
    with Watched("broken", {"log": {"errorlog": log}}, respawn=True, allow=("Traceback",)) as s:
        before, = s.workers()
        assert s.get("/raises").status == 500
        with limited(resource.RLIMIT_FSIZE, log.stat().st_size, s.pid):
            os.kill(before, signal.SIGKILL)
            worker, = wait_for(lambda: [pid for pid in s.workers() if pid != before], what="a new worker")
            wait_for(lambda: s.get("/raises").status == 500, what="an answer")
            wait_for(lambda: s.figure(ERROR) > 10, what="lines to be lost, of the worker too")
        size = log.stat().st_size
        resource.prlimit(worker, resource.RLIMIT_FSIZE, resource.prlimit(s.pid, resource.RLIMIT_FSIZE))
        assert s.get("/raises").status == 500
        s.signal(signal.SIGUSR1)
        wait_for(lambda: "log files reopened" in log.read_text(), what="the master's line")
        said = re.findall(r"\[(\d+)\] \[WARNING\] (\d+) log lines? could not be written and (?:is|are) lost", log.read_text()[size:])
        assert {int(pid) for pid, _ in said} == {s.pid, worker}


@pytest.mark.parametrize("how", ["stops", "leaves"])
def test_a_pipe_whose_reader(tmp_path, how):
    log = tmp_path / "access.fifo"
    os.mkfifo(log)
    reader = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
    with server(log) as s:
        with Load(s.address, per_connection=20, path=LONG) as load:
            load.more(5)
            if how == "leaves":
                os.close(reader)
            s.wait_log(r"access log: the reader is too slow: keeping up to 1 MB of lines, dropping the rest")
            load.more()
        assert load.failed == {}
        if how == "leaves":
            reader = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
        text, asked = bytearray(), 0

        def read():
            """Each request is a turn of the loop, which writes what the pipe takes."""
            nonlocal asked
            asked += s.get("/again").status == 200
            try:
                while (part := os.read(reader, 1 << 20)):
                    text.extend(part)
            except BlockingIOError:
                pass
        wait_for(lambda: read() or "access log: can be written again" in s.log(), what="the log to be written again")
        wait_for(lambda: read() or len(lines(text.decode())) + s.figure(ACCESS) == load.ok + asked, what="every line")
        assert s.figure(ACCESS) > 0
    os.close(reader)


def test_standard_streams_that_nobody_reads():
    """Both are one full pipe, as under a supervisor that hangs."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(write_end, b"x" * 4096)
    os.set_blocking(write_end, True)
    s = server("-", "broken")
    plain = s.argv
    s.argv = lambda: ["/bin/bash", "-c", f'exec "$@" >&{write_end} 2>&1 {write_end}>&-', "sh", *plain()]
    s.sockets.append(os.fdopen(write_end, "wb", buffering=0))  # to be handed down
    with s:
        for _ in range(300):
            assert s.get("/raises").status == 500
        wait_for(lambda: s.figure(ERROR) > 300, what="lines to be lost")
        ended(s)
    os.close(read_end)


def rotate_by_rename(s, log, n):
    old = log.with_suffix(f".{n}")
    log.rename(old)
    mark = s.log_mark()
    s.signal(signal.SIGUSR1)
    s.wait_log("log files reopened", mark)
    wait_for(log.exists, what="the new file")
    return old


@pytest.mark.parametrize("preload", [False, True])
def test_rotation_by_renaming_under_load(tmp_path, preload):
    """Each request has one line, whole, in one of the files."""
    log, olds = tmp_path / "access.log", []
    with server(log, workers=3) as s:
        with Load(s.address, per_connection=50, path="/rotated") as load:
            for n in range(8):
                load.more(100)
                olds.append(rotate_by_rename(s, log, n))
            load.more(100)
        assert load.failed == {}
        ended(s)
        assert len(lines("".join(path.read_text() for path in [*olds, log]))) == load.ok


def test_rotation_by_copying_under_load(tmp_path):
    """copytruncate: lines between the copy and the truncation go by the nature of it, and no line is torn, none written behind a
    hole."""
    log, olds = tmp_path / "access.log", []
    with server(log, workers=3) as s:
        with Load(s.address, per_connection=50, path="/rotated") as load:
            for n in range(5):
                load.more(100)
                olds.append(shutil.copy(log, log.with_suffix(f".{n}")))
                os.truncate(log, 0)
        assert load.failed == {}
        for path in [*olds, log]:
            text = open(path).read()
            lines(text[:text.rindex("\n") + 1] if "\n" in text else "")
        with Load(s.address, per_connection=50, path="/behind") as load:
            load.more(100)
        ended(s)
        assert lines(log.read_text()).count("200 /behind\n") == load.ok
