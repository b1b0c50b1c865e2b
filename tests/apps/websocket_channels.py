# SPDX-License-Identifier: BSD-3-Clause
"""Channels' WebSockets: /ws sends back what comes, "close" ends it with 4002; /refused is refused."""

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.urls import path

if not settings.configured:
    settings.configure(SECRET_KEY="of a test", ALLOWED_HOSTS=["*"])


class Talk(AsyncWebsocketConsumer):
    async def connect(self):
        await self.accept("chat")

    async def receive(self, text_data=None, bytes_data=None):
        if text_data == "close":
            await self.close(4002)
        else:
            await self.send(text_data=text_data, bytes_data=bytes_data)


class Refuse(AsyncWebsocketConsumer):
    async def connect(self):
        await self.close()


app = ProtocolTypeRouter({"websocket": URLRouter([path("ws", Talk.as_asgi()), path("refused", Refuse.as_asgi())])})
