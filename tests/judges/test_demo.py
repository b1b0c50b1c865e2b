# SPDX-License-Identifier: BSD-3-Clause
"""The demo application as `./bootstrap run` serves it: every page of it, driven by curl as its own index page says."""

import hashlib
import json
import os
import subprocess

import pytest

from lib.build import APPS
from lib.server import Server
from lib.ws import CLOSE, WS, close_payload, handshake


@pytest.fixture(scope="module")
def demo():
    with Server("demo:app", {"server": {"workers": 2}}, cwd=APPS) as server:
        yield server


def curl(demo, path, *arguments):
    url = f"http://127.0.0.1:{demo.port}{path}"
    return subprocess.run(["curl", "-sS", "--max-time", "30", *arguments, url], check=True, stdout=subprocess.PIPE).stdout


def test_index_needs_nothing_else(demo):
    page = curl(demo, "/").decode()
    assert page.startswith("<!DOCTYPE html>") and page.rstrip().endswith("</html>")
    assert "$" not in page
    for reference in ("src=", "@import", "url(", "<link rel=\"stylesheet"):
        assert reference not in page
    assert f"curl -i 127.0.0.1:{demo.port}/json" in page


def test_json_tells_of_the_worker(demo):
    facts = json.loads(curl(demo, "/json?a=b"))
    assert facts["query"] == "a=b"
    worker = facts["worker"]
    assert worker["process"] in demo.workers() and worker["master"] == demo.pid
    assert worker["interpreter"].startswith("sub-interpreter")
    assert worker["up for"] != "unknown"


def test_scope_as_a_page_and_as_json(demo):
    scope = json.loads(curl(demo, "/scope?q=%C3%A9"))["scope"]
    assert scope["query_string"] == "q=%C3%A9" and scope["type"] == "http"
    page = curl(demo, "/scope", "-H", "Accept: text/html", "-H", "X-Odd: <b>&").decode()
    assert "&lt;b&gt;&amp;" in page and "<b>&" not in page


def test_stream(demo):
    head, _, body = curl(demo, "/stream", "-i", "--raw").partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head.lower()
    assert body.count(b" of 20,") == 20 and body.endswith(b"0\r\n\r\n")


def test_events(demo):
    with demo.connect() as connection:
        connection.send_request("GET", "/sse")
        head = connection.read_until(b"\r\n\r\n")
        assert b"text/event-stream" in head
        connection.read_until(b"id: 1\nevent: clock\ndata: ")
        connection.read_until(b"id: 2\nevent: clock\ndata: ")
    assert curl(demo, "/json")


def test_upload_of_a_form_and_of_a_bare_body(demo, tmp_path):
    file = tmp_path / "some file"
    file.write_bytes(os.urandom(4_000_000))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    form = json.loads(curl(demo, "/echo", "-F", f"file=@{file}", "-F", "empty="))
    assert form["parts"] == [{"name": "some file", "size": 4_000_000, "sha256": digest},
                             {"name": "empty", "size": 0, "sha256": hashlib.sha256().hexdigest()}]
    assert form["messages"] > 1
    bare = json.loads(curl(demo, "/echo", "-T", str(file)))
    assert bare["parts"] == [{"name": "body", "size": 4_000_000, "sha256": digest}]
    page = curl(demo, "/echo", "-F", f"file=@{file}", "-H", "Accept: text/html").decode()
    assert digest in page and "4,000,000 bytes" in page


def test_broken_form(demo):
    answer = curl(demo, "/echo", "-i", "-H", "Content-Type: multipart/form-data; boundary=b", "--data-binary", "--b\r\nx: y")
    assert b" 400 " in answer.split(b"\r\n")[0]


def test_sleep(demo):
    assert json.loads(curl(demo, "/sleep?ms=20"))["asked_ms"] == 20
    for wrong in ("-1", "x", "99999999", ""):
        assert b" 400 " in curl(demo, f"/sleep?ms={wrong}x", "-i").split(b"\r\n")[0]


def test_refusals_and_other_methods(demo):
    with demo.connect() as connection:
        assert connection.request("GET", "/nowhere").status == 404
        refused = connection.request("DELETE", "/json")
        assert refused.status == 405 and refused.get("allow") == "GET, HEAD, OPTIONS"
        assert connection.request("OPTIONS", "/echo").get("allow") == "GET, HEAD, OPTIONS, POST, PUT"
        whole, head = connection.request("GET", "/sleep?ms=0"), connection.request("HEAD", "/sleep?ms=0")
        assert head.status == whole.status == 200 and head.body == b""
        assert connection.request("HEAD", "/stream").status == 200
        assert connection.request("HEAD", "/sse").status == 200
        assert connection.request("GET", "/json").status == 200


def said(visitor):
    return json.loads(visitor.read_text())


def test_chat_page_needs_nothing_else(demo):
    page = curl(demo, "/chat").decode()
    assert page.startswith("<!DOCTYPE html>") and page.rstrip().endswith("</html>") and "$" not in page
    assert "<a href=\"chat\">" in curl(demo, "/").decode()


def test_chat_reaches_everybody_in_every_worker(demo):
    """Connections fall to either worker, so that of twelve visitors some are in each."""
    visitors = [WS(demo.connect(), "/chat/ws") for _ in range(12)]
    mark = {"who": "Ann", "text": "\u00e4 <b>"}
    visitors[0].text(json.dumps({**mark, "more": 1}))
    for visitor in visitors:
        while said(visitor) != mark:
            pass
    for bad in ("", "no JSON", "[]", "{}", '{"who": "x", "text": " "}', '"x"'):
        visitors[1].text(bad)
    visitors[1].text(json.dumps({"who": " ", "text": "x" * 9000}))
    for visitor in visitors:
        assert said(visitor) == {"who": "somebody", "text": "x" * 500}
    late = WS(demo.connect(), "/chat/ws")
    assert said(late) == mark
    for visitor in [*visitors, late]:
        visitor.send(CLOSE, close_payload(1000))


def test_chat_has_one_address(demo):
    with demo.connect() as connection:
        connection.send(handshake("/chat"))
        assert connection.read_response().status == 403
