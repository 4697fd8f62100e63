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
from dataclasses import dataclass
from typing import Any

from velum_pipeline.detections import Detections
from velum_pipeline.masks import instance_number
from velum_pipeline.options import Method, ObjectClass
from velum_pipeline.regions import Region

SCORE_DIGITS = 4


@dataclass(frozen=True)
class Told:
    """What is told of a picture or a frame.

    name: the file's name. size: (width, height) in pixels, as displayed. regions: of each of the N detections, None
    where nothing of it is hidden. duration: seconds that the work took, or that the frame is shown.
    """

    name: str
    size: tuple[int, int]
    detections: Detections
    regions: Sequence[Region | None]
    method: Method
    duration: float


def document(told: Told) -> dict[str, Any]:
    """The document as JSON-ready values."""
    found = told.detections
    rows = zip(found.classes.tolist(), found.boxes.tolist(), found.scores.tolist(), told.regions, strict=True)
    width, height = told.size
    return {
        "id": told.name,
        "filename": told.name,
        "folder": None,
        "size": [height, width],
        "duration": round(told.duration, 3),
        "detections": [
            _entry(told.name, row, *each, changed=region is not None and told.method is not Method.DETECT)
            for row, (*each, region) in enumerate(rows)
        ],
    }


def frame_document(told: Told, *, time: float, tracks: Sequence[int], seen: Sequence[bool]) -> dict[str, Any]:
    """The document of one frame; its ``id``, the frame's number, is set by whoever numbers the frames.

    time: when the frame is shown, in seconds. tracks: the number of each detection's track. seen: whether a detector
    saw the object in this frame; otherwise its place follows from the frames around.
    """
    page = document(told)
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
