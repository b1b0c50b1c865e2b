# SPDX-License-Identifier: BSD-3-Clause
"""The control socket and tinectl: every command, who may speak, what clients can do to the master, and what becomes of
the socket over reloads, upgrades and the end."""

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import stat
import struct
import subprocess
import termios
from pathlib import Path

import pytest

from lib.build import binary, under_tsan
from lib.procfs import freeze
from lib.server import Server
from lib.sockets import free_port
from lib.waiting import DEADLINE, wait_for

TINECTL = os.path.join(os.path.dirname(binary()), "tinectl")
GOOD = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})
"""


def server(app="hello", config=None, **options):
    config = {name: dict(keys) for name, keys in (config or {}).items()}
    config.setdefault("control", {}).setdefault("socket", "control.sock")
    return Server(app, config, respawn=True, **options)


def path_of(s):
    return str(s.dir / "control.sock")


def tinectl(s, *words, status=0, **options):
    """Runs it in the server's folder, where ./tine.ini names the socket; returns what it printed."""
    env = {k: v for k, v in os.environ.items() if k != "TINE_CONTROL"}
    env.update(options.pop("env", {}))
    done = subprocess.run([TINECTL, *words], cwd=s.dir, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=3 * DEADLINE, **options)
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    return done.stdout if status == 0 else done.stderr


def ask(s, *words):
    return json.loads(tinectl(s, "-j", *words))


class Raw:
    """A client that speaks the protocol itself."""

    def __init__(self, s, path=None):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(DEADLINE)
        self.socket.connect(path or path_of(s))
        self.file = self.socket.makefile("rb")

    def send(self, data):
        self.socket.sendall(data)

    def answer(self):
        line = self.file.readline()
        assert line.endswith(b"\n"), line
        return json.loads(line)

    def ask(self, command):
        self.send(command.encode() + b"\n")
        return self.answer()

    def at_end(self):
        return self.file.readline() == b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()


# --- questions ---

def test_status():
    with server(config={"server": {"workers": 2}}) as s:
        wait_for(lambda: ask(s, "status")["workers_ready"] == 2, what="both workers")
        assert s.get("/").status == 200
        status = wait_for(lambda: next((a for a in [ask(s, "status")] if a["requests"] == 1), None), what="the request")
        assert status["ok"] and status["pid"] == s.pid and status["state"] == "running" and status["generation"] == 1
        assert status["binds"][0]["address"] == f"127.0.0.1:{s.port}" and status["workers_wanted"] == 2
        assert status["reload"] == {"done": 0, "failed": 0, "last": "none", "last_at": None, "error": None}
        text = tinectl(s, "status")
        assert re.search(rf"^tine +\S+, pid {s.pid}, running, up \S+, generation 1$", text, re.M)
        assert re.search(rf"^listening +127.0.0.1:{s.port}$", text, re.M)
        assert re.search(r"^workers +2 of 2 ready$", text, re.M) and "\033" not in text


def test_workers():
    with server(config={"server": {"workers": 2}}) as s:
        wait_for(lambda: ask(s, "status")["workers_ready"] == 2, what="both workers")
        with s.connect() as c:
            assert c.request("GET", "/").status == 200
            workers = ask(s, "workers")["workers"]
        assert sorted(w["pid"] for w in workers) == s.workers() and [w["worker"] for w in workers] == [1, 2]
        assert all(w["state"] == "ready" and w["serving"] and w["memory"] > 1 << 20 and w["age"] > 0 for w in workers)
        assert sum(w["connections"] for w in workers) == 1
        title, *rows = tinectl(s, "workers").splitlines()
        assert title.split() == "WORKER PID STATE GEN AGE CONN BUSY THREADS REQUESTS 5XX P50 P99 CPU MEMORY".split()
        assert [int(row.split()[1]) for row in rows] == [w["pid"] for w in workers]
        # Aligned: every column ends, or begins, at the same place.
        assert len({row.index("ready") for row in rows} | {title.index("STATE")}) == 1


