# SPDX-License-Identifier: BSD-3-Clause
"""The metrics listener of the master: what it says, to whom, and that it says it whatever the workers do."""

import json
import os
import re
import signal
import socket
from http.client import HTTPConnection

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_prometheus

from lib.build import ROOT
from lib.client import Conn
from lib.server import Server
from lib.sockets import listening_socket
from lib.waiting import wait_for
from lib.ws import TEXT, WS

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class Watched(Server):
    """A server whose metrics listener has a socket from us as well."""

    def __init__(self, app="hangs", config=None, **options):
        super().__init__(app, config, **options)
        self.watch = listening_socket()
        self.sockets.append(self.watch)
        self.config.setdefault("metrics", {}).setdefault("bind", f"fd://{self.watch.fileno()}")

    def see(self, path, method="GET", headers=()):
        """One request to the listener; returns the answer."""
        with Conn(self.watch.getsockname()) as c:
            return c.request(method, path, headers)

    def samples(self):
        """{"name{labels}": value} of /metrics, judged by prometheus_client."""
        answer = self.see("/metrics", headers=[("Accept", "application/openmetrics-text")])
        assert answer.status == 200 and answer.get("Content-Type") == OPENMETRICS
        found = {}
        for family in parse_openmetrics(answer.body.decode()):
            for s in family.samples:
                labels = ",".join(f"{k}={v}" for k, v in sorted(s.labels.items()))
                found[f"{s.name}{{{labels}}}" if labels else s.name] = s.value
        return found

    def state(self):
        return json.loads(self.see("/status?format=json").body)


def test_counts_are_those_of_the_requests():
    with Watched("answers", {"server": {"workers": 2}}) as s:
        before = s.samples()
        assert before["tine_requests_total{status=2xx}"] == 0
        for path in ("/status?code=200", "/status?code=404", "/status?code=404", "/status?code=503"):
            s.get(path)
        with s.connect() as c:
            c.send(b"BAD\r\n\r\n")
            assert c.read_response().status == 400
        # A request is counted when its last byte was sent.
        after = wait_for(lambda: (m := s.samples())["tine_request_duration_seconds_count"] == 5 and m, what="five requests")
        assert after["tine_requests_total{status=2xx}"] == 1 and after["tine_requests_total{status=4xx}"] == 3
        assert after["tine_requests_total{status=5xx}"] == 1 and after["tine_requests_total{status=none}"] == 0
        assert after["tine_responses_total{code=404}"] == 2 and after["tine_responses_total{code=400}"] == 1
        assert after["tine_request_methods_total{method=GET}"] == 4
        assert after["tine_request_duration_seconds_bucket{le=+Inf}"] == 5
        assert 0 < after["tine_request_duration_seconds_sum"]
        assert after["tine_connections_accepted_total"] == 5
        assert after["tine_received_bytes_total"] > 100 and after["tine_sent_bytes_total"] > 300
        assert after["tine_workers{state=ready}"] <= 2 and after["tine_workers_wanted"] == 2
        assert after["tine_ready"] == 1 and after["tine_state{state=running}"] == 1
        assert after["tine_worker_resident_memory_bytes{worker=1}"] > 1 << 20


def test_both_formats_are_valid_and_agree():
    with Watched() as s:
        s.get("/pid")
        wait_for(lambda: s.samples()["tine_requests_total{status=2xx}"] == 1, what="the request's count")
        plain = s.see("/metrics")
        assert plain.get("Content-Type") == "text/plain; version=0.0.4; charset=utf-8"
        old = {x.name for family in parse_prometheus(plain.body.decode()) for x in family.samples}
        new = s.see("/metrics", headers=[("Accept", f"{OPENMETRICS},text/plain;q=0.5")])
        assert {x.name for family in parse_openmetrics(new.body.decode()) for x in family.samples} == old
        assert len(old) > 35


def test_each_metric_is_in_the_manual():
    manual = (ROOT / "man" / "tine.8").read_text()
    with Watched(config={"log": {"slow_request": "1ms"}}) as s:
        s.get("/waits?s=0.1")
        wait_for(lambda: s.samples()["tine_slow_requests_total"] == 1, what="the slow request")
        families = list(parse_openmetrics(s.see("/metrics", headers=[("Accept", OPENMETRICS)]).body.decode()))
        assert [x.name for x in families if x.name not in re.findall(r"tine_[a-z0-9_]+", manual)] == []
        assert s.samples()["tine_route_slow_requests_total{route=GET /waits}"] == 1


