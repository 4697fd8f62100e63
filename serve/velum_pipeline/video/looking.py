"""The first two stages of a run: frames are decoded and looked at, and what the looks say becomes tracks."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from velum_pipeline.detections import Detections
from velum_pipeline.errors import StageFailed
from velum_pipeline.options import Options
from velum_pipeline.tracks import Cuts, Tracked, Tracker, weak
from velum_pipeline.video import planes, turns
from velum_pipeline.video.description import Video
from velum_pipeline.video.reader import Decoded, decoded
from velum_pipeline.video.source import Opener

Pixels = NDArray[np.uint8]
Detect = Callable[[list[Pixels], Options], Sequence[Detections]]
"""Finds objects in BGR pictures (H, W, 3), as displayed: an answer for each. Called from one thread at a time."""


@dataclass(frozen=True)
class Seen:
    """A decoded frame. pixels: what the detector is to see of it, None where nobody looks. cut: a scene begins."""

    decoded: Decoded
    pixels: Pixels | None
    cut: bool


@dataclass(frozen=True)
class Known:
    """A frame, and what is in it."""

    decoded: Decoded
    tracked: Tracked


def seen(opener: Opener, video: Video, first: int, stop: int, every: int, threads: int) -> Generator[Seen, None, None]:
    """The frames from ``first`` to before ``stop``. Of every group of ``every`` the first that decodes is looked at.

    Groups are counted from the video's first frame, whatever ``first`` is; but the group that it lies in may be cut.
    """
    cuts, upright, group = Cuts(), planes.Upright(video), -1
    for each in decoded(opener, video, first, stop, threads=threads):
        look = each.ordinal // every != group
        group = each.ordinal // every
        pixels = upright(each.frame) if look else None
        yield Seen(each, pixels, cuts.push(planes.small(each.frame)))


def known(
    frames: Iterator[Seen], video: Video, options: Options, every: int, detect: Detect, batch: int
) -> Generator[Known, None, None]:
    """Every frame, in order, once enough of those behind it were looked at."""
    size = (video.displayed_width, video.displayed_height)
    waiting: dict[int, Decoded] = {}
    lumas: dict[int, planes.Plane] = {}
    tracker = Tracker(options.thresholds, size, every, lumas.get)
    for each, found in _found(frames, options, detect, batch):
        waiting[each.decoded.ordinal] = each.decoded
        lumas[each.decoded.ordinal] = _luma(each.decoded, video)
        for tracked in tracker.push(each.decoded.ordinal, found, each.cut):
            del lumas[tracked.ordinal]  # before anybody redacts it
            yield Known(waiting.pop(tracked.ordinal), tracked)
    for tracked in tracker.flush():
        yield Known(waiting.pop(tracked.ordinal), tracked)
    if waiting:
        raise StageFailed(f"the tracker did not answer for {len(waiting)} frames")


def _luma(each: Decoded, video: Video) -> planes.Plane:
    """A view of a frame's luma as it is displayed."""
    return turns.displayed_view(planes.samples(each.frame, video)[0][:, : video.width], video.turn)


def _found(
    frames: Iterator[Seen], options: Options, detect: Detect, batch: int
) -> Generator[tuple[Seen, Detections | None], None, None]:
    """Every frame with what was found in it, None where nobody looked; asks for ``batch`` pictures at a time."""
    wider = weak(options)
    held: list[Seen] = []
    for each in frames:
        held.append(each)
        if sum(one.pixels is not None for one in held) >= batch:
            yield from _answered(held, wider, detect)
            held = []
    yield from _answered(held, wider, detect)


def _answered(
    held: Sequence[Seen], options: Options, detect: Detect
) -> Generator[tuple[Seen, Detections | None], None, None]:
    pictures = [each.pixels for each in held if each.pixels is not None]
    answers = detect(pictures, options) if pictures else ()
    if len(answers) != len(pictures):
        raise StageFailed(f"the detector answered for {len(answers)} pictures instead of {len(pictures)}")
    found = iter(answers)
    for each in held:
        yield replace(each, pixels=None), next(found) if each.pixels is not None else None
