"""One detector of a pack: a session, what it is fed, how its outputs are read and what its scores mean.

Given views of pictures it answers, per view and wanted class, candidates in picture pixels with contract scores at or
above the threshold. Views of one input size run together where the network takes a batch.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from velum_pipeline.detect.arrays import host_floats
from velum_pipeline.detect.calibration import SCORE_SLACK, Calibration
from velum_pipeline.detect.candidates import Candidates
from velum_pipeline.detect.decoders import Decoded
from velum_pipeline.detect.inputs import Placement, prepare, target
from velum_pipeline.detect.merge import SAME_OBJECT, merge
from velum_pipeline.detect.networks import open_session
from velum_pipeline.detect.segments import Piece, as_segments, settled
from velum_pipeline.detect.session import Network, Runtime
from velum_pipeline.detect.spec import ComponentSpec
from velum_pipeline.detect.tiles import Window
from velum_pipeline.options import DEFAULT_CLASS_OPTIONS, ObjectClass

NATIVE_FLOOR = 0.01
"""Below this a score says nothing in any of these networks; a threshold of 0 means "all it has to say"."""
BORDER = 0.01
"""Of a window's side: a box that ends this close to the border is taken as cut by it. Boxes jitter by about that."""
BORDER_PIXELS = 2.0
"""The least of that distance."""

Thresholds = Mapping[ObjectClass, float]


@dataclass(frozen=True)
class View:
    """One window of one picture. ``period``: the picture's width if it closes around, so that its sides are no edge."""

    picture: NDArray[np.uint8]
    window: Window
    period: int | None = None


@dataclass(frozen=True)
class Sighting:
    """What one component saw in one view, per class; and how many numbers it had to drop."""

    found: Mapping[ObjectClass, Candidates]
    non_finite: int


@dataclass(frozen=True)
class _Job:
    view: int
    window: Window
    placement: Placement


