# SPDX-License-Identifier: BSD-3-Clause
"""WebSockets of Flask: /echo by flask-sock, /socket.io by Flask-SocketIO in threading mode; both by simple-websocket."""

from flask import Flask
from flask_socketio import SocketIO, emit
from flask_sock import Sock

app = Flask(__name__)
sock = Sock(app)
socketio = SocketIO(app, async_mode="threading", cors_allowed_origins="*")


@app.get("/")
def hello():
    return "hello"


@sock.route("/echo")
def echo(ws):
    while True:
        message = ws.receive()
        ws.send(message)
        if message == "stop":
            return


@socketio.on("shout")
def shout(message):
    emit("heard", message.upper())
