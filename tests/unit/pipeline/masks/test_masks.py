"""Masks: what the contract says, pixel by pixel, in files that strict readers take."""

import io
import zlib
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from velum_pipeline import masks, regions
from velum_pipeline.detections import Detections, as_classes
from velum_pipeline.errors import CorruptMedia, OptionError
from velum_pipeline.masks import deflate
from velum_pipeline.options import ClassOptions, Ignore, Method, ObjectClass, Options

Array = np.ndarray[Any, Any]
ALL = Options(Method.BLUR, {name: ClassOptions.default(name) for name in ObjectClass})


def read(png: bytes, mode: str) -> Array:
    """Decode strictly: libpng's checksum and Pillow's, and the zlib stream as a whole."""
    image = Image.open(io.BytesIO(png))
    image.load()
    assert image.mode == mode
    start = png.index(b"IDAT")
    length = int.from_bytes(png[start - 4 : start], "big")
    height, width = image.height, image.width
    assert len(zlib.decompress(png[start + 4 : start + 4 + length])) == height * (
        1 + width * (3 if mode == "RGB" else 1)
    )
    return np.asarray(image)


def painted(found: list[regions.Region], width: int, height: int) -> Array:
    """The instance mask as the contract words it, one pixel rule at a time."""
    mask = np.zeros((height, width, 3), np.uint8)
    for region in found:
        inside = region.strength > 0
        area = mask[region.rows, region.columns]
        area[inside, 1] = region.detection % 255 + 1
        area[inside, 2] |= region.object_class.mask_bit
    return mask


@settings(deadline=None)
@given(
    st.integers(1, 300),
    st.integers(1, 200),
    st.lists(
        st.tuples(
            st.sampled_from(list(ObjectClass)),
            st.floats(-50, 300),
            st.floats(-50, 200),
            st.floats(0.5, 400),
            st.floats(0.5, 300),
        ),
        max_size=8,
    ),
    st.lists(
        st.builds(Ignore, st.integers(0, 200), st.integers(0, 200), st.integers(0, 90), st.integers(0, 90)), max_size=2
    ),
)
def test_masks_show_exactly_the_regions(width: int, height: int, boxes: list[Any], ignores: list[Ignore]) -> None:
    found = Detections(
        np.array([(x, y, x + w, y + h) for _, x, y, w, h in boxes]).reshape(-1, 4),
        np.ones(len(boxes)),
        as_classes([box[0] for box in boxes]),
    ).clipped(width, height)
    wish = Options(Method.BLUR, ALL.classes, ignores=tuple(ignores))
    built = [region for region in regions.build(found, wish, width, height) if region]
    expected = painted(built, width, height)
    canvas = masks.Canvas(built, width, height)
    assert np.array_equal(read(canvas.instance(), "RGB"), expected)
    assert np.array_equal(read(canvas.binary(), "L"), np.where(expected[..., 2], 255, 0))


def test_numbers_wrap_after_255_and_bits_meet_in_overlaps() -> None:
    assert [masks.instance_number(row) for row in (0, 1, 254, 255, 509, 510)] == [1, 2, 255, 1, 255, 1]
    found = Detections(
        np.array([[0, 0, 30, 30], [10, 10, 40, 40], [12, 12, 20, 20]]),
        np.ones(3),
        as_classes(["person", "vehicle", "face"]),
    )
    built = [region for region in regions.build(found, ALL, 50, 50) if region]
    mask = read(masks.Canvas(built, 50, 50).instance(), "RGB")
    assert mask[5, 5].tolist() == [0, 1, 128]
    assert mask[35, 35].tolist() == [0, 2, 16]
    assert mask[27, 27].tolist() == [0, 2, 128 | 16]
    assert mask[15, 15].tolist() == [0, 3, 128 | 16 | 32]
    assert mask[45, 5].tolist() == [0, 0, 0]


