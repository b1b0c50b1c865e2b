# SPDX-License-Identifier: BSD-3-Clause
"""What signals do to the master and its workers, and what the death of either does to the other."""

import os
import re
import signal
import socket
import subprocess

import pytest

from lib.procfs import children_of, freeze, processes_of_session
from lib.server import Server
from lib.sockets import free_port
from lib.waiting import wait_for

APP = "builtin:hello"


def connects(address):
    try:
        socket.create_connection(address, timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def session_is_gone(server):
    return wait_for(lambda: not processes_of_session(server.pid), what="all processes to end")


# --- stopping ---

@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_asked_to_stop_it_exits_with_0_and_takes_its_workers_along(sig):
    with Server(APP, {"server": {"workers": 2}}) as server:
        server.signal(sig)
        assert server.wait_exit() == 0
        session_is_gone(server)
        assert re.search(rf"SIG{sig.name[3:]}: stopping", server.log())
        assert server.log().rstrip().endswith("stopped")


def test_stopping_is_notified_before_the_end():
    with Server(APP) as server:
        server.signal(signal.SIGTERM)
        server.wait_exit()
        wait_for(lambda: any("STOPPING=1" in text for text in server.notified), what="STOPPING=1")


def test_a_second_signal_makes_a_graceful_stop_quick():
    """A stopped worker cannot follow; only the quick stop kills it before graceful_timeout."""
    config = {"server": {"graceful_timeout": "1h"}}
    with Server(APP, config, respawn=True) as server:
        [worker] = server.workers()
        freeze(worker)
        server.signal(signal.SIGTERM)
        server.wait_log("stopping gracefully")
        server.signal_until(signal.SIGTERM, "second stop request: stopping immediately")
        assert server.wait_exit() == 0
        assert "did not end in time: killing it" in server.log()


def test_a_worker_that_does_not_follow_is_killed_after_graceful_timeout():
    with Server(APP, {"server": {"graceful_timeout": "0"}}, respawn=True) as server:
        [worker] = server.workers()
        freeze(worker)
        server.signal(signal.SIGTERM)
        assert server.wait_exit() == 0
        assert "did not end in time: killing it" in server.log()


HOLDS = """
import atexit
import threading
import time

def holds_the_process():
    while True:
        time.sleep(0.1)

async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    if scope["path"] == "/thread":
        threading.Thread(target=holds_the_process, name="holder").start()
    else:
        atexit.register(holds_the_process)
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})
"""


@pytest.mark.parametrize("interpreter", ["sub", "main"])
@pytest.mark.parametrize(["path", "words"], [
    ("/thread", "threads of the application are still running and are left: holder"),
    ("/atexit", "has not ended in time: the stacks of its threads follow, then it is killed.*in holds_the_process.*"
                "did not end in time: killing it")])
def test_what_holds_the_process_is_named(tmp_path, interpreter, path, words):
    """A thread of the application or of a debugger, for which Python would wait at its end, and a function that it calls there."""
    (tmp_path / "holds_app.py").write_text(HOLDS)
    config = {"server": {"graceful_timeout": "0"}, "app": {"pythonpath": tmp_path, "interpreter": interpreter}}
    with Server("holds_app:app", config, respawn=True) as server:
        assert server.get(path).status == 204
        server.signal(signal.SIGTERM)
        assert server.wait_exit() == 0
        assert re.search(words, server.log(), re.S)


def test_the_whole_group_is_interrupted_as_by_a_terminal():
    with Server(APP, {"server": {"workers": 2}}, respawn=True) as server:
        os.killpg(server.pid, signal.SIGINT)
        assert server.wait_exit() == 0
        assert "[ERROR]" not in server.log()


def test_the_masters_own_port_is_free_after_the_end():
    port = free_port()
    with Server(APP, {"server": {"bind": f"127.0.0.1:{port}"}}) as server:
        assert connects(("127.0.0.1", port))
        server.signal(signal.SIGTERM)
        server.wait_exit()
        assert not connects(("127.0.0.1", port))


BLOCKS = """
import os, pathlib, select
pathlib.Path(__file__).with_suffix(".loading").touch()
r, w = os.pipe()
select.select([r], [], [])
"""


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_stopping_while_the_application_still_loads(tmp_path, sig):
    (tmp_path / "slow.py").write_text(BLOCKS)
    config = {"server": {"graceful_timeout": "0"}, "app": {"pythonpath": tmp_path}}
    server = Server("slow:app", config)
    try:
        server.start()
        wait_for((tmp_path / "slow.loading").exists, what="the application to load")
        server.signal(sig)
        assert server.wait_exit() == 0
        session_is_gone(server)
    finally:
        server.kill()
        server.cleanup()


# --- deaths ---

def test_a_killed_worker_is_replaced():
    with Server(APP, {"server": {"workers": 2}}, respawn=True) as server:
        before = server.workers()
        os.kill(before[0], signal.SIGKILL)
        server.wait_log(rf"pid {before[0]}\) was killed by SIGKILL")
        wait_for(lambda: len(server.workers()) == 2 and before[0] not in server.workers(), what="a new worker")
        assert before[1] in server.workers(), "only the dead one is replaced"
        new = next(pid for pid in server.workers() if pid not in before)
        server.wait_log(rf"pid {new}\) is ready")


def test_a_crash_is_named():
    with Server(APP, respawn=True, allow=("AddressSanitizer",)) as server:
        [worker] = server.workers()
        os.kill(worker, signal.SIGABRT)
        server.wait_log(rf"\[ERROR\] worker 1 \(pid {worker}\) was killed by SIGABRT")


def test_workers_that_die_again_and_again_wait_longer_each_time_and_the_port_stays_open():
    with Server(APP, respawn=True) as server:
        delays = []
        for _ in range(4):
            mark = server.log_mark()
            [worker] = wait_for(lambda: server.workers(), what="a worker")
            os.kill(worker, signal.SIGKILL)
            delays.append(float(server.wait_log(r"worker 1 starts again in ([0-9.]+) s", mark).group(1)))
            assert connects(server.address)
            server.wait_log(r"worker 1 \(pid \d+\) is ready", mark)
        assert delays == [0.1, 0.2, 0.4, 0.8]


def test_workers_drain_and_the_port_is_free_when_the_master_is_killed():
    port = free_port()
    config = {"server": {"bind": f"127.0.0.1:{port}", "workers": 2}}
    with Server(APP, config, status=-signal.SIGKILL) as server:
        server.signal(signal.SIGKILL)
        server.wait_exit()
        session_is_gone(server)
        assert not connects(("127.0.0.1", port))


def test_a_stopped_worker_does_not_stall_the_master():
    """It reads none of its messages; the others are still told and replaced."""
    with Server(APP, {"server": {"workers": 2, "graceful_timeout": "0"}}, respawn=True) as server:
        stopped, other = server.workers()
        freeze(stopped)
        for _ in range(20):
            mark = server.log_mark()
            server.signal(signal.SIGUSR1)
            server.wait_log("log files reopened", mark)
        mark = server.log_mark()
        os.kill(other, signal.SIGKILL)
        server.wait_log(r"worker 2 \(pid \d+\) is ready", mark)
        server.signal(signal.SIGTERM)
        assert server.wait_exit() == 0


def test_children_that_are_not_workers_are_collected_and_nothing_else():
    """An exec keeps children: a shell leaves one to tine."""
    with Server(APP) as server:
        server.signal(signal.SIGTERM)
        server.wait_exit()
        script = 'true & exec "$@"'
        argv = ["/bin/sh", "-c", script, "sh", *server.argv()]
        with open(server.log_path, "ab") as log:
            process = subprocess.Popen(argv, cwd=server.cwd, env=server.env, stderr=log, stdin=subprocess.DEVNULL,
                                       pass_fds=[s.fileno() for s in server.sockets])
        try:
            server.wait_log(r"\] \[%d\] \[INFO\] ready" % process.pid)
            wait_for(lambda: len(children_of(process.pid)) == 1, what="the worker as the only child")
        finally:
            process.terminate()
            assert process.wait(20) == 0


# --- scaling ---

def test_ttin_and_ttou_change_the_number_of_workers():
    with Server(APP, respawn=True) as server:
        [first] = server.workers()
        server.signal(signal.SIGTTIN)
        server.wait_log(r"workers: 2")
        wait_for(lambda: len(server.workers()) == 2, what="two workers")
        server.wait_log(r"worker 2 \(pid \d+\) is ready")
        server.wait_notified(lambda text: "STATUS=2 of 2 workers ready" in text)
        server.signal(signal.SIGTTOU)
        server.wait_log(r"worker 2 \(pid \d+\) exited with status 0")
        wait_for(lambda: server.workers() == [first], what="the first worker alone")


def test_the_last_worker_stays():
    with Server(APP) as server:
        before = server.workers()
        server.signal(signal.SIGTTOU)
        server.wait_log("workers: stays at 1")
        assert server.workers() == before


def test_less_and_more_at_once_ends_with_the_same_number():
    with Server(APP, {"server": {"workers": 2}}, respawn=True) as server:
        server.signal(signal.SIGTTOU)
        server.wait_log("workers: 1")
        server.signal(signal.SIGTTIN)
        server.wait_log("workers: 2")
        server.wait_log(r"workers: 2.*worker \d \(pid (\d+)\) started.*\(pid \1\) is ready")
        wait_for(lambda: len(server.workers()) == 2, what="two workers")


# --- others ---

def test_usr1_opens_the_error_log_again(tmp_path):
    log = tmp_path / "tine.log"
    with Server(APP, {"log": {"errorlog": str(log)}}) as server:
        log.rename(tmp_path / "tine.log.1")
        server.signal(signal.SIGUSR1)
        wait_for(lambda: log.exists() and "log files reopened" in log.read_text(), what="the new log")
        assert "ready" in (tmp_path / "tine.log.1").read_text()
        server.signal(signal.SIGTERM)
        server.wait_exit()
        assert "stopped" in log.read_text()
        assert "stopped" not in (tmp_path / "tine.log.1").read_text()


def test_a_log_that_nobody_reads_stops_nothing():
    """Standard error is a full pipe: lines are lost and counted, and the master goes on."""
    with Server(APP, respawn=True) as server:
        server.signal(signal.SIGTERM)
        server.wait_exit()
        read_end, write_end = os.pipe()
        process = subprocess.Popen(server.argv(), cwd=server.cwd, env=server.env, stderr=write_end,
                                   stdin=subprocess.DEVNULL, pass_fds=[s.fileno() for s in server.sockets])
        try:
            wait_for(lambda: sum("READY=1" in text for text in server.notified) == 2, what="READY=1")
            os.set_blocking(write_end, False)
            with pytest.raises(BlockingIOError):
                while True:
                    os.write(write_end, b"x" * 4096)
            os.set_blocking(write_end, True)
            [worker] = children_of(process.pid)
            os.kill(worker, signal.SIGKILL)
            wait_for(lambda: children_of(process.pid) not in ([], [worker]), what="a new worker")
            os.set_blocking(read_end, False)
            with pytest.raises(BlockingIOError):
                while os.read(read_end, 65536):
                    pass
            process.send_signal(signal.SIGUSR1)
            text = wait_for(lambda: read_some(read_end), what="the report of lost lines")
            assert re.search(r"\d+ log lines? could not be written and (is|are) lost", text)
        finally:
            process.terminate()
            assert process.wait(20) == 0
            os.close(read_end)
            os.close(write_end)


def read_some(fd):
    try:
        return os.read(fd, 65536).decode(errors="replace")
    except BlockingIOError:
        return ""