def test_a_request_under_way_is_shown():
    with server("hangs") as s, s.connect() as c:
        c.send_request("GET", "/waits?s=1")
        def current():
            return next((r for w in ask(s, "workers")["workers"] for r in w["current"]), None)
        request = wait_for(current, what="the request")
        assert request["request"].startswith("GET /waits?s=1") and request["client"] == "127.0.0.1"
        assert c.read_response().body == b"waited"


def test_requests_cannot_write_to_the_terminal():
    with server("hangs") as s, s.connect() as c:
        c.send(b"GET /waits?s=1&\xc2\x9b31m HTTP/1.1\r\nHost: a\r\n\r\n")
        if c.read_response().status == 200: # the head was not refused
            assert "\x9b" not in tinectl(s, "top")


def test_metrics_are_those_of_the_listener():
    with server() as s:
        s.get("/")
        wait_for(lambda: 'tine_requests_total{status="2xx"} 1\n' in tinectl(s, "metrics"), what="the request's count")
        assert ask(s, "metrics")["text"].endswith("# EOF\n")


def test_config_is_that_of_minus_T():
    with server(config={"http": {"keepalive": "7s"}}) as s:
        dumped = subprocess.run([binary(), "-c", str(s.dir / "tine.ini"), "-T", "apps.hello:app"], stdout=subprocess.PIPE, text=True,
                                check=True, cwd=s.dir).stdout
        assert tinectl(s, "config") == dumped and "keepalive = 7s" in dumped
        assert ask(s, "config")["text"] == dumped


def test_reopen():
    with server(config={"log": {"errorlog": "errors"}}) as s:
        (s.dir / "errors").rename(s.dir / "errors.1")
        tinectl(s, "reopen")
        assert "log files reopened" in (s.dir / "errors").read_text()


# --- stacks ---

def test_stacks_of_all_and_of_one():
    with server(config={"server": {"workers": 2}}) as s:
        wait_for(lambda: ask(s, "status")["workers_ready"] == 2, what="both workers")
        stacks = ask(s, "stacks")["stacks"]
        assert sorted(one["pid"] for one in stacks) == s.workers()
        assert all("most recent call first" in one["text"] and "run_forever" in one["text"] for one in stacks)
        pid = s.workers()[1]
        assert [one["pid"] for one in ask(s, "stacks", str(pid))["stacks"]] == [pid]
        text = tinectl(s, "stacks", str(pid))
        assert re.search(rf"^worker \d \(pid {pid}\)\nCurrent thread", text)
        assert "no worker has this process id" in tinectl(s, "stacks", str(s.pid), status=1)
        assert "most recent call" not in s.log()


@pytest.mark.parametrize("how", ["calls" if under_tsan() else "python", "native", "sleep"])
def test_stacks_of_a_worker_that_hangs(how):
    with server("hangs", {"server": {"timeout": 0, "graceful_timeout": "1s"}}) as s:
        c = s.connect()
        c.send_request("GET", f"/{how}")
        pid = s.wait_event(hangs=how)["pid"]
        text = ask(s, "stacks")["stacks"][0]["text"]
        assert re.search(rf'File ".*hangs.py", line \d+ in {how}', text)
        os.kill(pid, signal.SIGKILL)
        c.close()
        s.wait_log(r"worker 1 \(pid \d+\) is ready\n.*worker 1 \(pid \d+\) is ready")


def test_several_ask_for_stacks_at_once():
    with server() as s, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Raw(s)) for _ in range(4)]
        for client in clients:
            client.send(b"stacks\n")
        clients.pop(1).socket.close()
        for client in clients:
            [one] = client.answer()["stacks"]
            assert one["text"].count("Current thread") == 1


def test_no_answer_from_a_stopped_worker():
    with server(config={"server": {"timeout": 0}}) as s:
        [pid] = s.workers()
        freeze(pid)
        try:
            assert ask(s, "stacks")["stacks"] == [{"worker": 1, "pid": pid, "text": None}]
        finally:
            os.kill(pid, signal.SIGCONT)
        # What it says when it goes on finds nobody who asked: the log has it.
        s.wait_log(r"\[ERROR\] worker 1 \(pid \d+\): stacks of its threads:\nCurrent thread")


