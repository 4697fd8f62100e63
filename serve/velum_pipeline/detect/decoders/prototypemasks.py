"""Heads that give boxes with mask coefficients, and prototype masks beside them, as the YOLO families are exported.

Two outputs count, told by their axes: predictions (3) and prototypes (4), (B, K, H/s, W/s); K is 32 and s is 4 in all
known networks, and both are read from the shapes. The prediction's values per box, by ``layout``:

    yolov8       (B, 4 + C + K, N): centre x, centre y, width, height; a score per label; coefficients
    yolov5       (B, N, 5 + C + K): centre x, centre y, width, height; objectness; a score per label; coefficients
    end-to-end   (B, N, 6 + K): x1, y1, x2, y2; score; label; coefficients (the graph has chosen the boxes itself)

All coordinates are pixels of the input and all scores have been through a sigmoid. yolov8 is also the layout of YOLO 9,
11 and 12, yolov5 that of YOLOv7, end-to-end that of YOLO26 and of exports with suppression in the graph. C, the count
of labels, comes from the manifest, so that a wrong layout or a wrong file shows in the shapes: read one value further,
scores would be plausible numbers.

Outputs may be torch tensors: then scores are compared where they are, and only chosen rows come to main memory.
Prototypes stay; an outline is a Sketch, and its sum is taken for boxes that survive suppression.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from velum_pipeline.detect.arrays import Array, host_floats, namespace
from velum_pipeline.detect.candidates import Candidates, promising, usable
from velum_pipeline.detect.decoders.base import (
    Decode,
    Decoded,
    Floors,
    Head,
    LabelledDecoder,
    Outputs,
    boxes_around,
    expect_shape,
)
from velum_pipeline.detect.errors import ModelInvalid
from velum_pipeline.detect.prototypes import Sketch
from velum_pipeline.options import ObjectClass

NAME = "prototype-masks"
YOLOV8, YOLOV5, END_TO_END = "yolov8", "yolov5", "end-to-end"
COEFFICIENTS_FROM: Mapping[str, int] = MappingProxyType({YOLOV8: 4, YOLOV5: 5, END_TO_END: 6})
"""Values of a row before the coefficients, not counting one score per label where there are such."""


def _bind(head: Head) -> Decode:
    start = COEFFICIENTS_FROM[head.layout] + (0 if head.layout == END_TO_END else head.count)

    def decode(outputs: Outputs, size: tuple[int, int], floors: Floors) -> list[Decoded]:
        predictions, prototypes = _outputs(outputs)
        kernels, stride = prototypes.shape[1], _stride(prototypes, size)
        if head.layout == YOLOV8:
            predictions = namespace(predictions).permute_dims(predictions, (0, 2, 1))
        boxes = predictions.shape[1]
        expect_shape(predictions, (len(prototypes), boxes, start + kernels), NAME, f"boxes of layout {head.layout}")
        return [
            _decode_item(rows, maps, stride, start, floors, head)
            for rows, maps in zip(predictions, prototypes, strict=True)
        ]

    return decode


def _outputs(outputs: Outputs) -> tuple[Array, Array]:
    predictions = [output for output in outputs.values() if len(output.shape) == 3]
    prototypes = [output for output in outputs.values() if len(output.shape) == 4]
    if len(predictions) != 1 or len(prototypes) != 1:
        shapes = ", ".join(f"{name} {tuple(output.shape)}" for name, output in outputs.items())
        raise ModelInvalid(f"decoder {NAME} needs one output of 3 axes and one of 4, the model has {shapes}")
    return predictions[0], prototypes[0]


def _stride(prototypes: Array, size: tuple[int, int]) -> float:
    rows, columns = prototypes.shape[2:]
    stride = size[0] / max(float(rows), 1.0)
    if stride < 1 or columns * stride != size[1]:
        raise ModelInvalid(
            f"decoder {NAME}: prototypes of {columns}x{rows} cells do not divide an input of {size[1]}x{size[0]}"
        )
    return float(stride)


def _decode_item(rows: Array, maps: Array, stride: float, start: int, floors: Floors, head: Head) -> Decoded:
    found: dict[ObjectClass, Candidates] = {}
    non_finite = 0
    for object_class, floor in floors.items():
        best, dropped = promising(_scores(rows, head, object_class), floor)
        chosen = rows[best]
        values = host_floats(chosen[:, :start])
        with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is dropped below
            boxes = values[:, :4] if head.layout == END_TO_END else boxes_around(*values[:, :4].T)
        outlines = np.empty(len(values), object)
        outlines[:] = [Sketch(maps, coefficients, stride) for coefficients in chosen[:, start:]]
        scores = host_floats(_scores(chosen, head, object_class))
        found[object_class], broken = usable(boxes, scores, segments=outlines)
        non_finite += dropped + broken
    return Decoded(found, non_finite)


def _scores(rows: Array, head: Head, object_class: ObjectClass) -> Array:
    """The score of a class in each row: that of the best of its labels."""
    xp = namespace(rows)
    labels = head.labels[object_class]
    if head.layout == END_TO_END:
        own = rows[:, 5] == labels[0]
        for label in labels[1:]:
            own = own | (rows[:, 5] == label)
        return xp.where(own, rows[:, 4], xp.zeros_like(rows[:, 4]))
    first = COEFFICIENTS_FROM[head.layout]
    best = rows[:, first + labels[0]]
    for label in labels[1:]:
        best = xp.maximum(best, rows[:, first + label])
    return best if head.layout == YOLOV8 else best * rows[:, 4]


PROTOTYPE_MASKS = LabelledDecoder(NAME, frozenset(ObjectClass), frozenset(COEFFICIENTS_FROM), _bind, tensors=True)