class Component:
    """A detector ready to run. Immutable, shared by threads. ``pack``: whose it is; names are unique in a pack only."""

    def __init__(self, spec: ComponentSpec, session: Network, runtime: Runtime, pack: str = "") -> None:
        self.spec = spec
        self.pack = pack
        self._source = f"{pack}/{spec.name}"
        self._session = session
        self._runtime = runtime
        self._decode = spec.decode()
        self._calibrations = {
            name: Calibration(found.threshold, DEFAULT_CLASS_OPTIONS[name].threshold)
            for name, found in spec.classes.items()
        }

    @classmethod
    def load(cls, spec: ComponentSpec, model: bytes, runtime: Runtime) -> Component:
        """A component with a session of its own. Raises ModelInvalid."""
        return cls(spec, open_session(spec, model, runtime), runtime)

    @property
    def classes(self) -> frozenset[ObjectClass]:
        """What it finds."""
        return frozenset(self.spec.classes)

    def detect(self, views: Sequence[View], thresholds: Thresholds) -> list[Sighting]:
        """One Sighting per view, in order. Only classes in ``thresholds`` (contract scores) are looked for.

        Raises DetectionFailed when the network breaks, ModelInvalid when its outputs are not its decoder's.
        """
        wanted = {name: score for name, score in thresholds.items() if name in self.spec.classes}
        floors = {
            name: max(NATIVE_FLOOR, self._calibrations[name].invert(s) - SCORE_SLACK) for name, s in wanted.items()
        }
        seen: list[list[Candidates]] = [[] for _ in range(len(views) * len(wanted))]
        dropped = [0] * len(views)
        for jobs in self._batches(views):
            for job, decoded in zip(jobs, self._run(views, jobs, floors), strict=True):
                dropped[job.view] += decoded.non_finite
                for slot, name in enumerate(wanted):
                    found = self._placed(decoded.found[name], job, views[job.view], name, wanted[name])
                    seen[job.view * len(wanted) + slot].append(found)
        return [
            Sighting(
                {
                    name: _merged(seen[index * len(wanted) + slot], name, view.period)
                    for slot, name in enumerate(wanted)
                },
                dropped[index],
            )
            for index, view in enumerate(views)
        ]

    def _batches(self, views: Sequence[View]) -> Iterator[list[_Job]]:
        """Jobs of equal input size, as many at once as the network and the runtime take."""
        by_size: dict[tuple[int, int], list[_Job]] = defaultdict(list)
        for index, view in enumerate(views):
            if not self.spec.input.takes(view.window.width, view.window.height):
                continue
            for window in view.window.parts(self.spec.input.split):
                placement = target(self.spec.input, window.width, window.height)
                by_size[placement.canvas].append(_Job(index, window, placement))
        for (width, height), jobs in by_size.items():
            step = max(1, self._runtime.batch_pixels // (width * height)) if self._session.batches else 1
            for start in range(0, len(jobs), step):
                yield jobs[start : start + step]

    def _run(self, views: Sequence[View], jobs: Sequence[_Job], floors: Thresholds) -> list[Decoded]:
        width, height = jobs[0].placement.canvas
        batch = np.empty((len(jobs), 3, height, width), np.float32)
        for slot, job in zip(batch, jobs, strict=True):
            prepare(job.window.crop(views[job.view].picture), job.placement, self.spec.input, slot)
        outputs = self._session.run(batch)
        if not self.spec.takes_tensors:
            outputs = {name: host_floats(output) for name, output in outputs.items()}
        return self._decode(outputs, (height, width), floors)

    def _placed(
        self, found: Candidates, job: _Job, view: View, object_class: ObjectClass, threshold: float
    ) -> Candidates:
        """Into picture pixels and contract scores, cut to the window, with its borders marked."""
        scores = self._calibrations[object_class].apply(found.scores)
        keep = (scores >= threshold - SCORE_SLACK) & self.spec.input.shows(found.boxes)
        found = replace(found, scores=np.maximum(scores, np.float32(threshold))).select(keep)
        scale, (x, y) = job.placement.back
        offset = (x + job.window.x, y + job.window.y)
        found = _inside(found.moved(scale, offset), job.window, view)
        if found.segments is None:
            return found
        # Now and not with the view's other windows: each would keep its prototypes, megabytes of them, till the end.
        return _merged([self._sketched(found, scale, offset)], object_class, None)

    def _sketched(self, found: Candidates, scale: tuple[float, float], offset: tuple[float, float]) -> Candidates:
        """With the decoder's outlines as segments of the picture."""
        pieces = (
            Piece(box, self._source, replace(outline, scale=scale, offset=offset))
            for box, outline in zip(found.boxes, found.segments if found.segments is not None else (), strict=True)
        )
        return replace(found, segments=as_segments((piece,) for piece in pieces))


def _merged(parts: Sequence[Candidates], object_class: ObjectClass, period: int | None) -> Candidates:
    """The objects among these, which no longer need the network's outputs."""
    found = merge(Candidates.concatenate(parts), SAME_OBJECT[object_class], period)
    return replace(found, segments=settled(found.segments))


def _inside(found: Candidates, window: Window, view: View) -> Candidates:
    low = np.array([window.x, window.y], np.float32)
    high = low + np.array([window.width, window.height], np.float32)
    boxes = np.clip(found.boxes, np.tile(low, 2), np.tile(high, 2))
    margin = np.maximum(BORDER * (high - low), BORDER_PIXELS)
    near = np.concatenate([boxes[:, :2] <= low + margin, boxes[:, 2:] >= high - margin], axis=1)
    rows, columns = view.picture.shape[:2]
    around = view.period is not None
    inner = np.array(
        [
            around or window.x > 0,
            window.y > 0,
            around or window.x + window.width < columns,
            window.y + window.height < rows,
        ]
    )
    solid = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    return replace(found, boxes=boxes, cut=near & inner).select(solid)
