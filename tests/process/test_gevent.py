# SPDX-License-Identifier: BSD-3-Clause
"""app.loop = gevent: WSGI requests as greenlets, with Debian's gevent, or with that of TINE_TEST_VENV (.ci/gates/gevent)."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from lib.build import binary, under_asan
from lib.server import Server
from lib.waiting import wait_for
from lib.watched import Watched

VENV = os.environ.get("TINE_TEST_VENV")
if not VENV and subprocess.run(["/usr/bin/python3", "-c", "import gevent"], capture_output=True).returncode:
    pytest.skip("gevent is not there", allow_module_level=True)
if under_asan():
    pytest.skip("AddressSanitizer does not follow greenlets, which move stacks away and back", allow_module_level=True)
CASES = "apps.gevent_cases:app"


def settings(**sections):
    app = {"loop": "gevent", **({"venv": VENV} if VENV else {}), **sections.pop("app", {})}
    return {"app": app, **sections}


def server(module=CASES, *, allow=("Traceback",), respawn=False, **sections):
    return Server(module, settings(**sections), allow=allow, respawn=respawn)


@pytest.fixture(scope="module")
def shared():
    with server(http={"head_delay": "50ms"}, control={"socket": "control.sock"}, app={"blocking_warning": "150ms"}) as s:
        yield s


def tinectl(s, *args):
    program = Path(binary()).parent / "tinectl"
    return subprocess.run([program, "-s", s.dir / "control.sock", *args], capture_output=True, text=True, check=True).stdout


def refusal(module=CASES, **sections):
    """What tine says of a configuration that it does not serve, and its status."""
    s = server(module, **sections)
    try:
        s.start()
        status = s.process.wait(timeout=s.deadline)
        return status, s.log()
    finally:
        s.kill()
        s.cleanup()


# --- who runs a request ---

def test_a_request_is_a_greenlet_of_the_hub_in_the_main_thread(shared):
    with shared.connect() as c:
        first, second = c.request("GET", "/who?a").json(), c.request("GET", "/who?b").json()
        host, port = c.name
    assert first["patched"] and first["time"] and first["parent"] and first["multithread"] is True
    assert first["kind"] in ("gevent._gevent_cgreenlet.Greenlet", "gevent.greenlet.Greenlet")
    assert first["request"] == f"\"GET /who?a HTTP/1.1\" from {host}:{port}" and first["draining"] in ("gevent._gevent_cevent", "gevent.event")
    assert second["request"].startswith("\"GET /who?b ") and first["thread"] == second["thread"]
    assert "gevent" in tinectl(shared, "status")


def test_many_wait_at_once_and_a_lock_of_threading_lets_others_run(shared):
    waiting = [shared.connect() for _ in range(200)]
    for c in waiting:
        c.send_request("GET", "/wait?gate=many")
    wait_for(lambda: len([e for e in shared.events if e.get("waiting") == "many"]) == 200, what="200 requests in the application")
    assert shared.get("/open?gate=many").body == b"opened"
    for c in waiting:
        assert c.read_response().body == b"open"
        c.close()
    with shared.connect() as a, shared.connect() as b:
        a.send_request("GET", "/lock?gate=a")
        shared.wait_event(locked="a")
        b.send_request("GET", "/lock?gate=b")
        shared.wait_event(locking="b")
        assert not shared.has_event(locked="b")
        shared.get("/open?gate=b")
        shared.get("/open?gate=a")
        assert a.read_response().body == b.read_response().body == b"unlocked"


def test_pieces_leave_while_the_application_waits(shared):
    with shared.connect() as c:
        c.send_request("GET", "/stream?gate=stream")
        c.read_until(b"first\n")
        shared.get("/open?gate=stream")
        c.read_until(b"second\n")
        c.read_until(b"0\r\n\r\n")
    with shared.connect() as c:
        c.send_request("GET", "/silent?gate=silent")
        c.read_until(b"\r\n\r\n")  # http.head_delay
        shared.get("/open?gate=silent")
        c.read_until(b"late")


def test_bodies_are_read_while_they_come(shared):
    data = b"x" * 300000
    with shared.connect() as c:
        c.send(b"POST /body HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 300000\r\n\r\n")
        c.read_until(b"100 Continue\r\n\r\n")
        c.send(data[:100000])
        shared.wait_event(read=100000)
        assert shared.get("/who").status == 200
        c.send(data[100000:])
        assert c.read_response().body == b"300000"
    with shared.connect() as c:
        c.send(b"POST /shared_body HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 300000\r\n\r\n")
        c.read_until(b"100 Continue\r\n\r\n")
        c.send(data)
        assert c.read_response().body == b"300000"
    with shared.connect() as c:
        c.send(b"POST /in_thread HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 300000\r\n\r\n")
        c.read_until(b"100 Continue\r\n\r\n")
        c.send(data)
        assert c.read_response().body == b"300000"


def test_a_client_that_goes_wakes_what_reads_its_body(shared):
    with shared.connect() as c:
        c.send(b"POST /body?gone HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n")
        c.read_until(b"100 Continue\r\n\r\n")
        c.reset()
    running = r'"in_flight":\s*0|inflight 0'
    wait_for(lambda: shared.get("/who").status == 200 and not re.search("body.gone.*Traceback", shared.log(), re.S), what=running)


def test_one_that_reads_nothing_stops_its_greenlet_alone():
    with server(app={"spool": "1m"}, http={"write_timeout": "1h", "body_min_rate": "0"}) as s:
        with s.connect(rcvbuf=4096) as c:
            c.send_request("GET", "/written?n=400")
            s.wait_event(wrote=16)
            pid = s.get("/who").json()["pid"]
            seen = wait_for(lambda: settled(s), what="a writer that waits")
            assert 16 <= seen < 300  # 1 MB in the file, and what the sockets take
            response = c.read_response()
            assert response.body == b"w" * 65536 * 400 + b"end"
            assert s.get("/who").json()["pid"] == pid


def settled(s):
    """The last piece that was written, when it is the last for a while of the server's own."""
    last = max(e["wrote"] for e in s.events if "wrote" in e)
    for _ in range(5):
        s.get("/sleep?s=0.02")
    return last if last == max(e["wrote"] for e in s.events if "wrote" in e) else None


