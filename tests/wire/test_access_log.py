# SPDX-License-Identifier: BSD-3-Clause
"""The access log: every atom, JSON, lines that no request can forge, rotation, several workers."""

import base64
import json
import re
import signal
import threading
import time

import pytest

from lib.server import Server
from lib.waiting import wait_for

BAR = "|"


def lines_of(path):
    return path.read_text(errors="surrogateescape").splitlines() if path.exists() else []


def logged(log, n):
    """The n lines that the requests so far must have made."""
    wait_for(lambda: len(lines_of(log)) >= n, what=f"{n} lines in the access log")
    found = lines_of(log)
    assert len(found) == n, found
    return found


@pytest.fixture
def log(tmp_path):
    return tmp_path / "access.log"


def start(log, form=None, app="answers", **more):
    config = {"log": {"accesslog": str(log)}}
    if form:
        config["log"]["access_log_format"] = form
    return Server(app, config, **more)


def test_default_format(log):
    with start(log) as server:
        with server.connect() as c:
            c.request("GET", "/sized?a=b", ["Referer: http://ref/", "User-Agent: agent/1.0 (x; y)"])
            c.request("GET", "/status?code=404")
        first, second = logged(log, 2)
    assert re.fullmatch(r'127\.0\.0\.1 - - \[\d\d/[A-Z][a-z][a-z]/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET /sized\?a=b HTTP/1\.1" 200 10 '
                        r'"http://ref/" "agent/1\.0 \(x; y\)"', first)
    assert re.fullmatch(r'127\.0\.0\.1 - - \[[^]]+\] "GET /status\?code=404 HTTP/1\.1" 404 (0|-) "-" "-"', second)


ATOMS = ["h", "l", "u", "t", "r", "m", "U", "q", "H", "s", "B", "b", "f", "a", "T", "M", "D", "L", "p", "{X-In}i", "{x-kept}o",
         "{TINE_TEST_VAR}e", "{X-Missing}i", "R", "S", "st", "Uq"]


def test_every_atom(log):
    form = BAR.join(f"{name}=%({name})s" for name in ATOMS)
    with start(log, form, env={"TINE_TEST_VAR": "from env"}) as server:
        before = time.time()
        with server.connect() as c:
            c.request("GET", "/sized?a=b%20c", ["Referer: ref", "User-Agent: agent", "X-In: in",
                                                "Authorization: Basic " + base64.b64encode(b"ann:secret").decode()])
        line, = logged(log, 1)
        workers = server.workers()
    values = dict(part.split("=", 1) for part in line.split(BAR))
    exact = {"h": "127.0.0.1", "l": "-", "u": "ann", "r": "GET /sized?a=b%20c HTTP/1.1", "m": "GET", "U": "/sized", "q": "a=b%20c",
             "H": "HTTP/1.1", "s": "200", "B": "10", "b": "10", "f": "ref", "a": "agent", "{X-In}i": "in", "{x-kept}o": "1",
             "{TINE_TEST_VAR}e": "from env", "{X-Missing}i": "-", "R": "GET /sized?a=b%20c HTTP/1.1", "S": "http", "st": "OK",
             "Uq": "/sized?a=b%20c", "T": "0"}
    assert {k: values[k] for k in exact} == exact
    assert re.fullmatch(r"<?\d+>?", values["p"]) and int(values["p"].strip("<>")) in workers
    stamp = time.mktime(time.strptime(values["t"].strip("[]").rsplit(" ")[0], "%d/%b/%Y:%H:%M:%S"))
    zone = values["t"].strip("[]").rsplit(" ")[1]
    offset = (int(zone[1:3]) * 3600 + int(zone[3:]) * 60) * (-1 if zone[0] == "-" else 1)
    seconds = stamp - time.timezone - offset
    assert int(before) - 1 <= seconds <= time.time() + 1
    assert re.fullmatch(r"\d+", values["M"]) and re.fullmatch(r"\d+", values["D"]) and re.fullmatch(r"\d+\.\d+", values["L"])
    assert int(values["D"]) // 1000 == int(values["M"]) and abs(float(values["L"]) * 1e6 - int(values["D"])) < 1000


def test_status_lengths_and_methods(log):
    form = "%(m)s %(s)s %(B)s %(b)s %(H)s"
    with start(log, form) as server:
        with server.connect() as c:
            c.request("HEAD", "/sized")
            c.request("GET", "/status?code=204")
            c.request("POST", "/stream", body=b"xyz")
            c.request("GET", "/sized", version="1.0")
        found = logged(log, 4)
    assert found == ["HEAD 200 0 - HTTP/1.1", "GET 204 0 - HTTP/1.1", "POST 200 21 21 HTTP/1.1", "GET 200 10 10 HTTP/1.0"]


def test_percent_sign_and_text(log):
    with start(log, "100%% text [%(s)s]") as server:
        server.get("/sized")
        line, = logged(log, 1)
    assert line in ("100% text [200]", "100%% text [200]")


FIELD = r'"((?:[^"\\]|\\.)*)"'
FORGED = [
    ("User-Agent", 'x" 200 5 "-" "forged'), ("Referer", 'r" "a" 127.0.0.1 - - "GET /forged HTTP/1.1'), ("User-Agent", "back\\slash\\"),
    ("User-Agent", "high \x80\xff\xe9"), ("User-Agent", "tab\there"), ("User-Agent", "%(s)s %(h)s %n %s"), ("Referer", "\\x0a\\n")]


