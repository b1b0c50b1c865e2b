# SPDX-License-Identifier: BSD-3-Clause
"""Views: plain ones, which Django runs in a thread, and async ones."""

import asyncio
import hashlib
import json

import django
from asgiref.sync import sync_to_async
from django.http import FileResponse, Http404, HttpResponse, HttpResponseRedirect, JsonResponse, StreamingHttpResponse

from apps.frameworks.store import Meeting, Steps, pieces

from .models import Job, Note

steps, meeting = Steps(), None
running = set()


def index(request):
    visits = request.session.get("visits", 0) + 1
    request.session["visits"] = visits
    return HttpResponse(f"<h1>Notes</h1><p>{Note.objects.count()} notes</p><p>visit {visits}</p>")


def notes(request):
    if request.method == "POST":
        note = Note.objects.create(text=json.loads(request.body)["text"])
        return JsonResponse(note.as_dict(), status=201)
    return JsonResponse([note.as_dict() for note in Note.objects.order_by("pk")], safe=False)


async def note(request, number):
    found = await sync_to_async(Note.objects.filter(pk=number).first)()
    if found is None:
        raise Http404
    return JsonResponse(found.as_dict())


def upload(request):
    file, digest = request.FILES["file"], hashlib.sha256()
    for data in file.chunks():
        digest.update(data)
    return JsonResponse({"title": request.POST["title"], "name": file.name, "size": file.size,
                         "sha256": digest.hexdigest()})


def raw_upload(request):
    digest, size = hashlib.sha256(), 0
    while data := request.read(65536):
        digest.update(data)
        size += len(data)
    return JsonResponse({"size": size, "sha256": digest.hexdigest()})


async def stream(request, name):
    if django.VERSION >= (4, 2):
        return StreamingHttpResponse(pieces(steps, name), content_type="text/plain")
    # Older ones take plain iterators only and run them inside the event loop: nothing there can wait.
    return StreamingHttpResponse((f"piece {number}\n" for number in range(5)), content_type="text/plain")


async def release(request, name):
    steps.release(name)
    return HttpResponse("released")


async def meet(request):
    global meeting
    meeting = meeting or Meeting()
    await meeting.join(int(request.GET["n"]))
    return HttpResponse("met")


async def jobs(request):
    job = await sync_to_async(Job.objects.create)()

    async def work():
        await steps.wait(f"job.{job.pk}")
        await sync_to_async(Job.objects.filter(pk=job.pk).update)(result="done")

    task = asyncio.create_task(work())
    running.add(task)
    task.add_done_callback(running.discard)
    return JsonResponse({"id": job.pk}, status=202)


def job(request, number):
    return JsonResponse({"id": number, "result": Job.objects.get(pk=number).result})


def old(request):
    return HttpResponseRedirect("/")


def file(request):
    import io

    return FileResponse(io.BytesIO(bytes(range(256)) * 4096), content_type="application/octet-stream")


def boom(request):
    raise RuntimeError("boom was asked for")


def not_found(request, exception):
    return HttpResponse("<h1>No such page</h1>", status=404)


def server_error(request):
    return HttpResponse("<h1>Something broke</h1>", status=500)
