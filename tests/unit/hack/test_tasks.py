"""What the benchmark of tasks makes of its measurements."""

import statistics

import numpy as np
import pytest

from benchmarks.tasks import quantile_ms


def test_one_picture_is_its_own_quantile() -> None:
    assert quantile_ms([0.25], 0.5) == quantile_ms([0.25], 0.99) == 250


def test_quantiles_are_those_of_the_standard_library() -> None:
    seconds = np.random.default_rng(0).exponential(0.1, 200).tolist()
    assert quantile_ms(seconds, 0.99) == pytest.approx(statistics.quantiles(seconds, n=100)[98] * 1000)
    assert quantile_ms(seconds, 0.5) == pytest.approx(statistics.median(seconds) * 1000)
