"""The manifests that docs/models.md shows are some."""

from __future__ import annotations

import re
from pathlib import Path

from velum_pipeline.detect.spec import ClassSpec, HeadSpec
from velum_pipeline.options import ObjectClass
from velum_pipeline.packs import parse_manifest

PAGE = Path(__file__).parents[4] / "docs" / "models.md"


def examples() -> list[str]:
    return re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_the_example_is_a_manifest_that_shows_every_key() -> None:
    example, masks = examples()
    manifest = parse_manifest(example, "docs/models.md")
    full = parse_manifest(re.sub(r"(?m)^# (?=wheel|split)", "", example), "docs/models.md")
    assert full.files[0].wheel is not None
    assert full.components[0].input.split is not None
    shown = {*type(manifest).model_fields, *type(full.files[0]).model_fields, *type(full.components[0]).model_fields}
    shown |= {*type(full.components[0].input).model_fields, *type(full.components[0].input.split).model_fields}
    shown |= {*ClassSpec.model_fields, *HeadSpec.model_fields}
    assert not [key for key in sorted(shown) if not re.search(rf"\b{key}\b", example + masks)]


def test_the_example_with_masks_is_a_manifest() -> None:
    (component,) = parse_manifest(examples()[1], "docs/models.md").components
    assert component.head == HeadSpec(layout="yolov8", labels=80)
    assert component.classes[ObjectClass.VEHICLE].labels == (2, 3, 5, 7)
    assert component.decode()
