# SPDX-License-Identifier: BSD-3-Clause
"""SIGHUP: the new generation takes over without a lost request, or the old one goes on without one."""

import os
import re
import signal
import socket
import time

import pytest

from lib.client import Conn
from lib.load import Load
from lib.places import rest
from lib.procfs import children_of, processes_of_session
from lib.site import Site, code, serves
from lib.sockets import free_port
from lib.waiting import wait_for

LIFESPAN_FAILS = """
async def app(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "the database is away"})
"""
BLOCKS = "import os, pathlib, select\npathlib.Path(__file__).with_suffix('.loading').touch()\nselect.select([os.pipe()[0]], [], [])\n"
BROKEN = {
    "syntax": ("def app(:\n", "SyntaxError"),
    "import": ("import there_is_no_such_module\n", "ModuleNotFoundError"),
    "attribute": ("application = None\n", "app"),
    "lifespan": (LIFESPAN_FAILS, "the database is away"),
    "exits": ("import os\nos._exit(0)\n", "exited with status 0"),
    "time": (BLOCKS, "boot_timeout"),
}


class Reloaded(Site):
    def server(self, module="site_app:app", **config):
        return super().server(module, **{**config, "server": {"workers": 2, "boot_timeout": "20s", **config.get("server", {})}})


@pytest.fixture
def site(tmp_path):
    return Reloaded(tmp_path)


def reload(server, expect="reloaded: generation"):
    mark = server.log_mark()
    server.signal(signal.SIGHUP)
    server.wait_log(expect, mark)


def notified(server, since=0):
    return "\n".join(server.notified[since:])


# --- it works ---

@pytest.mark.parametrize("per_connection", [20, *rest(1, 10**9)])
def test_new_code_takes_over_without_a_lost_request(site, per_connection):
    with site.server() as server:
        before = server.workers()
        with Load(server.address, per_connection=per_connection) as load:
            load.more()
            for i in range(4):
                site.version(f"version {i}")
                reload(server)
                load.more()
        assert load.failed == {}
        assert all(load.bodies[f"version {i}"] for i in range(4))
        serves(server, "version 3")
        wait_for(lambda: len(server.workers()) == 2, what="the old workers to end")
        assert not set(before) & set(server.workers())


def test_the_service_manager_is_told(site):
    with site.server() as server:
        server.wait_notified(lambda text: "STATUS=2 of 2 workers ready" in text)
        n = len(server.notified)
        now = time.monotonic_ns() // 1000
        reload(server)
        wait_for(lambda: "READY=1" in notified(server, n), what="READY=1")
        told = re.search(r"RELOADING=1\nMONOTONIC_USEC=(\d+)\n.*READY=1\nSTATUS=2 of 2 workers ready", notified(server, n), re.S)
        assert told and now <= int(told.group(1)) <= time.monotonic_ns() // 1000


def test_requests_in_flight_finish_in_the_old_generation(site):
    with site.server() as server:
        with server.connect() as c:
            c.send_request("GET", "/slow")
            wait_for((site.folder / "site_app.py.slow").exists, what="the request to begin")
            site.version("two")
            reload(server)
            serves(server, "two")
            server.wait_log(r"worker [12] \(pid \d+\) exited with status 0")
            site.go()
            answer = c.read_response()
            assert answer.body == b"one" and answer.closes


def test_an_idle_connection_is_told_or_closed(site):
    with site.server() as server, server.connect() as c:
        assert c.request("GET", "/").body == b"one"
        reload(server)
        c.expect_close()


def test_settings_are_taken_up(site):
    with site.server() as server:
        assert server.get("/").get("server")
        server.write_config({"http": {"server_header": "false"}, "env": {"SITE": "x"}})
        reload(server)
        wait_for(lambda: server.get("/").get("server") is None, what="an answer without Server")


