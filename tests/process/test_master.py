# SPDX-License-Identifier: BSD-3-Clause
"""The start of the service: command line, sockets of every kind, pidfile, background, notification, exit codes."""

import contextlib
import grp
import json
import os
import pwd
import re
import signal
import socket
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest

from lib.build import binary, no_other_user
from lib.client import Conn
from lib.procfs import children_of, processes_of_session
from lib.server import Server
from lib.sockets import free_port, listening_socket
from lib.waiting import DEADLINE, wait_for

APP = "builtin:hello"


def run(*args, env=None, cwd=None):
    """Runs tine to its end."""
    return subprocess.run([binary(), *args], capture_output=True, text=True, timeout=DEADLINE, cwd=cwd,
                          env=dict(os.environ, **(env or {})), stdin=subprocess.DEVNULL)


def fails(app=APP, config=None, **options):
    """Starts a server that must end by itself; returns its exit status and its log."""
    server = Server(app, config, **options)
    try:
        server.start()
        status = server.wait_exit()
        wait_for(lambda: not processes_of_session(server.pid), what="all processes to end")
        return status, server.log()
    finally:
        server.kill()
        server.cleanup()


def bound_to(bind, **keys):
    return {"server": {"bind": bind, **keys}}


def write_app(folder, text, name="one"):
    (Path(folder) / f"{name}.py").write_text(text)
    return f"{name}:app"


# --- command line ---

def test_version_names_what_it_is_made_of():
    done = run("--version")
    assert done.returncode == 0 and done.stderr == ""
    for part in (r"^tine \d+\.\d+", r"^libevent \d", r"^inih", r"^http-parser \d", r"^Python 3\.\d+"):
        assert re.search(part, done.stdout, re.M), done.stdout
    assert done.stdout.endswith("\n")


def test_help():
    done = run("--help")
    assert done.returncode == 0 and "MODULE:ATTR" in done.stdout


def test_an_unknown_option_is_a_usage_error():
    done = run("--no-such-option")
    assert done.returncode == 1 and done.stderr and done.stdout == ""


def test_a_configuration_error_ends_with_1_and_opens_nothing():
    status, log = fails(config={"server": {"wokers": "2"}})
    assert status == 1 and "workers" in log and "listening" not in log


def test_check_accepts_and_imports_nothing(tmp_path):
    done = run("-t", "there_is_no_such_module:app", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "configuration OK\n", "")


def test_check_refuses(tmp_path):
    done = run("-t", "-o", "server.workers=many", "m:app", cwd=tmp_path)
    assert done.returncode == 1 and "server.workers" in done.stderr and done.stdout == ""


def test_dump_prints_every_key(tmp_path):
    done = run("-T", "-o", "server.workers=3", "m:app", cwd=tmp_path)
    assert done.returncode == 0
    assert re.search(r"^workers *= *3", done.stdout, re.M) and "graceful_timeout" in done.stdout


def test_the_banner_says_what_was_started():
    with Server(APP, {"server": {"workers": 2}}) as server:
        log = server.log()
        assert re.search(rf"tine \d\S*, pid {server.pid}, 2 workers", log)
        assert f"listening on 127.0.0.1:{server.port}" in log
        server.wait_notified(lambda text: "STATUS=2 of 2" in text)
        rest = server.log().replace("[WARNING] the application runs as root", "")
        assert "[WARNING]" not in rest and "[ERROR]" not in rest


@pytest.mark.parametrize("module, user, says", [("hello", None, True), ("hello", "root", True), (APP, None, False), (APP, "nobody", False)])
def test_an_application_that_runs_as_root_is_warned_of_once(module, user, says):
    if user == "nobody" and os.geteuid() == 0 and no_other_user():
        pytest.skip(no_other_user())
    with Server(module, {"server": {"workers": 2, **({"user": user} if user else {})}}, cwd="/") as server:
        log = server.log()
        assert log.count("runs as root") == (1 if says and os.geteuid() == 0 else 0)


def test_processes_have_names():
    with Server(APP) as server:
        def title(pid):
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        assert title(server.pid) == f"tine: master [{APP}]"
        assert title(server.workers()[0]) == "tine: worker 1"


