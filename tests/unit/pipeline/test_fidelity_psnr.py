"""Outside the regions a lossy picture is what encoding it anew would have made of it, and nothing worse.

The floor is the input, decoded and encoded at the default quality by the same library with nothing redacted. A block
that holds no pixel of a region is the floor's to the bit. In a block that a region cuts, the pixels outside are rounded
with other coefficients than in the floor. To bring them closer, coefficients would have to depend on what is hidden.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from velum_pipeline import media, pipeline
from velum_pipeline.detections import Detections, as_classes
from velum_pipeline.options import Limits, Options

Array = np.ndarray[Any, Any]
Box = tuple[float, float, float, float]
GOAL = 50.0
"""dB over all pixels outside the regions."""
SAMPLINGS = {"444": (0x111111, 8, 8), "422": (0x211111, 16, 8), "420": (0x221111, 16, 16)}
"""OpenCV's word, and the pixels of an MCU across and down."""


@pytest.fixture
def street() -> Array:
    """1280 x 960 with edges, smooth shading and a sensor's noise."""
    random = np.random.default_rng(4)
    canvas = cv2.resize(random.uniform(40, 215, (12, 16, 3)), (1280, 960), interpolation=cv2.INTER_CUBIC)
    for _ in range(60):
        x, y, wide, high = random.integers(0, 1200), random.integers(0, 900), *random.integers(10, 160, 2)
        cv2.rectangle(canvas, (int(x), int(y)), (int(x + wide), int(y + high)), random.uniform(0, 255, 3).tolist(), -1)
    return np.clip(cv2.GaussianBlur(canvas, (0, 0), 0.8) + random.normal(0, 3, canvas.shape), 0, 255).astype(np.uint8)


def ten_faces() -> list[Box]:
    """About 96 x 128 pixels each, on no grid."""
    return [
        (37 + 251 * (n % 5) + n, 95 + 431 * (n // 5) + n, 133 + 251 * (n % 5), 223 + 431 * (n // 5)) for n in range(10)
    ]


def compared(data: bytes, boxes: list[Box], name: str, options: Options) -> tuple[Array, Array, Array]:
    """Floor and product as decoded, and the product's mask."""

    def detect(pictures: list[Array], wish: Options) -> list[Detections]:
        rows = np.array(boxes, np.float32).reshape(-1, 4)
        return [Detections(rows, np.full(len(rows), 0.9), as_classes([name] * len(rows))) for _ in pictures]

    product = pipeline.anonymize(data, "a", detect, options)
    floor = media.encode(media.decode(data, Limits()))
    shown = [media.decode(each, Limits()).native for each in (floor, product.picture or b"")]
    mask = cv2.imdecode(np.frombuffer(product.binary_mask or b"", np.uint8), cv2.IMREAD_GRAYSCALE)
    return (*shown, np.asarray(mask))


def psnr(one: Array, other: Array, where: Array) -> float:
    error = float(np.square(one[where].astype(float) - other[where]).mean())
    return 10 * np.log10(255**2 / error) if error else np.inf


def untouched(mask: Array, wide: int, high: int) -> Array:
    """Pixels of MCUs without a region, but for those next to one with: decoders smooth chroma over that edge."""
    rows, columns = -(-mask.shape[0] // high), -(-mask.shape[1] // wide)
    whole = np.zeros((rows * high, columns * wide), np.uint8)
    whole[: mask.shape[0], : mask.shape[1]] = mask
    cells = whole.reshape(rows, high, columns, wide).max(axis=(1, 3))
    touched = cells.repeat(high, axis=0).repeat(wide, axis=1)[: mask.shape[0], : mask.shape[1]]
    return np.asarray(cv2.dilate(touched, np.ones((3, 3), np.uint8)) == 0)


@pytest.mark.parametrize("method", ["blur", "pixelate", "blacken"])
@pytest.mark.parametrize("quality", [60, 90, 98])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_ten_faces_leave_the_rest_as_the_floor_has_it(
    street: Array, options: Callable[..., Options], sampling: str, quality: int, method: str
) -> None:
    word, wide, high = SAMPLINGS[sampling]
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, word]
    data = cv2.imencode(".jpg", street, settings)[1].tobytes()
    floor, product, mask = compared(data, ten_faces(), "face", options(method))
    assert np.array_equal(floor[untouched(mask, wide, high)], product[untouched(mask, wide, high)])
    assert 0.1 < (mask > 0).mean() < 0.3
    assert psnr(floor, product, mask == 0) >= GOAL


PHOTOS = {
    "faces/mask853": "face",
    "plates/romania": "plate",
    "objects/kitti13": "vehicle",
    "objects/tinycoco": "person",
}
WORST = 44.0
"""dB. Below the goal are small pictures of which regions take a third and more: every tenth block is cut by one."""


@pytest.mark.parametrize("sampling", ["444", "420"])
@pytest.mark.parametrize("folder", PHOTOS)
def test_photos(options: Callable[..., Options], folder: str, sampling: str) -> None:
    shared = os.environ.get("VELUM_SHARED")
    if not shared or not (Path(shared) / "data/eval" / folder).is_dir():
        pytest.skip(f"VELUM_SHARED has no data/eval/{folder}")
    place = Path(shared) / "data/eval" / folder
    word, wide, high = SAMPLINGS[sampling]
    found = []
    for each in json.loads((place / "annotations.json").read_text())[:24]:
        boxes = [tuple(item["bbox"]) for item in each["objects"] if item["cls"] == PHOTOS[folder]]
        pixels = cv2.imread(str(next(place.rglob(Path(each["file"]).name))), cv2.IMREAD_COLOR)
        data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, word])[1]
        name = "license-plate" if PHOTOS[folder] == "plate" else PHOTOS[folder]
        floor, product, mask = compared(data.tobytes(), boxes, name, options())
        if not boxes or (mask > 0).mean() > 2 / 3:
            continue
        assert np.array_equal(floor[untouched(mask, wide, high)], product[untouched(mask, wide, high)])
        found.append(psnr(floor, product, mask == 0))
    assert np.median(found) >= GOAL
    assert min(found) >= WORST
