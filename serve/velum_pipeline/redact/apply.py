"""Redaction in place: every region of a picture, one after the other, each touching its own rectangle and nothing else.

A later region averages what an earlier one left, so no pixel of an overlap shows more than either. Opacity is redacted
like a colour, because a cut-out shows its shape by nothing else; where it is the same all over a region it shows
nothing and stays, so that opaque pictures stay opaque. Full frames are never copied or blended: the cost follows the
regions' area.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from velum_pipeline.media.picture import Layout, Picture, Samples
from velum_pipeline.options import ClassOptions, Method, ObjectClass
from velum_pipeline.redact import cells, floor
from velum_pipeline.regions import Region

WHITE = {1: 255.0, 2: 65535.0}
"""The brightest sample, by bytes per sample."""
Place = tuple[Samples, int, int, int, NDArray[np.uint8]]
"""A picture's samples as (H, W * C), C, and a region's x, y and strength in it."""


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
    picture.native = native = np.ascontiguousarray(picture.native)  # the array itself, from every codec of ours
    channels = 1 if native.ndim == 2 else native.shape[2]
    lines = native.reshape(native.shape[0], -1)
    for region in regions:
        place = (lines, channels, region.x, region.y, region.strength)
        shown = np.zeros((1, 1, channels), np.float32)
        if method is not Method.BLACKEN:
            shown = _shown(place, region, picture.layout, method, random)
        if picture.layout.has_alpha:
            _set_opacity(shown, native[region.rows, region.columns, 3], method)
        cells.paint(*place, shown, method is Method.BLUR)


def asked(region: Region) -> tuple[ObjectClass, ClassOptions, tuple[float, float], tuple[int, int]]:
    """What the floor decides by: what is hidden, with which wishes, its size, and that of the region."""
    rows, columns = region.strength.shape
    return region.object_class, region.options, (region.object_width, region.object_height), (columns, rows)


def _shown(
    place: Place, region: Region, layout: Layout, method: Method, random: np.random.Generator
) -> NDArray[np.float32]:
    """What the region shows at full strength: cells or blocks, float32 (down, across, C)."""
    wish = asked(region)
    white = WHITE[place[0].dtype.itemsize]
    means = cells.averaged(*place, region.segment, floor.cells(*wish))
    shown = floor.disturb(means, layout, region.object_class, white, random)
    if method is Method.PIXELATE:
        return floor.grain(shown, *floor.blocks(*wish), white, random)
    return shown


def _set_opacity(shown: NDArray[np.float32], opacity: Samples, method: Method) -> None:
    """Set the opacity shown where averaging it is not right: black is opaque, and what is even stays as it is."""
    if method is Method.BLACKEN:
        shown[..., 3] = np.iinfo(opacity.dtype).max
    elif (opacity == opacity[0, 0]).all():
        shown[..., 3] = opacity[0, 0]
