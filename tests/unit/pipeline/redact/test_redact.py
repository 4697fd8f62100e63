"""What regions show afterwards: too little to be recognised, and nothing outside them changed."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from velum_pipeline import redact, regions
from velum_pipeline.detections import Detections, Mask
from velum_pipeline.media import Layout, Picture
from velum_pipeline.media.kinds import PNG
from velum_pipeline.options import ClassOptions, Ignore, Method, ObjectClass, Options
from velum_pipeline.redact import floor

Array = np.ndarray[Any, Any]
DESTROYING = [Method.BLUR, Method.PIXELATE, Method.BLACKEN]
LAYOUTS = [
    (Layout.GREY, 1, np.uint8),
    (Layout.BGR, 3, np.uint8),
    (Layout.BGRA, 4, np.uint8),
    (Layout.CMYK, 4, np.uint8),
    (Layout.GREY, 1, np.uint16),
    (Layout.BGR, 3, np.uint16),
    (Layout.BGRA, 4, np.uint16),
]


def run(
    samples: Array, layout: Layout, found: Detections, options: Options, seed: int | None = 1
) -> tuple[Array, Array]:
    """(redacted samples, highest strength per pixel)."""
    picture = Picture(PNG, samples.copy(), layout)
    areas = [area for area in regions.build(found, options, picture.width, picture.height) if area]
    redact.apply(picture, areas, options.method, None if seed is None else np.random.default_rng(seed))
    strength = np.zeros(samples.shape[:2], np.uint8)
    for area in areas:
        np.maximum(strength[area.rows, area.columns], area.strength, out=strength[area.rows, area.columns])
    return picture.native, strength


@pytest.mark.parametrize("method", DESTROYING)
@pytest.mark.parametrize(("layout", "channels", "dtype"), LAYOUTS)
def test_every_layout_and_depth(
    texture: Callable[..., Array],
    options: Callable[..., Options],
    found: Callable[..., Detections],
    method: Method,
    layout: Layout,
    channels: int,
    dtype: Any,
) -> None:
    samples = texture(120, 160, channels, dtype)
    objects = found(("face", 20, 20, 60, 70), ("vehicle", 80, 50, 150, 110), ("license-plate", 140, 5, 175, 15))
    result, strength = run(samples, layout, objects, options(method, ignores=(Ignore(30, 30, 5, 5),)))
    assert result.dtype == dtype
    assert np.array_equal(result[strength == 0], samples[strength == 0])
    full = strength == 255
    if layout.has_alpha and method is Method.BLACKEN:
        assert (result[full][:, 3] == np.iinfo(dtype).max).all()
        result, samples = result[..., :3], samples[..., :3]
    assert (result[full] != samples[full]).mean() > 0.8
    if method is Method.BLACKEN:
        assert (result[full] == 0).all()
    else:
        white = np.iinfo(dtype).max
        assert 0.1 * white < float(result[full].mean()) < 0.9 * white


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("method", DESTROYING)
def test_what_is_drawn_by_opacity_alone_is_redacted(
    options: Callable[..., Options], found: Callable[..., Detections], method: Method, dtype: Any
) -> None:
    """A plate cut out of a white sticker: every colour is the same, the characters are holes."""
    white = np.iinfo(dtype).max
    samples = np.full((100, 200, 4), white, dtype)
    samples[30:60, 40:160:8, 3] = 0
    plate = ("license-plate", 30, 25, 170, 65)
    result, strength = run(samples, Layout.BGRA, found(plate), options(method))
    holes, between = result[45, 40:160:8, 3], result[45, 44:160:8, 3]
    steps = np.abs(holes.astype(float) - between)
    assert (steps > 0.15 * white).sum() <= 1  # the edge of a block
    assert np.array_equal(result[strength == 0], samples[strength == 0])


@pytest.mark.parametrize("opacity", [0, 120, 255])
@pytest.mark.parametrize("method", [Method.BLUR, Method.PIXELATE])
def test_even_opacity_stays(
    texture: Callable[..., Array],
    options: Callable[..., Options],
    found: Callable[..., Detections],
    method: Method,
    opacity: int,
) -> None:
    samples = texture(60, 80, 4)
    samples[..., 3] = opacity
    result, _ = run(samples, Layout.BGRA, found(("face", 20, 10, 50, 50)), options(method))
    assert np.abs(result[..., 3].astype(int) - opacity).max() <= 1  # rounding where strengths are partial


def test_detect_changes_nothing(
    texture: Callable[..., Array], options: Callable[..., Options], found: Callable[..., Detections]
) -> None:
    samples = texture(50, 50)
    assert np.array_equal(run(samples, Layout.BGR, found(("face", 5, 5, 40, 40)), options("detect"))[0], samples)


@pytest.mark.parametrize("method", [Method.BLUR, Method.PIXELATE])
@pytest.mark.parametrize("name", list(ObjectClass))
@pytest.mark.parametrize(("width", "height"), [(12, 16), (96, 128), (200, 44), (400, 300)])
@pytest.mark.parametrize("kernel", [0.0, 1e-9, 0.01, 0.35, 1.0, 5.0])
def test_what_survives_is_a_few_cells_whatever_is_asked(
    texture: Callable[..., Array], method: Method, name: ObjectClass, width: int, height: int, kernel: float
) -> None:
    if not name.relative_kernel:
        kernel = 2 * round(kernel * 100) + 1
    samples = texture(height, width, 1, seed=3)
    wish = Options(method, {name: ClassOptions(0, kernel, 0, 0)}, bbox=True)
    box = Detections(np.array([[0, 0, width, height]]), np.ones(1), np.array([name], object))
    result, strength = run(samples, Layout.GREY, box, wish)
    assert (strength == 255).all()
    # Any picture with these cell averages gives this result: shuffling the pixels of a cell must not be seen.
    across, down = floor.cells(name, wish.classes[name], (width, height), (width, height))
    assert across * down <= 12
    again, _ = run(_shuffle_cells(samples, across, down), Layout.GREY, box, wish)
    assert np.array_equal(again, result)


def _shuffle_cells(samples: Array, across: int, down: int) -> Array:
    """The picture with the pixels of every cell in another order, so that every cell keeps its average."""
    shuffled, random = samples.copy(), np.random.default_rng(5)
    high, wide = samples.shape[0] // down, samples.shape[1] // across
    for top in range(0, high * down, high):
        for left in range(0, wide * across, wide):
            block = shuffled[top : top + high, left : left + wide]
            block[...] = random.permutation(block.reshape(-1)).reshape(block.shape)
    return shuffled


def test_noise_differs_from_picture_to_picture(
    texture: Callable[..., Array], options: Callable[..., Options], found: Callable[..., Detections]
) -> None:
    samples, objects = texture(100, 100), found(("face", 10, 10, 90, 90))
    first, second = (run(samples, Layout.BGR, objects, options(), seed=None)[0] for _ in range(2))
    assert not np.array_equal(first, second)
    same = [run(samples, Layout.BGR, objects, options(), seed=4)[0] for _ in range(2)]
    assert np.array_equal(*same)


def test_noise_does_not_come_from_a_source_that_can_be_predicted(
    monkeypatch: pytest.MonkeyPatch,
    texture: Callable[..., Array],
    options: Callable[..., Options],
    found: Callable[..., Detections],
) -> None:
    """PCG64 is numpy's default; its state can be worked out from its output."""
    samples = texture(100, 100)
    for name in ("default_rng", "PCG64", "PCG64DXSM", "MT19937", "SFC64"):
        monkeypatch.delattr(np.random, name)
    shown, _ = run(samples, Layout.BGR, found(("face", 10, 10, 90, 90)), options(), seed=None)
    assert not np.array_equal(shown, samples)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(list(ObjectClass)),
            st.floats(-20, 100),
            st.floats(-20, 80),
            st.floats(0.5, 120),
            st.floats(0.5, 120),
        ),
        max_size=6,
    ),
    st.sampled_from(DESTROYING),
    st.permutations(range(6)),
)
def test_overlaps_never_show_again_and_the_outside_stays(
    texture: Callable[..., Array], options: Callable[..., Options], boxes: list[Any], method: Method, order: list[int]
) -> None:
    samples = texture(80, 100, 3)
    rows = [boxes[k] for k in order if k < len(boxes)]
    found = Detections(
        np.array([(x, y, x + w, y + h) for _, x, y, w, h in rows]).reshape(-1, 4),
        np.ones(len(rows)),
        np.array([row[0] for row in rows], object),
    ).clipped(100, 80)
    black, strength = run(samples, Layout.BGR, found, options("blacken"))
    assert (black[strength == 255] == 0).all()
    result, strength = run(samples, Layout.BGR, found, options(method))
    assert np.array_equal(result[strength == 0], samples[strength == 0])
    if method is Method.BLACKEN:
        other = samples.copy()
        other[strength == 255] = 255 - other[strength == 255]
        assert np.array_equal(run(other, Layout.BGR, found, options(method))[0], result)


