"""The detectors of a model, as one: cut pictures into windows, ask every component that finds a wanted class, fuse.

What one component saw through all windows is merged, and is one look; what the looks of a pack say of one object is
fused, and packs are joined so that none takes away what another found. Where the request leaves it to us how to look,
components that are ``thorough`` look too, and then those that look ``inside`` what was found. Persons and vehicles that
are left get their outlines last, where a pack has a network for that.

``Detector.detect`` is what the rest of the pipeline sees. It is thread-safe: sessions are shared, and the only thing it
changes is a counter under a lock.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from velum_pipeline.detect import hints
from velum_pipeline.detect.calibration import SCORE_SLACK
from velum_pipeline.detect.candidates import Candidates
from velum_pipeline.detect.component import Component, View
from velum_pipeline.detect.errors import ClassNotFound, DetectionFailed
from velum_pipeline.detect.inputs import scale
from velum_pipeline.detect.looks import Looks
from velum_pipeline.detect.merge import opened
from velum_pipeline.detect.outlines import Outliner, by_class
from velum_pipeline.detect.segments import drawn
from velum_pipeline.detect.spec import ComponentSpec
from velum_pipeline.detect.tiles import Layout, Window, layout
from velum_pipeline.detections import Detections, as_classes
from velum_pipeline.options import DEFAULT_CLASS_OPTIONS, ObjectClass, Options

logger = logging.getLogger(__name__)

THOROUGH = frozenset({"auto", "pano"})
"""The formats that ask for nothing to be missed. ``whole`` is one quick look, and tiles are the client's own choice."""
WEAK = 0.3
"""Of the default threshold: what a single look holds for less likely is no evidence, and there is much of it."""


@dataclass(frozen=True)
class _Scene:
    """``finest``: for each weights file, the most of its input's pixels that a pixel gets where all is looked at."""

    picture: NDArray[np.uint8]
    layout: Layout
    finest: Mapping[str, float]

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.picture.shape[1], self.picture.shape[0]


