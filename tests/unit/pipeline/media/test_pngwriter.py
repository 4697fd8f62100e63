"""Our PNG files hold the samples exactly, in the eyes of other readers."""

import io
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from velum_pipeline.errors import StageFailed
from velum_pipeline.media import Layout
from velum_pipeline.media.pngwriter import write

Array = np.ndarray[Any, Any]
LAYOUTS = {Layout.GREY: (), Layout.BGR: (3,), Layout.BGRA: (4,)}


def smooth(height: int, width: int, layout: Layout, dtype: Any = np.uint8, seed: int = 0) -> Array:
    """A gradient with a little noise, which filters help with."""
    random = np.random.default_rng(seed)
    rows = np.add.outer(np.arange(height), np.arange(width)).astype(np.float64)
    rows = rows.reshape(*rows.shape, *(1 for _ in LAYOUTS[layout]))
    samples = rows + random.integers(0, 4, (height, width, *LAYOUTS[layout]))
    return (samples * (1 if dtype == np.uint8 else 97)).astype(dtype)


@given(
    st.sampled_from(list(LAYOUTS)),
    st.sampled_from([np.uint8, np.uint16]),
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(0, 9),
    st.integers(0, 2**32 - 1),
)
def test_samples_come_back(layout: Layout, dtype: Any, height: int, width: int, level: int, seed: int) -> None:
    samples = (
        np.random.default_rng(seed)
        .integers(0, np.iinfo(dtype).max + 1, (height, width, *LAYOUTS[layout]))
        .astype(dtype)
    )
    read = cv2.imdecode(np.frombuffer(write(samples, layout, level), np.uint8), cv2.IMREAD_UNCHANGED)
    assert read is not None
    assert (read.dtype, read.shape) == (samples.dtype, samples.shape)
    assert np.array_equal(read, samples)


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_other_readers_see_the_same_over_several_bands(layout: Layout) -> None:
    samples = smooth(700, 1500, layout)
    with Image.open(io.BytesIO(write(samples, layout, 5))) as image:
        image.load()
        read = np.asarray(image)
    order = {Layout.GREY: slice(None), Layout.BGR: [2, 1, 0], Layout.BGRA: [2, 1, 0, 3]}[layout]
    assert np.array_equal(read, samples if layout is Layout.GREY else samples[..., order])


def test_views_and_16_bit_grey_are_written() -> None:
    samples = smooth(60, 80, Layout.GREY, np.uint16)[::-1, ::2]
    with Image.open(io.BytesIO(write(samples, Layout.GREY, 5))) as image:
        assert np.array_equal(np.asarray(image), samples)


def test_levels_mean_what_they_mean() -> None:
    sizes = [len(write(smooth(300, 400, Layout.BGR), Layout.BGR, level)) for level in (0, 1, 3, 5, 9)]
    assert sizes[0] > 300 * 400 * 3 > sizes[1]
    assert sizes == sorted(sizes, reverse=True)


def test_it_is_about_as_small_as_libpng_makes_it() -> None:
    samples = smooth(400, 600, Layout.BGR)
    done, libpng = cv2.imencode(".png", samples, [cv2.IMWRITE_PNG_COMPRESSION, 5])
    assert done
    assert len(write(samples, Layout.BGR, 5)) < 1.15 * len(libpng)


def test_what_png_cannot_hold_is_refused() -> None:
    with pytest.raises(StageFailed, match="CMYK"):
        write(np.zeros((2, 2, 4), np.uint8), Layout.CMYK, 5)
