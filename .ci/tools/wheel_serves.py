#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""wheel_serves.py FOLDER [KIND...]: serves projects from FOLDER by the commands that README gives, with the tine that is beside the
Python that runs this, nothing else in PATH and nothing else to tell it which Python to use; asks each; stops it.

KIND: installed: whether all is there; serves nothing. fastapi, django-asgi, django-wsgi, flask: the framework has to be installed. hello: an application of no framework. parts: whatever
comes from a library, in one worker together with Python's own ssl; wants FOLDER/cert.pem and key.pem, of localhost.
The last line is "N passed, N failed"."""

import base64
import json
import os
import socket
import ssl
import struct
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

BIN = Path(sys.prefix) / "bin"
README = Path(__file__).resolve().parents[2] / "README"
SECONDS = 60

HELLO = '''
import sys
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b'{"python": "%s"}' % sys.executable.encode()})
'''
FASTAPI = '''
import sys
from fastapi import FastAPI
from pydantic import BaseModel
class Said(BaseModel):
    python: str
app = FastAPI()
@app.get("/")
def root() -> Said:
    return Said(python=sys.executable)
'''
FLASK = '''
import sys
from flask import Flask, jsonify
app = Flask(__name__)
@app.get("/")
def root():
    return jsonify(python=sys.executable)
'''
DJANGO = '''
import sys
from django.http import JsonResponse
from django.urls import path
urlpatterns = [path("", lambda request: JsonResponse({"python": sys.executable}))]
'''
# Shakes hands with itself by Python's ssl on each request, and answers with more than is too short to be compressed.
PARTS = '''
import json, ssl, sys
server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
server.load_cert_chain("cert.pem", "key.pem")
client = ssl.create_default_context(cafile="cert.pem")

def shake_hands():
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(down, up, server_hostname="localhost"), server.wrap_bio(up, down, server_side=True)]
    waiting = 2
    while waiting:
        waiting = 0
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                waiting += 1
    return ends[0].version()

async def app(scope, receive, send):
    assert scope["type"] in ("http", "websocket")
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": (await receive())["text"]})
        return
    said = {"python": sys.executable, "tls": shake_hands(), "openssl": ssl.OPENSSL_VERSION, "more": "x" * 5000}
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(said).encode()})
'''
PARTS_INI = '''
[server]
bind = 127.0.0.1:0 tls, 127.0.0.1:0

[tls]
certfile = ../cert.pem
keyfile = ../key.pem

[http]
compress = br, zstd, gzip

[control]
socket = control.sock
'''

# --- projects: each is written into a folder, and is served by a line of README ---


def django(folder):
    subprocess.run([sys.executable, "-m", "django", "startproject", "mysite", folder], check=True)
    (folder / "mysite/urls.py").write_text(DJANGO)


def one_file(text):
    return lambda folder: (folder / "main.py").write_text(text)


def parts(folder):
    for name in ("cert.pem", "key.pem"):
        (folder / name).symlink_to(folder.parent / name)
    (folder / "main.py").write_text(PARTS)
    (folder / "tine.ini").write_text(PARTS_INI)


KINDS = {
    "hello": (one_file(HELLO), "tine main:app"),
    "fastapi": (one_file(FASTAPI), "tine main:app"),
    "flask": (one_file(FLASK), "tine main:app"),
    "django-asgi": (django, "tine mysite.asgi:application"),
    "django-wsgi": (django, "tine mysite.wsgi:application"),
    "parts": (parts, "tine main:app"),
}


class Served:
    """addresses: where it listens; said: the lines of its log, all of them once it has ended."""

    def __init__(self):
        self.addresses, self.said = [], []


@contextmanager
def served(folder, command):
    """A Served that is ready. At its end tine has to stop as asked."""
    assert f"    {command}\n" in README.read_text(), f"README does not say `{command}`"
    environment = {"PATH": str(BIN), "HOME": str(folder), "LANG": "C.UTF-8", "VIRTUAL_ENV": sys.prefix}
    if not (folder / "tine.ini").exists():
        environment["TINE_SERVER_BIND"] = "127.0.0.1:0"
    with subprocess.Popen(command.split(), cwd=folder, env=environment, stderr=subprocess.PIPE, text=True) as server:
        found = Served()
        try:
            for line in server.stderr:
                found.said.append(line)
                if " listening on " in line:
                    found.addresses.append(line.partition(" listening on ")[2].split()[0])
                if line.endswith("] ready\n"):
                    break
            assert found.addresses, "it never listened"
            yield found
            server.terminate()
            assert server.wait(SECONDS) == 0, f"status {server.returncode}"
            found.said += server.stderr
        except BaseException:
            server.kill()
            print("".join(found.said) + server.stderr.read())
            raise


def ask(url, coding=None, tls=None):
    request = urllib.request.Request(url, headers={"Accept-Encoding": coding} if coding else {})
    with urllib.request.urlopen(request, timeout=SECONDS, context=tls) as answer:
        return answer.headers, answer.read()


def served_by_this_python(answer):
    python = json.loads(answer)["python"]
    assert Path(python).parent == BIN, f"{python} has served, not {sys.executable}"


# --- what comes from a library ---

def echo(address):
    """A WebSocket's handshake, a masked text frame, and the same back (RFC 6455, sections 4.1 and 5.2)."""
    text, mask = "Grüße".encode(), b"\1\2\3\4"
    with socket.create_connection(address.rsplit(":", 1), timeout=SECONDS) as s, s.makefile("rb") as answers:
        key = base64.b64encode(bytes(16)).decode()
        s.sendall(f"GET / HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                  f"Sec-WebSocket-Key: {key}\r\n\r\n".encode())
        status = answers.readline()
        assert b" 101 " in status, status
        while answers.readline() != b"\r\n":
            pass
        s.sendall(bytes((0x81, 0x80 | len(text))) + mask + bytes(c ^ mask[i % 4] for i, c in enumerate(text)))
        frame = answers.read(2 + len(text))
        assert frame == bytes((0x81, len(text))) + text, frame


def settings_over_http2(address, tls):
    """The server's preface is a SETTINGS frame, after ALPN has chosen HTTP/2 (RFC 9113, sections 3.2 to 3.4)."""
    tls.set_alpn_protocols(["h2", "http/1.1"])
    host, port = address.rsplit(":", 1)
    with tls.wrap_socket(socket.create_connection((host, port), timeout=SECONDS), server_hostname="localhost") as s:
        assert s.selected_alpn_protocol() == "h2", s.selected_alpn_protocol()
        s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + struct.pack(">IBI", 4, 0, 0))
        head = s.makefile("rb").read(9)
        assert head[3] == 4 and head[5:] == bytes(4), head


