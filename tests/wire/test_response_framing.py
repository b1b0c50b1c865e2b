# SPDX-License-Identifier: BSD-3-Clause
"""How an answer is framed and which fields it gets."""

import email.utils
import time

import pytest

HEADS = ["/sized", "/unsized", "/unsized_empty", "/stream", "/stream_sized", "/big?n=100000", "/big?n=100000&sized=1"]


@pytest.fixture(params=[False, True], ids=["tcp", "tls"])
def server(serve, request):
    return serve("answers", tls=request.param)


def without_date(response):
    return [(k.lower(), v) for k, v in response.headers if k.lower() != "date"]


def still_right(conn):
    """The next answer on the connection is whole and alone."""
    r = conn.request("GET", "/sized")
    assert (r.status, r.body) == (200, b"sized body")
    conn.expect_no_more()


@pytest.mark.parametrize("path", HEADS)
def test_answer_to_head_has_the_head_of_get_and_no_body(server, path):
    with server.connect() as c:
        get = c.request("GET", path)
        head = c.request("HEAD", path)
        assert head.status == get.status
        if path not in ("/stream", "/unsized_empty"):  # nothing is known of a body that may have been left out for HEAD
            assert head.get("content-length") == get.get("content-length")
            assert sorted(without_date(head)) == sorted(without_date(get))
        still_right(c)


def test_head_before_a_pipelined_get(server):
    with server.connect() as c:
        c.send_request("HEAD", "/sized").send_request("GET", "/sized")
        head = c.read_response("HEAD")
        assert head.get("content-length") == "10" and head.body == b""
        assert c.read_response().body == b"sized body"
        c.expect_no_more()


@pytest.mark.parametrize("path", ["/unsized_empty", "/stream", "/stream_empty_last", "/many_parts"])
def test_answer_to_head_without_length_has_no_chunk_bytes(server, path):
    with server.connect() as c:
        c.request("HEAD", path)
        still_right(c)


@pytest.mark.parametrize("target", ["/status?code=204", "/status?code=204&n=5", "/status?code=204&length=0"])
def test_204_has_neither_body_nor_framing(server, target):
    with server.connect() as c:
        r = c.request("GET", target)
        assert r.status == 204 and r.reason == "No Content"
        assert r.get("content-length") is None and r.get("transfer-encoding") is None and not r.closes
        still_right(c)


@pytest.mark.parametrize("target", ["/status?code=304", "/status?code=304&n=5", "/status?code=304&n=5&length=5"])
def test_304_sends_no_body(server, target):
    with server.connect() as c:
        r = c.request("GET", target)
        assert r.status == 304 and r.get("transfer-encoding") is None
        assert r.get("content-length") in ((None, "5") if "length" in target else (None,))
        still_right(c)


@pytest.mark.parametrize("code, reason", [(200, "OK"), (201, "Created"), (301, "Moved Permanently"), (404, "Not Found"),
                                          (418, None), (422, None), (500, "Internal Server Error"), (599, None), (999, None)])
def test_status_line(server, code, reason):
    r = server.get(f"/status?code={code}&n=3")
    assert r.status == code and r.version == "1.1" and r.body == b"xxx"
    if reason is not None:
        assert r.reason == reason


@pytest.mark.parametrize("path, body", [("/stream", b"part0,part1,part2,end"), ("/stream_empty_last", b"abcdef"),
                                        ("/many_parts", b"".join(b"%03d\n" % i for i in range(1000)))])
def test_answer_without_length_is_chunked(server, path, body):
    with server.connect() as c:
        r = c.request("GET", path)
        assert r.framing == "chunked" and r.body == body and r.get("content-length") is None
        still_right(c)


def test_an_empty_part_is_no_last_chunk(server):
    with server.connect() as c:
        assert c.request("GET", "/stream_empty_last").body == b"abcdef"
        still_right(c)


@pytest.mark.parametrize("path, body", [("/stream", b"part0,part1,part2,end"), ("/stream_empty_last", b"abcdef")])
def test_http10_without_length_ends_by_close(server, path, body):
    with server.connect() as c:
        r = c.request("GET", path, version="1.0")
        assert r.framing == "close" and r.body == body and r.closes
        c.expect_close()


def test_http10_keep_alive_without_length_closes(server):
    with server.connect() as c:
        r = c.request("GET", "/stream", ["Connection: keep-alive"], version="1.0")
        assert r.framing == "close" and r.body == b"part0,part1,part2,end"
        c.expect_close()


def test_http10_closes_by_default(server):
    with server.connect() as c:
        r = c.request("GET", "/sized", version="1.0")
        assert r.framing == "length" and r.body == b"sized body" and r.closes
        c.expect_close()


def test_http10_without_host_is_served(server):
    with server.connect() as c:
        assert c.request("GET", "/sized", version="1.0", host=None).status == 200
        c.expect_close()


def test_http10_keep_alive_is_kept_or_refused_aloud(server):
    """RFC 9112 9.3: a 1.0 client knows that the connection persists only from Connection: keep-alive."""
    with server.connect() as c:
        r = c.request("GET", "/sized", ["Connection: keep-alive"], version="1.0")
        if "keep-alive" in (r.get("connection") or "").lower():
            assert c.request("GET", "/sized", ["Connection: keep-alive"], version="1.0").body == b"sized body"
        else:
            c.expect_close()