def test_pipelined_requests_are_answered_in_order(shared):
    with shared.connect() as c:
        c.send(b"".join(b"GET /sleep?s=%s HTTP/1.1\r\nHost: test\r\n\r\nGET /who?%d HTTP/1.1\r\nHost: test\r\n\r\n" % (s, n)
                        for n, s in enumerate((b"0.05", b"0", b"0.01"))))
        for n in range(3):
            assert c.read_response().body == b"slept"
            assert f"/who?{n} " in c.read_response().json()["request"]


# --- errors ---

def test_errors_of_the_hub_are_in_the_log_with_their_request(shared):
    with shared.connect() as c:
        c.request("GET", "/spawn?x=1")
        host, port = c.name
        shared.get("/open?gate=spawn")
        shared.wait_log(rf'\[ERROR\] Exception in a greenlet of "GET /spawn\?x=1 HTTP/1.1" from {host}:{port} \(<Greenlet')
        shared.wait_log(r"ValueError: in the background\\x00")
    mark = shared.log_mark()
    shared.get("/callback")
    shared.wait_log(r"\[ERROR\] Exception in a greenlet or callback of gevent", mark)
    shared.wait_log("ZeroDivisionError", mark)
    mark = shared.log_mark()
    assert shared.get("/boom").status == 500
    shared.wait_log(r'Exception in WSGI application: "GET /boom HTTP/1.1" from ', mark)


def test_what_blocks_the_hub_is_told_with_its_stack(shared):
    for path in ("block", "block_later"):
        mark = shared.log_mark()
        assert shared.get(f"/{path}?s=0.6").body == b"blocked"
        shared.wait_log(r"the event loop was held for \d+ ms by ", mark)
        shared.wait_log(r'gevent_cases.py", line \d+ in block', mark)


def test_stacks_show_the_greenlets_of_requests(shared):
    with shared.connect() as c:
        c.send_request("GET", "/wait?gate=stacks")
        shared.wait_event(waiting="stacks")
        text = tinectl(shared, "stacks")
        assert '"GET /wait?gate=stacks HTTP/1.1" from ' in text and re.search(r'gevent_cases.py", line \d+ in wait', text)
        shared.get("/open?gate=stacks")
        assert c.read_response().body == b"open"


# --- limits and ends ---