def test_totals_outlive_workers():
    with Watched(respawn=True) as s:
        for round in range(1, 4):
            pid = int(s.get("/pid").body)
            wait_for(lambda: s.samples()["tine_requests_total{status=2xx}"] == round, what="the request's count")
            since = s.log_mark()
            os.kill(pid, signal.SIGKILL)
            s.wait_log(r"worker 1 \(pid \d+\) is ready", since)
            m = s.samples()
            assert m["tine_requests_total{status=2xx}"] == round
            assert m["tine_request_duration_seconds_count"] == round
            assert m["tine_worker_failures_total{reason=crash}"] == round
            assert m["tine_worker_starts_total"] == round + 1 and m["tine_connections_open"] == 0


def test_websockets_are_counted():
    with Watched("websockets") as s:
        with WS(s.connect(), "/echo") as c:
            c.text("one").expect(TEXT, "one")
            c.text("two").expect(TEXT, "two")
            m = s.samples()
            assert m["tine_websockets_open"] == 1 and m["tine_websockets_opened_total"] == 1
            assert m["tine_websocket_messages_total{direction=in}"] == 2
            assert m["tine_websocket_messages_total{direction=out}"] == 2
        wait_for(lambda: s.samples()["tine_websockets_open"] == 0, what="the WebSocket's end")


def test_handshakes_and_streams_are_counted():
    from lib import certs
    from lib.h2 import H2
    with Watched("answers", tls={}) as s:
        context = certs.context()
        with s.connect(context=context) as c:
            assert c.request("GET", "/sized").status == 200
            session = c.session
        with s.connect(context=context, session=session) as c:
            assert c.reused
            c.request("GET", "/sized")
        with Conn(s.address) as c:
            c.send(b"\x16\x03\x01\x00\x05wrong")
            c.read_to_end()
        with H2(s.connect(context=certs.context(alpn=("h2",)))) as h:
            h.get("/sized")
            h.reset(h.request("POST", "/sized", end=False))
            h.ping()
            stream = h.request("POST", "/sized", end=False)
            h.until(lambda: h.answers[stream].headers)
            h.ping()
            m = wait_for(lambda: (m := s.samples())["tine_http2_streams_total"] == 3 and m, what="three streams")
            assert m["tine_http2_streams_open"] == 1 and m["tine_http2_connections_total"] == 1
            assert m["tine_http2_streams_reset_total"] == 1
        m = wait_for(lambda: (m := s.samples())["tine_http2_streams_open"] == 0 and m, what="the end of the streams")
        assert m["tine_tls_handshakes_total{result=ok}"] == 3 and m["tine_tls_resumptions_total"] == 1
        assert m["tine_tls_handshakes_total{result=failed}"] == 1


def test_it_answers_while_every_worker_hangs():
    with Watched(config={"server": {"workers": 2, "timeout": "2s"}}, respawn=True) as s:
        hanging = {}
        while len(hanging) < 2:
            c = s.connect()
            c.send_request("GET", "/native?<script>alert(1)</script>")
            hanging[s.wait_event(hangs="native")["pid"]] = c
        assert s.see("/healthz").body == b"alive\n"
        page = s.see("/status").body.decode()
        assert "GET /native?&#60;script&#62;alert(1)" in page and "<script>alert" not in page
        assert s.samples()["tine_requests_in_flight"] == 2
        wait_for(lambda: s.see("/readyz").status == 503, what="hung workers to make it unready")
        wait_for(lambda: s.see("/readyz").status == 200, what="their successors")
        assert s.samples()["tine_worker_failures_total{reason=hang}"] == 2
        for c in hanging.values():
            c.close()


def test_readiness():
    with Watched("hello", {"server": {"drain_delay": "1h"}}) as s:
        assert (s.see("/readyz").status, s.see("/readyz").body) == (200, b"ready\n")
        s.signal(signal.SIGTERM)
        answer = wait_for(lambda: (a := s.see("/readyz")).status == 503 and a, what="drain_delay")
        assert answer.body == b"stopping\n" and s.see("/healthz").status == 200
        assert s.get("/").status == 200
        s.signal_until(signal.SIGTERM, "second stop request")


def test_paused_is_not_ready():
    with Watched("hello", respawn=True) as s:
        s.signal(signal.SIGWINCH)
        answer = wait_for(lambda: (a := s.see("/readyz")).status == 503 and a, what="the pause")
        assert answer.body.startswith(b"paused")
        s.signal(signal.SIGHUP)
        wait_for(lambda: s.see("/readyz").status == 200, what="the new workers")


