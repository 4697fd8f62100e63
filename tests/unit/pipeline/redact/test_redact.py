"""What regions show afterwards: too little to be recognised, and nothing outside them changed."""

from collections.abc import Callable
from typing import Any

import cv2
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


@given(
    st.sampled_from(list(ObjectClass)),
    st.floats(0, 10),
    st.floats(0, 5000, width=32),
    st.floats(0, 5000, width=32),
    st.floats(1, 3),
)
def test_the_floor_holds_for_every_size_and_kernel(
    name: ObjectClass, kernel: float, width: float, height: float, grown: float
) -> None:
    if not name.relative_kernel:
        kernel = 2 * int(kernel * 20) + 1
    box, region = (width, height), (max(1, int(width * grown)), max(1, int(height * grown)))
    across, down = floor.cells(name, ClassOptions(0, kernel), box, region)
    longer, shorter = floor.MAX_CELLS[name]
    assert 1 <= min(across, down) <= shorter
    assert 1 <= max(across, down) <= longer
    assert across == 1 or region[0] / across >= floor.MIN_CELL
    assert down == 1 or region[1] / down >= floor.MIN_CELL
    stronger = ClassOptions(0, kernel + (2 if not name.relative_kernel else 0.1))
    assert all(a <= b for a, b in zip(floor.cells(name, stronger, box, region), (across, down), strict=True))
    shown = floor.blocks(name, ClassOptions(0, kernel), box, region)
    assert all(a <= b for a, b in zip(floor.blocks(name, stronger, box, region), shown, strict=True))
    assert 1 <= min(shown) <= max(shown) <= floor.MAX_BLOCKS