def test_settings_that_need_a_restart_are_named_and_stay(site):
    with site.server() as server:
        server.write_config({"server": {"umask": "027", "backlog": "5"}})
        mark = server.log_mark()
        reload(server)
        log = server.log()[mark:]
        assert re.search(r"\[WARNING\] reload: server.umask stays unset until a restart, and does not become 0027", log)
        assert re.search(r"\[WARNING\] reload: server.backlog stays 2048 until a restart, and does not become 5", log)


def test_the_error_log_moves(site, tmp_path):
    one, two = tmp_path / "one.log", tmp_path / "two.log"
    with site.server(log={"errorlog": one}) as server:
        server.write_config({"log": {"errorlog": two, "loglevel": "debug"}})
        server.signal(signal.SIGHUP)
        wait_for(lambda: two.exists() and "reloaded: generation 2" in two.read_text(), what="the new log")
        wait_for(lambda: "[DEBUG]" in two.read_text(), what="a line of the new level")
        assert "reloading" in one.read_text()


def test_an_error_log_that_cannot_be_opened_changes_nothing(site, tmp_path):
    with site.server() as server:
        server.allow.add("[CRITICAL]")
        server.write_config({"log": {"errorlog": tmp_path / "no" / "such" / "folder.log"}})
        reload(server, "reload failed: old workers keep serving")
        server.wait_notified(lambda text: text.rstrip().endswith("No such file or directory") and "log.errorlog" in text)
        assert server.get("/").body == b"one"


# --- it fails ---

@pytest.mark.parametrize("kinds", [("syntax", "attribute", "import", "exits", "lifespan"), ("time",)], ids=["at once", "in time"])
def test_broken_code_changes_nothing(site, kinds):
    limit = "2s" if "time" in kinds else "20s"
    with site.server(server={"boot_timeout": limit}) as server, Load(server.address, per_connection=20) as load:
        server.wait_notified(lambda t: "STATUS=2 of 2 workers ready" in t)
        before = server.workers()
        for kind in kinds:
            text, reason = BROKEN[kind]
            n, mark = len(server.notified), server.log_mark()
            load.more()
            site.write(text)
            reload(server, "reload failed: old workers keep serving")
            load.more()
            assert reason in server.log()[mark:]
            wait_for(lambda n=n: "READY=1" in notified(server, n), what="READY=1")
            assert "STATUS=2 of 2 workers ready; the last reload failed: " in notified(server, n)
            if kind in ("syntax", "import", "lifespan"):
                assert reason in notified(server, n)
            wait_for(lambda: server.workers() == before, what="the old workers alone")
        site.version("mended")
        server.write_config({"server": {"boot_timeout": "20s"}})
        reload(server)
        load.more()
        load.stop()
        assert load.failed == {}
        serves(server, "mended")
        wait_for(lambda: "failed" not in server.notified[-1], what="a status without the failure")


def test_a_wrong_configuration_changes_nothing(site):
    with site.server() as server, Load(server.address) as load:
        before = server.workers()
        load.more()
        good = (server.dir / "tine.ini").read_text()
        for text in ("[server\n", "[server]\nwokers = 2\n", good.replace("[server]", ""), "[server]\nworkers = 0\n"):
            (server.dir / "tine.ini").write_text(text)
            mark, n = server.log_mark(), len(server.notified)
            reload(server, "reload failed: old workers keep serving")
            server.wait_log("tine.ini:[0-9]+: ", mark)
            failed = r"STATUS=2 of 2 workers ready; the last reload failed: .*tine.ini:[0-9]+: "
            wait_for(lambda n=n, failed=failed: re.search(failed, notified(server, n)), what="the status of a failed reload")
            load.more()
            assert server.workers() == before
        (server.dir / "tine.ini").write_text(good)
        reload(server)
        load.more()
        load.stop()
        assert load.failed == {}