def test_a_start_is_not_ready(tmp_path):
    with socket.socket(socket.AF_UNIX) as gate:
        gate.bind(str(tmp_path / "gate"))
        gate.listen()
        gate.settimeout(20)
        s = Watched("apps.lifespan:gated", env={"TINE_TEST_GATE": str(tmp_path / "gate")})
        try:
            s.start()
            startup, _ = gate.accept()
            answer = s.see("/readyz")
            assert (answer.status, answer.body) == (503, b"starting\n")
            assert s.see("/healthz").status == 200
            startup.send(b"x")
            s.wait_ready()
            assert s.see("/readyz").status == 200
            s.signal(signal.SIGTERM)
            shutdown, _ = gate.accept()
            assert s.see("/readyz").body == b"stopping\n" and s.see("/healthz").status == 200
            shutdown.send(b"x")
        finally:
            s.stop()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_only_get_and_head(method):
    with Watched("hello") as s:
        answer = s.see("/metrics", method)
        assert answer.status == 405 and answer.get("Allow") == "GET, HEAD"


def test_head_and_unknown_paths():
    with Watched("hello") as s:
        c = HTTPConnection(*s.watch.getsockname())
        for path in ("/metrics", "/status", "/healthz", "/readyz"):
            c.request("HEAD", path)
            answer = c.getresponse()
            assert answer.status == 200 and int(answer.getheader("Content-Length")) > 4 and answer.read() == b""
        c.close()
        for path in ("/", "/metricsx", "/status/", "/../etc/passwd", "/metrics/../x"):
            assert s.see(path).status == 404


def test_status_as_json():
    with Watched(config={"server": {"workers": 2}}) as s:
        s.get("/pid")
        wait_for(lambda: s.state()["totals"]["requests"] == 1 and s.state()["history"], what="a sample")
        state = s.state()
        assert state["ready"] is True and state["not_ready_because"] is None and state["responses"] == {"200": 1}
        assert state["latency"]["count"] == 1 and state["latency"]["p99"] >= state["latency"]["p50"] > 0
        assert [w["worker"] for w in state["workers"]] == [1, 2]
        by_accept = s.see("/status", headers=[("Accept", "application/json")])
        assert by_accept.get("Content-Type") == "application/json" and json.loads(by_accept.body)["pid"] == s.pid


def test_the_page_needs_nothing_else():
    with Watched() as s:
        answer = s.see("/status")
        page, policy = answer.body.decode(), answer.get("Content-Security-Policy")
        nonce = re.search(r"script-src 'nonce-([0-9a-f]{32})'", policy).group(1)
        assert policy.startswith("default-src 'none'; ")
        assert re.findall(r"<(?:script|style)[^>]*>", page) == [f'<style nonce="{nonce}">', f'<script nonce="{nonce}">']
        assert not re.search(r"<(?:link|img|iframe|object|embed)|https?:|@import|url\(| on\w+=| style=", page)
        assert '<noscript><meta http-equiv="refresh"' in page and page.count("<svg") == 4
        part = s.see("/status?part").body.decode()
        assert part.startswith("<h1>") and "<script" not in part and "<style" not in part
        assert s.see("/status").get("Content-Security-Policy") != policy


def test_several_binds_and_a_reload():
    with Watched("hello", respawn=True) as s:
        path = s.dir / "watch.sock"
        s.write_config({"metrics": {"bind": [f"unix:{path}"]}})
        s.signal(signal.SIGHUP)
        s.wait_log("reloaded: generation 2")

        def ask_unix():
            with socket.socket(socket.AF_UNIX) as c:
                c.connect(str(path))
                c.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
                return b"".join(iter(lambda: c.recv(4096), b""))
        assert ask_unix().endswith(b"ready\n")
        s.write_config({"metrics": {"bind": [f"unix:{path}", "127.0.0.1:0"]}})
        since = s.log_mark()
        s.signal(signal.SIGHUP)
        s.wait_log("reloaded: generation 3", since)
        assert ask_unix().endswith(b"ready\n")
        s.config["metrics"].clear()
        s.write_config()
        since = s.log_mark()
        s.signal(signal.SIGHUP)
        s.wait_log("reloaded: generation 4", since)
        assert not path.exists()


def test_descriptors_of_clients_that_left_are_heard_again():
    """Those of new workers' channels have the same numbers."""
    with Watched("builtin:hello", respawn=True) as s:
        for generation in range(2, 8):
            clients = [socket.create_connection(s.watch.getsockname()) for _ in range(6)]
            for c in clients:
                c.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
            for c in clients:
                assert b"".join(iter(lambda: c.recv(4096), b"")).endswith(b"ready\n")
                c.close()
            since = s.log_mark()
            s.signal(signal.SIGHUP)
            s.wait_log(f"reloaded: generation {generation}", since)


def test_a_bind_that_is_taken_fails_the_reload():
    with Watched("hello", allow=("[CRITICAL]",)) as s, listening_socket() as taken:
        s.write_config({"metrics": {"bind": [f"127.0.0.1:{taken.getsockname()[1]}"]}})
        s.signal(signal.SIGHUP)
        s.wait_log("reload failed: old workers keep serving")
        assert s.see("/readyz").status == 200
        assert s.samples()["tine_reloads_total{outcome=failed}"] == 1