@pytest.mark.parametrize("path, body", [("/unsized", b"whole"), ("/unsized_empty", b""), ("/no_body_key", b"")])
def test_a_whole_body_gets_its_length(server, path, body):
    with server.connect() as c:
        r = c.request("GET", path)
        assert r.framing == "length" and r.get("content-length") == str(len(body)) and r.body == body
        still_right(c)


def test_sized_stream_is_not_chunked(server):
    with server.connect() as c:
        r = c.request("GET", "/stream_sized")
        assert r.framing == "length" and r.body == b"abcdef"
        still_right(c)


@pytest.mark.parametrize("te", ["chunked", "gzip", "identity", "gzip, chunked"])
def test_own_transfer_encoding_is_ignored(server, te):
    with server.connect() as c:
        r = c.request("GET", f"/own_coding?te={te.replace(' ', '%20')}")
        assert r.framing == "chunked" and r.body == b"onetwo" and r.get_all("transfer-encoding") == ["chunked"]
        still_right(c)


def test_own_transfer_encoding_beside_length_is_ignored(server):
    with server.connect() as c:
        r = c.request("GET", "/own_coding_and_length")
        assert r.body == b"one"
        still_right(c)


@pytest.mark.parametrize("path", ["/close", "/close_unsized"])
def test_connection_close_of_the_application_closes(server, path):
    with server.connect() as c:
        r = c.request("GET", path)
        assert r.body == b"ok" and r.closes and r.get_all("connection") == ["close"]
        c.expect_close()


def test_own_keep_alive_does_not_corrupt(server):
    with server.connect() as c:
        assert c.request("GET", "/own_hop_by_hop").body == b"ok"
        still_right(c)


@pytest.mark.parametrize("value", ["close", "Close", "foo, close", "close, foo", "keep-alive, close"])
def test_connection_close_of_the_request_closes(server, value):
    with server.connect() as c:
        r = c.request("GET", "/sized", [f"Connection: {value}"])
        assert r.body == b"sized body" and r.closes
        c.expect_close()


def test_close_in_a_second_connection_field_closes(server):
    with server.connect() as c:
        r = c.request("GET", "/sized", ["Connection: x-kept", "Connection: close"])
        assert r.closes
        c.expect_close()


@pytest.mark.parametrize("path", ["/after_end", "/after_end_chunked"])
def test_messages_after_the_end_are_ignored(server, path):
    with server.connect() as c:
        for _ in range(3):
            assert c.request("GET", path).body == b"ok"
        still_right(c)


def test_returned_value_keeps_the_answer(server):
    with server.connect() as c:
        mark = server.log_mark()
        assert c.request("GET", "/returns_value").body == b"ok"
        server.wait_log(r"\[(WARNING|ERROR)\].*return", since=mark)
        still_right(c)


def test_values_go_out_as_they_are(server):
    r = server.get("/values")
    assert r.get("x-tab") == "a\tb" and r.get("x-space") == "a b  c" and r.get("x-empty") == ""
    assert r.get("x-high").encode("latin-1") == bytes(range(0x80, 0x100))
    assert r.get("x-signs") == "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"


@pytest.mark.parametrize("path", ["/generator", "/tuples"])
def test_headers_from_any_iterable(server, path):
    r = server.get(path)
    assert r.get("x-a") == "1" and r.body == b"ok"
    assert r.get("x-b") == ("2" if path == "/generator" else None)


def test_headers_may_be_left_out(server):
    assert server.get("/no_headers").body == b"ok"


def test_str_headers_are_a_type_error(server):
    assert server.get("/str_header").json() == ["TypeError"] * 3


def test_duplicate_fields_go_out_in_order(server):
    r = server.get("/cookies")
    assert r.get_all("set-cookie") == ["a=1", "b=2"]
    names = [k.lower() for k, _ in r.headers]
    assert names.index("set-cookie") < names.index("x-between") < len(names) - 1 - names[::-1].index("set-cookie")


def test_server_and_date_are_added(server):
    before = int(time.time())
    r = server.get("/sized")
    after = int(time.time())
    assert r.get("server").startswith("tine")
    date = email.utils.parsedate_to_datetime(r.get("date"))
    assert before - 1 <= date.timestamp() <= after and r.get("date") == email.utils.format_datetime(date, usegmt=True)


def test_own_server_and_date_replace_the_defaults(server):
    r = server.get("/own_defaults")
    assert r.get_all("server") == ["mine/1"] and r.get_all("date") == ["Thu, 01 Jan 1970 00:00:00 GMT"]


def test_server_and_date_can_be_switched_off(serve):
    r = serve("answers", {"http": {"server_header": False, "date_header": False}}).get("/sized")
    assert r.get("server") is None and r.get("date") is None and r.body == b"sized body"


@pytest.mark.parametrize("n", [0, 1, 8191, 8192, 65535, 65536, 65537, 1 << 20, 10 << 20])
def test_bodies_of_many_sizes(server, n):
    pattern = (bytes(range(251)) * (n // 251 + 1))[:n]
    with server.connect() as c:
        for sized in ("", "&sized=1"):
            r = c.request("GET", f"/big?n={n}{sized}")
            assert r.framing == "length" and r.body == pattern
        still_right(c)


def test_body_of_other_bytes_types(server):
    """bytearray and memoryview are sent or are a TypeError; never a torn answer."""
    with server.connect() as c:
        r = c.request("GET", "/memory_views")
        assert (r.status, r.body) == (200, b"byteview")
        still_right(c)
