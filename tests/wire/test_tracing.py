# SPDX-License-Identifier: BSD-3-Clause
"""http.request_id and http.traceparent: made where they are missing, kept where they may be, the same for the application, the client and the
logs; over HTTP/1, HTTP/2 and WebSockets, ASGI and WSGI alike. And the metrics' exemplars."""

import json
import re

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from lib.client import Conn
from lib.h2 import H2
from lib.server import Server
from lib.sockets import listening_socket
from lib.waiting import wait_for
from lib.ws import WS, engines

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
BEHIND = [("x-last", "is there")]  # fields may be removed before it
BAD_TRACES = ["", "00-" + "0" * 32 + "-00f067aa0ba902b7-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE.upper()}-00f067aa0ba902b7-01", PARENT + "-more",
              "ff" + PARENT[2:], PARENT[:-1], f"01-{TRACE}-00f067aa0ba902b7-01x", f"00-{TRACE}-00f067aa0ba902b7-0g", PARENT.replace("-", "_"),
              f"{PARENT}, {PARENT}"]


class Traced(Server):
    def __init__(self, http, log, **more):
        config = {"http": http, "log": {"accesslog": log, "access_log_format": "json path=%(U)s id=%(request_id)s trace=%(trace_id)s"},
                  "mount:/w": {"module": "apps.traced:wsgi", "threads": 2}, "mount:/inline": {"module": "apps.traced:wsgi", "threads": 1}, **more}
        super().__init__("apps.traced:app", config, flags="h2c", allow=("Traceback",))
        self.access = log
        self.watch = listening_socket()
        self.sockets.append(self.watch)
        self.config["metrics"] = {"bind": f"fd://{self.watch.fileno()}"}

    def logged(self, **members):
        def find():
            lines = [json.loads(line) for line in self.access.read_text().splitlines()] if self.access.exists() else []
            return [line for line in lines if members.items() <= line.items()]
        return wait_for(find, what=f"a line with {members} in the access log")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Traced({"request_id": True, "traceparent": "sampled", "health_path": "/health"}, tmp_path_factory.mktemp("on") / "access.log") as s:
        yield s


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    """No peer is trusted."""
    http = {"request_id": True, "traceparent": "unsampled", "forwarded_allow_ips": "192.0.2.1"}
    with Traced(http, tmp_path_factory.mktemp("strict") / "access.log", websocket={"engine": engines()[-1]}) as s:
        yield s


def over_h1(server, path, fields=()):
    with server.connect() as c:
        answer = c.request("GET", path, [*fields, *BEHIND])
        return answer.get("x-request-id"), answer.body


def over_h2(server, path, fields=()):
    with H2(server.connect()) as h:
        answer = h.answer(h.request("GET", path, [*fields, *BEHIND]))
        return answer.get("x-request-id"), answer.body


def over_websocket(server, path, fields=()):
    with server.connect() as c, WS(c, path, [f"{k}: {v}" for k, v in [*fields, *BEHIND]]) as ws:
        return ws.response.get("x-request-id"), ws.read_text()


WAYS = [(over_h1, "/"), (over_h2, "/"), (over_websocket, "/ws"), (over_h1, "/w/"), (over_h2, "/w/"), (over_h1, "/inline/")]
ways = pytest.mark.parametrize("ask, path", WAYS, ids=["h1", "h2", "websocket", "wsgi", "wsgi-h2", "wsgi-inline"])


def seen(ask, server, path, fields=()):
    """(id that the client got, id and traceparent that the application got, tracestate)"""
    told, body = ask(server, path, fields)
    found = json.loads(body)
    assert found["x-last"] == ["is there"] and len(found["x-request-id"]) == 1 and len(found["traceparent"]) == 1, found
    assert told == found["x-request-id"][0]
    return told, found["traceparent"][0], found["tracestate"]


