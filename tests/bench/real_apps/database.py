# SPDX-License-Identifier: BSD-3-Clause
"""FastAPI with SQLAlchemy's asyncio session, one row by its key: with asyncpg where BENCH_POSTGRES tells a database that has the
table, else with aiosqlite. The pool keeps as many connections as it ever opens, so that none is opened while something is measured."""
import os
import sqlite3
import tempfile

from fastapi import Depends, FastAPI
from sqlalchemy import String
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

app = FastAPI()


class Base(DeclarativeBase):
    pass


class Thing(Base):
    __tablename__ = "things"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100))


def sqlite():
    name = os.path.join(tempfile.mkdtemp(prefix="bench-sqlite-"), "things")
    connection = sqlite3.connect(name)
    with connection:
        connection.execute("create table things (id integer primary key, name varchar(100))")
        connection.execute("insert into things values (1, 'a thing')")
    connection.close()
    return "sqlite+aiosqlite:///" + name


def postgres(url):
    return url.replace("postgresql:", "postgresql+asyncpg:").replace("sslmode", "ssl")


URL = postgres(os.environ["BENCH_POSTGRES"]) if "BENCH_POSTGRES" in os.environ else sqlite()
make_session = async_sessionmaker(create_async_engine(URL, pool_size=16, max_overflow=0), expire_on_commit=False)


async def session():
    async with make_session() as s:
        yield s


@app.get("/thing")
async def thing(session: AsyncSession = Depends(session)):
    found = await session.get(Thing, 1)
    return {"id": found.id, "name": found.name}
