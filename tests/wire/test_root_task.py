# SPDX-License-Identifier: BSD-3-Clause
"""The loop has a root task, as asyncio.run() gives it one: anyio keeps its threads from request to request and ends them with
it, and what cancels it does not end the worker. The applications are in apps/root_task.py."""

import pytest

from lib.build import app_has
from lib.server import Server
from lib.waiting import wait_for

pytestmark = pytest.mark.skipif(not (app_has("anyio") and app_has("fastapi")), reason="applications find no anyio, or no FastAPI")

PLACES = {"sub": {"interpreter": "sub"}, "main": {"interpreter": "main"}, "mold": {"preload_app": True}}


@pytest.fixture(params=PLACES)
def place(request):
    return PLACES[request.param]


@pytest.fixture
def server(serve, place):
    return serve("root_task", {"app": place})


def get(server, path, n):
    with server.connect() as c:
        answers = [c.request("GET", path) for _ in range(n)]
    assert {a.status for a in answers} == {200}, server.log()[-3000:]
    return {a.body for a in answers}


@pytest.mark.parametrize("path, n", [("/to_thread", 100), ("/endpoint", 25), ("/streamed", 25), ("/fastapi/def", 25)])
def test_requests_one_after_the_other_share_a_thread_and_its_connection(place, path, n):
    with Server("root_task", {"app": place}) as s:
        if path.startswith("/fastapi") and place == PLACES["sub"] and s.get(path).status == 404:
            pytest.skip("FastAPI's pydantic refuses a sub-interpreter here")
        assert get(s, path, n) == {b"1"}


def test_wsgi_in_asgi(place):
    with Server("root_task", {"app": place}) as s:
        assert get(s, "/wsgi/", 50) <= {b"1", b"2", b"3"}  # an answer is complete a moment before its thread is free


def test_requests_at_once_have_threads_of_their_own(place):
    with Server("root_task", {"app": place}) as s:
        assert get(s, "/several", 5) == {b"3"}
        assert get(s, "/several", 5) == {b"3"}
        assert get(s, "/to_thread", 20) <= {b"1", b"2", b"3"}


def test_the_root_task_is_one_of_all_tasks(server):
    assert get(server, "/root", 2) == {b"tine:True:False"}


def test_no_other_task_is_left_of_requests(place):
    with Server("root_task", {"app": {**place, "lifespan": "off"}}) as s:
        get(s, "/to_thread", 3)
        assert get(s, "/tasks", 2) == {b"tine"}


def has_root_again(server):
    return get(server, "/root", 1) == {b"tine:True:False"}


@pytest.mark.parametrize("path, expected", [("/cancel_all", b"tine:True"), ("/cancel_until_none", b"none")])
def test_cancelling_all_tasks_leaves_a_worker_that_serves(place, path, expected):
    with Server("root_task", {"app": {**place, "lifespan": "off"}}) as s:
        for _ in range(2):
            get(s, "/to_thread", 2)
            assert get(s, path, 1) == {expected}
            get(s, "/to_thread", 2)
            wait_for(lambda: has_root_again(s), what="another root task")
        assert len(get(s, "/to_thread", 10)) == 1


def test_a_root_task_that_is_cancelled_before_its_first_step(place):
    with Server("apps.root_task:cancelled_at_once", {"app": place}) as s:
        s.wait_event(cancelled=[True])
        wait_for(lambda: has_root_again(s), what="another root task")


def ending(server):
    """Whether the root task was cancelled, and the threads left when Python ends."""
    threads = wait_for(lambda: [e["threads"] for e in server.events if "threads" in e], what="a report from atexit")
    return [e["cancelled"] for e in server.events if "root" in e] + threads


def test_at_the_end_the_threads_end_with_it_after_the_lifespan(place):
    with Server("root_task", {"app": place}) as s:
        assert s.wait_event(startup="1")
        get(s, "/several", 1)
        s.signal(15)
        assert s.wait_exit() == 0
        assert [e["roots"] for e in s.events if "shutdown" in e] == [1]
        assert ending(s) == [False, []]
        steps = [key for e in s.events for key in ("shutdown", "root", "threads") if key in e]
        assert steps == ["shutdown", "root", "threads"]


def test_a_shutdown_that_cancels_all_tasks(place):
    with Server("apps.root_task:cancels_at_the_end", {"app": place}) as s:
        get(s, "/to_thread", 2)
        s.signal(15)
        assert s.wait_exit() == 0
        assert ending(s) == [True, []]


def test_a_loop_that_is_stopped_ends_after_its_requests(place):
    with Server("root_task", {"app": place}, respawn=True, allow=("[CRITICAL]",)) as s:
        old, = s.workers()
        get(s, "/several", 1)
        assert s.get("/stop").status == 200
        wait_for(lambda: old not in s.workers(), what="the end of the worker")
        assert ending(s) == [False, []]
        assert get(s, "/to_thread", 10) == {b"1"}