def test_no_more_greenlets_than_threads_says():
    with server(app={"threads": 2}) as s, s.connect() as a, s.connect() as b, s.connect() as c:
        a.send_request("GET", "/wait?gate=a")
        s.wait_event(waiting="a")
        b.send_request("GET", "/sleep?s=0.2&n=b")
        s.wait_event(sleeping="b")
        c.send_request("GET", "/sleep?s=0&n=c")
        assert not s.has_event(sleeping="c")
        assert b.read_response().body == b"slept"  # c could not begin before
        assert c.read_response().body == b"slept"
        s.wait_event(sleeping="c")
        b.request("GET", "/open?gate=a")
        assert a.read_response().body == b"open"


def test_a_request_that_takes_too_long_is_ended():
    with server(http={"request_timeout": "300ms"}) as s:
        assert s.get("/killed?too-long").status == 504
        s.wait_event(killed="too-long")
        s.wait_log(r'\[ERROR\] a request is ended by GreenletExit after \d+\.\d s \(http.request_timeout\): "GET /killed\?too-long ')
        assert s.get("/who").status == 200
        assert "Traceback" not in s.log()


def in_application(s, path, **event):
    c = s.connect().send_request("GET", path)
    s.wait_event(**event)
    return c


def test_a_greenlet_past_the_limit_is_ended_and_reported():
    """The worker stays: nothing is lost with a greenlet."""
    with Watched(CASES, settings(app={"request_timeout": "300ms"}), allow=["Traceback"]) as s:
        [pid] = s.workers()
        with in_application(s, "/killed?limit", waiting="killed") as c:
            answer = c.read_response()
            assert answer.status == 504 and answer.closes
            host, port = c.name
        s.wait_event(killed="limit")
        s.wait_log(r"\[ERROR\] a request is ended by GreenletExit after \d+\.\d s \(app.request_timeout\): "
                   rf'"GET /killed\?limit HTTP/1.1" from {host}:{port}; its stack:\n(  .*\n)+?  File ".*gevent_cases.py", line \d+, in killed\n')
        with in_application(s, "/stream?gate=limit", streaming="limit") as c:
            assert b"first" in c.read_to_end() and not c.buffer.endswith(b"0\r\n\r\n")
        left = in_application(s, "/killed?left", waiting="killed")
        left.close()
        s.wait_event(killed="left")  # also when nobody waits for the answer
        assert s.get("/sleep?s=0.01").body == b"slept"
        assert s.figure("tine_wsgi_requests_overdue_total") == 3 and s.figure("tine_wsgi_threads_lost") == 0
        assert s.workers() == [pid] and s.log().count("is ended by GreenletExit") == 3 and "Traceback" not in s.log()


def test_a_greenlet_that_will_not_end_is_lost():
    """Another stands in for it, the worker is replaced, and nobody waits for it."""
    with Watched(CASES, settings(app={"request_timeout": "300ms", "threads": 2}, server={"graceful_timeout": "1h"}), respawn=True) as s:
        [pid] = s.workers()
        with in_application(s, "/stubborn", waiting="stubborn") as c:
            assert c.read_response().status == 504
        s.wait_event(stubborn="still here")
        s.wait_log(r"\[ERROR\] a greenlet is lost to a request that goes on though it was ended after \d+\.\d s \(app.request_timeout\): "
                   r'"GET /stubborn HTTP/1.1" from .*; its stack:\n(  .*\n)+?  File ".*gevent_cases.py", line \d+, in stubborn\n')
        s.wait_log(rf'worker 1 \(pid {pid}\) is to be replaced: it has lost a greenlet \(app.request_timeout\) to "GET /stubborn')
        wait_for(lambda: s.workers() and pid not in s.workers(), what="the end of the worker, which waits for no lost greenlet")
        assert s.get("/who").json()["pid"] != pid and "killing it" not in s.log()


def test_what_waits_for_its_turn_has_no_age():
    with server(app={"request_timeout": "400ms", "threads": 1}) as s:
        held = [in_application(s, "/killed?first", waiting="killed")]
        held += [s.connect().send_request("GET", f"/sleep?s=0.25&n={n}") for n in range(3)]
        assert [c.read_response().status for c in held] == [504, 200, 200, 200]
        for c in held:
            c.close()