@pytest.mark.parametrize("name, value", FORGED)
def test_fields_cannot_forge(log, name, value):
    with start(log) as server:
        with server.connect() as c:
            c.request("GET", "/sized", [f"{name}: {value}"])
        line, = logged(log, 1)
    assert re.fullmatch(rf'127\.0\.0\.1 - - \[[^]]+\] {FIELD} 200 10 {FIELD} {FIELD}', line), line
    assert all(" " <= ch <= "~" for ch in line), line


@pytest.mark.parametrize("user", [b"ann\n127.0.0.1 - - forged", b"a b", b'a"b', b"\xff\x00", b"[1]", b""])
def test_user_cannot_forge(log, user):
    with start(log) as server:
        with server.connect() as c:
            c.request("GET", "/sized", ["Authorization: Basic " + base64.b64encode(user + b":pw").decode()])
        line, = logged(log, 1)
    assert all(" " <= ch <= "~" for ch in line) and "\n" not in line
    assert re.fullmatch(rf'127\.0\.0\.1 - \S+ \[[^]]+\] {FIELD} 200 10 {FIELD} {FIELD}', line), line


def test_bad_requests_cannot_forge(log):
    """Refused heads are logged or not, but never as they are."""
    raw = [b"GET /\x1b[31m\x07 HTTP/1.1\r\nHost: x\r\n\r\n", b"G\x00T \xff\r\n\r\n", b"GET /%0d%0aforged HTTP/1.1\r\nHost: x\r\n\r\n",
           b"GET /\" 200 5 HTTP/1.1\r\nHost: x\r\n\r\n"]
    with start(log, app="builtin:hello") as server:
        for data in raw:
            with server.connect() as c:
                c.send(data)
                c.read_response()
        server.get("/last")
        wait_for(lambda: any("/last" in line for line in lines_of(log)), what="the last line")
        text = log.read_text(errors="surrogateescape")
    assert all(" " <= ch <= "~" or ch == "\n" for ch in text) and "\nforged" not in text
    assert all(re.match(r"127\.0\.0\.1 - - \[", line) for line in text.splitlines())


def test_json(log):
    with start(log, "json") as server:
        with server.connect() as c:
            c.request("GET", "/sized?a=b", ['User-Agent: quo"te \\ \xe9\t', "Referer: ref"])
            c.request("POST", "/status?code=404", body=b"xyz")
        found = [json.loads(line) for line in logged(log, 2)]
    first, second = (list(map(str, entry.values())) for entry in found)
    assert "GET" in first and "200" in first and "127.0.0.1" in first and "ref" in first and "10" in first
    assert "POST" in second and "404" in second
    assert any('quo"te \\ ' in value for value in first)
    assert found[0].keys() == found[1].keys() and all(isinstance(e, dict) for e in found)


def test_error_of_the_application_is_logged_as_500(log):
    with start(log, "%(s)s %(r)s", app="broken", allow=["Traceback"]) as server:
        server.get("/raises")
        assert logged(log, 1) == ["500 GET /raises HTTP/1.1"]


def test_standard_output(tmp_path):
    with Server("hello", {"log": {"accesslog": "-", "access_log_format": "%(m)s %(U)s %(s)s"}}) as server:
        server.get("/x")
        wait_for(lambda: server.stdout() == "GET /x 200\n", what="the line on standard output")


def test_none_by_default(tmp_path):
    with Server("hello") as server:
        server.get("/x")
        assert server.stdout() == "" and "GET /x" not in server.log()


def test_reopened_on_usr1(log):
    """Rotation by renaming: no line is lost, and each is in one of the two files."""
    old = log.with_suffix(".1")
    with start(log, "%(U)s") as server:
        for i in range(20):
            server.get(f"/sized/{i}")
        logged(log, 20)
        log.rename(old)
        server.signal(signal.SIGUSR1)
        wait_for(log.exists, what="the new file")
        n = 20

        def reaches_the_new_file():
            nonlocal n
            server.get(f"/sized/{n}")
            n += 1
            return lines_of(log)
        wait_for(reaches_the_new_file, what="a line in the new file")
        wait_for(lambda: len(lines_of(old)) + len(lines_of(log)) == n, what="all lines")
        assert lines_of(old) + lines_of(log) == [f"/sized/{i}" for i in range(n)]


def test_several_workers_do_not_tear(log):
    """Four processes append long lines to one file."""
    clients, each = 8, 100
    config = {"server": {"workers": 4}, "log": {"accesslog": str(log), "access_log_format": "<%(p)s %({X-Id}i)s %(a)s>"}}
    with Server("hello", config) as server:
        def client(k):
            for i in range(each):
                with server.connect() as c:
                    for j in range(2):
                        c.request("GET", "/", [f"X-Id: {k}.{i}.{j}", "User-Agent: " + chr(97 + k) * 3000])
        threads = [threading.Thread(target=client, args=(k,)) for k in range(clients)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        found = logged(log, clients * each * 2)
    seen = set()
    for line in found:
        match = re.fullmatch(r"<<?\d+>? (\d)\.(\d+)\.(\d) (([a-z])\5{2999})>", line)
        assert match and match.group(5) == chr(97 + int(match.group(1))), line[:100]
        seen.add(match.group(1, 2, 3))
    assert len(seen) == clients * each * 2
