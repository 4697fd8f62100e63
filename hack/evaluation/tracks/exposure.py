"""What an output leaves in sight, from its pixels and the input's: one rule for every product.

A pixel is hidden where the output differs from the input by more than coding explains: the root of the mean squared
difference over a window of a sixth of the object's size (blur leaves single pixels as they were by chance) exceeds a
limit. The limit is the product's own: what its encoder does to 99 of 100 of the same pixels when it hides nothing, plus
MARGIN grey levels. An object is covered in a frame if COVERED of its visible pixels are hidden. Frames that show less
than half of an object ask for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from evaluation.errors import PeerFailed
from evaluation.tracks.clips import frames
from evaluation.tracks.crops import box_size
from evaluation.tracks.scene import Visible

COVERED = 0.75
HALF = 0.5
MARGIN = 3.0
"""Grey levels. Beside what was redacted an encoder spends its bits otherwise than where nothing was."""
NOISE_SHARE = 99.0
"""Percent of pixels that coding alone does not change by more than the limit."""
WINDOW = 1 / 6
SPAN = 2
"""Pixels beyond an object that a window may reach into, at the least."""

Truth = Callable[[int], list[Visible]]
"""From a frame's number to the objects in it."""


@dataclass
class Sight:
    """One track: its sizes and, for every frame that shows at least half of it, the share of it that is hidden."""

    track: int
    sizes: list[float] = field(default_factory=list)
    hidden: list[float] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)

    @property
    def size(self) -> float:
        """Pixels, the mean over its frames."""
        return float(np.mean(self.sizes))

    @property
    def exposed(self) -> list[bool]:
        """For each of its frames, whether too little of it is hidden."""
        return [share < COVERED for share in self.hidden]


def limit(source: Path, plain: Path, truth: Truth) -> float:
    """The least difference that is more than coding, from an output of the same product that hides nothing.

    Raises PeerFailed where the output has other frames than the source, SetInvalid where a file is no video.
    """
    seen: list[NDArray[np.float32]] = []
    for number, before, after in pairs(source, plain):
        seen += [_difference(before, after, item)[item.pixels] for item in truth(number)]
    differences = np.concatenate(seen) if seen else np.zeros(1, np.float32)
    return MARGIN + float(np.percentile(differences, NOISE_SHARE))


def sights(source: Path, output: Path, truth: Truth, least: float) -> list[Sight]:
    """Every track that was ever half in sight. ``least``: see ``limit``; raises as that."""
    found: dict[int, Sight] = {}
    for number, before, after in pairs(source, output):
        for item in truth(number):
            if item.share < HALF:
                continue
            hidden = _difference(before, after, item)[item.pixels] > least
            sight = found.setdefault(item.track, Sight(item.track))
            sight.sizes.append(box_size(item.box))
            sight.hidden.append(float(hidden.mean()))
            sight.numbers.append(number)
    return [found[track] for track in sorted(found)]


def pairs(source: Path, output: Path) -> Iterator[tuple[int, NDArray[np.uint8], NDArray[np.uint8]]]:
    """(number, input, output) of every frame. Raises PeerFailed where their numbers or sizes differ."""
    for number, (before, after) in enumerate(zip_longest(frames(source), frames(output))):
        if before is None or after is None:
            raise PeerFailed(output.name, f"has {'more' if before is None else 'fewer'} frames than its input")
        if before.shape != after.shape:
            raise PeerFailed(output.name, f"frame {number} is {after.shape[1]} x {after.shape[0]} pixels")
        yield number, before, after


def _difference(before: NDArray[np.uint8], after: NDArray[np.uint8], item: Visible) -> NDArray[np.float32]:
    """Root of the windowed mean squared difference, (h, w) as the item's pixels."""
    height, width = item.pixels.shape
    window = max(3, round(box_size(item.box) * WINDOW)) | 1
    reach = window // 2 + SPAN
    top, left = max(0, item.y - reach), max(0, item.x - reach)
    rows, columns = slice(top, item.y + height + reach), slice(left, item.x + width + reach)
    squared = (before[rows, columns].astype(np.float32) - after[rows, columns]) ** 2
    mean = cv2.boxFilter(
        np.asarray(squared.mean(axis=2), np.float32), -1, (window, window), borderType=cv2.BORDER_REFLECT
    )
    inside = mean[item.y - top :, item.x - left :][:height, :width]
    return np.asarray(np.sqrt(np.maximum(inside, 0)), np.float32)
