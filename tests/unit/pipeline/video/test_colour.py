"""Codes and colours: known values of the standards, the convention, and that no code leaves its range."""

import itertools

import numpy as np
import pytest

from support.yuvframes import video
from velum_pipeline.video.colour import WEIGHTS, Coding
from velum_pipeline.video.description import FORMATS, Colour

LIMITED, FULL = 1, 2
# Red, green, blue at full strength, in codes of 8 bits: BT.709-6 and BT.601-7, by their equations, rounded.
KNOWN = [
    (1, LIMITED, (63, 102, 240), (173, 42, 26), (32, 240, 118)),
    (6, LIMITED, (81, 90, 240), (145, 54, 34), (41, 240, 110)),
    (5, FULL, (76, 85, 255), (150, 44, 21), (29, 255, 107)),
    (9, LIMITED, (74, 97, 240), (164, 47, 25), (29, 240, 119)),
]


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize(("matrix", "reach", "red", "green", "blue"), KNOWN)
def test_primaries_have_the_codes_of_the_standards(
    matrix: int, reach: int, bits: int, red: tuple[int, ...], green: tuple[int, ...], blue: tuple[int, ...]
) -> None:
    name = "yuv444p" if bits == 8 else "yuv444p10le"
    coding = Coding.of(video(64, 48, name, colour=Colour(reach, 2, 2, matrix)))
    pure = np.array([[0, 0, 255], [0, 255, 0], [255, 0, 0]], np.float32)
    codes = np.array([red, green, blue], np.float32) * (1 << bits - 8)
    assert np.abs(coding.codes(pure) - codes).max() <= (0.76 if bits == 8 else 3.1)
    assert np.abs(coding.colours(codes) - pure).max() <= 2.5


@pytest.mark.parametrize(
    ("name", "reach", "black", "white", "middle"),
    [
        ("yuv420p", LIMITED, 16, 235, 128),
        ("yuv420p", 0, 16, 235, 128),
        ("yuv422p", FULL, 0, 255, 128),
        ("yuv444p10le", LIMITED, 64, 940, 512),
        ("yuv420p10le", FULL, 0, 1023, 512),
        ("gray", LIMITED, 16, 235, None),
        ("gray10le", FULL, 0, 1023, None),
    ],
)
def test_black_and_white(name: str, reach: int, black: int, white: int, middle: int | None) -> None:
    coding = Coding.of(video(64, 48, name, colour=Colour(range=reach)))
    channels = 1 if middle is None else 3
    shades = np.array([[0] * channels, [255] * channels], np.float32)
    chroma = [] if middle is None else [middle, middle]
    codes = np.array([[black, *chroma], [white, *chroma]], np.float32)
    assert np.allclose(coding.codes(shades), codes, atol=1e-3)
    assert np.allclose(coding.colours(codes), shades, atol=1e-3)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("reach", [LIMITED, FULL])
@pytest.mark.parametrize("matrix", WEIGHTS)
def test_colours_go_there_and_back_and_no_code_leaves_its_range(name: str, reach: int, matrix: int) -> None:
    """Above 1023 an encoder of 10 bits ends the process."""
    coding = Coding.of(video(64, 48, name, colour=Colour(reach, 2, 2, matrix)))
    channels = 1 if coding.grey else 3
    colours = np.array(list(itertools.product((0, 1, 64, 128, 254, 255), repeat=channels)), np.float32)
    codes = coding.codes(colours)
    assert codes.dtype == np.float32
    # Of full range half a code of the strongest chroma is cut off: H.273 has 2 ** bits - 1 codes about 2 ** (bits - 1).
    assert np.abs(coding.colours(codes) - colours).max() < 1.2
    luma = (0, coding.top) if reach == FULL else (coding.black, 235 << coding.bits - 8)
    assert luma[0] <= codes[:, 0].min()
    assert codes[:, 0].max() <= luma[1]
    if not coding.grey:
        chroma = (0, coding.top) if reach == FULL else (16 << coding.bits - 8, 240 << coding.bits - 8)
        assert chroma[0] <= codes[:, 1:].min()
        assert codes[:, 1:].max() <= chroma[1]


def test_what_is_not_said_follows_the_number_of_lines() -> None:
    for unsaid in (2, 0, 8, 14, 99):
        colour = Colour(matrix=unsaid)
        assert Coding.of(video(1280, 718, colour=colour)).matrix == 6
        assert Coding.of(video(1280, 720, colour=colour)).matrix == 1
    assert Coding.of(video(64, 48, colour=Colour(matrix=9))).matrix == 9


def test_codes_beyond_the_range_are_black_or_white() -> None:
    """Such as decoders give: blacker than black, whiter than white."""
    coding = Coding.of(video(64, 48, "yuv420p", colour=Colour(range=LIMITED)))
    found = coding.colours(np.array([[0, 128, 128], [255, 128, 128], [128, 0, 0], [128, 255, 255]], np.float32))
    assert found[0].tolist() == [0, 0, 0]
    assert found[1].tolist() == [255, 255, 255]
    assert found.min() >= 0
    assert found.max() <= 255