# --- orders ---

def test_scale():
    with server() as s:
        assert ask(s, "scale", "3") == {"ok": True, "workers": 3, "before": 1}
        wait_for(lambda: ask(s, "status")["workers_ready"] == 3, what="three workers")
        assert tinectl(s, "scale", "1") == "workers: 1, before: 3\n"
        wait_for(lambda: len(s.workers()) == 1, what="one worker")
        assert "at most 1024 workers" in tinectl(s, "scale", "1025", status=1)
        for wrong in ("0", "-1", "x", "", "1 2"):
            tinectl(s, "scale", wrong, status=1)
        assert ask(s, "status")["workers_wanted"] == 1


@pytest.mark.parametrize("words", [("stop",), ("stop", "quick")])
def test_stop_waits_for_the_end(words):
    with server() as s:
        s.ending = True
        assert tinectl(s, *words) == "stopped\n"
        assert not os.path.exists(path_of(s))
        assert s.wait_exit() == 0
        assert f"control socket: {' '.join(words)} (asked by process" in s.log()


def test_a_graceful_stop_waits_for_requests_and_is_seen():
    with server("hangs") as s, s.connect() as c, Raw(s) as observer:
        s.ending = True
        c.send_request("GET", "/waits?s=1")
        wait_for(lambda: observer.ask("status")["inflight"] == 1, what="the request")
        with Raw(s) as stopper:
            assert stopper.ask("stop") == {"ok": True}
            assert observer.ask("status")["state"] == "stopping"
            for order in ("reload", "scale 2"):
                assert observer.ask(order) == {"ok": False, "error": "the service stops"}
            assert c.read_response().body == b"waited"
            assert stopper.at_end()
        assert s.wait_exit() == 0


# --- reload ---

@pytest.fixture
def site(tmp_path):
    (tmp_path / "site_app.py").write_text(GOOD)
    return tmp_path


def site_server(site, **config):
    config.setdefault("app", {})["pythonpath"] = site
    return server("site_app:app", config, allow=("Traceback",))


def test_reload_says_how_it_went(site):
    with site_server(site) as s:
        assert tinectl(s, "reload") == "reloaded: generation 2 serves with 1 worker\n"
        assert ask(s, "reload") == {"ok": True, "generation": 3, "workers": 1}
        (site / "site_app.py").write_text("def app(:\n")
        error = tinectl(s, "reload", status=1)
        assert error.startswith("tinectl: reload failed:\n  File ") and error.endswith("SyntaxError: invalid syntax\n")
        reload = ask(s, "status")["reload"]
        assert (reload["done"], reload["failed"], reload["last"]) == (2, 1, "failed") and "SyntaxError" in reload["error"]
        assert "SyntaxError" in tinectl(s, "status")
        assert s.get("/").status == 200
        (site / "site_app.py").write_text(GOOD)
        tinectl(s, "reload")
        assert ask(s, "status")["reload"]["error"] is None


def test_reload_of_a_wrong_configuration(site):
    with site_server(site) as s:
        (s.dir / "tine.ini").write_text((s.dir / "tine.ini").read_text() + "\n[http]\nkeepalive = soon\n")
        error = tinectl(s, "reload", status=1) # it finds the socket in that file nevertheless
        assert "keepalive" in error and "tine.ini:" in error
        assert s.get("/").status == 200


def test_reload_that_takes_too_long(site):
    with site_server(site, server={"boot_timeout": "1s"}) as s:
        (site / "site_app.py").write_text("import select, os\nselect.select([os.pipe()[0]], [], [])\n")
        assert "killed by SIGKILL" in tinectl(s, "reload", status=1)
        assert s.get("/").status == 200


def hold_the_next_boot(site, code):
    """Workers wait while they load, until the fifo's other end is opened and closed; returns what lets one go on."""
    gate = site / "gate"
    os.mkfifo(gate)
    (site / "site_app.py").write_text(f"open({str(site / 'loading')!r}, 'w').close()\nopen({str(gate)!r}).read()\n{code}")

    def release(until):
        def once():
            with contextlib.suppress(OSError):
                os.close(os.open(gate, os.O_WRONLY | os.O_NONBLOCK))
            return until()
        wait_for(once, what="the reload")
    return release


