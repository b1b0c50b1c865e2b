# SPDX-License-Identifier: BSD-3-Clause
"""What the notebooks share: a database file and two ways to meet, so that no test has to guess with time."""

import asyncio
import os
import sqlite3

SCHEMA = """
create table if not exists notes (id integer primary key, text text not null);
create table if not exists jobs (id integer primary key, result text);
create table if not exists life (event text);
"""


class Store:
    """Blocking; opens the file in each call, so that it can be used from any thread."""

    def __init__(self, path=None):
        self.path = path or os.environ["NOTES_DATABASE"]

    def run(self, sql, *values):
        connection = sqlite3.connect(self.path, timeout=20)
        try:
            with connection:
                cursor = connection.execute(sql, values)
                return cursor.lastrowid, cursor.fetchall()
        finally:
            connection.close()

    def create(self):
        connection = sqlite3.connect(self.path, timeout=20)
        connection.executescript(SCHEMA)
        connection.close()

    def add_note(self, text):
        return {"id": self.run("insert into notes (text) values (?)", text)[0], "text": text}

    def note(self, number):
        rows = self.run("select id, text from notes where id = ?", number)[1]
        return {"id": rows[0][0], "text": rows[0][1]} if rows else None

    def notes(self):
        return [{"id": number, "text": text} for number, text in self.run("select id, text from notes order by id")[1]]

    def add_job(self):
        return self.run("insert into jobs (result) values (null)")[0]

    def finish_job(self, number, result):
        self.run("update jobs set result = ? where id = ?", result, number)

    def job(self, number):
        rows = self.run("select result from jobs where id = ?", number)[1]
        return {"id": number, "result": rows[0][0]} if rows else None

    def record(self, event):
        self.run("insert into life (event) values (?)", event)

    def life(self):
        return [event for event, in self.run("select event from life order by rowid")[1]]


class Steps:
    """The client says when the next piece of a stream, or a background job, may go on."""

    def __init__(self):
        self.events = {}

    def event(self, name):
        return self.events.setdefault(name, asyncio.Event())

    async def wait(self, name):
        await self.event(name).wait()
        del self.events[name]

    def release(self, name):
        self.event(name).set()


class Meeting:
    """A request waits here until `n` are inside at the same time: only concurrency lets it through."""

    def __init__(self):
        self.inside = 0
        self.full = asyncio.Event()

    async def join(self, n):
        self.inside += 1
        full = self.full
        if self.inside >= n:
            self.inside = 0
            self.full = asyncio.Event()
            full.set()
        await full.wait()


PIECES = 5


async def pieces(steps, name):
    """A stream whose every piece but the first waits for the client to have seen the one before."""
    for number in range(PIECES):
        if number:
            await steps.wait(f"{name}.{number}")
        yield f"piece {number}\n".encode()
