# SPDX-License-Identifier: BSD-3-Clause
"""What the client and the log get when the application is wrong."""

import pytest

from lib.client import Truncated
from lib.server import Server


@pytest.fixture
def server(serve):
    s = serve("broken", allow=["Traceback"])
    yield s
    assert s.get("/ok").body == b"ok"


def expect_500(server, target, logged=None):
    """A plain 500 that tells nothing, a closed connection, and the reason in the log."""
    mark = server.log_mark()
    with server.connect() as c:
        r = c.request("GET", target)
        assert r.status == 500 and r.closes and r.get("content-type").startswith("text/plain")
        assert b"Traceback" not in r.body and b"secret" not in r.body and b".py" not in r.body
        c.expect_close()
    if logged:
        server.wait_log(logged, since=mark)
    return r


def expect_cut(server, target, first=b"4\r\npart\r\n"):
    """One head and the first part, then, when the application went on, the end without a last chunk."""
    mark = server.log_mark()
    with server.connect() as c:
        c.send(f"POST {target} HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\n\r\n")
        head = c.read_until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert c.read_exactly(len(first)) == first
        c.send(b"x")
        c.expect_close()
    return mark


@pytest.mark.parametrize("code", [100, 101, 103, 199])
def test_informational_status_is_an_error(server, code):
    expect_500(server, f"/informational?code={code}", "Traceback")


@pytest.mark.parametrize("code", [0, 99, 1000, -200, 70000])
def test_status_out_of_range_is_an_error(server, code):
    expect_500(server, f"/informational?code={code}", "Traceback")


def test_status_that_is_no_number_is_an_error(server):
    expect_500(server, "/bad_status", "TypeError")


@pytest.mark.parametrize("path", ["/too_long", "/too_long_later"])
def test_body_longer_than_content_length_is_cut(server, path):
    mark = server.log_mark()
    with server.connect() as c:
        r = c.request("GET", path)
        assert r.get("content-length") == "5" and r.body == b"Hello"
        c.expect_close()
    server.wait_log(r"(?i)content-length", since=mark)


def test_body_too_long_raises_in_the_application(server):
    with server.connect() as c:
        assert c.request("GET", "/too_long_later").body == b"Hello"
        c.expect_close()
    assert server.wait_event(path="too_long_later")["error"] is not None


def test_body_shorter_than_content_length_ends_the_connection(server):
    mark = server.log_mark()
    with server.connect() as c:
        with pytest.raises(Truncated):
            c.request("GET", "/too_short")
        assert c.buffer == b""
    server.wait_log(r"(?i)content-length", since=mark)


def test_cut_answer_stops_pipelined_requests(server):
    with server.connect() as c:
        c.send_request("GET", "/too_short").send_request("GET", "/ok")
        assert c.read_to_end().count(b"HTTP/1.1") <= 1


@pytest.mark.parametrize("value", ["abc", "-5", "+5", "5,5", "5%205", "", "99999999999999999999999"])
def test_content_length_that_is_none(server, value):
    """Never on the wire: the client would frame the answer by it."""
    expect_500(server, f"/bad_length?v={value.replace('+', '%2b')}", "ValueError: Content-Length is not a number of at most 18 digits")


def test_two_content_lengths(server):
    expect_500(server, "/two_lengths", "ValueError: two different Content-Length headers")


def test_no_response_is_500(server):
    expect_500(server, "/returns_early", r"\[ERROR\].*respon")


def test_exception_before_start_is_500(server):
    with server.connect() as c:
        mark = server.log_mark()
        host, port = c.name
        r = c.request("GET", "/raises?who=me")
        assert r.status == 500 and r.closes and b"secret" not in r.body and b"Traceback" not in r.body
        c.expect_close()
        server.wait_log("ValueError: secret of the application", since=mark)
        logged = server.log()[mark:]
    assert "Traceback (most recent call last)" in logged and "broken.py" in logged
    assert "GET /raises?who=me" in logged and host in logged and str(port) in logged


def test_chained_exceptions_are_logged(server):
    expect_500(server, "/raises_chained", "KeyError: 'inner'.*RuntimeError: outer")


def test_base_exception_before_start_is_500(server):
    expect_500(server, "/raises_base", "Odd")