def test_who_asks_during_a_reload_gets_the_outcome_of_the_next(site):
    with site_server(site, app={"interpreter": "main"}) as s, contextlib.ExitStack() as stack:
        first, *others = [stack.enter_context(Raw(s)) for _ in range(5)]
        release = hold_the_next_boot(site, "raise ImportError('the first')\n")
        first.send(b"reload\n")
        wait_for((site / "loading").exists, what="the reload to load")
        (site / "site_app.py").write_text(GOOD) # the one under way has not seen it
        for other in others:
            other.send(b"reload\n")
        others.pop().socket.close() # one of them does not wait
        s.wait_log("reload queued until the current reload finishes")
        release(lambda: "the first" in s.log())
        assert "the first" in first.answer()["error"]
        assert [other.answer() for other in others] == [{"ok": True, "generation": 3, "workers": 1}] * 3
        assert first.ask("status")["reload"]["done"] == 1


def test_reload_during_the_start(site):
    release = hold_the_next_boot(site, GOOD)
    s = site_server(site)
    try:
        s.start()
        wait_for((site / "loading").exists, what="the start to load")
        with Raw(s) as c:
            assert c.ask("status")["state"] == "starting"
            c.send(b"reload\n")
            s.wait_log("reload queued until the current start finishes")
            release(lambda: "reloaded: generation 2 serves" in s.log())
            assert c.answer() == {"ok": True, "generation": 2, "workers": 1}
        s.wait_ready()
    finally:
        s.stop()


def test_stop_answers_those_who_wait_for_a_reload(site):
    with site_server(site) as s, Raw(s) as c:
        hold_the_next_boot(site, GOOD)
        c.send(b"reload\n")
        wait_for((site / "loading").exists, what="the reload to load")
        s.signal(signal.SIGTERM)
        assert c.answer() == {"ok": False, "error": "the service stops"}
        assert s.wait_exit() == 0


# --- the socket over the life of the service ---

def test_mode_and_path_follow_a_reload():
    with server(allow=("[CRITICAL]",)) as s:
        first = path_of(s)
        assert stat.S_IMODE(os.stat(first).st_mode) == 0o600
        s.write_config({"control": {"mode": "0640"}})
        tinectl(s, "reload")
        assert stat.S_IMODE(os.stat(first).st_mode) == 0o640
        with Raw(s) as waiting:
            s.write_config({"control": {"socket": str(s.dir / "other.sock"), "mode": "0600"}})
            assert waiting.ask("reload")["ok"] # the connection outlives the socket
            assert not os.path.exists(first)
            assert waiting.ask("status")["ok"]
        assert ask(s, "status")["generation"] == 3 and stat.S_IMODE(os.stat(s.dir / "other.sock").st_mode) == 0o600
        s.write_config({"control": {"socket": "/proc/no/such/folder"}})
        with Raw(s, str(s.dir / "other.sock")) as c:
            assert "control.socket" in c.ask("reload")["error"]
            s.write_config({"control": {"socket": ""}})
            assert c.ask("reload")["ok"]
        assert not os.path.exists(s.dir / "other.sock") and s.get("/").status == 200


def test_a_reload_that_fails_after_a_new_socket_was_opened_takes_it_back():
    with server(allow=("[CRITICAL]",)) as s:
        first, bind = path_of(s), s.config["server"]["bind"]
        keys = {"control": {"socket": str(s.dir / "other.sock")}, "server": {"bind": [*bind, f"127.0.0.1:{free_port()} tls"]},
                "tls": {"certfile": str(s.dir / "missing.pem")}}
        s.write_config(keys)
        with Raw(s, first) as c:
            assert "missing.pem" in c.ask("reload")["error"]
            assert not os.path.exists(s.dir / "other.sock") and c.ask("status")["generation"] == 1
            s.write_config({"server": {"bind": bind}})
            assert c.ask("reload")["ok"]
        with Raw(s, str(s.dir / "other.sock")) as c:
            assert c.ask("status")["generation"] == 3


