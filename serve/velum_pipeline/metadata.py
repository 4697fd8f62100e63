"""The metadata document of one picture (contract v1, "Image metadata"), and of one frame of a video.

``size`` is [height, width]: the contract's example, [3456, 5184], is the size of an 18-megapixel camera held level,
5184 wide and 3456 high, written in the order of an array's shape. ``bbox`` are whole pixels that enclose the detected
box. ``is_anonymised`` says whether pixels of this object were changed: false for method ``detect`` and for an object
that ``ignores`` cover altogether.
"""

from __future__ import annotations

import math
from collections import Counter
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
    rows = zip(detections.classes.tolist(), detections.boxes.tolist(), detections.scores.tolist(), regions, strict=True)
    return {
        "id": name,
        "filename": name,
        "folder": None,
        "size": [height, width],
        "duration": round(duration, 3),
        "detections": [
            _entry(name, row, *found, changed=region is not None and method is not Method.DETECT)
            for row, (*found, region) in enumerate(rows)
        ],
    }


def frame_document(
    name: str,
    width: int,
    height: int,
    detections: Detections,
    regions: Sequence[Region | None],
    method: Method,
    *,
    time: float,
    duration: float,
    tracks: Sequence[int],
    seen: Sequence[bool],
) -> dict[str, Any]:
    """The document of one frame; its ``id``, the frame's number, is set by whoever numbers the frames.

    time, duration: seconds, when and how long the frame is shown. tracks: the number of each detection's track. seen:
    whether a detector saw the object in this frame; otherwise its place follows from the frames around.
    """
    page = document(name, width, height, detections, regions, method, duration)
    for entry, track, found in zip(page["detections"], tracks, seen, strict=True):
        entry.update(track_id=int(track), is_interpolated=not found)
    return {"id": None, "time": round(time, 6), **{key: page[key] for key in page if key != "id"}}


def counts(detections: Detections) -> dict[str, int]:
    """How many objects of each class were found; classes without any are left out."""
    found = Counter(detections.classes.tolist())
    return {str(name): found[name] for name in ObjectClass if name in found}


def _entry(
    name: str, row: int, object_class: ObjectClass, box: list[float], score: float, *, changed: bool
) -> dict[str, Any]:
    x1, y1, x2, y2 = box
    enclosing = [math.floor(x1), math.floor(y1), math.ceil(x2), math.ceil(y2)]
    return {
        "id": row,
        "parent_image": name,
        "offset": enclosing[:2],
        "bbox": enclosing,
        "type": object_class.type_id,
        "type_label": str(object_class),
        "score": round(score, SCORE_DIGITS),
        "is_anonymised": changed,
        "color": [0, instance_number(row), object_class.mask_bit],
    }