def test_a_later_region_averages_what_an_earlier_one_left(options: Callable[..., Options]) -> None:
    samples = np.zeros((60, 60, 3), np.uint8)
    samples[20:40, 20:40] = 255
    first = Detections(np.array([[18, 18, 42, 42]]), np.ones(1), np.array(["vehicle"], object))
    both = Detections(
        np.array([[18, 18, 42, 42], [10, 10, 50, 50]]), np.ones(2), np.array(["vehicle", "person"], object)
    )
    alone, _ = run(samples, Layout.BGR, first, options("blacken"))
    assert alone.max() == 0
    assert run(samples, Layout.BGR, both, options("blacken"))[0].max() == 0


def test_a_segment_is_averaged_without_its_background(options: Callable[..., Options]) -> None:
    samples = np.zeros((100, 100, 3), np.uint8)
    bits = np.zeros((100, 100), bool)
    bits[10:90, 40:60] = True
    samples[5:95, 35:65] = 200
    person = Detections(
        np.array([[35, 5, 65, 95]]), np.ones(1), np.array(["person"], object), masks=(Mask(0, 0, bits),)
    )
    shown = []
    for seed in range(30):  # of one copy, the noise alone is 36 levels
        result, strength = run(samples, Layout.BGR, person, options("pixelate"), seed)
        shown.append(float(result[strength == 255].mean()))
    assert 170 < np.mean(shown) < 220  # 200 rounds to 191; with the background it would round to 64 or 128
    assert np.array_equal(result[strength == 0], samples[strength == 0])


