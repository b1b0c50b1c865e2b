# SPDX-License-Identifier: BSD-3-Clause
"""Rights that are given up: every process that runs the application, what it can get back, whose files are whose, and what
it can make a master do that is root. Needs root: a user namespace of one user has nobody else to become."""

import errno
import os
import pwd
import re
import shutil
import signal
import stat
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from lib.build import ROOT, hosted, no_other_user, own_python
from lib.procfs import children_of, freeze
from lib.server import Server
from lib.waiting import wait_for

pytestmark = pytest.mark.skipif(no_other_user() != "", reason=no_other_user())
USER = "nobody"
APP = "rights"


@pytest.fixture
def folder():
    """A folder that others may look into, which pytest's are not, with a copy of the applications."""
    with tempfile.TemporaryDirectory(prefix="tine-rights-") as name:
        path = Path(name)
        path.chmod(0o755)
        shutil.copytree(ROOT / "tests" / "apps", path / "apps", ignore=shutil.ignore_patterns("__pycache__"))
        mark = path / "mark"
        mark.write_text("root's own\n")
        mark.chmod(0o600)
        yield path


def status_of(pid):
    return dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)


def server(folder, config=None, app=APP, **options):
    config = {name: dict(keys) for name, keys in (config or {}).items()}
    config["server"] = {"user": USER, **config.get("server", {})}
    config["app"] = {"pythonpath": folder, **config.get("app", {})}
    config["env"] = {"MARK": folder / "mark", **config.get("env", {})}
    return Server(app, config, **options)


def who():
    user = pwd.getpwnam(USER)
    return user.pw_uid, user.pw_gid, sorted(set(os.getgrouplist(USER, user.pw_gid)))


def check_status(pid, no_new):
    uid, gid, groups = who()
    found = status_of(pid)
    assert found["Uid"].split() == [str(uid)] * 4 and found["Gid"].split() == [str(gid)] * 4, found
    assert sorted(map(int, found["Groups"].split())) == groups, found
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(found[name], 16) == 0, (name, found)
    if int(Path("/proc/sys/fs/suid_dumpable").read_text()) != 1:
        assert os.stat(f"/proc/{pid}/mem").st_uid == 0, "others of this user could trace it"
    assert int(found["NoNewPrivs"]) == no_new and int(found["Umask"], 8) == 0o027, found


@pytest.mark.parametrize("preload", [False, True])
def test_nothing_is_left_of_root(folder, preload):
    """In each process that runs the application's code; not to be got back by any call."""
    config = {"server": {"workers": 2, "umask": "027", "chdir": "/", "no_new_privileges": preload},
              "app": {"preload_app": preload}, "control": {"socket": folder / "control"}, "metrics": {"bind": "127.0.0.1:0"}}
    helper = folder / "id"
    shutil.copy2("/usr/bin/id", helper)
    helper.chmod(0o4755)
    env = {"HOME": "/root", "USER": "root", "LOGNAME": "root"}
    with server(folder, {**config, "env": {"HELPER": helper}}, tls=True, env=env) as s:
        uid, _, groups = who()
        assert status_of(s.pid)["Uid"].split() == ["0"] * 4
        wait_for(lambda: len(s.molds()) == preload, what="a worker that was just forked to take its own name")
        for n in (1, 2):
            s.wait_log(rf"worker {n} \(pid \d+\) is ready")
        for pid in s.workers() + s.molds():
            check_status(pid, preload)
        got = s.get("/").json()
        refused = {errno.EPERM, errno.EACCES}
        assert got["pid"] in s.workers() and set(got["tries"].values()) <= refused, got
        assert got["ambient"] == -1 and got["groups"] == groups
        assert (got["cwd"], got["umask"]) == ("/", 0o027)
        home = pwd.getpwnam(USER).pw_dir
        assert got["environ"] == {"HOME": home, "USER": USER, "LOGNAME": USER, "NOTIFY_SOCKET": None, "LISTEN_FDS": None,
                                  "LISTEN_PID": None}
        if not os.statvfs(helper).f_flag & os.ST_NOSUID:
            assert got["helper"] == (str(uid) if preload else "0")


@pytest.mark.skipif(not shutil.which("setpriv"), reason="needs setpriv of util-linux")
def test_capabilities_that_root_could_hand_on_are_gone(folder):
    """The inheritable set outlives a change of user."""
    s = server(folder, {"server": {"umask": "027"}}, app="builtin:hello")
    plain = s.argv
    s.argv = lambda: [shutil.which("setpriv"), "--inh-caps", "+setuid,+kill", *plain()]
    with s:
        assert int(status_of(s.pid)["CapInh"], 16) != 0
        check_status(s.workers()[0], 0)


