"""Binary and instance masks, painted from regions (contract v1, "Masks").

A mask marks every pixel that anonymization touched at any strength, so what it leaves unmarked is the original. Both
masks respect ``ignores``, since regions do. Scaling picks every pixel's nearest neighbour: an average of two type bits
would be a third type.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from velum_pipeline.errors import StageFailed
from velum_pipeline.masks.scale import scaled
from velum_pipeline.regions import Region

INSTANCES = 255
"""Instance numbers are 1..255 and wrap; 0 is the background."""


def instance_number(detection: int) -> int:
    """The green value of a detection's pixels."""
    return detection % INSTANCES + 1


def binary(regions: Iterable[Region], width: int, height: int, percent: int = 100) -> bytes:
    """An 8-bit grey PNG: 255 where anonymized, 0 elsewhere."""
    mask = np.zeros((height, width), np.uint8)
    for region in regions:
        area = mask[region.rows, region.columns]
        area[region.strength > 0] = 255
    return _png(scaled(mask, percent))


def instance(regions: Iterable[Region], width: int, height: int, percent: int = 100) -> bytes:
    """An RGB PNG: R 0, G the instance number (of the later detection where objects overlap), B the type bits, OR-ed."""
    mask = np.zeros((height, width, 3), np.uint8)
    for region in regions:
        inside = region.strength > 0
        area = mask[region.rows, region.columns]
        area[inside, 1] = instance_number(region.detection)
        area[inside, 0] |= region.object_class.mask_bit
    return _png(scaled(mask, percent))


def _png(mask: NDArray[np.uint8]) -> bytes:
    fast = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
    done, coded = cv2.imencode(".png", mask, fast)
    if not done:
        raise StageFailed("the mask's PNG encoder failed")
    return bytes(coded.tobytes())
