# SPDX-License-Identifier: BSD-3-Clause
"""What a peer can say, everywhere it can say it, and whether any of it gets out of its place: one table of texts, one of
places, and rules that every line of the error log and of each form of the access log keeps. Errors in particular may quote
what a client sent: an application's exception is a block whose later lines never begin as a record does."""

import base64
import json
import re
import socket
import ssl
import struct
import unicodedata
from urllib.parse import quote_from_bytes
from urllib.request import urlopen

import pytest

from lib import ws as wsconn
from lib.server import Server
from lib.tls import HandTLS
from lib.waiting import DEADLINE, wait_for

RECORD = b"[2026-01-01 00:00:00 +0000] [1] [ERROR] FORGED"
COMMON = b'127.0.0.1 - - [01/Jan/2026:00:00:00 +0000] "GET /FORGED HTTP/1.1" 200 5 "-" "-"'
TEXTS = {
    "lf": b"x\n" + RECORD + b"\n" + COMMON + b"\n", "crlf": b"x\r\n" + RECORD + b"\r\n" + COMMON + b"\r\n", "cr": b"x\r" + RECORD,
    "nul": b"x\0y\0", "esc": b"\x1b[2J\x1b]0;FORGED\x07\x1bc", "bs": b"abc\b\b\bFORGED\x7f", "quote": b'x" 200 5 "-" "FORGED',
    "backslash": b"x\\", "escapes": b'\\x22\\n\\"\\u000a', "c1": b"\xc2\x9b2J\xc2\x85" + RECORD, "c1-bytes": b"\x9b2J\x85" + RECORD,
    "overlong": b"\xc0\x8a\xe0\x80\x8a" + RECORD, "surrogate": b"\xed\xa0\x8a" + RECORD, "cut": b"\xe2\x82", "high": bytes(range(0x80, 0x100)),
    "lines": b"x\xe2\x80\xa8" + RECORD + b"\xe2\x80\xa9" + COMMON, "direction": b"\xe2\x80\xae\xe2\x81\xa6FORGED", "blank": b"a [x] b  c",
    "format": b"%(s)s %s %n %d %%", "markup": b"<script>'&amp;", "json": b'","status":200,"x":"', "long": b"y" * 3000 + b"\n" + RECORD,
    "tab": b"a\tb",
}


def get(target=b"/", *fields, method=b"GET"):
    return b"\r\n".join([method + b" " + target + b" HTTP/1.1", b"Host: test", b"Connection: close", *fields, b"", b""])


def asks_with(text):
    """{place: bytes of a request}"""
    quoted = quote_from_bytes(text, safe="").encode()
    return {
        "method": get(method=b"G" + text), "target": get(b"/" + text), "query": get(b"/?" + text), "quoted target": get(b"/" + quoted),
        "user-agent": get(b"/", b"User-Agent: " + text), "referer": get(b"/", b"Referer: " + text), "field": get(b"/", b"X-In: " + text),
        "field's name": get(b"/", text + b": x"), "forwarded-for": get(b"/", b"X-Forwarded-For: " + text),
        "forwarded": get(b"/", b'Forwarded: for="' + text + b'"'), "host": b"GET / HTTP/1.1\r\nHost: " + text + b"\r\nConnection: close\r\n\r\n",
        "user": get(b"/", b"Authorization: Basic " + base64.b64encode(text + b":password")),
        "exception": get(b"/raise?" + quoted), "exception in Latin-1": get(b"/latin?" + quoted), "slow": get(b"/slow/" + quoted[:300]),
        "answer's field": get(b"/field?" + quoted), "upgrade": get(b"/", b"Upgrade: " + text), "version": b"GET / HTTP/" + text + b"\r\n\r\n",
    }


