"""Parameters with a structure of their own: how a picture is tiled, and what is ignored in it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.asking import asked, refused, spec
from velum.api.task import PANO_WIDTHS, Tiling
from velum.errors import InvalidInput
from velum_pipeline import options as pipeline


def test_the_resource_and_the_pipeline_know_the_same_panoramas() -> None:
    assert PANO_WIDTHS == pipeline.PANO_WIDTHS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("whole", Tiling()),
        ("Auto", Tiling(mode="auto")),
        *((f"pano:{width}", Tiling(mode="pano", pano_width=width)) for width in PANO_WIDTHS),
        ('{"number":[2,3],"overlap":[10,20]}', Tiling(mode="grid", columns=2, rows=3, overlap_x=10, overlap_y=20)),
        ("{'number': [2, 3], 'overlap': [0, 0]}", Tiling(mode="grid", columns=2, rows=3)),
        ('{"number":[4.0,4]}', Tiling(mode="grid", columns=4, rows=4)),
    ],
)
def test_formats(text: str, expected: Tiling) -> None:
    assert spec(format=text).tiling == expected


@pytest.mark.parametrize(
    "text",
    [
        "pano",
        "pano:",
        "pano:1000",
        "pano:-4096",
        "tiles",
        "{",
        "{}",
        "[]",
        '{"number":[0,1]}',
        '{"number":[33,1]}',
        '{"number":[2]}',
        '{"number":[2,2,2]}',
        '{"number":"22"}',
        '{"number":[true,1]}',
        '{"number":[1.5,1]}',
        '{"number":[NaN,1]}',
        '{"number":[1e400,1]}',
        '{"number":[2,2],"overlap":[-1,0]}',
        '{"number":[2,2],"overlap":[0,4097]}',
        '{"number":[2,2],"size":[1,1]}',
        "{" * 10_000,
        "[" * 16_000,
    ],
)
def test_bad_formats(text: str) -> None:
    assert refused({"face": "1", "format": text}).field.startswith("format")


AREA = {"topLeftX": 1, "topLeftY": 2, "width": 3, "height": 4}


@pytest.mark.parametrize("dump", [json.dumps, str, lambda value: json.dumps(value, indent=1)])
def test_ignores_as_json_and_as_python_prints_them(dump: Any) -> None:
    found = spec(ignores=dump([AREA, AREA])).ignores
    assert [(each.left, each.top, each.width, each.height) for each in found] == [(1, 2, 3, 4)] * 2


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ("nonsense", "ignores"),
        (AREA, "ignores"),
        ([AREA] * 129, "ignores"),
        ([3], "ignores[0]"),
        ([AREA, {**AREA, "colour": 1}], "ignores[1]"),
        ([{"topLeftX": 1}], "ignores[0]"),
        ([{**AREA, "width": 0}], "ignores[0].width"),
        ([{**AREA, "topLeftX": -1}], "ignores[0].topLeftX"),
        ([{**AREA, "height": 10**9}], "ignores[0].height"),
        ([{**AREA, "height": 10**400}], "ignores[0].height"),
        ([{**AREA, "topLeftY": "2"}], "ignores[0].topLeftY"),
        ([{**AREA, "topLeftY": True}], "ignores[0].topLeftY"),
        ([{**AREA, "topLeftY": 1.5}], "ignores[0].topLeftY"),
        ([{**AREA, "topLeftY": None}], "ignores[0].topLeftY"),
    ],
)
def test_bad_ignores(value: Any, field: str) -> None:
    assert refused({"face": "1", "ignores": value if isinstance(value, str) else json.dumps(value)}).field == field


@given(text=st.text(max_size=60) | st.recursive(st.integers() | st.booleans() | st.none(), st.lists).map(json.dumps))
def test_any_text_makes_structure_or_is_refused(text: str) -> None:
    for name in ("ignores", "format"):
        try:
            asked([("face", "1"), (name, text)]).spec("k", "f")
        except InvalidInput as error:
            assert error.field.startswith(name)  # noqa: PT017 - other texts are values
