# SPDX-License-Identifier: BSD-3-Clause
"""Two corpora of tricky requests: nothing that must be refused is accepted, and every answer is the same, byte for byte,
in whatever pieces the request comes, over TCP, over TLS, over a UNIX socket and behind the PROXY protocol.

A case is refused when no answer below 400 comes before the connection ends. Each case is ended by a half-close, so
that no time-out has to be waited for: EOF inside a head or body is the refusal of an incomplete request.
"""

import base64
import functools
import json
import os
from pathlib import Path

import pytest

from lib.client import Conn, Malformed, Truncated
from lib.feeding import (Dribbled, Plain, Records, RecordsTogether, Unix, at_random, by_bytes, feed, in_two,
                         in_two_at_random, in_two_even, in_two_odd, resumable, settler, whole, without_date)
from lib.server import Server

CORPORA = Path(__file__).parent / "corpora"

# With this in the environment every offset is tried on every kind of connection, and not only on TCP.
THOROUGH = "TINE_TEST_THOROUGH" in os.environ
CUTS = in_two if THOROUGH else in_two_at_random

# Refused only with the limits that the corpus's own server had: they are judged with these.
LIMITS = {"invalid/006": {"limit_request_line": 4094}, "invalid/010": {"limit_request_fields": 1},
          "invalid/011": {"limit_request_fields": 1}, "invalid/012": {"limit_request_fields": 1}}

# Legal, and refused on purpose, as the RFC allows.
STRICTER = {"ver-1.2": "RFC 9110 2.5: 505 for a minor version that is not known",
            "ck-size-zeros": "RFC 9112 7.1: the number of digits of a chunk size is bounded",
            "valid/005": "RFC 9112 3.2: a target has no fragment", "valid/009": "RFC 9112 3.2: a target has no fragment",
            "valid/025": "RFC 9112 6.1: one coding, chunked", "valid/029": "RFC 9112 6.1: one coding, chunked",
            "valid/030": "RFC 9112 6.1: one coding, chunked", "valid/027": "RFC 3986 2: a byte that no URI can have",
            "valid/040": "the same bytes as invalid/040: Transfer_Encoding looks like a framing field",
            "valid/031": "RFC 9112 3.2: HTTP/1.1 without Host", "valid/099": "the body is shorter than its length", "valid/rfc9112_target_absolute_userinfo_01":
            "RFC 9110 4.2.4: user information is an error"}

# Nothing here is about time, nor about whom fields that a proxy would send are believed.
PATIENT = {"http": {"header_timeout": "300s", "body_timeout": "300s", "keepalive": "300s", "forwarded_allow_ips": "*, unix"}}


@functools.cache
def cases(name):
    """(id, bytes, verdict); settings that only the corpus's own server has leave the verdict open."""
    found = []
    for case in json.loads((CORPORA / f"{name}.json").read_text())["cases"]:
        verdict = case.get("rfc") or case["expect"]
        if case["id"] in LIMITS or case["id"] in STRICTER:
            verdict = "may"
        if verdict == "accept" and "needs_cfg" in case.get("tags", ()):
            verdict = "may"
        found.append((case["id"], base64.b64decode(case["raw"]), verdict))
    return found


@functools.cache
def every_case():
    return [(case, raw) for name in ("http1_tricky", "gunicorn_requests") for case, raw, _ in cases(name)]


def judge(server, raw):
    """(statuses of the final answers up to the end of the connection, all bytes of them)"""
    with server.connect() as c:
        try:
            c.send(raw).half_close()
        except OSError:
            pass
        everything = c.buffer = c.read_to_end()
        found = []
        while c.buffer:
            try:
                found.append(c.read_response().status)
            except (Truncated, Malformed) as e:
                raise AssertionError(f"after {found}: {e}") from None
            if found[-1] == 101:  # frames follow
                break
        return found, without_date(everything)


@pytest.fixture
def server(serve):
    return serve("seen", PATIENT)


@pytest.fixture(scope="module")
def right(pool):
    """What each case is answered with over TCP, sent whole; test_zero_lenient tells whether that is right."""
    server = pool.get("seen", PATIENT)
    return {case: judge(server, raw)[1] for case, raw in every_case()}


