"""What is told of a video's frames: written a segment at a time, put together in one pass.

A segment's records are lines of JSON, a frame each, with track numbers that mean something in this segment only. Beside
them goes by what a track is known across the segment's edges: the sightings that its first and its last frame rest on,
which are the same for every process that looked at these frames (`velum_pipeline.tracks`).

Put together they are the contract's array of frames, a line each, and an index: for every frame the offset of its line
in bytes, then the offset after the last line, as uint64 in little endian. So any range of frames can be read from a
file of any length.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from velum_pipeline import metadata
from velum_pipeline.options import Method, ObjectClass
from velum_pipeline.regions import Region
from velum_pipeline.tracks import Tracked

Anchors = frozenset[tuple[int, int, int]]

OFFSET_BYTES = 8


@dataclass(frozen=True)
class Shown:
    """How a frame is called and shown: the video's name, (width, height) as displayed, when and how long in seconds."""

    name: str
    size: tuple[int, int]
    time: float
    duration: float


class Recorder:
    """Writes the records of one segment. Use as a context manager around its frames."""

    def __init__(self, path: Path, method: Method) -> None:
        self._path = path
        self._method = method
        self._classes: dict[int, str] = {}
        self._seen: set[int] = set()
        self._edges: list[dict[int, Anchors]] = []

    def __enter__(self) -> Recorder:
        self._file: BinaryIO = self._path.open("wb")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def frame(self, shown: Shown, tracked: Tracked, regions: Sequence[Region | None]) -> None:
        """Write one frame; frames come in order."""
        found, tracks = tracked.detections, tracked.tracks.tolist()
        told = metadata.Told(shown.name, shown.size, found, regions, self._method, shown.duration)
        page = metadata.frame_document(told, time=shown.time, tracks=tracks, seen=tracked.seen.tolist())
        self._file.write(json.dumps(page, separators=(",", ":")).encode() + b"\n")
        self._classes.update(zip(tracks, map(str, found.classes.tolist()), strict=True))
        self._seen.update(track for track, seen in zip(tracks, tracked.seen.tolist(), strict=True) if seen)
        edge = dict(zip(tracks, tracked.anchors, strict=True))
        self._edges = [self._edges[0] if self._edges else edge, edge]

    def tracks(self) -> bytes:
        """By what tracks are known: JSON, to be kept beside the records."""
        begins, ends = self._edges or ({}, {})
        known = {
            str(track): {
                "class": name,
                "seen": track in self._seen,
                "begins": sorted(begins.get(track, ())),
                "ends": sorted(ends.get(track, ())),
            }
            for track, name in sorted(self._classes.items())
        }
        return json.dumps(known, separators=(",", ":")).encode()


@dataclass(frozen=True)
class Records:
    """The records of one segment as they were kept: the file of lines, and what `Recorder.tracks` said."""

    lines: Path
    tracks: bytes


@dataclass(frozen=True)
class Assembled:
    """frames: how many were written. counts: tracks by class name, in the order of classes.

    Tracks that were seen in no frame are not counted: they cover where an object may be that is counted already.
    """

    frames: int
    counts: Mapping[str, int]


@dataclass
class _Numbers:
    """The numbers that tracks have in the whole video."""

    classes: list[str] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    open: list[tuple[int, Anchors]] = field(default_factory=list)

    def of(self, tracks: bytes) -> dict[int, int]:
        """From a segment's numbers to the video's; segments come in order."""
        known: dict[str, Any] = json.loads(tracks)
        numbers = {int(track): self._number(each) for track, each in known.items()}
        self.seen.update(numbers[int(track)] for track, each in known.items() if each["seen"])
        self.open = [
            (numbers[int(track)], anchors) for track, each in known.items() if (anchors := _anchors(each["ends"]))
        ]
        return numbers

    def _number(self, track: Mapping[str, Any]) -> int:
        begins = _anchors(track["begins"])
        for number, ends in self.open:
            if begins & ends:
                return number
        self.classes.append(track["class"])
        return len(self.classes) - 1


def assemble(parts: Iterable[Records], target: Path, index: Path) -> Assembled:
    """Write the array of frames and its index, in bounded memory. ``parts`` come in order and are read once."""
    numbers, frames = _Numbers(), 0
    with target.open("wb") as pages, index.open("wb") as offsets:
        pages.write(b"[\n")
        for part in parts:
            known = numbers.of(part.tracks)
            with part.lines.open("rb") as lines:
                for line in lines:
                    pages.write(b",\n" if frames else b"")
                    offsets.write(pages.tell().to_bytes(OFFSET_BYTES, "little"))
                    pages.write(_page(line, frames, known))
                    frames += 1
        offsets.write((pages.tell() + (2 if frames else 0)).to_bytes(OFFSET_BYTES, "little"))
        pages.write(b"\n]\n")
    totals = Counter(numbers.classes[number] for number in numbers.seen)
    return Assembled(frames, {str(name): totals[name] for name in ObjectClass if name in totals})


def _page(line: bytes, number: int, known: Mapping[int, int]) -> bytes:
    page: dict[str, Any] = json.loads(line)
    page["id"] = number
    for entry in page["detections"]:
        entry["track_id"] = known[entry["track_id"]]
    return json.dumps(page, separators=(",", ":")).encode()


def _anchors(listed: Iterable[Sequence[int]]) -> Anchors:
    return frozenset((int(ordinal), int(kind), int(row)) for ordinal, kind, row in listed)
