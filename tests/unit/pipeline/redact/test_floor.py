"""The floor: how many cells an object leaves at most, and what of their colours is shown."""

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from velum_pipeline.media import Layout
from velum_pipeline.options import ClassOptions, ObjectClass
from velum_pipeline.redact import floor

Array = np.ndarray[Any, Any]


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
