"""Every value is valid or does not exist, and an error names the field as the contract spells it."""

import dataclasses
import math
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from velum_pipeline.errors import OptionError
from velum_pipeline.options import ClassOptions, Ignore, Limits, Method, ObjectClass, Options, SaveMask, Tiling

FACE = {ObjectClass.FACE: ClassOptions.default(ObjectClass.FACE)}


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"quality": 101}, "quality"),
        ({"quality": -1}, "quality"),
        ({"quality": True}, "quality"),
        ({"compress_level": 10}, "compress-level"),
        ({"gps": "round"}, "gps"),
        ({"mask_scale": 0}, "mask-scale"),
        ({"mask_scale": 101}, "mask-scale"),
        ({"save_mask": "some"}, "save-mask"),
        ({"method": "smear"}, "method"),
        ({"classes": {}}, "classes"),
        ({"classes": {"cat": FACE[ObjectClass.FACE]}}, "classes"),
        ({"classes": {"person": ClassOptions(0.4, 90)}}, "kernel-size-person"),
        ({"classes": {"vehicle": ClassOptions(0.4, 0.5)}}, "kernel-size-vehicle"),
        ({"ignores": [Ignore(0, 0, 1, 1)] * 1001}, "ignores"),
    ],
)
def test_a_bad_field_is_named(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(OptionError) as caught:
        Options(**{"method": "blur", "classes": FACE, **fields})
    assert caught.value.field == named
    assert str(caught.value).startswith(named)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: ClassOptions(1.01, 0.3), "threshold"),
        (lambda: ClassOptions(math.nan, 0.3), "threshold"),
        (lambda: ClassOptions(0.5, math.inf), "kernel-size"),
        (lambda: ClassOptions(0.5, -1), "kernel-size"),
        (lambda: ClassOptions(0.5, 0.3, 0.1, 0.2), "anonymization-gradient-start"),
        (lambda: ClassOptions(0.5, 0.3, 9.0), "anonymization-gradient-start"),
        (lambda: Ignore(-1, 0, 1, 1), "ignores.topLeftX"),
        (lambda: Ignore(0, 0, 1, 1.5), "ignores.height"),  # type: ignore[arg-type]
        (lambda: Tiling("pano"), "format"),
        (lambda: Tiling("pano", 4000), "format"),
        (lambda: Tiling("whole", 4096), "format"),
        (lambda: Tiling("grid", columns=0), "format.number"),
        (lambda: Tiling("grid", columns=100, rows=100), "format.number"),
        (lambda: Tiling("grid", overlap_x=-1), "format.overlap"),
        (lambda: Limits(0), "max_pixels"),
    ],
)
def test_a_bad_part_is_named(make: Any, named: str) -> None:
    with pytest.raises(OptionError) as caught:
        make()
    assert caught.value.field == named


def test_the_contract_s_numbers() -> None:
    assert [name.type_id for name in ObjectClass] == [103, 102, 100, 101]
    assert [name.mask_bit for name in ObjectClass] == [32, 64, 128, 16]
    defaults = [ClassOptions.default(name) for name in ObjectClass]
    assert [value.threshold for value in defaults] == [0.5, 0.5, 0.4, 0.4]
    assert [value.kernel for value in defaults] == [0.35, 0.5, 91, 61]
    assert {(value.gradient_start, value.gradient_stop) for value in defaults} == {(0.3, 0.0)}


def test_which_masks_are_saved() -> None:
    assert [(mode.binary, mode.instance) for mode in SaveMask] == [
        (True, True),
        (True, False),
        (False, True),
        (False, False),
    ]


def test_options_are_values() -> None:
    given_classes = dict(FACE)
    options = Options(Method.BLUR, given_classes, ignores=(Ignore(1, 2, 3, 4),), tiling=Tiling("pano", 8192))
    given_classes.clear()
    assert list(options.classes) == [ObjectClass.FACE]
    assert pickle.loads(pickle.dumps(options)) == options
    assert options.thresholds == {ObjectClass.FACE: 0.5}
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.quality = 5  # type: ignore[misc]
    with pytest.raises(TypeError):
        options.classes[ObjectClass.FACE] = None  # type: ignore[index]


@given(st.floats() | st.integers() | st.none() | st.text(max_size=3))
def test_a_threshold_is_a_number_between_0_and_1_or_an_error(value: Any) -> None:
    valid = isinstance(value, int | float) and not math.isnan(value) and 0 <= value <= 1
    if valid:
        assert ClassOptions(value, 0.3).threshold == value
    else:
        with pytest.raises(OptionError):
            ClassOptions(value, 0.3)