def ask_for_parts(folder, addresses):
    secure, plain = addresses
    tls = ssl.create_default_context(cafile=folder / "cert.pem")
    said = json.loads(ask(f"https://localhost:{secure.rsplit(':', 1)[1]}/", tls=tls)[1])
    assert said["tls"] == "TLSv1.3" and said["openssl"] == ssl.OPENSSL_VERSION, said
    for coding in ("br", "zstd", "gzip"):
        headers, body = ask(f"http://{plain}/", coding)
        assert headers["Content-Encoding"] == coding and len(body) < 1000, (coding, headers, len(body))
    echo(plain)
    settings_over_http2(secure, tls)
    status = subprocess.run([BIN / "tinectl", "-s", folder / "control.sock", "-j", "status"], stdout=subprocess.PIPE, check=True).stdout
    assert json.loads(status), status


def installed():
    import tine

    for file in ("bin/tine", "bin/tinectl", "share/man/man8/tine.8", "share/man/man8/tinectl.8", "share/man/man5/tine.ini.5"):
        assert Path(sys.prefix, file).stat().st_size, file
    version = metadata.version("tine-server")
    for program in ("tine", "tinectl"):
        said = subprocess.run([BIN / program, "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout
        assert said.startswith(f"{program} {version}\n"), said
    assert tine.__version__ == version, tine.__version__


def serve(kind, folder):
    if kind == "installed":
        return installed()
    make, command = KINDS[kind]
    folder.mkdir(parents=True)
    make(folder)
    with served(folder, command) as server:
        served_by_this_python(ask(f"http://{server.addresses[-1]}/")[1])
        if kind == "parts":
            ask_for_parts(folder, server.addresses)
    return None


def serve_each(kinds, serve_one):
    """serve_one(kind, its folder in that of the command line) for each; an exit status."""
    folder, failed = Path(sys.argv[1]).resolve(), 0
    for kind in kinds:
        try:
            serve_one(kind, folder / kind)
        except Exception as e:
            failed += 1
            print(f"FAILED: {kind}: {type(e).__name__}: {e}")
    print(f"{len(kinds) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    os.environ.pop("PYTHONPATH", None)
    sys.exit(serve_each(sys.argv[2:] or ["hello"], serve))