def test_error_of_a_head_request_has_no_body(server):
    with server.connect() as c:
        assert c.request("HEAD", "/raises").status == 500
        c.expect_close()


def test_exception_after_start_is_a_500(server):
    """No byte has left: test_held_heads.py has all ways to this."""
    expect_500(server, "/raises_after_start", "ValueError: after start")


def test_exception_in_the_body_cuts_it(server):
    mark = expect_cut(server, "/raises_after_part")
    server.wait_log("ValueError: after part", since=mark)


def test_exception_in_a_sized_body_cuts_it(server):
    mark = expect_cut(server, "/raises_after_sized_part", b"part")
    server.wait_log("ValueError: after sized part", since=mark)


def test_exception_after_the_end_is_logged(server):
    mark = server.log_mark()
    with server.connect() as c:
        assert c.request("GET", "/raises_after_end").body == b"ok"
    server.wait_log("ValueError: after end", since=mark)


def test_return_after_start_is_a_500(server):
    expect_500(server, "/returns_after_start", r"\[ERROR\]")


def test_return_inside_the_body_cuts_it(server):
    mark = expect_cut(server, "/returns_after_part")
    server.wait_log(r"\[ERROR\]", since=mark)


def test_body_before_start_is_an_error(server):
    expect_500(server, "/body_first", "Traceback")


def test_second_start_is_an_error(server):
    """A 500 in the place of the first, of which no byte has left; never two heads."""
    expect_500(server, "/two_starts", "Traceback")


def test_start_inside_the_body_is_an_error(server):
    mark = expect_cut(server, "/start_after_part")
    server.wait_log("Traceback", since=mark)


@pytest.mark.parametrize("octets", ["0d", "0a", "00", "0d0a", "0d0a782d696e6a65637465643a2031", "0d0a0d0a3c68746d6c3e"])
def test_header_value_with_a_line_end_is_refused(server, octets):
    r = expect_500(server, f"/bad_value?hex={octets}", "Traceback")
    assert r.get("x-injected") is None and r.get("x-bad") is None


@pytest.mark.parametrize("name", [b"", b"a b", b"a:", b":a", b"a\r\nb", b"a\tb", b"a\x00", b"\xe9", b"a(b", b"a/b", b" a", b"a "])
def test_header_name_that_is_no_token_is_refused(server, name):
    expect_500(server, f"/bad_name?hex={name.hex()}", "Traceback")


def test_every_token_character_is_allowed(server):
    name = b"X-!#$%&'*+-.^_`|~09az"
    assert server.get(f"/bad_name?hex={name.hex()}").get(name.decode()) == "1"


def test_refusal_can_be_caught(server):
    with server.connect() as c:
        r = c.request("GET", "/bad_field_caught")
        assert r.status == 200 and len(r.json()) == 1
        assert c.request("GET", "/ok").body == b"ok"


@pytest.mark.parametrize("path", ["/unknown_message", "/no_dict", "/no_type", "/no_status", "/odd_headers?kind=int",
                                  "/odd_headers?kind=three", "/odd_headers?kind=one", "/odd_headers?kind=none"])
def test_wrong_messages_are_errors(server, path):
    expect_500(server, path, "Traceback")


def test_str_body_is_an_error(server):
    expect_500(server, "/str_body", "TypeError")


def test_a_failed_import_is_shown_from_the_application_on(tmp_path):
    """Frames of the loader help nobody; those of the application's own imports stay."""
    (tmp_path / "outermost.py").write_text("import importlib\nimportlib.import_module('innermost')\n")
    (tmp_path / "innermost.py").write_text("1 / 0\n")
    server = Server("outermost:app", {"app": {"pythonpath": str(tmp_path)}}, status=4, allow=("Traceback",))
    server.start()
    server.wait_exit()
    said = server.log()
    server.stop()
    shown = said[said.index("Traceback (most recent call last):\n"):]
    assert shown.split("\n")[1:3] == [f'  File "{tmp_path}/outermost.py", line 2, in <module>', "    importlib.import_module('innermost')"]
    assert f'File "{tmp_path}/innermost.py", line 1' in shown and "importlib" in shown and "app_load" not in shown