@pytest.mark.parametrize("growth", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("kernel", [0.0, 0.35])
def test_a_wider_region_does_not_put_more_cells_on_the_face(growth: float, kernel: float) -> None:
    region = tuple(round(side * (1 + growth)) for side in (100, 120))
    assert floor.cells(ObjectClass.FACE, ClassOptions(0.5, kernel), (100, 120), region) == (2, 2)


def shown_of(
    cells: Array, name: str = "face", seed: int = 0, white: float = 255.0, layout: Layout = Layout.BGR
) -> Array:
    """What the floor shows of cells."""
    return floor.disturb(np.asarray(cells, np.float32), layout, ObjectClass(name), white, np.random.default_rng(seed))


@pytest.mark.parametrize("white", [255.0, 65535.0])
@pytest.mark.parametrize("name", list(ObjectClass))
def test_what_rounds_to_the_same_level_looks_the_same(name: ObjectClass, white: float) -> None:
    """Nothing but the level survives, whatever the noise: the attacker who averages it away gets no further."""
    random = np.random.default_rng(2)
    step = white / (floor.LEVELS - 1)
    base = np.repeat(random.integers(0, floor.LEVELS, (2, 2, 1)) * step, 3, axis=2)
    for seed in range(20):
        near = np.clip(base + random.uniform(-0.49, 0.49, (2, 2, 1)) * step, 0, white)
        assert np.array_equal(shown_of(near, name, seed, white), shown_of(base, name, seed, white))


@pytest.mark.parametrize("name", ["face", "license-plate"])
def test_colours_of_faces_and_plates_are_not_told_apart(name: str) -> None:
    """Skin, a blue mask, a green hat: of equal brightness, they look the same."""
    shown = []
    for blue, green, red in ((110, 140, 190), (200, 140, 120), (90, 175, 130)):
        cells = np.full((2, 2, 3), (blue, green, red), np.float32)
        shown.append(shown_of(cells, name))
    assert np.array_equal(shown[0], shown[1])
    assert np.array_equal(shown[0], shown[2])


@pytest.mark.parametrize("name", list(ObjectClass))
def test_grey_stays_grey(name: str) -> None:
    assert np.ptp(shown_of(np.full((3, 2, 3), 100), name), axis=2).max() == 0


def test_a_tint_has_the_brightness_it_is_given() -> None:
    for tint in (floor.SKIN, floor.WARM, floor.COOL):
        assert abs(float(tint @ floor.LUMA) - 1) < 0.01


def test_a_printed_picture_shows_what_a_screen_shows() -> None:
    """Inks, multiplied out, are the colours that the same cells show as colours."""
    colours = np.array([[[60, 110, 190], [50, 90, 120]], [[40, 70, 100], [90, 120, 160]]], np.float32)
    inks = np.concatenate([colours[..., ::-1], np.full((2, 2, 1), 255, np.float32)], axis=2)
    printed = shown_of(inks, layout=Layout.CMYK)
    multiplied = (printed[..., :3] * printed[..., 3:] / 255)[..., ::-1]
    assert np.abs(multiplied - shown_of(colours)).max() < 2


def test_no_noise_makes_skin_yellow() -> None:
    """The brightest cell keeps its tint: its strongest colour is white's, and the others less."""
    bright = np.full((2, 2, 3), (200, 240, 255), np.float32)
    for seed in range(30):
        shown = shown_of(bright, seed=seed)
        assert shown.max() <= 255.001
        assert np.allclose(shown / shown[..., 2:], floor.SKIN / floor.SKIN[2], atol=1e-3)


@pytest.mark.parametrize("white", [255.0, 65535.0])
def test_noise_is_what_the_docstring_says(white: float) -> None:
    step = white / (floor.LEVELS - 1)
    cells = np.full((100, 100), 2 * step, np.float32)
    copies = np.stack([shown_of(cells, seed=seed, white=white, layout=Layout.GREY) for seed in range(60)])
    assert copies.min() >= 0
    assert copies.max() <= white
    own, shared = copies.std(axis=(1, 2)).mean() / step, copies.mean(axis=(1, 2)).std() / step
    assert abs(own - floor.NOISE) < 0.03
    assert abs(shared - floor.NOISE) < 0.12
    assert abs(float(copies.mean()) - 2 * step) < 0.2 * step


@pytest.mark.parametrize("name", list(ObjectClass))
def test_opacity_does_not_show_the_noise_of_the_brightness(name: ObjectClass) -> None:
    cells = np.full((100, 100, 4), 128, np.float32)
    copies = [shown_of(cells, name, seed=seed, layout=Layout.BGRA) for seed in range(60)]
    brightness, opacity = (np.array([each[..., channel] for each in copies]) for channel in (1, 3))
    assert opacity.std() > 30
    own = [np.corrcoef(one.ravel(), other.ravel())[0, 1] for one, other in zip(brightness, opacity, strict=True)]
    assert np.abs(own).max() < 0.06
    assert abs(np.corrcoef(brightness.mean(axis=(1, 2)), opacity.mean(axis=(1, 2)))[0, 1]) < 0.5


def test_blocks_beyond_the_cells_tell_nothing_of_the_object() -> None:
    """The same cells and the same noise give the same blocks, and blocks lie about what the cells say."""
    cells = np.full((2, 2, 3), 120, np.float32)
    blocks = floor.grain(cells, 8, 8, 255.0, np.random.default_rng(0))
    assert blocks.shape == (8, 8, 3)
    assert np.ptp(blocks, axis=2).max() == 0
    assert 3 < float(blocks.std()) < 13
    assert abs(float(blocks.mean()) - 120) < 4


@pytest.mark.parametrize("name", ["person", "vehicle"])
@pytest.mark.parametrize(("width", "height"), [(400, 400), (300, 400), (400, 300)])
def test_a_portrait_that_is_one_person_leaves_no_face(name: str, width: int, height: int) -> None:
    """The smallest kernel over an object that fills the picture: no more cells than a face has."""
    assert floor.cells(ObjectClass(name), ClassOptions(0.4, 1, 0, 0), (width, height), (width, height)) == (2, 2)


@pytest.mark.parametrize(("box", "expected"), [((100, 300), (2, 6)), ((300, 100), (6, 2)), ((100, 1000), (2, 6))])
def test_a_standing_person_has_cells_along_its_height(box: tuple[int, int], expected: tuple[int, int]) -> None:
    assert floor.cells(ObjectClass.PERSON, ClassOptions(0.4, 1, 0, 0), box, box) == expected
    assert (
        floor.cells(ObjectClass.PERSON, ClassOptions(0.4, 1, 0, 0), box, (box[0], box[1] // 2))[1]
        <= expected[1] // 2 + 1
    )


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


def test_two_plates_of_one_light_look_alike() -> None:
    """Who knows font, box and light learns a quarter of a bit of the characters, from any number of copies."""
    random = np.random.default_rng(0)
    letters = list("ABCDEFGHJKLMNPRSTUVWXYZ0123456789")
    plates = np.full((500, 44, 200), 255, np.uint8)
    for plate in plates:
        for place, letter in enumerate(random.choice(letters, 7)):
            cv2.putText(plate, letter, (8 + 27 * place, 36), cv2.FONT_HERSHEY_DUPLEX, 1.1, 0, 3, cv2.LINE_AA)
    assert floor.cells(ObjectClass.LICENSE_PLATE, ClassOptions(0, 0), (200, 44), (260, 57)) == (2, 1)
    inked = plates.reshape(500, 44, 2, 100).mean(axis=(1, 3)) / 255
    bits = []
    for _ in range(200):
        dark, light = random.uniform(0, 60), random.uniform(90, 255)
        rounded = np.rint((dark + (light - dark) * inked) * (floor.LEVELS - 1) / 255)
        _, counts = np.unique(rounded, axis=0, return_counts=True)
        bits.append(-(counts / 500 * np.log2(counts / 500)).sum())
    assert np.mean(bits) < 0.4
    assert np.max(bits) <= 2.01
