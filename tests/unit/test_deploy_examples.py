"""The examples of examples/deploy, looked at without a container engine or a cluster."""

import json
import re
from pathlib import Path
from typing import Any

import compose_spec
import kubernetes_validate
import pytest
import yaml

from dispatch.settings import Settings

FOLDER = Path(__file__).parents[2] / "examples" / "deploy"
COMPOSE, KUBERNETES = FOLDER / "compose.yaml", FOLDER / "kubernetes.yaml"
SETTINGS = {f"DISPATCH_{name.upper()}" for name in Settings.model_fields}
NAMED = re.compile(r"\bDISPATCH_[A-Z_]+\b")
SECRETS = {
    "DISPATCH_SESSION_KEY": "s" * 32,
    "DISPATCH_DATA_KEYS": f"k1:{'A' * 43}=",
    "DISPATCH_LOOKUP_KEY": "l" * 32,
}


def composed() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    return found


def resources() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(KUBERNETES.read_text(encoding="utf-8")))


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [resource for resource in resources() if resource["kind"] == kind]


def read_as_settings(told: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in {**told, **SECRETS}.items():
        monkeypatch.setenv(name, value)
    return Settings()


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
def test_every_setting_that_an_example_names_is_one(path: Path):
    named = set(NAMED.findall(path.read_text(encoding="utf-8")))
    assert named
    assert named <= SETTINGS


@pytest.mark.parametrize("path", [COMPOSE, KUBERNETES], ids=lambda path: path.name)
def test_an_example_says_that_it_was_not_run(path: Path):
    assert "NOT run by us" in path.read_text(encoding="utf-8").split("\n\n")[0]


def by_the_specification(told: dict[str, Any]) -> None:
    found = compose_spec.PyCompose.from_json(json.dumps(told))
    for part in ("validate", "validate_configs", "validate_networks", "validate_secrets", "validate_volumes"):
        getattr(found, part)()


def test_the_compose_file_is_one_by_the_specification():
    by_the_specification(composed())
    wrong = composed()
    wrong["services"]["serve"]["restrat"] = "never"
    with pytest.raises(ValueError, match="restrat"):
        by_the_specification(wrong)
    wrong = composed()
    wrong["services"]["prometheus"]["configs"][0]["source"] = "nowhere"
    with pytest.raises(ValueError, match="nowhere"):
        by_the_specification(wrong)


def test_what_the_compose_file_sets_is_read_and_stops_are_long_enough(monkeypatch: pytest.MonkeyPatch):
    services = composed()["services"]
    told = dict(services["serve"]["environment"])
    told["DISPATCH_DATABASE_URL"] = told["DISPATCH_DATABASE_URL"].replace("${POSTGRES_PASSWORD:?}", "word")
    settings = read_as_settings(told, monkeypatch)
    assert settings.production
    assert settings.host == "0.0.0.0"
    assert int(services["serve"]["stop_grace_period"].rstrip("s")) > settings.drain_seconds + 10
    assert "ports" not in services["serve"]
    assert [name for name, service in services.items() if "ports" in service] == ["proxy"]


@pytest.mark.parametrize("resource", resources(), ids=lambda one: f"{one['kind']} {one['metadata']['name']}")
def test_every_resource_is_one_by_the_schema_of_kubernetes(resource: dict[str, Any]):
    kubernetes_validate.validate(resource, kubernetes_validate.latest_version(), strict=True)
    wrong = {**resource, "nonsense": True}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, kubernetes_validate.latest_version(), strict=True)


def test_what_kubernetes_is_told_fits_together(monkeypatch: pytest.MonkeyPatch):
    (config,) = of_kind("ConfigMap")
    settings = read_as_settings(config["data"], monkeypatch)
    assert settings.production
    pods = {one["metadata"]["name"]: one["spec"]["template"]["spec"] for one in of_kind("Deployment")}
    serve = pods["dispatch-serve"]
    (container,) = serve["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"http": settings.port, "figures": int(settings.metrics_address.rpartition(":")[2])}
    assert serve["terminationGracePeriodSeconds"] > settings.drain_seconds + 10
    probe = container["readinessProbe"]
    assert probe["httpGet"]["path"] == "/v1/readyz"
    assert probe["periodSeconds"] * probe["failureThreshold"] < settings.drain_seconds
    for resource in (*of_kind("Deployment"), *of_kind("Job")):
        labels = resource["spec"]["template"]["metadata"]["labels"]
        wanted = resource["spec"].get("selector", {}).get("matchLabels", labels)
        assert labels == wanted
    (service,) = of_kind("Service")
    assert service["spec"]["selector"] == of_kind("Deployment")[0]["spec"]["selector"]["matchLabels"]
