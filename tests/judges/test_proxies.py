# SPDX-License-Identifier: BSD-3-Clause
"""Behind nginx and HAProxy, both sides see the same requests: what the proxy has sent is what the server was asked, in the
same order on each connection, and every answer goes to the request that it is for. Whatever the client sends."""

import re
import socket
from collections import Counter, defaultdict

import pytest

from lib.proxies import SEEN_FORMAT, front, fronts, seen
from lib.waiting import DEADLINE, wait_for
from judges.smuggling import ATTACKS, INNER
from wire.test_corpora import every_case

AFTER = b"GET /after/%d HTTP/1.1\r\nHost: test\r\n\r\n"

# Nobody is believed about the client's address: it tells connections of the proxy apart.
BEHIND = {"http": {"forwarded_allow_ips": "192.0.2.1", "keepalive": "60s", "body_timeout": "1s"},
          "log": {"accesslog": "seen", "access_log_format": SEEN_FORMAT}}


@pytest.fixture
def behind(serve):
    """(server, its access log, from where on it is this test's)"""
    server = serve("behind", BEHIND)
    path = server.dir / "seen"
    return server, path, len(seen(path)) if path.exists() else 0


class Client:
    """Sends everything at once and gets what there is until the proxy closes."""

    def __init__(self, address, raw):
        self.socket = socket.create_connection(address, DEADLINE)
        self.port, self.got = str(self.socket.getsockname()[1]), b""
        try:
            self.socket.sendall(raw)
        except OSError:
            pass

    def finish(self):
        with self.socket:
            try:
                while (data := self.socket.recv(65536)):
                    self.got += data
            except ConnectionResetError:
                pass
        return self


PLAIN = b"GET /plain/%d HTTP/1.1\r\nHost: test\r\n\r\n"
LAST = b"GET /%b HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"


def run(proxy, attacks):
    """Each attack with a marked request behind it, and beside each a client that does no harm."""
    clients = []
    for n, raw in enumerate(attacks):
        clients += [Client(proxy.address, raw + AFTER % n), Client(proxy.address, PLAIN % n + LAST % b"done")]
    for client in clients:
        client.finish()
    return [*clients, Client(proxy.address, LAST % b"end").finish()]


def agree(proxy, path, since, clients):
    """What all three have to say of the same requests; returns how many there were."""
    wait_for(lambda: {c.port for c in clients} <= {s.port for s in proxy.sent()}, what="a line for each connection")
    wait_for(lambda: any(one.line.startswith("GET /end ") for one in seen(path)[since:]), what="the last request")
    sent = [one for one in proxy.sent() if one.id != "-"]
    known, got = {one.id: one for one in sent}, seen(path)[since:]
    named, refused = [one for one in got if one.id != "-"], [one for one in got if one.id == "-"]
    ids = {one.id for one in named}
    assert len(known) == len(sent) and all(one.tries == 1 for one in sent), "an id that came twice, or a request sent twice"
    assert len(ids) == len(named), "requests that came twice"
    assert not [one for one in named if one.id not in known], "requests that the proxy does not know"
    wrong = [(one, known[one.id]) for one in named if one.line.rpartition(" ")[0] != line_of(known[one.id])]
    assert not wrong, f"other requests than were sent: {wrong}"
    assert not [one for one in sent if one.id_back != "-" and one.id not in ids], "answers to what was not asked"
    assert not [one for one in sent if one.id_back not in ("-", one.id)], "answers to other requests"
    # What was refused by its head has no name here, and none at all if it has no line of HTTP/1.
    extra = (Counter(one.line.rpartition(" ")[0] for one in refused if one.line != "-") -
             Counter(line_of(one) for one in sent if one.id not in ids))
    assert not extra, f"refused, and not sent: {extra}"
    assert all(int(one.status) >= 400 for one in refused), f"answered without a name: {refused}"
    assert order(named) == order([one for one in sent if one.conn != "-"]), "another order on a connection"
    heard(sent, clients)
    return len(named)


def line_of(sent):
    return f"{sent.method} {sent.target}"


def order(requests):
    """Ids by connection."""
    found = defaultdict(list)
    for one in requests:
        if one.conn != "-":
            found[one.conn].append(one.id)
    return found


def heard(sent, clients):
    """Clients got the answers to what the proxy understood of them, in that order. A proxy that sends a body on before it
    has all of it may still find it broken, and then says 400 itself, though there is an answer already."""
    ports = defaultdict(list)
    for one in sent:
        if one.id_back != "-":
            ports[one.port].append(one)
    for client in clients:
        ids = [ident.decode() for ident in re.findall(rb"(?i)\r\nx-id: ([^\r]*)\r\n", client.got)]
        must = [one.id for one in ports[client.port] if one.status != "400" or one.id in ids]
        assert not client.got.startswith(b"HTTP/") or ids == must, (client.got, ports[client.port])


@pytest.mark.parametrize("name", fronts())
@pytest.mark.parametrize("what", ["corpora", "smuggling"])
def test_both_sides_agree(behind, name, what):
    server, path, since = behind
    attacks = [raw for _, raw in every_case()] if what == "corpora" else ATTACKS
    with front(name, server, patience="1s", keepalive="1s", tunnel="1s") as proxy:
        clients = run(proxy, attacks)
        n = agree(proxy, path, since, clients)
    assert n > 2 * len(attacks), "those that do no harm were served, at least"


def test_the_attacks_are_what_they_say():
    assert len(ATTACKS) > 150 and len(set(ATTACKS)) == len(ATTACKS) and sum(INNER in raw for raw in ATTACKS) > 100
