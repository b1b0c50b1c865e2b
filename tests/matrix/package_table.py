#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Which packages of PyPI work in a sub-interpreter, by version of CPython: make package-table [TABLE_ARGS='PYTHON ...'].

For each Python: a virtual environment under --folder with the wheels of PACKAGES, and for each package an application that
imports it and makes one useful call in its lifespan, started by `tine -t --import` with interpreter = main and sub in processes of
their own. What it answers, what was refused, and the files of extension modules that are mapped then are compared. It judges what
a user sees, not why. What was measured is left in --folder, as VERSION.json: --also takes such files into the table, of Pythons that
another system has (SUITE=sid .ci/tools/debian13). Standard library only; takes wheels from PyPI.
"""

import argparse
import datetime
import json
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from lib.build import binary, pythons  # noqa: E402

# name on PyPI: a call whose value is the same in every interpreter
PACKAGES = {
    "aiohttp": "import aiohttp; from yarl import URL; import multidict\nresult = str(URL('http://a/b') / 'c'), str(multidict.CIMultiDict(a='1'))",
    "argon2-cffi": "import argon2\nresult = argon2.PasswordHasher().verify(argon2.PasswordHasher(1, 64, 1).hash('a'), 'a')",
    "asyncpg": "import asyncpg; from asyncpg.protocol import protocol\nresult = protocol.Record.__name__",
    "bcrypt": "import bcrypt\nresult = bcrypt.checkpw(b'a', bcrypt.hashpw(b'a', bcrypt.gensalt(4)))",
    "brotli": "import brotli\nresult = len(brotli.decompress(brotli.compress(b'a' * 1000)))",
    "cryptography": "from cryptography.fernet import Fernet\nk = Fernet.generate_key(); result = Fernet(k).decrypt(Fernet(k).encrypt(b'a')).decode()",
    "duckdb": "import duckdb\nresult = duckdb.connect().execute('select 40 + 2').fetchall()",
    "fastuuid": "import fastuuid\nresult = len(str(fastuuid.uuid4()))",
    "gevent": "import gevent\nresult = gevent.spawn(lambda: 42).get()",
    "grpcio": "import grpc\nc = grpc.insecure_channel('127.0.0.1:1'); c.close(); result = type(c).__name__",
    "hiredis": "import hiredis\nr = hiredis.Reader(); r.feed(b'+OK\\r\\n'); result = r.gets().decode()",
    "httptools": "import httptools\nresult = httptools.parse_url(b'http://a/b').path.decode()",
    "jiter": "import jiter\nresult = jiter.from_json(b'[1]')",
    "lxml": "import lxml.etree as e\nresult = e.fromstring('<a><b/></a>')[0].tag",
    "matplotlib": "import matplotlib; matplotlib.use('agg')\nimport io, matplotlib.pyplot as p\nb = io.BytesIO(); p.plot([1, 2]); p.savefig(b); result = b.tell() > 1000",
    "msgpack": "import msgpack\nresult = msgpack.unpackb(msgpack.packb([1, 'a']))",
    "msgspec": "import msgspec\nresult = msgspec.json.decode(b'[1]', type=list[int])",
    "numba": "import numba\nresult = numba.njit(lambda n: n + 1)(41)",
    "numpy": "import numpy\nresult = float(numpy.linalg.det(numpy.eye(3))), numpy.arange(4).sum().item()",
    "onnxruntime": "import onnxruntime\nresult = onnxruntime.get_available_providers()[-1]",
    "opencv-python-headless": "import cv2, numpy\nresult = cv2.resize(numpy.zeros((4, 4), 'uint8'), (2, 2)).shape",
    "orjson": "import orjson\nresult = orjson.loads(orjson.dumps({'a': 1}))",
    "pandas": "import pandas\nresult = pandas.DataFrame({'a': [1, 2]}).a.sum().item()",
    "pillow": "import PIL.Image\nresult = PIL.Image.new('RGB', (2, 2)).resize((1, 1)).size",
    "polars": "import polars\nresult = polars.DataFrame({'a': [1, 2]}).select(polars.col('a').sum()).item()",
    "protobuf": "from google.protobuf import struct_pb2\ns = struct_pb2.Struct(); s['a'] = 1; result = struct_pb2.Struct.FromString(s.SerializeToString())['a']",
    "psycopg[binary]": "import psycopg\nfrom psycopg.pq import Conninfo\nresult = psycopg.pq.__impl__, len(Conninfo.parse(b'host=a'))",
    "psycopg2-binary": "import psycopg2, psycopg2.extensions\nresult = psycopg2.extensions.parse_dsn('host=a')",
    "pyarrow": "import pyarrow, pyarrow.compute\nresult = pyarrow.compute.sum(pyarrow.array([1, 2])).as_py()",
    "pydantic": "import pydantic\nclass M(pydantic.BaseModel):\n    a: int\nresult = M(a='1').a",
    "pymongo": "import bson\nresult = bson.decode(bson.encode({'a': 1})), bson.has_c()",
    "pyyaml": "import yaml\nresult = yaml.load('[1]', yaml.CSafeLoader)",
    "regex": "import regex\nresult = regex.findall(r'\\p{L}', 'a1')",
    "rpds-py": "import rpds\nresult = len(rpds.HashTrieMap({'a': 1}))",
    "scikit-learn": "import sklearn.linear_model as m\nresult = round(float(m.LinearRegression().fit([[0], [1]], [0, 1]).predict([[2]])[0]), 6)",
    "scipy": "import scipy.optimize\nresult = round(scipy.optimize.brentq(lambda x: x * x - 4, 0, 9), 6)",
    "shapely": "import shapely\nresult = shapely.Point(0, 0).buffer(1).area > 3",
    "sqlalchemy": "import sqlalchemy as s\nresult = s.create_engine('sqlite://').connect().execute(s.text('select 42')).scalar()",
    "tiktoken": "import tiktoken\nresult = tiktoken.Encoding('a', pat_str='.', mergeable_ranks={bytes([i]): i for i in range(256)}, special_tokens={}).encode('ab')",
    "tokenizers": "import tokenizers\nt = tokenizers.Tokenizer(tokenizers.models.WordLevel({'a': 0}, unk_token='a')); result = t.encode('a').ids",
    "ujson": "import ujson\nresult = ujson.loads(ujson.dumps([1]))",
    "uvloop": "import uvloop\nresult = uvloop.Loop.__name__",
    "watchfiles": "import watchfiles\nresult = watchfiles.Change.added.name",
    "zstandard": "import zstandard\nresult = len(zstandard.decompress(zstandard.compress(b'a' * 1000)))",
}

APPLICATION = """
import json
import sys

