# SPDX-License-Identifier: BSD-3-Clause
"""Flask: JSON, a template, views that wait, and one that reads an upload."""
import time

from flask import Flask, jsonify, render_template, request
from jinja2 import DictLoader

app = Flask(__name__)
app.jinja_loader = DictLoader({"rows.html": "<ul>{% for row in rows %}<li>{{ row }}</li>{% endfor %}</ul>"})
inside = 0


@app.get("/json")
def as_json():
    return jsonify(message="Hello, World!")


@app.get("/template")
def template():
    return render_template("rows.html", rows=range(20))


@app.get("/sleep")
def sleep():
    time.sleep(0.01)
    return jsonify(message="Hello, World!")


@app.get("/hold")
def hold():
    """Longer than any measurement."""
    global inside
    inside += 1
    try:
        time.sleep(600)
    finally:
        inside -= 1
    return ""


@app.get("/inside")
def count():
    return str(inside)


@app.post("/upload")
def upload():
    n = 0
    while block := request.stream.read(65536):
        n += len(block)
    return jsonify(n=n)
