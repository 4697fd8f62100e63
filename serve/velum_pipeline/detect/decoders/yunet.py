"""YuNet (Wu et al. 2023, "YuNet: A Tiny Millisecond-level Face Detector"), as exported by libfacedetection.train.

Outputs per stride s of 8, 16, 32, over (H/s)*(W/s) cells row by row: cls_s and obj_s (B, cells, 1), both already
through a sigmoid; bbox_s (B, cells, 4), centre offset in cells and logarithm of the size in cells; kps_s (landmarks,
not read). The score is the geometric mean of cls and obj; the centre is (cell + offset) * s, the side exp(size) * s
pixels.
"""

from __future__ import annotations

import numpy as np

from velum_pipeline.detect.candidates import Candidates, promising, usable
from velum_pipeline.detect.decoders.base import Decoded, Decoder, Floors, Outputs, boxes_around, cells, expect_shape
from velum_pipeline.detect.errors import ModelInvalid
from velum_pipeline.options import ObjectClass

STRIDES = (8, 16, 32)


def _decode(outputs: Outputs, size: tuple[int, int], floors: Floors) -> list[Decoded]:
    missing = [f"{part}_{stride}" for part in ("cls", "obj", "bbox") for stride in STRIDES]
    if missing := [name for name in missing if name not in outputs]:
        raise ModelInvalid(f"decoder yunet misses the outputs {', '.join(missing)}")
    batch = len(outputs["cls_8"])
    for stride in STRIDES:
        count = (size[0] // stride) * (size[1] // stride)
        for part, channels in (("cls", 1), ("obj", 1), ("bbox", 4)):
            expect_shape(outputs[f"{part}_{stride}"], (batch, count, channels), "yunet", f"{part}_{stride}")
    return [_decode_item(outputs, item, size[1], floors[ObjectClass.FACE]) for item in range(batch)]


def _decode_item(outputs: Outputs, item: int, width: int, floor: float) -> Decoded:
    parts, non_finite = [], 0
    for stride in STRIDES:
        product = np.clip(outputs[f"cls_{stride}"][item, :, 0], 0, 1) * np.clip(
            outputs[f"obj_{stride}"][item, :, 0], 0, 1
        )
        scores = np.sqrt(product)
        best, dropped = promising(scores, floor)
        x, y = cells(best, width // stride)
        dx, dy, log_width, log_height = outputs[f"bbox_{stride}"][item, best].T
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is dropped as not finite
            boxes = boxes_around(
                (x + dx) * stride, (y + dy) * stride, np.exp(log_width) * stride, np.exp(log_height) * stride
            )
        faces, broken = usable(boxes, scores[best])
        parts.append(faces)
        non_finite += dropped + broken
    return Decoded({ObjectClass.FACE: Candidates.concatenate(parts)}, non_finite)


YUNET = Decoder("yunet", frozenset({ObjectClass.FACE}), _decode)