def test_proc_name():
    with Server(APP, {"server": {"proc_name": "shop"}}) as server:
        assert Path(f"/proc/{server.pid}/cmdline").read_bytes().startswith(b"shop: master\0")


def test_chdir_is_where_relative_paths_start(tmp_path):
    (tmp_path / "there").mkdir()
    with Server(APP, {"server": {"chdir": tmp_path / "there", "bind": "unix:here.sock"}}):
        assert (tmp_path / "there" / "here.sock").is_socket()


def test_chdir_that_is_not_there():
    status, log = fails(config={"server": {"chdir": "/no/such/folder"}})
    assert status == 1 and "/no/such/folder" in log


# --- TCP ---

def test_a_host_and_port():
    port = free_port()
    with Server(APP, bound_to(f"127.0.0.1:{port}")) as server:
        socket.create_connection(("127.0.0.1", port), timeout=DEADLINE).close()
        assert f"listening on 127.0.0.1:{port}" in server.log()


def families_of(port):
    """Those that accept on the port of this machine."""
    found = set()
    for family, host in (4, "127.0.0.1"), (6, "::1"):
        try:
            socket.create_connection((host, port), timeout=DEADLINE).close()
            found.add(family)
        except ConnectionRefusedError:
            pass
    return found


@pytest.mark.parametrize("accept", ["shared", "reuseport"])
@pytest.mark.parametrize("bind,families", [("[::]:%d", {4, 6}), (":%d", {4, 6}), ("*:%d", {4, 6}), ("[::]:%d ipv6only", {6}),
                                           (":%d ipv6only", {6}), ("0.0.0.0:%d", {4}), ("[::1]:%d", {6})])
def test_families_of_an_address(bind, families, accept):
    port = free_port()
    with Server(APP, {"server": {"bind": bind % port, "accept": accept}}):
        assert families_of(port) == families


def test_ipv4_has_its_own_addresses_under_an_address_of_both():
    port = free_port()
    with Server("scope", bound_to(f"[::]:{port}")):
        with Conn(("127.0.0.1", port)) as c:
            assert json.loads(c.request("GET", "/").body)["client"][0] == "127.0.0.1"


def test_an_address_of_both_leaves_ipv4_to_an_address_of_its_own():
    port = free_port()
    with Server(APP, bound_to([f"[::]:{port}", f"127.0.0.1:{port}"])) as server:
        assert families_of(port) == {4, 6}
        assert f"listening on 127.0.0.1:{port}" in server.log() and "0.0.0.0" not in server.log()


def test_an_address_of_both_says_how_to_leave_ipv4_that_is_in_use():
    with listening_socket() as taken:
        port = taken.getsockname()[1]
        status, log = fails(config=bound_to(f"[::]:{port}"))
        assert status == 2 and f"bind [::]:{port} (0.0.0.0:{port}): Address already in use (the flag ipv6only" in log
        with Server(APP, bound_to(f"[::]:{port} ipv6only")):
            socket.create_connection(("::1", port), timeout=DEADLINE).close()


def test_a_reload_changes_the_families_of_an_address():
    port = free_port()
    with Server(APP, bound_to(f"[::]:{port}"), respawn=True) as server:
        for generation, (flag, families) in enumerate([(" ipv6only", {6}), ("", {4, 6}), (" ipv6only", {6})], 2):
            server.write_config({"server": {"bind": f"[::]:{port}{flag}"}})
            server.signal(signal.SIGHUP)
            server.wait_log(f"reloaded: generation {generation} serves")
            wait_for(lambda: families_of(port) == families, what=f"{families}")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to switch IPv6 off in a network of its own")
def test_an_address_of_both_works_without_ipv6():
    port = free_port()
    without = "ip link set lo up; echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6; "
    with tempfile.TemporaryDirectory() as folder:
        script = without + f'{binary()} -b "[::]:{port}" {APP} & trap "kill $!" EXIT; ' + \
            f'for n in $(seq 200); do curl -sf http://127.0.0.1:{port}/ && exit 0; sleep 0.1; done; exit 1'
        done = subprocess.run(["unshare", "-n", "bash", "-c", script], cwd=folder, capture_output=True, text=True, timeout=2 * DEADLINE)
    if "unshare" in done.stderr or "Read-only" in done.stderr or "not found" in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr
    assert f"listening on 0.0.0.0:{port}" in done.stderr


