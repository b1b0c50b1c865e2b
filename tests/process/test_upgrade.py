# SPDX-License-Identifier: BSD-3-Clause
"""SIGUSR2: a new binary beside the old one on the same sockets; whichever is left goes on, and no request is lost.

The program that runs is a copy in the test's folder, so that the test can put another file in its place, as a package
manager does. The new master is a child of the old one.
"""

import contextlib
import os
import pwd
import re
import shutil
import signal
import socket
import tempfile
from pathlib import Path

import pytest

from lib.build import binary, copy_program, no_other_user
from lib.load import Load
from lib.procfs import children_of
from lib.server import Server
from lib.site import Site, code, serves
from lib.sockets import free_port, listening_socket
from lib.waiting import wait_for

class Upgrade(Site):
    """A server that runs a program which the test may replace."""

    def __init__(self, folder):
        super().__init__(folder)
        self.program = folder / "bin" / "tine"
        self.program.parent.mkdir()
        copy_program(self.program)

    def replace(self, text):
        """Another file in the program's place: a script."""
        new = self.folder / "bin" / "new"
        new.write_text(text)
        new.chmod(0o755)
        new.rename(self.program)

    @contextlib.contextmanager
    def server(self, module="site_app:app", expect=0, argv0=None, before=(), sockets=(), **config):
        """The old one ends with the test or by it; the new one is ended by the test, or here."""
        keys = dict({"workers": 2, "graceful_timeout": "10s"}, **config.pop("server", {}))
        server = super().server(module, options={"status": expect, "cwd": self.folder}, server=keys, **config)
        server.env["PATH"] = f"{self.program.parent}:{server.env['PATH']}"
        plain = server.argv
        server.argv = lambda: [*before, argv0 or str(self.program), *plain()[1:]]
        server.sockets += sockets
        server.env["ENVIRONMENT"] = "kept"
        with server:
            try:
                yield server
            finally:
                for pid in new_masters(server):
                    os.kill(pid, signal.SIGTERM)


def new_masters(server):
    return [int(pid) for pid in re.findall(r"as the new binary \(pid (\d+)\)", server.log()) if alive(int(pid))]


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def begin(server):
    """Sends USR2 to the old one; returns the new one's id."""
    mark = server.log_mark()
    server.signal(signal.SIGUSR2)
    return int(server.wait_log(r"as the new binary \(pid (\d+)\)", mark).group(1))


def upgrade(server):
    """The same, and waits until both serve."""
    mark = server.log_mark()
    new = begin(server)
    server.wait_log(rf"the new binary \(pid {new}\) is ready and serves too", mark)
    wait_for(lambda: len(children_of(new)) == server.config["server"]["workers"], what="the new one's workers")
    return new


def end(pid, sig=signal.SIGTERM):
    os.kill(pid, sig)
    wait_for(lambda: not alive(pid), what=f"process {pid} to end")


@pytest.fixture
def site(tmp_path):
    return Upgrade(tmp_path)


# --- it works ---

@pytest.mark.parametrize("accept,per_connection", [("shared", 1), ("shared", 20), ("reuseport", 1)])
def test_a_new_binary_takes_over_without_a_lost_request(site, accept, per_connection):
    port = free_port()
    keys = {"accept": accept, "bind": f"127.0.0.1:{port}"}
    with site.server(server=keys) as server, Load(("127.0.0.1", port), per_connection=per_connection) as load:
        load.more()
        site.version("two")
        new = upgrade(server)
        load.more()
        server.signal(signal.SIGWINCH)
        wait_for(lambda: children_of(server.pid) == [new], what="the old one's workers to end")
        load.more()
        server.signal(signal.SIGQUIT)
        assert server.wait_exit() == 0
        server.wait_log(rf"the old binary \(pid {server.pid}\) is gone: this one serves alone")
        load.more().stop()
        assert load.failed == {}
        assert load.bodies["one"] and load.bodies["two"]
        end(new)


def test_the_new_one_can_be_upgraded_too(site):
    with site.server() as server:
        new = upgrade(server)
        os.kill(new, signal.SIGUSR2)
        server.wait_log("the old binary .* is still there: end it first")
        server.signal(signal.SIGTERM)
        assert server.wait_exit() == 0
        server.wait_log("this one serves alone")
        site.version("three")
        mark = server.log_mark()
        os.kill(new, signal.SIGUSR2)
        newest = int(server.wait_log(r"\(pid (\d+)\) is ready and serves too", mark).group(1))
        end(new)
        serves(server, "three")
        end(newest)