def test_many_silent_clients_keep_nobody_away():
    with Watched("hello") as s:
        silent = [socket.create_connection(s.watch.getsockname()) for _ in range(200)]
        for c in silent[::2]:
            c.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n")
        assert s.see("/healthz").status == 200
        for c in silent:
            c.close()


def test_nonsense_is_refused():
    with Watched("hello") as s:
        for nonsense in (b"\0\xff\r\n\r\n", b"GET /metrics HTTP/1.1\r\nX: " + b"a" * 70000 + b"\r\n\r\n",
                         b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n", b"GET " + b"/a" * 40000):
            with socket.create_connection(s.watch.getsockname()) as c:
                c.settimeout(s.deadline)
                try:
                    c.sendall(nonsense)
                    c.shutdown(socket.SHUT_WR)
                    answer = b"".join(iter(lambda: c.recv(4096), b""))
                    assert answer == b"" or re.match(rb"HTTP/1.[01] 4\d\d ", answer)
                except OSError:  # it closed at once
                    pass
        assert s.see("/healthz").status == 200


def test_statsd():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(20)
        with Server("answers", {"metrics": {"statsd": f"127.0.0.1:{receiver.getsockname()[1]}"}}) as s:
            for path in ("/status?code=200", "/status?code=200", "/status?code=404"):
                s.get(path)
            counted = {}
            while counted.get("tine.requests|c", 0) < 3:
                for line in receiver.recv(2048).decode().split("\n"):
                    name, value, kind = re.fullmatch(r"(tine\.[a-z_.0-9]+):([0-9.]+)\|(c|g|ms)(?:\|@[0-9.]+)?", line).groups()
                    counted[f"{name}|{kind}"] = counted.get(f"{name}|{kind}", 0) + (1 if kind == "ms" else float(value))
            assert counted["tine.requests|c"] == 3 and counted["tine.request.status.200|c"] == 2
            assert counted["tine.request.status.404|c"] == 1 and counted["tine.request.duration|ms"] == 3
            assert counted["tine.workers|g"] >= 1


def test_statsd_with_prefix_and_tags():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(20)
        metrics = {"statsd": f"127.0.0.1:{receiver.getsockname()[1]}", "statsd_prefix": "shop.web", "statsd_tags": "env:prod,eu"}
        with Server("answers", {"metrics": metrics}):
            for line in receiver.recv(2048).decode().split("\n"):
                assert re.fullmatch(r"shop\.web\.tine\.[a-z_.0-9]+:[0-9.]+\|(c|g|ms)(\|@[0-9.]+)?\|#env:prod,eu", line), line


@pytest.mark.parametrize("key, value, why", [
    ("statsd_prefix", "a b", "without blanks"),
    ("statsd_tags", "a|b", "without blanks"),
    ("statsd_tags", "a" * 257, "at most 256 bytes"),
    ("bind", "127.0.0.1:9 tls", "no flag is possible here"),
    ("bind", "systemd", "sockets of systemd are for server.bind"),
    ("statsd", "localhost", "expected host:port"),
    ("statsd", "localhost:99999", "expected host:port"),
])
def test_wrong_settings(key, value, why):
    s = Server("hello", {"metrics": {key: value}}, status=1)
    s.start()
    s.wait_exit()
    assert why in s.log()
    s.stop()


def outcomes(server):
    found = server.samples()
    return [found[f"tine_admission_total{{outcome={name}}}"] for name in ("admitted", "queued", "refused", "timed_out", "too_large")]


def test_what_becomes_of_requests_at_the_limits():
    """Of all applications together, as the limits are."""
    http = {"max_inflight": 1, "max_queue": 1, "limit_request_body": 10}
    with Watched("apps.mounted:default", {"http": http, "mount:/one": {"module": "apps.mounted:one"}}) as s:
        with s.connect() as holds, s.connect() as waits:
            holds.send_request("GET", "/one/hold")
            s.wait_event(app="one", step="hold")
            waits.send_request("GET", "/x")
            wait_for(lambda: outcomes(s) == [1, 1, 0, 0, 0], what="a request in the queue")
            assert s.get("/one").status == 503
            holds.reset()  # and its place is free
            assert waits.read_response().status == 200
        with s.connect() as c:
            assert c.request("POST", "/x", body=b"x" * 11).status == 413
        wait_for(lambda: outcomes(s) == [2, 1, 1, 0, 1], what="the last count")


def test_requests_that_take_too_long_are_counted():
    with Watched("apps.mounted:default", {"http": {"request_timeout": "100ms"}}) as s:
        assert s.get("/hold").status == 504
        wait_for(lambda: outcomes(s) == [1, 0, 0, 1, 0], what="the count")