def test_several_binds():
    one, two = free_port(), free_port()
    with Server(APP, bound_to([f"127.0.0.1:{one}", f"[::1]:{two}"])):
        socket.create_connection(("127.0.0.1", one), timeout=DEADLINE).close()
        socket.create_connection(("::1", two), timeout=DEADLINE).close()


def test_an_address_in_use_is_refused_with_the_reason():
    with listening_socket() as taken:
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        status, log = fails(config=bound_to(address))
    assert status == 2 and re.search(rf"bind {address}: Address already in use", log)


def test_one_bad_bind_of_two_is_refused(tmp_path):
    with listening_socket() as taken:
        config = bound_to([f"unix:{tmp_path}/s", "127.0.0.1:%d" % taken.getsockname()[1]])
        status, _ = fails(config=config)
    assert status == 2
    assert not (tmp_path / "s").exists(), "what was made is removed"


def test_an_address_of_another_machine():
    status, log = fails(config=bound_to("192.0.2.1:8000"))
    assert status == 2 and "bind 192.0.2.1:8000:" in log


def test_a_name_that_does_not_resolve():
    status, log = fails(config=bound_to("no-such-host.invalid:8000"))
    assert status == 2 and "bind no-such-host.invalid:8000:" in log


# --- Unix sockets ---

@pytest.mark.parametrize("mode,expected", [(None, 0o660), ("0600", 0o600), ("0666", 0o666)])
def test_a_unix_socket_has_its_mode_and_goes_away(tmp_path, mode, expected):
    path = tmp_path / "s.sock"
    config = bound_to(f"unix:{path}", **({"socket_mode": mode} if mode else {}))
    with Server(APP, config):
        assert stat.S_IMODE(path.stat().st_mode) == expected
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(path))
    assert not path.exists()


def test_a_socket_of_a_dead_server_is_replaced(tmp_path):
    path = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with Server(APP, bound_to(f"unix:{path}")) as server:
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(path))
        assert "a dead server left" in server.log()


def test_a_socket_of_a_living_server_is_left_alone(tmp_path):
    path = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        status, log = fails(config=bound_to(f"unix:{path}"))
        assert status == 2 and "already in use" in log and path.is_socket()


def test_a_file_that_is_no_socket_is_left_alone(tmp_path):
    path = tmp_path / "precious"
    path.write_text("data")
    status, log = fails(config=bound_to(f"unix:{path}"))
    assert status == 2 and "is not a socket" in log and path.read_text() == "data"


def test_a_socket_that_somebody_else_put_there_is_not_removed(tmp_path):
    path = tmp_path / "s.sock"
    with Server(APP, bound_to(f"unix:{path}")) as server, socket.socket(socket.AF_UNIX) as other:
        path.unlink()
        other.bind(str(path))
        server.signal(signal.SIGTERM)
        server.wait_exit()
        assert path.is_socket()


def test_a_path_that_is_too_long(tmp_path):
    status, log = fails(config=bound_to(f"unix:{tmp_path}/{'x' * 120}"))
    assert status == 2 or status == 1
    assert "long" in log


def test_an_abstract_socket():
    name = f"tine-test-{os.getpid()}"
    with Server(APP, bound_to(f"unix:@{name}")), socket.socket(socket.AF_UNIX) as s:
        s.connect("\0" + name)


# --- inherited sockets ---

def test_a_descriptor_that_does_not_listen(tmp_path):
    server = Server(APP, sockets=0)
    with socket.socket() as s:
        server.sockets.append(s.dup())
        server.config["server"]["bind"] = f"fd://{server.sockets[0].fileno()}"
        try:
            server.start()
            assert server.wait_exit() == 2
            assert "does not listen" in server.log()
        finally:
            server.kill()
            server.cleanup()


def test_a_descriptor_that_is_not_open():
    status, log = fails(config=bound_to("fd://99"))
    assert status == 2 and "descriptor 99 is not open" in log


