"""The metadata document of one picture (contract v1, "Image metadata").

``size`` is [height, width]: the contract's example, [3456, 5184], is the size of an 18-megapixel camera held level,
5184 wide and 3456 high, written in the order of an array's shape. ``bbox`` are whole pixels that enclose the detected
box. ``is_anonymised`` says whether pixels of this object were changed: false for method ``detect`` and for an object
that ``ignores`` cover altogether.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from velum_pipeline.detections import Detections
from velum_pipeline.masks import instance_number
from velum_pipeline.options import Method, ObjectClass
from velum_pipeline.regions import Region

SCORE_DIGITS = 4


def document(
    name: str,
    width: int,
    height: int,
    detections: Detections,
    regions: Sequence[Region | None],
    method: Method,
    duration: float,
) -> dict[str, Any]:
    """The document as JSON-ready values. ``name``: the picture's name. ``duration``: seconds that the work took."""
    return {
        "id": name,
        "filename": name,
        "folder": None,
        "size": [height, width],
        "duration": round(duration, 3),
        "detections": [
            _entry(name, detections, row, changed=region is not None and method is not Method.DETECT)
            for row, region in enumerate(regions)
        ],
    }


def counts(detections: Detections) -> dict[str, int]:
    """How many objects of each class were found; classes without any are left out."""
    found = {str(name): int((detections.classes == name).sum()) for name in ObjectClass}
    return {name: number for name, number in found.items() if number}


def _entry(name: str, detections: Detections, row: int, *, changed: bool) -> dict[str, Any]:
    object_class: ObjectClass = detections.classes[row]
    x1, y1, x2, y2 = (float(value) for value in detections.boxes[row])
    box = [math.floor(x1), math.floor(y1), math.ceil(x2), math.ceil(y2)]
    return {
        "id": row,
        "parent_image": name,
        "offset": box[:2],
        "bbox": box,
        "type": object_class.type_id,
        "type_label": str(object_class),
        "score": round(float(detections.scores[row]), SCORE_DIGITS),
        "is_anonymised": changed,
        "color": [0, instance_number(row), object_class.mask_bit],
    }