def test_a_new_worker_that_dies_before_the_others_are_ready(site):
    """Those that are READY have requests already: they drain."""
    gate = site.folder / "gate"
    site.write(code("one") + f"""
import os, select
if os.path.exists({str(gate)!r}):
    try:
        os.rename({str(gate)!r}, {str(gate)!r} + ".taken")
        os.mkfifo({str(gate)!r} + ".fifo")
        open({str(gate)!r} + ".fifo").read()
        raise RuntimeError("the second one fails")
    except FileNotFoundError:
        pass
""")
    with site.server() as server, Load(server.address, per_connection=20) as load:
        server.wait_notified(lambda text: "STATUS=2 of 2" in text)
        before = server.workers()
        gate.touch()
        mark = server.log_mark()
        server.signal(signal.SIGHUP)
        server.wait_log(r"worker [34] \(pid \d+\) is ready", mark)
        load.more(300)
        wait_for((site.folder / "gate.fifo").exists, what="the other one")
        open(site.folder / "gate.fifo", "w").close()
        server.wait_log("reload failed: old workers keep serving", mark)
        wait_for(lambda: server.workers() == before, what="the old workers alone")
        load.more().stop()
        assert load.failed == {}


REFUSES = """
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
if interpreters.get_current() != interpreters.get_main():
    raise ImportError("module picky does not support loading in subinterpreters")
"""


def test_a_new_generation_that_refuses_sub_interpreters_gets_the_main_one(site):
    """And the one after it knows that."""
    with site.server() as server:
        server.wait_notified(lambda text: "STATUS=2 of 2" in text)
        site.write(REFUSES + code("two"))
        reload(server)
        serves(server, "two")
        assert server.log().count("application refuses sub-interpreters") == 1
        site.write(REFUSES + code("three"))
        reload(server)
        serves(server, "three")
        assert server.log().count("application refuses sub-interpreters") == 1
        assert "because it did not work in a sub-interpreter before (picky)" in server.log()


# --- sockets ---

def answers(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
            s.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
            return s.recv(100).startswith(b"HTTP/1.1 200")
    except ConnectionRefusedError:
        return False


def test_binds_are_kept_added_and_removed(site):
    kept, removed, added = free_port(), free_port(), free_port()
    with site.server(server={"bind": [f"127.0.0.1:{kept}", f"127.0.0.1:{removed}"]}) as server:
        with Load(("127.0.0.1", kept)) as load:
            load.more()
            server.write_config({"server": {"bind": [f"127.0.0.1:{kept}", f"127.0.0.1:{added}"]}})
            reload(server)
            assert answers(added)
            wait_for(lambda: not answers(removed), what="the removed socket to be closed")
            server.write_config({"server": {"bind": [f"localhost:{kept}", f"127.0.0.1:{removed}"]}})
            reload(server)
            assert answers(removed)
            load.more()
        assert load.failed == {}


def test_a_bind_that_cannot_be_opened_changes_nothing(site, tmp_path):
    kept, free = free_port(), free_port()
    with socket.socket() as taken, site.server(server={"bind": f"127.0.0.1:{kept}"}) as server:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        binds = [f"127.0.0.1:{free}", f"unix:{tmp_path}/new.sock", "127.0.0.1:%d" % taken.getsockname()[1]]
        server.write_config({"server": {"bind": binds}})
        with Load(("127.0.0.1", kept)) as load:
            load.more()
            reload(server, "reload failed: old workers keep serving")
            assert "Address already in use" in server.log()
            load.more()
        assert load.failed == {} and not answers(free)
        assert not (tmp_path / "new.sock").exists()
        server.allow.add("[CRITICAL]")


def test_socket_files_follow_their_binds(site, tmp_path):
    kept, removed, added = (tmp_path / f"{name}.sock" for name in ("kept", "removed", "added"))
    with site.server(server={"bind": [f"unix:{kept}", f"unix:{removed}"]}) as server:
        inode = kept.stat().st_ino
        server.write_config({"server": {"bind": [f"unix:{kept}", f"unix:{added}"]}})
        reload(server)
        assert kept.stat().st_ino == inode and added.exists() and not removed.exists()
        reload(server)
        for path in (kept, added):
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(str(path))
                s.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
                assert s.recv(100).startswith(b"HTTP/1.1 200")
    assert not kept.exists() and not added.exists()


def test_a_socket_file_that_was_removed_is_made_again(site, tmp_path):
    path = tmp_path / "s.sock"
    with site.server(server={"bind": f"unix:{path}"}) as server:
        path.unlink()
        reload(server)
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(path))
            s.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
            assert s.recv(100).startswith(b"HTTP/1.1 200")
    assert not path.exists()


