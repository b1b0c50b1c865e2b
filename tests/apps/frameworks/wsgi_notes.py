# SPDX-License-Identifier: BSD-3-Clause
"""The same small site with Flask, Bottle and Falcon: a page, a form with a file, a stream, a file to download, an error."""

import hashlib
import io
import os

HERE = os.path.abspath(__file__)
LINES = [b"line %d\n" % i for i in range(1000)]


def make_flask():
    import flask
    app = flask.Flask("notes")

    @app.get("/hello/<name>")
    def hello(name):
        return {"name": name, "root": flask.request.script_root, "address": flask.request.remote_addr,
                "url": flask.request.url}

    @app.post("/upload")
    def upload():
        file = flask.request.files["file"]
        return {"title": flask.request.form["title"], "name": file.filename, "sum": hashlib.sha256(file.read()).hexdigest()}

    @app.post("/raw")
    def raw():
        return {"size": len(flask.request.get_data())}

    @app.get("/stream")
    def stream():
        def body():
            for line in LINES:
                yield line
            yield flask.request.path.encode()
        return flask.Response(flask.stream_with_context(body()), mimetype="text/plain")

    @app.get("/download")
    def download():
        return flask.send_file(HERE, conditional=True)

    @app.get("/boom")
    def boom():
        raise RuntimeError("boom")
    return app


def make_bottle():
    import bottle
    app = bottle.Bottle()

    @app.get("/hello/<name>")
    def hello(name):
        request = bottle.request
        return {"name": name, "root": request.script_name.rstrip("/"), "address": request.remote_addr, "url": request.url}

    @app.post("/upload")
    def upload():
        file = bottle.request.files.file
        return {"title": bottle.request.forms.title, "name": file.raw_filename,
                "sum": hashlib.sha256(file.file.read()).hexdigest()}

    @app.post("/raw")
    def raw():
        return {"size": len(bottle.request.body.read())}

    @app.get("/stream")
    def stream():
        bottle.response.content_type = "text/plain"
        yield from LINES
        yield b"/stream"

    @app.get("/download")
    def download():
        return bottle.static_file(os.path.basename(HERE), root=os.path.dirname(HERE), mimetype="text/x-python")

    @app.get("/boom")
    def boom():
        raise RuntimeError("boom")
    return app


def make_falcon():
    import falcon

    class Hello:
        def on_get(self, request, response, name):
            response.media = {"name": name, "root": request.root_path, "address": request.remote_addr, "url": request.url}

    class Upload:
        def on_post(self, request, response):
            found = {}
            for part in request.get_media():
                found[part.name] = part.secure_filename if part.filename else part.text
                if part.filename:
                    found["sum"] = hashlib.sha256(part.stream.read()).hexdigest()
            response.media = {"title": found["title"], "name": found["file"], "sum": found["sum"]}

    class Raw:
        def on_post(self, request, response):
            response.media = {"size": len(request.bounded_stream.read())}

    class Stream:
        def on_get(self, request, response):
            response.content_type = "text/plain"
            response.stream = iter([*LINES, b"/stream"])

    class Download:
        def on_get(self, request, response):
            response.content_type = "text/x-python"
            response.set_stream(io.open(HERE, "rb"), os.path.getsize(HERE))

    class Boom:
        def on_get(self, request, response):
            raise RuntimeError("boom")

    app = falcon.App()
    app.add_route("/hello/{name}", Hello())
    app.add_route("/upload", Upload())
    app.add_route("/raw", Raw())
    app.add_route("/stream", Stream())
    app.add_route("/download", Download())
    app.add_route("/boom", Boom())
    return app
