# SPDX-License-Identifier: BSD-3-Clause
"""The notebook with Quart."""

import asyncio
import hashlib
import tempfile

from quart import Quart, abort, jsonify, redirect, request, send_file

from apps.frameworks.store import Meeting, Steps, Store, pieces

app = Quart(__name__)
store = Store()


@app.before_serving
async def startup():
    await asyncio.to_thread(store.create)
    store.record("startup")
    app.steps, app.meeting = Steps(), Meeting()
    app.file = tempfile.NamedTemporaryFile()
    app.file.write(bytes(range(256)) * 4096)
    app.file.flush()


@app.after_serving
async def shutdown():
    app.file.close()
    store.record("shutdown")


@app.get("/")
async def index():
    return f"<h1>Notes</h1><p>{len(store.notes())} notes</p>"


@app.post("/notes")
async def add_note():
    note = await asyncio.to_thread(store.add_note, (await request.get_json())["text"])
    return note, 201


@app.get("/notes")
def notes():
    """A plain function: Quart runs it in a thread."""
    return jsonify(store.notes())


@app.get("/notes/<int:number>")
async def note(number):
    return store.note(number) or abort(404)


@app.post("/upload")
async def upload():
    form, files = await request.form, await request.files
    file, digest, size = files["file"], hashlib.sha256(), 0
    while data := file.read(65536):
        digest.update(data)
        size += len(data)
    return {"title": form["title"], "name": file.filename, "size": size, "sha256": digest.hexdigest()}


@app.put("/raw")
async def raw_upload():
    digest, size = hashlib.sha256(), 0
    async for data in request.body:
        digest.update(data)
        size += len(data)
    return {"size": size, "sha256": digest.hexdigest()}


@app.get("/stream/<name>")
async def stream(name):
    return pieces(app.steps, name), 200, {"Content-Type": "text/plain"}


@app.post("/release/<name>")
async def release(name):
    app.steps.release(name)
    return "released"


@app.get("/meet")
async def meet():
    await app.meeting.join(int(request.args["n"]))
    return "met"


@app.post("/jobs")
async def jobs():
    number = store.add_job()

    async def work():
        await app.steps.wait(f"job.{number}")
        await asyncio.to_thread(store.finish_job, number, "done")

    app.add_background_task(work)
    return {"id": number}, 202


@app.get("/jobs/<int:number>")
async def job(number):
    return store.job(number)


@app.get("/old")
async def old():
    return redirect("/")


@app.get("/file")
async def file():
    return await send_file(app.file.name, mimetype="application/octet-stream")


@app.get("/boom")
async def boom():
    raise RuntimeError("boom was asked for")


@app.errorhandler(404)
async def not_found(error):
    return "<h1>No such page</h1>", 404


@app.errorhandler(500)
async def server_error(error):
    return "<h1>Something broke</h1>", 500