@pytest.mark.parametrize("name", ["http1_tricky", "gunicorn_requests"])
def test_zero_lenient(server, name):
    lenient, refused = [], []
    for case, raw, want in cases(name):
        found, _ = judge(server, raw)
        if want == "reject" and any(status < 400 for status in found):
            lenient.append((case, found))
        if want == "accept" and (not found or found[0] >= 400 and found[0] not in (404, 405, 501)):
            refused.append((case, found))
    assert not lenient, f"{len(lenient)} lenient: {lenient}"
    assert not refused, f"{len(refused)} refused: {refused}"
    assert server.get("/").status == 200


@pytest.mark.parametrize("case", LIMITS)
def test_refused_by_limits(serve, case):
    server = serve("seen", {"http": dict(LIMITS[case], header_timeout="60s")})
    raw = next(raw for found, raw, _ in cases("gunicorn_requests") if found == case)
    assert judge(server, raw)[0][:1] in ([414], [431])


def agree(server, dial, cut, right, settle_over=None, longest=1 << 20):
    """Every case, cut so, is answered in every way of cutting as it was when sent whole."""
    jobs = [(case, pieces) for case, raw in every_case() if len(raw) <= longest for pieces in cut(raw)]
    settle, conn = settler(settle_over or server)
    with conn:
        answers = feed(dial, [pieces for _, pieces in jobs], settle)
    assert len(answers) == len(jobs) > 200
    different = [(case, [len(p) for p in pieces][:20], got[:300], right[case][:300])
                 for (case, pieces), got in zip(jobs, answers) if got != right[case]]
    assert not different, f"{len(different)} of {len(jobs)} differ: {different[:5]}"


@pytest.mark.parametrize("cut", [in_two, at_random])
def test_any_split_over_tcp(server, right, cut):
    agree(server, functools.partial(Plain, server.address), cut, right)


def test_byte_by_byte_over_tcp(server, right):
    agree(server, functools.partial(Plain, server.address), by_bytes, right, longest=3000)


@pytest.mark.parametrize("kind, cut, longest", [
    (Records, whole, 1 << 20), (Records, at_random, 1 << 20), (Records, by_bytes, 3000 if THOROUGH else 100),
    (RecordsTogether, by_bytes, 3000), *(THOROUGH and [
        (RecordsTogether, at_random, 1 << 20), (Dribbled, whole, 1000), (Records, in_two_odd, 1 << 20),
        (RecordsTogether, in_two_even, 1 << 20)] or [])])
def test_any_split_into_records_of_tls(serve, right, kind, cut, longest):
    server = serve("seen", PATIENT, tls=True)
    options = resumable(server.address)
    agree(server, functools.partial(kind, server.address, **options), cut, right, longest=longest)


@pytest.fixture(scope="module")
def unix(tmp_path_factory):
    path = tmp_path_factory.mktemp("unix") / "s"
    with Server("seen", {"server": {"bind": f"unix:{path}"}, **PATIENT}) as server:
        server.path = str(path)
        yield server


class OverUnix:
    """What settler() asks for."""

    def __init__(self, path):
        self.path = path

    def connect(self):
        return Conn(self.path)


@pytest.mark.parametrize("cut", [whole, at_random, CUTS, by_bytes])
def test_any_split_over_a_unix_socket(unix, right, cut):
    agree(unix, functools.partial(Unix, unix.path), cut, right, settle_over=OverUnix(unix.path),
          longest=3000 if cut is by_bytes else 1 << 20)


V1 = b"PROXY TCP4 192.0.2.1 198.51.100.1 1111 443\r\n"
V2 = (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes([192, 0, 2, 1, 198, 51, 100, 1]) + b"\x04\x57\x01\xbb")


@pytest.mark.parametrize("first", [V1, V2], ids=["v1", "v2"])
@pytest.mark.parametrize("cut", [whole, at_random, CUTS])
def test_any_split_behind_the_proxy_protocol(serve, right, first, cut):
    behind = serve("seen", PATIENT, flags=" proxy")
    agree(behind, functools.partial(Plain, behind.address, first=first), cut, right, settle_over=Introduced(behind))


class Introduced:
    def __init__(self, server):
        self.server = server

    def connect(self):
        return self.server.connect().send(V1)
