"""Recall of tracks: every side's output of the same made clips and real ones, counted from its pixels by one rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation.sets import LabelledSet
from evaluation.subjects import Packs
from evaluation.tracks import clips, exposure, pseudo, scene
from evaluation.tracks.crops import Crop, find_crops
from evaluation.tracks.exposure import Sight, Truth
from evaluation.tracks.figures import Figures, by_class, by_size
from film import floor
from film.sides import Side, SideFailed
from velum_pipeline.options import ClassOptions, Method, ObjectClass, Options, Tiling

FACES_SEED, OTHERS_SEED = 20, 40
ACTORS = 12
"""Objects of a made clip: it stays a street, not a crowd."""
OTHERS = (ObjectClass.LICENSE_PLATE, ObjectClass.PERSON, ObjectClass.VEHICLE)


@dataclass(frozen=True)
class Made:
    """A made clip and what is in it."""

    path: Path
    scene: scene.Scene

    @property
    def classes(self) -> dict[int, ObjectClass]:
        """Of each track."""
        return {track: actor.crop.object_class for track, actor in enumerate(self.scene.actors)}


@dataclass(frozen=True)
class Counted:
    """What one side left in sight, of all clips together."""

    total: Figures
    sizes: Mapping[str, Figures]
    classes: Mapping[str, Figures]
    limit: float
    """The largest of the clips' limits, in grey levels."""

    def document(self) -> dict[str, Any]:
        """As it is written to JSON."""
        parts = {
            "by_size": {name: each.document() for name, each in self.sizes.items()},
            "by_class": {name: each.document() for name, each in self.classes.items()},
        }
        return self.total.document() | parts | {"limit_grey_levels": round(self.limit, 2)}


def make(
    sets: Sequence[LabelledSet], background: Path, folder: Path, wanted: Sequence[ObjectClass], count: int, seed: int
) -> list[Made]:
    """So many made clips over one background, each of ACTORS objects. Raises SetInvalid."""
    crops: dict[ObjectClass, list[Crop]] = {name: find_crops(sets, name) for name in wanted}
    size, frames, rate = clips.described(background)
    made = []
    for number in range(count):
        one = scene.make(crops, size, frames, ACTORS, seed + number)
        target = folder / f"made-{wanted[0]}-{number}.mp4"
        clips.made(one, background, target, rate)
        made.append(Made(target, one))
    return made


def counted(side: Side, made: Sequence[Made], folder: Path) -> Counted:
    """Run a side over made clips and count. Raises SideFailed, SetInvalid, PeerFailed."""
    sights: list[Sight] = []
    owners: dict[int, ObjectClass] = {}
    limits = []
    for each in made:
        output = folder / f"hidden-{each.path.name}"
        side.run(each.path, output)
        limits.append(limit(side, each.path, each.scene.truth, folder))
        for sight in exposure.sights(each.path, output, each.scene.truth, limits[-1]):
            owner = each.classes[sight.track]
            sight.track = len(owners)  # a number of its own over all clips
            owners[sight.track] = owner
            sights.append(sight)
    return Counted(Figures.of(sights), by_size(sights), by_class(sights, owners), max(limits, default=0.0))


def limit(side: Side, source: Path, truth: Truth, folder: Path) -> float:
    """What is more than this side's coding (see exposure). Raises SideFailed, SetInvalid, PeerFailed."""
    plain = folder / f"plain-{side.name if side.plain else 'ours'}-{source.name}"
    if plain.exists():
        pass  # all of our sides encode alike
    elif side.plain is None:
        floor.path(source, plain, every=1, detect=floor.nothing)
    else:
        Side(f"{side.name}, hiding nothing", side.plain).run(source, plain)
    return exposure.limit(source, plain, truth)


def pseudo_tracks(source: Path, ensemble: Packs) -> Truth:
    """The faces of a real clip as a slow ensemble has them: format auto, every frame. Raises what detection raises."""
    face = ObjectClass.FACE
    options = Options(Method.BLUR, {face: ClassOptions.default(face)}, tiling=Tiling("auto"))
    size, _, _ = clips.described(source)
    looks = []
    for picture in clips.frames(source):
        (found,) = ensemble.detector.detect([picture], options)
        looks.append(found.above(options.thresholds).clipped(*size).boxes)
    return pseudo.truth(pseudo.linked(looks), size)


def beside_pseudo(outputs: Mapping[Path, Path], truths: Mapping[Path, Truth], side: Side, folder: Path) -> Figures:
    """One side's outputs of real clips against pseudo tracks. Raises SideFailed, SetInvalid, PeerFailed."""
    sights: list[Sight] = []
    for source, output in outputs.items():
        least = limit(side, source, truths[source], folder)
        sights += exposure.sights(source, output, truths[source], least)
    if not sights:
        raise SideFailed("there are no pseudo tracks in these clips")
    return Figures.of(sights)
