"""The one value of arrays: rows stay together whatever is done to it."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from velum_pipeline.detections import Detections, Mask, as_classes
from velum_pipeline.options import ObjectClass

NUMBER = st.floats(-1000, 1000, width=32)


@st.composite
def detections(draw: Any) -> Detections:
    count = draw(st.integers(0, 6))
    starts = draw(hnp.arrays(np.float32, (count, 2), elements=NUMBER))
    sizes = draw(hnp.arrays(np.float32, (count, 2), elements=st.floats(0.5, 500, width=32)))
    scores = draw(hnp.arrays(np.float32, count, elements=st.floats(0, 1, width=32)))
    classes = draw(st.lists(st.sampled_from(list(ObjectClass)), min_size=count, max_size=count))
    corners = draw(st.none() | hnp.arrays(np.float32, (count, 4, 2), elements=NUMBER | st.just(float("nan"))))
    masks = draw(st.none() | st.just(tuple(Mask(k, 0, np.ones((2, 3), bool)) if k % 2 else None for k in range(count))))
    return Detections(np.hstack([starts, starts + sizes]), scores, as_classes(classes), corners, masks)


@given(st.lists(detections(), max_size=4))
def test_concatenation_keeps_every_row(parts: list[Detections]) -> None:
    whole = Detections.concatenate(parts)
    assert len(whole) == sum(map(len, parts))
    assert np.array_equal(whole.boxes, np.concatenate([np.zeros((0, 4)), *(part.boxes for part in parts)]))
    if whole.corners is not None:
        known = [np.full((len(p), 4, 2), np.nan) if p.corners is None else p.corners for p in parts if len(p)]
        assert np.array_equal(whole.corners, np.concatenate(known), equal_nan=True)
    if whole.masks is not None:
        assert whole.masks == tuple(mask for part in parts for mask in part.masks or (None,) * len(part))


@given(detections(), st.randoms())
def test_selection_keeps_rows_together(value: Detections, random: Any) -> None:
    rows = [row for row in range(len(value)) if random.random() < 0.5]
    random.shuffle(rows)
    chosen = value.select(rows)
    assert len(chosen) == len(rows)
    for new, old in enumerate(rows):
        assert np.array_equal(chosen.boxes[new], value.boxes[old])
        assert (chosen.scores[new], chosen.classes[new]) == (value.scores[old], value.classes[old])
        assert (chosen.masks or {new: None})[new] is (value.masks or {old: None})[old]
    keep = np.isin(np.arange(len(value)), rows)
    assert np.array_equal(value.select(keep).boxes, value.boxes[keep])


@given(detections(), st.integers(1, 400), st.integers(1, 400))
def test_clipped_boxes_lie_inside_and_are_not_empty(value: Detections, width: int, height: int) -> None:
    boxes = value.clipped(width, height).boxes
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2] <= width).all()
    assert (boxes[:, 3] <= height).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()


def test_shifted_and_scaled_move_everything() -> None:
    mask = Mask(2, 4, np.array([[True, False], [False, True]]))
    corners = np.arange(8, dtype=np.float32).reshape(1, 4, 2)
    value = Detections(np.array([[1, 2, 3, 6]]), np.array([0.5]), as_classes(["face"]), corners, (mask,))
    moved = value.shifted(10, -1)
    assert moved.boxes.tolist() == [[11, 1, 13, 5]]
    assert np.array_equal(moved.corners, corners + np.array([10, -1]))
    assert moved.masks is not None
    assert (moved.masks[0].x, moved.masks[0].y) == (12, 3)  # type: ignore[union-attr]
    doubled = value.scaled(2, 3)
    assert doubled.boxes.tolist() == [[2, 6, 6, 18]]
    assert doubled.masks is not None
    big = doubled.masks[0]
    assert big is not None
    assert (big.x, big.y, big.bits.shape) == (4, 12, (6, 4))
    assert big.bits[:3, :2].all()
    assert big.bits[3:, 2:].all()
    assert big.bits.sum() == 12


def test_thresholds_choose_classes_too() -> None:
    value = Detections(np.zeros((3, 4)), np.array([0.5, 0.49, 0.9]), as_classes(["face", "face", "person"]))
    assert value.above({ObjectClass.FACE: 0.5}).scores.tolist() == [0.5]


def test_empty_is_ordinary() -> None:
    empty = Detections.empty()
    assert len(empty.select([]).select(np.zeros(0, bool)).shifted(1, 1).scaled(2, 2).clipped(5, 5).above({})) == 0
    assert len(Detections.concatenate([])) == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"scores": np.zeros(2)},
        {"boxes": np.array([[0, 0, np.nan, 1]])},
        {"scores": np.array([np.inf])},
        {"classes": ["cat"]},
        {"corners": np.zeros((1, 3, 2))},
        {"masks": ()},
    ],
)
def test_what_does_not_fit_together_is_refused(fields: dict[str, Any]) -> None:
    sound = {"boxes": np.zeros((1, 4)), "scores": np.zeros(1), "classes": ["face"]}
    with pytest.raises(ValueError, match=r"."):
        Detections(**{**sound, **fields})


def test_a_mask_is_two_dimensional_and_bool() -> None:
    with pytest.raises(ValueError, match="2-D bool"):
        Mask(0, 0, np.zeros((2, 2), np.uint8))  # type: ignore[arg-type]
