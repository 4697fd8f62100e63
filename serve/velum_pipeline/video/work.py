"""A run of segments from packets to redacted parts: decode, look, track, redact, encode, one frame after the other.

What a frame shows and what is told of it depends on the frames within ``margins`` of it and on nothing else, so a run
that starts there gives the same as one that started at the video's first frame: segments can be worked on by different
processes, in any order, again after a crash, and be joined without a seam.

Three threads: one decodes and converts, one looks and tracks, the caller's redacts and encodes. Frames wait in memory
until the tracker has seen far enough ahead; how many that are does not depend on the video's length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from velum_pipeline import regions
from velum_pipeline.errors import Cancelled
from velum_pipeline.options import Method
from velum_pipeline.tracks import Tracker
from velum_pipeline.video import looking
from velum_pipeline.video.ahead import ahead
from velum_pipeline.video.covers import WARM_UP, Covers
from velum_pipeline.video.description import Video
from velum_pipeline.video.drawing import draw_debug
from velum_pipeline.video.looking import Detect, Known
from velum_pipeline.video.part import Part, SegmentResult
from velum_pipeline.video.segments import Segment
from velum_pipeline.video.source import Opener
from velum_pipeline.video.wishes import Wishes

AHEAD = 4
"""Frames that a stage may be ahead of the next: enough that neither waits for the other's slow frames."""

Sink = Callable[[Segment, SegmentResult], None]


def margins(every: int, *, hides: bool = True) -> tuple[int, int]:
    """How many frames before a run's first, and after its last, are decoded and looked at besides its own.

    hides: whether anything is to be covered; covers need more frames before the run's than tracks do.
    """
    radius = Tracker.reach(every)
    return radius + (WARM_UP if hides else 0), radius


def work(
    opener: Opener,
    video: Video,
    run: Sequence[Segment],
    wishes: Wishes,
    detect: Detect,
    sink: Sink,
    *,
    folder: Path,
    progress: Callable[[int], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> None:
    """Work through segments that follow each other; give each to ``sink`` as soon as it is done.

    folder: an existing folder for the parts' files. progress: told after each frame of the run how many of them are
    done. cancelled: asked for each frame.

    Raises Cancelled when ``cancelled`` says so, else whatever a stage raises. A segment that was not given to the sink
    leaves no file.
    """
    before, after = margins(wishes.every, hides=wishes.options.method is not Method.DETECT)
    first = max(run[0].first - before, 0) // wishes.every * wishes.every
    stop = min(run[-1].stop + after, video.frames)
    seen = looking.seen(opener, video, first, stop, wishes.every, wishes.threads)
    with ahead(seen, AHEAD, "decode") as frames:
        known = looking.known(frames, video, wishes.options, wishes.every, detect, wishes.batch)
        with ahead(known, AHEAD, "detect") as tracked:
            _Redaction(video, wishes, folder, cancelled).go(run, tracked, sink, progress)


class _Redaction:
    """The last stage: hides, encodes, and hands over segments as they get done."""

    def __init__(self, video: Video, wishes: Wishes, folder: Path, cancelled: Callable[[], bool]) -> None:
        self._video = video
        self._wishes = wishes
        self._folder = folder
        self._cancelled = cancelled
        self._covers = Covers(video, wishes.options.method, wishes.key)

    def go(self, run: Sequence[Segment], frames: Iterator[Known], sink: Sink, progress: Callable[[int], None]) -> None:
        """Take the frames of the run and its margins, in order."""
        first, known = run[0].first, next(frames, None)
        while known is not None and known.decoded.ordinal < first:
            if known.decoded.ordinal >= first - WARM_UP:
                self._redacted(known)  # for its covers, which the run's first frames go on to show
            known = next(frames, None)
        for segment in run:
            part = Part(self._video, segment, self._wishes, self._folder)
            with part:
                while known is not None and known.decoded.ordinal < segment.stop:
                    part.write(known, self._redacted(known))
                    progress(known.decoded.ordinal + 1 - first)
                    known = next(frames, None)
            sink(segment, part.result())

    def _redacted(self, known: Known) -> list[regions.Region | None]:
        """Hide what is to be hidden, in place. Returns the regions."""
        if self._cancelled():
            raise Cancelled("the video is not wanted any more")
        video, options, tracked = self._video, self._wishes.options, known.tracked
        areas = regions.build(tracked.detections, options, video.displayed_width, video.displayed_height)
        if options.method is not Method.DETECT:
            tracks = tracked.tracks.tolist()
            self._covers.apply(known.decoded, areas, tracks)
            if options.debug:
                draw_debug(known.decoded, video, tracked.detections, areas, tracks, scores=options.score)
        return areas