SPY = """
import ctypes, errno, os, sys
pid, libc = int(sys.argv[1]), ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
if libc.ptrace(16, pid, None, None) == 0:  # PTRACE_ATTACH
    print("traced")
else:
    print(errno.errorcode[ctypes.get_errno()])
for name in ("mem", "environ"):
    try:
        open(f"/proc/{pid}/{name}", "rb").read(1)
        print("read")
    except OSError as e:
        print(errno.errorcode[e.errno])
"""


def spy_on(pid):
    """What a process of the same user can do to it."""
    uid, gid, groups = who()
    return subprocess.run([sys.executable, "-c", SPY, str(pid)], user=uid, group=gid, extra_groups=groups, stdout=subprocess.PIPE,
                          text=True, check=True, timeout=60).stdout.split()


@pytest.mark.skipif(not hosted(), reason="Python is in the program")
@pytest.mark.skipif(not int(status_of("self")["CapPrm"], 16) >> 35 & 3, reason="needs CAP_WAKE_ALARM or CAP_BLOCK_SUSPEND")
@pytest.mark.parametrize("no_new", [False, True])
def test_others_of_its_user_cannot_look_into_a_process_that_becomes_a_python(folder, no_new):
    """Not between exec and the load of the module either: here a Python that takes its time."""
    gate, python = folder / "gate", folder / "python"
    os.mkfifo(gate)
    gate.chmod(0o644)
    python.write_text(f'#!/bin/sh\nread go < {gate}\nexec {own_python()} "$@"\n')
    python.chmod(0o755)
    s = server(folder, {"server": {"umask": "027", "no_new_privileges": no_new}, "app": {"python": python}}, app="builtin:hello").start()
    try:
        wait_for(lambda: any(os.readlink(f"/proc/{pid}/exe") == os.path.realpath("/bin/sh") for pid in children_of(s.pid)), what="the script")
        pid, = children_of(s.pid)
        assert set(spy_on(pid)) <= {"EPERM", "EACCES"}
        gate.write_text("go\n")
        s.wait_ready()
        check_status(pid, no_new)
        assert set(spy_on(pid)) <= {"EPERM", "EACCES"}
        assert dict(struct.iter_unpack("LL", Path(f"/proc/{pid}/auxv").read_bytes()))[23] == 0, "AT_SECURE: libraries would ignore the environment"
    finally:
        s.stop()


# --- files ---

def owner(path):
    st = os.lstat(path)
    return st.st_uid, stat.S_IMODE(st.st_mode)


def test_whose_files_are_whose(folder):
    uid, _, _ = who()
    config = {"server": {"bind": f"unix:{folder}/s.sock", "socket_mode": "0620", "pidfile": folder / "pid", "umask": "077"},
              "control": {"socket": folder / "control"}, "log": {"errorlog": folder / "error", "accesslog": folder / "access"}}
    with server(folder, config) as s:
        assert owner(folder / "s.sock") == (uid, 0o620) and owner(folder / "control") == (0, 0o600)
        assert owner(folder / "pid") == (0, 0o644)
        assert owner(folder / "error")[0] == uid and owner(folder / "access")[0] == uid
        for name in ("error", "access"):
            (folder / name).rename(folder / f"{name}.1")
        s.signal(signal.SIGUSR1)
        wait_for(lambda: all((folder / name).exists() and owner(folder / name)[0] == uid for name in ("error", "access")),
                 what="new log files of the workers' user")


def log_folder(folder):
    uid, gid, _ = who()
    logs = folder / "logs"
    logs.mkdir()
    os.chown(logs, uid, gid)
    return logs


def link_of_the_user(path, target):
    """What a taken-over application can do in the folder of its logs."""
    uid, gid, _ = who()
    path.unlink(missing_ok=True)
    path.symlink_to(target)
    os.lchown(path, uid, gid)


def test_links_of_the_workers_lead_root_nowhere(folder):
    logs, mark = log_folder(folder), folder / "mark"
    config = {"log": {"errorlog": logs / "error", "accesslog": logs / "access"}}
    with server(folder, config) as s:
        assert s.get("/").status == 200
        before = (logs / "error").open()
        link_of_the_user(logs / "access", mark)
        link_of_the_user(logs / "error", mark)
        s.signal(signal.SIGUSR1)
        said = []

        def told():
            said.append(before.read())
            text = "".join(said)
            return "error log cannot be opened again" in text and text.count("a link on the way to it is neither root's") == 2
        wait_for(told, what="both refusals")
        assert owner(mark) == (0, 0o600) and mark.read_text() == "root's own\n"
        assert s.get("/").status == 200