@ways
def test_both_are_made(server, ask, path):
    first, second = (seen(ask, server, path) for _ in range(2))
    for told, trace, state in (first, second):
        assert UUID.fullmatch(told) and re.fullmatch(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-01", trace) and state == []
    assert first[0] != second[0] and first[1] != second[1]
    server.logged(id=first[0], trace=first[1][3:35], path=path)


@ways
def test_what_a_proxy_has_given_is_kept(server, ask, path):
    fields = [("x-request-id", "proxy:1/a_b.C=+@-9"), ("traceparent", PARENT), ("tracestate", "a=1,b=2")]
    assert seen(ask, server, path, fields) == ("proxy:1/a_b.C=+@-9", PARENT, ["a=1,b=2"])
    server.logged(id="proxy:1/a_b.C=+@-9", trace=TRACE, path=path)


@ways
def test_an_id_of_somebody_else_is_replaced_but_not_a_trace(strict, ask, path):
    told, trace, state = seen(ask, strict, path, [("x-request-id", "mine"), ("traceparent", PARENT), ("tracestate", "a=1")])
    assert UUID.fullmatch(told) and trace == PARENT and state == ["a=1"]
    assert seen(ask, strict, path)[1].endswith("-00")


@pytest.mark.parametrize("bad", ["", "a" * 129, "a b", "a\"b", "a\\b", "a;b", "a\u00e4", "a,b"])
def test_ids_that_could_mean_something_to_a_log_are_replaced(server, bad):
    assert UUID.fullmatch(seen(over_h1, server, "/", [("X-Request-ID", bad)])[0])


def test_two_ids_are_none(server):
    assert UUID.fullmatch(seen(over_h1, server, "/", [("x-request-id", "a"), ("accept", "*/*"), ("X-Request-Id", "b")])[0])
    assert seen(over_h1, server, "/", [("X-REQUEST-ID", "a" * 128)])[0] == "a" * 128


@pytest.mark.parametrize("bad", BAD_TRACES)
def test_a_trace_that_is_none_is_replaced_with_its_state(server, bad):
    _, trace, state = seen(over_h1, server, "/", [("traceparent", bad), ("tracestate", "a=1")])
    assert trace != bad and re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", trace) and TRACE not in trace and state == []


def test_a_trace_of_a_later_version_is_kept(server):
    later = f"01-{TRACE}-00f067aa0ba902b7-01-more"
    assert seen(over_h1, server, "/", [("traceparent", later)])[1] == later


def test_bodies_and_pipelined_requests(server):
    """The head moves to make room: what follows it must not."""
    with server.connect() as c:
        c.send_request("POST", "/", BEHIND, body=b"x" * 100000)
        c.send_request("GET", "/own")
        c.send_request("GET", "/w/", BEHIND)
        a, b, d = (c.read_response() for _ in range(3))
    assert UUID.fullmatch(a.get("x-request-id")) and UUID.fullmatch(d.get("x-request-id"))
    assert b.get_all("x-request-id") == ["of-the-application"], "what the application says is what the client gets"
    assert json.loads(a.body)["x-last"] == json.loads(d.body)["x-last"] == ["is there"]


def test_failures_are_logged_with_the_id(server):
    for path in ("/fails", "/w/fails", "/inline/fails"):
        mark = server.log_mark()
        told, _ = over_h1(server, path)
        assert UUID.fullmatch(told)
        server.wait_log(rf'Exception in \w+ application: "GET {path} HTTP/1.1" from 127.0.0.1:\d+, request {told}\n(.*\n)*.*ValueError: on purpose', mark)


def test_answers_of_the_server_itself(server):
    with server.connect() as c:
        assert UUID.fullmatch(c.request("GET", "/health").get("x-request-id"))
        answer = c.request("GET", "/", ["Host: a b"])
        assert answer.status == 400 and answer.get("x-request-id") is None, "its head was refused before it got one"


def exemplars(server, accept):
    with Conn(server.watch.getsockname()) as c:
        text = c.request("GET", "/metrics", [("Accept", accept)]).body.decode()
    if "openmetrics" not in accept:
        return text
    return [s for family in parse_openmetrics(text) for s in family.samples if s.exemplar]


def test_exemplars(server):
    seen(over_h1, server, "/", [("traceparent", PARENT.replace("4736", "aaaa"))])
    wanted = TRACE.replace("4736", "aaaa")

    def find():
        return [s for s in exemplars(server, "application/openmetrics-text") if s.exemplar.labels == {"trace_id": wanted}]
    found, = wait_for(find, what="an exemplar")
    assert found.name == "tine_request_duration_seconds_bucket" and found.exemplar.value <= float(found.labels["le"]) and found.exemplar.timestamp
    assert wanted not in exemplars(server, "text/plain"), "the older format has none"


def test_without_them_nothing_is_added_or_removed(tmp_path):
    with Traced({}, tmp_path / "access.log") as s:
        told, body = over_h1(s, "/", [("x-request-id", "a b"), ("traceparent", "bad"), ("tracestate", "a=1")])
        found = json.loads(body)
        assert told is None and found["x-request-id"] == ["a b"] and found["traceparent"] == ["bad"] and found["tracestate"] == ["a=1"]
        assert json.loads(over_h1(s, "/")[1])["x-request-id"] == []
        over_h1(s, "/", [("traceparent", PARENT)])
        s.logged(id=None, trace=TRACE, path="/")
        s.logged(id=None, trace=None, path="/")
        assert exemplars(s, "application/openmetrics-text") == []


def test_slow_requests_and_plain_json(tmp_path):
    log = tmp_path / "access.log"
    with Server("hangs", {"http": {"request_id": True, "traceparent": "sampled", "request_timeout": "1s"},
                          "log": {"slow_request": "1ms", "accesslog": log, "access_log_format": "json"}}) as s:
        told = s.get("/waits?s=0.05", headers=[("traceparent", PARENT)]).get("x-request-id")
        s.wait_log(rf'slow request: .*"GET /waits\?s=0.05", request {told}$')
        line = wait_for(lambda: log.exists() and json.loads(log.read_text().splitlines()[0]), what="a line")
        assert line["request_id"] == told and line["trace_id"] == TRACE
        late = s.get("/waits?s=600")
        assert late.status == 504
        s.wait_log(rf'longer than http.request_timeout: "GET /waits\?s=600", request {late.get("x-request-id")}$')