def test_flags_of_a_bind_change(site):
    port = free_port()
    with site.server(server={"bind": f"127.0.0.1:{port}"}) as server:
        assert answers(port)
        server.write_config({"server": {"bind": f"127.0.0.1:{port} proxy"}})
        reload(server)

        def proxied():
            with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
                s.sendall(b"PROXY TCP4 192.0.2.1 127.0.0.1 1 2\r\nGET / HTTP/1.1\r\nHost: test\r\n\r\n")
                return s.recv(100).startswith(b"HTTP/1.1 200")
        wait_for(proxied, what="a worker that speaks the PROXY protocol")


# --- how many ---

def count_is(server, n):
    wait_for(lambda: len(server.workers()) == n, what=f"{n} workers")


def test_ttin_survives_unless_the_number_in_the_file_changes(site):
    with site.server() as server:
        server.signal(signal.SIGTTIN)
        server.wait_log("workers: 3")
        server.wait_notified(lambda text: "STATUS=3 of 3" in text)
        reload(server)
        count_is(server, 3)
        server.write_config({"server": {"workers": 1}})
        reload(server)
        count_is(server, 1)
        server.wait_notified(lambda text: "STATUS=1 of 1" in text)


def test_scaling_during_a_reload(site):
    with site.server() as server:
        for sig, expected in ((signal.SIGTTIN, 3), (signal.SIGTTOU, 2), (signal.SIGTTOU, 1)):
            with site.held("new") as release:
                mark = server.log_mark()
                server.signal(signal.SIGHUP)
                server.wait_log("started", mark)
                server.signal(sig)
                server.wait_log(f"workers: {expected}", mark)
                site.version("new")
                release(lambda: "reloaded: generation" in server.log()[mark:])
            count_is(server, expected)
            server.wait_notified(lambda text: f"STATUS={expected} of {expected}" in text)


# --- without workers ---

def test_winch_ends_the_workers_and_hup_brings_them_back(site):
    with site.server() as server:
        with server.connect() as c:
            c.send_request("GET", "/slow")
            wait_for((site.folder / "site_app.py.slow").exists, what="the request to begin")
            server.signal(signal.SIGWINCH)
            server.wait_log(r"ending the workers.*exited with status 0")
            site.go()
            answer = c.read_response()
            assert answer.body == b"one" and answer.closes
        count_is(server, 0)
        server.wait_notified(lambda text: "STATUS=0 of 2 workers ready" in text)
        server.signal(signal.SIGTTIN)
        server.wait_log("workers: 3")
        with server.connect() as waiting:
            waiting.send_request("GET", "/")
            assert not server.workers()
            site.version("two")
            reload(server)
            assert waiting.read_response().body == b"two", "it waited in the queue of the socket"
        count_is(server, 3)


def test_stopping_without_workers(site):
    with site.server() as server:
        server.signal(signal.SIGWINCH)
        count_is(server, 0)
        site.write("raise RuntimeError('broken')\n")
        reload(server, "reload failed")
        count_is(server, 0)
        server.signal(signal.SIGTERM)
        assert server.wait_exit() == 0


# --- when ---

def test_a_storm_of_hups_ends_in_the_last_version(site):
    with site.server() as server, Load(server.address, per_connection=20) as load:
        most = 0
        for i in range(40):
            site.version(f"version {i}")
            server.signal(signal.SIGHUP)
            load.more(25)
            most = max(most, len(server.workers()))
        wait_for(lambda: server.get("/").body == b"version 39", what="the last version")
        load.stop()
        assert load.failed == {}
        assert most <= 8, "current, next and two old generations"
        count_is(server, 2)