def test_links_of_the_workers_are_not_followed_at_the_start(folder):
    logs, mark = log_folder(folder), folder / "mark"
    link_of_the_user(logs / "deep", folder)
    for path in (logs / "deep" / "mark", logs / "error"):
        link_of_the_user(logs / "error", mark)
        s = server(folder, {"log": {"errorlog": path}}, app="builtin:hello")
        s.start()
        try:
            assert s.wait_exit() == 2 and "Permission denied" in s.log()
            assert owner(mark) == (0, 0o600) and mark.read_text() == "root's own\n"
        finally:
            s.kill()
            s.cleanup()


def test_links_of_root_are_followed(folder):
    """An operator's: of a folder and of a file, as of /dev/stderr."""
    uid, _, _ = who()
    (folder / "disk").mkdir()
    (folder / "logs").symlink_to("disk")
    (folder / "disk" / "access").symlink_to(folder / "disk" / "access.real")
    config = {"log": {"errorlog": "/dev/stderr", "accesslog": folder / "logs" / "access"}}
    with server(folder, config) as s:
        assert s.get("/").status == 200
        wait_for(lambda: "GET /" in (folder / "disk" / "access.real").read_text(), what="a line behind the links")
        assert owner(folder / "disk" / "access.real")[0] == uid
        s.wait_log("ready")


def test_a_file_with_two_names_is_not_given_away(folder):
    logs, mark = log_folder(folder), folder / "mark"
    os.link(mark, logs / "access")
    s = server(folder, {"log": {"accesslog": logs / "access"}}, app="builtin:hello")
    s.start()
    try:
        assert s.wait_exit() == 3 and "the file has another name as well" in s.log()
        assert owner(mark) == (0, 0o600)
    finally:
        s.kill()
        s.cleanup()


# --- what the master is told ---

LIES = """
import os
import signal
import socket
import struct

READY, FORKED = %d, %d
VICTIM = int(os.environ["VICTIM"])

def channel():
    for name in os.listdir("/proc/self/fd"):
        try:
            s = socket.socket(fileno=os.dup(int(name)))
        except OSError:
            continue
        if s.type == socket.SOCK_SEQPACKET:
            return s

s, mold = channel(), os.getpid()
if os.fork() == 0:  # takes the place of the mold, which gets no further
    os.kill(mold, signal.SIGSTOP)
    s.send(bytes([READY]))
    s.settimeout(20)
    order, = struct.unpack_from("=I", s.recv(100), 1)
    s.send(struct.pack("=BIi", FORKED, order + int(os.environ["OFF"]), VICTIM))
    os._exit(0)

async def app(scope, receive, send):
    raise NotImplementedError
"""


@pytest.mark.parametrize("off, why", [(0, r"calls process \d+ its worker, which it is not"), (1, "answers an order that it does not have")])
def test_a_mold_cannot_name_a_process_that_root_then_kills(folder, off, why):
    """app.preload_app: the process that loads the application tells the master whom it has forked."""
    names = re.findall(r"^IPC_MSG\((\w+),", (ROOT / "common" / "ipc_msgs.def").read_text(), re.M)
    (folder / "lies.py").write_text(LIES % (names.index("READY"), names.index("FORKED")))
    victim = subprocess.Popen(["sleep", "1000"])
    config = {"app": {"preload_app": True}, "env": {"VICTIM": victim.pid, "OFF": off}}
    s = server(folder, config, app="lies:app")
    try:
        s.start()
        s.wait_log(why + ": killing the mold")
        s.wait_log("the mold starts again")
        s.signal(signal.SIGTERM)
        assert s.wait_exit() == 0 and victim.poll() is None
    finally:
        s.kill()
        s.cleanup()
        victim.kill()
        victim.wait()


def test_stacks_and_ends_still_reach_workers_of_a_mold(folder):
    config = {"server": {"workers": 2, "graceful_timeout": "100ms"}, "app": {"preload_app": True}}
    with server(folder, config, respawn=True) as s:
        old = s.workers()
        freeze(old[0])
        s.signal(signal.SIGHUP)
        s.wait_log("reloaded: generation 2 serves")
        wait_for(lambda: old[0] not in s.workers(), what="the stopped worker to be killed")
