"""Each sample is what its first line says: valid, explained, and free of fields that nobody knows."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from velum.api import AnonymizationModel, AnonymizationTask

FOLDER = Path(__file__).resolve().parents[3] / "crds" / "samples"
SAMPLES = sorted(FOLDER.glob("*.yaml"))
TYPES = {"AnonymizationTask": AnonymizationTask, "AnonymizationModel": AnonymizationModel}


def resources(sample: Path) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(sample.read_text()) if each["kind"] in TYPES]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_is_valid_and_every_field_is_known(sample: Path) -> None:
    (resource,) = resources(sample)
    parsed = TYPES[resource["kind"]].model_validate(resource)
    assert contains(parsed.wire(), resource), "a field that the types do not know, or that is read as another value"


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_opens_with_a_sentence_for_people(sample: Path) -> None:
    first = sample.read_text().splitlines()[0]
    assert first.startswith("# ")
    assert len(first.split()) > 5


def test_the_examples_in_the_documentation_are_valid_too() -> None:
    page = (FOLDER.parents[1] / "docs" / "api.md").read_text()
    examples = [yaml.safe_load(block.partition("```")[0]) for block in page.split("```yaml\n")[1:]]
    assert {each["kind"] for each in examples} == {*TYPES}
    for resource in examples:
        assert contains(TYPES[resource["kind"]].model_validate(resource).wire(), resource)


def test_names_do_not_clash() -> None:
    names = [(each["kind"], each["metadata"]["name"]) for sample in SAMPLES for each in resources(sample)]
    assert len(names) == len(set(names))


def test_models_that_tasks_name_have_a_sample() -> None:
    """And tasks need none but the default, whose pack comes with Velum: others' weights may not be there."""
    everything = [each for sample in SAMPLES for each in resources(sample)]
    models = {each["metadata"]["name"] for each in everything if each["kind"] == "AnonymizationModel"}
    named = {each["spec"].get("model", "default") for each in everything if each["kind"] == "AnonymizationTask"}
    assert named == {"default"}
    assert named < models


def test_what_needs_showing_is_shown() -> None:
    tasks = [each["spec"] for sample in SAMPLES for each in resources(sample) if each["kind"] == "AnonymizationTask"]
    shown = {field for spec in tasks for field in spec}
    assert {"destination", "webhook", "suspend", "ttlSecondsAfterFinished", "activeDeadlineSeconds"} <= shown
    assert {"backoffLimit", "ignores", "tiling", "model", "method"} <= shown
    assert any("url" in spec["source"] for spec in tasks)
    assert any(len(spec["classes"]) == 4 for spec in tasks)


def contains(whole: Any, part: Any) -> bool:
    if isinstance(part, dict):
        return all(name in whole and contains(whole[name], value) for name, value in part.items())
    if isinstance(part, list):
        return len(whole) == len(part) and all(map(contains, whole, part))
    return bool(whole == part)
