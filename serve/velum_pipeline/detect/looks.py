"""What several components saw of one scene, one look each, and what they say together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from velum_pipeline.detect.candidates import Candidates
from velum_pipeline.detect.component import Sighting
from velum_pipeline.detect.inputs import scale
from velum_pipeline.detect.merge import SAME_OBJECT, fuse, merge
from velum_pipeline.detect.spec import ComponentSpec
from velum_pipeline.detect.tiles import Window
from velum_pipeline.options import ObjectClass


@dataclass
class _Looks:
    """The looks of one pack for one class: how many saw everything, and which of those tell of what sizes only."""

    found: list[Candidates] = field(default_factory=list)
    complete: int = 0
    ranges: list[tuple[float, float]] = field(default_factory=list)


class Looks:
    """What the components saw of one scene, one look each.

    Doubt counts within a pack, whose looks and thresholds were chosen together. Packs are joined by their best word:
    what one is sure of, no other's silence takes away.
    """

    def __init__(self) -> None:
        self._looks: dict[ObjectClass, dict[str, _Looks]] = defaultdict(lambda: defaultdict(_Looks))

    def add(
        self,
        pack: str,
        spec: ComponentSpec,
        names: Iterable[ObjectClass],
        windows: Sequence[Window],
        sightings: Sequence[Sighting],
        period: int | None,
    ) -> None:
        """What a component of a pack saw through all these windows."""
        for name in names:
            together = Candidates.concatenate(sighting.found[name] for sighting in sightings)
            looks = self._looks[name][pack]
            looks.found.append(merge(together, SAME_OBJECT[name], period))
            if spec.inside is None:
                looks.complete += 1
                looks.ranges.append(_told(spec, windows))

    def fused(self, name: ObjectClass, period: int | None) -> Candidates:
        """The objects of a class, best first."""
        packs = [_fused(looks, name, period) for looks in self._looks[name].values()]
        return packs[0] if len(packs) == 1 else merge(Candidates.concatenate(packs), SAME_OBJECT[name], period)


def _fused(looks: _Looks, name: ObjectClass, period: int | None) -> Candidates:
    # Of a person, one look often sees a part, and the mean then hides less: .945 of the pixels of pose_minicoco
    # instead of .991. What is rigid has fewer such parts, and the mean hits it better.
    average = name is not ObjectClass.PERSON
    complete = max(1, looks.complete)
    return fuse(looks.found, SAME_OBJECT[name], period, complete=complete, ranges=looks.ranges, average=average)


def _told(spec: ComponentSpec, windows: Sequence[Window]) -> tuple[float, float]:
    """The shortest and the longest side (pixels of the picture) of what a component tells of in any of the windows."""
    scales = [scale(spec.input, window.width, window.height) for window in windows]
    least, most = spec.input.trusted
    return least / max(scales), most / min(scales)
