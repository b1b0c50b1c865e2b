# SPDX-License-Identifier: BSD-3-Clause
"""What a request is to the application: the same words for ASGI and WSGI, by which servers are compared. Needs nothing but Python."""

import json
import os


def told(interface, scheme, client, root, path, query, word):
    return json.dumps({"interface": interface, "scheme": scheme, "client": client, "root": root, "path": path, "query": query,
                       "word": word, "environment": os.environ.get("WORD_OF_IT")}).encode()


def make_asgi(word="none", *, more=None):
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            return await send({"type": "lifespan.shutdown.complete"})
        body = told("asgi", scope["scheme"], scope["client"][0] if scope["client"] else "", scope.get("root_path", ""),
                    scope["path"], scope["query_string"].decode(), [word, more])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})
    return app


def make_wsgi(word="none", *, more=None):
    def application(environ, start_response):
        body = told("wsgi", environ["wsgi.url_scheme"], environ.get("REMOTE_ADDR", ""), environ.get("SCRIPT_NAME", ""),
                    environ["PATH_INFO"], environ.get("QUERY_STRING", ""), [word, more])
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]
    return application


app = make_asgi()
application = make_wsgi()