@pytest.mark.parametrize("percent", [1, 33, 50, 99])
def test_scaling_keeps_values(percent: int, found: Callable[..., Detections]) -> None:
    objects = found(("person", 5, 5, 60, 80), ("vehicle", 40, 30, 110, 90), ("face", 20, 10, 40, 30))
    canvas = masks.Canvas([region for region in regions.build(objects, ALL, 130, 101) if region], 130, 101)
    whole = read(canvas.instance(), "RGB")
    small = read(canvas.instance(percent), "RGB")
    assert small.shape[:2] == (max(1, round(101 * percent / 100)), max(1, round(130 * percent / 100)))
    colours = {tuple(colour) for colour in whole.reshape(-1, 3)}
    assert {tuple(colour) for colour in small.reshape(-1, 3)} <= colours
    assert np.array_equal(read(masks.rescale(canvas.instance(), percent), "RGB"), small)
    assert np.array_equal(read(masks.rescale(canvas.binary(), percent), "L"), read(canvas.binary(percent), "L"))
    assert set(np.unique(read(canvas.binary(percent), "L"))) <= {0, 255}
    rows = ((np.arange(small.shape[0]) + 0.5) * 101 / small.shape[0]).astype(int)
    columns = ((np.arange(small.shape[1]) + 0.5) * 130 / small.shape[1]).astype(int)
    assert (small == whole[np.ix_(rows, columns)]).all(axis=2).mean() > 0.97


def test_rescale_refuses_what_it_cannot_do() -> None:
    png = masks.Canvas([], 10, 10).binary()
    assert masks.rescale(png, 100) == png
    for percent in (0, 101, -5):
        with pytest.raises(OptionError, match="mask-scale"):
            masks.rescale(png, percent)
    for bad in (b"", b"no picture", png[:20]):
        with pytest.raises(CorruptMedia):
            masks.rescale(bad, 50)


def test_large_masks_are_small_files(found: Callable[..., Detections]) -> None:
    objects = found(*[("face", 300 * k, 200 * k, 300 * k + 200, 200 * k + 260) for k in range(8)])
    canvas = masks.Canvas([region for region in regions.build(objects, ALL, 4000, 3000) if region], 4000, 3000)
    assert len(canvas.binary()) < 60_000
    assert len(canvas.instance()) < 90_000
    decoded = cv2.imdecode(np.frombuffer(canvas.instance(), np.uint8), cv2.IMREAD_UNCHANGED)
    assert decoded.shape == (3000, 4000, 3)


RUNS = (
    st.integers(1, 3)
    .flatmap(lambda _: st.sampled_from([1, 3]))
    .flatmap(
        lambda channels: st.lists(
            st.tuples(
                st.lists(st.integers(0, 255), min_size=channels, max_size=channels),
                st.integers(1, 12) | st.sampled_from([85, 86, 87, 172, 257, 258, 259, 260, 261, 516, 517, 10_000]),
            ),
            min_size=1,
            max_size=40,
        )
    )
)


@given(RUNS)
def test_any_runs_inflate_to_their_bytes(runs: list[tuple[list[int], int]]) -> None:
    channels = len(runs[0][0])
    lengths = np.array([count * (channels if any(pixel) else 1) for pixel, count in runs])
    starts = np.cumsum(lengths) - lengths
    pixels = np.array([pixel for pixel, _ in runs])
    expected = b"".join(bytes(pixel) * count if any(pixel) else bytes(count) for pixel, count in runs)
    assert zlib.decompress(deflate.zlib_stream(starts, lengths, pixels)) == expected


def test_the_huffman_code_is_complete() -> None:
    assert sum(2.0**-length for length in deflate._code_lengths()) == 1
    codes = deflate._canonical(deflate._code_lengths())
    assert codes[285] == 0
    words = {f"{code:0{length}b}"[::-1] for code, length in zip(codes, deflate._code_lengths(), strict=True)}
    assert len(words) == 286
    assert not any(other != word and other.startswith(word) for word in words if len(word) < 9 for other in words)
