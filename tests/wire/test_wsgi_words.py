# SPDX-License-Identifier: BSD-3-Clause
"""Reasons of a status, and what an application writes to wsgi.errors: one record for each thing said, at its level."""

import re
import socket
from urllib.parse import quote

import pytest

from lib.h2 import H2
from lib.places import NO_GREENLETS
from lib.server import Server


@pytest.fixture(params=[4, 1])
def server(serve, request):
    return serve("apps.wsgi_words:app", {"app": {"threads": request.param}, "log": {"loglevel": "debug"}}, flags="h2c", allow=["Traceback"])


# --- reasons ---

@pytest.mark.parametrize("status, line", [
    ("299 Custom Reason", b"HTTP/1.1 299 Custom Reason"), ("200 Fine", b"HTTP/1.1 200 Fine"), ("200 OK", b"HTTP/1.1 200 OK"),
    ("404 ", b"HTTP/1.1 404 Not Found"), ("299", b"HTTP/1.1 299 "), ("299 ", b"HTTP/1.1 299 "), ("404", b"HTTP/1.1 404 Not Found"),
    ("404 caf\u00e9\tclosed", "HTTP/1.1 404 caf\u00e9\tclosed".encode("latin-1")), ("404 \u20ac", b"HTTP/1.1 404 Not Found"),
    ("299 " + "x" * 400, b"HTTP/1.1 299 " + b"x" * 250)])
def test_a_reason_keeps_its_text(server, status, line):
    with server.connect() as c:
        r = c.request("GET", "/reason?" + quote(status))
        assert r.raw_head.split(b"\r\n")[0] == line and r.body == b"body"


@pytest.mark.parametrize("status, line", [("200 a\r\nX: y", b"HTTP/1.1 200 OK"), ("200 a\nb", b"HTTP/1.1 200 OK"),
                                          ("299 \x00", b"HTTP/1.1 299 "), ("299 a\x7f", b"HTTP/1.1 299 ")])
def test_a_reason_cannot_split_the_response(server, status, line):
    with server.connect() as c:
        r = c.request("GET", "/reason?" + quote(status))
        assert r.raw_head.split(b"\r\n")[0] == line and r.get("x") is None


def test_http2_has_no_reason(server):
    with H2(server.connect()) as h:
        answer = h.get("/reason?" + quote("299 Custom Reason"))
        assert answer.status == 299 and answer.body == b"body"


# --- wsgi.errors ---

def records(server, kind):
    """(level, text) of what this request wrote."""
    mark = server.log_mark()
    assert server.get(f"/errors?kind={kind}").status == 200
    found = re.split(r"^\[[-0-9]+ [0-9:]+ \+0000\] \[\d+\] \[(\w+)\] ", server.log()[mark:], flags=re.M)[1:]
    return list(zip(found[::2], found[1::2]))


def test_a_traceback_is_one_record(server):
    [(level, text)] = records(server, "print_exc")
    assert level == "ERROR" and text.startswith("Traceback (most recent call last)") and text.endswith("ValueError: the innermost\n")


def test_a_chain_in_one_piece_is_one_record(server):
    [(level, text)] = records(server, "chain")
    assert level == "ERROR" and "ValueError: the innermost" in text and text.endswith("KeyError: 'the outer'\n")


def test_records_of_logging_have_their_levels(server):
    levels, texts = zip(*records(server, "logging"))
    assert levels == ("INFO", "DEBUG", "WARNING", "ERROR")
    assert "an order" in texts[0] and "no order\nTraceback" in texts[3] and texts[3].endswith("ValueError: the innermost\n")


def test_what_is_written_at_once_is_one_record(server):
    assert records(server, "lines") == [("ERROR", "first\n  second\nthird\n"), ("ERROR", "printed in parts\n")]


def test_text_below_the_level_of_the_log_is_left_out(serve):
    server = serve("apps.wsgi_words:app", {"log": {"loglevel": "warning"}}, allow=["Traceback"])
    assert [level for level, _ in records(server, "logging")] == ["WARNING", "ERROR"]


@NO_GREENLETS
def test_threads_have_names(serve):
    server = serve("apps.wsgi_words:app", {"app": {"threads": 4}})
    assert re.fullmatch(rb"wsgi-\d+", server.get("/errors?kind=none").body)


# --- loggers of other servers ---

@pytest.mark.parametrize("interpreter", [pytest.param("sub", marks=NO_GREENLETS), "main"])
@pytest.mark.parametrize("name", ["gunicorn.error", "uvicorn.error", "uvicorn", "uvicorn.access"])
def test_loggers_of_other_servers_are_answered(serve, name, interpreter):
    server = serve("apps.wsgi_words:app", {"app": {"interpreter": interpreter}}, allow=["Traceback"])
    mark = server.log_mark()
    assert server.get(f"/loggers?name={name}").status == 200
    said = rf"\[INFO\] said by {re.escape(name)}\n.*\[ERROR\] failed\nTraceback.*\nValueError: the innermost\n"
    server.wait_log(said, mark)
    text = server.log()[mark:]
    assert text.count(f"said by {name}") == 1 and "a detail" not in text
    if name in ("gunicorn.error", "uvicorn"):
        assert "[INFO] taken over\n" in text
    assert "WARNING] not ours" not in text, "the root logger is the application's"


# --- a root that is read-only ---

def test_a_slow_reader_holds_no_thread_where_no_file_can_be_made(tmp_path):
    """With one thread and an answer that fits nowhere but into the spool, another request is answered meanwhile."""
    (tmp_path / "large.py").write_text(
        "def app(environ, start_response):\n"
        "    write = start_response('200 OK', [])\n"
        "    if environ['PATH_INFO'] == '/large':\n"
        "        for _ in range(120):\n"
        "            write(b'x' * 65536)\n"
        "    return [b'end']\n")
    config = {"app": {"threads": 2, "pythonpath": tmp_path}, "http": {"write_timeout": "600s", "body_min_rate": "0"}}
    with Server("large:app", config, env={"TMPDIR": "/nonexistent"}) as server:
        with server.connect(rcvbuf=4096) as slow, server.connect(rcvbuf=4096) as slower:
            for c in slow, slower:
                c.send_request("GET", "/large", version="1.0")
                c.read_until(b"\r\n\r\n")
            for _ in range(3):
                assert server.get("/").body == b"end"
            server.wait_log(r"no file in TMPDIR .*No such file or directory.*: it is kept in memory")
            for c in slow, slower:
                c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
                assert c.read_to_end() == b"x" * 65536 * 120 + b"end"
        assert server.log().count("kept in memory") == 1
