"""Pictures, made here: textures with enough detail that any loss, any leak and any turn shows."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from velum_pipeline.detections import Detections
from velum_pipeline.media import ifd as ifds
from velum_pipeline.options import ClassOptions, Method, ObjectClass, Options

ICC_SIZE = 200


@pytest.fixture
def texture() -> Callable[..., np.ndarray[Any, Any]]:
    """texture(height, width, channels=3, dtype=uint8, seed=0): a smooth gradient plus noise; 2-D for one channel."""

    def make(height: int, width: int, channels: int = 3, dtype: Any = np.uint8, seed: int = 0) -> np.ndarray[Any, Any]:
        random = np.random.default_rng(seed)
        white = np.iinfo(dtype).max
        rows, columns = np.mgrid[0:height, 0:width]
        base = np.stack([(columns + (k + 1) * rows) / (width + (k + 1) * height) for k in range(channels)], axis=2)
        noisy = np.clip(base * 0.7 + random.uniform(0, 0.3, base.shape), 0, 1) * white
        samples = noisy.astype(dtype)
        return samples[..., 0] if channels == 1 else samples

    return make


@pytest.fixture
def icc() -> Callable[[bytes], bytes]:
    """icc(b"RGB "): bytes with the header of a profile for that colour space."""

    def make(space: bytes = b"RGB ") -> bytes:
        body = bytearray(range(ICC_SIZE))
        body[:4] = ICC_SIZE.to_bytes(4, "big")
        body[16:20] = space
        body[36:40] = b"acsp"
        return bytes(body)

    return make


@pytest.fixture
def exif() -> Callable[..., bytes]:
    """exif(orientation=1, thumbnail=None, maker=None): a block with a camera, sizes, GPS and whatever is asked for."""

    def make(orientation: int = 1, thumbnail: bytes | None = None, maker: bytes | None = None) -> bytes:
        block = Image.Exif()
        block[0x010F], block[0x0112] = "Velum", orientation
        details = block.get_ifd(0x8769)
        details[0xA002], details[0xA003], details[0x9003] = 1, 1, "2024:01:02 03:04:05"
        if maker is not None:
            details[0x927C] = maker
        block.get_ifd(0x8825)[1] = "N"
        tree = ifds.parse(block.tobytes().removeprefix(b"Exif\0\0"))
        return ifds.serialise(tree, thumbnail)

    return make


@pytest.fixture
def save() -> Callable[..., bytes]:
    """save(rgb_or_grey, "PNG", **Pillow's options): a file's bytes. The array is RGB(A), as Pillow has it."""

    def make(samples: np.ndarray[Any, Any], form: str, mode: str | None = None, **settings: Any) -> bytes:
        image = Image.fromarray(samples)
        buffer = io.BytesIO()
        (image.convert(mode) if mode else image).save(buffer, form, **settings)
        return buffer.getvalue()

    return make


@pytest.fixture
def save_deep() -> Callable[[np.ndarray[Any, Any], str], bytes]:
    """save_deep(bgr16, "png"): a 16-bit file's bytes, through cv2."""

    def make(samples: np.ndarray[Any, Any], extension: str) -> bytes:
        done, coded = cv2.imencode("." + extension, samples)
        assert done
        return coded.tobytes()

    return make


@pytest.fixture
def options() -> Callable[..., Options]:
    """options(method="blur", **fields): all four classes at the contract's defaults."""

    def make(method: str = "blur", **fields: Any) -> Options:
        fields.setdefault("classes", {name: ClassOptions.default(name) for name in ObjectClass})
        return Options(Method(method), **fields)

    return make


@pytest.fixture
def found() -> Callable[..., Detections]:
    """found(("face", x1, y1, x2, y2), ...): detections with score 0.9."""

    def make(*rows: tuple[str, float, float, float, float], **fields: Any) -> Detections:
        boxes = np.array([row[1:] for row in rows], np.float32).reshape(-1, 4)
        classes = np.array([row[0] for row in rows], object)
        return Detections(boxes, np.full(len(rows), 0.9, np.float32), classes, **fields)

    return make