def talk(address, data, half_close=False):
    """Everything that the server answers until it closes."""
    with socket.create_connection(address, timeout=DEADLINE) as s:
        s.sendall(data)
        parts = []
        try:
            if half_close:
                s.shutdown(socket.SHUT_WR)
            while (part := s.recv(65536)):
                parts.append(part)
        except ConnectionError:
            pass
        return b"".join(parts)


# --- what every line keeps ---

def check_text(data, form):
    """Whole lines of UTF-8 without anything that ends one or moves a cursor."""
    text = data.decode("utf-8")
    assert text.endswith("\n") and "password" not in text
    odd = {c for c in text if unicodedata.category(c) in ("Cc", "Zl", "Zp") or c in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"}
    assert odd <= ({"\n", "\t"} if form == "error" else {"\n"}), (form, odd)
    return text.split("\n")[:-1]


def check_error_log(s, first=0):
    pids = {str(pid) for pid in (s.pid, *s.workers(), *s.molds())}
    for line in check_text(s.log_path.read_bytes(), "error")[first:]:
        record = re.match(r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}\] \[(\d+)\] \[([A-Z]+)\] ", line)
        assert record or not line.startswith("["), line
        assert not record or (record.group(1) in pids and not line.startswith("FORGED", record.end())), line


VALUE = r'((?:[^"\\]|\\x[0-9A-F]{2})*)'
CLIENT = r"(?:127\.0\.0\.1|-)"
LINE = rf'{CLIENT} - \S+ \[\d\d/[A-Z][a-z][a-z]/\d{{4}}:\d\d:\d\d:\d\d [+-]\d{{4}}\] "{VALUE}" \d{{3}} (?:\d+|-) "{VALUE}" "{VALUE}"'
CUSTOM = "|".join(f"%({atom})s" for atom in ("u", "r", "m", "U", "q", "f", "a", "{x-in}i", "{x-forwarded-for}i", "{x-kept}o", "Uq", "s"))


def is_common(line):
    return re.fullmatch(LINE, line) and not re.search(r" FORGED|FORGED$", re.sub(r'"[^"]*"', "", line))


def is_custom(line):
    return all(" " <= c <= "~" and c != '"' for c in line) and re.search(r"\|\d{3}$", line)


def is_json(line):
    found = json.loads(line)
    return len(re.findall(r'"status":', line)) == 1 and 100 <= found["status"] < 600


FORMS = {"combined": (None, is_common), "custom": (CUSTOM, is_custom), "json": ("json", is_json)}


@pytest.mark.parametrize("form", FORMS)
def test_no_request_gets_out_of_its_place(tmp_path, form):
    text, judge = FORMS[form]
    log = {"accesslog": tmp_path / "access", "loglevel": "debug", "slow_request": "5ms", **({"access_log_format": text} if text else {})}
    config = {"log": log, "metrics": {"bind": "127.0.0.1:0"}, "http": {"forwarded_allow_ips": "*" if form == "custom" else "192.0.2.1"}}
    with Server("forging", config, allow=("Traceback",)) as s:
        asked = 0
        for said in TEXTS.values():
            for data in asks_with(said).values():
                talk(s.address, data)
                asked += 1
        s.get("/last")
        wait_for(lambda: b"/last" in (tmp_path / "access").read_bytes(), what="the last line")
        lines = check_text((tmp_path / "access").read_bytes(), form)
        assert len(TEXTS) < len(lines) <= asked + 1
        assert not [line for line in lines if not judge(line)]
        check_error_log(s)
        for kind in ("slow request", "ValueError", "request refused"):
            assert kind in s.log(), "else this test sees nothing"
        check_pages(re.search(r"metrics and status on 127.0.0.1:(\d+)", s.log()).group(1))


def check_pages(port):
    """What the master shows of all that."""
    def page(path):
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=DEADLINE) as answer:
            return answer.read().decode()
    for line in page("/metrics").split("\n"):
        assert re.fullmatch(r'(#.*|[a-z0-9_]+(\{([a-z_]+="([^"\\]|\\["\\n])*",?)*\})? [-+.0-9eE]+( .*)?|)', line) and line.isascii(), line
    assert "<script>'" not in page("/status")


