# SPDX-License-Identifier: BSD-3-Clause
"""The Helm chart and the manifests made from it: what they say to Tine and to Kubernetes. $TINE_TEST_HELM is the program helm,
$TINE_TEST_VENV a virtual environment with kubernetes-validate (the gate "cluster"); without them the manifests alone are looked at."""

import os
import re
import subprocess

import pytest

from lib.build import ROOT
from lib.waiting import DEADLINE
from process.test_conf import tine, values

yaml = pytest.importorskip("yaml")
HELM, VENV = os.environ.get("TINE_TEST_HELM"), os.environ.get("TINE_TEST_VENV")
MANIFESTS = ROOT / "conf" / "kubernetes" / "tine.yaml"

# Each of them a way in which people set the chart.
CASES = {
    "defaults": [],
    "everything": ["autoscaling.enabled=true", "serviceMonitor.enabled=true", "serviceMonitor.labels.release=prometheus",
                   "app.env[0].name=A", "app.env[0].value=b", "app.envFrom[0].secretRef.name=s", "networkPolicy.from[0].podSelector.matchLabels.a=b",
                   "podAnnotations.x=y", "imagePullSecrets[0].name=r", "nodeSelector.disk=ssd", "fsGroup=7"],
    "openshift": ["runAsUser=null", "fsGroup=null"],
    "plain": ["networkPolicy.enabled=false", "podDisruptionBudget.enabled=false", "drainDelay=3", "gracefulTimeout=60", "workers=4"],
    "more of the configuration": ["config.http.max_inflight=8", "config.http.max_queue=16", "config.websocket.ping_interval=30s"],
}


def template(settings):
    if not HELM:
        pytest.skip("TINE_TEST_HELM is not set")
    words = [word for one in settings for word in ("--set", one)]
    done = subprocess.run([HELM, "template", "web", "--kube-version", "1.30.0", str(ROOT / "conf" / "helm"), *words], capture_output=True, text=True,
                          timeout=DEADLINE)
    assert done.returncode == 0, done.stderr
    return done.stdout


def documents(text):
    return {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(text) if one}


@pytest.fixture(scope="module")
def manifests():
    return documents(MANIFESTS.read_text())


def ini_of(found):
    return next(one for (kind, _), one in found.items() if kind == "ConfigMap")["data"]["tine.ini"]


def pod_of(found):
    return next(one for (kind, _), one in found.items() if kind == "Deployment")["spec"]["template"]["spec"]


def judge(found, tmp_path):
    """What holds of the chart whatever its values are."""
    (tmp_path / "tine.ini").write_text(ini_of(found))
    shown = tine("-T", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr + ini_of(found)
    keys = values(shown.stdout)
    pod = pod_of(found)
    container = pod["containers"][0]

    def seconds(key):
        number, unit = re.fullmatch(r"(\d+)(s|m)?", keys["server", key][0]).groups()
        return int(number) * (60 if unit == "m" else 1)
    assert pod["terminationGracePeriodSeconds"] > seconds("drain_delay") + seconds("graceful_timeout"), "else requests are cut"
    assert "lifecycle" not in container, "drain_delay instead"
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    assert keys["server", "bind"][0] == f"0.0.0.0:{ports['http']}" and keys["metrics", "bind"][0] == f"0.0.0.0:{ports['metrics']}"
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["port"] == "metrics"
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz" and container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    ready = container["readinessProbe"]
    assert ready["periodSeconds"] * ready["failureThreshold"] < seconds("drain_delay"), "it leaves the endpoints before it stops accepting"
    assert container["securityContext"]["readOnlyRootFilesystem"] and container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert pod["securityContext"]["runAsNonRoot"] and not pod["enableServiceLinks"] and not pod["automountServiceAccountToken"]
    assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"]
    return keys


@pytest.mark.parametrize("case", CASES)
def test_what_the_chart_makes(tmp_path, case):
    judge(documents(template(CASES[case])), tmp_path)


def test_the_manifests(manifests, tmp_path):
    judge(manifests, tmp_path)
    assert {kind for kind, _ in manifests} == {"ConfigMap", "Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler", "ServiceMonitor",
                                               "NetworkPolicy"}


def test_the_manifests_are_those_of_the_chart():
    made = template(["autoscaling.enabled=true", "serviceMonitor.enabled=true"])
    assert MANIFESTS.read_text().endswith(made), "run .ci/tools/manifests HELM"


def test_values_reach_the_configuration(tmp_path):
    keys = judge(documents(template(CASES["plain"])), tmp_path)
    assert keys["server", "graceful_timeout"][0] == "1m" and keys["server", "workers"][0] == "4"
    keys = judge(documents(template(CASES["more of the configuration"])), tmp_path)
    assert keys["http", "max_inflight"][0] == "8" and keys["websocket", "ping_interval"][0] == "30s" and keys["http", "keepalive"][0] == "75s"


def test_no_user_is_fixed_on_openshift():
    assert "runAsUser" not in pod_of(documents(template(CASES["openshift"])))["securityContext"]
    assert pod_of(documents(template([])))["securityContext"]["runAsUser"] > 0


def test_the_autoscaler_asks_for_what_the_adapter_makes(manifests):
    asked = manifests["HorizontalPodAutoscaler", "web"]["spec"]["metrics"][0]["pods"]["metric"]["name"]
    rules = yaml.safe_load((ROOT / "conf" / "prometheus" / "adapter.yaml").read_text())
    assert [rule["name"]["as"] for rule in rules] == [asked]
    assert "replicas" not in manifests["Deployment", "web"]["spec"], "the autoscaler has the number"


def test_the_network_policy_opens_metrics_to_monitoring_alone(manifests):
    web, metrics = manifests["NetworkPolicy", "web"]["spec"]["ingress"]
    assert web["ports"] == [{"port": "http"}] and metrics["ports"] == [{"port": "metrics"}] and metrics["from"]


@pytest.mark.parametrize("case", CASES)
def test_kubernetes_takes_it(tmp_path, case):
    program = f"{VENV}/bin/kubernetes-validate"
    if not VENV or not os.path.exists(program):
        pytest.skip("kubernetes-validate is not installed (TINE_TEST_VENV)")
    for (kind, name), one in documents(template(CASES[case])).items():
        if kind == "ServiceMonitor":  # a kind of the operator, which Kubernetes does not know
            continue
        path = tmp_path / f"{kind}-{name}.yaml"
        path.write_text(yaml.safe_dump(one))
        done = subprocess.run([program, "--strict", str(path)], capture_output=True, text=True, timeout=DEADLINE)
        assert done.returncode == 0, done.stdout + done.stderr
