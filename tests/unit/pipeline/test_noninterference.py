"""Two originals that differ only inside a blackened object give the same files, byte for byte.

Nothing of what is hidden can then be in any corner of what is published: samples, coefficients, padding, thumbnails,
metadata, masks, drawings. The object reaches further than the difference by two MCUs, because chroma is averaged and
smoothed over them.
"""

import io
import itertools
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from velum_pipeline import pipeline
from velum_pipeline.detections import Detections, as_classes
from velum_pipeline.media.splice.stored import shown_rectangle
from velum_pipeline.options import ClassOptions, Gps, Method, ObjectClass, Options

Array = np.ndarray[Any, Any]
HIGH, WIDE = 165, 229
DIFFERENT = (slice(64, 96), slice(80, 144))
"""Rows and columns, whole MCUs of every sampling."""
OBJECT = (48, 32, 128, 96)
"""x, y, width, height, as stored."""
EDGE = (slice(128, HIGH), slice(192, WIDE)), (160, 96, WIDE - 160, HIGH - 96)


def published(data: bytes, box: tuple[int, int, int, int], wish: Options) -> tuple[object, ...]:
    x, y, wide, high = box
    found = Detections(np.array([[x, y, x + wide, y + high]]), np.array([0.9]), as_classes(["face"]))
    picture = pipeline.prepare(data, options=wish)
    product = pipeline.finish(picture, found, wish, "a", 0.0, clock=lambda: 0.0)
    assert product.picture is not None
    return product.picture, product.binary_mask, product.instance_mask, product.metadata


def wishes(**fields: Any) -> Options:
    classes = {ObjectClass.FACE: ClassOptions(0.5, 0.35, 0.3, 0.0)}
    return Options(Method.BLACKEN, classes, gps=Gps.STRIP, **fields)


def jpeg(samples: Array, block: bytes, **settings: Any) -> bytes:
    image, coded = Image.fromarray(samples), io.BytesIO()
    if samples.shape[2:] == (4,):
        image = Image.frombytes("CMYK", (WIDE, HIGH), samples.tobytes())
    image.save(coded, "JPEG", quality=88, exif=block, **settings)
    return coded.getvalue()


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize(("where", "box"), [(DIFFERENT, OBJECT), EDGE])
@pytest.mark.parametrize(
    ("orientation", "channels", "sampling", "progressive"),
    [
        (1, 3, "4:4:4", False),
        (1, 3, "4:2:2", True),
        (1, 1, "", False),
        (1, 4, "", True),
        *((turn, 3, "4:2:0", turn % 2 == 0) for turn in range(2, 9)),
    ],
)
def test_jpeg(
    texture: Callable[..., Array],
    exif: Callable[..., bytes],
    orientation: int,
    channels: int,
    sampling: str,
    progressive: bool,
    where: tuple[slice, slice],
    box: tuple[int, int, int, int],
    lossless: bool,
) -> None:
    shown = shown_rectangle(box, orientation, WIDE, HIGH)
    one = texture(HIGH, WIDE, channels)
    other = one.copy()
    other[where] = texture(HIGH, WIDE, channels, seed=9)[where]
    settings: dict[str, Any] = {"progressive": progressive} | ({"subsampling": sampling} if sampling else {})
    files = []
    for samples in (one, other):
        small = cv2.imencode(".jpg", np.atleast_3d(samples)[::2, ::2, :1])[1].tobytes()
        files.append(jpeg(samples, b"Exif\0\0" + exif(orientation, thumbnail=small), **settings))
    assert files[0] != files[1]
    wish = wishes(lossless=lossless, debug=True, score=True, bbox=orientation % 2 == 0)
    assert published(files[0], shown, wish) == published(files[1], shown, wish)


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize(
    ("extension", "channels", "dtype"),
    [
        *itertools.product(["png", "tiff"], [1, 3, 4], [np.uint8, np.uint16]),
        ("bmp", 3, np.uint8),
        ("webp", 3, np.uint8),
        ("webp", 4, np.uint8),
    ],
)
def test_formats_that_hold_samples(
    texture: Callable[..., Array], extension: str, channels: int, dtype: Any, lossless: bool
) -> None:
    """cv2 writes WebP without loss from a quality of 101 on."""
    one = texture(HIGH, WIDE, channels, dtype)
    other = one.copy()
    other[DIFFERENT] = texture(HIGH, WIDE, channels, dtype, seed=9)[DIFFERENT]
    settings = [cv2.IMWRITE_WEBP_QUALITY, 101] if extension == "webp" else []
    files = [cv2.imencode(f".{extension}", samples, settings)[1].tobytes() for samples in (one, other)]
    assert files[0] != files[1]
    wish = wishes(lossless=lossless, debug=True, score=True)
    assert published(files[0], OBJECT, wish) == published(files[1], OBJECT, wish)
