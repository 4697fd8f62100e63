"""The detectors of a model, as one: cut pictures into windows, ask every component that finds a wanted class, merge.

``Detector.detect`` is what the rest of the pipeline sees. It is thread-safe: sessions are shared, and the only thing it
changes is a counter under a lock.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from velum_pipeline.detect.candidates import Candidates
from velum_pipeline.detect.component import Component, View
from velum_pipeline.detect.errors import ClassNotFound, DetectionFailed
from velum_pipeline.detect.merge import SAME_OBJECT, merge, opened
from velum_pipeline.detect.segments import drawn
from velum_pipeline.detect.tiles import layout
from velum_pipeline.detections import Detections, as_classes
from velum_pipeline.options import ObjectClass, Options

logger = logging.getLogger(__name__)

Parts = Mapping[ObjectClass, list[Candidates]]


class Detector:
    """The components of one or several packs. ``packs`` are their names, for errors."""

    def __init__(self, components: Sequence[Component], packs: Sequence[str] = ()) -> None:
        self.components = tuple(components)
        self.packs = tuple(packs)
        self._dropped = 0
        self._lock = threading.Lock()

    @property
    def classes(self) -> frozenset[ObjectClass]:
        """Everything that at least one component finds."""
        return frozenset().union(*(component.classes for component in self.components))

    @property
    def non_finite(self) -> int:
        """How many network numbers were dropped since the start because they were not finite. Healthy weights: 0."""
        with self._lock:
            return self._dropped

    def detect(self, pictures: Sequence[NDArray[np.uint8]], options: Options) -> list[Detections]:
        """The requested classes in each picture: boxes inside the picture, by class and then by falling score.

        ``pictures`` are BGR uint8 (H, W, 3), as displayed; they may differ in size. Only components that find a
        requested class run. A panorama's object on the seam gives one box at each edge.

        Raises ClassNotFound when a requested class has no component, and DetectionFailed when a network breaks or a
        picture is not such an array; there is never a partial answer.
        """
        for index, picture in enumerate(pictures):
            if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or picture.size == 0:
                raise DetectionFailed(f"picture {index}: expected uint8 (H, W, 3), got {picture.dtype} {picture.shape}")
        if missing := set(options.classes) - self.classes:
            raise ClassNotFound(missing, self.packs, "`velum models list` shows which packs find what")
        layouts = [layout(picture.shape[1], picture.shape[0], options.tiling) for picture in pictures]
        views = [
            View(picture, window, one.period)
            for picture, one in zip(pictures, layouts, strict=True)
            for window in one.windows
        ]
        owners = [index for index, one in enumerate(layouts) for _ in one.windows]
        seen = self._look(views, owners, len(pictures), options)
        return [
            _detections(parts, picture.shape[1], picture.shape[0], one.period, outlines=not options.bbox)
            for parts, picture, one in zip(seen, pictures, layouts, strict=True)
        ]

    def _look(self, views: Sequence[View], owners: Sequence[int], count: int, options: Options) -> list[Parts]:
        seen: list[Parts] = [{name: [] for name in options.classes} for _ in range(count)]
        for component in self.components:
            if not component.classes & set(options.classes):
                continue
            for owner, sighting in zip(owners, component.detect(views, options.thresholds), strict=True):
                for name, found in sighting.found.items():
                    seen[owner][name].append(found)
                self._count(component, sighting.non_finite)
        return seen

    def _count(self, component: Component, non_finite: int) -> None:
        if non_finite:
            logger.warning("detector %s gave %d numbers that are not finite; dropped", component.spec.name, non_finite)
            with self._lock:
                self._dropped += non_finite


def _detections(parts: Parts, width: int, height: int, period: int | None, *, outlines: bool) -> Detections:
    by_class = []
    for name in sorted(parts, key=list(ObjectClass).index):
        found = merge(Candidates.concatenate(parts[name]), SAME_OBJECT[name], period)
        if period is not None:
            found = opened(found, period).ordered()
        corners = None if np.isnan(found.corners).all() else found.corners
        masks = None
        if found.segments is not None and outlines and not name.relative_kernel:  # others are never shown by outline
            masks = tuple(drawn(segment, width, height) for segment in found.segments)
        by_class.append(Detections(found.boxes, found.scores, as_classes([name] * len(found)), corners, masks))
    return Detections.concatenate(by_class).clipped(width, height)
