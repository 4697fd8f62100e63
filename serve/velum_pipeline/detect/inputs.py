"""From a view of the picture to a network's input, and the way back for coordinates.

``target`` decides sizes from numbers alone, so that views of equal size can be grouped before a pixel is touched;
``prepare`` then does the work: resize in uint8, pad, and only then go to float, which is four times the memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from velum_pipeline.detect.spec import DynamicInput, FixedInput, PixelSpec
from velum_pipeline.detect.tiles import Window
from velum_pipeline.detections import Floats


@dataclass(frozen=True)
class Placement:
    """Where a view of ``view`` (width, height) pixels lies in a network input of ``canvas`` (width, height) pixels.

    The view was resized to ``content`` and put at ``offset``.
    """

    view: tuple[int, int]
    canvas: tuple[int, int]
    content: tuple[int, int]
    offset: tuple[int, int]

    @property
    def back(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """(scale, offset) that bring input coordinates back into the view: ``x * scale + offset``."""
        sx, sy = self.view[0] / self.content[0], self.view[1] / self.content[1]
        return (sx, sy), (-self.offset[0] * sx, -self.offset[1] * sy)


def target(spec: FixedInput | DynamicInput, width: int, height: int) -> Placement:
    """How a view of this size (pixels) is fed to a network with this input."""
    if isinstance(spec, FixedInput):
        return _fixed(spec, width, height)
    longest = max(width, height)
    scale = min(1.0, spec.max_side / longest)
    if longest < spec.min_side:
        scale = min(spec.min_side / longest, spec.max_upscale)
    content = _resized(width, height, scale)
    canvas = (_up(content[0], spec.multiple), _up(content[1], spec.multiple))
    return Placement((width, height), canvas, canvas if spec.fit == "stretch" else content, (0, 0))


def scale(spec: FixedInput | DynamicInput, width: int, height: int) -> float:
    """How many input pixels one pixel of a view of this size (pixels) gets, at the most; below 1 it is reduced."""
    parts = Window(0, 0, width, height).parts(spec.split)
    placements = [target(spec, part.width, part.height) for part in parts]
    return max(max(one.content[0] / one.view[0], one.content[1] / one.view[1]) for one in placements)


def _fixed(spec: FixedInput, width: int, height: int) -> Placement:
    canvas = (spec.width, spec.height)
    if spec.fit == "stretch":
        return Placement((width, height), canvas, canvas, (0, 0))
    scale = min(spec.width / width, spec.height / height)
    if spec.content is not None:
        scale = spec.content / max(width, height)
    content = _resized(width, height, scale)
    offset = ((spec.width - content[0]) // 2, (spec.height - content[1]) // 2)
    return Placement((width, height), canvas, content, offset)


def _resized(width: int, height: int, scale: float) -> tuple[int, int]:
    return max(1, round(width * scale)), max(1, round(height * scale))


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def prepare(pixels: NDArray[np.uint8], placement: Placement, spec: PixelSpec, out: Floats) -> None:
    """Write a BGR uint8 (h, w, 3) view into ``out``, float32 (3, H, W), as the placement and the spec say."""
    canvas = _canvas(pixels, placement, spec.fill)
    planes = cv2.split(canvas)
    for plane, source in enumerate((0, 1, 2) if spec.colour == "bgr" else (2, 1, 0)):
        out[plane] = planes[source]
        if spec.mean[plane] != 0:
            out[plane] -= np.float32(spec.mean[plane])
        if spec.std[plane] != 1:
            out[plane] *= np.float32(1 / spec.std[plane])


def _canvas(pixels: NDArray[np.uint8], placement: Placement, fill: int) -> NDArray[np.uint8]:
    content = pixels
    if placement.content != placement.view:
        # Linear also far down: these networks learned on pictures reduced like that. Area averaging, though it aliases
        # less, cost HyperLPR a tenth of its recall on 1280x720 dashcam pictures.
        content = np.asarray(cv2.resize(pixels, placement.content, interpolation=cv2.INTER_LINEAR), np.uint8)
    if placement.content == placement.canvas:
        return content
    canvas = np.full((placement.canvas[1], placement.canvas[0], 3), fill, np.uint8)
    x, y = placement.offset
    canvas[y : y + placement.content[1], x : x + placement.content[0]] = content
    return canvas
