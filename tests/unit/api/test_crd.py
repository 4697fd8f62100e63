"""The generated definitions: structural, described, up to date, and complete in what may not change."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field

from velum.api import AnonymizationModel, AnonymizationTask, crd
from velum.api.crd import UnsupportedSchema, structural
from velum.api.crd.schema import PASSED_ON
from velum.api.task import TaskSpec

ROOT = Path(__file__).resolve().parents[3]
GENERATE = ROOT / "hack" / "generate"
TYPES: dict[str, type[BaseModel]] = {"AnonymizationTask": AnonymizationTask, "AnonymizationModel": AnonymizationModel}

KEYWORDS = PASSED_ON | {"properties", "items", "additionalProperties"}
BOUNDED = {"string": "maxLength", "array": "maxItems"}


def schema(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = crd.build(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found


def nodes(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for keyword in ("items", "additionalProperties"):
        if keyword in node:
            yield from nodes(node[keyword], f"{path}[]")


@pytest.mark.parametrize("kind", crd.KINDS)
class TestStructure:
    """The rules of structural schemas, as the API server checks them when a definition is created."""

    def test_every_node_has_one_type_and_known_keywords_only(self, kind: str) -> None:
        for path, node in nodes(schema(kind)):
            assert node["type"] in {"object", "array", "string", "integer", "boolean"}, path
            assert {key for key in node if not key.startswith("x-kubernetes-")} <= KEYWORDS, path
            assert not {"properties", "additionalProperties"} <= {*node}, path
            assert ("items" in node) == (node["type"] == "array"), path
            assert not {"$ref", "anyOf", "title", "nullable"} & {*node}, path

    def test_required_fields_exist_and_have_no_default(self, kind: str) -> None:
        for path, node in nodes(schema(kind)):
            for name in node.get("required", []):
                assert "default" not in node["properties"][name], f"{path}.{name}"

    def test_everything_in_the_spec_is_bounded_so_that_cel_has_a_price(self, kind: str) -> None:
        for path, node in nodes(schema(kind)["properties"]["spec"]):
            if "enum" not in node:
                assert BOUNDED.get(node["type"], "type") in node, path
            if node["type"] == "integer" and "enum" not in node:
                assert {"minimum", "maximum"} <= {*node}, path

    def test_every_field_is_described(self, kind: str) -> None:
        for path, node in nodes(schema(kind)):
            if not path.endswith("[]") and path != ".metadata":
                assert len(node["description"]) > 4, path
                assert "\n" not in node["description"], path
                assert node["description"].endswith("."), path

    def test_list_types_fit_their_lists(self, kind: str) -> None:
        for path, node in nodes(schema(kind)):
            match node.get("x-kubernetes-list-type"):
                case "set":
                    assert node["items"]["type"] == "string", path
                case "map":
                    assert {*node["x-kubernetes-list-map-keys"]} <= {*node["items"]["required"]}, path

    def test_defaults_are_what_the_types_say(self, kind: str) -> None:
        """A resource in which the server fills in defaults is the one that pydantic makes of it."""
        minimal = {
            "AnonymizationTask": {"source": {"object": {"key": "a"}}, "classes": {"face": {}, "person": {}}},
            "AnonymizationModel": {"packs": ["a"], "classes": ["face"]},
        }[kind]
        resource = {"metadata": {"name": "a"}, "spec": minimal}
        filled = {**resource, "spec": fill(schema(kind)["properties"]["spec"], minimal)}
        assert TYPES[kind].model_validate(filled) == TYPES[kind].model_validate(resource)
        assert TYPES[kind].model_validate(resource).wire()["spec"] == filled["spec"]  # type: ignore[attr-defined]


def fill(node: dict[str, Any], value: Any) -> Any:
    """Fill in defaults as the API server does."""
    if node["type"] != "object":
        return value
    filled = dict(value)
    for name, child in node.get("properties", {}).items():
        if name not in filled and "default" in child:
            filled[name] = child["default"]
        if name in filled:
            filled[name] = fill(child, filled[name])
    return filled


class TestDefinition:
    def test_every_field_but_suspend_is_immutable(self) -> None:
        rules = schema("AnonymizationTask")["properties"]["spec"]["x-kubernetes-validations"]
        fields = [rule["fieldPath"].removeprefix(".") for rule in rules if "oldSelf" in rule["rule"]]
        aliases = [field.alias for field in TaskSpec.model_fields.values()]
        assert sorted([*fields, "suspend"]) == sorted(map(str, aliases))

    def test_columns_name_fields_that_exist(self) -> None:
        for kind in crd.KINDS:
            known = {path for path, _ in nodes(schema(kind))} | {".metadata.creationTimestamp"}
            version = crd.build(kind)["spec"]["versions"][0]
            for column in version["additionalPrinterColumns"]:
                assert column["jsonPath"].split("[?")[0] in known
            for selectable in version.get("selectableFields", []):
                assert selectable["jsonPath"] in known

    def test_an_unknown_kind_is_an_error(self) -> None:
        with pytest.raises(KeyError):
            crd.build("AnonymizationJob")

    def test_the_same_types_give_the_same_definition_and_share_nothing(self) -> None:
        first = crd.build("AnonymizationTask")
        text = json.dumps(first)
        first["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"].clear()
        assert json.dumps(crd.build("AnonymizationTask")) == text


class Inner(BaseModel):
    """Words at
    the definition."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-map-type": "atomic"})
    value: int = 3
    other: str = Field("o", max_length=5)


