# SPDX-License-Identifier: BSD-3-Clause
"""What the environment decides: files of variables, variables of other servers, and what Kubernetes sets for each service."""

import json
import signal

import pytest

from lib.server import Server
from lib.site import serves
from process.test_conf import tine, values

ENV_FILE = """\
# a comment

PLAIN=one two # a comment
export EXPORTED = yes
SINGLE='a ${PLAIN} "b" \\n'
DOUBLE="a ${PLAIN}\\n\\"b\\" # no comment"
EMPTY=
HASH=a#b
REFERENCE=${PLAIN}/${MISSING_OF_IT:-other}/${MISSING_OF_IT}/$PLAIN
FROM_OUTSIDE=file
IN_BOTH=file
"""


def shown(tmp_path, *args, **env):
    done = tine("-T", *args, cwd=tmp_path, **env)
    assert done.returncode == 0, done.stderr
    return values(done.stdout)


def test_a_file_of_variables(tmp_path):
    (tmp_path / "vars.env").write_text(ENV_FILE)
    app = tmp_path / "main.py"
    app.write_text("import json, os\ndef application(environ, start_response):\n    start_response('200 OK', [])\n"
                   "    return [json.dumps(dict(os.environ)).encode()]\n")
    config = {"server": {"env_file": "vars.env"}, "env": {"IN_BOTH": "section"}}
    with Server("main:application", config, cwd=tmp_path, env={"FROM_OUTSIDE": "outside"}) as s:
        found = json.loads(s.get("/").body)
    wanted = {"PLAIN": "one two", "EXPORTED": "yes", "SINGLE": 'a ${PLAIN} "b" \\n', "DOUBLE": 'a one two\n"b" # no comment',
              "EMPTY": "", "HASH": "a#b", "REFERENCE": "one two/other//$PLAIN", "FROM_OUTSIDE": "outside", "IN_BOTH": "section"}
    assert {name: found.get(name) for name in wanted} == wanted


def test_a_reload_reads_the_file_again(tmp_path):
    (tmp_path / "vars.env").write_text("WORD=one\n")
    (tmp_path / "main.py").write_text("import os\ndef application(environ, start_response):\n    start_response('200 OK', [])\n"
                                      "    return [os.environ['WORD'].encode()]\n")
    with Server("main:application", {"server": {"env_file": "vars.env"}}, cwd=tmp_path, respawn=True) as s:
        assert s.get("/").body == b"one"
        (tmp_path / "vars.env").write_text("WORD=two\n")
        s.signal(signal.SIGHUP)
        s.wait_log("reloaded: generation")
        serves(s, "two")


def test_the_origin_of_a_variable_is_shown(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "vars.env").write_text("\nA=1\n")
    found = shown(tmp_path, "-C", "deep", "-o", "server.env_file=vars.env")
    value, origin = found["env", "A"]
    assert value == "1" and origin.endswith("deep/vars.env:2")


@pytest.mark.parametrize("text, why", [("A\n", "expected NAME=VALUE"), ("A='b\n", "not closed"), ("A='b' c\n", "after the closing"),
                                       ("1A=b\n", "expected NAME=VALUE")])
def test_mistakes_in_the_file_are_told_with_their_line(tmp_path, text, why):
    (tmp_path / "vars.env").write_text(text)
    done = tine("-t", "-o", "server.env_file=vars.env", "a:b", cwd=tmp_path)
    assert done.returncode == 1 and "vars.env:1: " in done.stderr and why in done.stderr


def test_a_file_that_is_not_there(tmp_path):
    done = tine("-t", "-o", "server.env_file=vars.env", "a:b", cwd=tmp_path)
    assert done.returncode == 1 and "command line -o: server.env_file: " in done.stderr and "No such file" in done.stderr


LINKS = {
    "TINE_APP_SERVICE_HOST": "10.0.0.1", "TINE_APP_SERVICE_PORT": "80", "TINE_APP_SERVICE_PORT_HTTP": "80",
    "TINE_APP_PORT": "tcp://10.0.0.1:80", "TINE_APP_PORT_80_TCP": "tcp://10.0.0.1:80", "TINE_APP_PORT_80_TCP_PROTO": "tcp",
    "TINE_APP_PORT_80_TCP_PORT": "80", "TINE_APP_PORT_80_TCP_ADDR": "10.0.0.1", "TINE_METRICS_PORT": "tcp://10.0.0.2:9100",
    "TINE_ENV_SERVICE_HOST": "10.0.0.3", "TINE_ENV_SERVICE_PORT": "1", "TINE_ENV_PORT": "udp://10.0.0.3:1",
    "TINE_MOUNT_SERVICE_HOST": "10.0.0.4", "TINE_SERVER_PORT_53_UDP_ADDR": "10.0.0.5",
}


def test_variables_of_kubernetes_services_are_no_settings(tmp_path):
    plain, linked = shown(tmp_path), shown(tmp_path, **LINKS)
    assert linked == plain


def test_settings_that_look_like_them_still_count(tmp_path):
    found = shown(tmp_path, TINE_ENV_DB_SERVICE_HOST="db", TINE_HTTP_KEEPALIVE="7s")
    assert found["env", "DB_SERVICE_HOST"][0] == "db" and found["http", "keepalive"][0] == "7s"
    done = tine("-T", cwd=tmp_path, TINE_METRICS_PORT="9100")
    assert done.returncode == 1 and "TINE_METRICS_PORT" in done.stderr, "a mistake, and no address of a service"


def test_forwarded_allow_ips_is_honoured_where_nothing_else_says(tmp_path):
    value, origin = shown(tmp_path, FORWARDED_ALLOW_IPS="10.0.0.0/8,*")["http", "forwarded_allow_ips"]
    assert value == "*, 10.0.0.0/8" and origin == "environment FORWARDED_ALLOW_IPS"
    assert shown(tmp_path, "-o", "http.forwarded_allow_ips=1.2.3.4", FORWARDED_ALLOW_IPS="junk")["http", "forwarded_allow_ips"][0] == "1.2.3.4"


FOREIGN = {"GUNICORN_CMD_ARGS": "-w 3", "UVICORN_PORT": "9", "UVICORN_WORKERS": "2", "UVICORN_SERVICE_HOST": "10.0.0.1"}


def test_variables_of_other_servers_are_warned_about(tmp_path):
    done = tine("-t", "builtin:hello", cwd=tmp_path, **FOREIGN)
    assert done.returncode == 0
    for name in ("GUNICORN_CMD_ARGS", "UVICORN_PORT", "UVICORN_WORKERS"):
        assert f"{name} in the environment has no effect: tine --import-" in done.stderr
    assert "SERVICE_HOST" not in done.stderr
    with Server("builtin:hello", env=FOREIGN) as s:
        assert "[WARNING] GUNICORN_CMD_ARGS in the environment has no effect: tine --import-gunicorn" in s.log()
