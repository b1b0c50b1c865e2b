# SPDX-License-Identifier: BSD-3-Clause
"""Django with the middleware of a new project, under ASGI (`application`, `bare` without middleware) and WSGI (`wsgi`)."""
import os
import time

import django
from django.conf import settings

MIDDLEWARE = ["security.SecurityMiddleware", "common.CommonMiddleware", "csrf.CsrfViewMiddleware",
              "clickjacking.XFrameOptionsMiddleware"]
settings.configure(
    DEBUG=False, SECRET_KEY="of the benchmark", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__,
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    MIDDLEWARE=[] if os.environ.get("BENCH_BARE") else
    ["django.contrib.sessions.middleware.SessionMiddleware", *("django.middleware." + name for name in MIDDLEWARE)])
django.setup()

from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402

HELLO = {"message": "Hello, World!"}


def sync_view(request):
    return JsonResponse(HELLO)


async def async_view(request):
    return JsonResponse(HELLO)


def sleeping_view(request):
    time.sleep(0.01)
    return JsonResponse(HELLO)


urlpatterns = [path("sync", sync_view), path("async", async_view), path("sleep", sleeping_view)]
application = get_asgi_application()
wsgi = get_wsgi_application()
