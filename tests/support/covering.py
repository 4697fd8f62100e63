"""Regions of a video's frames, and what is shown of them."""

from collections.abc import Sequence

import av
import numpy as np

from support import yuvframes
from support.yuvframes import Array
from velum_pipeline import regions
from velum_pipeline.detections import Detections, as_classes
from velum_pipeline.options import ClassOptions, Ignore, Method, ObjectClass, Options
from velum_pipeline.regions import Region
from velum_pipeline.video.covers import Covers
from velum_pipeline.video.description import Video
from velum_pipeline.video.reader import Decoded

KEY = bytes(range(16))
DESTROYING = [Method.BLUR, Method.PIXELATE, Method.BLACKEN]
CLASSES = {name: ClassOptions.default(name) for name in ObjectClass}
FACE, PLATE, PERSON, VEHICLE = ObjectClass
Box = tuple[float, float, float, float]


def areas(video: Video, *rows: tuple[ObjectClass, Box], method: Method = Method.BLUR) -> list[Region | None]:
    """The regions of objects in the displayed picture; a rectangle in it is ignored."""
    found = Detections(
        np.array([box for _, box in rows], np.float32),
        np.ones(len(rows), np.float32),
        as_classes([object_class for object_class, _ in rows]),
    )
    options = Options(method, CLASSES, ignores=(Ignore(30, 30, 5, 3),))
    return regions.build(found, options, video.displayed_width, video.displayed_height)


def solid(x: int, y: int, width: int, height: int, kernel: float = 0.35, object_class: ObjectClass = FACE) -> Region:
    """A region at full strength all over."""
    options = ClassOptions(0.5, kernel)
    return Region(0, object_class, options, x, y, np.full((height, width), 255, np.uint8), float(width), float(height))


def hidden(
    video: Video, frame: av.VideoFrame, found: Sequence[Region | None], method: Method, *, key: bytes = KEY, at: int = 0
) -> list[Array]:
    """The planes after a fresh Covers saw one frame."""
    Covers(video, method, key).apply(Decoded(at, frame), found, range(len(found)))
    return yuvframes.cropped(frame, video)


def same(one: list[Array], other: list[Array]) -> bool:
    """Whether all planes are."""
    return all(map(np.array_equal, one, other))