def use():
{code}
    return result

async def app(scope, receive, send):
    await receive()
    said = {{"result": repr(use())}}
    said["refused"] = list(getattr(sys.modules.get("_tine_refusal"), "refused", ()))
    lines = open("/proc/self/maps").read().split("\\n")
    said["files"] = sorted({{l.split("/site-packages/", 1)[1] for l in lines if ".so" in l and "/site-packages/" in l}})
    with open({out!r}, "w") as out:
        json.dump(said, out)
    await send({{"type": "lifespan.startup.complete"}})
    await receive()
    await send({{"type": "lifespan.shutdown.complete"}})
"""

WORDS = {"sub": "works", "lost": "loses a module", "error": "refuses", "crash": "crashes", "other": "answers otherwise", "unfit": "not for auto", "none": "-"}


def run(*args, **options):
    return subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)


def venv_of(python, folder):
    """With all packages that have a wheel for this Python."""
    venv = folder / re.sub(r"\W+", "-", python.strip("/"))
    if not (venv / "bin" / "python3").exists():
        subprocess.run([python, "-m", "venv", venv], check=True)
    pip = [venv / "bin" / "python3", "-m", "pip", "-q", "--disable-pip-version-check", "install", "--only-binary", ":all:"]
    if run(*pip, *PACKAGES).returncode:
        for package in PACKAGES:
            run(*pip, package)
    return venv


def versions(venv):
    listed = json.loads(subprocess.run([venv / "bin" / "python3", "-m", "pip", "--disable-pip-version-check", "list", "--format=json"],
                                       stdout=subprocess.PIPE, check=True).stdout)
    return {re.sub(r"[-_.]+", "-", p["name"]).lower(): p["version"] for p in listed}


def start(venv, code, interpreter):
    """(what the application said or None, the log)."""
    with tempfile.TemporaryDirectory(prefix="tine-table-") as name:
        folder = Path(name)
        out = folder / "said"
        code = "\n".join("    " + line for line in code.split("\n"))
        (folder / "table_app.py").write_text(APPLICATION.format(code=code, out=str(out)))
        env = {**os.environ, "VIRTUAL_ENV": str(venv), "XDG_STATE_HOME": name, "HOME": name, "PYTHONWARNINGS": "ignore"}
        shown = run(binary(), "-t", "--import", "-o", f"app.interpreter={interpreter}", "-o", "server.boot_timeout=60",
                    "table_app:app", cwd=name, env=env, timeout=200)
        return json.loads(out.read_text()) if shown.returncode == 0 and out.exists() else None, shown.stdout


def judge(venv, code):
    main, log = start(venv, code, "main")
    if main is None:
        return "none", log.strip().split("\n")[-2:]
    sub, log = start(venv, code, "sub")
    if sub is None:
        crashed = re.search(r"was killed by SIG\w+", log)
        errors = [line for line in re.findall(r"^\w[\w.]*: .*", log, re.M) if not line.startswith("Tine: ")]
        return ("crash", crashed[0]) if crashed else ("error", errors[-1] if errors else log[-300:])
    if sub["refused"]:
        return "lost", ", ".join(sub["refused"])
    if sub["result"] != main["result"]:
        return "other", sub["result"]
    missing = sorted(set(main["files"]) - set(sub["files"]))
    if missing:
        return "lost", ", ".join(missing)
    chosen = re.search(r"is ready in the main interpreter \((.*)\)$", start(venv, code, "auto")[1], re.M)
    return ("unfit", chosen[1]) if chosen else ("sub", "")


def measure(python, folder, jobs):
    venv = venv_of(python, folder)
    installed = versions(venv)
    there = {package: code for package, code in PACKAGES.items() if package.partition("[")[0] in installed}
    with ThreadPoolExecutor(jobs) as pool:
        found = dict(zip(there, pool.map(lambda code: judge(venv, code), there.values())))
    version = run(venv / "bin" / "python3", "-c", "import platform; print(platform.python_version())").stdout.strip()
    return version, installed, found


def write(out, measured):
    today = datetime.date.today().isoformat()
    print(f"Packages in a sub-interpreter of Tine's, {today}; made by tests/matrix/package_table.py (make package-table).\n", file=out)
    print("What does not say \"works\" gets the main interpreter with interpreter = auto, and works there.", file=out)
    print("not for auto: the call works, but it is known not to work well, and gets the main interpreter, too.", file=out)
    print("-: no wheel, or it does not work in the main interpreter either.\n", file=out)
    print(f"{'package':<24}" + "".join(f"{'CPython ' + version:<32}" for version, *_ in measured).rstrip(), file=out)
    for package in sorted(PACKAGES, key=str.lower):
        name = package.partition("[")[0]
        cells = []
        for _, installed, found in measured:
            verdict = found.get(package, ("none", ""))[0]
            cells.append(f"{installed.get(name, ''):<14}{WORDS[verdict]:<18}")
        print(f"{name:<24}{''.join(cells)}".rstrip(), file=out)
    print("\nWhy:", file=out)
    for version, _, found in measured:
        for package, (verdict, why) in sorted(found.items()):
            if verdict not in ("sub", "none"):
                text = re.sub(r"/\S*/site-packages/", "", " ".join(str(why).split()))
                print(f"{version:<8}{package.partition('[')[0]:<24}{text[:170]}", file=out)


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--folder", type=Path, default=Path("/var/tmp/tine-package-table"), help="for the environments, which stay there")
    options.add_argument("--jobs", type=int, default=os.cpu_count())
    options.add_argument("--out", type=Path, default=ROOT / "tests" / "matrix" / "package_table.txt")
    options.add_argument("--also", type=Path, nargs="+", default=[], help="what was measured elsewhere: VERSION.json")
    options.add_argument("python", nargs="*", help="default: each Python that this build has a module for")
    arguments = options.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    measured = [json.loads(path.read_text()) for path in arguments.also]
    for python in arguments.python or ([] if measured else pythons()):
        measured.append(measure(python, arguments.folder, arguments.jobs))
        (arguments.folder / f"{measured[-1][0]}.json").write_text(json.dumps(measured[-1]))
        print(measured[-1][0], {package: verdict for package, (verdict, _) in measured[-1][2].items() if verdict != "sub"}, flush=True)
    with open(arguments.out, "w") as out:
        write(out, sorted(measured, key=lambda m: [int(n) for n in m[0].split(".")]))


if __name__ == "__main__":
    main()
