#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""wheel_serves.py FOLDER [hello|fastapi|django|flask...]: serves a project of each kind from FOLDER by the command that README gives,
with the tine that is beside the Python that runs this, and nothing else in PATH; asks it; stops it. The last line is "N passed,
N failed"."""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

BIN = Path(sys.prefix) / "bin"

HELLO = '''
import ssl, sys
async def app(scope, receive, send):
    assert scope["type"] == "http"
    ssl.create_default_context()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": sys.executable.encode()})
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


def project(kind, folder):
    """Writes it; what to serve in it."""
    if kind == "django":
        subprocess.run([sys.executable, "-m", "django", "startproject", "mysite", folder], check=True)
        (folder / "mysite/urls.py").write_text(DJANGO)
        return "mysite.asgi:application"
    (folder / "main.py").write_text({"hello": HELLO, "fastapi": FASTAPI, "flask": FLASK}[kind])
    return "main:app"


def serve(kind, folder):
    folder.mkdir(parents=True)
    command = [str(BIN / "tine"), "-b", "127.0.0.1:0", project(kind, folder)]
    environment = {"PATH": str(BIN), "HOME": str(folder), "LANG": "C.UTF-8"}
    with subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True) as server:
        said, address = [], None
        for line in server.stderr:
            said.append(line)
            if "listening on" in line:
                address = line.split()[-1]
            if line.endswith("] ready\n"):
                break
        try:
            text = urllib.request.urlopen(f"http://{address}/", timeout=60).read().decode()
            server.terminate()
            assert server.wait(60) == 0, f"status {server.returncode}"
        except Exception:
            server.kill()
            said.append(server.stderr.read())
            print("".join(said))
            raise
    python = text if kind == "hello" else json.loads(text)["python"]
    assert Path(python).parent == BIN, f"{python} has served, not {sys.executable}"


def main():
    folder, kinds = Path(sys.argv[1]).resolve(), sys.argv[2:] or ["hello"]
    failed = 0
    for kind in kinds:
        try:
            serve(kind, folder / kind)
        except Exception as e:
            failed += 1
            print(f"FAILED: {kind}: {type(e).__name__}: {e}")
    print(f"{len(kinds) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    os.environ.pop("PYTHONPATH", None)
    sys.exit(main())
