"""log.slow_request and app.blocking_warning: what takes long is told while it does, or as soon as it is over."""

import re

from harness import Server


def server(slow, app="hangs", **sections):
    return Server(app, {"log": {"slow_request": slow}, **sections})


def test_a_slow_request_is_told():
    with server("200ms") as s:
        assert s.get("/waits?s=0.5&secret=1").body == b"waited"
        found = s.wait_log(r"\[WARNING\] slow request: (\S+) s \(in the queue 0.000, in the application (\S+), sending (\S+)\), "
                           r'status 200, from 127.0.0.1: "GET /waits\?s=0.5&secret=1"$')
        all_of_it, app, sending = map(float, found.groups())
        assert all_of_it >= 0.5 and app >= 0.4 and abs(all_of_it - app - sending) < 0.002


def test_time_in_the_queue_is_told_apart():
    with server("1s", http={"max_inflight": 1}) as s, s.connect() as a, s.connect() as b:
        a.send_request("GET", "/waits?s=0.8&n=1")
        s.wait_event(waits="1")
        b.send_request("GET", "/waits?s=0.8&n=2")
        assert a.read_response().body == b"waited" and b.read_response().body == b"waited"
        found = s.wait_log(r'slow request: \S+ s \(in the queue (\S+), in the application (\S+), .*: "GET /waits\?s=0.8&n=2"$')
        assert float(found.group(1)) > 0.1 and float(found.group(2)) >= 0.7


def test_nothing_is_told_when_it_is_off():
    with server("0") as s:
        assert s.get("/waits?s=0.5").body == b"waited"
        assert not re.search("slow request", s.log())