# --- other ways in ---

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def test_headers_of_the_proxy_protocol(tmp_path):
    log = {"accesslog": tmp_path / "access", "loglevel": "debug"}
    with Server("forging", {"log": log}, flags=" proxy") as s:
        for text in TEXTS.values():
            talk(s.address, b"PROXY TCP4 " + text[:40] + b" 192.0.2.2 1 2\r\n" + get())
            talk(s.address, b"PROXY UNKNOWN " + text[:40].replace(b"\n", b"") + b"\r\n" + get(b"/unknown"))
            path = (text[:108] + bytes(108))[:108]
            talk(s.address, SIGNATURE + b"\x21\x31" + struct.pack("!H", 216) + path + path + get(b"/unix"))
            tlv = b"\x02" + struct.pack("!H", len(text)) + text
            block = socket.inet_aton("192.0.2.1") * 2 + struct.pack("!HH", 1, 2) + tlv
            talk(s.address, SIGNATURE + b"\x21\x11" + struct.pack("!H", len(block)) + block + get(b"/tlv"))
        wait_for(lambda: (tmp_path / "access").read_bytes().count(b"/tlv") == len(TEXTS), what="the last line")
        for line in check_text((tmp_path / "access").read_bytes(), "access"):
            assert re.fullmatch(LINE.replace(CLIENT, r"(?:[0-9.]+|-)"), line), line
        check_error_log(s)


def test_names_that_are_asked_for_by_tls(tmp_path):
    with Server("forging", {"log": {"accesslog": tmp_path / "access", "loglevel": "debug"}}, tls=True) as s:
        for text in TEXTS.values():
            asked = (text * 9)[:60]
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            hello = HandTLS.__new__(HandTLS)
            hello.inward, hello.outward = ssl.MemoryBIO(), ssl.MemoryBIO()
            hello.tls = context.wrap_bio(hello.inward, hello.outward, server_hostname="q" * 60)
            talk(s.address, hello.step().replace(b"q" * 60, asked), half_close=True)
        assert s.get("/last").status == 200
        check_error_log(s)


def test_reasons_of_a_close():
    """The application raises them; what is no UTF-8 is refused before."""
    with Server("forging", {"log": {"loglevel": "debug"}}, allow=("Traceback",)) as s:
        for text in TEXTS.values():
            talk(s.address, wsconn.handshake() + wsconn.frame(wsconn.CLOSE, struct.pack("!H", 1000) + text[:120]))
        s.wait_log("ValueError: " + re.escape("abc\\x08"))
        s.get("/last")
        check_error_log(s)


def test_pseudo_headers_of_http2(tmp_path):
    from lib.h2 import H2
    log = {"accesslog": tmp_path / "access", "loglevel": "debug", "slow_request": "5ms"}
    with Server("forging", {"log": log}, flags=" h2c", allow=("Traceback",)) as s:
        for text in TEXTS.values():
            for place in range(6):
                said = [b"test", b"http", b"/slow", b"GET", b"x", b"x"]
                said[place] = text if place != 2 else b"/" + text
                fields = list(zip([b":authority", b":scheme", b":path", b":method", b"user-agent", b"x-in"], said))
                with s.connect() as c:
                    h = H2(c)
                    h.open(fields)
                    try:
                        while not (h.goaways or any(a.ended or a.reset is not None for a in h.answers.values())):
                            h.read()
                    except (AssertionError, ConnectionError):
                        pass
        with s.connect() as c:
            c.request("GET", "/last")
        wait_for(lambda: b"/last" in (tmp_path / "access").read_bytes(), what="the last line")
        for line in check_text((tmp_path / "access").read_bytes(), "access"):
            assert re.fullmatch(LINE, line), line
        assert "slow request" in s.log(), "else this test sees nothing"
        check_error_log(s)
