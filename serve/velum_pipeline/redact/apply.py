"""Redaction in place: every region of a picture, one after the other, each touching its own rectangle and nothing else.

A later region averages what an earlier one left, so overlaps never show more than either. Opacity is redacted like a
colour, because a cut-out shows its shape by nothing else; where it is the same all over a region it shows nothing and
stays, so that opaque pictures stay opaque. Full frames are never copied or blended: the cost follows the regions' area.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from velum_pipeline.media.picture import Layout, Picture, Samples
from velum_pipeline.options import Method
from velum_pipeline.redact import floor
from velum_pipeline.regions import Region

WHITE = {1: 255.0, 2: 65535.0}
"""The brightest sample, by bytes per sample."""
SMOOTH = 4
"""Blurred cells are first enlarged this many times with a cubic kernel, then linearly.

Round, at the price of a linear resize.
"""


def apply(
    picture: Picture, regions: Iterable[Region], method: Method, random: np.random.Generator | None = None
) -> None:
    """Redact the regions of a picture, in place.

    ``random``: the noise source; by default a new one from the system's entropy. It is no PCG64, numpy's default, whose
    state can be worked out from enough of its output, and with it the noise of every region: Philox is a cipher's kin.
    """
    if method is Method.DETECT:
        return
    random = random or np.random.Generator(np.random.Philox())
    for region in regions:
        crop = picture.native[region.rows, region.columns]
        cover = _cover(crop, region, picture.layout, method, random)
        if picture.layout.has_alpha:
            _cover_alpha(cover, crop, method)
        if region.options.gradient_start == region.options.gradient_stop:
            cv2.copyTo(cover, region.strength, crop)  # no pixel is partial: a fifth of the time
        else:
            _composite(crop, cover, region.strength)


def _cover(crop: Samples, region: Region, layout: Layout, method: Method, random: np.random.Generator) -> Samples:
    """What the region shows at full strength; same shape and dtype as the crop."""
    if method is Method.BLACKEN:
        return np.zeros_like(crop)
    rows, columns = crop.shape[:2]
    wish = (region.object_class, region.options, (region.object_width, region.object_height), (columns, rows))
    across, down = floor.cells(*wish)
    means = _averages(crop, region, across, down)
    white = WHITE[crop.dtype.itemsize]
    shown = floor.disturb(means, layout, region.object_class, white, random)
    if method is Method.PIXELATE:
        blocks = floor.grain(shown, *floor.blocks(*wish), white, random).astype(crop.dtype)
        return _resize(blocks, columns, rows, cv2.INTER_NEAREST)
    wide, high = min(across * SMOOTH, columns), min(down * SMOOTH, rows)
    # On integers cv2 cuts off what a cubic kernel overshoots.
    smooth = _resize(shown.astype(crop.dtype), wide, high, cv2.INTER_CUBIC)
    return _resize(smooth, columns, rows, cv2.INTER_LINEAR)


def _cover_alpha(cover: Samples, crop: Samples, method: Method) -> None:
    """Set the cover's opacity where averaging it is not right: black is opaque, and what is even stays as it is."""
    opacity = crop[..., 3]
    if method is Method.BLACKEN:
        cover[..., 3] = np.iinfo(crop.dtype).max
    elif (opacity == opacity[0, 0]).all():
        cover[..., 3] = opacity[0, 0]


def _averages(crop: Samples, region: Region, across: int, down: int) -> NDArray[np.float32]:
    """Mean of the crop per cell, float32 (down, across[, C]).

    Of a segment, the mean of its own pixels, so that no background mixes in.
    """
    if not region.segment:
        return _means(crop, across, down)
    own = (region.strength > 0).astype(np.float32)
    shape = own if crop.ndim == 2 else own[..., None]
    weights = _means(own, across, down)
    weights = weights if crop.ndim == 2 else weights[..., None]
    return np.asarray(_means(crop * shape, across, down) / np.maximum(weights, np.float32(1e-6)), np.float32)


def _means(samples: NDArray[Any], across: int, down: int) -> NDArray[np.float32]:
    """Mean per cell, float32 (down, across[, C]).

    Cells are whole pixels; the few columns and rows that are left over at the far edges are shown as the last cells,
    without counting in them. There are so few cells that summing them one by one takes a third of the time of an area
    resize.
    """
    high, wide = samples.shape[0] // down, samples.shape[1] // across
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    sums = [
        cv2.sumElems(samples[top : top + high, left : left + wide])[:channels]
        for top in range(0, high * down, high)
        for left in range(0, wide * across, wide)
    ]
    means = np.array(sums, np.float32) / np.float32(high * wide)
    return means.reshape(down, across, *samples.shape[2:])


def _composite(crop: Samples, cover: Samples, strength: NDArray[np.uint8]) -> None:
    """Write the cover over the crop by strength / 255, in place.

    Both products are exact where the strength is 0 or 255, at 8 and at 16 bits (65535 * 255 < 2**24, so float32 holds
    them).
    """
    channels = 1 if crop.ndim == 2 else crop.shape[2]
    weight = cv2.merge((strength,) * channels) if channels > 1 else strength
    rest = cv2.bitwise_not(weight)
    if crop.dtype != np.uint8:
        weight, rest = weight.astype(crop.dtype), rest.astype(crop.dtype)
    shown = cv2.multiply(cover, weight, scale=1 / 255)
    kept = cv2.multiply(crop, rest, scale=1 / 255)
    cv2.add(shown, kept, dst=crop)


def _resize(samples: NDArray[Any], width: int, height: int, interpolation: int) -> NDArray[Any]:
    return np.asarray(cv2.resize(samples, (width, height), interpolation=interpolation))
