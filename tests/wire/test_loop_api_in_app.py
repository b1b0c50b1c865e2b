# SPDX-License-Identifier: BSD-3-Clause
"""The event loop as applications use it, from inside a request, in the sub-interpreter and in the main one."""

import shutil
import subprocess

import pytest

USES = ["subprocess_exec", "subprocess_shell", "subprocess_kill", "many_subprocesses", "to_thread", "executor", "threadsafe",
        "timers", "timeouts", "task_group", "current_task", "cancel_self", "context", "tcp", "transports", "unix", "tls",
        "datagrams", "sock_calls", "readers", "dns", "async_generator", "queue_and_locks", "exception_handler",
        "run_in_thread", "parallel"]


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", folder / "key.pem",
                    "-out", folder / "cert.pem"], check=True, capture_output=True)
    return str(folder)


@pytest.fixture(params=["sub", "main"])
def server(request, serve, certificate):
    return serve("loopapi", {"app": {"interpreter": request.param}}, env={"TINE_TEST_TLS": certificate})


@pytest.mark.parametrize("use", USES)
def test_loop_api(server, use):
    r = server.get(f"/{use}")
    assert (r.status, r.body) == (200, b"ok"), server.log()[-3000:]


def test_all_at_once(server):
    conns = [server.connect().send_request("GET", f"/{use}") for use in USES if use not in ("exception_handler", "context")]
    try:
        assert [c.read_response().body for c in conns] == [b"ok"] * len(conns), server.log()[-3000:]
    finally:
        for c in conns:
            c.close()


def test_loop_of_a_request(server):
    shown = server.get("/loop_type").json()
    assert shown["running"] and not shown["closed"] and not shown["debug"] and shown["abstract"] and shown["same"]
    assert shown["argv"] == ["tine"]


def test_contexts_do_not_leak_between_requests(server):
    with server.connect() as c:
        for _ in range(5):
            assert c.request("GET", "/context").body == b"ok", server.log()[-3000:]


def test_blocked_loop_serves_later(server):
    conns = [server.connect().send_request("GET", "/blocked") for _ in range(3)]
    assert [c.read_response().body for c in conns] == [b"ok"] * 3
    for c in conns:
        c.close()


def test_clients_go_while_the_application_waits(server):
    for use in USES:
        with server.connect() as c:
            c.send_request("GET", f"/{use}")
            c.reset()
    assert server.get("/timers").body == b"ok"