@contextlib.contextmanager
def activated(config, count=1, pid="$$", names="web"):
    """A server as systemd starts one: sockets from descriptor 3 on. Yields (server, sockets)."""
    server = Server(APP, config, sockets=0)
    sockets = [listening_socket() for _ in range(count)]
    copies = [socket.socket(fileno=os.dup2(s.fileno(), 900 + i)) for i, s in enumerate(sockets)]
    redirects = " ".join(f"{3 + i}<&{copy.fileno()} {copy.fileno()}<&-" for i, copy in enumerate(copies))
    script = f'export LISTEN_PID={pid} LISTEN_FDS={count} LISTEN_FDNAMES={names}; exec "$@" {redirects}'
    plain = server.argv
    server.argv = lambda: ["/bin/bash", "-c", script, "bash", *plain()]
    server.sockets = copies
    try:
        yield server, sockets
    finally:
        server.kill()
        server.cleanup()
        for s in sockets:
            s.close()


def test_sockets_passed_by_systemd():
    with activated(bound_to("systemd"), count=2, names="web:more") as (server, sockets):
        server.start()
        server.wait_ready()
        for s in sockets:
            assert f"listening on 127.0.0.1:{s.getsockname()[1]}" in server.log()
        server.signal(signal.SIGTERM)
        assert server.wait_exit() == 0


def test_systemd_without_sockets():
    status, log = fails(config=bound_to("systemd"))
    assert status == 2 and "no sockets were passed" in log


def test_sockets_passed_to_another_process_are_not_taken():
    with activated(bound_to("systemd"), pid="1") as (server, _):
        server.start()
        assert server.wait_exit() == 2
        assert "no sockets were passed" in server.log()


def test_passed_sockets_that_no_bind_wants_are_mentioned(tmp_path):
    with activated(bound_to(f"unix:{tmp_path}/s")) as (server, _):
        server.start()
        server.wait_ready()
        server.wait_log("1 socket passed by LISTEN_FDS is not used")
        server.signal(signal.SIGTERM)
        assert server.wait_exit() == 0


def test_a_worker_has_no_descriptor_of_the_master_but_the_sockets():
    """Standard streams, one listening socket, one channel; epoll of its own; nothing that leads to another worker."""
    with Server(APP, {"server": {"workers": 3}}) as server:
        server.wait_notified(lambda text: "STATUS=3 of 3" in text)
        def channels(pid):
            found = set()
            for fd in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    target = os.readlink(fd)
                    if target.startswith("socket:"):
                        found.add(target)
            return found
        shared = set.intersection(*map(channels, server.workers()))
        assert len(shared) == 1, "the listening socket"
        assert not (set.union(*map(channels, server.workers())) - shared) & channels(server.pid)


# --- pidfile ---

def test_the_pidfile_holds_the_master_and_goes_away(tmp_path):
    path = tmp_path / "tine.pid"
    with Server(APP, {"server": {"pidfile": path}}) as server:
        assert path.read_text() == f"{server.pid}\n"
    assert list(tmp_path.iterdir()) == []


def test_a_stale_pidfile_is_replaced(tmp_path):
    path = tmp_path / "tine.pid"
    done = subprocess.Popen(["/bin/true"])
    done.wait()
    path.write_text(f"{done.pid}\n")
    with Server(APP, {"server": {"pidfile": path}}) as server:
        assert path.read_text() == f"{server.pid}\n"
        assert f"left by process {done.pid}" in server.log()


def test_a_pidfile_of_a_living_process_is_respected(tmp_path):
    path = tmp_path / "tine.pid"
    path.write_text(f"{os.getpid()}\n")
    status, log = fails(config={"server": {"pidfile": path}})
    assert status == 2 and f"already running with pid {os.getpid()}" in log
    assert path.read_text() == f"{os.getpid()}\n"


def test_a_file_that_is_no_pidfile_is_respected(tmp_path):
    path = tmp_path / "tine.pid"
    path.write_text("my thesis\n")
    status, log = fails(config={"server": {"pidfile": path}})
    assert status == 2 and "does not hold a process id" in log and path.read_text() == "my thesis\n"