def test_a_stop_lets_requests_finish_and_ends_the_rest():
    with server(server={"graceful_timeout": "3s", "shutdown_timeout": "1s"}) as s:
        with s.connect() as a, s.connect() as b, s.connect() as c, s.connect() as d:
            a.send_request("GET", "/draining")
            s.wait_event(waiting="draining")
            b.send_request("GET", "/sleep?s=0.5&n=1")
            s.wait_event(sleeping="1")
            c.send_request("GET", "/killed?stop")
            s.wait_event(waiting="killed")
            d.send_request("GET", "/stubborn")
            s.wait_event(waiting="stubborn")
            s.signal(signal.SIGTERM)
            assert a.read_response().body == b"drained" and b.read_response().body == b"slept"
            s.wait_event(killed="stop")
            s.wait_event(stubborn="still here")
            c.read_to_end()
        assert s.wait_exit() == 0
        assert 'Request still in the application: "GET /killed?stop HTTP/1.1" from' in s.log()


@pytest.mark.parametrize("preload", [False, True])
def test_a_reload_loses_nothing_and_a_worker_is_recycled(preload):
    with server(app={"preload_app": preload}, server={"max_requests": 20}, respawn=True) as s:
        before = s.get("/who").json()
        assert before["patched"] and before["parent"]
        with s.connect() as c:
            c.send_request("GET", "/sleep?s=0.5&n=1")
            s.wait_event(sleeping="1")
            s.signal_until(signal.SIGHUP, "reloaded: generation")
            assert c.read_response().body == b"slept"
        pids = set()

        def recycled():
            pids.add(s.get("/who").json()["pid"])
            return len(pids) > 1
        assert before["pid"] not in pids
        wait_for(recycled, what="another worker")


def test_an_exit_replaces_the_worker():
    with server(respawn=True) as s:
        pid = s.get("/who").json()["pid"]
        assert s.get("/leave").status == 500
        s.wait_log(r'SystemExit in "GET /leave HTTP/1.1" from ')
        wait_for(lambda: s.get("/who").json()["pid"] != pid, what="another worker")


def test_children_of_a_greenlet(shared):
    with shared.connect() as c:
        c.send_request("GET", "/sleep?s=0.02&n=beside")  # wakes in the child as well
        assert shared.get("/fork").body == b"7"
        assert c.read_response().body == b"slept"
        c.expect_no_more()
    shared.wait_event(child="slept")
    assert shared.get("/fork_returns").body == b"1"
    assert shared.get("/run").body == b"42\n"


# --- the configuration ---

def test_without_patches():
    with server(app={"monkey_patch": False}) as s:
        seen = s.get("/who").json()
        assert not seen["patched"] and not seen["time"] and seen["parent"]
        assert s.get("/sleep?s=0.01").body == b"slept"


def test_what_gevent_cannot_run_is_refused():
    status, log = refusal("apps.gevent_cases:asgi")
    assert status == 4 and "app.loop = gevent runs WSGI applications alone, and this one is ASGI" in log
    status, log = refusal(app={"interface": "asgi"})
    assert status == 1 and "interface: ASGI applications are coroutines, which loop = gevent does not run" in log
    status, log = refusal(app={"interpreter": "sub"})
    assert status == 1 and "gevent runs only in the main interpreter" in log
    status, log = refusal(app={"loop": "greenlet"})
    assert status == 1 and "greenlet switches stacks and has no event loop; gevent is the loop for greenlets" in log
    status, log = refusal(app={"loop": "tine", "threads": 2000})
    assert status == 1 and "expected a number from 1 to 1024, got 2000 (more are possible with loop = gevent)" in log


def test_a_missing_package_is_named(tmp_path):
    (tmp_path / "gevent").mkdir()
    (tmp_path / "gevent" / "__init__.py").write_text("raise ImportError('not in this environment')\n")
    status, log = refusal(app={"pythonpath": [str(tmp_path), str(Path(__file__).parents[1])]})
    assert status == 3, log
    assert re.search(r"app.loop = gevent needs the package gevent \(>=22.10,<27 were tried\) in the application's environment, and "
                     r"importing it failed: not in this environment", log)


def test_more_greenlets_than_threads_can_be_had():
    shown = subprocess.run([binary(), "-T", "-o", "app.loop=gevent", "-o", "app.threads=30000", CASES], capture_output=True, text=True,
                           check=True).stdout
    assert re.search(r"^threads = 30000 ", shown, re.M)
