"""What an outline network is shown: the box with its margin, wherever it lies and whatever its size."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray

from velum_pipeline.detect.crops import GREY, Crop

SIDE = 32
Pixels = NDArray[np.uint8]


def ramps(width: int, height: int) -> Pixels:
    """Blue rises to the right and green downwards; red is constant."""
    picture = np.empty((height, width, 3), np.uint8)
    picture[..., 0] = np.linspace(0, 250, width)[None]
    picture[..., 1] = np.linspace(0, 250, height)[:, None]
    picture[..., 2] = 200
    return picture


def crop(picture: Pixels, *box: float, margin: float = 0.25, period: int | None = None) -> Pixels:
    shown = Crop.around(np.array(box, np.float32), margin, SIDE).pixels(picture, period)
    assert shown.shape == (SIDE, SIDE, 3)
    assert shown.dtype == np.uint8
    return shown


def centres(crop: Crop) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The picture's coordinates (x, y) of the cells' centres along each axis."""
    x, y = ((np.arange(crop.side) + 0.5) * crop.pitch[axis] + crop.origin[axis] for axis in (0, 1))
    return x, y


def test_the_window_is_the_box_with_a_margin_of_its_sides() -> None:
    window = Crop.around(np.array([100, 40, 140, 140], np.float32), 0.15, 128)
    assert window.origin == pytest.approx((94, 25))
    assert window.pitch == pytest.approx((52 / 128, 130 / 128))


@pytest.mark.parametrize(
    "box",
    [
        (100, 60, 180, 130),
        (100.3, 60.6, 108.3, 68.6),  # eight pixels
        (100.4, 60, 101.2, 150),  # thinner than a pixel
        (20, 30, 380, 270),  # reduced by more than two
        (200, 20, 210, 280),  # reduced along one axis, enlarged along the other
    ],
)
def test_every_cell_shows_its_place(box: tuple[float, ...]) -> None:
    picture = ramps(400, 300)
    shown = crop(picture, *box, margin=0.05)
    x, y = centres(Crop.around(np.array(box, np.float32), 0.05, SIDE))
    across, down = np.broadcast_arrays((x - 0.5)[None], (y - 0.5)[:, None])
    np.testing.assert_allclose(shown[..., 0], across / 399 * 250, atol=1.6)
    np.testing.assert_allclose(shown[..., 1], down / 299 * 250, atol=1.6)
    assert (shown[..., 2] == 200).all()


def test_outside_the_picture_there_is_grey() -> None:
    picture = np.full((100, 100, 3), 250, np.uint8)
    shown = crop(picture, 0, 20, 40, 60)  # from -10 to 50: a sixth is outside
    assert (shown[:, : SIDE // 6] == GREY).all()
    assert (shown[:, SIDE // 6 + 1 :] == 250).all()
    shown = crop(picture, 60, 60, 100, 100)
    assert (shown[-(SIDE // 6) :] == GREY).all()
    assert (shown[: -SIDE // 6 - 1, : -SIDE // 6 - 1] == 250).all()
    assert (crop(picture, 300, 20, 340, 60) == GREY).all()


def test_a_reduced_window_shows_grey_as_well() -> None:
    picture = np.full((3000, 3000, 3), 250, np.uint8)
    shown = crop(picture, 0, 0, 2000, 2000)  # from -500 to 2500
    edge = SIDE // 6
    assert (shown[:edge] == GREY).all()
    assert (shown[:, :edge] == GREY).all()
    assert (shown[edge + 1 :, edge + 1 :] == 250).all()


def test_what_is_reduced_is_averaged() -> None:
    """Stripes of one pixel become grey, not black or white: nothing is skipped."""
    picture = np.zeros((1200, 1200, 3), np.uint8)
    picture[:, ::2] = 255
    np.testing.assert_allclose(crop(picture, 300, 300, 900, 900).astype(int), 127, atol=14)


@pytest.mark.parametrize("x", [-20.0, 380.0])
def test_around_a_panoramas_seam_there_is_no_edge(x: float) -> None:
    picture = ramps(400, 100)
    turned = np.ascontiguousarray(np.roll(picture, 200, axis=1))
    seam = crop(picture, x, 30, x + 40, 70, period=400)
    np.testing.assert_array_equal(seam, crop(turned, 180, 30, 220, 70))
    assert not (seam == GREY).all(axis=2).any()


def test_a_box_around_the_whole_panorama_shows_each_pixel_once() -> None:
    picture = np.full((100, 400, 3), 250, np.uint8)
    shown = crop(picture, 0, 30, 400, 70, period=400)  # the window is 600 wide
    assert (shown[SIDE // 2] == 250).all(axis=1).sum() == pytest.approx(SIDE * 400 / 600, abs=2)


@pytest.mark.parametrize("box", [(0, 400), (16, 392), (24, 380), (-80, 304), (200, 592)])
def test_around_a_panorama_grey_is_only_in_the_margin(box: tuple[float, float]) -> None:
    picture = np.full((100, 400, 3), 250, np.uint8)
    window = Crop.around(np.array([box[0], 30, box[1], 70], np.float32), 0.15, SIDE)
    inside = np.flatnonzero((centres(window)[0] > box[0]) & (centres(window)[0] < box[1]))
    shown = window.pixels(picture, 400)
    assert (shown[SIDE // 2, inside[1:-1]] == 250).all()
    assert (shown[SIDE // 2, inside] > 200).all()


def test_a_large_object_is_not_copied() -> None:
    picture = ramps(6000, 4000)
    tracemalloc.start()
    crop(picture, 500, 300, 5500, 3700)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < picture.nbytes / 100