@pytest.mark.parametrize("target", ["thesis", "pid", "nothing", "."])
def test_a_link_in_the_pidfiles_place_is_respected(tmp_path, target):
    """Also one to a pidfile that is stale, and one that dangles."""
    path = tmp_path / "tine.pid"
    (tmp_path / "thesis").write_text("my thesis\n")
    done = subprocess.Popen(["/bin/true"])
    done.wait()
    (tmp_path / "pid").write_text(f"{done.pid}\n")
    path.symlink_to(target)
    status, log = fails(config={"server": {"pidfile": path}})
    assert status == 2 and "is a symbolic link" in log and os.readlink(path) == target
    assert (tmp_path / "thesis").read_text() == "my thesis\n" and (tmp_path / "pid").read_text() == f"{done.pid}\n"
    assert sorted(os.listdir(tmp_path)) == ["pid", "thesis", "tine.pid"]


def test_the_master_writes_its_pidfile_beside_what_others_put_there(tmp_path):
    """The name that it is written under at first can be guessed: nothing is written through it."""
    path = tmp_path / "tine.pid"
    (tmp_path / "thesis").write_text("my thesis\n")
    with Server(APP, {"server": {"pidfile": path}}) as server:
        for pid in range(server.pid + 1, server.pid + 400):
            (tmp_path / f"tine.pid.{pid}").symlink_to("thesis")
    with Server(APP, {"server": {"pidfile": path}}) as server:
        assert path.read_text() == f"{server.pid}\n" and not path.is_symlink()
    assert (tmp_path / "thesis").read_text() == "my thesis\n"


def test_a_pidfile_of_a_successor_is_not_removed(tmp_path):
    path = tmp_path / "tine.pid"
    with Server(APP, {"server": {"pidfile": path}}) as server:
        path.write_text(f"{os.getpid()}\n")
        server.signal(signal.SIGTERM)
        server.wait_exit()
        assert path.exists()


def test_a_pidfile_in_no_folder():
    status, log = fails(config={"server": {"pidfile": "/no/such/folder/pid"}})
    assert status == 2 and "/no/such/folder/pid" in log


# --- background ---

def test_a_daemon_lets_go_when_it_is_ready(tmp_path):
    pidfile, log = tmp_path / "tine.pid", tmp_path / "log"
    with listening_socket() as listener:
        config = {"server": {"daemon": True, "pidfile": pidfile}, "log": {"errorlog": log}}
        server = Server(APP, config, sockets=0)
        server.sockets = [listener]
        server.config["server"]["bind"] = f"fd://{listener.fileno()}"
        try:
            server.start()
            assert server.wait_exit() == 0
            master = int(pidfile.read_text())
            try:
                assert "ready" in log.read_text()
                fields = Path(f"/proc/{master}/stat").read_text().rpartition(")")[2].split()
                assert int(fields[3]) not in (master, server.pid), "a session of its own, not led by it"
                assert len(children_of(master)) == 1
                assert os.readlink(f"/proc/{master}/fd/0") == os.readlink(f"/proc/{master}/fd/1") == "/dev/null"
                assert os.readlink(f"/proc/{master}/fd/2") == str(log)
                worker = children_of(master)[0]
                assert os.readlink(f"/proc/{worker}/fd/1") == "/dev/null"
            finally:
                os.kill(master, signal.SIGTERM)
                wait_for(lambda: not Path(f"/proc/{master}").exists(), what="the daemon to end")
            assert not pidfile.exists()
        finally:
            server.kill()
            server.cleanup()


def test_a_daemon_that_cannot_start_says_so_with_its_exit_status(tmp_path):
    config = {"server": {"daemon": True, "bind": f"unix:{tmp_path}"}}
    status, log = fails(config=config)
    assert status == 2 and "is not a socket" in log


def test_a_daemon_whose_application_fails_ends_with_its_status(tmp_path):
    app = write_app(tmp_path, "raise RuntimeError('no luck')\n")
    status, log = fails(app, {"server": {"daemon": True}, "app": {"pythonpath": tmp_path}})
    assert status == 4 and "no luck" in log


# --- notification ---

def test_ready_is_notified_with_a_status():
    with Server(APP, {"server": {"workers": 2}}) as server:
        server.wait_notified(lambda text: text.startswith("READY=1\nSTATUS="))
        server.wait_notified(lambda text: text == "STATUS=2 of 2 workers ready")


