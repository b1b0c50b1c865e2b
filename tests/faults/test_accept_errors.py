# SPDX-License-Identifier: BSD-3-Clause
"""accept(2) fails for as long as the kernel is short of something: whoever is there is served, nothing spins, and who waited is
served as soon as it is over. Needs a server that was built with --enable-fault-injection."""

import errno
import os
import time

import pytest

from faults.faults import ACCEPT, EACH, Page, built_in
from lib.client import Conn
from lib.waiting import wait_for
from lib.watched import Watched

pytestmark = pytest.mark.skipif(not built_in(), reason="not built with --enable-fault-injection")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    page = Page(tmp_path_factory.mktemp("faults"))
    yield page
    page.close()


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS], ids=errno.errorcode.get)
def test_accept_fails_for_a_while(page, error, workers):
    """With two workers the other one takes them all meanwhile."""
    with Watched("hello", {"server": {"workers": workers}}, env=page.env) as s, s.connect() as c:
        s.wait_notified(lambda text: f"STATUS={workers} of {workers}" in text)
        assert c.request("GET", "/").status == 200
        worker = s.workers()[0]
        page.arm(ACCEPT, worker, EACH, error)
        others = [Conn(s.address).send_request("GET", "/") for _ in range(20)]
        began = time.monotonic()
        if workers == 1:
            s.wait_log(rf"\[ERROR\] .*: cannot accept: {os.strerror(error)}; trying again")
            wait_for(lambda: s.figure("tine_accept_pauses_total") >= 4, what="some looks")
            assert c.request("GET", "/").status == 200
            calls, _ = page.disarm()
            assert calls <= 5 * (time.monotonic() - began + 1)
        for other in others:
            assert other.read_response().status == 200
            other.close()
        page.disarm()
        assert s.log().count("cannot accept") <= 1 + (time.monotonic() - began) / 10
        assert s.get("/").status == 200


@pytest.mark.parametrize("error", [errno.ECONNABORTED, errno.EPROTO, errno.ENETDOWN, errno.EHOSTUNREACH], ids=errno.errorcode.get)
def test_errors_of_the_connection_are_no_shortage(page, error):
    """accept(2) on Linux hands out errors of the new connection: the next one is taken at once."""
    with Watched("hello", env=page.env) as s:
        worker, = s.workers()
        page.arm(ACCEPT, worker, 1, error)
        assert s.get("/").status == 200
        _, fired = page.disarm()
        assert fired and "cannot accept" not in s.log() and s.figure("tine_accept_pauses_total") == 0
