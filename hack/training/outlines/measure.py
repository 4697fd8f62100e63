"""How right masks are: overlap with what people drew, and how much of it a threshold and a dilation leave to see."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from evaluation.coverage import outline
from evaluation.outlines import FEWEST_PIXELS, Score
from training.labels.hand import IMAGES
from training.outlines.masks import Bits, decoded
from training.outlines.network import OutlineNetwork
from training.outlines.sources import Source, read_rgb
from training.outlines.windows import MARGIN, Box, Pixels, cut
from velum_pipeline.detect.crops import Crop
from velum_pipeline.detect.outlines import logit, widened
from velum_pipeline.detect.prototypes import LogitMap

Logits = NDArray[np.float32]
BATCH = 16


@dataclass(frozen=True)
class Labelled:
    """An object whose outline somebody drew. truth: bool (H, W) of the picture."""

    cls: str
    box: Box
    picture: Pixels
    truth: Bits


def logits(network: OutlineNetwork, crops: Sequence[Pixels], mirrored: bool = False) -> Logits:
    """(N, S, S) of crops; ``mirrored``: the mean of each and its mirror image."""
    found = []
    with torch.inference_mode():
        for start in range(0, len(crops), BATCH):
            pixels = torch.from_numpy(np.stack(crops[start : start + BATCH])).permute(0, 3, 1, 2).float()
            said = network(pixels)
            if mirrored:
                said = (said + network(pixels.flip(3)).flip(2)) / 2
            found.append(said.numpy())
    return np.concatenate(found) if found else np.zeros((0, network.side, network.side), np.float32)


def hidden(said: Logits, box: Box, width: int, height: int, threshold: float, grow: float) -> Bits:
    """What the pipeline hides of a width x height picture: above the threshold, then wider by ``grow`` of √area."""
    crop = Crop.around(np.array(box, np.float32), MARGIN, len(said))
    radius = grow * math.sqrt(max((box[2] - box[0]) * (box[3] - box[1]), 0.0))
    marked = widened(said - logit(threshold), crop.pitch, radius)
    low = [math.floor(start) for start in crop.origin]
    high = [math.ceil(start + pitch * crop.side) for start, pitch in zip(crop.origin, crop.pitch, strict=True)]
    x1, y1, x2, y2 = max(low[0], 0), max(low[1], 0), min(high[0], width), min(high[1], height)
    mask = np.zeros((height, width), np.bool_)
    if x2 > x1 and y2 > y1:
        mask[y1:y2, x1:x2] = LogitMap(marked, crop.origin, crop.pitch).bits(x1, y1, x2, y2)
    return mask


def scores(
    labelled: Sequence[Labelled], said: Logits, boxes: Sequence[Box], threshold: float, grow: float
) -> list[Score]:
    """Of each object, given the boxes that its crop was cut by."""
    found = []
    for item, values, box in zip(labelled, said, boxes, strict=True):
        height, width = item.truth.shape
        mask = hidden(values, box, width, height, threshold, grow)
        found.append(Score.of(item.cls, mask, item.truth))
    return found


def crops_of(labelled: Sequence[Labelled], boxes: Sequence[Box], side: int) -> list[Pixels]:
    """The crops that the network sees."""
    return [cut(item.picture, box, side) for item, box in zip(labelled, boxes, strict=True)]


def labelled_sources(data: Path, sources: Iterable[Source]) -> list[Labelled]:
    """Objects of a training set with their masks."""
    found = []
    for source in sources:
        picture = read_rgb(data / source.set / IMAGES / source.file, source.set)
        truth = _truth(source.mask, picture)
        if np.count_nonzero(truth) >= FEWEST_PIXELS:
            found.append(Labelled(source.cls, source.box, picture, truth))
    return found


def _truth(mask: Any, picture: Pixels) -> Bits:
    """Run lengths, or the pixels whose centres polygons hold: another rule would shift what small objects reach."""
    if isinstance(mask, Mapping):
        return decoded(mask["size"], mask["counts"])
    return outline([np.asarray(flat, np.float64).reshape(-1, 2) for flat in mask], picture.shape[1], picture.shape[0])