def test_the_file_that_is_there_now_is_started_with_the_same_arguments_and_environment(site):
    with site.server() as server:
        site.replace(f'#!/bin/sh\nenv > "{site.folder}/env"\nexec {binary()} "$@"\n')
        new = upgrade(server)
        server.signal(signal.SIGTERM)
        assert server.wait_exit() == 0
        handed = dict(line.split("=", 1) for line in (site.folder / "env").read_text().splitlines() if "=" in line)
        assert re.fullmatch(rf"\d+=fd://{server.sockets[0].fileno()}", handed["TINE_FDS"])
        assert handed["NOTIFY_SOCKET"] == server.env["NOTIFY_SOCKET"]
        seen = dict(line.split("=", 1) for line in server.get("/environment").body.decode().splitlines() if "=" in line)
        assert seen["ENVIRONMENT"] == "kept"
        assert not {"TINE_FDS", "TINE_UPGRADE_FROM", "NOTIFY_SOCKET"} & set(seen)
        end(new)


@pytest.mark.parametrize("argv0,path", [("tine", True), ("bin/tine", False)])
def test_a_program_found_by_path_or_relative_to_the_start_is_found_again(site, argv0, path):
    """Also after chdir, and with relative names in its arguments."""
    (site.folder / "away").mkdir()
    with site.server(argv0=argv0, server={"chdir": "away", "workers": 1}) as server:
        server.signal(signal.SIGUSR2)
        server.wait_log(rf"started {site.program} as the new binary .* is ready and serves too")
        end(new_masters(server)[0])


def test_sockets_follow_the_new_configuration(site):
    kept, removed, added = free_port(), free_port(), free_port()
    with site.server(server={"bind": [f"127.0.0.1:{kept}", f"127.0.0.1:{removed}"]}) as server:
        server.write_config({"server": {"bind": [f"127.0.0.1:{added}", f"127.0.0.1:{kept}"]}})
        with Load(("127.0.0.1", kept)) as load:
            new = upgrade(server)
            server.signal(signal.SIGTERM)
            assert server.wait_exit() == 0
            load.more()
        assert load.failed == {}
        socket.create_connection(("127.0.0.1", added), timeout=5).close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", removed), timeout=5)
        end(new)


def test_socket_files_stay_until_the_last_one_ends(site):
    path = site.folder / "s.sock"
    with site.server(server={"bind": f"unix:{path}"}) as server:
        inode = path.stat().st_ino
        end(upgrade(server))
        server.wait_log("exited with status 0: this one continues")
        assert path.stat().st_ino == inode, "the new one is gone, the old one listens"
        new = upgrade(server)
        server.signal(signal.SIGTERM)
        assert server.wait_exit() == 0
        server.wait_log(rf"the old binary \(pid {server.pid}\) is gone")
        assert path.stat().st_ino == inode, "the old one is gone, the new one listens"
        socket.socket(socket.AF_UNIX).connect(str(path))
        end(new)
        assert not path.exists()


def test_the_pidfile_moves_aside_and_back(site):
    path, old = site.folder / "tine.pid", site.folder / "tine.pid.oldbin"
    with site.server(server={"pidfile": path}) as server:
        new = upgrade(server)
        assert (path.read_text(), old.read_text()) == (f"{new}\n", f"{server.pid}\n")
        end(new)
        wait_for(lambda: not old.exists(), what="the old one to take its name back")
        assert path.read_text() == f"{server.pid}\n"
        new = upgrade(server)
        server.signal(signal.SIGTERM)
        assert server.wait_exit() == 0
        assert path.read_text() == f"{new}\n" and not old.exists()
        end(new)
        assert not path.exists()


# --- it fails ---

