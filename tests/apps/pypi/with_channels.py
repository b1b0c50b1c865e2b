# SPDX-License-Identifier: BSD-3-Clause
"""Channels: Django's views and an HTTP consumer behind one router; the settings are this module."""

import json

SECRET_KEY = "only for tests"
DEBUG = False
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "with_channels"
INSTALLED_APPS = ["channels"]
DATABASES = {}
USE_TZ = True

from django.core.asgi import get_asgi_application

django_application = get_asgi_application()

from channels.generic.http import AsyncHttpConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.http import HttpResponse
from django.urls import path, re_path


class Consumer(AsyncHttpConsumer):
    async def handle(self, body):
        answer = json.dumps({"path": self.scope["path"], "size": len(body)}).encode()
        await self.send_response(200, answer, headers=[(b"Content-Type", b"application/json")])


def plain(request):
    return HttpResponse("plain view")


urlpatterns = [path("plain", plain)]
application = ProtocolTypeRouter({
    "http": URLRouter([path("consumer", Consumer.as_asgi()), re_path("", django_application)]),
})
