#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What attacks on HTTP/2 cost a server: each of tests/h2attacks.py from one client at full speed, for some seconds, beside
other servers. Measures, passes no verdict.

    tests/bench/h2_attacks.py --tine ./tine [--venv DIR] [--tls] [--seconds 2] [--only NAME,...] [--peers tine,nginx,...]

For each: bytes that the attacker sent, how long the attack lasted and how it ended (open: it never did), CPU seconds of the
server, and how much its memory (PSS) had grown at the most. `after` is a request of somebody else, in milliseconds, while
the attack goes on.
"""
import argparse
import os
import socket
import ssl
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]

from lib import h2attacks
import over_h2

PATHS = {"/small": "/10k", "/large": "/1m", "/echo": "/10k"}  # there everywhere, nginx's files included


class Watch(threading.Thread):
    """The most memory while it runs, and how long others had to wait for an answer."""

    def __init__(self, peer, tls):
        super().__init__(daemon=True)
        self.peer, self.tls, self.most, self.slowest, self.failed = peer, tls, 0, 0.0, 0
        self.over = threading.Event()

    def run(self):
        while not self.over.wait(0.05):
            self.most = max(self.most, self.peer.pss_kb())
            begin = time.monotonic()
            if probe(self.peer.port, self.tls):
                self.slowest = max(self.slowest, time.monotonic() - begin)
            else:
                self.failed += 1

    def stop(self):
        self.over.set()
        self.join(20)


def probe(port, tls):
    """One GET on a connection of its own. False: no answer within 10 s."""
    p = h2attacks.Peer(tls, PATHS)
    try:
        with socket.create_connection(("127.0.0.1", port), 10) as s:
            if tls:
                context = ssl.create_default_context()
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                context.set_alpn_protocols(["h2"])
                s = context.wrap_socket(s)
            s.sendall(h2attacks.PREFACE + h2attacks.frame(h2attacks.SETTINGS) + p.get("/small"))
            got = b""
            while len(got) < 10240:
                data = s.recv(65536)
                if not data:
                    return False
                got += data
            return True
    except OSError:
        return False


def measure(peer, attack, seconds, tls):
    watch = Watch(peer, tls)
    before, cpu = peer.pss_kb(), peer.cpu_seconds()
    watch.start()
    try:
        attacker = h2attacks.Attacker(("127.0.0.1", peer.port), attack, secure=tls, paths=PATHS)
        try:
            outcome = attacker.run(seconds)
        finally:
            attacker.close()
    finally:
        watch.stop()
    cpu = peer.cpu_seconds() - cpu
    return "%9.2f MB in %5.2f s  %-10s cpu %6.2f s  memory %+7.1f MB  after %6.0f ms%s" % (
        outcome.sent / 1e6, outcome.seconds, outcome.how, cpu, max(watch.most - before, 0) / 1024, watch.slowest * 1000,
        "  %d probes failed" % watch.failed if watch.failed else "")


def main():
    o = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    o.add_argument("--tine", default="./tine")
    o.add_argument("--venv", help="with hypercorn, granian")
    o.add_argument("--tls", action="store_true", help="over TLS instead of with prior knowledge")
    o.add_argument("--seconds", type=float, default=2.0)
    o.add_argument("--only", help="names of attacks")
    o.add_argument("--peers", help="names of servers, or how they begin")
    options = o.parse_args()
    chosen = [a for a in h2attacks.ATTACKS if not options.only or a.name in options.only.split(",")]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, open(os.path.join(folder, "log"), "w") as log:
        for peer in over_h2.all_peers(os.path.abspath(options.tine), options.venv, folder, options.tls):
            if peer.name == over_h2.FLOOR or (options.peers and not peer.name.startswith(tuple(options.peers.split(",")))):
                continue
            if not peer.start(log):
                print("%s does not start" % peer.name)
                continue
            for attack in chosen:
                try:
                    line = measure(peer, attack, options.seconds, options.tls)
                except OSError as e:
                    line = str(e)
                print("%-16s %-26s %s" % (peer.name, attack.name, line), flush=True)
                if not peer.alive() or not probe(peer.port, options.tls):
                    print("%-16s %-26s the server is gone or serves nobody any more" % (peer.name, attack.name), flush=True)
                    peer.restart(log)
            peer.stop()


if __name__ == "__main__":
    main()
