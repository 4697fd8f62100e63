"""PicoDet (Yu et al. 2021, "PP-PicoDet", arXiv 2111.00902) trained on COCO's 80 classes.

Outputs, per stride s of 8, 16, 32, 64 over ceil(H/s)*ceil(W/s) cells row by row: four class maps (B, cells, 80),
already through a sigmoid, then four box maps (B, cells, 4 * 8). A box side is a distribution over 8 bins (generalised
focal loss, Li et al. 2020): its expectation times s is the distance in pixels from the cell's centre, (cell + 0.5) * s,
to the left, top, right and bottom.

What counts as what: person is COCO's person. Vehicle is the best of car, motorcycle, bus and truck: vehicles with a
number plate. Bicycles are not: they carry no plate, and their riders are found as persons. Trains, trams and aircraft
are not: they are public and belong to nobody whose privacy a picture could hurt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from velum_pipeline.detect.candidates import Candidates, promising, usable
from velum_pipeline.detect.decoders.base import Decoded, Decoder, Floors, Outputs, cells, expect_shape, positional
from velum_pipeline.detections import Floats
from velum_pipeline.options import ObjectClass

STRIDES = (8, 16, 32, 64)
BINS = 8
COCO_CLASSES = 80
COCO_ROWS: Mapping[ObjectClass, tuple[int, ...]] = {
    ObjectClass.PERSON: (0,),
    ObjectClass.VEHICLE: (2, 3, 5, 7),  # car, motorcycle, bus, truck
}


def _decode(outputs: Outputs, size: tuple[int, int], floors: Floors) -> list[Decoded]:
    maps = positional(outputs, "picodet", 2 * len(STRIDES))
    class_maps, box_maps = maps[: len(STRIDES)], maps[len(STRIDES) :]
    batch = len(class_maps[0])
    for stride, scores, sides in zip(STRIDES, class_maps, box_maps, strict=True):
        count = -(-size[0] // stride) * -(-size[1] // stride)
        expect_shape(scores, (batch, count, COCO_CLASSES), "picodet", f"classes at stride {stride}")
        expect_shape(sides, (batch, count, 4 * BINS), "picodet", f"boxes at stride {stride}")
    return [_decode_item([m[i] for m in class_maps], [m[i] for m in box_maps], size[1], floors) for i in range(batch)]


def _decode_item(class_maps: Sequence[Floats], box_maps: Sequence[Floats], width: int, floors: Floors) -> Decoded:
    found: dict[ObjectClass, Candidates] = {}
    non_finite = 0
    for object_class, floor in floors.items():
        parts = []
        for stride, classes, sides in zip(STRIDES, class_maps, box_maps, strict=True):
            scores = classes[:, COCO_ROWS[object_class]].max(axis=1)
            best, dropped = promising(scores, floor)
            objects, broken = usable(_boxes(best, sides[best], stride, -(-width // stride)), scores[best])
            parts.append(objects)
            non_finite += dropped + broken
        found[object_class] = Candidates.concatenate(parts)
    return Decoded(found, non_finite)


def _boxes(cell_numbers: np.ndarray[tuple[int], np.dtype[np.intp]], sides: Floats, stride: int, columns: int) -> Floats:
    logits = sides.reshape(-1, 4, BINS)
    with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is dropped by the caller
        weights = np.exp(logits - logits.max(axis=2, keepdims=True))
        distances = (weights * np.arange(BINS, dtype=np.float32)).sum(axis=2) / weights.sum(axis=2) * stride
    x, y = cells(cell_numbers, columns)
    cx, cy = (x + 0.5) * stride, (y + 0.5) * stride
    left, top, right, bottom = distances.T
    return np.stack([cx - left, cy - top, cx + right, cy + bottom], axis=1)


PICODET = Decoder("picodet", frozenset(COCO_ROWS), _decode)
