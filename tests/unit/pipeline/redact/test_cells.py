"""Averaging into cells and painting with them, against the plainest way to write each."""

from typing import Any

import numpy as np
import pytest

from velum_pipeline.redact import cells

Array = np.ndarray[Any, Any]
DTYPES = [np.uint8, np.uint16]
CHANNELS = [1, 3, 4]


def noise(shape: tuple[int, ...], dtype: Any, seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("outlined", [False, True])
@pytest.mark.parametrize(("across", "down"), [(1, 1), (2, 2), (2, 6), (4, 1)])
def test_means_are_those_of_the_cells(dtype: Any, channels: int, outlined: bool, across: int, down: int) -> None:
    picture, strength = noise((40, 50, channels), dtype), noise((29, 31), np.uint8, 1) // 128 * 200
    means = cells.averaged(picture.reshape(40, -1), channels, 7, 5, strength, outlined, (across, down))
    assert means.dtype == np.float32
    assert means.shape == (down, across, channels)
    high, wide = 29 // down, 31 // across
    for row in range(down):
        for column in range(across):
            place = np.s_[row * high : (row + 1) * high, column * wide : (column + 1) * wide]
            pixels = picture[5:34, 7:38][place].reshape(-1, channels)
            own = pixels[strength[place].ravel() > 0] if outlined else pixels
            assert np.allclose(means[row, column], own.mean(axis=0), rtol=1e-6)


def test_a_cell_without_pixels_of_its_own_is_black() -> None:
    strength = np.zeros((10, 10), np.uint8)
    strength[:5] = 255
    means = cells.averaged(np.full((10, 30), 90, np.uint8), 3, 0, 0, strength, True, (1, 2))
    assert means.tolist() == [[[90] * 3], [[0] * 3]]


@pytest.mark.parametrize("outlined", [False, True])
def test_the_sum_of_a_very_tall_cell_does_not_run_over(outlined: bool) -> None:
    tall = np.full((3 * 2**16 + 7, 2), 65535, np.uint16)
    strength = np.full(tall.shape, 255, np.uint8)
    assert cells.averaged(tall, 1, 0, 0, strength, outlined, (1, 1)).item() == 65535


def expected(picture: Array, strength: Array, x: int, y: int, shown: Array, smooth: bool) -> Array:
    """float64, not yet rounded."""
    cover = np.zeros((*strength.shape, picture.shape[2]))
    for row, column in np.ndindex(*strength.shape):
        weights = []
        for place, length, count in (
            (row, strength.shape[0], shown.shape[0]),
            (column, strength.shape[1], shown.shape[1]),
        ):
            weight = np.zeros(count)
            where = (place + 0.5) * count / length
            if smooth:
                where = min(max(where - 0.5, 0), count - 1)
                part = where - int(where)
                weight[min(int(where) + 1, count - 1)] += part * part * (3 - 2 * part)
            weight[int(where)] += 1 - weight.sum()
            weights.append(weight)
        cover[row, column] = np.einsum("r,c,rck->k", *weights, shown)
    result = picture.astype(float)
    part = strength[..., None] / 255
    place = np.s_[y : y + strength.shape[0], x : x + strength.shape[1]]
    result[place] = result[place] * (1 - part) + cover * part
    return result


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize("grid", [(1, 1), (2, 2), (6, 2), (2, 6), (8, 8)])
def test_painting_is_interpolation_by_strength(dtype: Any, channels: int, smooth: bool, grid: tuple[int, int]) -> None:
    picture, strength = noise((40, 50, channels), dtype), noise((29, 31), np.uint8, 1)
    strength[:, 10:20] = 255
    strength[3:9, :] = 0
    shown = np.random.default_rng(2).uniform(0, np.iinfo(dtype).max, (*grid, channels)).astype(np.float32)
    painted = picture.copy()
    cells.paint(painted.reshape(40, -1), channels, 7, 5, strength, shown, smooth)
    assert np.abs(painted - expected(picture, strength, 7, 5, shown, smooth)).max() < 0.52
    untouched = np.ones((40, 50), bool)
    untouched[5:34, 7:38] = strength == 0
    assert np.array_equal(painted[untouched], picture[untouched])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("smooth", [False, True])
def test_at_full_strength_nothing_of_the_picture_is_left(dtype: Any, smooth: bool) -> None:
    """To the last bit: whatever a pixel was, it is painted the same; and at none, every value stays."""
    top = np.iinfo(dtype).max
    values = np.arange(top + 1, dtype=dtype).reshape(-1, 256)
    shown = np.random.default_rng(3).uniform(0, top, (2, 2, 1)).astype(np.float32)
    full, none = np.full(values.shape, 255, np.uint8), np.zeros(values.shape, np.uint8)
    one, other, kept = values.copy(), top - values, values.copy()
    cells.paint(one, 1, 0, 0, full, shown, smooth)
    cells.paint(other, 1, 0, 0, full, shown, smooth)
    cells.paint(kept, 1, 0, 0, none, shown, smooth)
    assert np.array_equal(one, other)
    assert np.array_equal(kept, values)
