"""What several components saw of one scene, one look each, and what they say together."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from velum_pipeline.detect.candidates import Candidates
from velum_pipeline.detect.component import Sighting
from velum_pipeline.detect.inputs import scale
from velum_pipeline.detect.merge import SAME_OBJECT, fuse, merge
from velum_pipeline.detect.spec import ComponentSpec
from velum_pipeline.detect.tiles import Window
from velum_pipeline.options import ObjectClass


class Looks:
    """What the components saw of one scene, one look each."""

    def __init__(self) -> None:
        self._found: dict[ObjectClass, list[Candidates]] = defaultdict(list)
        self._complete: Counter[ObjectClass] = Counter()
        self._limits: dict[ObjectClass, list[float]] = defaultdict(list)

    def add(
        self,
        spec: ComponentSpec,
        names: Iterable[ObjectClass],
        windows: Sequence[Window],
        sightings: Sequence[Sighting],
        period: int | None,
    ) -> None:
        """What a component saw through all these windows."""
        for name in names:
            together = Candidates.concatenate(sighting.found[name] for sighting in sightings)
            if spec.inside is None and spec.input.largest is not None:
                coarsest = min(scale(spec.input, window.width, window.height) for window in windows)
                self._limits[name].append(spec.input.largest / coarsest)
            self._found[name].append(merge(together, SAME_OBJECT[name], period))
            self._complete[name] += spec.inside is None

    def fused(self, name: ObjectClass, period: int | None) -> Candidates:
        """The objects of a class, best first."""
        # Of a person, one look often sees a part, and the mean then hides less: .945 of the pixels of pose_minicoco
        # instead of .991. What is rigid has fewer such parts, and the mean hits it better.
        average = name is not ObjectClass.PERSON
        complete, limits = max(1, self._complete[name]), self._limits[name]
        return fuse(self._found[name], SAME_OBJECT[name], period, complete=complete, limits=limits, average=average)
