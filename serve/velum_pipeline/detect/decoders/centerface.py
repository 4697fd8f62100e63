"""CenterFace (Xu et al. 2019, "CenterFace: Joint Face Detection and Alignment Using Face as Point", arXiv 1911.03599).

Outputs for an input of H x W, all at stride 4: heat map (B, 1, H/4, W/4) already through a sigmoid; size (B, 2, H/4,
W/4), the logarithm of height and width in cells; offset (B, 2, H/4, W/4), y then x, of the centre inside its cell;
landmarks (not read). A box's centre is (cell + offset + 0.5) * 4 and its side exp(size) * 4 pixels.
"""

from __future__ import annotations

import numpy as np

from velum_pipeline.detect.candidates import promising, usable
from velum_pipeline.detect.decoders.base import (
    Decoded,
    Decoder,
    Floors,
    Outputs,
    boxes_around,
    cells,
    expect_shape,
    positional,
)
from velum_pipeline.options import ObjectClass

STRIDE = 4


def _decode(outputs: Outputs, size: tuple[int, int], floors: Floors) -> list[Decoded]:
    heat, scale, offset = positional(outputs, "centerface", 3)
    rows, columns = size[0] // STRIDE, size[1] // STRIDE
    batch = len(heat)
    for name, output, channels in (("the heat map", heat, 1), ("sizes", scale, 2), ("offsets", offset, 2)):
        expect_shape(output, (batch, channels, rows, columns), "centerface", name)
    decoded = []
    for item in range(batch):
        scores = heat[item, 0].ravel()
        best, dropped = promising(scores, floors[ObjectClass.FACE])
        x, y = cells(best, columns)
        with np.errstate(over="ignore"):  # an overflow becomes infinite and is dropped as such
            height, width = np.exp(scale[item].reshape(2, -1)[:, best]) * STRIDE
        dy, dx = offset[item].reshape(2, -1)[:, best]
        with np.errstate(invalid="ignore"):
            boxes = boxes_around((x + dx + 0.5) * STRIDE, (y + dy + 0.5) * STRIDE, width, height)
        faces, broken = usable(boxes, scores[best])
        decoded.append(Decoded({ObjectClass.FACE: faces}, dropped + broken))
    return decoded


CENTERFACE = Decoder("centerface", frozenset({ObjectClass.FACE}), _decode)