def test_a_socket_that_a_dead_server_left(tmp_path):
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(path))
    with server(config={"control": {"socket": str(path)}}) as s:
        assert ask(s, "status")["pid"] == s.pid
    assert not path.exists()


def test_a_socket_of_a_living_server_is_not_taken(tmp_path):
    with server(config={"control": {"socket": str(tmp_path / "control.sock")}}) as first:
        second = server(config={"control": {"socket": str(tmp_path / "control.sock")}}, status=2, allow=("[CRITICAL]",))
        second.start()
        second.wait_exit()
        second.stop()
        assert ask(first, "status")["pid"] == first.pid


def test_the_socket_goes_to_a_new_binary_and_back():
    with server() as s:
        def pid():
            with contextlib.suppress(OSError, AssertionError), Raw(s) as c: # between the two nobody is there for a moment
                return c.ask("status")["pid"]
        s.signal(signal.SIGUSR2)
        new = wait_for(lambda: pid() not in (None, s.pid) and pid(), what="the new binary")
        os.kill(new, signal.SIGTERM)
        wait_for(lambda: pid() == s.pid, what="the old binary")
        assert stat.S_IMODE(os.stat(path_of(s)).st_mode) == 0o600


# --- who may speak, and what clients do ---

@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be somebody else")
def test_others_are_refused():
    with server(config={"control": {"mode": "0666"}}) as s:
        s.dir.chmod(0o755)
        code = f"import os, socket\nos.setuid(65534)\ns = socket.socket(socket.AF_UNIX)\ns.connect({path_of(s)!r})\nprint(s.makefile().read())"
        said = subprocess.run(["/usr/bin/python3", "-c", code], stdout=subprocess.PIPE, text=True, check=True).stdout
        assert json.loads(said) == {"ok": False, "error": "only root, the user of the master and control.group may use the control socket"}
        s.dir.chmod(0o700)


def test_lines_that_are_none():
    with server() as s, Raw(s) as c:
        for line in ("", " ", "STATUS", "status now", "status ", " status", "scale", "scale  2", "scale 2147483648", "scale 01",
                     "stop slow", "stacks 0", "{}", "\0status", "status\0"):
            assert c.ask(line)["ok"] is False, line
        c.send(b"status\r\nstatus\nsta")
        assert c.answer()["ok"] and c.answer()["ok"]
        c.send(b"tus\n")
        assert c.answer()["ok"]
        c.send(b"x" * 100000)
        assert c.answer() == {"ok": False, "error": "the line is too long"}
        with contextlib.suppress(ConnectionResetError):
            assert c.at_end()


def test_a_client_that_only_sends():
    with server() as s, Raw(s) as c:
        c.send(b"status\n")
        c.socket.shutdown(socket.SHUT_WR)
        assert c.answer()["ok"] and c.at_end()


def test_clients_that_do_not_read_hold_up_nobody():
    with server() as s, Raw(s) as lazy, Raw(s) as c:
        lazy.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True: # until all buffers are full
                lazy.socket.send(b"config\n" * 100)
        assert c.ask("status")["ok"] and s.get("/").status == 200
        assert ask(s, "workers")["ok"]


def test_the_number_of_clients_is_bounded():
    with server() as s, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Raw(s)) for _ in range(32)]
        assert all(c.ask("status")["ok"] for c in clients)
        with Raw(s) as c:
            assert c.answer() == {"ok": False, "error": "too many clients"} and c.at_end()
        assert "too many clients" in tinectl(s, "status", status=1)
        clients[5].file.close()
        clients[5].socket.close()
        wait_for(lambda: Raw(s).ask("status")["ok"], what="room for another client")


# --- tinectl itself ---

