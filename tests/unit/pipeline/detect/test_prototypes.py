"""Masks from prototypes, as numpy arrays and as torch tensors: outputs whose answers were worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from velum_pipeline.detect import ModelInvalid, prototypes
from velum_pipeline.detect.arrays import host_floats
from velum_pipeline.detect.candidates import MAX_CANDIDATES
from velum_pipeline.detect.decoders import LABELLED_DECODERS, Decoded, Head
from velum_pipeline.detect.prototypes import LogitMap, Sketch
from velum_pipeline.options import ObjectClass

PERSON, VEHICLE = ObjectClass.PERSON, ObjectClass.VEHICLE
LABELS = {PERSON: (0,), VEHICLE: (2, 3)}
COUNT, KERNELS = 5, 4
SIZE = (64, 96)
FLOORS = {PERSON: 0.5, VEHICLE: 0.5}
Kind = Callable[[NDArray[np.float32]], Any]
kinds = pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy], ids=["numpy", "torch"])


def decode(layout: str, kind: Kind, rows: NDArray[np.float32], maps: NDArray[np.float32] | None = None) -> Decoded:
    """Rows (N, values) as the layout has them, for one picture."""
    maps = np.zeros((1, KERNELS, 16, 24), np.float32) if maps is None else maps
    predictions = np.ascontiguousarray(rows.T if layout == "yolov8" else rows)[None]
    bound = LABELLED_DECODERS["prototype-masks"].bind(Head(layout, COUNT, LABELS))
    (decoded,) = bound({"boxes": kind(predictions), "maps": kind(maps)}, SIZE, FLOORS)
    return decoded


def row(layout: str, box: tuple[float, ...], scores: dict[int, float], *coefficients: float) -> list[float]:
    """One row: box is x1 y1 x2 y2, scores by label, an objectness of 0.8 where there is one."""
    x1, y1, x2, y2 = box
    if layout == "end-to-end":
        label = max(scores, key=lambda one: scores[one])
        return [x1, y1, x2, y2, scores[label], label, *coefficients]
    start = [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, *([0.8] if layout == "yolov5" else [])]
    return [*start, *(scores.get(label, 0.0) for label in range(COUNT)), *coefficients]


@kinds
@pytest.mark.parametrize("layout", ["yolov8", "yolov5", "end-to-end"])
def test_boxes_scores_and_labels(layout: str, kind: Kind) -> None:
    rows = [
        row(layout, (10, 20, 50, 60), {0: 0.9, 1: 0.1}, 1, 2, 3, 4),
        row(layout, (0, 0, 8, 8), {1: 0.99}, 0, 0, 0, 0),  # a label of no class
        row(layout, (4, 4, 20, 12), {3: 0.75, 2: 0.25}, 5, 6, 7, 8),
        row(layout, (4, 4, 20, 12), {0: 0.4}, 0, 0, 0, 0),  # below the floor
    ]
    decoded = decode(layout, kind, np.array(rows, np.float32))
    objectness = 0.8 if layout == "yolov5" else 1.0
    persons, vehicles = decoded.found[PERSON], decoded.found[VEHICLE]
    np.testing.assert_allclose(persons.boxes, [[10, 20, 50, 60]])
    np.testing.assert_allclose(persons.scores, [0.9 * objectness], rtol=1e-6)
    np.testing.assert_allclose(vehicles.boxes, [[4, 4, 20, 12]])
    np.testing.assert_allclose(vehicles.scores, [0.75 * objectness], rtol=1e-6)
    assert persons.segments is not None
    assert vehicles.segments is not None
    np.testing.assert_array_equal(host_floats(persons.segments[0].coefficients), [1, 2, 3, 4])
    np.testing.assert_array_equal(host_floats(vehicles.segments[0].coefficients), [5, 6, 7, 8])
    assert vehicles.segments[0].stride == 4
    assert decoded.non_finite == 0


@kinds
def test_a_picture_gets_the_prototypes_of_its_own(kind: Kind) -> None:
    predictions = np.zeros((2, 4 + COUNT + KERNELS, 1), np.float32)
    predictions[:, :5, 0] = [32, 32, 16, 16, 0.9]
    maps = np.stack([np.full((KERNELS, 16, 24), value, np.float32) for value in (3, 5)])
    bound = LABELLED_DECODERS["prototype-masks"].bind(Head("yolov8", COUNT, LABELS))
    decoded = bound({"p": kind(predictions), "m": kind(maps)}, SIZE, FLOORS)
    sketches = [one.found[PERSON].segments[0] for one in decoded]  # type: ignore[index]
    assert [float(sketch.prototypes[0, 0, 0]) for sketch in sketches] == [3, 5]


@kinds
def test_numbers_that_are_not_finite_are_dropped_and_counted(kind: Kind) -> None:
    rows = np.array([row("yolov8", (10, 20, 50, 60), {0: 0.9}, 1, 1, 1, 1) for _ in range(4)], np.float32)
    rows[0, 4] = np.nan
    rows[1, 0] = np.inf
    rows[2, 9] = np.nan  # a coefficient: the box stays, its outline is nowhere
    decoded = decode("yolov8", kind, rows, np.ones((1, KERNELS, 16, 24), np.float32))
    found = decoded.found[PERSON]
    assert len(found) == 2
    assert decoded.non_finite == 2
    assert found.segments is not None
    marked = [sketch.bits(10, 20, 50, 60).mean() for sketch in found.segments]
    assert marked == [0, 1]


@kinds
def test_the_best_survive_the_limit(kind: Kind) -> None:
    scores = np.random.default_rng(1).uniform(0.5, 1, 2 * MAX_CANDIDATES).astype(np.float32)
    rows = np.array([row("yolov8", (0, 0, 8, 8), {0: float(score)}, 0, 0, 0, 0) for score in scores], np.float32)
    found = decode("yolov8", kind, rows).found[PERSON]
    np.testing.assert_array_equal(found.scores, np.sort(scores)[::-1][:MAX_CANDIDATES])


@pytest.mark.parametrize(
    ("layout", "shapes"),
    [
        ("yolov8", {"p": (1, 10, 4 + COUNT + KERNELS), "m": (1, KERNELS, 16, 24)}),  # rows where columns should be
        ("yolov8", {"p": (1, 5 + COUNT + KERNELS, 10), "m": (1, KERNELS, 16, 24)}),  # with objectness
        ("yolov5", {"p": (1, 10, 4 + COUNT + KERNELS), "m": (1, KERNELS, 16, 24)}),  # without
        ("yolov5", {"p": (1, 10, 6 + COUNT + KERNELS), "m": (1, KERNELS, 16, 24)}),  # one label more
        ("end-to-end", {"p": (1, 10, 6 + KERNELS), "m": (1, KERNELS + 1, 16, 24)}),
        ("end-to-end", {"p": (1, 10, 6 + KERNELS), "m": (2, KERNELS, 16, 24)}),
        ("yolov8", {"p": (1, 4 + COUNT + KERNELS, 10), "m": (1, KERNELS, 16, 16)}),
        ("yolov8", {"p": (1, 4 + COUNT + KERNELS, 10), "m": (1, KERNELS, 128, 192)}),
        ("yolov8", {"p": (1, 4 + COUNT + KERNELS, 10)}),
        ("yolov8", {"m": (1, KERNELS, 16, 24)}),
        ("yolov8", {"p": (1, 4 + COUNT + KERNELS, 10), "q": (1, 4, 4), "m": (1, KERNELS, 16, 24)}),
    ],
)
def test_another_networks_outputs_are_refused(layout: str, shapes: dict[str, tuple[int, ...]]) -> None:
    bound = LABELLED_DECODERS["prototype-masks"].bind(Head(layout, COUNT, LABELS))
    with pytest.raises(ModelInvalid, match="prototype-masks"):
        bound({name: np.zeros(shape, np.float32) for name, shape in shapes.items()}, SIZE, FLOORS)


def test_outputs_of_other_axes_do_not_matter() -> None:
    """YOLOv5 exports carry their raw maps along."""
    bound = LABELLED_DECODERS["prototype-masks"].bind(Head("yolov5", COUNT, LABELS))
    shapes = {"p": (1, 10, 5 + COUNT + KERNELS), "m": (1, KERNELS, 16, 24), "raw": (1, 3, 8, 12, 14)}
    (decoded,) = bound({name: np.zeros(shape, np.float32) for name, shape in shapes.items()}, SIZE, FLOORS)
    assert not len(decoded.found[PERSON])


@pytest.mark.parametrize("factor", [1, 3, 4, 16])
def test_logits_are_interpolated_as_pictures_are(factor: int) -> None:
    """OpenCV's linear resize has the same idea of where a pixel's centre lies."""
    logits = np.random.default_rng(factor).normal(size=(9, 13)).astype(np.float32)
    resized = cv2.resize(logits, (13 * factor, 9 * factor), interpolation=cv2.INTER_LINEAR)
    bits = LogitMap(logits, (40.0, -20.0), (factor, factor)).bits(40, -20, 40 + 13 * factor, -20 + 9 * factor)
    clear = np.abs(resized) > 1e-4
    np.testing.assert_array_equal(bits[clear], (resized > 0)[clear])


def test_a_large_mask_is_made_in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = LogitMap(np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32), (0, 0), (7.3, 5.1))
    expected = whole.bits(0, 0, 219, 102)
    monkeypatch.setattr(prototypes, "BAND_PIXELS", 500)
    np.testing.assert_array_equal(whole.bits(0, 0, 219, 102), expected)


@kinds
@given(
    x=st.integers(0, 180),
    y=st.integers(0, 120),
    width=st.integers(1, 100),
    height=st.integers(1, 80),
    scale=st.sampled_from([0.4, 1.0, 2.5]),
)
def test_a_box_is_drawn_from_the_cells_about_it(
    kind: Kind, x: int, y: int, width: int, height: int, scale: float
) -> None:
    """Settled on a box, an outline is inside it what the whole map would give, also where it ends or begins."""
    maps = np.random.default_rng(5).normal(size=(KERNELS, 16, 24)).astype(np.float32)
    coefficients = np.array([1, -0.5, 2, 0.25], np.float32)
    sketch = Sketch(kind(maps), kind(coefficients), 4, (scale, scale), (-7.0, 3.5))
    box = np.array([x, y, x + width, y + height], np.float32)
    everything = LogitMap(np.tensordot(coefficients, maps, 1), (-7.0, 3.5), (4 * scale, 4 * scale))
    settled = sketch.settled(box)
    assert settled.settled(box) is settled
    np.testing.assert_array_equal(
        settled.bits(x, y, x + width, y + height), everything.bits(x, y, x + width, y + height)
    )