def test_notification_over_an_abstract_socket():
    name = f"tine-notify-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s, Server(APP) as server:
        s.bind("\0" + name)
        s.settimeout(DEADLINE)
        server.signal(signal.SIGTERM)
        server.wait_exit()
        process = subprocess.Popen(server.argv(), cwd=server.cwd, env=dict(server.env, NOTIFY_SOCKET="@" + name),
                                   stderr=subprocess.DEVNULL, pass_fds=[x.fileno() for x in server.sockets])
        try:
            assert s.recv(4096).startswith(b"READY=1")
        finally:
            process.terminate()
            assert process.wait(DEADLINE) == 0


# --- failures to boot ---

def test_an_application_that_does_not_import_ends_with_4(tmp_path):
    app = write_app(tmp_path, "import no_such_module_anywhere\n")
    status, log = fails(app, {"server": {"workers": 2}, "app": {"pythonpath": tmp_path}})
    assert status == 4
    assert "Traceback" in log and "no_such_module_anywhere" in log
    assert log.count(" started\n") <= 4, "one try of each worker in each interpreter"


def test_an_application_that_is_not_there_ends_with_4(tmp_path):
    app = write_app(tmp_path, "something = 1\n")
    status, log = fails(app, {"app": {"pythonpath": tmp_path}})
    assert status == 4 and "app" in log


LIFESPAN_FAILS = """
async def app(scope, receive, send):
    assert scope["type"] == "lifespan"
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "the database is away"})
"""


def test_a_lifespan_that_fails_ends_with_3(tmp_path):
    status, log = fails(write_app(tmp_path, LIFESPAN_FAILS), {"app": {"pythonpath": tmp_path}})
    assert status == 3 and "the database is away" in log


