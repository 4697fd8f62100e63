"""YOLOv5-face heads trained on number plates (HyperLPR's y5fu): boxes and the four corners of the plate.

One output (B, rows, 15), already decoded to pixels of the input: centre x, centre y, width, height, objectness, four
corners as x, y pairs clockwise from the plate's own top left, and one score per class (single row, double row; both are
plates here). The score is objectness times the better class.
"""

from __future__ import annotations

import numpy as np

from velum_pipeline.detect.candidates import promising, usable
from velum_pipeline.detect.decoders.base import Decoded, Decoder, Floors, Outputs, boxes_around, positional
from velum_pipeline.detect.errors import ModelInvalid
from velum_pipeline.options import ObjectClass

CORNERS = slice(5, 13)
CLASSES_FROM = 13


def _decode(outputs: Outputs, size: tuple[int, int], floors: Floors) -> list[Decoded]:
    del size  # this head has put its grid into the numbers already
    (output,) = positional(outputs, "yolov5face-plate", 1)
    if output.ndim != 3 or output.shape[2] <= CLASSES_FROM:
        raise ModelInvalid(f"decoder yolov5face-plate expects (batch, rows, 14 or more), the model gave {output.shape}")
    decoded = []
    for rows in output:
        with np.errstate(invalid="ignore", over="ignore"):
            scores = rows[:, 4] * rows[:, CLASSES_FROM:].max(axis=1)
            best, dropped = promising(scores, floors[ObjectClass.LICENSE_PLATE])
            boxes = boxes_around(*rows[best, :4].T)
        plates, broken = usable(boxes, scores[best], rows[best, CORNERS].reshape(-1, 4, 2))
        decoded.append(Decoded({ObjectClass.LICENSE_PLATE: plates}, dropped + broken))
    return decoded


YOLOV5FACE_PLATE = Decoder("yolov5face-plate", frozenset({ObjectClass.LICENSE_PLATE}), _decode)
