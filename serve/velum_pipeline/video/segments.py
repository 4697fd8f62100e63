"""Cuts a video into segments that can be decoded on their own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from velum_pipeline.video.description import Video

SEGMENT_FRAMES = 250
"""Frames of a segment at least: about ten seconds are lost at most when a process dies, and a join is cheap."""


@dataclass(frozen=True)
class Segment:
    """The frames from ordinal ``first``, where decoding can begin, to before ``stop``; ``number`` counts from 0."""

    number: int
    first: int
    stop: int


def segments(video: Video, target: int) -> list[Segment]:
    """The whole video in segments of ``target`` frames or more; each but the first begins at a key frame.

    A segment ends at the first key frame from ``target`` on. A rest of less than half of ``target`` frames goes to the
    segment before it. Raises ValueError when target is not positive.
    """
    if target < 1:
        raise ValueError(f"a segment of {target} frames is none")
    firsts = [0]
    while (at := int(np.searchsorted(video.keys, firsts[-1] + target))) < len(video.keys):
        firsts.append(int(video.keys[at]))
    if len(firsts) > 1 and 2 * (video.frames - firsts[-1]) < target:
        firsts.pop()
    stops = [*firsts[1:], video.frames]
    return [Segment(number, first, stop) for number, (first, stop) in enumerate(zip(firsts, stops, strict=True))]
