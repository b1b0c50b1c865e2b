# SPDX-License-Identifier: BSD-3-Clause
"""The alert rules, the dashboard and the autoscaler's rule in conf/: each metric and label value in them is one that /metrics has, each
alert has its line in tine(8), promtool takes the rules, and they fire when they should."""

import json
import re
import subprocess
from urllib.request import urlopen

import pytest

from lib.build import ROOT
from lib.proxies import find
from lib.server import Server
from lib.sockets import free_port
from lib.waiting import DEADLINE

yaml = pytest.importorskip("yaml")
ALERTS = ROOT / "conf" / "prometheus" / "alerts.yaml"
DASHBOARD = ROOT / "conf" / "grafana" / "tine.json"
ADAPTER = ROOT / "conf" / "prometheus" / "adapter.yaml"


@pytest.fixture(scope="module")
def exported():
    """{name: {label: values}} of a server that has everything."""
    port = free_port()
    with Server("hello", {"metrics": {"bind": f"127.0.0.1:{port}"}, "http": {"max_inflight": 1},
                          "mount:/api": {"module": "apps.hello:app"}}, tls=True) as s:
        s.get("/")
        text = urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, labels = re.match(r"(\w+)(?:\{(.*?)\})? ", line).groups()
            known = found.setdefault(name, {})
            for label, value in re.findall(r'(\w+)="([^"]*)"', labels or ""):
                known.setdefault(label, set()).add(value)
    return found


def rules():
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def panels():
    return [one for one in json.loads(DASHBOARD.read_text())["panels"] if one["type"] != "row"]


def expressions():
    found = [(rule["alert"], rule["expr"]) for rule in rules()]
    found += [(panel["title"], target["expr"]) for panel in panels() for target in panel["targets"]]
    return found + [(rule["name"]["as"], rule["metricsQuery"]) for rule in yaml.safe_load(ADAPTER.read_text())]


@pytest.mark.parametrize("title, expression", expressions())
def test_every_metric_is_one_that_is_exported(exported, title, expression):
    used = re.findall(r"\b(tine_\w+)(\{[^}]*\})?", expression)
    assert used or expression.startswith("up{")
    for name, selector in used:
        assert name in exported, f"{title}: /metrics has no {name}"
        for label, values in re.findall(r'(\w+)=~?"([^"]*)"', selector):
            if label in ("instance", "job"):
                continue
            assert set(values.split("|")) <= exported[name].get(label, set()), f"{title}: {name} has no {label} {values}"


def test_every_label_of_a_legend_or_a_sum_is_one_that_is_exported(exported):
    for panel in panels():
        for target in panel["targets"]:
            name = re.search(r"tine_\w+", target["expr"])[0]
            known = set(exported[name]) | {"instance", "job"}
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= known
            assert {one.strip() for group in re.findall(r"by \(([^)]*)\)", target["expr"]) for one in group.split(",")} <= known | {"le"}


def test_every_alert_has_its_line_in_the_manual():
    manual = (ROOT / "man" / "tine.8").read_text()
    section = manual[manual.index(".Sh ALERTS"):]
    section = section[:section.index("\n.Sh", 1)]
    described = re.findall(r"^\.It Sy (\w+)$", section, re.M)
    assert described == [rule["alert"] for rule in rules()]
    for rule in rules():
        assert rule["annotations"]["runbook"] == f"tine(8), ALERTS, {rule['alert']}"


def test_panels_do_not_overlap_and_have_their_own_numbers():
    every = json.loads(DASHBOARD.read_text())["panels"]
    assert len({one["id"] for one in every}) == len(every)
    cells = [(x, y) for one in every for x in range(one["gridPos"]["x"], one["gridPos"]["x"] + one["gridPos"]["w"])
             for y in range(one["gridPos"]["y"], one["gridPos"]["y"] + one["gridPos"]["h"])]
    assert len(cells) == len(set(cells)) and max(x for x, _ in cells) < 24


# --- promtool ---