def test_a_worker_that_dies_while_loading_ends_with_3(tmp_path):
    app = write_app(tmp_path, "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    status, log = fails(app, {"app": {"pythonpath": tmp_path}})
    assert status == 3 and log.count("was killed by SIGKILL") == 1 and "before it was ready" in log
    assert log.count(" started\n") == 2, "one try in each interpreter"


BLOCKS = """
import os, select
r, w = os.pipe()
select.select([r], [], [])
"""


def test_a_worker_that_does_not_get_ready_is_killed(tmp_path):
    config = {"server": {"boot_timeout": "1s"}, "app": {"pythonpath": tmp_path}}
    status, log = fails(write_app(tmp_path, BLOCKS), config)
    assert status == 3 and "server.boot_timeout" in log


FIRST_ONLY = """
import os
from pathlib import Path
flag = Path(__file__).with_suffix(".flag")
if flag.exists():
    raise RuntimeError("only once")
flag.touch()
async def app(scope, receive, send):
    raise RuntimeError("lifespan is not for me")
"""


def test_a_service_that_ran_is_kept_although_its_workers_cannot_boot(tmp_path):
    config = {"app": {"pythonpath": tmp_path}}
    with Server(write_app(tmp_path, FIRST_ONLY), config, respawn=True, allow=("Traceback",)) as server:
        [worker] = server.workers()
        os.kill(worker, signal.SIGKILL)
        server.wait_log("only once.*starts again in 0.2 s.*only once.*starts again in 0.4 s")
        socket.create_connection(server.address, timeout=DEADLINE).close()
        mark = server.log_mark()
        (tmp_path / "one.flag").unlink()
        server.wait_log(r"worker 1 \(pid \d+\) is ready", mark)


REFUSES = """
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
if interpreters.get_current() != interpreters.get_main():
    raise ImportError("module picky does not support loading in subinterpreters")
async def app(scope, receive, send):
    raise RuntimeError("no lifespan")
"""


def test_an_application_that_refuses_sub_interpreters_gets_the_main_one(tmp_path):
    app = write_app(tmp_path, REFUSES)
    config = {"server": {"workers": 2}, "app": {"pythonpath": tmp_path}}
    with Server(app, config, respawn=True) as server:
        wait_for(lambda: server.log().count(" is ready") == 2, what="both workers")
        assert server.log().count("application refuses sub-interpreters") == 1
        assert "starts again in" not in server.log()


TELLS_ENVIRONMENT = """
import os
from pathlib import Path
Path(__file__).with_suffix(".env").write_text("\\n".join(sorted(os.environ)))
async def app(scope, receive, send):
    raise RuntimeError("no lifespan")
"""


def test_the_application_does_not_see_the_masters_own_variables(tmp_path):
    with Server(write_app(tmp_path, TELLS_ENVIRONMENT), {"app": {"pythonpath": tmp_path}}):
        names = (tmp_path / "one.env").read_text().split("\n")
        assert "PATH" in names
        assert not {"NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID"} & set(names)


# --- resources ---

@pytest.mark.parametrize("limit", range(4, 24, 2))
def test_short_of_descriptors_it_ends_with_a_reason_or_serves(tmp_path, limit):
    server = Server(APP, bound_to(f"unix:{tmp_path}/s", worker_connections=1))
    plain = server.argv
    server.argv = lambda: ["/bin/sh", "-c", 'ulimit -n "$1"; shift; exec "$@"', "sh", str(limit), *plain()]
    try:
        server.start()
        wait_for(lambda: not server.alive() or any("READY=1" in text for text in server.notified), what="either")
        if server.alive():
            server.signal(signal.SIGTERM)
            assert server.wait_exit() == 0
        else:
            assert server.process.returncode in (2, 3)
            assert "[CRITICAL]" in server.log() or "stopping" in server.log()
    finally:
        server.kill()
        server.cleanup()


# --- rights ---

needs_root = pytest.mark.skipif(no_other_user() != "", reason=no_other_user())


@needs_root
def test_workers_run_as_the_user_with_its_groups_and_no_way_back(tmp_path):
    path = tmp_path / "s.sock"
    with Server(APP, {"server": {"bind": f"unix:{path}", "user": "nobody", "group": "daemon"}}) as server:
        text = Path(f"/proc/{server.workers()[0]}/status").read_text()
        uid, gid = pwd.getpwnam("nobody").pw_uid, grp.getgrnam("daemon").gr_gid
        assert re.search(rf"^Uid:\t{uid}\t{uid}\t{uid}\t{uid}$", text, re.M), text
        assert re.search(rf"^Gid:\t{gid}\t{gid}\t{gid}\t{gid}$", text, re.M), text
        assert "0" not in re.search(r"^Groups:\t(.*)$", text, re.M).group(1).split()
        assert re.search(r"^CapEff:\t0+$", text, re.M)
        assert (path.stat().st_uid, path.stat().st_gid) == (uid, gid)


SHOWS_ENVIRONMENT = """
import os

async def app(scope, receive, send):
    assert scope["type"] == "http"
    body = " ".join(os.environ.get(name, "-") for name in ("HOME", "USER", "LOGNAME")).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
"""


@needs_root
@pytest.mark.parametrize("user", ["nobody", str(pwd.getpwnam("nobody").pw_uid), "54321"])
def test_workers_of_another_user_have_its_home(user):
    """But for an id that nobody has; and what [env] says goes before."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        app = write_app(name, SHOWS_ENVIRONMENT)
        config = {"server": {"user": user}, "app": {"pythonpath": name}, "env": {"LOGNAME": "other"}}
        with Server(app, config, env={"HOME": "/root", "USER": "root"}) as server:
            home = "/root root" if user == "54321" else f"{pwd.getpwnam('nobody').pw_dir} nobody"
            assert server.get("/").body.decode() == f"{home} other"


@needs_root
def test_workers_of_another_user_open_their_logs_again_in_a_folder_of_root():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        config = {"server": {"user": "nobody"},
                  "log": {"errorlog": folder / "error", "accesslog": folder / "access"}}
        with Server(APP, config) as server:
            assert server.get("/first").status == 200
            wait_for(lambda: "/first" in (folder / "access").read_text(), what="the first line")
            (folder / "access").rename(folder / "access.1")
            server.signal(signal.SIGUSR1)

            def line_in_the_new_file():
                server.get("/second")
                return (folder / "access").exists() and "/second" in (folder / "access").read_text()
            wait_for(line_in_the_new_file, what="a line in the new file")
            assert (folder / "access").stat().st_uid == pwd.getpwnam("nobody").pw_uid


@pytest.mark.parametrize("key", ["user", "group"])
def test_nobody_of_that_name(key):
    status, log = fails(config={"server": {key: "no-such-name"}})
    assert status == 1 and "no-such-name" in log