FAILURES = {
    "status": ("#!/bin/sh\nexit 3\n", "exited with status 3 before it was ready"),
    "no program": ("not a program\n", "exited with status 2 before it was ready"),
    "hangs": ("#!/bin/sh\nexec sleep 1000\n", "was not ready in time: killing it"),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_a_binary_that_fails_changes_nothing(site, kind):
    text, words = FAILURES[kind]
    path = site.folder / "tine.pid"
    hangs = kind == "hangs"  # and the workers here boot at once, without Python
    app, keys = ("builtin:hello", {"boot_timeout": "1s"}) if hangs else ("site_app:app", {})
    with site.server(app, server={"pidfile": path, **keys}) as server:
        server.wait_notified(lambda text: "STATUS=2 of 2" in text)
        before = server.workers()
        with Load(server.address) as load:
            site.replace(text)
            new = begin(server)
            server.wait_log(words)
            server.wait_log(rf"the new binary \(pid {new}\) .* before it was ready: this one continues")
            server.wait_notified(lambda text: "STATUS=the upgrade failed" in text)
            load.more()
        assert load.failed == {} and server.workers() == before
        assert path.read_text() == f"{server.pid}\n" and not Path(f"{path}.oldbin").exists()
        assert not any("STOPPING=1" in text or "MAINPID" in text for text in server.notified)
        if not hangs:
            shutil.copy2(binary(), f"{site.program}.new")
            Path(f"{site.program}.new").rename(site.program)
            end(upgrade(server))


@pytest.mark.parametrize("broken", ["import no_such_module\n", "configuration"])
def test_a_new_binary_whose_application_or_configuration_fails_changes_nothing(site, broken):
    with site.server() as server, Load(server.address) as load:
        if broken == "configuration":
            server.write_config({"server": {"wokers": "3"}})
        else:
            (site.folder / "site_app.py").write_text(broken)
        begin(server)
        server.wait_log("exited with status %d before it was ready" % (1 if broken == "configuration" else 4))
        load.more().stop()
        assert load.failed == {}
        assert not any("STOPPING=1" in text for text in server.notified)


def test_a_new_binary_whose_workers_end_right_after_they_were_ready_changes_nothing(site):
    with site.server() as server, Load(server.address, per_connection=5) as load:
        server.wait_notified(lambda text: "STATUS=2 of 2" in text)
        load.more()
        before = sorted(server.workers())
        site.write(code("two") + "import os, threading\nthreading.Timer(0.3, os._exit, (0,)).start()\n")
        new = begin(server)
        server.wait_log(rf"the new binary \(pid {new}\) exited with status 3 before it was ready: this one continues")
        load.more()
        load.stop()
        assert set(load.failed) <= {"lost", "race"} and sorted(server.workers()) == before
        assert not any("MAINPID" in text for text in server.notified)


def test_a_second_upgrade_is_refused_while_one_is_under_way(site):
    with site.server() as server:
        site.replace("#!/bin/sh\nexec sleep 1000\n")
        new = begin(server)
        server.signal(signal.SIGUSR2)
        server.wait_log(rf"an upgrade is under way: the new binary has pid {new}")
        assert server.log().count("as the new binary") == 1
        os.kill(new, signal.SIGKILL)
        server.wait_log("was killed by SIGKILL.* before it was ready: this one continues")


def test_a_stop_while_the_new_one_boots_stops_both(site):
    with site.server() as server:
        site.replace("#!/bin/sh\nexec sleep 1000\n")
        new = begin(server)
        server.signal(signal.SIGTERM)
        assert server.wait_exit() == 0
        assert not alive(new)
        assert "goes on" not in server.log() and "[ERROR]" not in server.log()


# --- and back ---

def test_hup_to_the_old_one_goes_back(site):
    with site.server() as server, Load(server.address) as load:
        site.version("two")
        new = upgrade(server)
        server.signal(signal.SIGWINCH)
        wait_for(lambda: children_of(server.pid) == [new], what="the old one's workers to end")
        load.more()
        site.version("back")
        server.signal(signal.SIGHUP)
        server.wait_log("reloaded: generation")
        end(new)
        serves(server, "back")
        load.more().stop()
        assert load.failed == {}


@pytest.mark.parametrize("paused", [False, True])
def test_a_new_one_that_dies_leaves_the_service_to_the_old_one(site, paused):
    """Requests in flight in the new one may be lost; none after it, though the old one had no workers left."""
    with site.server() as server:
        new = upgrade(server)
        if paused:
            server.signal(signal.SIGWINCH)
            wait_for(lambda: children_of(server.pid) == [new], what="the old one's workers to end")
        gone = children_of(new)
        end(new, signal.SIGKILL)
        server.wait_log(rf"the new binary \(pid {new}\) was killed by SIGKILL.*: this one continues")
        wait_for(lambda: not any(map(alive, gone)), what="the new one's workers to end")
        wait_for(lambda: len(server.workers()) == 2, what="the old one's workers")
        server.wait_notified(lambda text: f"MAINPID={server.pid}\n" in text)
        with Load(server.address) as load:
            load.more()
        assert load.failed == {}


def test_a_new_one_that_dies_under_load(site):
    """Its workers notice and finish; the old one's serve. No request is lost."""
    with site.server() as server, Load(server.address, per_connection=10) as load:
        load.more()
        site.version("two")
        new = upgrade(server)
        wait_for(lambda: load.bodies["two"] > 50, what="answers by the new one")
        gone = children_of(new)
        end(new, signal.SIGKILL)
        server.wait_log(rf"the new binary \(pid {new}\) was killed by SIGKILL.*: this one continues")
        wait_for(lambda: not any(map(alive, gone)), what="the new one's workers to end")
        load.more().stop()
        assert load.failed == {}


def test_a_reload_while_the_new_one_boots_and_beside_it(site):
    """USR2, then HUP at once: the old one reloads, the new one comes, and both serve."""
    with site.server() as server, Load(server.address, per_connection=10) as load:
        load.more()
        mark = server.log_mark()
        new = begin(server)
        server.signal(signal.SIGHUP)
        server.wait_log(rf"the new binary \(pid {new}\) is ready and serves too", mark)
        server.wait_log(r"reloaded: generation 2", mark)
        for pid in (server.pid, new):
            mark = server.log_mark()
            os.kill(pid, signal.SIGHUP)
            server.wait_log(rf"\[{pid}\] \[INFO\] reloaded: generation", mark)
            load.more()
        server.signal(signal.SIGTERM)
        assert server.wait_exit() == 0
        load.more().stop()
        assert load.failed == {}
        end(new)


def test_an_old_one_that_is_killed_leaves_the_service_to_the_new_one(site):
    path = site.folder / "tine.pid"
    with site.server(expect=-signal.SIGKILL, server={"pidfile": path}) as server:
        new = upgrade(server)
        server.process.kill()
        server.wait_log(rf"the old binary \(pid {server.pid}\) is gone")
        serves(server, "one")
        assert path.read_text() == f"{new}\n" and not Path(f"{path}.oldbin").exists()
        end(new)


# --- around it ---

def all_named(server):
    return [int(pid) for text in server.notified for pid in re.findall(r"MAINPID=(\d+)", text)]


def test_the_service_manager_hears_who_the_main_process_is(site):
    with site.server() as server:
        new = upgrade(server)
        server.wait_notified(lambda text: text == f"MAINPID={new}")
        wait_for(lambda: sum("READY=1" in text for text in server.notified) == 2, what="READY=1 of the new one")
        server.signal(signal.SIGTERM)
        assert server.wait_exit() == 0
        server.wait_log("this one serves alone")
        # A stranger for systemd, until another process was the main one and the new master is nobody's child but its own.
        named = wait_for(lambda: (all_named(server)[-2:] if len(all_named(server)) >= 4 else None), what="a herald")
        assert named[0] not in (new, server.pid) and named[1] == new
        wait_for(lambda: not alive(named[0]), what="the herald to end")
        assert not any("STOPPING=1" in text for text in server.notified)
        end(new)
        server.wait_log(rf"\[{new}\] \[INFO\] stopped")
        wait_for(lambda: any("STOPPING=1" in text for text in server.notified), what="STOPPING=1")


def test_a_daemon_is_upgraded(site):
    path, log = site.folder / "tine.pid", site.folder / "log"
    with listening_socket() as listener:
        server = Server("site_app:app", {"server": {"daemon": True, "pidfile": path}, "log": {"errorlog": log},
                                         "app": {"pythonpath": site.folder}}, sockets=0)
        server.sockets = [listener]
        server.config["server"]["bind"] = f"fd://{listener.fileno()}"
        try:
            server.start()
            assert server.wait_exit() == 0
            old = int(path.read_text())
            os.kill(old, signal.SIGUSR2)
            wait_for(lambda: "is ready and serves too" in log.read_text(), what="the new one")
            new = int(path.read_text())
            assert new != old
            end(old)
            assert server.get("/").body == b"one"
            for pid in (new, *children_of(new)):
                assert os.readlink(f"/proc/{pid}/fd/0") == os.readlink(f"/proc/{pid}/fd/1") == "/dev/null"
            end(new)
            assert not path.exists()
        finally:
            server.kill()
            server.cleanup()


@pytest.mark.skipif(no_other_user() != "", reason=no_other_user())
def test_workers_of_the_new_one_give_up_their_rights_too():
    with tempfile.TemporaryDirectory(prefix="tine-upgrade-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # they read Tine's module there
        with Upgrade(folder).server("builtin:hello", server={"user": "nobody", "bind": f"unix:{folder}/s.sock"}) as server:
            new = upgrade(server)
            server.signal(signal.SIGTERM)
            assert server.wait_exit() == 0
            uid = pwd.getpwnam("nobody").pw_uid
            assert "Uid:\t0\t" in Path(f"/proc/{new}/status").read_text()
            for worker in children_of(new):
                assert f"Uid:\t{uid}\t{uid}\t{uid}\t{uid}\n" in Path(f"/proc/{worker}/status").read_text()
            end(new)


def test_sockets_passed_by_systemd_are_handed_on(site):
    script = 'export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@" 3<&900 900<&-'
    with listening_socket() as listener, socket.socket(fileno=os.dup2(listener.fileno(), 900)) as copy:
        with site.server(server={"bind": "systemd"}, before=["/bin/bash", "-c", script, "bash"], sockets=[copy]) as server:
            site.version("two")
            new = upgrade(server)
            server.signal(signal.SIGTERM)
            assert server.wait_exit() == 0
            server.sockets = [listener]
            assert server.get("/").body == b"two"
            server.sockets = []
            end(new)
