"""`docker-compose.yml`: valid, closed by default, and what each profile starts."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from photoreal import contract
from photoreal.contract import DEFAULT_EXIT_TIMEOUT_S, HEALTH_PORT, METRICS_PORT
from photoreal.export.acceleration import ACCELERATORS, ENGINE_CACHE
from tests.shared import output_of

from .conftest import check_pinned

DEVICES = {"gpu": "cuda", "cpu": "cpu"}  # of the services
PROFILES = {"gpu": {"gpu"}, "cpu": {"cpu"}, "monitoring": {"prometheus", "grafana"}}


@pytest.fixture(scope="module")
def services(root: Path) -> dict[str, Any]:
    """The services by name."""
    text = (root / "docker-compose.yml").read_text()
    services: dict[str, Any] = yaml.safe_load(text)["services"]
    return services


def test_it_is_what_compose_specifies(root: Path) -> None:
    checker = Path(sys.executable).with_name("check-jsonschema")
    output_of(checker, "--builtin-schema=vendor.compose-spec", root / "docker-compose.yml")


def _clients() -> list[list[str]]:
    """The docker compose commands of this machine."""
    found = []
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]):
            version = subprocess.run([*command, "version"], capture_output=True)
            if version.returncode == 0:
                found.append(command)
    return found


@pytest.mark.skipif(not _clients(), reason="there is no docker compose here")
@pytest.mark.parametrize("profile", PROFILES)
def test_compose_itself_reads_it(profile: str, root: Path) -> None:
    for client in _clients():
        named = output_of(*client, "--profile", profile, "config", "--services", cwd=root)
        # Version 1 names the services of every profile.
        assert set(named.split()) >= PROFILES[profile]


def test_profiles(services: dict[str, Any]) -> None:
    found: dict[str, set[str]] = {}
    for name, service in services.items():
        for profile in service["profiles"]:
            found.setdefault(profile, set()).add(name)
    assert found == PROFILES


@pytest.mark.parametrize("device", ["gpu", "cpu"])
def test_a_server_has_no_more_rights_than_it_needs(device: str, services: dict[str, Any]) -> None:
    server = services[device]
    assert server["read_only"] is True  # the models are in the image
    assert server["cap_drop"] == ["ALL"]
    assert server["security_opt"] == ["no-new-privileges:true"]
    assert server["init"] is True
    assert "privileged" not in server
    # Its own time to finish, and the grace before it is killed.
    assert int(server["stop_grace_period"].removesuffix("s")) > DEFAULT_EXIT_TIMEOUT_S + 10


def test_nothing_is_reachable_from_outside_unless_asked_for(services: dict[str, Any]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert len(ports) == 5
    for port in ports:
        assert port.startswith("${PHOTOREAL_BIND:-127.0.0.1}:")
    # Metrics stay inside.
    assert not {METRICS_PORT, HEALTH_PORT} & {int(port.rpartition(":")[2]) for port in ports}


def test_keys_come_from_the_environment(services: dict[str, Any]) -> None:
    for device in ("gpu", "cpu"):
        settings = services[device]["environment"]
        assert settings["PHOTOREAL_ADMIN_KEY"] is None
        assert settings["PHOTOREAL_API_KEY"] is None


def test_images_are_made_for_their_device(services: dict[str, Any]) -> None:
    assert set(DEVICES.values()) == set(contract.DEVICES)
    for service, device in DEVICES.items():
        build = services[service]["build"]
        assert build["args"]["DEVICE"] == device
        assert services[service]["image"] == f"photoreal:{service}"
        assert (Path(build["context"])) == Path()
    assert services["gpu"]["build"]["args"]["ACCELERATOR"] == f"${{ACCELERATOR:-{ACCELERATORS[0]}}}"
    (devices,) = services["gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert devices == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
    assert services["gpu"]["volumes"] == [f"engines:{ENGINE_CACHE}"]
    assert "deploy" not in services["cpu"]


def test_images_of_others_are_pinned(services: dict[str, Any]) -> None:
    others = [service for service in services.values() if "build" not in service]
    assert len(others) == 2
    for service in others:
        check_pinned(service["image"])


def test_files_that_are_mounted_are_there(root: Path, services: dict[str, Any]) -> None:
    mounted = [
        volume.split(":")
        for service in services.values()
        for volume in service.get("volumes", [])
        if volume.startswith(".")
    ]
    assert len(mounted) == 3
    for source, _, mode in mounted:
        assert (root / source).exists()
        assert mode == "ro"


def test_prometheus_and_grafana_find_each_other(root: Path, services: dict[str, Any]) -> None:
    monitoring = root / "deploy" / "monitoring"
    scraped = yaml.safe_load((monitoring / "prometheus.yml").read_text())["scrape_configs"]
    assert [one["job_name"] for one in scraped] == ["photoreal", "photoreal-supervisor"]
    for job, port in zip(scraped, (METRICS_PORT, HEALTH_PORT), strict=True):
        (found,) = job["dns_sd_configs"]
        assert found["port"] == port
        for device in DEVICES:
            assert services[device]["networks"]["default"]["aliases"] == found["names"]
    provisioning = monitoring / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())[
        "datasources"
    ]
    assert source["url"] == "http://prometheus:9090"
    board = json.loads((monitoring / "grafana" / "dashboards" / "photoreal.json").read_text())
    assert {panel["datasource"]["uid"] for panel in board["panels"]} == {source["uid"]}
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "photoreal.yml").read_text())[
        "providers"
    ]
    folder = provider["options"]["path"]
    assert f"./deploy/monitoring/grafana/dashboards:{folder}:ro" in services["grafana"]["volumes"]
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{folder}/photoreal.json"
