# SPDX-License-Identifier: BSD-3-Clause
"""Uploads, read as they arrive and never held whole: size and SHA-256 of each part of a form, or of the bare body."""

import hashlib
import html
import time

from . import answers, multipart


class Digest:
    def __init__(self, name):
        self.name = name
        self.size = 0
        self.hash = hashlib.sha256()

    def feed(self, data):
        self.size += len(data)
        self.hash.update(data)

    def result(self):
        return {"name": self.name, "size": self.size, "sha256": self.hash.hexdigest()}


async def form(scope, receive, send):
    from .pages import small_page

    await answers.page(send, small_page("Upload", FORM))


async def receive_upload(scope, receive, send):
    content_type = next((value for name, value in scope["headers"] if name == b"content-type"), b"").decode("latin-1")
    boundary = multipart.boundary(content_type)
    parts = []
    splitter = multipart.Splitter(boundary, lambda name: new_part(parts, name)) if boundary else None
    bare = new_part(parts, "body") if splitter is None else None
    started = time.monotonic()
    messages = total = 0
    try:
        async for data in body_of(receive):
            messages += 1
            total += len(data)
            if splitter:
                splitter.feed(data)
            else:
                bare.feed(data)
        if splitter:
            splitter.end()
    except ConnectionAbortedError:
        return
    except ValueError as error:
        await answers.problem(scope, send, 400, f"The form could not be read: {error}.")
        return
    seconds = time.monotonic() - started
    result = {"bytes": total, "messages": messages, "seconds": round(seconds, 3), "parts": [p.result() for p in parts]}
    if answers.wants_html(scope):
        await answers.page(send, result_page(result))
    else:
        await answers.as_json(send, result)


def new_part(parts, name):
    part = Digest(name)
    parts.append(part)
    return part


async def body_of(receive):
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionAbortedError
        if message.get("body"):
            yield message["body"]
        if not message.get("more_body", False):
            return


def result_page(result):
    from .pages import small_page, table

    body = "".join(f"<h2>{html.escape(part['name'])}</h2>"
                   + table([("size", f"{part['size']:,} bytes"), ("SHA-256", part["sha256"])])
                   for part in result["parts"])
    body += (f"<p class=dim>{result['bytes']:,} bytes of body in {result['messages']} pieces, "
             f"{result['seconds']} s.</p>" + FORM)
    return small_page("What arrived", body)


FORM = """<form class=card method=post action=echo enctype="multipart/form-data">
<p><label for=file>A file of any size. It is hashed while it arrives and kept nowhere.</label></p>
<p><input id=file type=file name=file multiple required> <button>Upload</button></p></form>"""
