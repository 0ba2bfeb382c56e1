"""The files for Kubernetes: valid by their schemas, and of one mind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from photoreal.contract import HEALTH_PORT, HTTP_PORT, METRICS_PORT
from photoreal.export.acceleration import ENGINE_CACHE
from photoreal.serve.backend.metrics import STAGES
from photoreal.serve.launch.settings import ServeSettings
from tests.shared import parse_command

from .conftest import check_pinned

VERSIONS = ("1.30", "1.37")
"""Of Kubernetes: an old one that is still run, and the newest that the schemas know."""

OWN_OBJECTS = ["deployment.yaml", "service.yaml", "disruption-budget.yaml", "engines.yaml"]
Manifest = dict[str, Any]


@pytest.fixture(scope="module")
def folder(root: Path) -> Path:
    return root / "deploy" / "kubernetes"


@pytest.fixture(scope="module")
def manifests(folder: Path) -> dict[str, Manifest]:
    """Every file's object, by the file's name."""
    return {path.name: yaml.safe_load(path.read_text()) for path in folder.glob("*.yaml")}


@pytest.fixture(scope="module")
def container(manifests: dict[str, Manifest]) -> Manifest:
    (found,) = manifests["deployment.yaml"]["spec"]["template"]["spec"]["containers"]
    return dict(found)


@pytest.fixture(scope="module")
def predictor(manifests: dict[str, Manifest]) -> Manifest:
    return dict(manifests["kserve.yaml"]["spec"]["predictor"])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("file", OWN_OBJECTS)
def test_own_objects_of_kubernetes(file: str, version: str, manifests: dict[str, Manifest]) -> None:
    kubernetes_validate.validate(manifests[file], version, strict=True)


@pytest.mark.parametrize(
    ("file", "schema"),
    [
        ("kserve.yaml", "kserve.json"),
        ("autoscaler.yaml", "keda.json"),
        ("pod-monitor.yaml", "pod-monitor.json"),
    ],
)
def test_objects_of_others(file: str, schema: str, manifests: dict[str, Manifest]) -> None:
    rules = json.loads((Path(__file__).parent / "schemas" / schema).read_text())
    jsonschema.Draft202012Validator.check_schema(rules)
    jsonschema.Draft202012Validator(rules).validate(manifests[file])
    spoiled = {**manifests[file], "specs": {}}
    with pytest.raises(jsonschema.ValidationError, match="specs"):
        jsonschema.Draft202012Validator(rules).validate(spoiled)


@pytest.mark.parametrize("version", VERSIONS)
def test_what_they_share_with_objects_of_kubernetes(
    version: str, manifests: dict[str, Manifest], predictor: Manifest
) -> None:
    own = {"minReplicas", "maxReplicas", "timeout", "autoScaling", "labels"}
    pod = {key: value for key, value in predictor.items() if key not in own}
    header = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "photoreal"}}
    kubernetes_validate.validate({**header, "spec": pod}, version, strict=True)
    scaled = manifests["autoscaler.yaml"]["spec"]
    autoscaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "photoreal"},
        "spec": {
            "scaleTargetRef": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                **scaled["scaleTargetRef"],
            },
            "maxReplicas": scaled["maxReplicaCount"],
            **scaled["advanced"]["horizontalPodAutoscalerConfig"],
        },
    }
    kubernetes_validate.validate(autoscaler, version, strict=True)


def test_every_file_is_applied_but_kserve_s(manifests: dict[str, Manifest]) -> None:
    resources = manifests["kustomization.yaml"]["resources"]
    assert {*resources, "kserve.yaml", "kustomization.yaml"} == set(manifests)


def test_selectors_select_the_pods(manifests: dict[str, Manifest]) -> None:
    deployment = manifests["deployment.yaml"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    selector = deployment["spec"]["selector"]["matchLabels"]
    assert selector.items() <= labels.items()
    assert manifests["service.yaml"]["spec"]["selector"] == selector
    assert manifests["disruption-budget.yaml"]["spec"]["selector"]["matchLabels"] == selector
    target = manifests["autoscaler.yaml"]["spec"]["scaleTargetRef"]["name"]
    assert target == deployment["metadata"]["name"]


def test_ports_are_the_server_s(manifests: dict[str, Manifest], container: Manifest) -> None:
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    settings = ServeSettings()
    assert {name: ports[name] for name in settings.ports()} == settings.ports()
    for port in manifests["service.yaml"]["spec"]["ports"]:
        assert port["targetPort"] in ports
        assert port["port"] == ports[port["targetPort"]]


def test_both_ports_with_metrics_are_scraped(
    manifests: dict[str, Manifest], container: Manifest, predictor: Manifest
) -> None:
    monitor = manifests["pod-monitor.yaml"]["spec"]
    scraped = {endpoint["port"]: endpoint["path"] for endpoint in monitor["podMetricsEndpoints"]}
    assert scraped == {"metrics": "/metrics", "health": "/metrics"}
    (theirs,) = predictor["containers"]
    for ports in (container["ports"], theirs["ports"]):
        found = {port["name"]: port["containerPort"] for port in ports}
        assert (found["metrics"], found["health"]) == (METRICS_PORT, HEALTH_PORT)
    selected = monitor["selector"]["matchLabels"].items()
    pod = manifests["deployment.yaml"]["spec"]["template"]["metadata"]
    assert selected <= pod["labels"].items()
    assert selected <= predictor["labels"].items()
    # KServe sends requests to the first port.
    assert theirs["ports"][0]["containerPort"] == HTTP_PORT


def test_busy_replicas_count_as_well_as_waiting_requests(manifests: dict[str, Manifest]) -> None:
    queries = [one["metadata"]["query"] for one in manifests["autoscaler.yaml"]["spec"]["triggers"]]
    assert len(queries) == 2
    assert "photoreal_requests_waiting" in queries[0]
    assert 'photoreal_stage_seconds_sum{stage="total"}' in queries[1]
    assert "total" in STAGES


def _probes(container: Manifest) -> Iterator[tuple[str, Manifest]]:
    for kind in ("startup", "readiness", "liveness"):
        yield kind, container[f"{kind}Probe"]


def test_probes_ask_the_supervisor(container: Manifest, predictor: Manifest) -> None:
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert container["args"][-2:] == ["--health-port", str(ports["health"])]
    (theirs,) = predictor["containers"]
    for (kind, probe), (_, other) in zip(_probes(container), _probes(theirs), strict=True):
        asked = probe["httpGet"]
        assert asked == {"path": "/live" if kind == "liveness" else "/ready", "port": "health"}
        assert other == {**probe, "httpGet": {**asked, "port": ports["health"]}}


def test_its_command_is_one(container: Manifest) -> None:
    assert parse_command(container["args"]).params["host"] == "0.0.0.0"  # noqa: S104


def test_a_pod_has_no_more_rights_than_it_needs(
    manifests: dict[str, Manifest], container: Manifest
) -> None:
    pod = manifests["deployment.yaml"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 1000
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert all("value" not in entry for entry in container["env"])  # keys are secrets
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts["shared-memory"] == "/dev/shm"  # noqa: S108
    assert mounts["engines"] == ENGINE_CACHE
    volumes = {volume.pop("name"): volume for volume in json.loads(json.dumps(pod["volumes"]))}
    assert set(volumes) == set(mounts)
    assert volumes["shared-memory"]["emptyDir"]["medium"] == "Memory"
    # Building them takes longer than a pod that is needed can wait.
    claim = volumes["engines"]["persistentVolumeClaim"]["claimName"]
    assert claim == manifests["engines.yaml"]["metadata"]["name"]


def test_requests_in_flight_have_time_to_finish(manifests: dict[str, Manifest]) -> None:
    pod = manifests["deployment.yaml"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    pause = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    exit_timeout = parse_command(container["args"]).params["exit_timeout"]
    assert exit_timeout >= 120  # the largest photo takes half a minute, and others wait for it
    assert pod["terminationGracePeriodSeconds"] > pause + exit_timeout + 10


def test_kserve_runs_the_same(
    manifests: dict[str, Manifest], container: Manifest, predictor: Manifest
) -> None:
    pod = manifests["deployment.yaml"]["spec"]["template"]["spec"]
    (theirs,) = predictor["containers"]
    for key in ("image", "args", "env", "resources", "securityContext", "volumeMounts"):
        assert theirs[key] == container[key], key
    for key in ("securityContext", "volumes", "terminationGracePeriodSeconds"):
        assert predictor[key] == pod[key], key
    scaled = manifests["autoscaler.yaml"]["spec"]
    assert (predictor["minReplicas"], predictor["maxReplicas"]) == (
        scaled["minReplicaCount"],
        scaled["maxReplicaCount"],
    )
    metrics = [one["external"] for one in predictor["autoScaling"]["metrics"]]
    for metric, trigger in zip(metrics, scaled["triggers"], strict=True):
        for key in ("query", "serverAddress"):
            assert metric["metric"][key] == trigger["metadata"][key]
        assert metric["target"]["averageValue"] == trigger["metadata"]["threshold"]


def test_images_are_pinned(container: Manifest) -> None:
    check_pinned(container["image"])
