# SPDX-License-Identifier: BSD-3-Clause
"""HTML: the index page and the frame of the small ones. Self-contained: no request but the page's own."""

import html
import pathlib
from string import Template

from . import answers, worker

HERE = pathlib.Path(__file__).parent
STYLE = (HERE / "style.css").read_text()
INDEX = Template((HERE / "index.html").read_text())
SMALL = Template((HERE / "small.html").read_text())


def table(pairs):
    return f"<div class=scroll><table>{worker.rows(pairs)}</table></div>"


def small_page(title, body):
    return SMALL.substitute(style=STYLE, title=html.escape(title), body=body)


async def index(scope, receive, send):
    host = next((value for name, value in scope["headers"] if name == b"host"), b"127.0.0.1:8000").decode("latin-1")
    body = INDEX.substitute(style=STYLE, host=html.escape(host), facts=table(worker.facts(scope).items()))
    await answers.page(send, body, headers=[(b"cache-control", b"no-store")])
