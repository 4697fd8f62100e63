"""skaffold.yaml: every path, stage and value that it names is there, and Skaffold's own schema takes it."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from localplane.errors import LocalPlaneError
from localplane.gomodules import fetched

ROOT = Path(__file__).resolve().parents[3]
MODULE = "github.com/GoogleContainerTools/skaffold/v2@v2.16.1"


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "skaffold.yaml").read_text())


def profile(config: dict[str, Any], name: str) -> dict[str, Any]:
    return next(each for each in config["profiles"] if each["name"] == name)


def patched(config: dict[str, Any], name: str) -> dict[str, Any]:
    """The configuration with a profile's patches, which all add something."""
    whole = json.loads(json.dumps(config))
    for patch in profile(config, name).get("patches", []):
        *way, last = patch["path"].strip("/").split("/")
        place = whole
        for step in way:
            place = place[int(step)] if isinstance(place, list) else place[step]
        assert patch["op"] == "add"
        place.append(patch["value"]) if last == "-" else place.update({last: patch["value"]})
    return whole


@pytest.fixture(params=["cpu", "gpu"])
def whole(config: dict[str, Any], request: pytest.FixtureRequest) -> dict[str, Any]:
    return patched(config, request.param)


def leaves(values: dict[str, Any], before: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{before}{name}.")
        else:
            yield before + name


def test_every_stage_and_file_that_is_built_is_there(whole: dict[str, Any]) -> None:
    for artifact in whole["build"]["artifacts"]:
        text = (ROOT / artifact["context"] / artifact["docker"]["dockerfile"]).read_text()
        assert re.search(rf"^FROM .* AS {artifact['docker']['target']}$", text, re.MULTILINE)


def test_what_is_copied_into_pods_is_what_the_image_runs(whole: dict[str, Any]) -> None:
    """The same folders as the image's stage copies, so that no change of code needs a build."""
    for artifact in whole["build"]["artifacts"]:
        for rule in artifact["sync"]["manual"]:
            assert rule["dest"] == "/home/velum/src"
            assert "strip" not in rule  # operator/… and serve/… keep their places below it
            assert list(ROOT.glob(rule["src"])), rule["src"]
    copied = {rule["src"] for each in whole["build"]["artifacts"] for rule in each["sync"]["manual"]}
    for package in ("operator/velum", "operator/velum_operator", "serve/velum_cli", "serve/velum_ingress"):
        assert f"{package}/**/*.py" in copied


def test_the_release_gets_each_image(whole: dict[str, Any]) -> None:
    (release,) = whole["manifests"]["helm"]["releases"]
    built = {re.sub(r"[/-]", "_", each["image"]) for each in whole["build"]["artifacts"]}
    named = {re.fullmatch(r"\{\{\.IMAGE_(REPO|TAG)_(\w+)\}\}", each) for each in release["setValueTemplates"].values()}
    assert {match[2] for match in named if match} == built
    assert None not in named


def test_every_value_is_one_of_the_chart(whole: dict[str, Any]) -> None:
    (release,) = whole["manifests"]["helm"]["releases"]
    known = yaml.safe_load((ROOT / release["chartPath"] / "values.yaml").read_text())
    names = list(release["setValueTemplates"])
    for file in release["valuesFiles"]:
        names += leaves(yaml.safe_load((ROOT / file).read_text()))
    for name in names:
        if name.startswith("models."):
            continue  # named freely
        place = known
        for step in name.split("."):
            assert step in place, name
            place = place[step]


def test_forwarded_ports_are_of_services_by_the_releases_name(whole: dict[str, Any]) -> None:
    (release,) = whole["manifests"]["helm"]["releases"]
    assert {(each["resourceName"], each["localPort"]) for each in whole["portForward"]} == {
        (f"{release['name']}-ingress", 7000),
        (f"{release['name']}-head-svc", 8265),
    }
    assert {each["namespace"] for each in whole["portForward"]} == {release["namespace"]}


@pytest.fixture(scope="module")
def schemas() -> Path:
    """Skaffold's schemas, out of its Go module."""
    try:
        module = fetched(MODULE, os.environ)
    except LocalPlaneError as error:
        pytest.skip(f"Skaffold's schema is in its Go module: {error}")
    return module / "docs-v2" / "content" / "en" / "schemas"


def test_skaffold_takes_it(config: dict[str, Any], schemas: Path) -> None:
    version = config["apiVersion"].partition("/")[2]
    validator = jsonschema_rs.validator_for(json.loads((schemas / f"{version}.json").read_text()))
    for each in (config, patched(config, "gpu")):
        assert [str(error) for error in validator.iter_errors(each)] == []
    wrong = {**config, "portForwarding": []}
    assert list(validator.iter_errors(wrong)), "the schema refuses nothing"
