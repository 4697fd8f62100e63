"""One box to one outline: threshold, dilation, limits, and what a network may not answer."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from support import outlinenet
from velum_pipeline.detect import ModelInvalid, Runtime
from velum_pipeline.detect.candidates import Candidates
from velum_pipeline.detect.merge import opened
from velum_pipeline.detect.outlines import MAX_OUTLINES, Outliner, widened
from velum_pipeline.detect.outlinespec import OutlineSpec
from velum_pipeline.detect.segments import drawn

CPU = Runtime(threads=1)
Bits = NDArray[np.bool_]
Pixels = NDArray[np.uint8]
DARK = np.zeros((64, 64, 3), np.uint8)


def outliner(network: torch.nn.Module, **changes: object) -> Outliner:
    spec = OutlineSpec.model_validate(outlinenet.SPEC | changes)
    return Outliner.load(spec, outlinenet.onnx_model(network.eval()), CPU)


class Bright(torch.nn.Module):
    """A network that marks what is red, by as much as it is: logits from -4 to 4."""

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        return crops[:, 0] * (8 / 255) - 4


def one_box(*box: float) -> Candidates:
    return Candidates.of(np.array([box], np.float32), np.ones(1, np.float32))


def marked(one: Outliner, picture: Pixels, box: tuple[float, ...]) -> Bits:
    """The picture's pixels that the outliner marks for a box."""
    (segment,) = one.outlined(one_box(*box), picture, None).candidates.segments
    (piece,) = segment
    assert (piece.extent[:2] <= piece.box[:2]).all()
    assert (piece.extent[2:] >= piece.box[2:]).all()
    return np.asarray(piece.outline.bits(0, 0, picture.shape[1], picture.shape[0]))


@pytest.mark.parametrize(("threshold", "level"), [(0.5, 127.5), (0.2, 83.3), (0.8, 171.7)])
def test_the_threshold_is_a_probability(threshold: float, level: float) -> None:
    picture = np.zeros((100, 300, 3), np.uint8)
    picture[..., 2] = np.arange(300)[None].clip(0, 255)
    bits = marked(outliner(Bright(), threshold=threshold), picture, (20, 20, 280, 80))
    first = int(np.flatnonzero(bits[50])[0])
    assert first == pytest.approx(level, abs=2)


@pytest.mark.parametrize("box", [(100, 100, 200, 200), (120, 20, 180, 280), (20, 120, 280, 180)])
def test_outlines_grow_alike_along_both_axes(box: tuple[float, ...]) -> None:
    """By a share of the square root of the box's area, in pixels of the picture, however the crop was stretched."""
    picture = np.zeros((300, 300, 3), np.uint8)
    cv2.ellipse(picture, ((150, 150), (0.8 * (box[2] - box[0]), 0.8 * (box[3] - box[1])), 0), (0, 0, 255), -1)
    plain, grown = (marked(outliner(Bright(), grow=grow), picture, box) for grow in (0, 0.05))
    radius = 0.05 * np.sqrt((box[2] - box[0]) * (box[3] - box[1]))
    for axis in (0, 1):
        before, after = (np.flatnonzero(bits.any(axis=axis)) for bits in (plain, grown))
        pitch = (box[2 + axis] - box[axis]) * 1.3 / 64
        assert before[0] - after[0] == pytest.approx(radius, abs=pitch / 2 + 1)
        assert after[-1] - before[-1] == pytest.approx(radius, abs=pitch / 2 + 1)


def test_widening_is_round_in_the_picture() -> None:
    logits = np.full((65, 65), -1, np.float32)
    logits[32, 32] = 2
    rows, columns = np.nonzero(widened(logits, (0.5, 1.0), 5.0) > 0)
    distance = np.hypot((columns - 32) * 0.5, rows - 32)
    assert distance.max() <= 5.6
    assert {columns.min(), columns.max(), rows.min(), rows.max()} == {22, 42, 27, 37}
    np.testing.assert_array_equal(widened(logits, (1, 1), 0.4), logits)
    assert (widened(logits, (1e-6, 1.0), 100.0)[32] > 0).all()  # no kernel larger than the map


@pytest.mark.parametrize("box", [(0, 20, 1000, 80), (40, 20, 980, 80), (60, 20, 950, 80), (-200, 20, 760, 80)])
def test_of_an_object_around_most_of_a_panorama_no_end_is_lost(box: tuple[float, ...]) -> None:
    """The window with its margin is longer than the panorama: each pixel is seen once, and the box's all are."""
    picture = np.zeros((100, 1000, 3), np.uint8)
    picture[25:75, np.arange(box[0], box[2]).astype(int) % 1000, 2] = 255
    found = outliner(Bright()).outlined(one_box(*box), picture, 1000).candidates
    hidden = np.zeros((100, 1000), bool)
    for segment in opened(found, 1000).segments:
        mask = drawn(segment, 1000, 100)
        assert mask is not None
        hidden[mask.y :, mask.x :][: mask.bits.shape[0], : mask.bits.shape[1]] |= mask.bits
    assert hidden[picture[..., 2] > 0].mean() > 0.97  # a crop's cell is a fiftieth of the height
    assert hidden[50][picture[50, :, 2] > 0].all()


def test_a_box_outside_the_picture_is_no_failure() -> None:
    found = outliner(Bright()).outlined(one_box(500, 500, 520, 540), DARK, None).candidates
    assert found.segments[0] is None


def test_the_largest_picture_and_a_box_in_it() -> None:
    """As large as a tenth of a 300 MP picture, seen through a view that is never copied whole."""
    picture = np.zeros((3000, 9000, 3), np.uint8)
    cv2.ellipse(picture, ((4500, 1500), (8000, 2600), 0), (0, 0, 255), -1)
    bits = marked(outliner(Bright(), grow=0.02), picture, (400, 150, 8600, 2850))
    inside = picture[..., 2] > 0
    assert bits[inside].mean() > 0.999
    assert bits.sum() < 1.2 * inside.sum()


def test_a_crowd_beyond_the_limit_keeps_its_boxes() -> None:
    watch = outliner(Bright())
    boxes = np.tile(np.array([[10, 10, 50, 50]], np.float32), (MAX_OUTLINES + 5, 1))
    picture = np.full((64, 64, 3), 255, np.uint8)
    crowd = Candidates.of(boxes, np.linspace(1, 0.5, len(boxes), dtype=np.float32))
    segments = watch.outlined(crowd, picture, None).candidates.segments
    assert [segment is not None for segment in segments] == [True] * MAX_OUTLINES + [False] * 5


class Twice(torch.nn.Module):
    """Masks of another size than the crops'."""

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        return crops[:, 0, ::2, ::2]


def test_masks_of_another_shape_are_refused() -> None:
    with pytest.raises(
        ModelInvalid, match=r"outline: expected masks of shape \(1, 64, 64\), the model gave \(1, 32, 32\)"
    ):
        outliner(Twice()).outlined(one_box(10, 10, 50, 50), DARK, None)


def test_nothing_to_draw_runs_nothing() -> None:
    found = outliner(Twice()).outlined(Candidates.empty(), DARK, None)
    assert len(found.candidates) == found.non_finite == 0


def test_a_graph_of_one_crop_gets_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    one = outliner(Bright(), batch=False)
    watch = outlinenet.Watched(one._session)
    monkeypatch.setattr(one, "_session", watch)
    boxes = np.array([[5, 5, 30, 30], [20, 20, 60, 60], [0, 0, 64, 64]], np.float32)
    one.outlined(Candidates.of(boxes, np.ones(3, np.float32)), DARK, None)
    assert watch.sizes == [1, 1, 1]