def test_where_tinectl_looks(tmp_path):
    with server() as s:
        nobody = subprocess.run([TINECTL, "status"], cwd=tmp_path, stderr=subprocess.PIPE, text=True,
                                env={k: v for k, v in os.environ.items() if k != "TINE_CONTROL"})
        assert nobody.returncode == 2 and "/run/tine/control.sock" in nobody.stderr
        for words, env in ((("-s", path_of(s)), {}), ((), {"TINE_CONTROL": path_of(s)}), (("-c", str(s.dir / "tine.ini")), {})):
            done = subprocess.run([TINECTL, *words, "status"], cwd=s.dir if "-c" in words else tmp_path, env=dict(os.environ, **env),
                                  stdout=subprocess.PIPE, text=True)
            assert done.returncode == 0 and f"pid {s.pid}" in done.stdout
        (tmp_path / "tine.ini").write_text(f"[server]\nchdir = {s.dir}\n[control] ; here\nsocket : control.sock ; relative\n")
        assert tinectl(s, "-c", str(tmp_path / "tine.ini"), "status")
        tinectl(s, "-c", "/nowhere", "status", status=2)


def test_wrong_use_of_tinectl():
    with server() as s:
        for words in ((), ("fly",), ("status", "now"), ("scale",), ("--wings", "status"), ("stop", "slow")):
            assert tinectl(s, *words, status=1).endswith("Try tinectl --help.\n")
        assert "Usage" in tinectl(s, "--help") and tinectl(s, "--version").startswith("tinectl ")
        # Every command of the protocol is in the help.
        for name in re.findall(r'\(\w+, "(\w+)"', (Path(__file__).parents[2] / "master/control/control_commands.def").read_text()):
            assert re.search(rf"^  {name}\b", tinectl(s, "--help"), re.M), name


def test_top_without_a_terminal_prints_once():
    with server() as s:
        text = tinectl(s, "top")
        assert text.count("WORKER") == 1 and "\033" not in text and f"pid {s.pid}" in text
        assert ask(s, "top")["workers"][0]["latency"] == []


class Terminal:
    """tinectl in a terminal of our own."""

    def __init__(self, s, *words, rows=24, columns=100):
        self.text = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(s.dir)
            os.execv(TINECTL, [TINECTL, *words])
        self.resize(rows, columns)

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def wait(self, pattern, since=0):
        def found():
            if select.select([self.fd], [], [], 0.01)[0]:
                with contextlib.suppress(OSError): # EIO: it has ended
                    self.text += os.read(self.fd, 65536).decode()
            return re.search(pattern, self.text[since:], re.S)
        return wait_for(found, what=f"{pattern!r} on the terminal")

    def end(self):
        self.wait(r"\033\[\?25h\033\[\?1049l")
        status = os.waitpid(self.pid, 0)[1]
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


@pytest.mark.parametrize("how", ["q", "\x03"])
def test_top_lives_in_a_terminal(how):
    with server(config={"server": {"workers": 12}}) as s:
        t = Terminal(s, "top", rows=40)
        t.wait(r"\033\[\?1049h.*WORKER.*MEMORY")
        before = termios.tcgetattr(t.fd)
        assert not before[3] & (termios.ECHO | termios.ICANON)
        t.wait("12 of 12 ready")
        mark = len(t.text)
        t.resize(10, 30) # drawn anew at once, each line cut
        page = t.wait(r"\033\[H((?:(?!\033\[H).)*and \d+ more)", mark).group(1)
        lines = [re.sub(r"\033\[[0-9;?]*[A-Za-z]", "", line) for line in page.split("\r\n")]
        assert len(lines) <= 10 and max(len(line) for line in lines) == 30
        os.write(t.fd, how.encode())
        assert t.end() == 0


def test_top_ends_with_the_server():
    with server() as s:
        t = Terminal(s, "top")
        t.wait("WORKER")
        s.signal(signal.SIGTERM)
        assert s.wait_exit() == 0
        t.wait("tinectl: the server closed the connection")
        assert t.end() == 2


def test_colours_in_a_terminal_only():
    with server() as s:
        t = Terminal(s, "workers")
        assert t.wait(r"\033\[32mready\033\[0m")
        os.waitpid(t.pid, 0)
        os.close(t.fd)