class TestConversion:
    def test_references_are_replaced_and_their_own_words_win(self) -> None:
        class Outer(BaseModel):
            """Outer."""

            plain: Inner
            described: Inner = Field(description="Words at the reference.")
            optional: Inner | None = None

        properties = structural(Outer)["properties"]
        assert properties["plain"]["description"] == "Words at the definition."
        assert properties["described"]["description"] == "Words at the reference."
        assert properties["plain"]["x-kubernetes-map-type"] == "atomic"
        assert "default" not in properties["optional"]
        assert properties["optional"]["properties"] == properties["plain"]["properties"]

    def test_a_factory_s_default_is_told_in_full(self) -> None:
        class Outer(BaseModel):
            inner: Inner = Field(default_factory=lambda: Inner(value=4))
            table: dict[str, int] = Field(default_factory=dict)

        properties = structural(Outer)["properties"]
        assert properties["inner"]["default"] == {"value": 4, "other": "o"}
        assert properties["table"]["default"] == {}
        assert properties["table"]["additionalProperties"] == {"type": "integer", "format": "int64"}

    def test_a_literal_of_one_is_an_enum(self) -> None:
        class Outer(BaseModel):
            kind: Literal["only"]

        assert structural(Outer)["properties"]["kind"]["enum"] == ["only"]

    @pytest.mark.parametrize(
        ("annotation", "keyword"),
        [
            (int | str, "anyOf"),
            (tuple[int, str], "prefixItems"),
            (Any, "without a type"),
            (set[int], "uniqueItems"),
        ],
    )
    def test_what_the_api_server_cannot_say_is_an_error_with_its_path(self, annotation: Any, keyword: str) -> None:
        bad = type("Bad", (BaseModel,), {"__annotations__": {"field": annotation}, "__module__": __name__})
        with pytest.raises(UnsupportedSchema, match=keyword) as caught:
            structural(bad)
        assert caught.value.path == "Bad.field"

    def test_a_bound_that_is_no_keyword_is_an_error(self) -> None:
        class Bad(BaseModel):
            number: int = Field(gt=3)

        with pytest.raises(UnsupportedSchema, match="exclusiveMinimum"):
            structural(Bad)


def generate(*args: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, GENERATE, *args], capture_output=True, text=True, check=False)


class TestGenerate:
    def test_the_files_are_up_to_date(self) -> None:
        checked = generate("--check")
        assert checked.returncode == 0, checked.stdout + checked.stderr

    def test_the_files_are_what_build_says_in_yaml_1_1_too(self) -> None:
        for kind in crd.KINDS:
            text = (ROOT / "crds" / f"{kind.lower()}s.yaml").read_text()
            assert text.startswith("# Generated")
            assert yaml.safe_load(text) == crd.build(kind)
            # kubectl reads a bare y as true
            assert "- y\n" not in text
            assert " y:" not in text

    def test_check_shows_what_differs_and_writes_nothing(self, tmp_path: Path) -> None:
        assert generate("--root", tmp_path).returncode == 0
        assert generate("--root", tmp_path, "--check").returncode == 0
        file = tmp_path / "crds" / "anonymizationtasks.yaml"
        changed = file.read_text().replace("maximum: 2047", "maximum: 4095")
        file.write_text(changed)
        checked = generate("--root", tmp_path, "--check")
        assert checked.returncode == 1
        assert "-" + " " * 24 + "maximum: 4095\n" in checked.stdout
        assert "+" + " " * 24 + "maximum: 2047\n" in checked.stdout
        assert file.read_text() == changed

    def test_check_finds_files_that_are_missing_or_too_many(self, tmp_path: Path) -> None:
        generate("--root", tmp_path)
        (tmp_path / "crds" / "anonymizationmodels.yaml").unlink()
        (tmp_path / "crds" / "old.yaml").write_text("{}")
        checked = generate("--root", tmp_path, "--check")
        assert checked.returncode == 1
        assert "+++ crds/anonymizationmodels.yaml (generated)" in checked.stdout
        assert "crds/old.yaml is not generated" in checked.stdout
