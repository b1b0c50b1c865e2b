# SPDX-License-Identifier: BSD-3-Clause
"""What tools read of the error log: objects of JSON, entries of journald (systemd's JOURNAL_NATIVE_PROTOCOL), times of the server's
zone; and what must not be in it: secrets of query strings."""

import array
import contextlib
import json
import mmap
import os
import re
import signal
import socket
import struct
import subprocess

import pytest

from lib.build import binary
from lib.server import Server
from lib.waiting import DEADLINE, wait_for
from lib.watched import Watched


def entries_of(datagram):
    """The fields of one entry."""
    fields = {}
    while datagram:
        line, _, rest = datagram.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            [n] = struct.unpack("<Q", rest[:8])
            value, rest = rest[8:8 + n], rest[8 + n + 1:]
        fields[name.decode()] = value.decode()
        datagram = rest
    return fields


class Journal:
    """The socket of a journald."""

    def __init__(self, path):
        self.path, self.entries = path, []
        self.open()

    def open(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind(str(self.path))
        self.socket.setblocking(False)

    def restart(self):
        self.socket.close()
        self.path.unlink()
        self.open()

    def read(self):
        while True:
            try:
                data, ancillary, _, _ = self.socket.recvmsg(1 << 20, socket.CMSG_SPACE(4))
            except BlockingIOError:
                return self.entries
            for _, _, fds in ancillary:
                fd = array.array("i", fds)[0]
                with mmap.mmap(fd, os.fstat(fd).st_size, prot=mmap.PROT_READ) as m:
                    data = m[:]
                os.close(fd)
            self.entries.append(entries_of(data))

    def wait(self, pattern):
        return wait_for(lambda: next((e for e in self.read() if re.search(pattern, e["MESSAGE"])), None), what=f"{pattern} in the journal")


def test_json():
    """Each record is one line, whatever is in it."""
    with Server("says", {"log": {"error_log_format": "json"}}, allow={"Traceback"}) as s:
        assert s.get("/fails?%22x").status == 500
        s.wait_log("RuntimeError")
        records = [json.loads(line) for line in s.log().splitlines()]
        assert all(set(r) <= {"time", "level", "pid", "message", "text"} for r in records)
        assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d", r["time"]) for r in records)
        [failure] = [r for r in records if "text" in r]
        assert failure["level"] == "error" and failure["pid"] in s.workers()
        assert failure["message"].startswith('Exception in ASGI application: "GET /fails?%22x HTTP/1.1" from 127.0.0.1:')
        assert failure["text"].startswith("Traceback (most recent call last):\n") and failure["text"].endswith("RuntimeError: no such\nline\n")


def test_journald(tmp_path):
    journal = Journal(tmp_path / "socket")
    with Server("says", {"log": {"errorlog": f"journald:{tmp_path}/socket"}}, respawn=True) as s:
        entry = journal.wait("^ready$")
        assert (entry["PRIORITY"], entry["SYSLOG_IDENTIFIER"], entry["TINE_LEVEL"]) == ("6", "tine", "INFO")
        s.get("/fails")
        entry = journal.wait("Exception in ASGI")
        assert entry["PRIORITY"] == "3" and entry["MESSAGE"].endswith("RuntimeError: no such\nline"), "one entry, whole"
        journal.restart()
        s.signal(signal.SIGHUP)
        journal.wait("reloaded: generation 2 serves")
        s.get("/fails")
        wait_for(lambda: sum("Exception in ASGI" in e["MESSAGE"] for e in journal.read()) == 2, what="the worker's entry")
        assert s.log() == ""


SYSLOG = re.compile(r"<(\d+)>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d tine\[(\d+)\]: (.*)", re.S)


class Syslog(Journal):
    """The socket of a syslog daemon: entries are (priority, pid, text)."""

    def read(self):
        while True:
            try:
                data = self.socket.recv(1 << 20)
            except BlockingIOError:
                return self.entries
            assert len(data) <= 8192 and not data.endswith(b"\n")
            priority, pid, text = SYSLOG.fullmatch(data.decode()).groups()
            self.entries.append({"MESSAGE": text, "PRIORITY": int(priority), "PID": int(pid)})


def test_syslog(tmp_path):
    daemon = Syslog(tmp_path / "socket")
    with Server("says", {"log": {"errorlog": f"syslog:{tmp_path}/socket"}}, respawn=True) as s:
        entry = daemon.wait(r"^\[INFO\] ready$")
        assert (entry["PRIORITY"], entry["PID"]) == (3 * 8 + 6, s.process.pid), "facility daemon, severity info"
        s.get("/fails")
        entry = daemon.wait("Exception in ASGI")
        assert entry["PRIORITY"] == 3 * 8 + 3 and entry["PID"] in s.workers()
        assert entry["MESSAGE"].startswith("[ERROR] Exception in ASGI") and entry["MESSAGE"].endswith("RuntimeError: no such\nline"), "one entry, whole"
        daemon.restart()
        s.signal(signal.SIGHUP)
        daemon.wait("reloaded: generation 2 serves")
        s.get("/fails")
        wait_for(lambda: sum("Exception in ASGI" in e["MESSAGE"] for e in daemon.read()) == 2, what="the worker's entry")
        assert s.log() == ""


def test_syslog_with_json_and_long_tracebacks(tmp_path):
    site = tmp_path / "deep_words.py"
    site.write_text("def app(environ, start_response):\n"
                    "    raise ValueError('\\n'.join(f'[{i}] ' + 'x' * 90 for i in range(200)))\n")
    daemon = Syslog(tmp_path / "socket")
    config = {"log": {"errorlog": f"syslog:{tmp_path}/socket"}, "app": {"pythonpath": tmp_path}}
    with Server("deep_words:app", config) as s:
        s.get("/")
        daemon.wait(r"\n \[199\] x+$")
        pieces = [e["MESSAGE"] for e in daemon.read() if e["PRIORITY"] == 27]
        assert len(pieces) > 2 and len(set(e["PID"] for e in daemon.read() if e["PRIORITY"] == 27)) == 1
        assert re.findall(r"\[(\d+)\] x{90}(?:\n|$)", "\n".join(pieces)) == [str(i) for i in range(200)], "whole lines, all of them"
    daemon.restart()
    config["log"]["error_log_format"] = "json"
    with Server("says", config) as s:
        assert json.loads(daemon.wait('"ready"')["MESSAGE"])["level"] == "info"


def test_standard_error_that_leads_to_the_journal(tmp_path):
    """JOURNAL_STREAM (systemd.exec(5)): only if standard error is still that socket."""
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("needs a mount namespace")
    journal = Journal(tmp_path / "socket")
    ours, theirs = socket.socketpair()
    st = os.fstat(theirs.fileno())
    (tmp_path / "tine.ini").write_text("[server]\nbind = unix:tine.sock\n[app]\nmodule = builtin:hello\n")
    script = 'mount -t tmpfs none /run && mkdir -p /run/systemd/journal && mount --bind "$1" /run/systemd/journal && exec "$2"'

    def run(stream):
        return subprocess.Popen(["unshare", "-m", "sh", "-c", script, "sh", str(tmp_path), binary()], cwd=tmp_path, stderr=theirs,
                                env={**os.environ, "JOURNAL_STREAM": stream})
    with ours, theirs:
        ours.setblocking(False)
        process = run(f"{st.st_dev}:{st.st_ino}")
        try:
            assert journal.wait("^ready$")["PRIORITY"] == "6"
        finally:
            process.terminate()
            assert process.wait(DEADLINE) == 0
        with pytest.raises(BlockingIOError):
            ours.recv(1)
        process = run(f"{st.st_dev}:{st.st_ino + 1}")
        said = []

        def plain():
            with contextlib.suppress(BlockingIOError):
                said.append(ours.recv(1 << 16).decode())
            return "[INFO] ready\n" in "".join(said)
        try:
            n = len(journal.read())
            wait_for(plain, what="lines on standard error")
            assert len(journal.read()) == n
        finally:
            process.terminate()
            assert process.wait(DEADLINE) == 0


def test_a_record_too_large_for_a_datagram(tmp_path):
    """It comes in a sealed file."""
    site = tmp_path / "large_words.py"
    site.write_text("def app(environ, start_response):\n    raise ValueError('x' * 400000)\n")
    journal = Journal(tmp_path / "socket")
    with Server("large_words:app", {"log": {"errorlog": f"journald:{tmp_path}/socket"}, "app": {"pythonpath": tmp_path}}) as s:
        s.get("/")
        assert journal.wait("ValueError: xxx")["MESSAGE"].count("x") >= 400000


def test_the_application_does_not_move_the_times():
    """Neither while it is imported nor later; the access log has the server's time as well."""
    with Server("says", {"log": {"accesslog": "-"}}, env={"TZ": "America/Caracas"}, allow={"Traceback"}) as s:
        assert s.get("/hour").body == b"+0900"
        s.get("/fails")
        s.wait_log("RuntimeError")
        wait_for(lambda: "/fails" in s.stdout(), what="the line of the access log")
        times = re.findall(r"^\[[\d-]+ [\d:]+ (\S+)\]", s.log(), re.M)
        assert set(times) == {"-0400"}
        assert set(re.findall(r"\[\d\d/\w+/\d+:[\d:]+ (\S+)\]", s.stdout())) == {"-0400"}


@pytest.mark.parametrize("app,interface", [("says:app", "asgi"), ("wsgi_stuck:app", "wsgi")])
def test_secrets_of_query_strings(app, interface, tmp_path):
    """Neither in the lines of slow requests and of failures, nor where requests that run are shown."""
    config = {"log": {"slow_request": "1ms"}, "http": {"request_timeout": "1s"}, "app": {"interface": interface}}
    with Watched(f"apps.{app}", config, env={"TINE_TEST_GATE": str(tmp_path / "gate")}, allow={"Traceback"}, respawn=True) as s:
        path = "/slow?s=60&token=hunter2" if interface == "asgi" else "/hangs?token=hunter2"
        with s.connect() as c:
            c.send_request("GET", path)
            shown = wait_for(lambda: s.ask("top")["workers"][0]["current"], what="the request")
            assert shown[0]["request"].endswith("token=***")
            assert c.read_response().status == 504
        if interface == "asgi":
            s.get("/fails?password=hunter2")
            s.wait_log(r"RuntimeError")
        s.wait_log(r'slow request: .*"GET /\w+\?.*token=\*\*\*"')
        assert "hunter2" not in s.log()


def test_paths_left_out_and_fields_of_ones_own():
    config = {"log": {"accesslog": "-", "access_exclude": "/healthz, /ho*",
                      "access_log_format": 'json time=%(iso)s path=%(U)s status=%(s)s trace=%({traceparent}i)s agent=%(a)s'}}
    with Server("says", config, allow={"Traceback"}) as s:
        for path in ("/healthz", "/hour", "/slow", "/healthz/", "/healthz?x"):
            s.get(path, headers=[("traceparent", '00-"-\\-01')] if path == "/slow" else [])
        s.get("/fails")
        wait_for(lambda: "/fails" in s.stdout(), what="the last line")
        lines = [json.loads(line) for line in s.stdout().splitlines()]
        assert [(line["path"], line["status"]) for line in lines] == [("/slow", 200), ("/healthz/", 200), ("/fails", 500)]
        assert [line["trace"] for line in lines] == ['00-"-\\-01', None, None]
        assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"]) for line in lines)
        assert list(lines[0]) == ["time", "path", "status", "trace", "agent"]