def promtool(*words):
    if not find("promtool"):
        pytest.skip("promtool is not installed (prometheus)")
    done = subprocess.run([find("promtool"), *words], capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_takes_the_rules():
    promtool("check", "rules", str(ALERTS))


# alert: series as promtool has them; all of instance "a", job "tine".
FIRES = {
    "TineNotReady": {'tine_ready': "0x30", 'tine_state{state="running"}': "1x30"},
    "TineWorkersMissing": {'tine_workers{state="ready"}': "1x30", "tine_workers_wanted": "2x30"},
    "TineWorkersCrash": {'tine_worker_failures_total{reason="crash"}': "0+1x30"},
    "TineWorkersHang": {'tine_worker_failures_total{reason="hang"}': "0x5 1x25"},
    "TineReloadFailed": {'tine_reloads_total{outcome="failed"}': "0x5 1x25"},
    "TineErrors": {'tine_requests_total{status="5xx"}': "0+6x30", 'tine_requests_total{status="2xx"}': "0+60x30"},
    "TineSlow": {'tine_request_duration_seconds_bucket{le="2.5"}': "0+1x30", 'tine_request_duration_seconds_bucket{le="5"}': "0+60x30",
                 'tine_request_duration_seconds_bucket{le="+Inf"}': "0+60x30"},
    "TineQueue": {"tine_requests_queued": "3x30"},
    "TineQueueTime": {'tine_request_queue_seconds_bucket{le="0.5"}': "0+1x30", 'tine_request_queue_seconds_bucket{le="1"}': "0+60x30",
                      'tine_request_queue_seconds_bucket{le="+Inf"}': "0+60x30"},
    "TineRefuses": {'tine_admission_total{outcome="refused"}': "0+1x30"},
    "TineBlocked": {'tine_worker_silent_seconds{worker="1"}': "9x30"},
    "TineMemory": {"tine_memory_refusals_total": "0x5 1x25"},
    "TineCertificateExpires": {"tine_tls_certificate_expiry_seconds": "86400x90"},
    "TineLogLost": {'tine_log_lines_dropped_total{log="access"}': "0x5 7x25"},
}
# What a service at work has: nothing fires.
QUIET = {
    'up': "1x90", "tine_ready": "1x90", 'tine_state{state="running"}': "1x90", 'tine_workers{state="ready"}': "2x90", "tine_workers_wanted": "2x90",
    'tine_worker_failures_total{reason="crash"}': "0x90", 'tine_worker_failures_total{reason="hang"}': "3x90",
    'tine_reloads_total{outcome="failed"}': "1x90", 'tine_requests_total{status="5xx"}': "0+1x90",
    'tine_requests_total{status="2xx"}': "0+100x90", "tine_requests_queued": "0x90", 'tine_admission_total{outcome="refused"}': "5x90",
    'tine_worker_silent_seconds{worker="1"}': "0x90", "tine_memory_refusals_total": "2x90",
    "tine_tls_certificate_expiry_seconds": "8640000x90", 'tine_log_lines_dropped_total{log="access"}': "4x90",
    'tine_request_queue_seconds_bucket{le="0.1"}': "0+60x90", 'tine_request_queue_seconds_bucket{le="+Inf"}': "0+60x90",
    'tine_request_duration_seconds_bucket{le="0.1"}': "0+60x90", 'tine_request_duration_seconds_bucket{le="+Inf"}': "0+60x90",
}


def series_of(series):
    def named(name):
        head, brace, rest = name.partition("{")
        return head + '{instance="a",job="tine"' + ("," + rest if brace else "}")
    constant = re.compile(r"^(\d+)x(\d+)$")
    return [{"series": named(name), "values": " ".join(re.sub(constant, r"\1+0x\2", one) for one in values.split())}
            for name, values in series.items()]


def judge(tmp_path, series, wanted, at="20m"):
    (tmp_path / "alerts.yaml").write_text(ALERTS.read_text())
    tests = [{"interval": "1m", "input_series": series_of(series),
              "promql_expr_test": [{"expr": f'count(ALERTS{{alertstate="firing",alertname="{rule["alert"]}"}}) or vector(0)', "eval_time": at,
                                    "exp_samples": [{"labels": "{}", "value": 1 if rule["alert"] in wanted else 0}]} for rule in rules()]}]
    (tmp_path / "test.yaml").write_text(yaml.safe_dump({"rule_files": ["alerts.yaml"], "evaluation_interval": "1m", "tests": tests}))
    promtool("test", "rules", str(tmp_path / "test.yaml"))


def test_nothing_fires_while_all_is_well(tmp_path):
    judge(tmp_path, QUIET, set(), at="80m")


@pytest.mark.parametrize("alert", FIRES)
def test_each_alert_fires(tmp_path, alert):
    at = "80m" if alert == "TineCertificateExpires" else "18m"
    judge(tmp_path, {"up": "1x90", "tine_ready": "1x90", **FIRES[alert]}, {alert}, at)


def test_a_service_that_is_gone(tmp_path):
    judge(tmp_path, {"up": "0x90"}, {"TineDown"})
    assert set(FIRES) | {"TineDown"} == {rule["alert"] for rule in rules()}
