"""Thresholds are the least that reach a precision, and go into the manifest where they belong."""

from __future__ import annotations

import tomllib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.errors import WeightsInvalid
from training.weights.calibrate_step import replaced
from training.weights.curve import Curve
from velum_pipeline.options import ObjectClass

NONE = np.zeros((0, 4))


def boxes(*rows: tuple[float, float]) -> np.ndarray:
    """Squares of ten pixels at these places, far from each other."""
    return np.array([[x, y, x + 10, y + 10] for x, y in rows]).reshape(-1, 4)


def curve_of(*pictures: tuple[np.ndarray, list[float], np.ndarray]) -> Curve:
    curve = Curve()
    for found, scores, truth in pictures:
        curve.add(found, np.array(scores), truth, NONE, 0.5)
    return curve


def test_the_least_threshold_that_is_precise_enough() -> None:
    found = boxes((0, 0), (100, 0), (200, 0), (300, 0))
    curve = curve_of((found, [0.9, 0.8, 0.7, 0.6], boxes((0, 0), (100, 0), (300, 0), (500, 0))))
    point = curve.threshold(0.75)
    assert (point.threshold, point.recall, point.precision) == (0.6, 0.75, 0.75)
    assert curve.threshold(0.9).threshold == 0.8


def test_a_precision_out_of_reach_gives_the_best_balance() -> None:
    curve = curve_of((boxes((0, 0), (100, 0), (200, 0)), [0.9, 0.8, 0.1], boxes((100, 0))))
    point = curve.threshold(0.99)
    assert (point.threshold, point.recall, point.precision) == (0.8, 1.0, 0.5)


def test_detections_of_one_score_stand_or_fall_together() -> None:
    curve = curve_of((boxes((0, 0), (100, 0)), [0.5, 0.5], boxes((0, 0))))
    assert curve.threshold(1.0).precision == 0.5


def test_what_lies_on_ignored_objects_counts_as_nothing() -> None:
    curve = Curve()
    curve.add(boxes((0, 0), (100, 0)), np.array([0.9, 0.4]), boxes((100, 0)), boxes((0, 0)), 0.5)
    assert curve.threshold(1.0).recall == 1.0


def test_nothing_found_is_no_threshold_that_finds() -> None:
    assert curve_of((NONE, [], boxes((0, 0)))).threshold(0.5).recall == 0.0
    assert Curve().threshold(0.5).threshold == 1.0


@given(st.lists(st.tuples(st.floats(0.01, 0.99), st.booleans()), min_size=1, max_size=40), st.floats(0.05, 0.95))
def test_it_is_what_counting_again_gives(seen: list[tuple[float, bool]], precision: float) -> None:
    places = boxes(*((100 * n, 0) for n in range(len(seen))))
    truth = places[[right for _, right in seen]]
    scores = [score for score, _ in seen]
    point = curve_of((places, scores, truth)).threshold(precision)
    if not len(truth):
        assert point.recall == 0
        return
    above = [right for score, right in seen if score >= point.threshold]
    assert point.precision == pytest.approx(sum(above) / len(above))
    assert point.recall == pytest.approx(sum(above) / len(truth))
    lower = sorted({score for score in scores if score < point.threshold})
    if point.precision >= precision:
        for threshold in lower:
            kept = [right for score, right in seen if score >= threshold]
            assert sum(kept) / len(kept) < precision


MANIFEST = """# the words stay
[[components]]
name = "near"
classes = { face = { threshold = 0.5 } }

[[components]]
name = "far"   # not this one's name either

[[components]]
name = "far"

[components.classes]
face = { threshold = 0.3 }        # chosen
license-plate = { threshold = 0.25 }
"""


def test_one_number_is_replaced() -> None:
    text = replaced(MANIFEST, "far", ObjectClass.FACE, 0.4321)
    assert text == MANIFEST.replace("0.3 }        #", "0.432 }        #")
    assert tomllib.loads(text)["components"][2]["classes"]["face"]["threshold"] == 0.432


def test_a_number_that_is_not_there_is_said() -> None:
    with pytest.raises(WeightsInvalid, match="person in far"):
        replaced(MANIFEST, "far", ObjectClass.PERSON, 0.4)
    with pytest.raises(WeightsInvalid, match="face in wide"):
        replaced(MANIFEST, "wide", ObjectClass.FACE, 0.4)
