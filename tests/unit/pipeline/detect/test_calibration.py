from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from velum_pipeline.detect.calibration import Calibration

inner = st.floats(0.01, 0.99)
scores = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=50)


def test_the_native_threshold_becomes_the_contracts() -> None:
    calibration = Calibration(native=0.2, contract=0.5)  # odds of 1 to 4 become even: four times the odds
    given, expected = [0, 1 / 9, 0.2, 0.5, 1.0], [0, 1 / 3, 0.5, 0.8, 1]
    np.testing.assert_allclose(calibration.apply(np.array(given)), expected, atol=1e-6)


@given(inner, inner, scores)
def test_ranking_and_range_survive(native: float, contract: float, values: list[float]) -> None:
    ordered = np.sort(np.array(values, np.float32))
    mapped = Calibration(native, contract).apply(ordered)
    assert mapped.dtype == np.float32
    assert (np.diff(mapped) >= 0).all()
    assert mapped.min() >= 0
    assert mapped.max() <= 1


@given(inner, inner, st.floats(0, 1))
def test_invert_is_the_way_back(native: float, contract: float, score: float) -> None:
    calibration = Calibration(native, contract)
    assert calibration.apply(np.array([calibration.invert(score)]))[0] == pytest.approx(score, abs=1e-5)


def test_what_lies_outside_is_clipped() -> None:
    np.testing.assert_array_equal(Calibration(0.3, 0.5).apply(np.array([-1.0, 7.0])), [0, 1])


@pytest.mark.parametrize("value", [0, 1, -0.1, 1.1, float("nan")])
def test_a_threshold_at_the_end_has_no_odds(value: float) -> None:
    with pytest.raises(ValueError, match="native"):
        Calibration(value, 0.5)
    with pytest.raises(ValueError, match="contract"):
        Calibration(0.5, value)
