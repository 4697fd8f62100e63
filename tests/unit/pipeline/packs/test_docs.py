"""The manifests that docs/models.md shows are some."""

from __future__ import annotations

import re
from pathlib import Path

from velum_pipeline.detect.outlinespec import OutlineSpec
from velum_pipeline.detect.spec import ClassSpec, HeadSpec
from velum_pipeline.options import ObjectClass
from velum_pipeline.packs import PackRegistry, parse_manifest

PAGE = Path(__file__).parents[4] / "docs" / "models.md"
TORCH_FILE = f'\n[[files]]\nname = "my_yunet.pt2"\nsha256 = "{"0" * 64}"\nsize = 1\n'


def examples() -> list[str]:
    return re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_the_example_is_a_manifest_that_shows_every_key() -> None:
    example, masks, outlines = examples()
    manifest = parse_manifest(example, "docs/models.md")
    full = parse_manifest(re.sub(r"(?m)^# (?=wheel|split|torch)", "", example + TORCH_FILE), "docs/models.md")
    assert full.files[0].wheel is not None
    assert full.components[0].torch == "my_yunet.pt2"
    assert full.measured
    assert full.components[0].input.split is not None
    shown = {*type(manifest).model_fields, *type(full.files[0]).model_fields, *type(full.components[0]).model_fields}
    shown |= {*type(full.components[0].input).model_fields, *type(full.components[0].input.split).model_fields}
    shown |= {*ClassSpec.model_fields, *HeadSpec.model_fields, *OutlineSpec.model_fields}
    shown |= {*type(full.measured[0]).model_fields}
    assert not [key for key in sorted(shown) if not re.search(rf"\b{key}\b", example + masks + outlines)]


def test_the_example_with_masks_is_a_manifest() -> None:
    (component,) = parse_manifest(examples()[1], "docs/models.md").components
    assert component.head == HeadSpec(layout="yolov8", labels=80)
    assert component.classes[ObjectClass.VEHICLE].labels == (2, 3, 5, 7)
    assert component.decode()


def test_the_example_with_outlines_is_a_manifest() -> None:
    (outline,) = parse_manifest(examples()[2], "docs/models.md").outlines
    assert (outline.side, outline.margin, outline.threshold, outline.grow) == (128, 0.15, 0.3, 0.03)
    assert outline.classes == {ObjectClass.PERSON}


def test_the_table_says_what_the_manifests_say() -> None:
    """`velum models list` shows the manifest's figures: recall and precision at IoU 0.5 stand second in a cell."""
    told: dict[tuple[str, str, str], list[str]] = {}
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and "/" in cells[1]:
            told[cells[0], cells[1], cells[2].replace("plate", "license-plate")] = cells[3:]
    for pack in ("centerface", "street"):
        manifest = PackRegistry().get(pack)
        rows = {(each.set, each.cls.value): each for each in manifest.measured}
        assert {key[1:] for key in told if key[0] == pack} == rows.keys()
        for (of, name), measured in rows.items():
            recall, precision = told[pack, of, name][2:4] if measured.format == "auto" else told[pack, of, name][:2]
            assert (measured.recall, measured.precision) == (
                float(recall.split("/")[1]),
                float(precision.split("/")[1]),
            )
