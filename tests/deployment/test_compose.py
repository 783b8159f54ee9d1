"""docker-compose.yml as Compose itself reads it: valid, closed by default, and patient enough when it stops."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from service.settings import Settings
from tests.deployment.installation import ROOT

COMPOSE = Path(sys.executable).parent / "docker-compose"
SERVICES = ("db", "migrate", "api", "worker")
ONE_SHOT = ("migrate",)
DRAIN_SECONDS = Settings.read({}).drain_seconds


def compose(*arguments: str, file: Path = ROOT / "docker-compose.yml") -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMPOSE, "-f", file, *arguments], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    done = compose("config", "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    read: dict[str, Any] = json.loads(done.stdout)
    return read


def seconds(duration: str) -> float:
    """1m30s, as Compose prints it."""
    units = {"h": 3600.0, "m": 60.0, "s": 1.0}
    return sum(float(number) * units[unit] for number, unit in re.findall(r"([\d.]+)([hms])", duration))


def test_compose_accepts_the_file() -> None:
    done = compose("config", "-q")
    assert (done.returncode, done.stderr) == (0, "")


def test_compose_refuses_an_undefined_secret(tmp_path: Path) -> None:
    broken = tmp_path / "docker-compose.yml"
    broken.write_text((ROOT / "docker-compose.yml").read_text().replace("[owner_database_url]", "[absent]"))
    assert compose("config", "-q", file=broken).returncode != 0


def test_services_are_the_database_one_migration_the_api_and_a_worker(config: dict[str, Any]) -> None:
    assert set(config["services"]) == set(SERVICES)
    assert config["services"]["migrate"]["restart"] == "no"
    assert config["services"]["db"]["image"] == "postgres:18"


@pytest.mark.parametrize("name", SERVICES)
def test_service_is_confined(config: dict[str, Any], name: str) -> None:
    service = config["services"][name]
    assert service["user"] not in ("", "0", "root", "0:0")
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.get("privileged")
    assert any(mount.startswith("/tmp") for mount in service["tmpfs"])
    assert (name in ONE_SHOT) or service["healthcheck"]["test"]


def test_only_the_api_is_published_and_only_on_loopback(config: dict[str, Any]) -> None:
    ports = {name: service.get("ports", []) for name, service in config["services"].items()}
    assert [name for name, published in ports.items() if published] == ["api"]
    assert [port["host_ip"] for port in ports["api"]] == ["127.0.0.1"]
    assert config["networks"]["database"]["internal"] is True
    assert set(config["services"]["db"]["networks"]) == {"database"}


def test_migration_waits_for_the_database_and_the_rest_for_the_migration(config: dict[str, Any]) -> None:
    def waits_for(name: str) -> dict[str, str]:
        return {other: each["condition"] for other, each in config["services"][name]["depends_on"].items()}

    assert waits_for("migrate") == {"db": "service_healthy"}
    for name in ("api", "worker"):
        assert waits_for(name) == {"migrate": "service_completed_successfully"}


def test_worker_may_drain_before_it_is_killed(config: dict[str, Any]) -> None:
    worker = config["services"]["worker"]
    assert worker["stop_signal"] == "SIGTERM"
    assert seconds(worker["stop_grace_period"]) >= DRAIN_SECONDS + 15


def test_database_keeps_its_data_where_version_18_looks_for_it(config: dict[str, Any]) -> None:
    volumes = {mount["target"]: mount["type"] for mount in config["services"]["db"]["volumes"]}
    assert volumes["/var/lib/postgresql"] == "volume"


def environment(service: Mapping[str, Any]) -> dict[str, str]:
    return {name: value or "" for name, value in service.get("environment", {}).items()}


@pytest.mark.parametrize("name", SERVICES)
def test_secrets_come_from_files_and_are_in_no_environment(config: dict[str, Any], name: str) -> None:
    service = config["services"][name]
    given = environment(service)
    assert not {
        "DATABASE_URL",
        "DATABASE_DIRECT_URL",
        "OPENAI_API_KEY",
        "POSTGRES_PASSWORD",
        "AGENTIC_SECRET_KEY",
    } & set(given)
    mounted = {f"/run/secrets/{each.get('target', each['source']).split('/')[-1]}" for each in service["secrets"]}
    named = {value for variable, value in given.items() if variable.endswith("_FILE")}
    assert named
    assert named <= mounted
    assert all(each["file"].startswith(str(ROOT / "secrets")) for each in config["secrets"].values())


@pytest.mark.parametrize("name", ["migrate", "api", "worker"])
def test_variables_are_settings_that_exist(config: dict[str, Any], name: str) -> None:
    known = {setting.metadata["variable"] for setting in fields(Settings)}
    given = {variable.removesuffix("_FILE") for variable in environment(config["services"][name])}
    assert given <= known
