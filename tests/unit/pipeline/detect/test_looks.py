"""Looks of one pack weigh against each other; packs do not: the best word of any counts."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from velum_pipeline.detect.candidates import Candidates
from velum_pipeline.detect.component import Sighting
from velum_pipeline.detect.inputs import scale
from velum_pipeline.detect.looks import Looks
from velum_pipeline.detect.merge import SAME_OBJECT, fuse, merge
from velum_pipeline.detect.spec import ComponentSpec
from velum_pipeline.detect.tiles import Window
from velum_pipeline.options import ObjectClass

FACE, PERSON = ObjectClass.FACE, ObjectClass.PERSON
WINDOW = Window(0, 0, 640, 480)
Rows = list[tuple[float, float, float, float, float]]

place = st.integers(0, 60).map(float)
side = st.integers(5, 60).map(float)
row = st.tuples(place, place, side, side, st.integers(1, 100)).map(
    lambda v: (v[0], v[1], v[0] + v[2], v[1] + v[3], v[4] / 100)
)
looks_of_a_pack = st.lists(st.tuples(st.lists(row, max_size=6), st.sampled_from([None, 24, 48])), max_size=4)


def spec(name: ObjectClass = FACE, largest: int | None = None) -> ComponentSpec:
    decoder = "yunet" if name is FACE else "picodet"
    return ComponentSpec.model_validate(
        {
            "name": "look",
            "file": "look.onnx",
            "licence": "none",
            "decoder": decoder,
            "input": {"kind": "dynamic", "max_side": 320, "colour": "bgr", "largest": largest},
            "classes": {name: {"threshold": 0.5}},
        }
    )


def seen(rows: Rows) -> Candidates:
    table = np.array(rows, np.float32).reshape(-1, 5)
    return Candidates.of(table[:, :4], table[:, 4])


def looked(*looks: tuple[str, Rows], name: ObjectClass = FACE) -> Candidates:
    """What several components, each given by its pack, say of a scene together."""
    together = Looks()
    for pack, rows in looks:
        together.add(pack, spec(name), [name], [WINDOW], [Sighting({name: seen(rows)}, 0)], None)
    return together.fused(name, None)


@settings(max_examples=100, deadline=None)
@given(looks_of_a_pack, st.sampled_from([FACE, PERSON]), st.sampled_from([None, 640]))
def test_one_pack_is_its_looks_fused_to_the_last_bit(
    given_looks: list[tuple[Rows, int | None]], name: ObjectClass, period: int | None
) -> None:
    together, merged, ranges = Looks(), [], []
    for rows, largest in given_looks:
        one = spec(name, largest)
        together.add("pack", one, [name], [WINDOW], [Sighting({name: seen(rows)}, 0)], period)
        merged.append(merge(seen(rows), SAME_OBJECT[name], period))
        ranges.append((0, np.inf if largest is None else largest / scale(one.input, 640, 480)))
    count = max(1, len(given_looks))
    expected = fuse(merged, SAME_OBJECT[name], period, complete=count, ranges=ranges, average=name is FACE)
    found = together.fused(name, period)
    np.testing.assert_array_equal(found.boxes, expected.boxes)
    np.testing.assert_array_equal(found.scores, expected.scores)


def test_silence_counts_within_a_pack_only() -> None:
    doubtful: Rows = [(10, 10, 50, 50, 0.6)]
    (alone,) = looked(("one", doubtful)).scores
    (beside,) = looked(("one", doubtful), ("other", [])).scores
    (within,) = looked(("one", doubtful), ("one", [])).scores
    assert alone == beside == np.float32(0.6)
    assert within < 0.5


def test_agreement_of_packs_adds_nothing_and_the_best_box_counts() -> None:
    found = looked(("one", [(10, 10, 50, 50, 0.6)]), ("other", [(12, 10, 52, 50, 0.7), (200, 10, 240, 50, 0.3)]))
    np.testing.assert_allclose(found.boxes, [[12, 10, 52, 50], [200, 10, 240, 50]], rtol=1e-6)
    np.testing.assert_array_equal(found.scores, np.array([0.7, 0.3], np.float32))


@settings(max_examples=100, deadline=None)
@given(st.lists(row, max_size=6), st.lists(row, max_size=6), st.sampled_from([FACE, PERSON]))
def test_what_one_pack_is_sure_of_no_other_takes_away(one: Rows, other: Rows, name: ObjectClass) -> None:
    """Hosts of hints are such results, too."""
    alone, both = looked(("one", one), name=name), looked(("one", one), ("other", other), name=name)
    for box, score in zip(alone.boxes, alone.scores, strict=True):
        low, high = np.maximum(both.boxes[:, :2], box[:2]), np.minimum(both.boxes[:, 2:], box[2:])
        shared = np.maximum(high - low, 0).prod(axis=1)
        joint = (both.boxes[:, 2:] - both.boxes[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod() - shared
        same = shared / joint >= SAME_OBJECT[name] - 1e-6
        assert same.any()
        assert both.scores[same].max() >= score