class Detector:
    """The components of one or several packs, and their outliners: of each class, the first one counts.

    ``packs`` are their names, for errors.
    """

    def __init__(
        self, components: Sequence[Component], packs: Sequence[str] = (), outliners: Sequence[Outliner] = ()
    ) -> None:
        self.components = tuple(components)
        self.packs = tuple(packs)
        self._outliners = by_class(outliners)
        self._dropped = 0
        self._lock = threading.Lock()

    @property
    def outliners(self) -> Mapping[ObjectClass, Outliner]:
        """What draws the outlines of each class."""
        return self._outliners

    @property
    def classes(self) -> frozenset[ObjectClass]:
        """Everything that at least one component finds in every format."""
        return frozenset().union(*(component.classes for component in self.components if component.spec.always))

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
        thorough = options.tiling.mode in THOROUGH
        plain = [c for c in self.components if c.spec.inside is None and (thorough or not c.spec.thorough)]
        scenes = [_scene(picture, options, plain) for picture in pictures]
        inside = [
            c
            for c in self.components
            if thorough
            and c.spec.inside in self.classes
            and c.classes & set(options.classes)
            and any(hints.worthwhile(c.spec, scene.finest.get(c.spec.file, 0.0), scene.size) for scene in scenes)
        ]
        seen = self._seen(scenes, plain, inside, options)
        return [self._detections(looks, scene, options) for looks, scene in zip(seen, scenes, strict=True)]

    def _seen(
        self, scenes: Sequence[_Scene], plain: Sequence[Component], inside: Sequence[Component], options: Options
    ) -> list[Looks]:
        """What the looks saw of each scene: first of all of it, then inside what was found."""
        wanted = {name: _floor(name, asked) for name, asked in options.thresholds.items()}
        helpers = {c.spec.inside: hints.HOST_SCORE for c in inside if c.spec.inside is not None}
        seen = [Looks() for _ in scenes]
        everywhere = [(number, scene.layout.windows) for number, scene in enumerate(scenes)]
        for component in plain:
            floors = wanted if component.spec.thorough else helpers | wanted
            self._look(component, scenes, everywhere, floors, seen)
        for component in inside:
            self._look(component, scenes, _places_inside(component.spec, scenes, seen), wanted, seen)
        return seen

    def _look(
        self,
        component: Component,
        scenes: Sequence[_Scene],
        places: Sequence[tuple[int, Sequence[Window]]],
        floors: Mapping[ObjectClass, float],
        seen: Sequence[Looks],
    ) -> None:
        """Add the component's look at these windows, given with their scene's number; a scene occurs once."""
        names = component.classes & set(floors)
        taken = [(n, [w for w in windows if component.spec.input.takes(w.width, w.height)]) for n, windows in places]
        if not names or not any(windows for _, windows in taken):
            return
        views = [
            View(scenes[number].picture, window, scenes[number].layout.period)
            for number, windows in taken
            for window in windows
        ]
        sightings = iter(component.detect(views, floors))
        for number, windows in taken:
            if windows:
                own = list(islice(sightings, len(windows)))
                seen[number].add(component.pack, component.spec, names, windows, own, scenes[number].layout.period)
                self._count(component.spec.name, sum(sighting.non_finite for sighting in own))

    def _detections(self, looks: Looks, scene: _Scene, options: Options) -> Detections:
        told, period = [], scene.layout.period
        for name in sorted(options.classes, key=list(ObjectClass).index):
            found = _above(looks.fused(name, period), options.classes[name].threshold)
            masked = not options.bbox and not name.relative_kernel  # faces and plates are never shown by outline
            if masked and name in self._outliners:
                outliner = self._outliners[name]
                outlined = outliner.outlined(found, scene.picture, period)
                self._count(outliner.spec.name, outlined.non_finite)
                found = outlined.candidates
            if period is not None:
                found = opened(found, period).ordered()
            corners = None if np.isnan(found.corners).all() else found.corners
            masks = None
            if masked and found.segments is not None:
                masks = tuple(drawn(segment, *scene.size) for segment in found.segments)
            told.append(Detections(found.boxes, found.scores, as_classes([name] * len(found)), corners, masks))
        return Detections.concatenate(told).clipped(*scene.size)

    def _count(self, network: str, non_finite: int) -> None:
        if non_finite:
            logger.warning("network %s gave %d numbers that are not finite; dropped", network, non_finite)
            with self._lock:
                self._dropped += non_finite


def _scene(picture: NDArray[np.uint8], options: Options, components: Sequence[Component]) -> _Scene:
    made = layout(picture.shape[1], picture.shape[0], options.tiling)
    finest: dict[str, float] = defaultdict(float)
    for component in components:
        for width, height in {(window.width, window.height) for window in made.windows}:
            if component.spec.input.takes(width, height):
                file = component.spec.file
                finest[file] = max(finest[file], scale(component.spec.input, width, height))
    return _Scene(picture, made, finest)


def _floor(object_class: ObjectClass, asked: float) -> float:
    """The least score of a single look that is worth keeping.

    It depends on the request only below the default's: a score must not change with the threshold it is held against.
    """
    return min(asked, WEAK * DEFAULT_CLASS_OPTIONS[object_class].threshold)


def _places_inside(
    spec: ComponentSpec, scenes: Sequence[_Scene], seen: Sequence[Looks]
) -> list[tuple[int, list[Window]]]:
    """The windows in which a component looks into its hosts, for each scene's number."""
    if spec.inside is None:
        return []
    return [
        (
            number,
            hints.windows(
                looks.fused(spec.inside, scene.layout.period),
                spec,
                scene.layout.period,
                scene.size,
                scene.finest.get(spec.file, 0.0),
            ),
        )
        for number, (scene, looks) in enumerate(zip(scenes, seen, strict=True))
    ]


def _above(found: Candidates, threshold: float) -> Candidates:
    """The rows that reach the threshold, also where float32 says it a little lower."""
    found = found.select(found.scores >= threshold - SCORE_SLACK)
    return replace(found, scores=np.maximum(found.scores, np.float32(threshold)))