@pytest.mark.parametrize("method", DESTROYING)
def test_the_smallest_pictures(
    options: Callable[..., Options], found: Callable[..., Detections], method: Method
) -> None:
    for height, width in ((1, 1), (1, 7), (7, 1), (2, 2)):
        samples = np.full((height, width, 3), 90, np.uint8)
        for name in ObjectClass:
            result, strength = run(samples, Layout.BGR, found((name, 0, 0, width, height)), options(method))
            assert result.shape == samples.shape
            assert (strength == 255).all()


def test_nothing_found_changes_nothing(texture: Callable[..., Array], options: Callable[..., Options]) -> None:
    samples = texture(30, 30)
    assert np.array_equal(run(samples, Layout.BGR, Detections.empty(), options())[0], samples)


def test_partial_strength_lies_between_original_and_cover(
    options: Callable[..., Options], found: Callable[..., Detections]
) -> None:
    for dtype in (np.uint8, np.uint16):
        white = np.iinfo(dtype).max
        samples = np.full((80, 80, 3), white, dtype)
        result, strength = run(samples, Layout.BGR, found(("face", 20, 20, 60, 60)), options("blacken"))
        expected = white * (255 - strength.astype(float)) / 255
        assert np.abs(result.astype(float) - expected[..., None]).max() <= 1
