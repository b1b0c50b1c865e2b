# SPDX-License-Identifier: BSD-3-Clause
"""What waits for others in greenlets: psycopg2 with psycogreen, redis-py, requests, Flask-SocketIO in gevent mode."""

import os

import psycopg2
import redis
import requests
from flask import Flask, request
from flask_socketio import SocketIO, emit
from psycogreen.gevent import patch_psycopg

from apps.report import report

patch_psycopg()
app = Flask(__name__)
socketio = SocketIO(app, async_mode="gevent", cors_allowed_origins="*")
store = redis.Redis(unix_socket_path=os.environ.get("TEST_REDIS", ""))
held = []


def database():
    connection = psycopg2.connect(host=os.environ["TEST_POSTGRES"], dbname="postgres", user="tine")
    connection.autocommit = True
    return connection


@app.get("/")
def hello():
    return "hello"


@app.get("/lock")
def lock():
    """Waits in the database until nobody has the lock."""
    with database().cursor() as cursor:
        report(locking=request.args["n"])
        cursor.execute("SELECT pg_advisory_lock(42), %s::text", (request.args["n"],))
        answer = cursor.fetchone()[1]
        cursor.execute("SELECT pg_advisory_unlock(42)")
        return answer


@app.get("/hold")
def hold():
    held.append(database())
    held[0].cursor().execute("SELECT pg_advisory_lock(42)")
    return "held"


@app.get("/free")
def free():
    held.pop().close()
    return "freed"


@app.get("/pop")
def pop():
    report(popping=request.args["n"])
    return store.blpop("list")[1]


@app.get("/push")
def push():
    return str(store.rpush("list", *range(int(request.args["n"]))))


@app.get("/self")
def to_self():
    """A request of this very worker's, which has one thread."""
    return requests.get(request.args["url"], timeout=20).text


@socketio.on("shout")
def shout(message):
    emit("heard", message.upper())


@socketio.on("later")
def later(message):
    def tell(sid):
        socketio.sleep(0.01)
        socketio.emit("told", message, to=sid)

    socketio.start_background_task(tell, request.sid)