def test_old_generations_that_do_not_end_hold_the_next_reload_back(site):
    with site.server(server={"workers": 1, "graceful_timeout": "3s"}) as server:
        held = []
        for i in range(2):
            c = server.connect().send_request("GET", "/forever")
            held.append(c)
            assert server.get("/").status == 200
            reload(server)
        mark = server.log_mark()
        site.version("last")
        server.signal(signal.SIGHUP)
        server.wait_log("reload waits until workers of earlier generations have ended", mark)
        server.signal(signal.SIGHUP)
        assert len(server.workers()) <= 3
        server.wait_log("reloaded: generation 4", mark)
        serves(server, "last")
        for c in held:
            c.close()
        count_is(server, 1)


def test_hup_during_the_start_follows_it(site):
    server = site.server(server={"workers": 1})
    try:
        with site.held("one") as release:
            server.start()
            wait_for((site.folder / "loading").exists, what="the application to load")
            server.signal(signal.SIGHUP)
            server.wait_log("reload queued until the current start finishes")
            site.version("two")
            release(lambda: "reloaded: generation 2" in server.log())
        server.wait_ready()
        serves(server, "two")
        server.respawn = True
        server.stop()
    finally:
        server.kill()
        server.cleanup()


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGQUIT])
def test_a_stop_during_a_reload_stops(site, sig):
    with site.server() as server:
        site.write(BLOCKS)
        server.signal(signal.SIGHUP)
        wait_for((site.folder / "site_app.loading").exists, what="the new code to load")
        server.signal(signal.SIGHUP)
        server.signal(sig)
        assert server.wait_exit() == 0
        wait_for(lambda: not processes_of_session(server.pid), what="all processes to end")


def test_hup_and_term_at_once(site):
    address = ("127.0.0.1", free_port())
    with site.server(server={"bind": "%s:%d" % address}) as server, Load(address) as load:
        load.more()
        server.signal(signal.SIGHUP)
        server.signal(signal.SIGTERM)
        assert server.wait_exit() == 0
        load.stop()
        # Of each client the kernel may have taken a connection after the last accept() and before close().
        assert set(load.failed) <= {"refused", "lost"} and load.failed.get("lost", 0) <= load.clients, load.failed


@pytest.mark.parametrize("first,then", [("TERM", "HUP"), ("TERM", "USR2"), ("WINCH", "TERM"), ("INT", "INT"), ("QUIT", "HUP")])
def test_signals_behind_the_one_that_stops(site, first, then):
    """They change nothing any more: no new generation, no new binary, status 0."""
    address = ("127.0.0.1", free_port())
    with site.server(server={"bind": "%s:%d" % address}) as server, Load(address, per_connection=20) as load:
        load.more()
        with Conn(address) as c:
            c.send_request("GET", "/slow")
            wait_for((site.folder / "site_app.py.slow").exists, what="the request to begin")
            server.signal(getattr(signal, "SIG" + first))
            server.wait_log("SIG%s: " % first)
            for _ in range(2):
                server.signal(getattr(signal, "SIG" + then))
            if first == "TERM":
                site.go()
                assert c.read_response().body == b"one"
            else:
                site.go()
            assert server.wait_exit() == 0
        assert "generation 2" not in server.log() and "as the new binary" not in server.log()
        wait_for(lambda: not processes_of_session(server.pid), what="all processes to end")


def test_workers_killed_during_a_reload_are_replaced_by_both(site):
    with site.server(app={"pythonpath": site.folder, "interpreter": "main"}) as server:
        before = server.workers()
        site.write(BLOCKS)
        server.signal(signal.SIGHUP)
        wait_for((site.folder / "site_app.loading").exists, what="the new code to load")
        wait_for(lambda: len(children_of(server.pid)) == 4, what="four workers")
        for pid in set(server.workers()) - set(before):
            os.kill(pid, signal.SIGKILL)
        server.wait_log("reload failed: old workers keep serving")
        site.version("two")
        reload(server)
        serves(server, "two")
