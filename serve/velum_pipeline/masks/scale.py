"""Masks at another size: the nearest neighbour of every pixel, so that values stay values."""

from __future__ import annotations

from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from velum_pipeline.errors import CorruptMedia, OptionError, StageFailed

T = TypeVar("T", np.uint8, np.uint16)


def scaled(mask: NDArray[T], percent: int) -> NDArray[T]:
    """The mask at ``percent`` of its size (1..100), at least one pixel; (H, W) or (H, W, C), 8 or 16 bits."""
    if not 1 <= percent <= 100:
        raise OptionError("mask-scale", f"must be 1..100, got {percent}")
    if percent == 100:
        return mask
    height, width = (max(1, round(side * percent / 100)) for side in mask.shape[:2])
    return np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST_EXACT), mask.dtype)


def rescale(png: bytes, percent: int) -> bytes:
    """A mask file of ours at ``percent`` of its size (1..100). Raises OptionError, CorruptMedia."""
    mask: NDArray[Any] | None = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED) if png else None
    if mask is None or mask.dtype != np.uint8:
        raise CorruptMedia("the mask is not an 8-bit PNG")
    small = scaled(mask, percent)
    if percent == 100:
        return png
    return write(small)


def write(mask: NDArray[np.uint8]) -> bytes:
    """A mask, grey (H, W) or BGR (H, W, 3), as a PNG file. Run lengths are all there is to compress."""
    done, coded = cv2.imencode(
        ".png", mask, [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
    )
    if not done:
        raise StageFailed("the mask's PNG encoder failed")
    return bytes(coded.tobytes())
